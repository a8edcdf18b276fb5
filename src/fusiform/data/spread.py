"""Spread: the one rule for when a target is constant, and what follows from it for standardising."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["spread", "standardise"]


def spread(values: NDArray[Any]) -> NDArray[np.float64]:
    """Largest less smallest value per column, [N, V] -> [V]; zero where a constant's rounding explains it.

    A constant that was computed differs from row to row by a few units in the last place of its type, so the rule asks
    the type: give values as they came, before any cast. Integers count as the floating type that holds them.

    Args:
        values: [N, V], N > 0.
    """
    low, high = values.min(0).astype(np.float64), values.max(0).astype(np.float64)
    rounding = 8 * np.finfo(np.result_type(values.dtype, np.float32)).eps * np.maximum(np.abs(low), np.abs(high))
    return np.where(high - low <= rounding, 0.0, high - low)  # NaN stays NaN


def standardise(values: NDArray[Any], reference: NDArray[Any]) -> NDArray[Any]:
    """Subtract the mean and divide by the standard deviation of `reference`; its constant targets become zero.

    Args:
        values: [N, V].
        reference: [M, V] rows whose mean and deviation are taken, M > 0.

    Returns:
        [N, V] of the floating type of `values`.
    """
    scale = spread(reference).astype(values.dtype)
    flat, mean = scale == 0, reference.mean(0)
    unit = np.where(flat, 1, scale)  # squares of tiny or huge values would leave their type: bring them near one first
    deviation = np.where(flat, 1, ((reference - mean) / unit).std(0))
    return np.asarray(np.where(flat, 0, (values - mean) / unit / deviation))
