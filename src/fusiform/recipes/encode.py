"""Encoding: from what was shown to every target's response."""

from collections.abc import Sequence
from typing import Any

from fusiform.checking import at_least
from fusiform.errors import SettingsError
from fusiform.recipes.ceilings import ceiling_of
from fusiform.recipes.evaluate import Evaluation, evaluate
from fusiform.recipes.outcome import Stopwatch, headline, layer_truth, publish, save, score_within, shuffled_r
from fusiform.recipes.recipe import recipe
from fusiform.recipes.run import Run
from fusiform.recipes.sections import encoding_sections
from fusiform.recipes.selectors import reads_layers, select
from fusiform.recipes.settings import Brains, Learning, Network
from fusiform.recipes.steps import Material, folds_of, material, regressor, repeated_stimuli
from fusiform.registry import find

__all__ = ["encode"]


@recipe
def encode(
    run: Run,
    brains: Brains,
    network: Network,
    *,
    layers: Sequence[str] | None = None,
    hemodynamic: bool = False,
    lags: Sequence[float] = (0.0,),
    window: float | None = None,
    together: bool = False,
    learning: Learning,
    metric: str = "pearson",
    folds: int = 6,
    gap: int = 5,
) -> dict[str, Any]:
    """Predict every target's response from what was shown, and say how well each layer does.

    Each layer is fitted on its own on the training rows; for each target the layer is chosen by its score within
    training rows, and only then are the held-out rows predicted: the dataset's test split, or folds. The model
    `selector` reads all layers at once instead, and says which layer, place, scale and channels each target reads.

    Parameters
    ----------
    layers
        of the network (default: all)
    hemodynamic
        convolve features with a haemodynamic response
    lags
        seconds by which the response follows the stimulus, side by side
    window
        seconds to average over from each lag on
    together
        read all layers side by side as one, instead of each on its own
    metric
        name of the metric of scores.parquet; the summary is in r
    folds
        number of folds where the dataset has no test split
    gap
        samples kept out of training beside held-out ones, in time series
    """
    at_least(0, seed=learning.seed, gap=gap)
    at_least(2, folds=folds)
    find("metric", metric)  # a mistyped name should not cost the time until it is needed
    find("model", learning.model)
    _check_subjects(brains, learning.model)
    watch = Stopwatch()
    each = [
        material(
            brain,
            network,
            layers=layers,
            hemodynamic=hemodynamic,
            lags=lags,
            window=window,
            placed=reads_layers(learning.model),
        )
        for brain in brains.each()
    ]
    watch.lap("features")
    found, pairs = each[0], each[0].pairs
    about = {"dataset": brains.dataset, "subject": found.subject, "features": found.features}
    titles = [f"Encoding: {brains.dataset}, {one.subject}, from {network.backbone}" for one in each]
    if reads_layers(learning.model):
        told = select(run, titles, each, watch, learning, metric=metric, folds=folds, gap=gap, device=network.device)
        return {**about, **told}
    learner = regressor(learning.model, pairs, gap=gap, device=network.device, model_args=learning.model_args)
    read = {"all": list(pairs.features)} if together else None
    splits, groups = folds_of(pairs, folds, gap), repeated_stimuli(pairs)
    result = evaluate(pairs, "encode", learner, splits, layers=read, groups=groups, progress=True)
    watch.lap("fit")
    return {**about, **_tell(run, titles[0], found, result, metric, learning.seed, watch)}


def _check_subjects(brains: Brains, model: str) -> None:
    named = brains.subject or ()
    if len(named) > 1 and not reads_layers(model):
        raise SettingsError(
            f"the model {model!r} learns from one subject; got {', '.join(named)}: encode one at a time, or all with a "
            "model that reads all layers, such as 'selector'"
        )


def _tell(
    run: Run, title: str, found: Material, result: Evaluation, metric: str, seed: int, watch: Stopwatch
) -> dict[str, Any]:
    """Score, save and show what was predicted."""
    tested = found.pairs.samples.iloc[result.rows]
    groups = score_within(tested, result.fold)
    scores = result.score(groups=groups, ceiling=ceiling_of(found.trials, tested), space=found.pairs.space)
    summary: dict[str, Any] = {
        "scores": headline(scores),
        "controls": {"shuffled_r": shuffled_r(result, scores, "time" in tested, groups, seed)},
        "seconds": watch.seconds,
    }
    if found.truth is not None and "layer" in found.truth and scores.ceiling is not None:
        summary["truth"] = layer_truth(found.truth["layer"].to_numpy(), result.chosen, scores)
    save(run, result, scores, metric, groups)
    publish(run, title, encoding_sections(summary, result, scores))
    return summary
