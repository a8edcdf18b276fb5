"""HDF5 as the betas are published in it: all trials of one voxel or vertex are one piece, which is read as it lies.

Reading pieces by themselves takes no bytes of other voxels, and leaves out HDF5's scattering of them, trial by trial.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["is_by_target", "read_targets"]


def is_by_target(stored: Any) -> bool:
    """Whether every piece of a dataset [trials, ...] holds all trials of one target, uncompressed."""
    plain = stored.compression is None and not (stored.shuffle or stored.fletcher32 or stored.scaleoffset)
    return plain and stored.chunks == (stored.shape[0], *[1] * (stored.ndim - 1))


def read_targets(stored: Any, places: NDArray[np.int64]) -> NDArray[Any]:
    """All trials of some targets of a dataset that `is_by_target`, [trials, targets].

    Args:
        stored: h5py dataset [trials, ...].
        places: [targets, axes] indices of each on the other axes.
    """
    values = np.empty((len(places), stored.shape[0]), dtype=stored.dtype)
    for row, place in zip(values, places.tolist(), strict=True):
        _read_piece(stored, (0, *place), row)
    return values.T


def _read_piece(stored: Any, offset: tuple[int, ...], row: NDArray[Any]) -> None:
    try:
        stored.id.read_direct_chunk(offset, out=row)
    except (OSError, RuntimeError, ValueError):  # never written, so it holds the fill value; or the file is damaged
        row[:] = stored[(slice(None), *offset[1:])]
