"""Sounds at the rate that a network wants."""

from dataclasses import dataclass
from functools import cached_property
from math import gcd

import numpy as np
from numpy.typing import NDArray

from fusiform.data import Sound
from fusiform.data.mediafiles import check_span
from fusiform.data.timing import row_at
from fusiform.errors import DataError

__all__ = ["Resampled"]

_REACH = 10  # of the filter, in samples of the slower rate: what scipy takes


@dataclass(frozen=True)
class Resampled:
    """A sound at another rate, made of the stretch that is asked for and a little around it.

    Every sample is that of resampling the whole sound by `scipy.signal.resample_poly` (a zero-phase low-pass filter at
    the lower of the two Nyquist frequencies), whatever stretch it is read in.

    Args:
        sound: as it is.
        rate: samples per second (Hz) that are wanted.

    Raises:
        DataError: the rate is no whole number above zero.
    """

    sound: Sound
    rate: int

    def __post_init__(self) -> None:
        if not (float(self.rate).is_integer() and self.rate > 0):
            raise DataError(f"a sound was asked for at {self.rate} Hz; wanted a whole number above zero")

    @property
    def duration(self) -> float:
        """In seconds."""
        return self.sound.duration

    def samples(self, start: float, stop: float) -> NDArray[np.float32]:
        """The samples between two times, see `Sound`."""
        first, last = row_at(check_span(start, stop, self.duration), self.rate).tolist()
        if self.rate == self.sound.rate or first == last:
            return self.sound.samples(first / self.rate, last / self.rate)
        return self._resampled(first, last)

    @cached_property
    def _ratio(self) -> tuple[int, int]:
        """Samples out for how many samples in, without a common factor."""
        common = gcd(int(self.rate), int(self.sound.rate))
        return int(self.rate) // common, int(self.sound.rate) // common

    def _resampled(self, first: int, last: int) -> NDArray[np.float32]:
        from scipy.signal import resample_poly

        up, down = self._ratio
        margin = _REACH * max(up, down) // up + 1  # samples in that the filter reaches
        begin = max(0, first * down // up - margin) // down * down  # where both rates have a sample
        end = -(-last * down // up) + margin
        values = self.sound.samples(begin / self.sound.rate, end / self.sound.rate)
        ahead = begin // down * up  # samples out before the stretch
        found = resample_poly(values.astype(np.float64), up, down)[first - ahead : last - ahead]
        return np.pad(found, (0, last - first - len(found))).astype(np.float32)  # a rounded end is one sample at most
