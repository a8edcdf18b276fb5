"""What a run says in the end: headline numbers, recovered truth, scores and predictions on disk."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Grid, Space
from fusiform.plots.report import Section, save_figures, write_report
from fusiform.recipes.evaluate import Evaluation
from fusiform.recipes.run import Run
from fusiform.scores import Scores

__all__ = [
    "BANDS",
    "RELIABLE",
    "Stopwatch",
    "headline",
    "layer_truth",
    "publish",
    "reliable",
    "save",
    "score_within",
    "scores_of",
    "shuffled_r",
]

RELIABLE = 0.3  # headline numbers are over the targets whose r-ceiling is above this
BANDS = ((0.3, 0.5), (0.5, 0.7), (0.7, 1.0))  # of r-ceiling, by which recovered truth is told


def reliable(scores: Scores) -> NDArray[np.bool_]:
    """[V] the targets that headline numbers are over: r-ceiling above .3, or all where no ceiling is known."""
    return np.ones(len(scores.values), dtype=bool) if scores.ceiling is None else scores.ceiling > RELIABLE


class Stopwatch:
    """Wall seconds of the steps of a run, for `summary.json`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, step: str) -> None:
        """The step that now ends took the time since the last lap."""
        now = time.perf_counter()
        self.seconds[step], self._since = round(now - self._since, 2), now


def shuffled_r(
    result: Evaluation, scores: Scores, timed: bool, groups: NDArray[np.int64] | None, seed: int
) -> float | None:
    """Mean r, over the reliable targets, of predictions that are out of place: a control that must be near zero.

    Time series are rotated by a quarter to three quarters of their length, which keeps their smoothness; others are
    shuffled. What moves are deviations from the training means: the means stay with the samples they are compared to.
    """
    rng, count = np.random.default_rng(seed), len(result.true)
    if timed:
        astray = np.roll(np.arange(count), int(rng.integers(max(1, count // 4), max(2, 3 * count // 4))))
    else:
        astray = rng.permutation(count)
    moved = result.level + (result.best - result.level)[astray]
    among = reliable(scores)
    return float(result.score(pred=moved, groups=groups).values[among].mean()) if among.any() else None


def score_within(tested: pd.DataFrame, fold: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """[M] what to score within: time series run by run and fold by fold, everything else at once (None)."""
    if "time" not in tested:
        return None
    run = tested["run"] if "run" in tested else tested["stimulus"]
    return np.asarray(pd.DataFrame({"run": run.to_numpy(), "fold": fold}).groupby(["run", "fold"]).ngroup())


def headline(scores: Scores) -> dict[str, Any]:
    """Mean and median r, the ceiling's mean and their ratio, over the reliable targets; both counts of targets."""
    among = reliable(scores)
    found: dict[str, Any] = {"targets": len(among), "targets_reliable": int(among.sum())}
    if not among.any():
        return found
    values = scores.values[among]
    found |= {"mean_r": float(values.mean()), "median_r": float(np.median(values))}
    if scores.ceiling is not None:
        ceiling = float(scores.ceiling[among].mean())
        found |= {"mean_ceiling": ceiling, "ratio_to_ceiling": found["mean_r"] / ceiling}
    return found


def layer_truth(planted: NDArray[Any], chosen: NDArray[np.str_], scores: Scores) -> dict[str, Any]:
    """Share of reliable targets whose planted layer was found, in all and by band of the r-ceiling.

    Args:
        planted: [V] names of the planted layers.
        chosen: [V] names of those found.
        scores: with a ceiling.
    """
    assert scores.ceiling is not None
    right = planted == chosen
    found: dict[str, Any] = {"layer_found": _share(right, reliable(scores))}
    for low, high in BANDS:
        found[f"layer_found_{low:g}_{high:g}"] = _share(right, (scores.ceiling > low) & (scores.ceiling <= high))
    return found


def save(run: Run, result: Evaluation, scores: Scores, metric: str, runs: NDArray[np.int64] | None) -> None:
    """Write `predictions.zarr` [M, Q] and `scores.parquet`: r, its ceiling, the metric, the layer, r of each layer.

    The table also says, in the file's metadata, on which mesh or grid its targets live.
    """
    table = scores.table().rename(columns={"pearson": "r"}).assign(layer=result.chosen)
    if metric != "pearson":
        table[metric] = result.score(metric, groups=runs).values
    for layer, pred in result.pred.items():
        table[f"r {layer}"] = result.score(pred=pred, groups=runs).values
    table.attrs["space"] = _of_space(scores.space)
    run.save_array("predictions", result.best)
    run.save_scores(table)


def scores_of(table: pd.DataFrame) -> Scores:
    """The r of every target, its ceiling and its place, from what `save` wrote: columns before `r` are the space's."""
    told = table.attrs.get("space") or {}
    grid = told.get("grid")
    space = Space(
        told.get("name", "targets"),
        table[list(table)[: list(table).index("r")]].copy(),
        told.get("mesh"),
        Grid((grid["shape"][0], grid["shape"][1], grid["shape"][2]), np.asarray(grid["affine"])) if grid else None,
    )
    ceiling = table["ceiling"].to_numpy(np.float64) if "ceiling" in table else None
    return Scores(table["r"].to_numpy(np.float64), "pearson", space, ceiling)


def _of_space(space: Space | None) -> dict[str, Any] | None:
    """What a space is besides its table, as plain values."""
    if space is None:
        return None
    grid = None if space.grid is None else {"shape": list(space.grid.shape), "affine": space.grid.affine.tolist()}
    return {"name": space.name, "mesh": space.mesh, "grid": grid}


def publish(run: Run, title: str, sections: Sequence[Section]) -> None:
    """Write `report.html` and its figures."""
    save_figures(run.folder / "figures", sections)
    write_report(run.folder / "report.html", title, sections, footer=run.colophon())


def _share(right: NDArray[np.bool_], among: NDArray[np.bool_]) -> float | None:
    return float(right[among].mean()) if among.any() else None
