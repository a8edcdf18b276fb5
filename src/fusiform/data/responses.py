"""Responses: what the scanner measured, [N samples, V targets], with the story of every sample."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fusiform.data.space import Space, positions
from fusiform.data.spread import standardise
from fusiform.errors import DataError

__all__ = ["Array", "Responses", "standardise_samples"]

BLOCK = 1 << 23  # values that are averaged or standardised at a time


class Array(Protocol):
    """Anything read like an array: numpy, a memory map, a zarr or HDF5 dataset."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""

    @property
    def dtype(self) -> Any:
        """Type of one element."""

    def __getitem__(self, index: Any, /) -> Any: ...


@dataclass(frozen=True)
class Responses:
    """Measured responses and what each sample is.

    Args:
        values: [N, V], numpy or read on demand.
        samples: N rows with the columns `stimulus` and, where known, `subject`, `session`, `run`, `repeat`, `split`
            (`train`, `val`, `test`) and, for time series, `time` (onset of the volume, in seconds of the stimulus).
        space: where the V targets live.

    Raises:
        DataError: the three do not have N samples and V targets in common.
    """

    values: Array
    samples: pd.DataFrame
    space: Space

    def __post_init__(self) -> None:
        shape, wanted = tuple(self.values.shape), (len(self.samples), self.space.size)
        if shape != wanted:
            raise DataError(
                f"responses have the shape {shape}; wanted {wanted}: "
                f"a row per sample of the table and a column per target of space {self.space.name!r}"
            )
        if "stimulus" not in self.samples:
            raise DataError("the samples table has no column 'stimulus'; every sample must name what was shown")

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def timed(self) -> bool:
        """Whether samples are volumes of a time series (they have a `time`)."""
        return "time" in self.samples

    def select(self, rows: ArrayLike) -> "Responses":
        """Some samples: positions or a mask [N]."""
        chosen = positions(rows, len(self))
        return replace(self, values=self.values[chosen], samples=self.samples.iloc[chosen].reset_index(drop=True))

    def select_targets(self, index: ArrayLike) -> "Responses":
        """Some targets: positions or a mask [V]."""
        chosen = positions(index, self.space.size)
        return replace(self, values=np.asarray(self.values)[:, chosen], space=self.space.select(chosen))

    def average_repeats(self, by: Sequence[str] = ("stimulus",)) -> "Responses":
        """One sample per stimulus (and further columns of `by`, and per `time` where samples have one).

        Keeps the order of first appearance and the columns that are constant within a group, and adds `repeats`,
        the number averaged: ceilings need it.

        Beside what it returns, it holds a block of targets at a time only: single trials may fill most of a machine.

        Returns:
            values [M, V] float, M <= N.
        """
        keys = [*by, *(["time"] if self.timed and "time" not in by else [])]
        groups = self.samples.groupby(keys, sort=False, dropna=False)
        member = groups.ngroup().to_numpy()  # [N], the averaged row each sample belongs to
        counts = np.bincount(member)
        values = _mean_rows(self.values, member, counts)
        return Responses(values, _constant_columns(self.samples, member, counts), self.space)

    def zscore(self, by: str | None = "run", *, like: ArrayLike | None = None) -> "Responses":
        """Zero mean and unit standard deviation per target; constant targets become zero, never NaN.

        Beside what it returns, it holds a block of targets at a time only.

        Args:
            by: standardise within each value of this column (`"run"`, `"session"`, ...); None for all samples at once.
            like: mask [N] of the samples whose mean and deviation are used. Give the training rows, and nothing of
                the held-out ones is learned. Every group must hold some of them.

        Returns:
            New responses, in float64 or the floating type given.
        """
        values = np.array(self.values, dtype=np.result_type(self.values.dtype, np.float32))
        standardise_samples(values, self.samples, by, like)
        return replace(self, values=values)


def standardise_samples(
    values: NDArray[Any], samples: pd.DataFrame, by: str | None, like: ArrayLike | None = None
) -> None:
    """What `Responses.zscore` does, in place, for values [N, V] that nobody else holds.

    Raises:
        DataError: there is no such column, or a group has no sample to take mean and deviation from.
    """
    used = np.ones(len(samples), dtype=bool) if like is None else np.asarray(like, dtype=bool)
    groups = _groups(samples, by)
    for rows in groups:
        if not (rows & used).any():
            raise DataError(
                f"a group of {by!r} has no sample to take mean and deviation from; widen `like` or drop `by`"
            )
    width = max(1, BLOCK // len(values))
    for start in range(0, values.shape[1], width):
        block = values[:, start : start + width]
        for rows in groups:
            block[rows] = standardise(block[rows], block[rows & used])


def _groups(samples: pd.DataFrame, by: str | None) -> list[NDArray[np.bool_]]:
    if by is None:
        return [np.ones(len(samples), dtype=bool)]
    if by not in samples:
        raise DataError(f"cannot group samples by {by!r}: the table has {', '.join(samples.columns)}")
    labels, _ = pd.factorize(samples[by], use_na_sentinel=False)
    return [labels == label for label in range(labels.max() + 1)]


def _mean_rows(values: Array, member: NDArray[np.integer], counts: NDArray[np.integer]) -> NDArray[Any]:
    """Means of the rows of each group, [M, V]."""
    trials = values if isinstance(values, np.ndarray) else np.asarray(values)
    order = np.argsort(member, kind="stable")
    starts = np.searchsorted(member[order], np.arange(len(counts)))
    floating = np.result_type(trials.dtype, np.float32)  # the sum of a few int16 betas would overflow
    means = np.empty((len(counts), trials.shape[1]), dtype=floating)
    width = max(1, BLOCK // len(trials))
    for start in range(0, trials.shape[1], width):
        columns = slice(start, start + width)
        means[:, columns] = np.add.reduceat(trials[:, columns][order], starts, axis=0, dtype=floating)
        means[:, columns] /= counts[:, None]
    return means


def _constant_columns(samples: pd.DataFrame, member: NDArray[np.integer], counts: NDArray[np.integer]) -> pd.DataFrame:
    groups = samples.groupby(member, sort=True)
    varied = groups.nunique(dropna=False).max()  # distinct values within a group, per column
    constant = [name for name in samples.columns if varied[name] == 1]
    return groups[constant].first().reset_index(drop=True).assign(repeats=counts)
