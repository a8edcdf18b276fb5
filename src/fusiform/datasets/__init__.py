"""Datasets give stimuli and responses, each from one file and found by name. Importing this imports no torch."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusiform.datasets.base import Card, Dataset, Sampled, check_agreed, locate
from fusiform.datasets.fetch import card, fetch, fetchable
from fusiform.errors import SettingsError
from fusiform.registry import did_you_mean, find, names

__all__ = [
    "Card",
    "Dataset",
    "Sampled",
    "card",
    "check_agreed",
    "fetch",
    "fetchable",
    "load_dataset",
    "locate",
    "with_agreement",
    "with_root",
    "with_trust",
]


def load_dataset(name: str, **arguments: Any) -> Dataset:
    """Make a dataset by its registered name; no file of data is read yet.

    Args:
        name: such as `"alice"`, a plug-in's, or `"folder:PATH"` or `"path/to/dataset.yaml"` for data of one's own.
        arguments: of its constructor, such as `sphere="10mm"`.

    Raises:
        UnknownNameError: no such dataset.
        SettingsError: the dataset does not take such an argument.
    """
    if own := _own(name):
        name, arguments = "folder", {"path": own, **arguments}
    make = find("dataset", name)
    known = list(inspect.signature(make).parameters)
    if unknown := [argument for argument in arguments if argument not in known]:
        raise SettingsError(
            f"dataset {name!r} takes no argument {unknown[0]!r}{did_you_mean(unknown[0], known)}; "
            f"it takes: {', '.join(known) or 'none'}"
        )
    if missing := [argument for argument in _needed(make) if argument not in arguments]:
        raise SettingsError(f"dataset {name!r} needs the argument {missing[0]!r}{_EXAMPLE.get(name, '')}")
    dataset: Dataset = make(**arguments)
    return dataset


def with_agreement(arguments: Mapping[str, Any] | None, i_have_agreed: bool) -> dict[str, Any]:
    """Arguments of a dataset, with the user's word that the data's agreement was accepted where it was given."""
    return {**(arguments or {}), **({"i_have_agreed": True} if i_have_agreed else {})}


def with_trust(name: str, trust_pickle: bool, arguments: Mapping[str, Any] | None) -> dict[str, Any]:
    """Arguments of a dataset, with the user's word that its pickled files are to be trusted where it was given.

    An argument `trust_pickle` among `arguments` goes before.

    Raises:
        SettingsError: the dataset opens no pickled files.
    """
    given = dict(arguments or {})
    if not trust_pickle:
        return given
    if _own(name) or (name in names("dataset") and not _takes(name, "trust_pickle")):
        raise SettingsError(f"dataset {name!r} opens no pickled files; leave out --trust-pickle")
    return {"trust_pickle": True, **given}


def with_root(name: str, root: str | Path | None, arguments: Mapping[str, Any] | None) -> dict[str, Any]:
    """Arguments of a dataset, with the folder of its files where one was given and the dataset takes it.

    Others are found by `roots.looking_in`. An argument `root` among `arguments` goes before.

    Args:
        name: of the dataset.
        root: its folder, whatever it is called, or the one that holds a folder of its name, or an address.
        arguments: of the dataset.

    Raises:
        SettingsError: the dataset is a description, which says itself where its files lie.
    """
    given = dict(arguments or {})
    if root is None:
        return given
    if _own(name) or name == "folder":
        raise SettingsError(f"the description {name!r} says where its files lie; leave out --root")
    if name not in names("dataset") or not _takes(name, "root"):
        return given
    inside = Path(root).expanduser() / name
    return {"root": str(inside if inside.is_dir() else root), **given}


_EXAMPLE = {"folder": "; name it by its description: path/to/dataset.yaml, or folder:PATH"}


def _own(name: str) -> str:
    """The description that a name stands for; nothing where it is the name of a dataset."""
    if name.startswith("folder:"):
        return name.removeprefix("folder:")
    return name if name.endswith((".yaml", ".yml")) else ""


def _takes(name: str, argument: str) -> bool:
    return argument in inspect.signature(find("dataset", name)).parameters


def _needed(make: Any) -> list[str]:
    """Arguments without a default."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(make).parameters.values()
    return [one.name for one in parameters if one.kind in kinds and one.default is inspect.Parameter.empty]
