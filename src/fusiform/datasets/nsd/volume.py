"""Betas in a volume: NIfTI, which is read from its beginning to its end, and HDF5, of which parts are."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiform.datasets.base import check_shape
from fusiform.datasets.nsd.betas import Block
from fusiform.datasets.nsd.chunks import is_by_target, read_targets
from fusiform.datasets.nsd.design import TRIALS
from fusiform.datasets.nsd.imaging import opened_image
from fusiform.errors import LayoutError

__all__ = ["Voxels"]

BYTES = 1 << 23  # of a block


@dataclass(frozen=True, eq=False)
class Voxels:
    """Some voxels of a session's volume.

    Args:
        ijk: [V, 3] their indices.
        shape: of the volume, [X, Y, Z].
    """

    ijk: NDArray[np.int64]
    shape: tuple[int, int, int]

    @property
    def size(self) -> int:
        """How many."""
        return len(self.ijk)

    def blocks(self, path: Path) -> Iterator[Block]:
        """Every trial of every voxel, as stored.

        Raises:
            LayoutError: the file has another shape or type.
        """
        return self._of_hdf5(path) if path.suffix == ".hdf5" else self._of_nifti(path)

    def _of_nifti(self, path: Path) -> Iterator[Block]:
        """[X, Y, Z, trials]; the volumes of some trials at a time, so that a compressed file is read once."""
        i, j, k = self.ijk.T
        with opened_image(path) as image:
            stored = image.dataobj
            check_shape(stored, (*self.shape, TRIALS), "the betas", path)
            _check_type(stored.dtype, path)
            count = max(1, BYTES // (stored.dtype.itemsize * int(np.prod(self.shape))))
            for start in range(0, TRIALS, count):
                trials = slice(start, min(start + count, TRIALS))
                yield Block(trials, slice(None), np.asarray(stored[..., trials])[i, j, k].T)

    def _of_hdf5(self, path: Path) -> Iterator[Block]:
        """`betas` is [trials, Z, Y, X] to Python, as MATLAB's axes come reversed.

        A file that was stored anew in other pieces is read slice by slice.
        """
        import h5py

        with h5py.File(path) as file:
            stored = file["betas"]
            check_shape(stored, (TRIALS, *self.shape[::-1]), "betas", path)
            _check_type(stored.dtype, path)
            if not is_by_target(stored):
                for targets in self._slices():
                    yield Block(slice(None), targets, self._box(stored, self.ijk[targets]))
                return
            count = max(1, BYTES // (TRIALS * stored.dtype.itemsize))
            for start in range(0, self.size, count):
                some = slice(start, min(start + count, self.size))
                yield Block(slice(None), some, read_targets(stored, self.ijk[some, ::-1]))

    def _slices(self) -> list[NDArray[np.int64]]:
        """Voxels that share k: positions, a slice each."""
        _, member = np.unique(self.ijk[:, 2], return_inverse=True)
        order = np.argsort(member, kind="stable")
        return np.split(order, np.cumsum(np.bincount(member))[:-1])

    def _box(self, stored: Any, ijk: NDArray[np.int64]) -> NDArray[Any]:
        """[trials, voxels] of one slice: the box around them is read."""
        (i0, j0, k), (i1, j1, _) = ijk.min(0), ijk.max(0)
        box = stored[:, k, j0 : j1 + 1, i0 : i1 + 1]
        return np.asarray(box[:, ijk[:, 1] - j0, ijk[:, 0] - i0])


def _check_type(dtype: np.dtype[Any], path: Path) -> None:
    if dtype.kind not in "if" or (dtype.kind == "i" and dtype.itemsize != 2):
        raise LayoutError(f"the betas of {path} are {dtype}; wanted int16 (300 times the percent) or a floating type")
