"""Whether responses and films agree: the segments that a subject has no responses to, the lengths of the others."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from fusiform.datasets.algonauts2025.clock import TR
from fusiform.datasets.algonauts2025.films import film_length, segments_here, video_of
from fusiform.datasets.algonauts2025.responses import Measured
from fusiform.datasets.algonauts2025.segments import MISSING
from fusiform.datasets.roots import is_here
from fusiform.errors import AlignmentError

__all__ = ["check_lengths", "check_trim", "unanswered", "warn_missing"]


def unanswered(folder: Path, films: Sequence[str], measured: Sequence[Measured]) -> list[str]:
    """Segments of the films that are here as stimuli and were not measured.

    Args:
        folder: the folder `stimuli`.
        films: of `segments.FILMS`.
        measured: what there is of one subject.
    """
    table, there = segments_here(folder), {one.series.segment for one in measured}
    return [str(segment) for segment in table.index[table["film"].isin(films)] if segment not in there]


def warn_missing(subject: str, lacking: Sequence[str]) -> None:
    """Name the segments that a subject lacks, but for those that the publisher names as missing."""
    unknown = [segment for segment in lacking if segment not in MISSING.get(subject, ())]
    if unknown:
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        warnings.warn(
            f"{subject} has no responses to {len(unknown)} segments that are here as films ({shown}), although they "
            "were published; they are left out for this subject only",
            stacklevel=3,
        )


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
