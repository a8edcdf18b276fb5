"""Where the files of one data set lie: in a folder that the user names, or in one of the data folders."""

import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from fusiform.datasets.base import PINNED, is_remote, locate
from fusiform.errors import MissingDataError

__all__ = ["is_here", "looking_in", "require", "rooted"]

Value = TypeVar("Value")
POINTER, ANNEX = 32_768, b"/annex/objects/"  # most bytes of a pointer file, and its first


def rooted(dataset: str, root: str | Path | None, *files: str) -> Path:
    """The folder of a data set.

    Args:
        dataset: its name.
        root: the folder itself; None looks through `files.data_folders()`.
        files: that it must hold.

    Raises:
        MissingDataError: there is no such folder, or it lacks a file.
    """
    if root is None:
        return locate(dataset, *files)
    folder = Path(root).expanduser()
    for file in files:
        require(folder / file)
    if not folder.is_dir():
        raise MissingDataError(f"{folder} is no folder; give the root of {dataset!r} as it was downloaded")
    return folder


@contextmanager
def looking_in(root: str | Path | None, dataset: str) -> Iterator[None]:
    """Look for a data set in `root` meanwhile, given as its folder or as the one that holds it, and nowhere else.

    Other data, such as vectors of words, are looked for there first. An address is no folder.
    """
    if root is None or is_remote(root):
        yield
        return
    folder = Path(root).expanduser()
    first = folder if (folder / dataset).is_dir() or folder.name != dataset else folder.parent
    before, pinned = os.environ.get("FUSIFORM_DATA"), PINNED.get(dataset)
    os.environ["FUSIFORM_DATA"] = os.pathsep.join([str(first), *([before] if before else [])])
    PINNED[dataset] = first
    try:
        yield
    finally:
        _restore(os.environ, "FUSIFORM_DATA", before)
        _restore(PINNED, dataset, pinned)


def _restore(names: MutableMapping[str, Value], name: str, value: Value | None) -> None:
    """Give a name its value of before, or take it out if it had none."""
    if value is None:
        del names[name]
    else:
        names[name] = value


def require(path: Path) -> Path:
    """A path, if there is something.

    Raises:
        MissingDataError: there is nothing, or a link of git-annex whose content was not fetched.
    """
    if path.exists() and not _is_pointer(path):
        return path
    if path.is_symlink() or path.exists():
        raise MissingDataError(f"{path} is a link whose content was not fetched; run 'datalad get {path}'")
    raise MissingDataError(
        f"{path} was not found; give the root of the data set as it was downloaded, or fetch that file"
    )


def is_here(path: Path) -> bool:
    """Whether a file and its content are here; a link of git-annex may be without."""
    return path.is_file() and not _is_pointer(path)


def _is_pointer(path: Path) -> bool:
    """Whether a file is what git-annex leaves in place of an unlocked one: a line that names its content."""
    if not path.is_file() or path.stat().st_size > POINTER:
        return False
    with path.open("rb") as file:
        return file.read(len(ANNEX)) == ANNEX
