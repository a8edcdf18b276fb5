"""Encoding: from what was shown to every target's response."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fusiform.checking import at_least
from fusiform.datasets import with_agreement
from fusiform.recipes.ceilings import ceiling_of
from fusiform.recipes.evaluate import Evaluation, evaluate
from fusiform.recipes.outcome import Stopwatch, headline, layer_truth, publish, save, score_within, shuffled_r
from fusiform.recipes.recipe import recipe
from fusiform.recipes.run import Run
from fusiform.recipes.sections import encoding_sections
from fusiform.recipes.selectors import reads_layers, select
from fusiform.recipes.steps import Material, folds_of, material, regressor, repeated_stimuli
from fusiform.registry import find

__all__ = ["encode"]


@recipe
def encode(
    run: Run,
    *,
    dataset: str,
    root: str | Path | None = None,
    subject: str | None = None,
    part: str | None = None,
    rois: Sequence[str] | None = None,
    backbone: str = "pixels",
    layers: Sequence[str] | None = None,
    reduce: str | None = None,
    hemodynamic: bool = False,
    lags: Sequence[float] = (0.0,),
    window: float | None = None,
    together: bool = False,
    single_trials: bool = False,
    model: str = "ridge",
    metric: str = "pearson",
    folds: int = 6,
    gap: int = 5,
    seed: int = 0,
    device: str = "auto",
    image_size: int | None = None,
    normalise: str | None = None,
    i_have_agreed: bool = False,
    dataset_args: Mapping[str, Any] | None = None,
    backbone_args: Mapping[str, Any] | None = None,
    model_args: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Predict every target's response from what was shown, and say how well each layer does.

    Each layer is fitted on its own on the training rows; for each target the layer is chosen by its score within
    training rows, and only then are the held-out rows predicted: the dataset's test split, or folds. The model
    `selector` reads all layers at once instead, and says which layer, place, scale and channels each target reads.

    Parameters
    ----------
    dataset
        name of the dataset, folder:PATH, or the path of a dataset.yaml
    root
        folder of the dataset's files, or the one that holds a folder of its name (default: $FUSIFORM_DATA)
    subject
        whose brain (default: the first)
    part
        of a dataset with several kinds of stimuli (default: the first)
    rois
        regions to predict (default: all)
    backbone
        name of the network, or module:Class of your own
    layers
        of the network (default: all)
    reduce
        what to keep of each layer: mean, cls or pool:HxW of its grid, project:DIM or pca:DIM of its rows, or several
        joined by +, such as mean+pca:64 (default: all of it)
    hemodynamic
        convolve features with a haemodynamic response
    lags
        seconds by which the response follows the stimulus, side by side
    window
        seconds to average over from each lag on
    together
        read all layers side by side as one, instead of each on its own
    single_trials
        keep the repeats of a stimulus apart instead of averaging them
    model
        name of the model
    metric
        name of the metric of scores.parquet; the summary is in r
    folds
        number of folds where the dataset has no test split
    gap
        samples kept out of training beside held-out ones, in time series
    seed
        of the shuffled control
    device
        auto, cpu, cuda, cuda:1
    image_size
        pixels, of the side to which pictures are resized for a class of your own that does not say it (default: 224)
    normalise
        imagenet, clip or none: statistics that its pictures are normalised by (default: imagenet)
    i_have_agreed
        you have agreed to the terms of data that are read from an address
    dataset_args
        key=value,...: arguments of the dataset
    backbone_args
        key=value,...: arguments of the backbone
    model_args
        key=value,...: arguments of the model
    """
    at_least(0, seed=seed, gap=gap)
    at_least(2, folds=folds)
    find("metric", metric)  # a mistyped name should not cost the time until it is needed
    find("model", model)
    watch = Stopwatch()
    found = material(
        dataset,
        subject,
        part,
        rois,
        backbone,
        root=root,
        layers=layers,
        reduce=reduce,
        hemodynamic=hemodynamic,
        lags=lags,
        window=window,
        average=not single_trials,
        device=device,
        image_size=image_size,
        normalise=normalise,
        dataset_args=with_agreement(dataset_args, i_have_agreed),
        backbone_args=backbone_args,
        placed=reads_layers(model),
    )
    watch.lap("features")
    pairs = found.pairs
    about = {"dataset": dataset, "subject": found.subject, "features": found.features}
    title = f"Encoding: {dataset}, {found.subject}, from {backbone}"
    if reads_layers(model):
        splits = folds_of(pairs, folds, gap)
        told = select(
            run, title, found, splits, watch, model, model_args, metric=metric, gap=gap, seed=seed, device=device
        )
        return {**about, **told}
    learner = regressor(model, pairs, gap=gap, device=device, model_args=model_args)
    read = {"all": list(pairs.features)} if together else None
    splits, groups = folds_of(pairs, folds, gap), repeated_stimuli(pairs)
    result = evaluate(pairs, "encode", learner, splits, layers=read, groups=groups, progress=True)
    watch.lap("fit")
    return {**about, **_tell(run, title, found, result, metric, seed, watch)}


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
