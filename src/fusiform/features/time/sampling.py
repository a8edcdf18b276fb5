"""Values with times to rows at a requested rate: the one place where a network's own time becomes that of features."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fusiform.data.timing import row_count, row_times
from fusiform.errors import DataError

__all__ = ["row_edges", "sample"]

_NOISE = 1e-9  # seconds: a sample that reaches into a row by less only touches it


def row_edges(duration: float, rate: float) -> NDArray[np.float64]:
    """When the rows of a recording begin, and when the last one ends: [T + 1] seconds.

    Row k begins at k / rate, computed from k, so that nothing drifts. There is a row for every beginning before the
    recording ends; the last one ends with the recording, and may be shorter than the others.
    """
    edges = row_times(row_count(duration, rate) + 1, rate)
    edges[-1] = min(edges[-1], duration)
    return edges


def sample(
    values: Tensor, starts: ArrayLike, stops: ArrayLike, edges: ArrayLike, *, empty: float | None = None
) -> Tensor:
    """The mean of the samples that lie in each row, weighted by how long they do.

        out[t] = sum_n overlap(n, t) values[n] / sum_n overlap(n, t)

    Args:
        values: [N, ...].
        starts: [N] seconds at which samples begin; they may leave gaps, overlap, and come in any order.
        stops: [N] seconds at which they end.
        edges: [T + 1] rising seconds: row t is [edges[t], edges[t + 1]).
        empty: what a row holds that no sample reaches; None refuses such a row.

    Returns:
        [T, ...] in float32, on the device of the values.

    Raises:
        DataError: a row is empty and `empty` is None, or the shapes do not fit.
    """
    starts, stops, edges = (np.asarray(times, dtype=np.float64) for times in (starts, stops, edges))
    _check(values, starts, stops, edges)
    rows, samples, seconds = _overlaps(starts, stops, edges)
    total = np.bincount(rows, weights=seconds, minlength=len(edges) - 1)
    if empty is None and not total.all():
        raise _empty_row(int(np.flatnonzero(total == 0)[0]), starts, stops, edges)
    where = torch.as_tensor(np.stack([rows, samples]), device=values.device)
    shares = torch.as_tensor(seconds / total[rows], device=values.device)
    weights = torch.sparse_coo_tensor(where, shares, (len(total), len(values)), check_invariants=False)
    means: Tensor = torch.sparse.mm(
        weights, values.double().reshape(len(values), -1)
    )  # long rows add up thousands of samples
    means = means.float().reshape(-1, *values.shape[1:])
    if empty is not None:
        means[torch.as_tensor(total == 0, device=values.device)] = empty
    return means


def _check(values: Tensor, starts: NDArray[np.float64], stops: NDArray[np.float64], edges: NDArray[np.float64]) -> None:
    if starts.shape != (len(values),) or stops.shape != starts.shape:
        raise DataError(f"{len(values)} samples have {starts.size} starts and {stops.size} stops; wanted one of each")
    if not (np.isfinite(starts).all() and np.isfinite(stops).all() and (stops >= starts).all()):
        raise DataError("samples must start and stop at finite seconds, in this order")
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise DataError(f"edges of rows must rise and be two at least; got {edges}")


def _overlaps(
    starts: NDArray[np.float64], stops: NDArray[np.float64], edges: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """(row, sample, seconds) of every pair that overlaps."""
    count = len(edges) - 1
    first = np.clip(np.searchsorted(edges, starts, side="right") - 1, 0, count - 1)
    last = np.clip(np.searchsorted(edges, stops, side="left") - 1, first, count - 1)
    reach = last - first + 1  # [N] rows that each sample may touch
    samples = np.repeat(np.arange(len(starts)), reach)
    rows = np.arange(reach.sum()) - np.repeat(np.cumsum(reach) - reach, reach) + first[samples]
    seconds = np.minimum(stops[samples], edges[rows + 1]) - np.maximum(starts[samples], edges[rows])
    kept = seconds > _NOISE
    return rows[kept], samples[kept], seconds[kept]


def _empty_row(
    row: int, starts: NDArray[np.float64], stops: NDArray[np.float64], edges: NDArray[np.float64]
) -> DataError:
    known = f"they cover {starts.min():g} to {stops.max():g} s" if len(starts) else "there is none"
    return DataError(
        f"no sample lies in row {row}, from {edges[row]:g} to {edges[row + 1]:g} s ({known}); give rows within them, "
        "or say what empty rows hold (empty=)"
    )
