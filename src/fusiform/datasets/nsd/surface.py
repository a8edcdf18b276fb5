"""Betas on surfaces: MGH files of fsaverage, and HDF5 of the native surfaces."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusiform.datasets.base import check_shape, reading
from fusiform.datasets.nsd.betas import Block
from fusiform.datasets.nsd.chunks import is_by_target, read_targets
from fusiform.datasets.nsd.design import TRIALS
from fusiform.datasets.nsd.imaging import opened_image

__all__ = ["FSAVERAGE", "Vertices", "mesh_sizes"]

FSAVERAGE = 163_842  # vertices of a hemisphere
BYTES = 1 << 23  # of a block


@dataclass(frozen=True, eq=False)
class Vertices:
    """Some vertices of one hemisphere.

    Args:
        index: [V] theirs in the mesh, ascending.
        count: of the vertices of the mesh.
    """

    index: NDArray[np.int64]
    count: int

    @property
    def size(self) -> int:
        """How many."""
        return len(self.index)

    def blocks(self, path: Path) -> Iterator[Block]:
        """Every trial of every vertex, as stored.

        Raises:
            LayoutError: the file has another shape.
        """
        return self._of_hdf5(path) if path.suffix == ".hdf5" else self._of_mgh(path)

    def _of_mgh(self, path: Path) -> Iterator[Block]:
        """[vertices, 1, 1, trials], a trial after the other."""
        with opened_image(path) as image:
            stored = image.dataobj
            check_shape(stored, (self.count, 1, 1, TRIALS), "the betas", path)
            count = max(1, BYTES // (self.count * stored.dtype.itemsize))
            for start in range(0, TRIALS, count):
                trials = slice(start, min(start + count, TRIALS))
                found = np.asarray(stored[..., trials])[:, 0, 0].T
                yield Block(trials, slice(None), found if self.size == self.count else found[:, self.index])

    def _of_hdf5(self, path: Path) -> Iterator[Block]:
        """`betas` is [trials, vertices] to Python."""
        import h5py

        with h5py.File(path) as file:
            stored = file["betas"]
            check_shape(stored, (TRIALS, self.count), "betas", path)
            count = max(1, BYTES // (TRIALS * stored.dtype.itemsize))
            if is_by_target(stored):
                for start in range(0, self.size, count):
                    some = slice(start, min(start + count, self.size))
                    yield Block(slice(None), some, read_targets(stored, self.index[some, None]))
                return
            for start in range(0, self.count, count):  # stored anew in other pieces: a stretch of the mesh at a time
                some = slice(*np.searchsorted(self.index, [start, start + count]).tolist())
                if some.start < some.stop:
                    yield Block(slice(None), some, stored[:, start : start + count][:, self.index[some] - start])


def mesh_sizes(files: tuple[Path, ...]) -> tuple[int, int]:
    """Vertices of the left and the right hemisphere, by the files of a session.

    Raises:
        LayoutError: a file is damaged.
    """
    left, right = (_vertices(path) for path in files)
    return left, right


def _vertices(path: Path) -> int:
    import h5py

    with reading(path):
        if path.suffix == ".hdf5":
            with h5py.File(path) as file:
                return int(file["betas"].shape[1])
        with opened_image(path) as image:
            return int(image.shape[0])
