"""The recipe: train, train again with coordinates exchanged, compare with ridge, and keep what was chosen."""

import shutil
from collections.abc import Mapping
from typing import Any

import pandas as pd

from fusiform.data import Space
from fusiform.files import atomic
from fusiform.models.folds import Split
from fusiform.models.selection import channel_weights
from fusiform.recipes.ceilings import ceiling_of
from fusiform.recipes.evaluate import evaluate
from fusiform.recipes.outcome import Stopwatch, headline, publish, save, score_within, shuffled_r
from fusiform.recipes.run import Run
from fusiform.recipes.sections import encoding_sections
from fusiform.recipes.selectors.channels import channel_section
from fusiform.recipes.selectors.learning import Chosen, arguments_of, learn
from fusiform.recipes.selectors.quantities import measured, save_maps
from fusiform.recipes.selectors.showing import selection_sections
from fusiform.recipes.selectors.truth import selector_truth
from fusiform.recipes.steps import Material, regressor, repeated_stimuli

__all__ = ["select"]


def select(
    run: Run,
    title: str,
    found: Material,
    splits: list[Split],
    watch: Stopwatch,
    model: str,
    model_args: Mapping[str, Any] | None,
    *,
    metric: str,
    gap: int,
    seed: int,
    device: str,
) -> dict[str, Any]:
    """Train, train again with coordinates exchanged among targets, and compare with ridge from the best single layer.

    The run also keeps `selection.parquet`, a row per target, every column of it that is a map as files of images, in
    `maps/`, and the network, in `model/`.
    """
    pairs, arguments = found.pairs, arguments_of(model, model_args, seed, device)
    chosen = learn(run.folder / "checkpoints", model, pairs, splits, arguments)
    watch.lap("fit")
    astray = learn(run.folder / "checkpoints" / "shuffled", model, pairs, splits, arguments, shuffle=seed)
    watch.lap("shuffled control")
    ridge = regressor("ridge", pairs, gap=gap, device=device, model_args=None)
    single = evaluate(pairs, "encode", ridge, splits, groups=repeated_stimuli(pairs), progress=True)
    watch.lap("ridge")
    tested = pairs.samples.iloc[chosen.result.rows]
    within = score_within(tested, chosen.result.fold)
    ceiling = ceiling_of(found.trials, tested)
    scores, lost, plain = (
        result.score(groups=within, ceiling=ceiling, space=pairs.space)
        for result in (chosen.result, astray.result, single)
    )
    summary: dict[str, Any] = {"scores": headline(scores), "controls": {}, "seconds": watch.seconds}
    summary["controls"] = {
        "shuffled_r": shuffled_r(chosen.result, scores, "time" in tested, within, seed),
        "shuffled_ratio": headline(lost).get("ratio_to_ceiling"),
        "best_single_layer_r": headline(plain).get("mean_r"),
        "best_single_layer_ratio": headline(plain).get("ratio_to_ceiling"),
    }
    if found.truth is not None and {"layer", "x", "y", "scale"} <= set(found.truth):
        summary["truth"] = selector_truth(found.truth, chosen.table, scores)
        lost_truth = selector_truth(found.truth, astray.table, scores)
        summary["controls"] |= {f"shuffled_{name}": value for name, value in lost_truth.items()}
    table = measured(chosen.table, scores)
    _keep(run, chosen, table, pairs.space)
    _keep_channels(run, chosen)
    save(run, chosen.result, scores, metric, within)
    told = {**summary["controls"], **summary.get("truth", {})}
    sections = [
        encoding_sections(summary, chosen.result, scores)[0],
        *selection_sections(table, list(chosen.model.net_.layers), pairs.space, told),
        channel_section(chosen, found),
    ]
    publish(run, title, sections)
    shutil.rmtree(run.folder / "checkpoints")
    watch.lap("report")
    return summary


def _keep(run: Run, chosen: Chosen, table: pd.DataFrame, space: Space) -> None:
    """Write the table of choices, its maps and the network."""
    known = space.targets.drop(columns=[name for name in space.targets if name in table])
    with atomic(run.folder / "selection.parquet") as new:
        pd.concat([known, table], axis=1).to_parquet(new)
    save_maps(run.folder / "maps", table, space, list(chosen.model.net_.layers))
    shutil.rmtree(run.folder / "model", ignore_errors=True)  # of a run that was interrupted behind this line
    chosen.model.save(run.folder / "model")


def _keep_channels(run: Run, chosen: Chosen) -> None:
    """Write each target's weights of the bottleneck's channels."""
    weights = channel_weights(chosen.model)
    with atomic(run.folder / "channels.parquet") as new:
        pd.DataFrame(weights, columns=[f"channel{number}" for number in range(weights.shape[1])]).to_parquet(new)
