"""Is it above chance, and how sure is it? Nulls that respect autocorrelation, p values from them, and intervals."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusiform.errors import DataError

__all__ = ["bootstrap_mean", "circular_shifts", "p_values", "shift_null"]


def bootstrap_mean(
    values: ArrayLike, blocks: ArrayLike | None = None, *, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of a mean, from means of blocks of values that are drawn with replacement.

    Values that lie together in space or time vary together; drawn one by one, their interval would be too narrow
    (cluster bootstrap: Field & Welsh 2007, J. R. Stat. Soc. B 69; percentiles: Efron & Tibshirani 1993).

    Args:
        values: [N].
        blocks: [N] the block of each value; by default each is one of its own.
        draws: of as many blocks as there are.
        seed: of the draws.

    Returns:
        2.5th and 97.5th percentile of the means.

    Raises:
        DataError: there is no value, one is not finite, or values and blocks differ in number.
    """
    numbers = np.asarray(values, dtype=np.float64)
    labels = np.arange(len(numbers)) if blocks is None else np.asarray(blocks)
    if numbers.ndim != 1 or not len(numbers) or labels.shape != numbers.shape or not np.isfinite(numbers).all():
        raise DataError(
            f"got values {numbers.shape}, {int(np.isfinite(numbers).sum())} of them finite, and blocks {labels.shape}; "
            "wanted [N] finite values, one at least, and a block for each"
        )
    _, block = np.unique(labels, return_inverse=True)
    sums, sizes = np.bincount(block, numbers), np.bincount(block)
    random = np.random.default_rng(seed)
    drawn = (random.integers(len(sums), size=len(sums)) for _ in range(draws))  # one at a time: there may be many
    low, high = np.percentile([sums[some].sum() / sizes[some].sum() for some in drawn], (2.5, 97.5))
    return float(low), float(high)


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
