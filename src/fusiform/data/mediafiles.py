"""Video and audio files, decoded as far as they are read, forward from where the last reading ended."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusiform.data.timing import row_at
from fusiform.errors import DataError, LayoutError
from fusiform.registry import need

__all__ = ["FileSound", "FileVideo", "check_span", "check_times"]

_SLACK = 1.0  # seconds by which a header may promise more than the file holds; codecs round at the end
_NEAR = 10.0  # seconds ahead up to which decoding on is quicker than looking for a key frame
_FRAMES, _MEMORY = 512, 1 << 28  # decoded frames that are kept for windows that overlap, and bytes of them, at most
_KEPT = 120.0  # seconds of sound that stay decoded, so that overlapping windows are read once
_AHEAD = 10.0  # seconds of sound decoded beyond what is asked for, so that many short readings copy little
_HOLE = 0.05  # seconds between packets of sound above which they do not adjoin: times are often rounded to 1 ms
_MICROSECOND = 1e-6


def check_times(times: ArrayLike) -> NDArray[np.float64]:
    """Times [T] in seconds.

    Raises:
        DataError: they are not one row of finite numbers.
    """
    checked = np.asarray(times, dtype=np.float64)
    if checked.ndim != 1 or not np.isfinite(checked).all():
        raise DataError(f"times of frames have the shape {checked.shape}; wanted [T] finite seconds, got {times!r}")
    return checked


def check_span(start: float, stop: float, duration: float) -> NDArray[np.float64]:
    """`[start, stop]` in seconds, what lies outside of 0 to `duration` cut off.

    Raises:
        DataError: a time is not finite, or `stop` comes before `start`.
    """
    span = np.array([start, stop], dtype=np.float64)
    if not np.isfinite(span).all() or stop < start:
        raise DataError(f"a sound was asked for from {start} to {stop} s; wanted finite times in this order")
    return np.clip(span, 0.0, duration)


class _Frame(NamedTuple):
    """A decoded frame, and from when to when it is on screen (seconds)."""

    start: float
    stop: float
    picture: Any


class _File:
    """One stream of a media file, opened when first needed; times count from the beginning of the file.

    The beginning is that of the stream that starts first, so that picture and sound of a file stay together.
    """

    _type = ""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}  # an open file goes to no other process

    @cached_property
    def duration(self) -> float:
        """In seconds, from the beginning of the file to the end of this stream, as its header says."""
        stream, container = self._stream, self._stream.container
        end = _tagged(stream.metadata.get("DURATION"))  # Matroska keeps it there, on the clock of the file
        if end is None and stream.duration:
            end = float(((stream.start_time or 0) + stream.duration) * stream.time_base)
        if end is None and container.duration:
            return float(container.duration * _MICROSECOND)
        if end is None:
            raise LayoutError(f"{self.path} does not say how long it is; it is truncated, or wants to be remuxed")
        return end - self._origin

    @cached_property
    def _stream(self) -> Any:
        with self._read() as av:
            streams = [stream for stream in av.open(str(self.path)).streams if stream.type == self._type]
        if not streams:
            raise LayoutError(f"{self.path} holds no {self._type}; wanted a file with one")
        streams[0].thread_type = "AUTO"
        return streams[0]

    @cached_property
    def _origin(self) -> float:
        return float((self._stream.container.start_time or 0) * _MICROSECOND)

    @contextmanager
    def _read(self) -> Iterator[Any]:
        """The package `av`; whatever it raises meanwhile becomes one sentence that names the file."""
        av = need("av", extra="media")
        try:
            yield av
        except (av.FFmpegError, OSError, ValueError) as reason:
            if isinstance(reason, LayoutError):
                raise
            raise LayoutError(
                f"cannot read {self.path} ({type(reason).__name__}: {reason}); wanted a media file that FFmpeg "
                "decodes: it is missing, truncated or of another format"
            ) from reason

    def _check_end(self, end: float) -> None:
        if end < self.duration - _SLACK:
            raise LayoutError(
                f"the {self._type} of {self.path} ends after {end:.1f} s, and its header says {self.duration:.1f} s; "
                "it is truncated: get it again"
            )


class FileVideo(_File):
    """The first video stream of a file, such as `FileVideo("friends_s01e01a.mkv")`; see `media.Video`.

    Frames are placed by their presentation times, so variable rates are right. Reading forward decodes each frame once,
    and the last 512 (or 256 MiB) are kept for windows that overlap; going back further starts at the key frame
    before.

    Args:
        path: of the file.

    Raises:
        MissingExtraError: the package `av` is not installed (when first read).
        LayoutError: the file cannot be read, holds no video, or is truncated (when first read).
    """

    _type = "video"

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self._shown: _Frame | None = None
        self._next: _Frame | None = None
        self._past: deque[_Frame] = deque()
        self._decoded: Iterator[Any] = iter(())

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    @property
    def rate(self) -> float:
        """Frames per second; their mean where it varies."""
        return float(self._stream.average_rate or self._stream.guessed_rate)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self._stream.codec_context.height, self._stream.codec_context.width

    def frames(self, times: ArrayLike) -> NDArray[np.uint8]:
        """The frame on screen at each time, see `media.Video`."""
        wanted, place = np.unique(check_times(times), return_inverse=True)
        shown = np.empty((len(wanted), *self.size, 3), dtype=np.uint8)
        with self._read():
            for row, time in enumerate(wanted.tolist()):
                shown[row] = self._at(time)
        return shown[place]

    def _at(self, time: float) -> NDArray[np.uint8]:
        time = max(0.0, time) + _MICROSECOND  # slack: a frame's own time may be rounded either way
        past = reversed(self._past) if self._shown is not None and time < self._shown.start else ()
        frame = next((frame for frame in past if frame.start <= time < frame.stop), None)
        height, width = self.size
        picture = (frame or self._reach(time)).picture.to_ndarray(format="rgb24", width=width, height=height)
        return np.asarray(picture, dtype=np.uint8)

    def _reach(self, time: float) -> _Frame:
        """Decode until the frame at a time is the one that is shown."""
        if self._shown is None or not self._shown.start <= time <= self._shown.start + _NEAR:
            self._seek(time)
        while self._next is not None and self._next.start <= time:
            if self._shown is not None:
                self._past.append(self._shown._replace(stop=self._next.start))
            self._shown, self._next = self._next, self._decode()
        if self._shown is None:
            raise LayoutError(f"{self.path} holds no frame that can be decoded; it is truncated: get it again")
        return self._shown

    def _seek(self, time: float) -> None:
        """Go to the key frame at or before a time; some indices point behind it, then from the start."""
        for target in (time, 0.0):
            stream = self._stream
            stream.container.seek(int((target + self._origin) / stream.time_base), stream=stream)
            self._decoded = stream.container.decode(stream)
            self._shown = self._next = None
            fitting = _MEMORY * 2 // 3 // (self.size[0] * self.size[1])  # 12 bits a pixel
            self._past = deque(maxlen=min(_FRAMES, max(1, fitting)))
            self._shown = self._decode()
            self._next = self._decode()
            if self._shown is not None and self._shown.start <= time:
                return

    def _decode(self) -> _Frame | None:
        picture = next(self._decoded, None)
        if picture is None:
            if last := self._next or self._shown:
                self._check_end(last.stop)
            return None
        if picture.time is None:
            raise LayoutError(f"{self.path} does not say when its frames are shown; remux it: ffmpeg -i FILE out.mkv")
        length = float(picture.duration * picture.time_base) if picture.duration else 1 / self.rate
        start = picture.time - self._origin
        return _Frame(start, start + length, picture)


class FileSound(_File):
    """The first audio stream of a file, the mean of its channels; see `media.Sound`.

    It is decoded forward from its beginning, and the last two minutes are kept, so that overlapping windows are decoded
    once and no sample depends on the order of reading. Going back further starts anew.

    Args:
        path: of the file.

    Raises:
        MissingExtraError: the package `av` is not installed (when first read).
        LayoutError: the file cannot be read, holds no sound, or is truncated (when first read).
    """

    _type = "audio"

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self._first = 0  # number of the first sample kept
        self._kept = np.empty(0, dtype=np.float32)
        self._decoded: Iterator[NDArray[np.float32]] | None = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    @property
    def rate(self) -> int:
        """Samples per second (Hz)."""
        return int(self._stream.rate)

    def samples(self, start: float, stop: float) -> NDArray[np.float32]:
        """The samples between two times, see `media.Sound`."""
        first, last = row_at(check_span(start, stop, self.duration), self.rate).tolist()
        if self._decoded is None or first < self._first:
            self._rewind()
        with self._read():
            self._advance(first, last)
        return self._kept[first - self._first : last - self._first].copy()

    def _rewind(self) -> None:
        with self._read():
            self._stream.container.seek(0)
        self._first, self._kept, self._decoded = 0, np.empty(0, dtype=np.float32), self._pieces()

    def _advance(self, first: int, last: int) -> None:
        """Decode until sample `last` is there; keep from `first` on, and two minutes before the end."""
        pieces, end = [self._kept], self._first + len(self._kept)
        wanted = last + int(_AHEAD * self.rate) if end < last else last
        while end < wanted:
            piece = next(self._decoded or iter(()), None)
            if piece is None and end >= last:
                break
            if piece is None:
                self._check_end(end / self.rate)
                piece = np.zeros(last - end, dtype=np.float32)  # what the header rounded up, at most a second
            pieces.append(piece)
            end += len(piece)
        kept = np.concatenate(pieces)
        surplus = max(0, min(first, end - int(_KEPT * self.rate)) - self._first)
        self._first, self._kept = self._first + surplus, kept[surplus:]

    def _pieces(self) -> Iterator[NDArray[np.float32]]:
        """The sound, packet by packet, without overlap; silence where packets leave a hole."""
        resampler = need("av", extra="media").AudioResampler(format="fltp")  # other numbers, the same channels and rate
        end = 0
        for decoded in self._stream.container.decode(self._stream):
            start = end if decoded.time is None else round((decoded.time - self._origin) * self.rate)
            if 0 < abs(start - end) <= _HOLE * self.rate and end:
                start = end
            for frame in resampler.resample(decoded):
                values = frame.to_ndarray().mean(axis=0, dtype=np.float32)
                piece = np.concatenate([np.zeros(max(0, start - end), np.float32), values[max(0, end - start) :]])
                start, end = start + len(values), end + len(piece)
                yield piece


def _tagged(text: str | None) -> float | None:
    """Seconds of `"00:12:01.234000000"`."""
    if text is None:
        return None
    hours, minutes, seconds = text.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
