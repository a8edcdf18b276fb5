"""The numbers of a comparison: headlines, differences target by target, and how deep targets read."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Space
from fusiform.recipes.compare.network import Network
from fusiform.scores import bootstrap_mean

__all__ = [
    "common",
    "depth_bins",
    "depth_shares",
    "depths",
    "facts",
    "headlines",
    "neighbourhoods",
    "paired",
    "targets",
]

BLOCKS = 64  # of neighbouring targets, that are drawn together for an interval
MOST_BINS = 6  # of depth
SCORES = {
    "mean_r": "mean r",
    "median_r": "median r",
    "mean_ceiling": "mean ceiling",
    "ratio_to_ceiling": "r over ceiling",
}
Floats = NDArray[np.float64]


def facts(network: Network) -> dict[str, Any]:
    """What `summary.json` says of one run: where it is, of which network it is, and its headline numbers."""
    told, found = network.settings, network.summary
    depth, among = network.depth, network.judged
    return {
        "run": str(network.run.folder),
        "backbone": told["backbone"],
        "backbone_args": told.get("backbone_args"),
        "features": found.get("features"),
        "model": told["model"],
        "model_args": told.get("model_args"),
        "layers": len(network.layers),
        "mean_depth": float(depth[among].mean()) if depth is not None and among.any() else None,
        "scores": found["scores"],
        "truth": found.get("truth", {}),
        "controls": found.get("controls", {}),
        "seconds": found.get("seconds", {}),
    }


def headlines(networks: Sequence[Network]) -> pd.DataFrame:
    """A row per number, a column per network, truths and controls last; what a run does not have is NaN.

    Left out are numbers that no run has. Of arguments those are told in which runs of one backbone, or model, differ.
    """
    found = [facts(network) for network in networks]
    said = [_differing(found, of) for of in ("backbone", "model")]
    columns = [_column(*about) for about in zip(found, *said, strict=True)]
    rows = sorted(dict.fromkeys(row for column in columns for row in column), key=_group)
    shown = [row for row in rows if any(column.get(row) is not None for column in columns)]
    table = [[column.get(row, np.nan) for row in shown] for column in columns]
    labels = [network.label for network in networks]
    return pd.DataFrame({"": shown, **dict(zip(labels, table, strict=True))}, dtype=object)


def _group(row: str) -> int:
    return ["truth", "control"].index(row.partition(":")[0]) + 1 if ": " in row else 0


def _differing(found: Sequence[Mapping[str, Any]], of: str) -> list[str | None]:
    """For each run the arguments of its backbone, or model, that are others in a run of the same one."""
    arguments = [about[f"{of}_args"] or {} for about in found]
    said = []
    for about, mine in zip(found, arguments, strict=True):
        peers = [theirs for other, theirs in zip(found, arguments, strict=True) if other[of] == about[of]]
        told = [f"{name}={mine[name]}" for name in mine if any(theirs.get(name) != mine[name] for theirs in peers)]
        said.append(", ".join(told) or None)
    return said


def _column(about: Mapping[str, Any], of_backbone: str | None, of_model: str | None) -> dict[str, Any]:
    scores = about["scores"]
    return {
        "backbone": about["backbone"],
        "arguments of the backbone": of_backbone,
        "features in the store": about["features"],
        "model": about["model"],
        "arguments of the model": of_model,
        "layers": about["layers"],
        "targets": scores["targets"],
        "targets with r-ceiling above .3": scores["targets_reliable"],
        **{word: scores.get(key) for key, word in SCORES.items()},
        "mean depth": about["mean_depth"],
        "seconds": round(sum(about["seconds"].values()), 1) if about["seconds"] else None,
        **{f"truth: {key.replace('_', ' ')}": value for key, value in about["truth"].items()},
        **{f"control: {key.replace('_', ' ')}": value for key, value in about["controls"].items()},
    }


def common(networks: Sequence[Network]) -> NDArray[np.bool_]:
    """[V] the targets that all networks are judged by."""
    return np.asarray(np.logical_and.reduce([network.judged for network in networks]))


def paired(networks: Sequence[Network]) -> list[dict[str, Any]]:
    """Every two networks, target by target: mean difference of r with its interval, and which is better how often.

    The interval is over blocks of neighbouring targets (`neighbourhoods`), which vary together. So it tells how even
    the difference is over the brain; what other stimuli or people would give it does not tell.
    """
    return [_pair(first, other) for first, other in combinations(networks, 2)]


def _pair(first: Network, other: Network) -> dict[str, Any]:
    among = common([first, other])
    difference = (first.scores.values - other.scores.values)[among]
    about: dict[str, Any] = {"a": first.label, "b": other.label, "targets": len(difference)}
    if not len(difference):
        return {**about, **dict.fromkeys(("blocks", "mean_difference", "low", "high", "a_better", "b_better"))}
    assert first.scores.space is not None
    blocks = neighbourhoods(first.scores.space.select(among))
    low, high = bootstrap_mean(difference, blocks)
    return {
        **about,
        "blocks": int(blocks.max()) + 1,
        "mean_difference": float(difference.mean()),
        "low": low,
        "high": high,
        "a_better": float((difference > 0).mean()),
        "b_better": float((difference < 0).mean()),
    }


def neighbourhoods(space: Space, count: int = BLOCKS) -> NDArray[np.int64]:
    """Blocks of neighbouring targets, [V]: all are halved across their longest axis until there are `count` or more.

    Each target is a block of its own where they are too few for two in each block, or have no coordinates.
    """
    if space.size < 2 * count or not set("xyz") <= set(space.targets):
        return np.arange(space.size)
    places = space.coordinates()
    if not np.isfinite(places).all():
        return np.arange(space.size)
    parts = [np.arange(space.size)]
    while len(parts) < count:
        parts = [half for part in parts for half in _halves(part, places)]
    block = np.empty(space.size, dtype=np.int64)
    for number, part in enumerate(parts):
        block[part] = number
    return block


def _halves(part: NDArray[np.int64], places: Floats) -> list[NDArray[np.int64]]:
    axis = np.ptp(places[part], axis=0).argmax()
    return np.array_split(part[np.argsort(places[part, axis], kind="stable")], 2)


def depths(networks: Sequence[Network]) -> dict[str, Floats]:
    """Label -> [V] depth of every target, of the networks that have several layers."""
    return {network.label: depth for network in networks if (depth := network.depth) is not None}


def depth_bins(networks: Sequence[Network]) -> list[str]:
    """Steps of depth that networks are told by, as many as the shallowest one with several layers has, or six."""
    count = min([MOST_BINS, *(len(network.layers) for network in networks if network.depth is not None)])
    return [f"{share:.0%}" for share in np.linspace(0, 1, count)]


def depth_shares(depth: Floats, among: NDArray[np.bool_], count: int) -> Floats:
    """Share of the targets that read nearest to each of `count` steps, [count]; NaN where there are no targets."""
    step = np.floor(depth[among] * (count - 1) + 0.5).astype(np.int64)
    return np.asarray(np.bincount(step, minlength=count) / len(step)) if len(step) else np.full(count, np.nan)


def targets(networks: Sequence[Network]) -> pd.DataFrame:
    """A row per target: the columns of the space, the ceiling, and `r LABEL`, `layer LABEL`, ... of every network."""
    first = networks[0].scores
    assert first.space is not None
    table = first.space.targets.copy()
    table.attrs = dict(networks[0].table.attrs)  # on which mesh or grid they live, see `outcome.save`
    if first.ceiling is not None:
        table["ceiling"] = first.ceiling
    found = [network.quantities() for network in networks]
    names = dict.fromkeys(name for quantities in found for name in quantities)
    columns = {
        f"{name} {network.label}": quantities[name]
        for name in names
        for network, quantities in zip(networks, found, strict=True)
        if name in quantities
    }
    return table.assign(**columns)
