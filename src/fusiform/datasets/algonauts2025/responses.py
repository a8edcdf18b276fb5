"""Responses: the time series of one subject, from the two files of Friends and Movie10."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusiform.datasets.algonauts2025.segments import Series, parse_keys
from fusiform.datasets.base import check_finite, reading
from fusiform.datasets.roots import require
from fusiform.errors import LayoutError

__all__ = ["PARCELS", "TASKS", "Measured", "read_values", "series_of", "survey"]

PARCELS = 1000
TASKS = {"friends": "_desc-s123456", "movie10": ""}  # task -> what its file is called besides
_SPACE = "space-MNI152NLin2009cAsym_atlas-Schaefer18_parcel-1000Par7Net"


class Measured(NamedTuple):
    """A time series that is there.

    Args:
        path: of its file.
        series: what it is.
        volumes: T, its length.
    """

    path: Path
    series: Series
    volumes: int


def survey(folder: Path, subject: str, tasks: Sequence[str]) -> list[Measured]:
    """All time series of one subject, task by task, in the order they were measured.

    Args:
        folder: the folder `fmri`.
        subject: such as `"sub-01"`.
        tasks: of `TASKS`.

    Raises:
        MissingDataError: a file is not here.
        LayoutError: a file is truncated, holds nothing, a key is not as published, or an array is not [T, 1000].
    """
    return [found for task in tasks for found in _survey(_file(folder, subject, task), task)]


def _survey(path: Path, task: str) -> list[Measured]:
    with _opened(path) as file:
        series = parse_keys(file.keys(), task, path)
        found = [Measured(path, one, _volumes(file[one.key], path)) for one in series]
    if not found:
        raise LayoutError(f"{path} holds no time series; wanted one per segment of {task!r}; get the file again")
    return sorted(found, key=lambda one: (one.series.session, one.series.segment, one.series.repeat))


def series_of(folder: Path, subject: str, tasks: Sequence[str]) -> set[str]:
    """Names of the time series of one subject in the files that are here; arguments as in `survey`."""
    found: set[str] = set()
    for task in tasks:
        with suppress(LayoutError):  # a file that is missing or damaged is told of where that subject is read
            path = _file(folder, subject, task)
            with _opened(path) as file:
                found |= {series.name for series in parse_keys(file.keys(), task, path)}
    return found


def read_values(measured: Sequence[Measured], parcels: NDArray[np.int64], trim: int) -> NDArray[np.float32]:
    """The values of some series below each other, [N, V], each without its first and last `trim` volumes.

    Args:
        measured: the series.
        parcels: [V] columns, ascending.
        trim: volumes.

    Raises:
        LayoutError: a file is damaged.
        DataError: a series holds NaN or infinite values.
    """
    edges = np.cumsum([0, *(one.volumes - 2 * trim for one in measured)])
    values = np.empty((int(edges[-1]), len(parcels)), np.float32)
    chosen = slice(None) if len(parcels) == PARCELS else parcels  # a slice is not copied
    for path in dict.fromkeys(one.path for one in measured):
        with _opened(path) as file:
            for one, start, stop in zip(measured, edges[:-1], edges[1:], strict=True):
                if one.path == path:
                    whole = file[one.series.key][trim : one.volumes - trim]
                    check_finite(whole, f"{one.series.key} of {path}", trim)
                    values[start:stop] = whole[:, chosen]
    return values


def _file(folder: Path, subject: str, task: str) -> Path:
    return require(folder / subject / "func" / f"{subject}_task-{task}_{_SPACE}{TASKS[task]}_bold.h5")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import h5py

    with reading(path), h5py.File(path) as file:
        yield file


def _volumes(array: Any, path: Path) -> int:
    shape, name = getattr(array, "shape", None), str(array.name).lstrip("/")
    if shape is None or len(shape) != 2 or shape[1] != PARCELS or not shape[0]:
        raise LayoutError(f"{name!r} of {path} has the shape {shape}; wanted [volumes, {PARCELS} parcels]")
    if array.dtype.kind != "f":
        raise LayoutError(f"{name!r} of {path} is of type {array.dtype}; wanted floating point numbers")
    return int(shape[0])
