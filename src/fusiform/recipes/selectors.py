"""Encoding with a network that reads all layers at once and says what each target reads; see `nets.selector`."""

import inspect
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.errors import SettingsError
from fusiform.files import atomic
from fusiform.models.folds import Split
from fusiform.models.selection import channel_clusters, selection
from fusiform.models.subjects import places_of
from fusiform.pairs import Pairs
from fusiform.plots.maps import brain_map, unmapped
from fusiform.plots.report import Picture, Section
from fusiform.recipes.evaluate import Evaluation, evaluate
from fusiform.recipes.outcome import (
    Stopwatch,
    headline,
    publish,
    reliable,
    save,
    score_within,
    shuffled_r,
)
from fusiform.recipes.run import Run
from fusiform.recipes.sections import encoding_sections
from fusiform.recipes.steps import Material, ceiling_of, regressor, repeated_stimuli
from fusiform.registry import did_you_mean, find
from fusiform.scores import Scores

__all__ = ["reads_layers", "select", "selector_truth"]

CLUSTERS = 20  # of targets, by their channel weights, as published
_CLUSTERS = {"categories": [str(number) for number in range(CLUSTERS)], "cmap": "turbo"}
HELD = 10  # one stimulus of so many is for validation where the data have no such split


@dataclass(frozen=True)
class Chosen:
    """What a network predicted, and what each target reads.

    Args:
        result: the predictions, as of one layer called after the model.
        table: a row per target, as `models.selection.selection` gives it, and its `cluster`; of the first fold.
        model: that of the first fold.
    """

    result: Evaluation
    table: pd.DataFrame
    model: Any


