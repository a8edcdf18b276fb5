"""The runs that fMRIPrep left, found by the entities in their names (BIDS derivatives), with their side files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Space
from fusiform.data.timing import row_times
from fusiform.datasets.base import reading
from fusiform.datasets.folder.arrays import (
    THEN,
    check_grid,
    join_sides,
    load_image,
    read_cifti,
    read_mask,
    read_surface,
)
from fusiform.datasets.folder.description import Description, Fmriprep
from fusiform.datasets.folder.tables import check_columns, numeric, read_table
from fusiform.errors import LayoutError, MissingDataError, UnknownNameError
from fusiform.files import read_json
from fusiform.registry import did_you_mean, unknown

__all__ = ["Scan", "entities", "find_scans", "inside_all", "read_confounds", "read_events", "read_scan", "scan_times"]

SUFFIXES = (".nii.gz", ".nii", ".func.gii", ".dtseries.nii")
OWN = ("space", "res", "den", "hemi", "desc")  # entities of a derivative, not of the run that it came from
CONFOUNDS = ("timeseries", "regressors")  # as fMRIPrep calls them since 20.2, and before


@dataclass(frozen=True)
class Scan:
    """One run in one space.

    Args:
        run: entities of the run: sub, ses, task, run, ...
        files: of the responses: one, or the left and right hemisphere's.
        folder: that holds its side files.
    """

    run: Mapping[str, str]
    files: tuple[Path, ...]
    folder: Path

    @property
    def name(self) -> str:
        """Such as `sub-01_task-objects_run-1`."""
        return "_".join(f"{key}-{value}" for key, value in self.run.items())


def entities(file: str) -> dict[str, str]:
    """`sub-01_task-x_run-1_space-T1w_bold.nii.gz` to {sub: 01, task: x, run: 1, space: T1w}, in the order written."""
    pairs = (part.partition("-") for part in file.partition(".")[0].split("_"))
    return {key: value for key, dash, value in pairs if dash}


def find_scans(description: Description, about: Fmriprep, subject: str) -> list[Scan]:
    """All runs of one subject in the space and tasks asked for, in the order of their names.

    Raises:
        MissingDataError: the subject has no folder, or no run.
        UnknownNameError: runs exist, but not in that space or of that task; the message lists what there is.
    """
    folder = description.path(about.derivatives) / _sub(subject)
    found = [path for path in sorted(folder.rglob("*_bold.*")) if path.name.endswith(SUFFIXES)]
    if not found:
        raise MissingDataError(
            f"{folder} holds no run of fMRIPrep (sub-*_task-*_bold.nii.gz, .func.gii or .dtseries.nii); "
            "check fmriprep.derivatives and the name of the subject"
        )
    _check_known("fmriprep.space", about.space, {entities(path.name).get("space", "") for path in found})
    found = [path for path in found if entities(path.name).get("space") == about.space]
    for task in about.tasks:
        _check_known("fmriprep.tasks", task, {entities(path.name).get("task", "") for path in found})
    chosen = [path for path in found if not about.tasks or entities(path.name)["task"] in about.tasks]
    return _grouped(chosen)


def _sub(subject: str) -> str:
    return subject if subject.startswith("sub-") else f"sub-{subject}"


def _check_known(kind: str, name: str, known: set[str]) -> None:
    if name not in known:
        raise UnknownNameError(unknown(kind, name, sorted(known)))


def _grouped(paths: Sequence[Path]) -> list[Scan]:
    """Hemispheres of one run together; several resolutions of one run are an error."""
    runs: dict[str, list[Path]] = {}
    for path in paths:
        runs.setdefault(_run_name(path), []).append(path)
    return [_scan(files) for files in runs.values()]


def _scan(files: Sequence[Path]) -> Scan:
    sides = [entities(path.name).get("hemi") for path in files]
    if len(files) > 1 and sorted(map(str, sides)) != ["L", "R"]:
        raise LayoutError(
            f"one run has {len(files)} images in this space: {', '.join(path.name for path in files)}; "
            "keep one resolution in the folder, for they cannot be told apart"
        )
    return Scan(_own(files[0]), tuple(sorted(files, key=lambda path: path.name)), files[0].parent)


def _own(path: Path) -> dict[str, str]:
    return {key: value for key, value in entities(path.name).items() if key not in OWN}


def _run_name(path: Path) -> str:
    return "_".join(f"{key}-{value}" for key, value in _own(path).items())


def read_scan(scan: Scan, name: str, inside: NDArray[np.bool_] | None) -> tuple[NDArray[Any], Space]:
    """Volumes of a run, [T, V] float32, and where the targets live.

    Args:
        scan: one run.
        name: of the space, and of the mesh of surfaces.
        inside: [X, Y, Z] voxels of volumes; None for surfaces and CIFTI.
    """
    first = scan.files[0]
    if first.name.endswith(".gii"):
        sides: dict[str, list[Any]] = {"L": [], "R": []}
        for path in scan.files:
            sides[entities(path.name)["hemi"]].append(read_surface(path))
        surface = join_sides(name, name, sides["L"], sides["R"])
        return np.asarray(surface.values), surface.space
    if first.name.endswith(".dtseries.nii"):
        cifti = read_cifti([first], name)
        return np.asarray(cifti.values), cifti.space
    image = load_image(first)
    assert inside is not None
    with reading(first, THEN):
        return np.asarray(image.dataobj, dtype=np.float32)[inside].T, Space.voxels(name, inside, image.affine)


def inside_all(scans: Sequence[Scan], mask: Path | None) -> NDArray[np.bool_] | None:
    """[X, Y, Z] voxels to read: of the mask given, else those in the brain masks of all runs; None for surfaces.

    Raises:
        MissingDataError: a run has no brain mask.
        LayoutError: masks lie on several grids, or share no voxel.
    """
    if scans[0].files[0].name.endswith((".gii", ".dtseries.nii")):
        return None
    paths = [mask] if mask is not None else [_brain_mask(scan) for scan in scans]
    masks = [read_mask(path) for path in paths]
    for path in [*paths, *(scan.files[0] for scan in scans)]:
        check_grid(path, load_image(path), masks[0][0].shape, masks[0][1])
    inside = np.all([one for one, _ in masks], axis=0)
    if not inside.any():
        raise LayoutError(f"the brain masks of {len(masks)} runs have no voxel in common; give fmriprep.mask")
    return np.asarray(inside, dtype=np.bool_)


def _brain_mask(scan: Scan) -> Path:
    path = scan.files[0]
    masked = path.with_name(path.name.replace("_desc-preproc_bold", "_desc-brain_mask"))
    if masked == path or not masked.is_file():
        raise MissingDataError(f"{path.name} has no brain mask {masked.name} beside it; give fmriprep.mask")
    return masked


def scan_times(scan: Scan, count: int) -> tuple[NDArray[np.float64], float]:
    """Seconds of the run at which each of `count` volumes was taken, and the TR.

    fMRIPrep writes `RepetitionTime` and `StartTime` (half a TR when slices were brought to the middle one) beside the
    image; without that file the TR is the image's.

    Raises:
        LayoutError: neither gives a TR.
    """
    facts = _sidecar(scan.files[0])
    tr = facts.get("RepetitionTime") or _header_tr(scan.files[0])
    if not isinstance(tr, int | float) or not 0 < tr < 100:
        raise LayoutError(
            f"{scan.files[0].name} has the TR {tr!r}; wanted seconds, as RepetitionTime in the .json beside it"
        )
    return row_times(count, 1 / tr, float(facts.get("StartTime", 0.0))), float(tr)


def _sidecar(path: Path) -> dict[str, Any]:
    stem = next(path.name.removesuffix(suffix) for suffix in SUFFIXES[::-1] if path.name.endswith(suffix))
    side = path.with_name(f"{stem}.json")
    if not side.is_file():
        return {}
    with reading(side, THEN):
        return dict(read_json(side))


def _header_tr(path: Path) -> float | None:
    image = load_image(path)
    if path.name.endswith(".dtseries.nii"):
        return float(image.header.get_axis(0).step)
    if path.name.endswith(".gii"):  # fMRIPrep writes it in milliseconds, other programs in seconds
        step = image.darrays[0].metadata.get("TimeStep")
        return None if step is None else float(step) / (1000 if float(step) > 100 else 1)
    zooms, unit = image.header.get_zooms(), image.header.get_xyzt_units()[1]
    return float(zooms[3]) / (1000 if unit == "msec" else 1) if len(zooms) > 3 else None


def read_confounds(scan: Scan, wanted: Sequence[str], count: int) -> pd.DataFrame:
    """The confounds asked for, [T, K]; what fMRIPrep leaves out (n/a, such as a first difference) is the column's mean.

    Args:
        scan: one run.
        wanted: columns; `*` stands for anything, as in `a_comp_cor_0*`.
        count: volumes of the run.

    Raises:
        MissingDataError: the run has no table of confounds.
        LayoutError: it lacks a column or holds nothing in one, or has not as many rows as the run has volumes.
    """
    files = [scan.folder / f"{scan.name}_desc-confounds_{suffix}.tsv" for suffix in CONFOUNDS]
    path = next((file for file in files if file.is_file()), None)
    if not wanted:
        return pd.DataFrame(index=range(count))
    if path is None:
        raise MissingDataError(
            f"{scan.name} has no {files[0].name}; put it beside the run, or set fmriprep.confounds to []"
        )
    table = read_table(path)
    names: dict[str, None] = {}
    for pattern in wanted:
        matched = [name for name in table.columns if fnmatchcase(name, pattern)]
        if not matched:
            check_columns(table, path, pattern)
        names |= dict.fromkeys(matched)
    if len(table) != count:
        raise LayoutError(f"{path} has {len(table)} rows; wanted {count}, one for each volume of {scan.name}")
    values = pd.DataFrame({name: numeric(table[name], path).astype(float) for name in names})
    if empty := values.columns[values.isna().all()].tolist():
        raise LayoutError(f"{path} holds no number in column {empty[0]!r}; leave it out of fmriprep.confounds")
    return values.fillna(values.mean())


def read_events(description: Description, about: Fmriprep, scan: Scan, known: Mapping[str, str]) -> pd.DataFrame:
    """Events of a run that show a stimulus: `onset`, `duration` (seconds of the run) and `stimulus` (an id), in order.

    The file nearest to the run counts, as BIDS inherits: that of the run, else of its task.

    Args:
        description: of the dataset.
        about: its fMRIPrep part.
        scan: one run.
        known: what events may call a stimulus -> its id.

    Raises:
        MissingDataError: the run has no events.
        LayoutError: a column is missing, or an event names what is no stimulus.
    """
    path = _events_file(description.path(about.events), scan)
    table = read_table(path, "onset", "duration", about.stimulus)
    if about.trial_types:
        check_columns(table, path, "trial_type")
        for name in about.trial_types:
            _check_known(f"trial_type of {path.name}", name, set(table["trial_type"]))
        table = table[table["trial_type"].isin(about.trial_types)]
    table = table[~table[about.stimulus].isin(("", "n/a"))]
    if strange := [name for name in table[about.stimulus] if name not in known]:
        raise LayoutError(
            f"{path} shows {strange[0]!r}, which is neither an id nor a file of the table of stimuli"
            f"{did_you_mean(strange[0], known)}; add it there, or choose events with fmriprep.trial_types"
        )
    if not len(table):
        raise LayoutError(
            f"{path} has no event that names a stimulus in column {about.stimulus!r}; check fmriprep.stimulus"
        )
    shown = pd.DataFrame({name: numeric(table[name], path).astype(float) for name in ("onset", "duration")})
    shown["stimulus"] = [known[name] for name in table[about.stimulus]]
    return shown.fillna({"duration": 0.0}).sort_values("onset", kind="stable").reset_index(drop=True)


def _events_file(root: Path, scan: Scan) -> Path:
    sub = root / f"sub-{scan.run['sub']}"
    candidates = [*root.glob("*_events.tsv"), *sub.rglob("*_events.tsv")]
    fitting = [path for path in candidates if entities(path.name).items() <= scan.run.items()]
    if not fitting:
        raise MissingDataError(
            f"{scan.name} has no events: no {scan.name}_events.tsv below {sub}; set fmriprep.events to the BIDS folder"
        )
    return max(fitting, key=lambda path: len(entities(path.name)))
