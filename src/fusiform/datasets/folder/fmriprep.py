"""The runs that fMRIPrep left, found by the entities in their names (BIDS derivatives)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusiform.datasets.folder.arrays import (
    Measured,
    check_grid,
    join_sides,
    open_cifti,
    open_surface,
    open_volumes,
    read_mask,
)
from fusiform.datasets.folder.description import Description, Fmriprep
from fusiform.datasets.folder.stored import load_image
from fusiform.errors import LayoutError, MissingDataError, UnknownNameError
from fusiform.registry import unknown

__all__ = ["CIFTI", "SUFFIXES", "Scan", "entities", "find_scans", "inside_all", "open_scan", "suffix"]

CIFTI = ".dtseries.nii"
SUFFIXES = (".nii.gz", ".nii", ".func.gii", CIFTI)
OWN = ("space", "res", "den", "hemi", "desc", "echo")  # entities of a derivative, not of the run that it came from
PREPARED = "preproc"  # what fMRIPrep calls its own result; its surfaces and CIFTI have no desc
NATIVE = "func"  # what fMRIPrep's command line calls the grid of the run itself, which no file name says


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

    @property
    def form(self) -> str:
        """What its image is, such as `res-2 desc-preproc .nii`."""
        given = {"desc": PREPARED, **entities(self.files[0].name)}
        kept = [f"{key}-{given[key]}" for key in ("res", "den", "desc") if key in given]
        return " ".join([*kept, suffix(self.files[0]).removesuffix(".gz")])


def entities(file: str) -> dict[str, str]:
    """`sub-01_task-x_run-1_space-T1w_bold.nii.gz` to {sub: 01, task: x, run: 1, space: T1w}, in the order written."""
    pairs = (part.partition("-") for part in file.partition(".")[0].split("_"))
    return {key: value for key, dash, value in pairs if dash}


def find_scans(description: Description, about: Fmriprep, subject: str) -> list[Scan]:
    """All runs of one subject in the space and tasks asked for, in the order of their names.

    Raises:
        MissingDataError: the subject has no folder, or no run.
        UnknownNameError: runs exist, but not in that space or of that task; the message lists what there is.
        LayoutError: a run has several images that cannot be told apart, or single echoes only, or runs are of several
            forms.
    """
    folder = description.path(about.derivatives) / _sub(subject)
    found = [path for path in sorted(folder.rglob("*_bold.*")) if path.name.endswith(SUFFIXES)]
    if not found:
        raise MissingDataError(
            f"{folder} holds no run of fMRIPrep (sub-*_task-*_bold.nii.gz, .func.gii or .dtseries.nii); "
            "check fmriprep.derivatives and the name of the subject"
        )
    _check_known("fmriprep.space", about.space, {_space(path) for path in found})
    found = [path for path in found if _space(path) == about.space]
    for task in about.tasks:
        _check_known("fmriprep.tasks", task, {_task(path) for path in found})
    scans = _grouped([path for path in found if not about.tasks or _task(path) in about.tasks])
    if len(forms := sorted({scan.form for scan in scans})) > 1:
        raise LayoutError(
            f"the runs of {subject} are of several forms ({'; '.join(forms)}); wanted all of one: remove the others "
            "from the folder, or have fMRIPrep make what is missing"
        )
    return scans


def _sub(subject: str) -> str:
    return subject if subject.startswith("sub-") else f"sub-{subject}"


def _space(path: Path) -> str:
    return entities(path.name).get("space", NATIVE)


def _task(path: Path) -> str:
    return entities(path.name).get("task", "")


def suffix(path: Path) -> str:
    """How the name of an image ends, one of `SUFFIXES`."""
    return next(ending for ending in SUFFIXES[::-1] if path.name.endswith(ending))


def _check_known(kind: str, name: str, known: set[str]) -> None:
    if name not in known:
        raise UnknownNameError(unknown(kind, name, sorted(known)))


def _grouped(paths: Sequence[Path]) -> list[Scan]:
    """Hemispheres of one run together; several resolutions of one run are an error."""
    runs: dict[str, list[Path]] = {}
    for path in paths:
        runs.setdefault(_run_name(path), []).append(path)
    return [_scan(files) for files in runs.values()]


def _scan(paths: Sequence[Path]) -> Scan:
    files = _wanted(paths)
    sides = [entities(path.name).get("hemi") for path in files]
    if len(files) > 1 and sorted(map(str, sides)) != ["L", "R"]:
        raise LayoutError(
            f"one run has {len(files)} images in this space: {', '.join(path.name for path in files)}; "
            "keep one resolution and one desc in the folder, for they cannot be told apart"
        )
    return Scan(_own(files[0]), tuple(sorted(files, key=lambda path: path.name)), files[0].parent)


def _wanted(paths: Sequence[Path]) -> list[Path]:
    """Of the images of one run those that are meant.

    No single echoes; what was preprocessed before what was smoothed or denoised after; CIFTI before the surfaces in it.
    """
    found = [path for path in paths if "echo" not in entities(path.name)]
    if not found:
        raise LayoutError(
            f"{paths[0].name} is one echo of a run whose echoes were not combined; wanted a file of all echoes without "
            "'echo' in its name: let fMRIPrep combine them"
        )
    prepared = [path for path in found if entities(path.name).get("desc", PREPARED) == PREPARED] or found
    return [path for path in prepared if path.name.endswith(CIFTI)] or prepared


def _own(path: Path) -> dict[str, str]:
    return {key: value for key, value in entities(path.name).items() if key not in OWN}


def _run_name(path: Path) -> str:
    return "_".join(f"{key}-{value}" for key, value in _own(path).items())


def open_scan(scan: Scan, name: str, inside: NDArray[np.bool_] | None) -> Measured:
    """Volumes of a run, [T, V], not read yet, and where the targets live.

    Args:
        scan: one run.
        name: of the space, and of the mesh of surfaces.
        inside: [X, Y, Z] voxels of volumes; None for surfaces and CIFTI.
    """
    if scan.files[0].name.endswith(".gii"):
        left, right = (
            [open_surface(path) for path in scan.files if entities(path.name)["hemi"] == side] for side in "LR"
        )
        return join_sides(name, name, left, right)
    return open_cifti(scan.files, name) if inside is None else open_volumes(scan.files, name, inside)


def inside_all(scans: Sequence[Scan], mask: Path | None) -> NDArray[np.bool_] | None:
    """[X, Y, Z] voxels to read: of the mask given, else those in the brain masks of all runs; None for surfaces.

    Raises:
        MissingDataError: a run has no brain mask.
        LayoutError: masks lie on several grids, or share no voxel.
    """
    if scans[0].files[0].name.endswith((".gii", CIFTI)):
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
