"""Films and transcripts: where each segment's files lie, and what is in them."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pandas as pd

from fusiform.data import Recording
from fusiform.data.media import FileSound, FileVideo
from fusiform.datasets.algonauts2025.segments import FILMS, film_of
from fusiform.datasets.algonauts2025.transcripts import read_transcript
from fusiform.datasets.roots import is_here
from fusiform.errors import MissingDataError

__all__ = ["Projector", "film_length", "segments_here", "transcript_of", "video_of"]


def video_of(folder: Path, segment: str) -> Path:
    """Where the film of a segment lies, in the folder `stimuli`."""
    task, _, name = str(film_of(segment)).partition("-")
    parts = {
        "friends": f"s{name[-1]}/friends_{segment}.mkv",
        "movie10": f"{name}/{segment}.mkv",
        "ood": f"{name}/task-{segment}_video.mkv",
    }
    return folder / "movies" / task / parts[task]


def transcript_of(folder: Path, segment: str) -> Path:
    """Where the transcript of a segment lies, in the folder `stimuli`; not all have one."""
    task, _, name = str(film_of(segment)).partition("-")
    within = f"s{name[-1]}" if task == "friends" else name
    return folder / "transcripts" / task / within / f"{task}_{segment}.tsv"


def segments_here(folder: Path) -> pd.DataFrame:
    """Every segment with a film or a transcript here, in the order of `FILMS`: `film`, `video`, `transcript` (bool)."""
    found = sorted(set(_segments(folder)), key=lambda segment: (FILMS.index(str(film_of(segment))), segment))
    table = {
        "film": [film_of(segment) for segment in found],
        "video": [is_here(video_of(folder, segment)) for segment in found],
        "transcript": [is_here(transcript_of(folder, segment)) for segment in found],
    }
    here = pd.DataFrame(table, index=found)
    return here[here["video"] | here["transcript"]]


def _segments(folder: Path) -> Iterator[str]:
    """Names of segments for which there is a file; what else lies there (whole films, notes) is passed over."""
    for path in [*folder.glob("movies/*/*/*.mkv"), *folder.glob("transcripts/*/*/*.tsv")]:
        name = path.stem.removeprefix("task-").removesuffix("_video").rpartition("_")[2]
        if film_of(name) and path in (video_of(folder, name), transcript_of(folder, name)):
            yield name


def film_length(path: Path) -> float:
    """Seconds that a film lasts, remembered until the file changes.

    Raises:
        MissingExtraError: the package `av` is not installed.
        LayoutError: it cannot be read.
    """
    return _film_length(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1024)
def _film_length(path: Path, changed: int) -> float:
    return FileVideo(path).duration


class Projector:
    """Loads segments: films are opened when they are read, transcripts at once.

    Args:
        folder: the folder `stimuli`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, segment: str) -> Recording:
        """A segment's picture, sound and words, as far as they are here.

        Raises:
            MissingDataError: neither a film nor a transcript is here.
            LayoutError: a file cannot be read.
            MissingExtraError: there is a film and the package `av` is not installed.
        """
        video, transcript = video_of(self.folder, segment), transcript_of(self.folder, segment)
        if not is_here(video) and not is_here(transcript):
            raise MissingDataError(f"neither {video} nor {transcript} is here; run 'datalad get' for one of them")
        words, length = read_transcript(transcript) if is_here(transcript) else (_NO_WORDS.copy(), 0.0)
        if not is_here(video):
            return Recording(length, words=words)
        return Recording(film_length(video), words=words, video=FileVideo(video), sound=FileSound(video))


_NO_WORDS = pd.DataFrame(
    {"text": pd.Series(dtype=str), "start": pd.Series(dtype=float), "stop": pd.Series(dtype=float)}
)
