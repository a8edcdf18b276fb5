"""What the report of a run shows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fusiform.data import Space
from fusiform.plots.charts import bars, gallery, histogram, lines, scatter
from fusiform.plots.maps import brain_map, unmapped
from fusiform.plots.report import Picture, Section
from fusiform.recipes.evaluate import Evaluation
from fusiform.recipes.outcome import reliable
from fusiform.scores import Scores

__all__ = ["decoding_sections", "encoding_sections"]

FEW = 40  # targets that still fit as bars


def encoding_sections(summary: Mapping[str, Any], result: Evaluation, scores: Scores) -> list[Section]:
    """Where prediction works, against its ceiling, and from which layer."""
    table = pd.DataFrame(
        {
            "layer": list(result.pred),
            "mean r": [_reliable_mean(scores, result.score(pred=pred)) for pred in result.pred.values()],
            "chosen for": [f"{np.mean(result.chosen == layer):.0%}" for layer in result.pred],
        }
    )
    where = Section(
        "Prediction of held-out responses",
        [_over(scores), _control(summary["controls"]["shuffled_r"])],
        _tiles(summary["scores"]),
        [*_where(scores), *_against_ceiling(scores)],
    )
    return [
        where,
        Section(
            "Layers",
            ["Each target's layer was chosen within training rows."],
            {},
            _layers(table, result, scores),
            table,
        ),
    ]


def decoding_sections(
    summary: Mapping[str, Any], result: Evaluation, scores: Scores, pictures: Mapping[str, list[Any]] | None
) -> list[Section]:
    """How well features are decoded, and whether the stimulus is found; with pictures where the features are some."""
    shown = []
    if pictures is not None:
        grid = gallery(pictures, title="Seen, and decoded")
        shown.append(
            Picture("decoded", grid, "Some held-out pictures, and what was decoded from the responses to them.")
        )
    spread = histogram({"dimensions": scores.values}, y="dimensions", title="Decoded features")
    shown.append(Picture("dimensions", spread, "Correlation of decoded and true features over held-out samples."))
    found = summary["retrieval"]
    text = [
        f"Each decoded sample is looked for among {found['gallery']} held-out stimuli (forward: brain to image), and "
        f"each stimulus among the samples (backward). Chance is {found['chance']:.1%}.",
        f"Samples out of place (a control): mean r = {summary['controls']['shuffled_r']:.3f}.",
    ]
    tiles = {
        **_tiles(summary["scores"]),
        "forward top-1": found["forward_top1"],
        "backward top-1": found["backward_top1"],
    }
    return [Section("Decoding of held-out stimuli", text, tiles, shown)]


def _tiles(numbers: Mapping[str, Any]) -> dict[str, float | int | str]:
    words = {
        "mean_r": "mean r",
        "mean_ceiling": "mean ceiling",
        "ratio_to_ceiling": "r over ceiling",
        "targets": "targets",
    }
    return {word: numbers[key] for key, word in words.items() if key in numbers}


def _over(scores: Scores) -> str:
    if scores.ceiling is None:
        return (
            f"Means are over all {len(scores.values):,} targets; no stimulus is repeated and no ceiling was published, "
            "so none is known."
        )
    count = int(reliable(scores).sum())
    return f"Means are over the {count:,} of {len(scores.values):,} targets whose r-ceiling is above .3."


def _control(r: float | None) -> str:
    return f"Responses out of place (a control): mean r = {'unknown' if r is None else format(r, '.3f')}."


def _reliable_mean(scores: Scores, layer: Scores) -> float:
    among = reliable(scores)
    return float(layer.values[among].mean()) if among.any() else float("nan")


def _where(scores: Scores) -> list[Picture]:
    """The scores on a map of the brain; where the space has no places, as bars or as a distribution, and by region."""
    caption = "Correlation of predicted and measured responses."
    space = scores.space
    if space is None:
        return [Picture("distribution", histogram({"targets": scores.values}), caption)]
    if not (why := unmapped(space)):
        return [Picture("map", brain_map(scores.values, space, label="r"), caption)]
    caption += f" There is no map, for the space {space.name!r} {why}."
    if space.size <= FEW:
        return [Picture("regions", bars(scores.values, space.names, ceiling=scores.ceiling), caption)]
    return [Picture("distribution", histogram({"targets": scores.values}), caption), *_by_region(scores, space)]


def _by_region(scores: Scores, space: Space) -> list[Picture]:
    if "roi" not in space.targets or not 1 < space.targets["roi"].nunique() <= FEW:
        return []
    means = pd.Series(scores.values).groupby(space.column("roi"), sort=False).mean()
    made = bars(means, [str(name) or "none" for name in means.index], label="mean r")
    return [Picture("regions", made, "Mean over the targets of each region.")]


def _against_ceiling(scores: Scores) -> list[Picture]:
    if scores.ceiling is None or scores.space is None or scores.space.size <= FEW:
        return []
    made = scatter(scores.ceiling, scores.values, x_label="r-ceiling, estimated", y_label="r")
    return [Picture("ceiling", made, "Every target: the r attained, and the largest attainable (dashed: equal).")]


def _layers(table: pd.DataFrame, result: Evaluation, scores: Scores) -> list[Picture]:
    names = list(result.pred)
    if len(names) < 2:
        return []
    made = lines({"mean r": table["mean r"]}, names, title="Prediction from each layer alone")
    pictures = [Picture("layers", made, "Mean r of each layer on held-out samples.")]
    if scores.space is not None and not unmapped(scores.space):
        place = np.array([names.index(layer) for layer in result.chosen])
        chosen = brain_map(place, scores.space, categories=names, cmap="viridis")
        pictures.append(Picture("layer_map", chosen, "The layer that predicts each target best within training rows."))
    return pictures
