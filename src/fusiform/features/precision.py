"""The precisions that rows are kept in. numpy has no bfloat16: such rows are float32 here, and 16 bits in a file."""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

__all__ = ["PRECISIONS", "Precision", "from_bits", "rounded", "to_bits"]

Precision = Literal["float32", "float16", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def rounded(values: NDArray[np.float32], precision: Precision) -> NDArray[Any]:
    """Rows in a precision: float32 or float16, and for bfloat16 the float32 values that it can hold.

    What is too large for the precision becomes infinite.
    """
    if precision == "bfloat16":
        return from_bits(to_bits(values))
    with np.errstate(over="ignore"):
        return values.astype(precision, copy=False)


def to_bits(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """float32 [...] to bfloat16 bits [...]: the upper half of each number, rounded to nearest, ties to even."""
    whole = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    kept = ((whole + (0x7FFF + ((whole >> 16) & 1))) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), kept)  # the carry would make some NaN a number


def from_bits(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """bfloat16 bits [...] to float32 [...], exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
