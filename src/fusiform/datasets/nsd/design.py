"""Which picture was shown in which trial: `nsd_expdesign.mat`, whose indices all count from 1."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.datasets.base import check_shape, reading
from fusiform.datasets.nsd.layout import PLANNED, SUBJECTS
from fusiform.errors import LayoutError

__all__ = ["PICTURES", "TRIALS", "Design", "picture_id", "picture_number", "read_design", "trial_table"]

PICTURES = 73_000
TRIALS = 750  # of a session
RUNS = np.tile([63, 62], 6)  # trials of its twelve runs


@dataclass(frozen=True, eq=False)
class Design:
    """What was shown, with indices that count from 0.

    Args:
        order: [30000] which of a subject's own 10,000 pictures each trial showed; the same for all subjects.
        own: [8, 10000] each subject's pictures, of the 73,000.
        shared: [1000] the pictures that are shared by all subjects.
    """

    order: NDArray[np.int64]
    own: NDArray[np.int64]
    shared: NDArray[np.int64]

    def shown(self, subject: str) -> NDArray[np.int64]:
        """The picture of every trial that a subject did, [22500 to 30000]."""
        return np.asarray(self.own[SUBJECTS.index(subject)][self.order[: PLANNED[subject] * TRIALS]])


def read_design(path: Path) -> Design:
    """Read `masterordering`, `subjectim` and `sharedix`.

    Raises:
        LayoutError: the file is damaged, an array has the wrong shape, or a picture is out of range.
    """
    from scipy.io import loadmat

    with reading(path):
        content: dict[str, Any] = loadmat(path, variable_names=["masterordering", "subjectim", "sharedix"])
        order, own, shared = content["masterordering"], content["subjectim"], content["sharedix"]
    check_shape(order, (1, max(PLANNED.values()) * TRIALS), "masterordering", path)
    check_shape(own, (len(SUBJECTS), 10_000), "subjectim", path)
    check_shape(shared, (1, 1000), "sharedix", path)
    return Design(
        _from_zero(order[0], own.shape[1], "masterordering", path),
        _from_zero(own, PICTURES, "subjectim", path),
        _from_zero(shared[0], PICTURES, "sharedix", path),
    )


def _from_zero(numbers: NDArray[Any], count: int, what: str, path: Path | str) -> NDArray[np.int64]:
    """Indices that count from 1, as 0 to count - 1."""
    flat = numbers.ravel()
    wrong = np.flatnonzero(~((flat >= 1) & (flat <= count) & (flat % 1 == 0)))
    if len(wrong):
        raise LayoutError(
            f"{what} of {path} holds the picture {flat[wrong[0]]}; wanted 1 to {count}; copy the file again"
        )
    return numbers.astype(np.int64) - 1


def trial_table(pictures: NDArray[np.int64], subject: str) -> pd.DataFrame:
    """The story of every trial, in the order of the experiment.

    The columns are `stimulus`, `subject`, `session` and `run` (from 1; runs are counted through all sessions),
    `repeat` (from 1: how often the picture has been shown by then) and `trial` (from 0, through all sessions).
    """
    trial = np.arange(len(pictures))
    within = np.searchsorted(np.cumsum(RUNS), trial % TRIALS, side="right")
    table = pd.DataFrame({"stimulus": [picture_id(number) for number in pictures], "subject": subject})
    table["session"], table["run"] = trial // TRIALS + 1, trial // TRIALS * len(RUNS) + within + 1
    table["repeat"] = table.groupby(pictures).cumcount() + 1
    return table.assign(trial=trial)


def picture_id(number: int) -> str:
    """`"nsd-00013"` is row 13 of `imgBrick`, counted from 0, as in the challenge's file names; its 73k id is 14."""
    return f"nsd-{number:05}"


def picture_number(id: str) -> int:
    """The row of `imgBrick`; the inverse of `picture_id`."""
    return int(id.removeprefix("nsd-"))
