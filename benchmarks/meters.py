"""Seconds, memory, operations, and how many of these a device does at most."""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

TRIALS = 20


def seconds(work: Callable[[], Any]) -> float:
    """Of a piece of work, until GPUs are done with it, too."""
    _finish()
    began = time.perf_counter()
    work()
    _finish()
    return time.perf_counter() - began


def _finish() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def reset_peak(device: str = "cpu") -> int:
    """Bytes held now, by the process or on a GPU; the peak counts from here (on a CPU on Linux alone)."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return 0


def peak_memory(device: str = "cpu") -> int:
    """Most bytes held since `reset_peak`, by the process or in tensors on a GPU."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    if sys.platform.startswith("linux"):
        return _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(text.split()[1]) * 1024 for text in lines if text.startswith(name))


def operations(work: Callable[[], Any]) -> int:
    """Floating point operations of the products (matrices, convolutions, attention) in a piece of work.

    torch counts what it carries out, so that what is made twice counts twice; the CPU's attention it does not count.
    """
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def ceiling(dtype: torch.dtype, device: str, size: int | None = None) -> float:
    """Operations per second of a large product of matrices, the best of some: what a device does at most.

    Args:
        dtype: of the matrices.
        device: that multiplies them.
        size: of their sides; by default large enough for the device.
    """
    size = size or (8192 if device.startswith("cuda") else 1024)
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / min(seconds(lambda: left @ right) for _ in range(TRIALS))
