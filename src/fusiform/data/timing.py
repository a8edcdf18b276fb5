"""Time: one rounding rule between seconds and rows, and one haemodynamic response."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusiform.errors import SettingsError

__all__ = ["checked_rate", "hrf", "row_at", "row_count", "row_times"]


def checked_rate(rate: Any) -> float:
    """A rate in Hz, if it is one.

    Raises:
        SettingsError: it is no finite number above zero.
    """
    if isinstance(rate, int | float) and not isinstance(rate, bool) and 0 < rate < np.inf:
        return float(rate)
    raise SettingsError(f"rate is {rate!r}; wanted a number of rows per second (Hz) above zero")


def row_at(seconds: ArrayLike, rate: float, start: float = 0.0) -> NDArray[np.int64]:
    """The row whose onset is nearest to a time: the only place where seconds become indices.

    Row i begins at `start + i / rate`. Ties go to the later row, and a millionth of a row of slack keeps
    float noise (1.49 s x 10,000) from moving one. The rows may be negative or past the end: the caller decides.

    Args:
        seconds: times, any shape.
        rate: rows per second (Hz).
        start: onset of row 0 in seconds.

    Returns:
        Rows of the same shape.
    """
    position = (np.asarray(seconds, dtype=np.float64) - start) * rate
    return np.floor(position + 0.5 + 1e-6).astype(np.int64)


def row_count(duration: float, rate: float) -> int:
    """How many rows a stimulus has: those that begin before it ends, one at least.

    The last may be cut short. A millionth of a row of slack keeps float noise from adding one.
    """
    return max(1, int(np.ceil(duration * rate - 1e-6)))


def row_times(count: int, rate: float, start: float = 0.0) -> NDArray[np.float64]:
    """Onsets in seconds of `count` rows: computed from the index each, so that nothing drifts over hours."""
    return start + np.arange(count, dtype=np.float64) / rate


def hrf(rate: float, *, duration: float = 32.0, delay: float = 6.0, undershoot: float = 16.0) -> NDArray[np.float64]:
    """The double-gamma haemodynamic response, sampled at `rate`, summing to one.

    h(t) = g(t; delay) - g(t; undershoot) / 6, with g the gamma density of unit scale (Friston et al. 1998,
    NeuroImage 7; the canonical response of SPM).

    Args:
        rate: samples per second (Hz).
        duration: length of the kernel in seconds.
        delay: shape of the positive lobe; it peaks at `delay - 1` seconds.
        undershoot: shape of the negative lobe.

    Returns:
        [round(duration * rate)] weights.
    """
    from scipy.stats import gamma

    times = row_times(int(row_at(duration, rate)), rate)
    kernel = gamma.pdf(times, delay) - gamma.pdf(times, undershoot) / 6
    return np.asarray(kernel / kernel.sum(), dtype=np.float64)
