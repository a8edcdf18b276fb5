"""Names to objects: built-ins and plug-ins come in by one door, the entry points of installed packages.

A package adds a dataset, backbone, model or metric by one line in its `pyproject.toml`:

    [project.entry-points."fusiform.datasets"]
    mine = "my_package.module:MyDataset"

Nothing is imported before its name is asked for.
"""

import difflib
import importlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from fusiform.errors import MissingExtraError, UnknownNameError

__all__ = ["KINDS", "did_you_mean", "find", "names", "need"]

KINDS = ("dataset", "backbone", "model", "metric")


def find(kind: str, name: str) -> Any:
    """The object registered as `name`, imported now.

    Raises:
        UnknownNameError: nothing of that kind has that name; the message lists the nearest and all names.
    """
    try:
        entry = _entries(kind)[name]
    except KeyError:
        raise UnknownNameError(unknown(kind, name, names(kind))) from None
    return entry.load()


def names(kind: str) -> list[str]:
    """All names of one kind (`dataset`, `backbone`, `model`, `metric`), sorted; imports nothing."""
    return sorted(_entries(kind))


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that does not exist."""
    known = list(known)
    return f"unknown {kind} {name!r}{did_you_mean(name, known)}; there are: {', '.join(known)}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`" (did you mean 'alice'?)"`, or nothing where no known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def need(module: str, *, extra: str) -> ModuleType:
    """Import an optional package, or say which line installs it.

    Args:
        module: its import name, such as `"transformers"`.
        extra: the extra of fusiform that brings it.

    Raises:
        MissingExtraError: it is absent, or present and broken.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError) as reason:  # a torchvision built for another torch raises RuntimeError
        raise MissingExtraError(
            f"this needs the package {module!r}, which could not be imported ({reason}); "
            f"install it with: pip install 'fusiform[{extra}]'"
        ) from reason


@cache
def _entries(kind: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=f"fusiform.{kind}s")}
