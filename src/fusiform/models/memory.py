"""Memory that is free: of a GPU, or of this machine within the limits of its control groups."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

__all__ = ["memory_available"]

UNLIMITED = 1 << 62


class _Names(NamedTuple):
    """What one version of Linux' control groups calls its limit, what is used, and its cache of files."""

    limit: str
    used: str
    cache: str


FIRST = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
SECOND = _Names("memory.max", "memory.current", "inactive_file")


def memory_available(device: torch.device, root: Path = Path("/")) -> int:
    """Free bytes on the device: of the GPU, or of this machine within the limits of its control groups.

    What can be had back counts as free: memory of the GPU that torch holds but does not use, and the page cache of
    files that were read a while ago.

    Args:
        device: whose memory.
        root: of the file system in which the Linux kernel tells of it.
    """
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    return max(0, min(_machine(root), *_groups(root)))


def _machine(root: Path) -> int:
    """Free bytes of the whole machine."""
    free = _numbers(root / "proc/meminfo").get("MemAvailable")
    if free is not None:
        return free * 1024
    name = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in os.sysconf_names else "SC_PHYS_PAGES"  # macOS knows only all
    return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")


def _groups(root: Path) -> Iterator[int]:
    """Bytes that each control group around this process still allows; a cluster's job is one inside many."""
    yield UNLIMITED
    listed, folder = root / "proc/self/cgroup", root / "sys/fs/cgroup"
    for line in listed.read_text().splitlines() if listed.exists() else ():
        _, controllers, group = line.split(":", 2)
        if not controllers:
            yield from (_left(one, SECOND) for one in _upwards(folder, group))
        elif "memory" in controllers.split(","):
            yield from (_left(one, FIRST) for one in _upwards(folder / "memory", group))


def _upwards(folder: Path, group: str) -> list[Path]:
    """A group and those around it; inside a container some are not to be seen, and the outermost is its own."""
    inside = [part for part in group.split("/") if part not in ("", "..")]
    return [folder.joinpath(*inside[:depth]) for depth in range(len(inside), -1, -1)]


def _left(group: Path, names: _Names) -> int:
    try:
        limit, used = (int((group / name).read_text()) for name in (names.limit, names.used))
    except (OSError, ValueError):  # it is not there, or its limit is "max"
        return UNLIMITED
    return limit - used + _numbers(group / "memory.stat").get(names.cache, 0)


def _numbers(path: Path) -> dict[str, int]:
    """The numbers of a file with a name and a number in each line; none if it is not there."""
    if not path.exists():
        return {}
    lines = (line.split() for line in path.read_text().splitlines())
    return {name.rstrip(":"): int(number) for name, number, *_ in lines}
