"""A matrix of numbers in a `.npy` or `.h5` file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fusiform.data import Array
from fusiform.datasets.base import reading
from fusiform.datasets.folder.stored import THEN, Block, check_there, tiles
from fusiform.errors import LayoutError

__all__ = ["HDF5", "Matrix", "open_matrix"]

HDF5 = (".h5", ".hdf5")


@dataclass(frozen=True)
class Matrix:
    """An array of numbers in a `.npy` or `.h5` file.

    Args:
        path: of the file.
        key: of the array in an `.h5` file.
        stored: shape in the file.
        dtype: in the file.
        chunk: shape that an `.h5` file packs together.
        transpose: it is stored [targets, rows].
    """

    path: Path
    key: str | None
    stored: tuple[int, int]
    dtype: np.dtype[Any]
    chunk: tuple[int, int]
    transpose: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and targets."""
        return self.stored[::-1] if self.transpose else self.stored

    def blocks(self) -> Iterator[Block]:
        """Whole chunks: a chunk of an `.h5` file is unpacked once."""
        with reading(self.path, THEN), _array(self.path, self.key) as array:
            for first, second in tiles(self.stored, self.chunk):
                values = np.asarray(array[first, second])
                yield Block(second, first, values.T) if self.transpose else Block(first, second, values)

    def mapped(self) -> Array | None:
        """All of it as it lies on the disk; None where the format cannot be mapped."""
        if self.key is not None:
            return None
        with reading(self.path, THEN):
            values = _npy(self.path)
        return values.T if self.transpose else values


def open_matrix(path: Path, key: str | None = None, transpose: bool = False) -> Matrix:
    """The matrix of an `.npy` or `.h5` file; nothing of it is read.

    Args:
        path: of the file.
        key: of the array in an `.h5` file; None where it holds only one.
        transpose: it is stored [targets, rows].

    Raises:
        MissingDataError: there is no such file.
        LayoutError: it holds no matrix of numbers, needs a key, or is a pickle (never loaded: it may run code).
    """
    check_there(path)
    with reading(path, THEN):
        key = _key(path, key) if path.suffix in HDF5 else None
        with _array(path, key) as array:
            shape, dtype, chunk = tuple(array.shape), array.dtype, getattr(array, "chunks", None)
    if len(shape) != 2 or dtype.kind not in "fiu":
        raise LayoutError(f"{path} holds an array {shape} of {dtype}; wanted numbers, [samples, targets]")
    return Matrix(path, key, shape, dtype, chunk or (1, 1), transpose)


def _key(path: Path, key: str | None) -> str:
    import h5py

    with h5py.File(path) as file:
        found: list[str] = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    if key is None and len(found) == 1:
        key = found[0]
    if key is None or key not in found:
        raise LayoutError(f"{path} has no array {key!r}; it has: {', '.join(found) or 'none'}; set responses.key")
    return key


@contextmanager
def _array(path: Path, key: str | None) -> Iterator[Any]:
    """The array of a file while it is open."""
    if key is None:
        yield _npy(path)
        return
    import h5py

    with h5py.File(path) as file:
        yield file[key]


def _npy(path: Path) -> "np.memmap[Any, Any]":
    try:
        values: np.memmap[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as reason:
        if "pickle" not in str(reason) and "Python objects" not in str(reason):
            raise
        raise LayoutError(
            f"{path} holds pickled Python objects, which may run any code when they are loaded, so it is refused; "
            "save it as plain numbers: np.save(path, np.asarray(values, dtype='float32'))"
        ) from reason
    return values
