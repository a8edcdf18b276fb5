"""Memory between the steps of a training."""

import ctypes
import platform

__all__ = ["keep_freed"]

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # glibc's numbers of these settings
KEPT = 1 << 30  # bytes
LARGEST = 32 << 20  # bytes: larger blocks cannot be kept


def keep_freed() -> None:
    """Let the process keep what a step on a CPU frees, up to 1 GiB in blocks of up to 32 MiB, for the next step.

    The C library of most Linux systems (glibc, `mallopt(3)`) gives freed memory back to the system beyond some size
    (128 KiB at first), and a step may spend a quarter of its time on having pages made again. Other libraries keep
    memory by rules of their own.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(MMAP_THRESHOLD, LARGEST)
        library.mallopt(TRIM_THRESHOLD, KEPT)
