"""Metrics per target, [N, V] against [N, V] -> [V], and the Scores that hold them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fusiform.data import Space
from fusiform.data.spread import spread
from fusiform.errors import DataError
from fusiform.registry import find

__all__ = ["Scores", "correlation_matrix", "mse", "pearson", "r2", "score"]


@dataclass(frozen=True)
class Scores:
    """One number per target.

    Args:
        values: [V].
        metric: name of the metric.
        space: where the targets live, if known.
        ceiling: [V], the largest value that the metric can attain given the noise, if known.
    """

    values: NDArray[np.float64]
    metric: str
    space: Space | None = None
    ceiling: NDArray[np.float64] | None = None

    def normalised(self) -> NDArray[np.float64]:
        """Values over the ceiling, [V]: raw, so that values above 1 are seen; NaN where the ceiling is zero."""
        if self.ceiling is None:
            raise DataError("these scores have no ceiling to be normalised by; give score(..., ceiling=...)")
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.ceiling > 0, self.values / self.ceiling, np.nan)

    def table(self) -> pd.DataFrame:
        """A row per target: the space's columns, the score under its metric's name, and the ceiling."""
        table = pd.DataFrame(index=range(len(self.values))) if self.space is None else self.space.targets.copy()
        table[self.metric] = self.values
        return table if self.ceiling is None else table.assign(ceiling=self.ceiling)


def score(
    true: ArrayLike,
    pred: ArrayLike,
    metric: str = "pearson",
    *,
    groups: ArrayLike | None = None,
    ceiling: ArrayLike | None = None,
    space: Space | None = None,
) -> Scores:
    """Score predictions per target.

    Args:
        true: [N, V] measured; [N] is one target.
        pred: [N, V] predicted.
        metric: a registered name (`pearson`, `r2`, `mse`, or a plug-in's).
        groups: [N] labels, such as runs or folds: the metric is taken within each and averaged, which is how time
            series are scored (offsets between runs are then neither punished nor rewarded). None: all samples at once.
        ceiling: [V], kept beside the scores.
        space: kept beside the scores.

    Raises:
        DataError: shapes differ, a value is not finite, or a sample has no group.
        UnknownNameError: no such metric.
    """
    function = find("metric", metric)
    true, pred = _matrix(true, "true"), _matrix(pred, "pred")
    if true.shape != pred.shape:
        raise DataError(f"true has the shape {true.shape}, pred {pred.shape}; wanted the same [N samples, V targets]")
    if space is not None and space.size != true.shape[1]:
        raise DataError(f"there are {true.shape[1]} targets, but space {space.name!r} has {space.size}")
    best = None if ceiling is None else np.asarray(ceiling, dtype=np.float64)
    if best is not None and best.shape != true.shape[1:]:
        raise DataError(f"ceiling has the shape {best.shape}; wanted {true.shape[1:]}, one number per target")
    parts = _rows_by_group(groups, len(true))
    values = np.mean([function(true[rows], pred[rows]) for rows in parts], axis=0)
    return Scores(values, metric, space, best)


def pearson(true: NDArray[Any], pred: NDArray[Any]) -> NDArray[np.float64]:
    """Pearson's r per column, [N, V], [N, V] -> [V]; zero where either is constant (no information, not NaN)."""
    true, pred = _unit_columns(true), _unit_columns(pred)
    return np.asarray(np.einsum("nv,nv->v", true, pred).clip(-1, 1))


def r2(true: NDArray[Any], pred: NDArray[Any]) -> NDArray[np.float64]:
    """Coefficient of determination per column, 1 - SSE / SST, [V]; zero where the truth is constant."""
    scale, true = spread(true), np.asarray(true, dtype=np.float64)
    flat, unit = scale == 0, np.where(scale == 0, 1.0, scale)  # squares of tiny or huge values would be 0 or infinite
    error, total = np.square((true - pred) / unit).sum(0), np.square((true - true.mean(0)) / unit).sum(0)
    return np.where(flat, 0.0, 1 - error / np.where(flat, 1.0, total))


def mse(true: NDArray[Any], pred: NDArray[Any]) -> NDArray[np.float64]:
    """Mean squared error per column, [V]; lower is better."""
    return np.asarray(np.square(np.asarray(true, dtype=np.float64) - pred).mean(0))


def correlation_matrix(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Pearson's r between every row of `a` [M, K] and every row of `b` [N, K], [M, N]; the base of identification."""
    return np.asarray((_unit_columns(a.T).T @ _unit_columns(b.T)).clip(-1, 1))


def _unit_columns(values: NDArray[Any]) -> NDArray[np.float64]:
    """Columns centred and scaled to length one, in float64; constant columns become zero."""
    scale, centred = spread(values), np.asarray(values, dtype=np.float64)
    flat = scale == 0
    centred = (centred - centred.mean(0)) / np.where(flat, 1.0, scale)
    return np.where(flat, 0.0, centred / np.where(flat, 1.0, np.linalg.norm(centred, axis=0)))


def _matrix(values: ArrayLike, name: str) -> NDArray[Any]:
    matrix = np.asarray(values)
    matrix = matrix[:, None] if matrix.ndim == 1 else matrix
    if matrix.ndim != 2 or not len(matrix):
        raise DataError(f"{name} has the shape {np.shape(values)}; wanted [N samples, V targets] with N > 0")
    if not np.isfinite(matrix).all():
        raise DataError(f"{name} holds {int((~np.isfinite(matrix)).sum())} NaN or infinite values; drop them first")
    return matrix


def _rows_by_group(groups: ArrayLike | None, count: int) -> list[NDArray[np.int64]]:
    if groups is None:
        return [np.arange(count)]
    labels, _ = pd.factorize(np.asarray(groups))
    if len(labels) != count:
        raise DataError(f"groups has {len(labels)} labels; wanted {count}, one per sample")
    if (labels < 0).any():
        raise DataError(f"groups lack the label of {int((labels < 0).sum())} samples; wanted one for each")
    return [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]
