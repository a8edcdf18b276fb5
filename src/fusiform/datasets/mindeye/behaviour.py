"""MindEye2: tars that hold the behaviour of every trial, and all responses of a subject in one HDF5 file."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fusiform.datasets.base import reading
from fusiform.datasets.mindeye.remote import Folder
from fusiform.datasets.mindeye.tars import read_array, tar_samples
from fusiform.datasets.nsd.design import PICTURES, picture_id, picture_number
from fusiform.datasets.nsd.layout import PLANNED
from fusiform.errors import LayoutError, MissingDataError

__all__ = ["behaviour", "load_picture", "pictures_file", "read_betas"]

COLUMNS = {"picture": 0, "of": 1, "session": 2, "run": 3, "trial": 5}  # of the 17 of `behav.npy`
WIDTH = 17
RUNS = 12  # of a session
BYTES = 1 << 25  # of a block


def behaviour(folder: Folder, subject: str, test: str) -> pd.DataFrame:
    """What each trial showed, in the order of the experiment.

    The columns are those of `NSD`: `stimulus`, `session`, `run`, `repeat`, `trial` (the row of the responses), `split`.
    A warning says where there are fewer tars of training trials than sessions: there is one for each.

    Args:
        folder: that holds `wds/`.
        subject: such as `subj01`.
        test: folder of the test tar: `new_test` (all sessions), or `test` (without the three last ones).

    Raises:
        MissingDataError: there are no tars, or none of the test.
        LayoutError: a tar is damaged, or a trial is not as published.
    """
    tables = []
    for split, where in (("train", "train"), ("test", test)):
        found = [_trials(tar, subject) for tar in folder.shards(f"wds/{subject}/{where}/{{}}.tar")]
        if not found:
            folder.doubt()
            raise MissingDataError(
                f"no tar of {subject} was found at {folder.address} (wanted wds/{subject}/{where}/0.tar); give root= "
                "the folder that holds wds/, or another layout"
            )
        tables += [table.assign(split=split) for table in found]
        if split == "train":
            _count(folder, subject, len(found))
    table = pd.concat(tables).sort_values("trial", kind="stable").reset_index(drop=True)
    if table["trial"].duplicated().any():
        twice = int(table["trial"][table["trial"].duplicated()].iloc[0])
        raise LayoutError(f"trial {twice} of {subject} is in two tars at {folder.address}; copy wds/{subject} again")
    table["repeat"] = table.groupby("stimulus").cumcount() + 1
    return table[["stimulus", "session", "run", "repeat", "trial", "split"]]


def read_betas(folder: Folder, subject: str, trials: NDArray[np.int64]) -> NDArray[np.float32]:
    """Responses of some trials, ascending, [N, V]; a block of the file at a time.

    Raises:
        MissingDataError: the file is not here.
        LayoutError: it is damaged or shorter than the trials.
    """
    import h5py

    path = folder.require(f"betas_all_{subject}_fp32_renorm.hdf5")
    with reading(path), h5py.File(path) as file:
        stored = file["betas"]
        if stored.ndim != 2 or (len(trials) and trials[-1] >= stored.shape[0]):
            raise LayoutError(
                f"betas of {path} have the shape {stored.shape}; wanted [trials, voxels] of {trials[-1] + 1} trials at "
                "least; copy it again"
            )
        values = np.empty((len(trials), stored.shape[1]), dtype=np.float32)
        count = max(1, BYTES // (4 * stored.shape[1]))
        for start in range(0, stored.shape[0], count):
            rows = slice(*np.searchsorted(trials, [start, start + count]))
            if rows.start < rows.stop:
                values[rows] = stored[start : start + count][trials[rows] - start]
    return values


def pictures_file(folder: Folder) -> Path:
    """The 73,000 pictures at 224 x 224.

    Raises:
        MissingDataError: the file is not here.
    """
    return folder.require("coco_images_224_float16.hdf5")


def load_picture(path: Path, id: str) -> Image.Image:
    """One picture (PIL, RGB); `images` is [73000, 3, 224, 224] in [0, 1].

    Raises:
        LayoutError: the file is damaged or has another shape.
    """
    import h5py

    with reading(path), h5py.File(path) as file:
        images = file["images"]
        if images.ndim != 4 or images.shape[:2] != (PICTURES, 3) or images.dtype.kind != "f":
            raise LayoutError(
                f"images of {path} are {images.dtype} {images.shape}; wanted float16 ({PICTURES}, 3, 224, 224) from 0 "
                "to 1; copy it again"
            )
        pixels = np.asarray(images[picture_number(id)], dtype=np.float32)
    return Image.fromarray(np.clip(np.round(pixels * 255), 0, 255).astype(np.uint8).transpose(1, 2, 0))


def _count(folder: Folder, subject: str, found: int) -> None:
    """Say that sessions are missing, and do not keep in mind that they are."""
    if found < PLANNED[subject]:
        folder.doubt()
        warnings.warn(
            f"{folder.address} has {found} of {PLANNED[subject]} tars of training trials of {subject}, one for each "
            f"session, and the others are left out: copy wds/{subject}/train/{found}.tar and what follows it, or run "
            "it again once the server has them",
            stacklevel=4,
        )


def _trials(tar: Path, subject: str) -> pd.DataFrame:
    rows = []
    for key, members in tar_samples(tar):
        if "behav.npy" not in members:
            raise LayoutError(f"sample {key!r} of {tar} has no behav.npy, but {', '.join(members)}; copy the tar again")
        row = read_array(members["behav.npy"])
        if row.ndim != 2 or row.shape[0] < 1 or row.shape[1] != WIDTH:
            raise LayoutError(f"behav.npy of sample {key!r} of {tar} has the shape {row.shape}; wanted (1, {WIDTH})")
        rows.append(row[0])
    table = pd.DataFrame(
        np.reshape(rows, (-1, WIDTH))[:, list(COLUMNS.values())].astype(np.int64), columns=list(COLUMNS)
    )
    _check(table, tar, subject)
    table["stimulus"] = [picture_id(number) for number in table.pop("picture")]
    return table.assign(run=(table["session"] - 1) * RUNS + table["run"])


def _check(table: pd.DataFrame, tar: Path, subject: str) -> None:
    if wrong := [number for number in table["picture"] if not 0 <= number < PICTURES]:
        raise LayoutError(f"{tar} names the picture {wrong[0]}; wanted 0 to {PICTURES - 1}; copy the tar again")
    if others := set(table["of"]) - {int(subject[-2:])}:
        raise LayoutError(f"{tar} holds trials of subject {min(others)}; wanted those of {subject}; copy the tar again")
    if (table["trial"] < 0).any():
        raise LayoutError(f"{tar} holds a trial of number {table['trial'].min()}; wanted 0 or more; copy the tar again")
