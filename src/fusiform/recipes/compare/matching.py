"""Whether runs may stand side by side: the same brain, the same samples, the same measure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusiform.errors import SettingsError
from fusiform.recipes.compare.network import Network, open_network, with_labels

__all__ = ["read_networks"]

# columns that tell targets apart; the first that are there count
PLACES = (("hemisphere", "vertex"), ("i", "j", "k"), ("name",))


def read_networks(folders: Sequence[Path]) -> list[Network]:
    """Read runs that match, in the order given.

    Raises:
        LayoutError: one is missing, unfinished or damaged.
        SettingsError: there is none, one was given twice, or one is of another dataset, subject, metric or targets.
    """
    if not folders:
        raise SettingsError("there is no run to report; give one or more folders that 'encode' wrote")
    networks = [open_network(Path(folder)) for folder in folders]
    seen: set[Path] = set()
    for network in networks:
        if (place := network.run.folder.resolve()) in seen:
            raise SettingsError(f"{network.run.folder} was given twice; give each run once")
        seen.add(place)
    for other in networks[1:]:
        _check_match(networks[0], other)
    return with_labels(networks)


def _check_match(first: Network, other: Network) -> None:
    for what, mine in _facts(first).items():
        if (found := _facts(other)[what]) != mine and not (what == "part" and None in (found, mine)):
            raise _differs(first, other, f"{what} {found!r} and not {mine!r}")
    if (why := _other_targets(first, other)) or (why := _other_samples(first, other)):
        raise _differs(first, other, why)


def _facts(network: Network) -> dict[str, Any]:
    """What runs that are compared have in common, in the words of `encode`'s settings."""
    told = network.settings
    return {
        "dataset": told["dataset"],
        "subject": network.summary["subject"],
        "part": told.get("part"),
        "dataset_args": told.get("dataset_args") or {},
        "metric": told["metric"],
        "single_trials": told["single_trials"],
        "number of targets": len(network.table),
    }


def _other_targets(first: Network, other: Network) -> str:
    """What is amiss if two runs with equally many targets have different ones."""
    for columns in PLACES:
        if set(columns) <= set(first.table) and set(columns) <= set(other.table):
            names = list(columns)
            same = (first.table[names].to_numpy() == other.table[names].to_numpy()).all()
            return "" if same else f"other targets (their {' and '.join(names)} differ)"
    return ""


def _other_samples(first: Network, other: Network) -> str:
    """What is amiss if noise ceilings differ, which follow from the responses and the samples tested alone."""
    mine, found = first.scores.ceiling, other.scores.ceiling
    if mine is None or found is None:
        return "" if mine is found else "a noise ceiling in one run only"
    same = np.allclose(mine, found, rtol=1e-5, equal_nan=True)
    return "" if same else "other noise ceilings, so that other responses were tested"


def _differs(first: Network, other: Network, what: str) -> SettingsError:
    return SettingsError(
        f"{other.run.folder} cannot stand beside {first.run.folder}, for it has {what}; give runs of one dataset, "
        "subject, metric and the same targets, or encode one of them again as the other was"
    )
