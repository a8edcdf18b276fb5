"""Is it above chance? Nulls that respect the autocorrelation of time series, and p values from them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusiform.errors import DataError

__all__ = ["circular_shifts", "p_values", "shift_null"]


def circular_shifts(samples: int, count: int, *, least: int, seed: int = 0) -> NDArray[np.int64]:
    """`count` distinct shifts of at least `least` samples either way, drawn without order, [count].

    Args:
        samples: N, length of the series.
        count: how many; fewer are returned where N does not allow as many.
        least: the autocorrelation of features and responses should have died out by then.
        seed: of the draw.

    Raises:
        DataError: the series is too short for any such shift.
    """
    possible = np.arange(least, samples - least + 1)
    if not len(possible):
        raise DataError(f"a series of {samples} samples has no circular shift of at least {least}; lower `least`")
    return np.random.default_rng(seed).permutation(possible)[:count]


def shift_null(
    statistic: Callable[[NDArray[np.floating]], NDArray[np.float64]], responses: ArrayLike, shifts: ArrayLike
) -> NDArray[np.float64]:
    """The statistic of responses that were rotated in time against the stimulus, [shifts, V].

    A rotation keeps each target's autocorrelation and breaks only its tie to the stimulus, which shuffled samples
    would not (Lancaster et al. 2018, Physics Reports 748).

    Args:
        statistic: responses [N, V] -> [V]; the whole pipeline, fit included.
        responses: [N, V].
        shifts: samples to rotate by, as from `circular_shifts`.
    """
    values = np.asarray(responses)
    return np.stack([statistic(np.roll(values, int(shift), axis=0)) for shift in np.asarray(shifts)])


def p_values(observed: ArrayLike, null: ArrayLike) -> NDArray[np.float64]:
    """One-sided permutation p values with the observed one counted in, (1 + #{null >= observed}) / (1 + K), [V].

    Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9: never zero.

    Args:
        observed: [V].
        null: [K, V].

    Raises:
        DataError: shapes do not agree, or a value is NaN, which would exceed nothing and so look significant.
    """
    observed, null = np.asarray(observed, dtype=np.float64), np.asarray(null, dtype=np.float64)
    if null.shape[1:] != observed.shape or null.ndim == 0:
        raise DataError(f"got observed {observed.shape} and a null {null.shape}; wanted [V] and [K, V]")
    if np.isnan(observed).any() or np.isnan(null).any():
        raise DataError("observed or null statistics hold NaN, which has no p value; drop those targets first")
    return np.asarray((1 + (null >= observed).sum(0)) / (1 + len(null)))
