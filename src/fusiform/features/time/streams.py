"""The streams of a recording that backbones of time read, as long as the recording lasts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusiform.data import Recording, Sound, Video
from fusiform.data.mediafiles import check_span, check_times
from fusiform.data.timing import row_at
from fusiform.errors import DataError

__all__ = ["sound_of", "video_of"]

_METHODS = {"video": "frames(times)", "sound": "samples(start, stop)"}
_INSTANT = 1e-6  # seconds before its end at which the last frame of a recording is looked for
Stream = TypeVar("Stream")


def video_of(recording: Any) -> Video:
    """What was seen until the recording ended: a file may go on for longer, or end before; its last frame then stays.

    Raises:
        DataError: the recording has no video.
    """
    return _stream(recording, "video", Video, _FittedVideo)


def sound_of(recording: Any) -> Sound:
    """What was heard until the recording ended: a file may go on for longer, or end before; silence then follows.

    Raises:
        DataError: the recording has no sound.
    """
    return _stream(recording, "sound", Sound, _FittedSound)


def _stream(recording: Any, name: str, kind: Any, fitted: Callable[[Stream, float], Stream]) -> Stream:
    """A stream of a recording, made to last as long as that; what is no recording is the stream itself."""
    stream = getattr(recording, name) if isinstance(recording, Recording) else recording
    if not isinstance(stream, kind):
        raise DataError(_lacking(recording, name))
    found: Stream = stream
    return found if stream.duration == recording.duration else fitted(found, recording.duration)


@dataclass(frozen=True)
class _FittedVideo:
    """A video that lasts as long as its recording."""

    video: Video
    duration: float

    @property
    def rate(self) -> float:
        return self.video.rate

    @property
    def size(self) -> tuple[int, int]:
        return self.video.size

    def frames(self, times: ArrayLike) -> NDArray[np.uint8]:
        return self.video.frames(np.minimum(check_times(times), self.duration - _INSTANT))


@dataclass(frozen=True)
class _FittedSound:
    """A sound that lasts as long as its recording."""

    sound: Sound
    duration: float

    @property
    def rate(self) -> int:
        return self.sound.rate

    def samples(self, start: float, stop: float) -> NDArray[np.float32]:
        first, last = check_span(start, stop, self.duration).tolist()
        found = self.sound.samples(first, last)
        count = int(row_at(last, self.rate)) - int(row_at(first, self.rate))
        return np.pad(found, (0, max(0, count - len(found))))


def _lacking(recording: Any, stream: str) -> str:
    if not isinstance(recording, Recording):
        return f"a stimulus is a {type(recording).__name__}; wanted a Recording, or something with {_METHODS[stream]}"
    there = {"video": recording.video, "sound": recording.sound, "words": len(recording.words) or None}
    brought = [name for name, value in there.items() if value is not None]
    brought += [f"the track {name!r}" for name in recording.tracks]
    return f"the recording has no {stream}, which this backbone reads; it has: {', '.join(brought) or 'nothing'}"
