"""`Folder`: a user's own data behind the one face of a dataset."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Responses, Space, Stimuli
from fusiform.data.responses import standardise_samples
from fusiform.datasets.base import Card, Sampled, choose
from fusiform.datasets.folder.arrays import (
    Measured,
    join_sides,
    open_cifti,
    open_matrices,
    open_surface,
    open_volumes,
    read_mask,
)
from fusiform.datasets.folder.description import Description, Fmriprep, ResponseFiles, read_description
from fusiform.datasets.folder.regions import label, targets_in
from fusiform.datasets.folder.runs import open_runs, read_run
from fusiform.datasets.folder.shown import PARTS, read_stimuli, stimulus_ids
from fusiform.datasets.folder.tables import read_table
from fusiform.errors import LayoutError
from fusiform.registry import did_you_mean

__all__ = ["Folder"]

NUMBERS = ("session", "run", "repeat", "time")
SPLITS = ("train", "val", "test")


class Folder(Sampled):
    """A folder of one's own that `dataset.yaml` describes; `fusiform init-dataset FOLDER` writes a first one.

    Responses lie as arrays (.npy, .h5) or images (NIfTI, GIFTI, MGH, CIFTI) with a table that says what each row is, or
    as derivatives of fMRIPrep with events. `folder.description` says what each key means.

    Args:
        path: of `dataset.yaml`, or of the folder that holds it.

    Raises:
        LayoutError: there is no description.
        SettingsError: it has an unknown key or a value of the wrong type.
    """

    card = Card(title="A folder of one's own, described by dataset.yaml", licence="yours", cite="yours")

    def __init__(self, path: Path | str) -> None:
        about = read_description(path)
        self.description = about
        self.name = about.name
        self.subjects = tuple(about.subjects)
        self.parts = (PARTS[about.stimuli.kind],)
        self.card = Card(title=about.title, licence=about.licence, cite=about.cite)

    def stimuli(self, part: str | None = None) -> Stimuli:
        """What the table of stimuli lists: images (PIL), texts, or recordings with their sound, picture and words."""
        choose("part", part, self.parts)
        return read_stimuli(self.description)

    def responses(self, subject: str, *, part: str | None = None, rois: Sequence[str] | None = None) -> Responses:
        """Responses of one subject, [N, V], in the units of the files, or standardised where the description says so.

        Args:
            subject: one of the description's.
            part: the only one.
            rois: regions of any atlas (default: all targets).

        Raises:
            LayoutError: tables and files do not meet; the message says which and how.
        """
        choose("part", part, self.parts)
        choose("subject", subject, self.subjects)
        about = self.description
        if about.fmriprep is not None:
            return self._scanned(about.fmriprep, subject, rois)
        assert about.responses is not None
        return self._measured(about.responses, subject, rois)

    def truth(self, part: str | None = None) -> None:
        """None: nothing was planted."""
        choose("part", part, self.parts)

    def _measured(self, about: ResponseFiles, subject: str, rois: Sequence[str] | None) -> Responses:
        found = open_files(self.description, about, subject)
        samples = self._samples(about, subject, found.rows)
        space = label(found.space, self.description, subject)
        columns = self._columns(space, rois)
        if about.drop_nan:  # before they are standardised, which would hide infinite ones
            columns = columns[found.finite()[columns]]
        if about.zscore == "no":
            return Responses(found.read(columns), samples, space.select(columns))
        values = np.asarray(found.read(columns, np.result_type(found.dtype, np.float32)))
        standardise_samples(values, samples, None if about.zscore == "all" else about.zscore)
        return Responses(values, samples, space.select(columns))

    def _columns(self, space: Space, rois: Sequence[str] | None) -> NDArray[np.int64]:
        """Positions of the targets asked for, ascending: others are never kept."""
        return np.arange(space.size) if rois is None else targets_in(space, list(self.description.atlases), rois)

    def _samples(self, about: ResponseFiles, subject: str, counts: Sequence[int]) -> pd.DataFrame:
        """The tables of samples, with a run per file where they do not name it, and times where there is a TR."""
        paths = [self.description.path(name, subject) for name in about.samples]
        tables = [read_table(path, "stimulus", numbers=NUMBERS) for path in paths]
        rows = counts if len(paths) > 1 else (sum(counts),)
        for path, table, count in zip(paths, tables, rows, strict=True):
            if len(table) != count:
                hint = (
                    ""
                    if about.transpose
                    else "; if arrays are stored [targets, samples], set responses.transpose: true"
                )
                raise LayoutError(f"{path} has {len(table)} rows; wanted {count}, one per row of the responses{hint}")
        samples = pd.concat(tables, ignore_index=True)
        if "run" not in samples and len(counts) > 1:
            samples["run"] = np.repeat(np.arange(1, len(counts) + 1), counts)
        if about.tr is not None and "time" not in samples:
            groups = [name for name in ("session", "run", "stimulus") if name in samples]
            samples["time"] = np.round(samples.groupby(groups, sort=False).cumcount() * about.tr, 6)
        return self._finish(samples, subject, str(paths[0]))

    def _finish(self, samples: pd.DataFrame, subject: str, where: str) -> pd.DataFrame:
        """Samples with their subject, the split of their stimulus where they have none, and repeats numbered."""
        stimuli = self.stimuli()
        if strange := [name for name in samples["stimulus"] if name not in stimuli.table.index]:
            raise LayoutError(
                f"{where} names the stimulus {strange[0]!r}, which is not in {self.description.stimuli.table}; "
                "wanted its ids in every row"
            )
        samples = samples.assign(subject=subject)
        split = self.description.stimuli.split
        if "split" not in samples and split in stimuli.table:
            samples["split"] = stimuli.table[split].loc[samples["stimulus"]].to_numpy()
            where = self.description.stimuli.table
        _check_splits(samples, where)
        if "repeat" not in samples:
            moment = ["stimulus", *(["time"] if "time" in samples else [])]
            samples["repeat"] = samples.groupby(moment, sort=False).cumcount() + 1
        return samples

    def _scanned(self, about: Fmriprep, subject: str, rois: Sequence[str] | None) -> Responses:
        """All runs of fMRIPrep below one another; one of them is held beside the result."""
        runs = open_runs(self.description, about, subject, stimulus_ids(self.description, self.stimuli()))
        samples = self._finish(pd.concat([run.samples for run in runs], ignore_index=True), subject, "an events table")
        space = label(runs[0].volumes.space, self.description, subject)
        columns = self._columns(space, rois)
        if about.drop_nan:
            columns = columns[np.all([run.volumes.finite() for run in runs], axis=0)[columns]]
        values = np.empty((len(samples), len(columns)), dtype=np.float32)
        ends = np.cumsum([len(run.samples) for run in runs])
        for run, part in zip(runs, np.split(values, ends[:-1]), strict=True):  # np.split gives views
            read_run(run, about, columns, part)
        return Responses(values, samples, space.select(columns))


def _check_splits(samples: pd.DataFrame, where: str) -> None:
    """Raise LayoutError where a split is none that is known: its samples would be trained on."""
    names = samples.get("split", pd.Series(dtype=str))
    if strange := [str(name) for name in names.unique() if name not in SPLITS]:
        raise LayoutError(
            f"{where} has the split {strange[0]!r}{did_you_mean(strange[0], SPLITS)}; "
            f"wanted {', '.join(SPLITS)} in every row: rename it, or name another column as stimuli.split"
        )


def open_files(description: Description, about: ResponseFiles, subject: str) -> Measured:
    """The arrays or images of one subject, one below the other; not read yet.

    Raises:
        LayoutError: the files are of several sizes, or of a format that is not read.
    """
    sides = [[description.path(name, subject) for name in side] for side in (about.left, about.right)]
    if sides[0] or sides[1]:
        left, right = ([open_surface(path, about.key, about.transpose) for path in side] for side in sides)
        return join_sides(about.mesh or "surface", about.mesh, left, right)
    paths = [description.path(name, subject) for name in about.files]
    kinds = {_format(path) for path in paths}
    if len(kinds) > 1:
        raise LayoutError(f"responses.files are of several formats ({', '.join(sorted(kinds))}); wanted one")
    if kinds == {"cifti"}:
        return open_cifti(paths, "fsLR")
    if kinds == {"array"}:
        return open_matrices(paths, description.name, about.mesh, about.key, about.transpose)
    if about.mask is None:
        return open_volumes(paths, "volume")
    return open_volumes(paths, "volume", *read_mask(description.path(about.mask, subject)))


def _format(path: Path) -> str:
    for ending, kind in FORMATS.items():
        if path.name.endswith(ending):
            return kind
    raise LayoutError(
        f"{path} is of no format that is read; wanted one of {', '.join(FORMATS)} as responses.files, or .gii "
        "and .mgh as responses.left and responses.right"
    )


FORMATS = {
    ".dtseries.nii": "cifti",
    ".dscalar.nii": "cifti",
    ".nii.gz": "volume",
    ".nii": "volume",
    ".npy": "array",
    ".h5": "array",
    ".hdf5": "array",
}
