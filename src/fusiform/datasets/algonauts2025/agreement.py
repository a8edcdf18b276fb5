"""Whether responses and films agree: the series that a subject lacks, the lengths of the others."""

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from fusiform.datasets.algonauts2025.clock import TR
from fusiform.datasets.algonauts2025.films import film_length, segments_here, video_of
from fusiform.datasets.algonauts2025.responses import Measured
from fusiform.datasets.algonauts2025.segments import FILMS, MISSING, film_of, names_of
from fusiform.datasets.roots import is_here
from fusiform.errors import AlignmentError

__all__ = ["check_lengths", "check_trim", "unanswered", "warn_missing"]


def unanswered(
    subject: str, films: Sequence[str], measured: Sequence[Measured], others: Iterable[str], folder: Path | None
) -> list[str]:
    """Names of the series that a subject lacks, in the order of `FILMS`.

    Known are those that the publisher names as missing, those that others have, and those whose stimuli are here.

    Args:
        subject: whose `measured` are.
        films: of `segments.FILMS`, whose series are meant.
        measured: what there is of the subject.
        others: names of series that other subjects have.
        folder: the folder `stimuli`, where there is one.
    """
    here = [] if folder is None else [name for segment in segments_here(folder).index for name in names_of(segment)]
    lacking = {*MISSING.get(subject, ()), *others, *here} - {one.series.name for one in measured}
    film = {name: str(film_of(name.partition("_run-")[0])) for name in lacking}
    return sorted((name for name in lacking if film[name] in films), key=lambda name: (FILMS.index(film[name]), name))


def warn_missing(subject: str, lacking: Sequence[str]) -> None:
    """Name the series that a subject lacks: as published, or although they were."""
    published = [name for name in lacking if name in MISSING.get(subject, ())]
    lost = [name for name in lacking if name not in published]
    parts = [f"{_listed(published)} (as published)"] if published else []
    parts += [f"{_listed(lost)} (which others saw, or whose films are here: get its files again)"] if lost else []
    if parts:
        warnings.warn(
            f"{subject} has no responses to {' and to '.join(parts)}; left out for this subject only", stacklevel=3
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def check_lengths(folder: Path, subject: str, measured: Sequence[Measured], tolerance: int | None) -> None:
    """Compare the length of every series with that of its film, where that is here.

    Args:
        folder: the folder `stimuli`.
        subject: for errors.
        measured: series.
        tolerance: volumes by which they may differ; None compares nothing.

    Raises:
        AlignmentError: a series is too long or too short.
    """
    for one in [] if tolerance is None else measured:
        video, seconds = video_of(folder, one.series.segment), one.volumes * TR
        if is_here(video) and abs(seconds - film_length(video)) > (tolerance or 0) * TR:
            raise AlignmentError(
                f"{one.series.key!r} of {subject!r} has {one.volumes} volumes ({seconds:.1f} s) and its film lasts "
                f"{film_length(video):.1f} s; they may differ by {tolerance} volumes (the challenge scores none of the "
                "first and last five): get both files again, or raise `tolerance`"
            )


def check_trim(subject: str, measured: Sequence[Measured], trim: int) -> None:
    """Raise AlignmentError where nothing is left of a series once its ends are left out."""
    if short := [one for one in measured if one.volumes <= 2 * trim]:
        raise AlignmentError(
            f"{short[0].series.key!r} of {subject!r} has {short[0].volumes} volumes, and {trim} are left out at either "
            "end; lower `trim`"
        )
