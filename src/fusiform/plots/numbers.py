"""What charts ask of their numbers: that they have the right length, and how far they reach."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusiform.errors import DataError

__all__ = ["aligned", "finite", "limits", "per_name"]


def per_name(values: ArrayLike, names: Sequence[str]) -> NDArray[np.float64]:
    """Numbers [..., V], one for each name."""
    numbers = np.asarray(values, dtype=float)
    if numbers.shape[-1:] != (len(names),):
        raise DataError(f"there are {numbers.shape} values and {len(names)} names; wanted one value per name")
    return numbers


def aligned(**courses: ArrayLike) -> list[NDArray[np.float64]]:
    """Numbers of one length, [N] each."""
    arrays = [np.asarray(values, dtype=float) for values in courses.values()]
    if len({array.shape for array in arrays}) > 1 or arrays[0].ndim != 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(courses, arrays, strict=True))
        raise DataError(f"what is drawn together has the shapes {shapes}; wanted [N] for each")
    return arrays


def finite(values: ArrayLike) -> NDArray[np.float64]:
    """The finite ones, in one row."""
    numbers = np.asarray(values, dtype=np.float64).ravel()
    return np.asarray(numbers[np.isfinite(numbers)])


def limits(arrays: Sequence[ArrayLike]) -> tuple[float, float]:
    """The least and the largest finite value, never the same; 0 and 1 where there is none."""
    numbers = np.concatenate([np.empty(0), *map(finite, arrays)])
    low, high = (float(numbers.min()), float(numbers.max())) if len(numbers) else (0.0, 1.0)
    return low, high if high > low else low + 1
