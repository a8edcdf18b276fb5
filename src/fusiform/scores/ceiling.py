"""Noise ceilings: how well the best possible model could do."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fusiform.data.spread import spread
from fusiform.errors import DataError

__all__ = ["leave_one_out_correlation", "ncsnr", "noise_ceiling", "r_ceiling"]

BLOCK = 1 << 23  # values in float64 at a time: all trials of a large dataset would not fit


def ncsnr(values: ArrayLike, stimulus: ArrayLike) -> NDArray[np.float64]:
    """Noise-ceiling signal-to-noise ratio per target: the signal's over the noise's standard deviation.

    The noise variance is the pooled variance of repeats about their stimulus's mean; the signal variance is what
    remains of the total, never below zero (Allen et al. 2022, Nature Neuroscience 25, methods). Pooling weighs a
    stimulus by its repeats less one, so their number may differ.

    Args:
        values: [N, V] single trials, z-scored within sessions if sessions differ in gain.
        stimulus: [N] what each trial showed.

    Returns:
        [V]; zero where repeats agree on nothing or a target is constant, infinite where they agree exactly.

    Raises:
        DataError: shapes do not agree, a value is not finite, a label is missing, or there are no repeats or only one
            stimulus.
    """
    trials, labels = np.asarray(values), np.asarray(stimulus)
    member, _ = pd.factorize(labels)
    _check_trials(trials, member)
    width = max(1, BLOCK // len(trials))
    starts = range(0, trials.shape[1], width)
    return np.concatenate([_ncsnr(trials[:, start : start + width], member) for start in starts] or [np.empty(0)])


def _ncsnr(trials: NDArray[Any], member: NDArray[np.integer]) -> NDArray[np.float64]:
    """The same for a block of targets [N, v]; in float64, whatever the trials are."""
    constant = spread(trials) == 0  # as they came: the rounding of a constant is neither signal nor noise
    counts = np.bincount(member)
    order, heads = np.argsort(member, kind="stable"), np.cumsum(counts) - counts
    trials = trials[order].astype(np.float64)  # the trials of a stimulus stand together
    means = np.add.reduceat(trials, heads, axis=0) / counts[:, None]
    noise = np.square(trials - np.repeat(means, counts, axis=0)).sum(0) / (counts - 1).sum()
    between = (counts[:, None] * np.square(means - trials.mean(0))).sum(0) / (len(counts) - 1)
    weight = (counts.sum() - np.square(counts).sum() / counts.sum()) / (len(counts) - 1)  # repeats, if all had as many
    signal = np.clip((between - noise) / weight, 0, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((signal > 0) & ~constant, np.sqrt(signal / noise), 0.0)


def _check_trials(trials: NDArray[Any], member: NDArray[np.integer]) -> None:
    if trials.ndim != 2 or len(trials) != len(member):
        raise DataError(f"got trials {trials.shape} and {len(member)} stimulus labels; wanted [N, V] and N")
    if bad := sum(int((~np.isfinite(row)).sum()) for row in trials):  # row by row: no mask of the whole
        raise DataError(f"trials hold {bad} NaN or infinite values; drop them first")
    if (member < 0).any():
        raise DataError(f"{int((member < 0).sum())} trials have no stimulus label; wanted one for each")
    counts = np.bincount(member)
    if counts.max(initial=0) < 2:
        raise DataError(f"a noise ceiling needs repeats; each of the {len(counts)} stimuli was shown once")
    if len(counts) < 2:
        raise DataError("a noise ceiling needs two stimuli or more to tell signal from noise; got one")


def noise_ceiling(snr: ArrayLike, repeats: ArrayLike = 1) -> NDArray[np.float64]:
    """Share of the variance of averaged responses that is signal, nc = ncsnr^2 / (ncsnr^2 + 1/n), [V].

    Allen et al. 2022. Where the samples average different numbers of repeats, 1/n is the mean of 1/n.

    Args:
        snr: [V] ncsnr.
        repeats: n, one for all or one per sample; 1 or more.

    Raises:
        DataError: a number of repeats is below one, or there is none.
    """
    counts = np.asarray(repeats, dtype=np.float64)
    if not counts.size or not (counts >= 1).all():
        raise DataError(f"got repeats {np.unique(counts)[:5].tolist()}; wanted 1 or more for every sample")
    power, noise = np.square(np.asarray(snr, dtype=np.float64)), np.mean(1 / counts)
    return np.where(np.isinf(power), 1.0, power / (np.where(np.isinf(power), 1.0, power) + noise))


def r_ceiling(snr: ArrayLike, repeats: ArrayLike = 1) -> NDArray[np.float64]:
    """The largest attainable Pearson's r with averaged responses, sqrt(nc), [V].

    nc is a share of variance: never divide r by nc.
    """
    return np.asarray(np.sqrt(noise_ceiling(snr, repeats)))


def leave_one_out_correlation(values: ArrayLike) -> NDArray[np.float64]:
    """Inter-subject correlation: each subject against the mean of all others (Hasson et al. 2004, Science 303).

    Args:
        values: [S, N, V] the same N samples of S subjects, standardised within subject.

    Returns:
        [S, V] Pearson's r.
    """
    from fusiform.scores.metrics import pearson

    subjects = np.asarray(values)
    if subjects.ndim != 3 or len(subjects) < 2:
        raise DataError(f"got the shape {subjects.shape}; wanted [S subjects, N samples, V targets] with S > 1")
    total = subjects.sum(0)
    return np.stack([pearson(one, (total - one) / (len(subjects) - 1)) for one in subjects])
