"""Products of float32 matrices with all of their digits, whatever the program around them has allowed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["all_digits", "product"]

DEEP = 256  # of smaller matrices both ways are as fast


def product(rows: Tensor, weight: Tensor) -> Tensor:
    """Rows [V, Q] times a matrix [R, Q] transposed, [V, R]; in float32 on a CPU as a convolution.

    That is the same product. But torch makes products by MKL and convolutions by oneDNN, and MKL makes less of a
    processor that it does not know: on an AMD EPYC 9005 about half.
    """
    deep = rows.dtype == torch.float32 and min(*rows.shape, len(weight)) >= DEEP
    if not deep or rows.device.type != "cpu" or not _convolves_exactly():
        return rows @ weight.T
    found = functional.conv2d(rows.contiguous()[None].mT[:, :, None], weight[:, :, None, None])
    return found.squeeze(2).mT.squeeze(0)


def _convolves_exactly() -> bool:
    """Whether oneDNN is there and was not allowed to drop digits of convolutions (torch 2.9 on)."""
    convolution = getattr(torch.backends.mkldnn, "conv", None)
    allowed = getattr(convolution, "fp32_precision", "none")
    return torch.backends.mkldnn.is_available() and allowed in ("none", "ieee")  # type: ignore[no-untyped-call]


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
