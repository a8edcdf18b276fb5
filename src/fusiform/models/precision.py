"""Products of float32 matrices with all of their digits, whatever the program around them has allowed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch

__all__ = ["all_digits"]


@contextmanager
def all_digits() -> Iterator[None]:
    """Keep TF32 and bfloat16 out of float32 products, from which they silently drop 13 and 16 of 24 bits.

    Programs that train networks often allow them (`torch.set_float32_matmul_precision("high")`). What was allowed is
    allowed again at the end, also where that is an error.
    """
    restore = _restoring()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        restore()


def _restoring() -> Callable[[], None]:
    """What puts back the setting of now."""
    try:
        return partial(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
    except RuntimeError:  # a GPU's or CPU's own was set (torch 2.9 on): torch then names none for both
        backends = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
        before = [backend.fp32_precision for backend in backends]

    def restore() -> None:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision

    return restore
