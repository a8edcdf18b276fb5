"""Files of responses as matrices [rows, targets] that are read in blocks: what is held beside a result is one block."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fusiform.datasets.base import reading
from fusiform.datasets.nsd.imaging import opened_image
from fusiform.errors import LayoutError, MissingDataError

__all__ = [
    "THEN",
    "Block",
    "Gifti",
    "Grayordinates",
    "Images",
    "Stored",
    "check_there",
    "load_image",
    "open_gifti",
    "steps",
    "tiles",
]

THEN = "check the path and the format in the description of the dataset"
BLOCK = 1 << 22  # numbers that are read at a time
FLOAT32 = np.dtype(np.float32)


class Block(NamedTuple):
    """A part of a matrix.

    Args:
        rows: of the matrix.
        targets: of the matrix.
        values: [rows, targets].
    """

    rows: slice
    targets: slice
    values: NDArray[Any]


class Stored(Protocol):
    """One file as a matrix."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and targets."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its blocks."""

    def blocks(self) -> Iterator[Block]:
        """All of it, in blocks of bounded size, each once."""


@dataclass(frozen=True, eq=False)
class Images:
    """The voxels of a volume (NIfTI), or the vertices of a hemisphere (MGH, [V, 1, 1]).

    Args:
        path: of the file.
        rows: how many images it holds.
        inside: [X, Y, Z] which voxels are targets.
    """

    path: Path
    rows: int
    inside: NDArray[np.bool_]

    dtype = FLOAT32

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and targets."""
        return self.rows, int(np.count_nonzero(self.inside))

    def blocks(self) -> Iterator[Block]:
        """Some images at a time, as they follow one another in the file."""
        targets = slice(0, self.shape[1])
        with reading(self.path, THEN), opened_image(self.path) as image:
            for rows in steps(self.rows, max(1, BLOCK // self.inside.size)):
                stored = image.dataobj[..., rows] if image.ndim == 4 else np.asarray(image.dataobj)[..., None]
                yield Block(rows, targets, np.asarray(stored[self.inside], dtype=FLOAT32).T)


@dataclass(frozen=True)
class Grayordinates:
    """A `.dtseries.nii` or `.dscalar.nii` file.

    Args:
        path: of the file.
        shape: rows and targets.
    """

    path: Path
    shape: tuple[int, int]

    dtype = FLOAT32

    def blocks(self) -> Iterator[Block]:
        """Some targets at a time: the rows of a target lie side by side in the file."""
        count, size = self.shape
        with reading(self.path, THEN):
            stored = load_image(self.path).dataobj
            for targets in steps(size, max(1, BLOCK // max(1, count))):
                yield Block(slice(0, count), targets, np.asarray(stored[:, targets], dtype=FLOAT32))


@dataclass(frozen=True)
class Gifti:
    """One hemisphere of a `.gii` file: an array [V] a row, or one array [V, rows].

    Args:
        path: of the file.
        shape: rows and targets.
    """

    path: Path
    shape: tuple[int, int]

    dtype = FLOAT32

    def blocks(self) -> Iterator[Block]:
        """An array at a time, which is let go before the next; the text around them is unpacked as a whole."""
        arrays, (count, size), row = load_image(self.path).darrays, self.shape, 0
        while arrays:
            values = np.asarray(arrays.pop(0).data, dtype=FLOAT32)
            values = values.reshape(len(values), -1).T
            rows = slice(row, row + len(values))
            if values.shape[1] != size or rows.stop > count:
                raise self._uneven()
            yield Block(rows, slice(0, size), values)
            row = rows.stop
        if row < count:
            raise self._uneven()

    def _uneven(self) -> LayoutError:
        return LayoutError(f"{self.path} holds arrays of several sizes, or not as many as it says; save it anew")


def open_gifti(path: Path) -> Gifti:
    """A `.gii` file; only its head is read.

    Raises:
        MissingDataError: there is no such file.
        LayoutError: it holds no arrays, or some that are not [V] or [V, rows].
    """
    check_there(path)
    with reading(path, THEN):
        count, sizes = _gifti_head(path)
    if not 1 <= len(sizes) <= 2:
        raise LayoutError(f"{path} holds arrays {sizes}; wanted one [vertices] per row, or one [vertices, rows]")
    return Gifti(path, (count * (sizes[1] if len(sizes) == 2 else 1), sizes[0]))


def _gifti_head(path: Path) -> tuple[int, tuple[int, ...]]:
    """How many arrays there are, and the shape of the first."""
    from xml.etree.ElementTree import iterparse

    from nibabel.openers import ImageOpener

    count = 0
    with ImageOpener(str(path)) as file:
        for _, element in iterparse(file, events=("start",)):
            if element.tag == "GIFTI":
                count = int(element.attrib["NumberOfDataArrays"])
            if element.tag == "DataArray":
                axes = range(int(element.attrib["Dimensionality"]))
                return count, tuple(int(element.attrib[f"Dim{axis}"]) for axis in axes)
    return count, ()


def load_image(path: Path) -> Any:
    """An image of nibabel.

    Raises:
        MissingDataError: there is no such file.
        LayoutError: it cannot be read.
    """
    import nibabel

    check_there(path)
    with reading(path, THEN):
        return nibabel.load(path)


def check_there(path: Path) -> None:
    """Raise MissingDataError where there is no such file."""
    if not path.is_file():
        raise MissingDataError(f"there is no file {path}; {THEN}")


def steps(count: int, step: int) -> Iterator[slice]:
    """From 0 up to `count`, `step` at a time."""
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def tiles(shape: tuple[int, int], chunk: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Parts of a matrix of about `BLOCK` numbers, whole rows where chunks let them be, each of whole chunks."""
    tall = _whole(BLOCK // max(1, shape[1]), chunk[0])
    wide = _whole(BLOCK // tall, chunk[1])
    for rows in steps(shape[0], tall):
        for columns in steps(shape[1], wide):
            yield rows, columns


def _whole(count: int, unit: int) -> int:
    """At least `count`, in whole units; one unit at least."""
    return max(1, -(-count // unit)) * unit
