"""The streams of a recording that backbones of time read."""

from typing import Any

from fusiform.data import Recording, Sound, Video
from fusiform.errors import DataError

__all__ = ["sound_of", "video_of"]


def video_of(recording: Any) -> Video:
    """What was seen.

    Raises:
        DataError: the recording has no video.
    """
    video = recording.video if isinstance(recording, Recording) else recording
    if not isinstance(video, Video):
        raise DataError(_lacking(recording, "video", "frames(times)"))
    return video


def sound_of(recording: Any) -> Sound:
    """What was heard.

    Raises:
        DataError: the recording has no sound.
    """
    sound = recording.sound if isinstance(recording, Recording) else recording
    if not isinstance(sound, Sound):
        raise DataError(_lacking(recording, "sound", "samples(start, stop)"))
    return sound


def _lacking(recording: Any, stream: str, method: str) -> str:
    if not isinstance(recording, Recording):
        return f"a stimulus is a {type(recording).__name__}; wanted a Recording, or something with {method}"
    there = {"video": recording.video, "sound": recording.sound, "words": len(recording.words) or None}
    brought = [name for name, value in there.items() if value is not None] + list(recording.tracks)
    return f"the recording has no {stream}, which this backbone reads; it has: {', '.join(brought) or 'nothing'}"
