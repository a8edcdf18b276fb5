"""What is seen and heard over time: moving pictures and sounds, from arrays or from files."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusiform.data.mediafiles import FileSound, FileVideo, check_span, check_times
from fusiform.data.timing import checked_rate, row_at
from fusiform.errors import DataError

__all__ = ["ArraySound", "ArrayVideo", "FileSound", "FileVideo", "Sound", "Video"]


@runtime_checkable
class Video(Protocol):
    """Moving pictures; time 0 is when the recording begins."""

    @property
    def duration(self) -> float:
        """In seconds."""

    @property
    def rate(self) -> float:
        """Frames per second; their mean where it varies."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""

    def frames(self, times: ArrayLike) -> NDArray[np.uint8]:
        """The frame on screen at each time: [T] seconds, in any order -> [T, H, W, 3].

        A frame is on screen from its own time until the next one's; before the first there is the first, after the last
        the last.

        Raises:
            DataError: a time is not finite.
        """


@runtime_checkable
class Sound(Protocol):
    """A sound in one channel; time 0 is when the recording begins."""

    @property
    def duration(self) -> float:
        """In seconds."""

    @property
    def rate(self) -> int:
        """Samples per second (Hz)."""

    def samples(self, start: float, stop: float) -> NDArray[np.float32]:
        """The samples from `start` until `stop` (seconds), [n], between -1 and 1.

        What lies before 0 or after `duration` is left out. Sample i stands at i / rate, and n is the row of `stop` less
        that of `start` by `timing.row_at`: spans that adjoin neither share nor lose a sample.

        Raises:
            DataError: a time is not finite, or `stop` comes before `start`.
        """


@dataclass(frozen=True)
class ArrayVideo:
    """Moving pictures in memory.

    Args:
        values: [F, H, W, 3] uint8, frame f from f / rate seconds on.
        rate: frames per second (Hz).

    Raises:
        DataError: the array has another shape or type, or no frame.
        SettingsError: the rate is no number above zero.
    """

    values: NDArray[np.uint8]
    rate: float

    def __post_init__(self) -> None:
        values = self.values
        if values.ndim != 4 or values.shape[3] != 3 or not values.size or values.dtype != np.uint8:
            raise DataError(
                f"a video has the shape {values.shape} and type {values.dtype}; wanted [F, H, W, 3] of uint8, F above 0"
            )
        checked_rate(self.rate)

    @property
    def duration(self) -> float:
        """In seconds."""
        return len(self.values) / self.rate

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.values.shape[1], self.values.shape[2]

    def frames(self, times: ArrayLike) -> NDArray[np.uint8]:
        """The frame on screen at each time, see `Video`."""
        numbers = np.floor(check_times(times) * self.rate + 1e-6).astype(np.int64)  # slack: float noise of a boundary
        return self.values[np.clip(numbers, 0, len(self.values) - 1)]


@dataclass(frozen=True)
class ArraySound:
    """A sound in memory.

    Args:
        values: [n] floating point between -1 and 1.
        rate: samples per second (Hz).

    Raises:
        DataError: the array has another shape or type, or values that are not finite.
        SettingsError: the rate is no number above zero.
    """

    values: NDArray[np.floating]
    rate: int

    def __post_init__(self) -> None:
        values = self.values
        if values.ndim != 1 or not values.size or values.dtype.kind != "f" or not np.isfinite(values).all():
            raise DataError(
                f"a sound has the shape {values.shape} and type {values.dtype}; wanted [n] finite numbers between -1 "
                "and 1, one channel: take the mean of several, and divide 16-bit integers by 32768"
            )
        checked_rate(self.rate)

    @property
    def duration(self) -> float:
        """In seconds."""
        return len(self.values) / self.rate

    def samples(self, start: float, stop: float) -> NDArray[np.float32]:
        """The samples between two times, see `Sound`."""
        first, last = row_at(check_span(start, stop, self.duration), self.rate)
        return self.values[first:last].astype(np.float32)
