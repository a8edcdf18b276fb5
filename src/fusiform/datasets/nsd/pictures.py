"""The 73,000 pictures: an HDF5 file of 40 GB, of which one row is read at a time."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fusiform.data import Stimuli
from fusiform.datasets.base import reading
from fusiform.datasets.nsd.design import PICTURES, Design, picture_id, picture_number
from fusiform.errors import LayoutError

__all__ = ["pictures"]


def pictures(path: Path, design: Design | None) -> Stimuli:
    """All pictures (PIL, RGB, 425 x 425, or 227 x 227 in the smaller copy).

    The columns are `nsd` (row of the file, from 0) and, where the design is known, `shared` (seen by all subjects).
    """
    rows = np.arange(PICTURES)
    table = pd.DataFrame({"nsd": rows}, index=[picture_id(row) for row in range(PICTURES)])
    if design is not None:
        table["shared"] = np.isin(rows, design.shared)
    name = path.stem.replace("_stimuli", "").replace("_", "-")  # other pixels need another name: nsd, nsd-227
    return Stimuli(name, "image", table, partial(_load, path))


def _load(path: Path, id: str) -> Image.Image:
    import h5py

    with reading(path), h5py.File(path) as file:
        brick = file["imgBrick"]
        if brick.ndim != 4 or (brick.shape[0], brick.shape[3], brick.dtype) != (PICTURES, 3, np.uint8):
            raise LayoutError(
                f"imgBrick of {path} is {brick.dtype} {brick.shape}; wanted uint8 ({PICTURES}, 425, 425, 3); "
                "copy the file again"
            )
        return Image.fromarray(brick[picture_number(id)])
