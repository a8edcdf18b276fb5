"""Betas, read session by session into one array that is made beforehand, and standardised in place.

Published as int16, 300 times the percent signal change, in volumes and on native surfaces, and as float on fsaverage.
What is held beside the result is one block of a file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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


class Read(NamedTuple):
    """What was read.

    Args:
        values: [N, V] percent signal change, float32.
        saturated: [V] betas at the end of the range of int16, whose true size is not known.
        missing: [V] betas that are NaN: places outside of the image in some session.
    """

    values: NDArray[np.float32]
    saturated: NDArray[np.int64]
    missing: NDArray[np.int64]


def read_parts(parts: Sequence[Part], places: Sequence[Place], samples: int) -> Read:
    """Read the wanted trials of all parts; the targets of the places stand side by side.

    Raises:
        LayoutError: a file is damaged or has another shape.
    """
    edges = np.cumsum([0, *(place.size for place in places)])
    values = np.empty((samples, edges[-1]), dtype=np.float32)
    saturated, missing = np.zeros(edges[-1], dtype=np.int64), np.zeros(edges[-1], dtype=np.int64)
    for part in parts:
        for number, (path, place) in enumerate(zip(part.files, places, strict=True)):
            own = slice(edges[number], edges[number + 1])
            found = Read(values[:, own], saturated[own], missing[own])
            with reading(path):
                for block in place.blocks(path):
                    _store(block, part.rows, found)
    return Read(values, saturated, missing)


def _store(block: Block, rows: NDArray[np.int64], found: Read) -> None:
    """Put what is wanted of a block where it belongs."""
    samples = rows[block.trials]
    kept = samples >= 0
    if not kept.any():
        return
    raw = block.values if kept.all() else block.values[kept]
    part = slice(int(samples[kept][0]), int(samples[kept][-1]) + 1)  # samples follow the order of trials
    whole = raw.dtype.kind == "i"
    if whole:
        found.saturated[block.targets] += np.sum((raw >= LARGEST) | (raw <= -LARGEST), axis=0)
    else:
        found.missing[block.targets] += np.isnan(raw).sum(axis=0)
    scale = np.float32(SCALE if whole else 1)
    if isinstance(block.targets, slice):
        np.divide(raw, scale, out=found.values[part, block.targets], casting="same_kind")
    else:
        found.values[part, block.targets] = raw / scale


def standardise_sessions(values: NDArray[np.float32], session: NDArray[np.int64], like: NDArray[np.bool_]) -> None:
    """Zero mean and unit deviation per target and session, in place; what is constant or missing becomes zero.

    Args:
        values: [N, V].
        session: [N] ascending.
        like: [N] the samples whose mean and deviation are used; some in every session.
    """
    for number in np.unique(session):
        rows = slice(*np.searchsorted(session, [number, number + 1]))
        width = max(1, VALUES // (rows.stop - rows.start))
        for start in range(0, values.shape[1], width):
            block = values[rows, start : start + width]
            block[...] = standardise(block, block[like[rows]])
            block[np.isnan(block)] = 0
