"""Betas, read session by session into one array that is made beforehand, and standardised in place.

Published as int16, 300 times the percent signal change, in volumes and on native surfaces, and as float on fsaverage.
What is held beside the result is one block of each file that is read at a time: while one waits for its disk, the other
is converted.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fusiform.data.spread import standardise
from fusiform.datasets.base import reading

__all__ = ["Block", "Part", "Place", "Read", "read_parts", "standardise_sessions"]

SCALE = 300  # int16 per percent signal change
LARGEST = 32_767
VALUES = 1 << 19  # that are standardised at a time
THREADS = 2


class Block(NamedTuple):
    """Some trials of some targets, as stored.

    Args:
        trials: of the file.
        targets: of the place.
        values: [trials, targets].
    """

    trials: slice
    targets: slice | NDArray[np.int64]
    values: NDArray[Any]


class Place(Protocol):
    """The targets that are taken from one kind of file."""

    @property
    def size(self) -> int:
        """How many."""

    def blocks(self, path: Path) -> Iterator[Block]:
        """All trials of all its targets, in blocks of bounded size, each once."""


@dataclass(frozen=True, eq=False)
class Part:
    """Files that hold the same trials, one for each place.

    Args:
        files: of a session: a volume, or two hemispheres.
        rows: [trials of the file] the sample that each trial is, ascending; -1 where it is not wanted.
    """

    files: Sequence[Path]
    rows: NDArray[np.int64]


class Counts(NamedTuple):
    """Betas that are not what was measured.

    Args:
        saturated: [V] at the end of the range of int16, whose true size is not known.
        missing: [V] NaN, or zero in all trials of a file of int16: places outside of the image in some session.
    """

    saturated: NDArray[np.int64]
    missing: NDArray[np.int64]


class Read(NamedTuple):
    """What was read.

    Args:
        values: [N, V] percent signal change, float32.
        saturated: [V] see `Counts`.
        missing: [V] see `Counts`.
    """

    values: NDArray[np.float32]
    saturated: NDArray[np.int64]
    missing: NDArray[np.int64]


def read_parts(parts: Sequence[Part], places: Sequence[Place], samples: int) -> Read:
    """Read the wanted trials of all parts, two files at a time; the targets of the places stand side by side.

    Raises:
        LayoutError: a file is damaged or has another shape.
    """
    edges = np.cumsum([0, *(place.size for place in places)]).tolist()
    read = Read(np.empty((samples, edges[-1]), np.float32), *np.zeros((2, edges[-1]), np.int64))
    columns = [slice(*edge) for edge in pairwise(edges)]
    files = [(*file, part.rows) for part in parts for file in zip(part.files, places, columns, strict=True)]

    def fill(path: Path, place: Place, own: slice, rows: NDArray[np.int64]) -> Counts:
        with reading(path):
            return _fill(read.values[:, own], place.blocks(path), rows)

    with ThreadPoolExecutor(THREADS) as threads:
        for (_, _, own, _), counts in zip(files, threads.map(lambda file: fill(*file), files), strict=True):
            read.saturated[own] += counts.saturated
            read.missing[own] += counts.missing
    return read


def _fill(values: NDArray[np.float32], blocks: Iterable[Block], rows: NDArray[np.int64]) -> Counts:
    """Put what is wanted of a file where it belongs: `values` [N, V] are those of its place."""
    counts, measured = Counts(*np.zeros((2, values.shape[1]), np.int64)), np.zeros(values.shape[1], dtype=bool)
    for trials, targets, raw in blocks:
        measured[targets] |= _measured(raw)
        samples = rows[trials]
        kept = samples >= 0
        if not kept.any():
            continue
        part = slice(int(samples[kept][0]), int(samples[kept][-1]) + 1)  # samples follow the order of trials
        _store(raw if kept.all() else raw[kept], targets, values[part], counts)
    wanted, absent = rows[rows >= 0], np.flatnonzero(~measured)
    values[wanted[0] : wanted[-1] + 1, absent] = np.nan
    counts.missing[absent] += len(wanted)
    return counts


def _measured(raw: NDArray[Any]) -> NDArray[np.bool_]:
    """[targets] where some trial is not zero: int16 has no NaN, and is zero throughout where nothing was measured."""
    if raw.dtype.kind != "i":
        return np.ones(raw.shape[1], dtype=bool)
    measured = np.asarray(raw[0] != 0)
    doubtful = np.flatnonzero(~measured)  # few: only these are read to their end
    measured[doubtful] = raw[:, doubtful].any(axis=0)
    return measured


def _store(raw: NDArray[Any], targets: slice | NDArray[np.int64], values: NDArray[np.float32], counts: Counts) -> None:
    """Set some targets to what is stored of them, in percent."""
    if raw.dtype.kind == "i":
        counts.saturated[targets] += np.sum((raw >= LARGEST) | (raw <= -LARGEST), axis=0)
        values[:, targets] = np.divide(raw, np.float32(SCALE), dtype=np.float32)
        return
    values[:, targets] = raw
    if (absent := np.isnan(values[:, targets])).any():
        counts.missing[targets] += absent.sum(axis=0)


def standardise_sessions(values: NDArray[np.float32], session: NDArray[np.int64], like: NDArray[np.bool_]) -> None:
    """Zero mean and unit deviation per target and session, in place; what is constant or missing becomes zero.

    Args:
        values: [N, V].
        session: [N] ascending.
        like: [N] the samples whose mean and deviation are used; some in every session.
    """
    with ThreadPoolExecutor(THREADS) as threads:
        for number in np.unique(session):
            rows = slice(*np.searchsorted(session, [number, number + 1]))
            width = max(1, VALUES // (rows.stop - rows.start))
            blocks = (values[rows, start : start + width] for start in range(0, values.shape[1], width))
            list(threads.map(partial(_standardise, like=like[rows]), blocks))


def _standardise(block: NDArray[np.float32], like: NDArray[np.bool_]) -> None:
    block[...] = standardise(block, block if like.all() else block[like])
    block[np.isnan(block)] = 0
