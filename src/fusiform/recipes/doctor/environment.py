"""First tier: Python and its packages, threads, device, memory, disks."""

import importlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path

from fusiform.datasets.contract import Finding
from fusiform.files import cache_folder, data_folders
from fusiform.recipes.run import runs_folder

__all__ = ["environment", "extras"]

PACKAGES = ("fusiform", "numpy", "scipy", "scikit-learn", "pandas", "torch", "nilearn", "nibabel", "h5py", "zarr")
PYTHONS = ((3, 11), (3, 14))  # from, and before
LEAST_MEMORY, LEAST_DISK = 2, 1  # GiB below which nearly nothing runs
GIB = 1 << 30
TOOLS = ("dev", "bench")  # extras that nobody needs who only uses the package


def environment() -> Iterator[Finding]:
    """What a run finds on this machine."""
    yield _python()
    yield from _packages()
    yield _threads()
    yield from _devices()
    yield _memory()
    yield from _disks()
    yield from extras()


def _python() -> Finding:
    here = sys.version_info[:2]
    if PYTHONS[0] <= here < PYTHONS[1]:
        return Finding("python", f"{platform.python_version()} on {platform.platform()}")
    return Finding(
        "python", f"Python is {platform.python_version()}; wanted 3.11 to 3.13; make another environment", ok=False
    )


def _packages() -> Iterator[Finding]:
    found = {name: _version(name) for name in PACKAGES}
    yield Finding("packages", ", ".join(f"{name} {number}" for name, number in found.items() if number))
    for name in (name for name, number in found.items() if not number):
        yield Finding("packages", f"{name} is not installed; install it with: pip install {name}", ok=False)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _threads() -> Finding:
    import torch

    return Finding("threads", f"torch uses {torch.get_num_threads()} of {os.cpu_count()} processors")


def _devices() -> Iterator[Finding]:
    import torch

    if not torch.cuda.is_available():
        yield Finding("device", "cpu (torch sees no CUDA device)")
        return
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        name = torch.cuda.get_device_name(number)
        yield Finding("device", f"cuda:{number} {name}, {free / GIB:.0f} of {total / GIB:.0f} GiB free")


def _memory() -> Finding:
    import torch

    from fusiform.models.memory import memory_available

    free = memory_available(torch.device("cpu")) / GIB
    if free >= LEAST_MEMORY:
        return Finding("memory", f"{free:.1f} GiB free")
    return Finding("memory", f"{free:.1f} GiB are free; wanted {LEAST_MEMORY} at least; close other programs", ok=False)


def _disks() -> Iterator[Finding]:
    places = {"data": data_folders()[0], "cache": cache_folder(), "runs": runs_folder()}
    for what, folder in places.items():
        free = shutil.disk_usage(_standing(folder)).free / GIB
        said = f"{folder}{'' if folder.is_dir() else ' (not made yet)'}, {free:.0f} GiB free"
        if free >= LEAST_DISK:
            yield Finding(f"disk: {what}", said)
        else:
            wanted = f"{free:.2f} GiB are free for {folder}; wanted {LEAST_DISK} at least"
            yield Finding(
                f"disk: {what}", f"{wanted}; free some, or set FUSIFORM_{what.upper()} to another disk", ok=False
            )


def _standing(folder: Path) -> Path:
    """The nearest folder above that is there."""
    folder = folder.expanduser().absolute()
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def extras() -> Iterator[Finding]:
    """A finding per optional extra: can what it brings be imported? What is absent is well, what is broken is not."""
    for extra, packages in _optional().items():
        states = {name: _state(name) for name in packages}
        absent = [name for name, state in states.items() if state == ABSENT]
        broken = {name: state for name, state in states.items() if state not in (ABSENT, "")}
        line = f"pip install 'fusiform[{extra}]'"
        for name, reason in broken.items():
            said = f"{name} is installed and cannot be imported ({reason}); install it anew with: {line}"
            yield Finding(f"extra: {extra}", said, ok=False)
        if not broken:
            said = f"without {', '.join(absent)}; if needed: {line}" if absent else f"{', '.join(packages)}: there"
            yield Finding(f"extra: {extra}", said)


ABSENT = "absent"


def _optional() -> dict[str, list[str]]:
    """Extra -> names of its packages, from the metadata of the installed fusiform."""
    found: dict[str, list[str]] = {}
    for line in requires("fusiform") or []:
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", line)
        name = re.match(r"[\w.-]+", line)
        if extra and name and extra.group(1) not in TOOLS:
            found.setdefault(extra.group(1), []).append(name.group())
    return found


def _state(package: str) -> str:
    """Nothing where a package can be imported, `absent`, or why it cannot."""
    if _version(package) is None:
        return ABSENT
    modules = [module for module, owners in packages_distributions().items() if package in owners]
    try:
        for module in modules[:1]:
            importlib.import_module(module)
    except Exception as reason:  # a torchvision built for another torch raises RuntimeError
        return " ".join(str(reason).split())[:200]
    return ""
