"""Files that are whole or absent: everything is written beside its place and renamed into it."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["atomic", "cache_folder", "data_folders", "read_json", "sweep", "write_json", "write_text"]


@contextmanager
def atomic(path: Path | str, *, replace: bool = True) -> Iterator[Path]:
    """A temporary path beside `path`; what the block left there takes the place of `path` when it ends well.

    The block may make a file or a folder. If it raises, nothing appears and nothing is left behind. Without `replace` a
    folder that appeared meanwhile is not replaced: OSError.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.{os.getpid()}.", dir=path.parent))
    try:
        yield scratch / path.name
        if replace:
            _replace(scratch / path.name, path)
        else:
            os.rename(scratch / path.name, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _replace(new: Path, path: Path) -> None:
    if path.is_dir():  # a folder cannot be renamed over a folder that is not empty
        path.rename(new.parent / "old")
    os.replace(new, path)


def sweep(path: Path | str, age: float = 3600.0) -> None:
    """Remove scratch that `atomic(path)` left behind when its process was killed; that of a living one stays.

    Args:
        path: the place that was to be written.
        age: seconds after which scratch counts as left behind even if a process of that number is alive: it may be
            another one, or have been on another machine.
    """
    path = Path(path)
    for scratch in path.parent.glob(f".{path.name}.*"):
        owner = scratch.name.removeprefix(f".{path.name}.").partition(".")[0]
        try:
            old = time.time() - scratch.stat().st_mtime > age
        except FileNotFoundError:  # its owner was done with it a moment ago
            continue
        if old or not owner.isdecimal() or not _alive(int(owner)):
            shutil.rmtree(scratch, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is there, and somebody else's
        return True
    return True


def write_text(path: Path | str, text: str) -> None:
    """Write a text file atomically, as UTF-8."""
    with atomic(path) as new:
        new.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON atomically, two spaces deep, keys in the order given; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def cache_folder() -> Path:
    """`$FUSIFORM_CACHE`, else the user's cache folder; not made here."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("FUSIFORM_CACHE") or Path(base) / "fusiform")


def data_folders() -> list[Path]:
    """Where data sets are looked for, in order: `$FUSIFORM_DATA`, then `data` in the cache folder.

    The variable may name several folders, separated as in `$PATH`.
    """
    given = os.environ.get("FUSIFORM_DATA", "").split(os.pathsep)
    return [*(Path(folder).expanduser() for folder in given if folder), cache_folder() / "data"]
