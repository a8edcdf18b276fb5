"""Memory between the steps of a training."""

import torch

__all__ = ["keep_freed"]

SHOWN = (32 << 20) - (1 << 16)  # bytes: the largest block from which glibc learns, less room for its header


def keep_freed() -> None:
    """Let the process keep what a step on a CPU frees, up to 64 MiB, for the next step.

    The C library of most Linux systems (glibc, `mallopt(3)`, M_MMAP_THRESHOLD) gives freed memory back to the system
    above twice the largest block that it has seen freed, and a step may spend a quarter of its time on having pages
    made again. So it is shown a large block, of which no page is touched. Other libraries take no notice of that.
    """
    torch.empty(SHOWN, dtype=torch.uint8)  # freed at once
