"""Submissions: predictions of withheld responses, checked and packed as a challenge wants them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Array
from fusiform.datasets.base import Dataset, choose
from fusiform.datasets.npy import read_array
from fusiform.errors import DataError, LayoutError, MissingDataError, SettingsError

__all__ = ["Challenge", "check_names", "checked", "members", "read_predictions", "submit"]


@runtime_checkable
class Challenge(Dataset, Protocol):
    """A dataset that withholds some responses, and takes predictions of them.

    `phases` names what can be submitted; the first is the default.
    """

    phases: tuple[str, ...]

    def withheld(self, subject: str, phase: str | None = None) -> pd.DataFrame:
        """The samples to predict, N rows as in `Responses`."""

    def write_submission(self, predictions: Mapping[str, Array], path: Path | str, phase: str | None = None) -> Path:
        """Pack subject -> [N, V], in the order of `withheld` and of the space, into the challenge's zip."""

    def check_submission(self, path: Path | str, phase: str | None = None) -> None:
        """Refuse a zip that is not exactly what the challenge wants."""


def submit(
    dataset: Dataset, predictions: Path | str, out: Path | str | None = None, phase: str | None = None
) -> dict[str, Any]:
    """Pack a folder of predictions into the zip of a challenge, or check a zip that is there.

    Args:
        dataset: of a challenge.
        predictions: folder with `<subject>.npy` of every subject, [N, V] each; or a zip, which is only checked.
        out: the zip to write (default: beside the folder).
        phase: of the challenge, one of `dataset.phases`; its first by default.

    Returns:
        `submission`, its path, `phase`, and `samples` (N of each subject).

    Raises:
        SettingsError: the dataset is of no challenge, or `out` is given with a zip.
        MissingDataError: a subject's predictions are missing.
        DataError: predictions have the wrong shape, type, or are not finite.
        LayoutError: the zip is not what the challenge wants.
    """
    if not isinstance(dataset, Challenge):
        raise SettingsError(f"dataset {dataset.name!r} is of no challenge; nothing can be submitted for it")
    phase, source = choose("phase", phase, dataset.phases), Path(os.path.abspath(predictions))  # "." has no name
    if source.suffix == ".zip" and out is not None:
        raise SettingsError(f"{source} is a zip already, which is only checked; leave out --out, or give a folder")
    if source.suffix != ".zip":
        target = Path(out) if out is not None else source.parent / f"{source.name}-{phase}.zip"
        source = dataset.write_submission(read_predictions(source, dataset.subjects), target, phase)
    else:
        dataset.check_submission(source, phase)
    samples = {subject: len(dataset.withheld(subject, phase)) for subject in dataset.subjects}
    return {"submission": str(source), "phase": phase, "samples": samples}


def read_predictions(folder: Path, subjects: Sequence[str]) -> dict[str, Array]:
    """Subject -> [N, V], left on disk until they are read.

    Raises:
        MissingDataError: the folder or a subject's file is missing.
        SettingsError: the folder holds predictions of somebody else.
        LayoutError: a file is no array of numbers.
    """
    if not folder.is_dir():
        raise MissingDataError(f"{folder} is no folder; wanted one with {subjects[0]}.npy and so on, [N, V] each")
    found = {path.stem: path for path in sorted(folder.glob("*.npy"))}
    if strange := sorted(set(found) - set(subjects)):
        raise SettingsError(f"{found[strange[0]]} is of no subject; wanted {', '.join(subjects)}")
    if missing := [subject for subject in subjects if subject not in found]:
        raise MissingDataError(f"{folder} lacks {missing[0]}.npy; wanted predictions for {', '.join(subjects)}")
    return {subject: read_array(found[subject], mapped=True) for subject in subjects}


def checked(values: Array, shape: tuple[int, ...], what: str) -> NDArray[np.float32]:
    """Predictions as the challenges take them: float32 of exactly the shape wanted, all finite.

    Raises:
        DataError: they have another shape, are no real numbers, or not finite in float32.
    """
    if tuple(values.shape) != shape:
        raise DataError(f"the predictions of {what} have the shape {tuple(values.shape)}; wanted {shape}")
    if np.dtype(values.dtype).kind not in "fiu":
        raise DataError(f"the predictions of {what} are of type {values.dtype}; wanted real numbers, best float32")
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(values[:], dtype=np.float32)
    if not np.isfinite(found).all():
        bad = int((~np.isfinite(found)).sum())
        raise DataError(f"the predictions of {what} hold {bad} values that are NaN or infinite; wanted none")
    return found


def check_names(found: Sequence[str], wanted: Sequence[str], what: str, kind: str) -> None:
    """Raise LayoutError where names differ from those wanted; `kind` says of what (`"subject"`)."""
    if missing := [name for name in wanted if name not in found]:
        raise LayoutError(f"{what} lacks {len(missing)} of {len(wanted)} {kind}s, such as {missing[0]!r}; wanted all")
    if strange := [name for name in found if name not in wanted]:
        raise LayoutError(f"{what} has the {kind} {strange[0]!r}, which the challenge does not know; leave it out")


def members(path: Path) -> list[str]:
    """Names of the files in a zip.

    Raises:
        MissingDataError: there is no file.
        LayoutError: it is no zip, or damaged.
    """
    if not path.is_file():
        raise MissingDataError(f"{path} was not found; wanted the zip of a submission")
    try:
        with ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise LayoutError(f"{path} is damaged: {damaged} fails its checksum; write it again")
            return [name for name in archive.namelist() if not name.endswith("/")]
    except BadZipFile as reason:
        raise LayoutError(f"{path} is no zip, or cut short ({reason}); write it again") from reason
