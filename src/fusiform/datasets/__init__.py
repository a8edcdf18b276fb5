"""Datasets give stimuli and responses, each from one file and found by name. Importing this imports no torch."""

import inspect
from typing import Any

from fusiform.datasets.base import Card, Dataset, Sampled, check_agreed, locate
from fusiform.datasets.fetch import card, fetch, fetchable
from fusiform.errors import SettingsError
from fusiform.registry import did_you_mean, find

__all__ = ["Card", "Dataset", "Sampled", "card", "check_agreed", "fetch", "fetchable", "load_dataset", "locate"]


def load_dataset(name: str, **arguments: Any) -> Dataset:
    """Make a dataset by its registered name; no file is read yet.

    Args:
        name: such as `"alice"`, or a plug-in's.
        arguments: of its constructor, such as `sphere="10mm"`.

    Raises:
        UnknownNameError: no such dataset.
        SettingsError: the dataset does not take such an argument.
    """
    make = find("dataset", name)
    known = list(inspect.signature(make).parameters)
    if unknown := [argument for argument in arguments if argument not in known]:
        raise SettingsError(
            f"dataset {name!r} takes no argument {unknown[0]!r}{did_you_mean(unknown[0], known)}; "
            f"it takes: {', '.join(known) or 'none'}"
        )
    dataset: Dataset = make(**arguments)
    return dataset
