"""Features: what a network says of stimuli, a row per stimulus or per moment of one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data.responses import Array
from fusiform.data.timing import hrf
from fusiform.errors import DataError

__all__ = ["Features"]


@dataclass(frozen=True)
class Features:
    """A read view of features: M rows, an array per layer.

    Args:
        index: M rows with the column `stimulus`; where rows have a time, `start` (seconds of the stimulus, at which the
            row begins); where they are views of a picture, `view` (0 is the picture as it is). The rows of one
            stimulus stand together, in the order of time.
        arrays: layer -> [M, ...], read on demand.
        rate: rows per second (Hz); None where stimuli do not unfold in time.
        convolved: the layers that already went through a haemodynamic response.
        skipped: stimuli that have no rows because they would not load, each with the reason.
        name: of the set of a feature store that they were read from.

    Raises:
        DataError: arrays and index differ in rows, a column is missing, or the times contradict the rate.
    """

    index: pd.DataFrame
    arrays: Mapping[str, Array]
    rate: float | None = None
    convolved: frozenset[str] = frozenset()
    skipped: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None

    def __post_init__(self) -> None:
        for layer, array in self.arrays.items():
            if array.shape[0] != len(self.index):
                raise DataError(
                    f"layer {layer!r} has {array.shape[0]} rows; wanted {len(self.index)}, one per index row"
                )
        wanted = ["stimulus", *(["start"] if self.rate is not None else [])]
        if missing := [name for name in wanted if name not in self.index]:
            raise DataError(f"the index of the features lacks the column {missing[0]!r}; it has {list(self.index)}")
        if self.rate is not None:
            self._check_times(self.rate)

    def __len__(self) -> int:
        return len(self.index)

    def select(self, *layers: str) -> "Features":
        """The same rows, of these layers only."""
        if missing := [name for name in layers if name not in self.arrays]:
            raise DataError(f"no layer {missing[0]!r}; there are: {', '.join(self.arrays)}")
        arrays = {name: self.arrays[name] for name in layers}
        return replace(self, arrays=arrays, convolved=self.convolved & arrays.keys())

    def hemodynamic(self) -> "Features":
        """Features as the vascular system passes them on: convolved in time with `timing.hrf`, stimulus by stimulus.

        Before a stimulus begins there is nothing, so the convolution starts from zero. Layers that went through a
        haemodynamic response before are left as they are, so that nothing is convolved twice.

        Raises:
            DataError: the rows have no time.
        """
        if self.rate is None:
            raise DataError("these features have no time to convolve along (their rate is None)")
        kernel, bounds = hrf(self.rate), self._bounds()
        fresh = {name: np.asarray(array) for name, array in self.arrays.items() if name not in self.convolved}
        arrays = {**self.arrays, **{name: _convolve(array, kernel, bounds) for name, array in fresh.items()}}
        return replace(self, arrays=arrays, convolved=frozenset(arrays))

    def _bounds(self) -> list[slice]:
        return [slice(start, stop) for start, stop in pairwise([*self._begins().tolist(), len(self)])]

    def _begins(self) -> NDArray[np.int64]:
        """The first row of every run of rows of one stimulus, [runs]."""
        stimulus, _ = pd.factorize(self.index["stimulus"].astype(str))
        return np.flatnonzero(np.diff(stimulus, prepend=-1))

    def _check_times(self, rate: float) -> None:
        """Rows are found by time later, so each stimulus must be one run whose row i begins at its onset + i / rate."""
        if not (np.isfinite(rate) and rate > 0):
            raise DataError(f"features have the rate {rate}; wanted rows per second above 0, or None")
        stimulus, start, begins = (
            self.index["stimulus"].astype(str),
            self.index["start"].to_numpy(float),
            self._begins(),
        )
        heads = stimulus.iloc[begins]
        if heads.duplicated().any():
            twice = heads[heads.duplicated()].iloc[0]
            raise DataError(f"the rows of stimulus {twice!r} do not stand together; wanted one run of rows for each")
        first = np.repeat(begins, np.diff(begins, append=len(self)))  # [M], first row of the stimulus of each row
        wanted = start[first] + (np.arange(len(self)) - first) / rate
        wrong = np.flatnonzero(~(np.abs(start - wanted) * rate <= 1e-6))  # in rows; NaN is wrong too
        if len(wrong):
            row = wrong[0]
            raise DataError(
                f"row {row - first[row]} of stimulus {stimulus.iloc[row]!r} begins at {start[row]:g} s, but at "
                f"{rate:g} Hz it should at {wanted[row]:g} s; give rows in the order of time, and their true rate"
            )


def _convolve(values: NDArray[np.floating], kernel: NDArray[np.float64], bounds: list[slice]) -> NDArray[np.float32]:
    from scipy.signal import fftconvolve

    smooth = np.empty(values.shape, dtype=np.float32)
    weights = kernel.reshape(-1, *[1] * (values.ndim - 1))
    for rows in bounds:
        part = values[rows].astype(np.float64)
        smooth[rows] = fftconvolve(part, weights, axes=0)[: len(part)]
    return smooth