def reads_layers(model: str) -> bool:
    """Whether a model takes all layers together, by name, and not a matrix."""
    return bool(getattr(find("model", model), "reads_layers", False))


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

    The run also keeps `selection.parquet`, a row per target, and the network, in `model/`.
    """
    pairs, arguments = found.pairs, _arguments(model, model_args, seed, device)
    chosen = _learn(run.folder / "checkpoints", model, pairs, splits, arguments)
    watch.lap("fit")
    astray = _learn(run.folder / "checkpoints" / "shuffled", model, pairs, splits, arguments, shuffle=seed)
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
    _keep(run, chosen, scores)
    save(run, chosen.result, scores, metric, within)
    publish(run, title, [encoding_sections(summary, chosen.result, scores)[0], *_sections(chosen, scores, summary)])
    shutil.rmtree(run.folder / "checkpoints")
    return summary


def _arguments(model: str, given: Mapping[str, Any] | None, seed: int, device: str) -> dict[str, Any]:
    known = inspect.signature(find("model", model)).parameters
    arguments = {"seed": seed, "device": device, "progress": True, **(given or {})}
    if wrong := [name for name in arguments if name not in known]:
        near = did_you_mean(wrong[0], known)
        raise SettingsError(f"model {model!r} takes no argument {wrong[0]!r}{near}; it takes: {', '.join(known)}")
    return arguments


def _learn(
    folder: Path,
    model: str,
    pairs: Pairs,
    splits: list[Split],
    arguments: Mapping[str, Any],
    *,
    shuffle: int | None = None,
) -> Chosen:
    """Train on each split's training rows and predict the others.

    Args:
        folder: of the checkpoints.
        model: its name.
        pairs: with the coordinates of their targets.
        splits: (training rows, held-out rows) each.
        arguments: of the model.
        shuffle: a seed by which targets exchange their coordinates: a control.
    """
    places = places_of(pairs.space)
    if shuffle is not None:
        places = np.random.default_rng(shuffle).permutation(places)
    fitted = [
        _fitted(
            find("model", model)(coordinates=places, folder=folder / f"fold{number}", **arguments), pairs.select(train)
        )
        for number, (train, _) in enumerate(splits)
    ]
    pred = np.concatenate([one.predict(pairs.select(test)) for one, (_, test) in zip(fitted, splits, strict=True)])
    table = pd.concat([selection(fitted[0]), channel_clusters(fitted[0], CLUSTERS)], axis=1)
    return Chosen(_evaluation(model, pairs, splits, pred), table, fitted[0])


def _fitted(model: Any, pairs: Pairs) -> Any:
    """The model, stopped by the validation split, or by one stimulus of ten where there is none."""
    split = pairs.samples.get("split")
    if split is not None and (split == "val").any():
        return model.fit(pairs)
    stimulus, _ = pd.factorize(pairs.samples["stimulus"])
    held = stimulus % HELD == HELD - 1
    return model.fit(pairs, validation=held if held.any() else None)


def _evaluation(name: str, pairs: Pairs, splits: list[Split], pred: NDArray[np.floating]) -> Evaluation:
    values, held = np.asarray(pairs.responses), [test for _, test in splits]
    level = [np.broadcast_to(values[train].mean(0), (len(test), values.shape[1])) for train, test in splits]
    return Evaluation(
        rows=np.concatenate(held),
        fold=np.repeat(np.arange(len(held)), [len(test) for test in held]),
        true=values[np.concatenate(held)],
        level=np.concatenate(level),
        pred={name: pred},
        fit={name: np.zeros(values.shape[1])},
        best=pred,
    )


def selector_truth(planted: pd.DataFrame, table: pd.DataFrame, scores: Scores) -> dict[str, float]:
    """How much of a planted truth was found, over the reliable targets.

    Args:
        planted: V rows with `layer`, `x`, `y` and `scale`.
        table: V rows, as `models.selection.selection` gives them.
        scores: of the same targets.

    Returns:
        `layer_exact`, the share of targets with the right layer; `center_r_x` and `center_r_y`, correlations of the
        centres over targets that were planted local; `scale_auc`, the area under the curve of scale, local or global.
        What cannot be told (two local targets, say) is left out.
    """
    from sklearn.metrics import roc_auc_score

    among = reliable(scores)
    planted, table = planted[among].reset_index(drop=True), table[among].reset_index(drop=True)
    wide = planted["scale"].to_numpy() > 0.5
    found = {"layer_exact": float((table["layer"].to_numpy() == planted["layer"].to_numpy()).mean())}
    if (~wide).sum() > 2:
        for axis in "xy":
            near, true = table.loc[~wide, f"center_{axis}"], planted.loc[~wide, axis]
            found[f"center_r_{axis}"] = float(np.corrcoef(near, true)[0, 1])
    if 0 < wide.sum() < len(wide):
        found["scale_auc"] = float(roc_auc_score(wide, table["scale"]))
    return found


def _keep(run: Run, chosen: Chosen, scores: Scores) -> None:
    """Write the table of choices and the network."""
    targets = chosen.table if scores.space is None else pd.concat([scores.space.targets, chosen.table], axis=1)
    with atomic(run.folder / "selection.parquet") as new:
        targets.to_parquet(new)
    shutil.rmtree(run.folder / "model", ignore_errors=True)  # of a run that was interrupted behind this line
    chosen.model.save(run.folder / "model")


def _sections(chosen: Chosen, scores: Scores, summary: Mapping[str, Any]) -> list[Section]:
    """Maps of what each target reads, and the controls."""
    layers, table = list(chosen.model.net_.layers), chosen.table
    rows = pd.DataFrame(
        {
            "layer": layers,
            "targets": [int((table["layer"] == layer).sum()) for layer in layers],
            "mean share": [float(table[f"share:{layer}"].mean()) for layer in layers],
        }
    )
    told = {**summary["controls"], **summary.get("truth", {})}
    text = [
        "Each target reads a mixture of layers at one place and scale, which follow from its coordinates; its own "
        "weights mix the channels. In the shuffled control targets have exchanged their coordinates.",
        "; ".join(f"{name.replace('_', ' ')}: {value:.3f}" for name, value in told.items() if value is not None) + ".",
    ]
    return [Section("What each target reads", text, {}, _maps(table, layers, scores), rows)]


def _maps(table: pd.DataFrame, layers: list[str], scores: Scores) -> list[Picture]:
    space = scores.space
    if space is None or unmapped(space):
        return []
    whole: dict[str, tuple[str, str, dict[str, Any]]] = {
        "layer": ("layer_index", "The layer with the largest share.", {"categories": layers, "cmap": "viridis"}),
        "confidence": ("confidence", "One less the entropy of the layers' shares: 1 is decided.", {"limits": (0, 1)}),
        "x": ("center_x", "Centre of what is read, from left to right.", {"limits": (-1, 1), "cmap": "coolwarm"}),
        "y": ("center_y", "Centre of what is read, from top to bottom.", {"limits": (-1, 1), "cmap": "coolwarm"}),
        "scale": ("scale", "Share of global tokens.", {"limits": (0, 1)}),
        "cluster": ("cluster", "Targets with similar mixtures of channels, largest first.", _CLUSTERS),
    }
    return [
        Picture(f"selected_{name}", brain_map(table[column], space, label=name, **options), caption)
        for name, (column, caption, options) in whole.items()
        if column in table
    ]
