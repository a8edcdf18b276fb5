"""What a dataset is, and where its files are found."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import pandas as pd

from fusiform.data import Responses, Stimuli
from fusiform.errors import LayoutError, UnknownNameError
from fusiform.files import data_folders
from fusiform.registry import unknown

__all__ = ["Card", "Dataset", "choose", "locate"]


@dataclass(frozen=True)
class Card:
    """What a user must know before using a dataset.

    Args:
        title: one line.
        licence: its short name.
        cite: the papers to cite.
        bytes: size of a full download; 0 where no files are needed.
    """

    title: str
    licence: str
    cite: str
    bytes: int = 0


@runtime_checkable
class Dataset(Protocol):
    """One source of stimuli and responses. Making one reads nothing; its methods do.

    `parts` names its kinds of stimuli where there are several; the first is the default.
    """

    name: str
    card: Card
    subjects: tuple[str, ...]
    parts: tuple[str, ...]

    def stimuli(self, part: str | None = None) -> Stimuli:
        """What was shown."""

    def responses(self, subject: str, *, part: str | None = None, rois: Sequence[str] | None = None) -> Responses:
        """What one subject's brain did, in the regions asked for (default: all)."""

    def truth(self, part: str | None = None) -> pd.DataFrame | None:
        """The planted truth, a row per target, where there is one."""


def locate(dataset: str, *files: str) -> Path:
    """The folder of a dataset: the first of `files.data_folders()` that holds `dataset/` with all of `files`.

    Raises:
        LayoutError: no folder has them; the message says how to get them.
    """
    for folder in data_folders():
        if all((folder / dataset / file).exists() for file in files):
            return folder / dataset
    looked = " and ".join(str(folder / dataset) for folder in data_folders())
    raise LayoutError(
        f"the data of {dataset!r} were not found (looked for {', '.join(files) or 'the folder'} in {looked}); "
        f"run 'fusiform fetch {dataset}' or set FUSIFORM_DATA to the folder that holds {dataset}/"
    )


def choose(kind: str, value: str | None, known: Sequence[str]) -> str:
    """`value`, or the first of `known` where it is None; `kind` (`"subject"`, `"part"`) names it in the error.

    Raises:
        UnknownNameError: it is not one of them.
    """
    if value is None:
        return known[0]
    if value not in known:
        raise UnknownNameError(unknown(kind, value, known))
    return value
