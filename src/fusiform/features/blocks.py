"""Blocks: the rows of some stimuli, the unit that extraction computes, writes and resumes by."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Array, Features
from fusiform.data.timing import row_times

__all__ = ["Block", "Joined", "features_of"]


@dataclass(frozen=True)
class Block:
    """The rows of consecutive stimuli.

    Args:
        stimuli: S ids.
        rows: [S] number of rows of each.
        onsets: [S] seconds of the stimulus at which its first row begins.
        arrays: layer -> [sum(rows), ...]; nothing where there is no stimulus.
        skipped: stimuli between these that have no rows, each with the reason.
    """

    stimuli: Sequence[str]
    rows: Sequence[int]
    onsets: Sequence[float]
    arrays: Mapping[str, NDArray[Any]]
    skipped: Mapping[str, str] = field(default_factory=dict)


def features_of(
    blocks: Sequence[Block], arrays: Mapping[str, Array], rate: float | None, hemodynamic: bool
) -> Features:
    """Features over the stimuli of blocks, in their order.

    Args:
        blocks: what they say of stimuli, rows and onsets counts; their own arrays are not looked at.
        arrays: layer -> [M, ...] over all their rows.
        rate: rows per second (Hz); gives the index `start` and `stop` of every row in seconds of the stimulus.
        hemodynamic: the rows went through a haemodynamic response.

    Where stimuli without time have several rows, these are views of them: the index has their number as `view`.
    """
    stimuli = [id for block in blocks for id in block.stimuli]
    rows = [count for block in blocks for count in block.rows]
    index = pd.DataFrame({"stimulus": np.repeat(np.asarray(stimuli, dtype=object), rows)})
    if rate is not None:
        onsets = [onset for block in blocks for onset in block.onsets]
        edges = [row_times(count + 1, rate, onset) for count, onset in zip(rows, onsets, strict=True)]
        starts, stops = [edge[:-1] for edge in edges], [edge[1:] for edge in edges]
        index = index.assign(start=np.concatenate([[], *starts]), stop=np.concatenate([[], *stops]))
    elif any(count > 1 for count in rows):
        index = index.assign(view=np.concatenate([np.arange(count) for count in rows]))
    skipped = {id: reason for block in blocks for id, reason in block.skipped.items()}
    return Features(index, arrays, rate, frozenset(arrays) if hemodynamic else frozenset(), skipped)


class Joined:
    """Arrays one after another, read as one; a part is opened when a row of it is first wanted.

    Args:
        counts: rows of each part.
        shape: of one row.
        dtype: of one element.
        read: (part, rows within it [n], ascending) -> pieces of them: where in the n rows each belongs, and [k, ...].
    """

    def __init__(
        self,
        counts: Sequence[int],
        shape: tuple[int, ...],
        dtype: Any,
        read: Callable[[int, NDArray[np.int64]], Iterable[tuple[slice, NDArray[Any]]]],
    ) -> None:
        self._edges = np.concatenate([[0], np.cumsum(np.asarray(counts, dtype=np.int64))])
        self._row, self._dtype, self._read = shape, np.dtype(dtype), read

    @property
    def shape(self) -> tuple[int, ...]:
        """[M, ...]."""
        return (int(self._edges[-1]), *self._row)

    @property
    def dtype(self) -> Any:
        """Type of one element."""
        return self._dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        """Some rows: an integer, a slice, positions, a mask; further axes may follow, as in numpy."""
        rows, *rest = index if isinstance(index, tuple) else (index,)
        wanted = self._numbers[rows]
        unique, place = np.unique(wanted, return_inverse=True)
        if unique.size == np.size(wanted):  # no row is wanted twice: each is read straight into its place
            values = self._gather(unique, np.argsort(wanted, axis=None))
        else:
            values = self._gather(unique, np.arange(len(unique)))[place.reshape(-1)]
        values = values.reshape(*np.shape(wanted), *self._row)
        return np.asarray(values[(slice(None),) * np.ndim(wanted) + tuple(rest)] if rest else values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    @cached_property
    def _numbers(self) -> NDArray[np.int64]:
        return np.arange(len(self))

    def _gather(self, rows: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[Any]:
        """Ascending rows [n] -> [n, ...], row i at places[i]."""
        values = np.empty((len(rows), *self._row), dtype=self._dtype)
        edges = np.searchsorted(rows, self._edges)  # of the rows that lie in each part
        for number in np.flatnonzero(np.diff(edges)).tolist():
            here = slice(edges[number], edges[number + 1])
            for piece, found in self._read(number, rows[here] - self._edges[number]):
                values[places[here][piece]] = found
        return values


_: type[Array] = Joined  # keeps the protocol that features are read by
