"""Submissions: one pickled dict subject -> segment -> float32 [T, 1000] within a zip, as the challenge takes it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np

from fusiform.data import Array
from fusiform.datasets.algonauts2025.responses import PARCELS
from fusiform.datasets.algonauts2025.segments import film_of
from fusiform.datasets.npy import read_mapping, read_mapping_of, write_mapping
from fusiform.datasets.roots import require
from fusiform.datasets.submission import check_names, checked, members
from fusiform.errors import LayoutError
from fusiform.files import atomic

__all__ = ["PHASES", "Counts", "check", "read_counts", "write"]

PHASES = {"friends-s7": "friends-s07", "ood": "ood-"}  # phase -> how its films begin
Counts = dict[str, int]  # segment -> number of volumes


def read_counts(folder: Path, subject: str, phase: str, trust_pickle: bool) -> Counts:
    """How many volumes of every withheld segment there are, in the order of their names.

    Args:
        folder: the folder `fmri`.
        subject: such as `"sub-01"`.
        phase: of `PHASES`.
        trust_pickle: whether the user trusts the file, which is a pickle.

    Raises:
        MissingDataError: the file is not here.
        SettingsError: it is not trusted.
        LayoutError: it does not hold segments of the phase and numbers of volumes.
    """
    name = f"{subject}_{phase}_fmri_samples.npy"
    places = [folder / subject / within / name for within in ("target_sample_number", "target_samples_number")]
    path = require(next((place for place in places if place.exists()), places[0]))
    counts = read_mapping(path, trust_pickle)
    if not counts:
        raise LayoutError(f"{path} names no segment; wanted those of {phase!r}; get the file again")
    for segment, count in counts.items():
        film = film_of(segment) if isinstance(segment, str) else None
        whole = isinstance(count, int | np.integer) and not isinstance(count, bool) and count > 0
        if film is None or not film.startswith(PHASES[phase]) or not whole:
            raise LayoutError(f"{path} says {segment!r}: {count!r}; wanted segments of {phase!r} and volumes above 0")
    return {segment: int(counts[segment]) for segment in sorted(counts)}


def write(predictions: Mapping[str, Array], wanted: Mapping[str, Counts], path: Path, phase: str) -> Path:
    """Cut the predictions of every subject into segments, and pack them.

    Args:
        predictions: subject -> [N, 1000], the segments of `wanted` below each other.
        wanted: subject -> segment -> volumes.
        path: of the zip.
        phase: names the file within.

    Raises:
        LayoutError: a subject is missing, or one too many.
        DataError: predictions have the wrong shape or type, or are not finite.
    """
    check_names(list(predictions), list(wanted), "the set of predictions", "subject")
    packed = {subject: _cut(predictions[subject], counts, subject) for subject, counts in wanted.items()}
    with (
        atomic(path) as new,
        ZipFile(new, "w") as archive,
        archive.open(f"fmri_predictions_{phase.replace('-', '_')}.npy", "w", force_zip64=True) as file,
    ):
        write_mapping(file, packed)
    return path


def _cut(values: Array, counts: Counts, subject: str) -> dict[str, Any]:
    found = checked(values, (sum(counts.values()), PARCELS), repr(subject))
    edges = np.cumsum(list(counts.values()))[:-1]
    return dict(zip(counts, np.split(found, edges), strict=True))


def check(path: Path, wanted: Mapping[str, Counts], trust_pickle: bool) -> None:
    """Refuse a zip that is not exactly what the challenge takes.

    Args:
        path: of the zip.
        wanted: subject -> segment -> volumes.
        trust_pickle: whether the user trusts the zip, which holds a pickle.

    Raises:
        MissingDataError: there is no file.
        SettingsError: it is not trusted.
        LayoutError: it holds anything else than one `.npy` at its top with a dict subject -> segment -> array, a
            subject or segment is missing or unknown, or an array is no float32 of the shape wanted, or not finite.
    """
    names = members(path)
    if len(names) != 1 or not names[0].endswith(".npy") or "/" in names[0]:
        raise LayoutError(f"{path} holds {', '.join(names) or 'nothing'}; wanted one .npy file, not in a folder")
    with ZipFile(path) as archive, archive.open(names[0]) as file:
        found = read_mapping_of(file, trust_pickle, f"{names[0]} of {path}")
    check_names(list(found), list(wanted), str(path), "subject")
    for subject, counts in wanted.items():
        if not isinstance(found[subject], dict):
            raise LayoutError(f"{subject!r} of {path} is a {type(found[subject]).__name__}; wanted a dict of segments")
        check_names(list(found[subject]), list(counts), f"{subject!r} of {path}", "segment")
        for segment, count in counts.items():
            _check_array(found[subject][segment], (count, PARCELS), f"{segment!r} of {subject!r} of {path}")


def _check_array(values: Any, shape: tuple[int, int], what: str) -> None:
    if not isinstance(values, np.ndarray):
        raise LayoutError(f"{what} is a {type(values).__name__}; wanted a numpy array")
    if values.dtype != np.float32 or values.shape != shape:
        raise LayoutError(f"{what} is {values.dtype} of the shape {values.shape}; wanted float32 of {shape}")
    if not np.isfinite(values).all():
        raise LayoutError(f"{what} holds {int((~np.isfinite(values)).sum())} NaN or infinite values; wanted none")
