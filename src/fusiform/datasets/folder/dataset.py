"""`Folder`: a user's own data behind the one face of a dataset."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Array, Responses, Space, Stimuli
from fusiform.data.spread import standardise
from fusiform.datasets.base import Card, Sampled, choose
from fusiform.datasets.folder.arrays import (
    Measured,
    check_mesh,
    join_sides,
    read_array,
    read_cifti,
    read_surface,
    read_volumes,
)
from fusiform.datasets.folder.description import Description, Fmriprep, ResponseFiles, read_description
from fusiform.datasets.folder.fmriprep import (
    Scan,
    find_scans,
    inside_all,
    read_confounds,
    read_events,
    read_scan,
    scan_times,
)
from fusiform.datasets.folder.regions import label, targets_in
from fusiform.datasets.folder.shown import PARTS, read_stimuli, stimulus_ids
from fusiform.datasets.folder.tables import read_table
from fusiform.datasets.folder.trials import clean, nuisance, single_trials, volumes_shown, window_means
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
        found = self._scanned(about.fmriprep, subject) if about.fmriprep else self._measured(about.responses, subject)
        return found if rois is None else found.select_targets(targets_in(found.space, list(about.atlases), rois))

    def truth(self, part: str | None = None) -> None:
        """None: nothing was planted."""
        choose("part", part, self.parts)

    def _measured(self, about: ResponseFiles | None, subject: str) -> Responses:
        assert about is not None
        found = read_files(self.description, about, subject)
        samples = self._samples(about, subject, found)
        responses = Responses(found.values, samples, label(found.space, self.description, subject))
        if about.drop_nan:  # before they are standardised, which would hide infinite ones
            responses = responses.select_targets(np.isfinite(np.asarray(found.values)).all(axis=0))
        return responses if about.zscore == "no" else responses.zscore(None if about.zscore == "all" else about.zscore)

    def _samples(self, about: ResponseFiles, subject: str, found: Measured) -> pd.DataFrame:
        """The tables of samples, with a run per file where they do not name it, and times where there is a TR."""
        paths = [self.description.path(name, subject) for name in about.samples]
        tables = [read_table(path, "stimulus", numbers=NUMBERS) for path in paths]
        rows = found.rows if len(paths) > 1 else (sum(found.rows),)
        for path, table, count in zip(paths, tables, rows, strict=True):
            if len(table) != count:
                hint = (
                    ""
                    if about.transpose
                    else "; if arrays are stored [targets, samples], set responses.transpose: true"
                )
                raise LayoutError(f"{path} has {len(table)} rows; wanted {count}, one per row of the responses{hint}")
        samples = pd.concat(tables, ignore_index=True)
        if "run" not in samples and len(found.rows) > 1:
            samples["run"] = np.repeat(np.arange(1, len(found.rows) + 1), found.rows)
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

    def _scanned(self, about: Fmriprep, subject: str) -> Responses:
        """All runs of fMRIPrep below one another."""
        scans = find_scans(self.description, about, subject)
        mask = None if about.mask is None else self.description.path(about.mask, subject)
        inside, known = inside_all(scans, mask), stimulus_ids(self.description, self.stimuli())
        values: list[NDArray[np.float32]] = []
        tables, space = [], None
        for scan in scans:
            volumes, here = read_scan(scan, about.space, inside)
            if space is not None and here.size != space.size:
                raise LayoutError(f"{scan.name} has {here.size} targets; wanted {space.size}, as the runs before it")
            rows, table = run_samples(self.description, about, scan, volumes, known)
            values.append(rows)
            tables.append(table.assign(**_labels(scan)))
            space = here
        assert space is not None
        samples = self._finish(pd.concat(tables, ignore_index=True), subject, "an events table")
        return Responses(np.concatenate(values), samples, label(space, self.description, subject))


def _check_splits(samples: pd.DataFrame, where: str) -> None:
    """Raise LayoutError where a split is none that is known: its samples would be trained on."""
    names = samples.get("split", pd.Series(dtype=str))
    if strange := [str(name) for name in names.unique() if name not in SPLITS]:
        raise LayoutError(
            f"{where} has the split {strange[0]!r}{did_you_mean(strange[0], SPLITS)}; "
            f"wanted {', '.join(SPLITS)} in every row: rename it, or name another column as stimuli.split"
        )


def read_files(description: Description, about: ResponseFiles, subject: str) -> Measured:
    """The arrays or images of one subject, one below the other.

    Raises:
        LayoutError: the files are of several sizes, or of a format that is not read.
    """
    sides = [[description.path(name, subject) for name in side] for side in (about.left, about.right)]
    if sides[0] or sides[1]:
        mesh = about.mesh or "surface"
        left, right = ([read_surface(path, about.key, about.transpose) for path in side] for side in sides)
        return join_sides(mesh, about.mesh, left, right)
    paths = [description.path(name, subject) for name in about.files]
    kinds = {_format(path) for path in paths}
    if len(kinds) > 1:
        raise LayoutError(f"responses.files are of several formats ({', '.join(sorted(kinds))}); wanted one")
    if kinds == {"cifti"}:
        return read_cifti(paths, "fsLR")
    if kinds == {"volume"}:
        return read_volumes(paths, "volume", None if about.mask is None else description.path(about.mask, subject))
    return _matrices(description, about, [read_array(path, about.key, about.transpose) for path in paths])


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


def _matrices(description: Description, about: ResponseFiles, arrays: Sequence[Array]) -> Measured:
    """One array as it lies on disk, several in memory; with a mesh the columns are its vertices, left then right."""
    widths = {array.shape[1] for array in arrays}
    if len(widths) > 1:
        raise LayoutError(f"responses.files have {sorted(widths)} columns; wanted one number of targets in all")
    [width] = widths
    space = Space.numbered(description.name, width)
    if about.mesh is not None:
        if width % 2:
            raise LayoutError(
                f"responses.files have {width} columns; wanted both hemispheres of {about.mesh}, left then right"
            )
        check_mesh(about.mesh, width // 2)
        half = np.arange(width // 2)
        space = Space.vertices(about.mesh, half, half, mesh=about.mesh)
    values: Any = arrays[0] if len(arrays) == 1 else np.concatenate([np.asarray(one) for one in arrays])
    return Measured(values, space, tuple(len(np.asarray(one)) if len(arrays) > 1 else one.shape[0] for one in arrays))


def run_samples(
    description: Description, about: Fmriprep, scan: Scan, volumes: NDArray[Any], known: dict[str, str]
) -> tuple[NDArray[np.float32], pd.DataFrame]:
    """Samples of one run by the method asked for, [N, V], and what each is; some targets are worked on at a time."""
    times, _ = scan_times(scan, len(volumes))
    regressors = nuisance(times, read_confounds(scan, about.confounds, len(volumes)), about.high_pass)
    events = read_events(description, about, scan, known)
    rows, shown = volumes_shown(times, events, about.tail)

    def samples(values: NDArray[np.float64]) -> NDArray[np.float64]:
        if about.method in ("lss", "lsa"):
            return _scaled(single_trials(values, times, events, regressors, about.method), values, about.zscore)
        cleaned = clean(values, regressors, about.zscore)
        if about.method == "series":
            return cleaned[rows]
        return window_means(cleaned, times, events["onset"].to_numpy(), (about.window[0], about.window[1]))

    blocks = np.array_split(np.arange(volumes.shape[1]), 1 + volumes.size // BLOCK)
    with _naming(scan):
        found = [samples(volumes[:, block].astype(np.float64)).astype(np.float32) for block in blocks]
    return np.concatenate(found, axis=1), shown if about.method == "series" else events[["stimulus"]]


BLOCK = 1 << 24  # numbers of a run that are worked on at a time, in float64


@contextmanager
def _naming(scan: Scan) -> Iterator[None]:
    """Say which run it was when the block finds something wrong with it."""
    try:
        yield
    except LayoutError as reason:
        raise LayoutError(f"{scan.name}: {reason}") from reason


def _scaled(betas: NDArray[np.float64], values: NDArray[np.float64], zscore: bool) -> NDArray[np.float64]:
    """Betas of one run with zero mean and unit deviation, or in percent of the run's mean."""
    mean = values.mean(axis=0)
    return standardise(betas, betas) if zscore else 100 * betas / np.where(mean > 0, mean, 1.0)


def _labels(scan: Scan) -> dict[str, Any]:
    """Session, task and run of a scan, as columns of its samples."""
    named = {"ses": "session", "task": "task", "run": "run"}
    found = {column: scan.run[key] for key, column in named.items() if key in scan.run}
    return {column: int(value) if value.isdecimal() else value for column, value in found.items()}
