"""The regions of a brain, and the channels that the targets of each read most."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Space
from fusiform.models.channels import principal_channels

__all__ = ["EVERYWHERE", "RANKS", "TopChannels", "regions", "top_channels"]

REGIONS = 8  # that are shown
FEWEST = 3  # targets of a region: they have as many components
RANKS = (1, 2, 3)  # of the mixtures of a region, the first is what it reads most
EVERYWHERE = "all targets"
NOT_LABELS = {"name", "hemisphere", "subject"}  # columns of words that are no regions


@dataclass(frozen=True)
class TopChannels:
    """The mixtures of channels that the targets of one region read most: the principal components of their weights.

    Args:
        region: its name.
        targets: [R] their positions.
        mixtures: [D, 3], as `models.channels.principal_channels` gives them.
        values: [V, 3] how much every target, of this region or not, reads of each mixture.
        shares: [3] of the sum of squares of the region's weights.
    """

    region: str
    targets: NDArray[np.int64]
    mixtures: NDArray[np.float64]
    values: NDArray[np.float64]
    shares: NDArray[np.float64]


def top_channels(weights: NDArray[np.floating], space: Space) -> list[TopChannels]:
    """Those of all targets together, and of each of the `regions`.

    Args:
        weights: [V, D], as `models.selection.channel_weights` gives them.
        space: of the V targets.
    """
    return [_top_channels(weights, *one) for one in {EVERYWHERE: np.arange(space.size), **regions(space)}.items()]


def _top_channels(weights: NDArray[np.floating], region: str, targets: NDArray[np.int64]) -> TopChannels:
    mixtures = principal_channels(weights[targets], len(RANKS))
    values = weights @ mixtures
    whole = np.square(weights[targets], dtype=np.float64).sum()
    shares = np.square(values[targets]).sum(0) / (whole or 1.0)
    return TopChannels(region, targets, mixtures, values, shares)


def regions(space: Space, most: int = REGIONS) -> dict[str, NDArray[np.int64]]:
    """Regions by name, and the positions of their targets; none where none are labelled.

    Labels come from every column of words. From each column the largest region is taken, then the second of each, and
    so on, so that one atlas with large regions does not leave the others out. `roi` repeats another column where there
    are several.

    Args:
        space: of the targets.
        most: regions.
    """
    labels = {str(name): _positions(space.targets[name]) for name in space.targets if _is_label(space.targets[name])}
    if len(labels) > 1:
        labels.pop("roi", None)
    chosen: dict[str, NDArray[np.int64]] = {}
    for turn in zip_longest(*(found.items() for found in labels.values())):
        for region, targets in filter(None, turn):
            chosen.setdefault(region, targets)
    return dict(list(chosen.items())[:most])


def _is_label(column: "pd.Series[Any]") -> bool:
    if column.name in NOT_LABELS or pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    return bool(_positions(column))


def _positions(column: "pd.Series[Any]") -> Mapping[str, NDArray[np.int64]]:
    """Region -> targets, the largest first, of regions with some targets."""
    words = column.astype(object).where(column.notna(), "").astype(str).reset_index(drop=True)
    sizes = words[words != ""].value_counts(sort=False)
    order = sorted(sizes[sizes >= FEWEST].items(), key=lambda pair: -int(pair[1]))  # equal ones as they come
    return {str(region): np.flatnonzero(words == region) for region, _ in order}
