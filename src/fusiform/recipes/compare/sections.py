"""What the comparison shows: the same quantity of every network in the same colours, and differences."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Space
from fusiform.plots.charts import grouped_bars, lines, matrix, scatter
from fusiform.plots.maps import brain_map, tinted_map, unmapped
from fusiform.plots.numbers import finite
from fusiform.plots.report import Picture, Section
from fusiform.plots.surface import flatmaps, tinted_flatmaps
from fusiform.plots.tints import retinotopy
from fusiform.recipes.compare.network import CENTRES, Network
from fusiform.recipes.compare.numbers import common, depth_bins, depth_shares, depths, headlines
from fusiform.recipes.sections import FEW

__all__ = ["comparison_sections"]

QUANTILES = (5, 25, 50, 75, 95)  # per cent
MOST_ROWS = 40  # of the table of regions and networks
ACROSS = 4  # maps side by side; more stand one above the other
Floats = NDArray[np.float64]


def comparison_sections(networks: Sequence[Network], pairs: Sequence[Mapping[str, Any]]) -> list[Section]:
    """All sections, those without content left out.

    Args:
        networks: one or more that match.
        pairs: as `numbers.paired` gives them.
    """
    parts = [_headlines(networks), _where(networks), _depths(networks), _read(networks), _paired(networks, pairs)]
    return [part for part in parts if part is not None]


def _headlines(networks: Sequence[Network]) -> Section:
    scores = networks[0].scores
    over = f"Means are over the {int(common(networks).sum()):,} of {len(scores.values):,} targets"
    text = [
        f"{over} whose r-ceiling is above .3." if scores.ceiling is not None else f"{over}; no ceiling is known.",
        "Each network was fitted in a run of its own. A dash means that the run does not have the number.",
    ]
    if any(network.summary.get("truth") for network in networks):
        text.append("Truths are of what was planted: a network that it was not planted from has no right layer.")
    return Section("Headline numbers", text, table=headlines(networks))


def _where(networks: Sequence[Network]) -> Section:
    scores, space = {network.label: network.scores.values for network in networks}, _space(networks)
    caption = "Correlation of predicted and measured responses of held-out samples, in the same colours."
    shown = _maps("r", scores, space, caption, label="r", limits=_limits(scores))
    if not shown:
        shown = [_without_map(scores, space)]
    shown += _by_metric(networks, space)
    return Section("Where each network predicts", [], pictures=[*shown, *_by_region(networks, space)])


def _by_metric(networks: Sequence[Network], space: Space) -> list[Picture]:
    metric = networks[0].settings["metric"]
    if metric == "pearson":
        return []
    values = {network.label: network.quantities()[metric] for network in networks}
    return _maps(metric, values, space, f"{metric} of every target.", label=metric, limits=_limits(values))


def _without_map(scores: Mapping[str, Floats], space: Space) -> Picture:
    why = f"There is no map, for the space {space.name!r} {unmapped(space)}."
    if space.size <= FEW:
        return Picture("targets", grouped_bars(scores, space.names), f"r of every target. {why}")
    known = {label: finite(values) for label, values in scores.items()}
    spread = {label: np.percentile(values, QUANTILES) for label, values in known.items() if len(values)}
    names = [f"{share} %" for share in QUANTILES]
    made = lines(spread, names, x="targets up to here", title="Distribution of r over targets")
    return Picture("distribution", made, f"Percentiles of r over targets. {why}")


def _by_region(networks: Sequence[Network], space: Space) -> list[Picture]:
    regions = _regions(space, common(networks))
    if not 1 < len(regions) <= FEW:
        return []
    means = {
        network.label: [float(network.scores.values[here].mean()) for here in regions.values()] for network in networks
    }
    made = grouped_bars(means, list(regions), label="mean r")
    return [Picture("regions", made, "Mean r over the reliable targets of each region.")]


def _depths(networks: Sequence[Network]) -> Section | None:
    depth, space, among = depths(networks), _space(networks), common(networks)
    if not depth:
        return None
    text = [
        "Depth is the place of a layer between the first (0) and the last (1), so that networks with different numbers "
        "of layers compare. Where targets share themselves among layers it is the mean by shares; elsewhere it is that "
        "of the layer that predicts the target best within training samples."
    ]
    if left := [network.label for network in networks if network.label not in depth]:
        text.append(f"Of one layer, or with all read as one, and so without depth: {', '.join(left)}.")
    look: dict[str, Any] = {"label": "depth", "limits": (0.0, 1.0), "cmap": "viridis"}
    pictures = _maps("depth", depth, space, "Depth that each target reads, in the same colours.", **look)
    if among.any():
        pictures += _distributions(depth_bins(networks), depth, space, among)
    return Section("Which depth each target reads", text, pictures=pictures)


def _distributions(
    steps: Sequence[str], depth: Mapping[str, Floats], space: Space, among: NDArray[np.bool_]
) -> list[Picture]:
    """Share of targets per depth, of all and by region."""
    whole = {label: depth_shares(values, among, len(steps)) for label, values in depth.items()}
    made = lines(whole, steps, x="depth", y="share of targets", title="Depth, over all reliable targets")
    pictures = [Picture("depths", made, "Share of the reliable targets that read nearest to each depth.")]
    regions = list(_regions(space, among).items())[: MOST_ROWS // len(depth)]
    if len(regions) < 2:
        return pictures
    rows = {
        f"{region}: {label}": depth_shares(values, here, len(steps))
        for region, here in regions
        for label, values in depth.items()
    }
    table = matrix(np.stack(list(rows.values())), list(rows), steps, x="depth", label="share of the region's targets")
    return [*pictures, Picture("depths_by_region", table, "The same by region: each line adds up to 1.")]


def _read(networks: Sequence[Network]) -> Section | None:
    """Where the centres are of what each target reads, and how wide that is, of the runs that say so."""
    space = _space(networks)
    pictures = _centres(networks, space)
    scale = {network.label: wide for network in networks if (wide := network.selected("scale")) is not None}
    caption = "Share of global tokens: 0 reads one place, 1 the picture as a whole."
    pictures += _maps("scale", scale, space, caption, label="scale", limits=(0.0, 1.0))
    return Section("Where each target looks", pictures=pictures) if pictures else None


def _centres(networks: Sequence[Network], space: Space) -> list[Picture]:
    found = {network.label: [network.selected(column) for column in CENTRES] for network in networks}
    tints = {label: retinotopy(x, y) for label, (x, y) in found.items() if x is not None and y is not None}
    caption = "Place in the picture that each target reads; the legend is the picture itself."
    if not tints or unmapped(space):
        return []
    if space.grid is None:
        return [Picture("centre", tinted_flatmaps(tints, space, across=_across(tints)), caption)]
    return [
        Picture(f"centre_{number}", tinted_map(one, space, title=label), f"{label}. {caption}")
        for number, (label, one) in enumerate(tints.items())
    ]


def _paired(networks: Sequence[Network], pairs: Sequence[Mapping[str, Any]]) -> Section | None:
    if not pairs:
        return None
    first, *others = networks
    text = [
        "Differences of r over the same reliable targets. The interval (95 %) is of a bootstrap over blocks of "
        "neighbouring targets: it tells how even a difference is over this brain, not what other pictures or people "
        "would give.",
    ]
    if any(pair["targets"] and pair["blocks"] == pair["targets"] for pair in pairs):
        text.append(
            "Here targets were drawn one by one, as they are few or have no coordinates: where neighbours vary "
            "together, the interval is too narrow."
        )
    if len(others) > 1:
        text.append(f"Figures compare with the first network, {first.label}; the table has every two.")
    among = common(networks)
    pictures = [_scatter(first, other, among, number) for number, other in enumerate(others) if among.any()]
    less = {f"{other.label} less {first.label}": other.scores.values - first.scores.values for other in others}
    reach = max(1e-3, float(np.percentile(np.abs(finite(list(less.values()))), 99)))
    caption = "Difference of r: red where the network is better than the first, blue where it is worse."
    look: dict[str, Any] = {"label": "difference of r", "limits": (-reach, reach), "cmap": "coolwarm"}
    pictures += _maps("difference", less, _space(networks), caption, **look)
    return Section("Target by target", text, pictures=pictures, table=_pair_table(pairs))


def _scatter(first: Network, other: Network, among: NDArray[np.bool_], number: int) -> Picture:
    made = scatter(
        first.scores.values[among],
        other.scores.values[among],
        x_label=f"r, {first.label}",
        y_label=f"r, {other.label}",
    )
    return Picture(f"scatter_{number}", made, f"Every reliable target; above the line {other.label} is better.")


def _pair_table(pairs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "A": [pair["a"] for pair in pairs],
            "B": [pair["b"] for pair in pairs],
            "targets": [pair["targets"] for pair in pairs],
            "mean r of A less B": [pair["mean_difference"] for pair in pairs],
            "from": [pair["low"] for pair in pairs],
            "to": [pair["high"] for pair in pairs],
            "A better": [_percent(pair["a_better"]) for pair in pairs],
            "B better": [_percent(pair["b_better"]) for pair in pairs],
        }
    )


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.1%}"


def _maps(name: str, values: Mapping[str, Floats], space: Space, caption: str, **look: Any) -> list[Picture]:
    """One figure of cortices, or one of slices for each network; none where there is no map of the space."""
    if not values or unmapped(space):
        return []
    if space.grid is None:
        return [Picture(name, flatmaps(values, space, across=_across(values), **look), caption)]
    return [
        Picture(f"{name}_{number}", brain_map(one, space, title=label, **look), f"{label}. {caption}")
        for number, (label, one) in enumerate(values.items())
    ]


def _across(maps: Mapping[str, Any]) -> bool:
    return 1 < len(maps) <= ACROSS


def _limits(values: Mapping[str, Floats]) -> tuple[float, float]:
    """Of colours that all networks share: from the 1st to the 99th percentile of all."""
    known = finite(list(values.values()))
    low, high = np.percentile(known, (1, 99)) if len(known) else (0.0, 1.0)
    return float(low), float(high)


def _space(networks: Sequence[Network]) -> Space:
    space = networks[0].scores.space
    assert space is not None  # `outcome.scores_of` makes one
    return space


def _regions(space: Space, among: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Region -> [V] its targets among these, in the order of the space; none where targets have no region."""
    if "roi" not in space.targets:
        return {}
    labels = space.targets["roi"].fillna("").astype(str).to_numpy()
    found = {str(region): (labels == region) & among for region in dict.fromkeys(labels)}
    return {region or "none": here for region, here in found.items() if here.any()}
