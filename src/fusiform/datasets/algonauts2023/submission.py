"""Submissions: two arrays per subject in a folder of its own, the folders at the top of a zip.

As teams report: the contents of the folder that the challenge's tutorial fills are zipped, not the folder itself.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np

from fusiform.data import Array
from fusiform.datasets.algonauts2023.vertices import HEMISPHERES
from fusiform.datasets.npy import read_array_of
from fusiform.datasets.submission import check_names, checked, members
from fusiform.errors import LayoutError
from fusiform.files import atomic

__all__ = ["Size", "check", "write"]


class Size(NamedTuple):
    """How much one subject's predictions are.

    Args:
        pictures: withheld ones.
        left: vertices of the left hemisphere.
        right: vertices of the right hemisphere.
    """

    pictures: int
    left: int
    right: int


def write(predictions: Mapping[str, Array], wanted: Mapping[str, Size], path: Path) -> Path:
    """Pack the predictions of every subject, [pictures, left + right vertices].

    Raises:
        LayoutError: a subject is missing, or one too many.
        DataError: predictions have the wrong shape or type, or are not finite.
    """
    check_names(list(predictions), list(wanted), "the set of predictions", "subject")
    with atomic(path) as new, ZipFile(new, "w") as archive:
        for subject, size in wanted.items():
            whole = checked(predictions[subject], (size.pictures, size.left + size.right), repr(subject))
            for side, values in zip(HEMISPHERES, np.split(whole, [size.left], axis=1), strict=True):
                with archive.open(_member(subject, side), "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.ascontiguousarray(values), allow_pickle=False)
    return path


def check(path: Path, wanted: Mapping[str, Size]) -> None:
    """Refuse a zip that is not exactly what the challenge takes.

    Raises:
        MissingDataError: there is no file.
        LayoutError: a file is missing or one too many, or no float32 array of the shape wanted, or not finite.
    """
    found = members(path)
    files = {_member(subject, side): (subject, side) for subject in wanted for side in HEMISPHERES}
    check_names(found, list(files), str(path), "file")
    with ZipFile(path) as archive:
        for name, (subject, side) in files.items():
            with archive.open(name) as file:
                values = read_array_of(file, f"{name} of {path}")
            shape = (wanted[subject].pictures, getattr(wanted[subject], side))
            if values.dtype != np.float32 or values.shape != shape:
                raise LayoutError(
                    f"{name} of {path} is {values.dtype} of the shape {values.shape}; wanted float32 of {shape}"
                )
            if not np.isfinite(values).all():
                raise LayoutError(f"{name} of {path} holds NaN or infinite values; wanted none")


def _member(subject: str, side: str) -> str:
    return f"{subject}/{HEMISPHERES[side]}_pred_test.npy"
