"""What the regions of a brain see in pictures: the channels that their targets read most, as colours."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Space, Stimuli
from fusiform.errors import FusiformError
from fusiform.models.channels import channel_maps, principal_channels
from fusiform.models.selection import channel_weights
from fusiform.models.subjects import read_views, token_shapes
from fusiform.plots.charts import gallery
from fusiform.plots.report import Picture, Section
from fusiform.recipes.selectors.learning import Chosen
from fusiform.recipes.steps import Material

__all__ = ["channel_section", "regions", "to_rgb"]

REGIONS, PICTURES = 8, 8  # that are shown
FEWEST = 3  # targets of a region: they have as many components
SIDE = 128  # pixels of the longer side of a picture
NOT_LABELS = {"name", "hemisphere", "subject"}  # columns of words that are no regions
TITLE = "What regions see in pictures"
READING = (
    "Above are held-out pictures, below what each region reads of them, place by place, in the layer that it reads "
    "most. Red, green and blue are the first three principal components of its targets' channel weights, from the 5th "
    "to the 95th percentile over these pictures: places of one colour look alike to the region, and what is red in one "
    "row has nothing to do with red in another. A network that cuts pictures to a square sees their middle only."
)


def channel_section(chosen: Chosen, found: Material) -> Section:
    """Some held-out pictures, and for each region what its main channels say of them; or why there are none."""
    grids = {name: shape.grid for name, shape in token_shapes(read_views(found.pairs)).items()}
    seen = [layer for layer, grid in grids.items() if len(grid) == 2]
    if not seen:
        return Section(TITLE, notice="Left out: no layer keeps a grid of tokens over the picture.")
    rows = _some_rows(found.pairs.samples, chosen.result.rows[chosen.result.fold == 0])  # the model is the first fold's
    pictures = _pictures(found.stimuli, found.pairs.samples["stimulus"].iloc[rows].tolist())
    if isinstance(pictures, str):
        return Section(TITLE, notice=f"Left out: {pictures}.")
    shown: dict[str, Sequence[NDArray[np.floating]]] = {"picture": pictures}
    features = found.pairs.select(rows)
    for region, targets in regions(found.pairs.space).items():
        layer = _most_read(chosen.table.iloc[targets], seen)
        mixtures = principal_channels(channel_weights(chosen.model)[targets])
        shown[f"{region}\n{layer}"] = list(to_rgb(channel_maps(chosen.model, features, layer, mixtures)))
    return Section(TITLE, [READING], pictures=[Picture("channels", gallery(shown), _caption(shown))])


def regions(space: Space, most: int = REGIONS) -> dict[str, NDArray[np.int64]]:
    """Regions by name, and the positions of their targets; all targets as one where none are labelled.

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
    some = dict(list(chosen.items())[:most])
    return some or {"all targets": np.arange(space.size)}


def to_rgb(maps: NDArray[np.floating]) -> NDArray[np.float64]:
    """Three components [N, H, W, 3] as colours in [0, 1], each from the 5th to the 95th percentile over all."""
    low, high = np.percentile(maps, (5, 95), axis=(0, 1, 2))
    extent = np.where(high > low, high - low, 1.0)
    return np.asarray(np.where(high > low, (maps - low) / extent, 0.5).clip(0, 1))


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


def _most_read(table: pd.DataFrame, layers: Sequence[str]) -> str:
    """The layer of which these targets read most on average, among some."""
    return max(layers, key=lambda layer: float(table[f"share:{layer}"].mean()))


def _some_rows(samples: pd.DataFrame, held: NDArray[np.int64]) -> NDArray[np.int64]:
    """Held-out rows of different stimuli, evenly apart."""
    first = held[~samples["stimulus"].iloc[held].duplicated().to_numpy()]
    return first[np.unique(np.linspace(0, len(first) - 1, PICTURES).round().astype(np.int64))]


def _pictures(stimuli: Stimuli, ids: Sequence[str]) -> list[NDArray[np.float64]] | str:
    """Small RGB pictures [H, W, 3] in [0, 1], or why there are none."""
    if stimuli.kind != "image":
        return f"the stimuli are of the kind {stimuli.kind!r}, not pictures"
    pictures = []
    for id in ids:
        try:
            picture = stimuli.load(id).convert("RGB")
        except (FusiformError, OSError, ValueError) as reason:
            return f"the picture {id!r} could not be loaded ({reason})"
        picture.thumbnail((SIDE, SIDE))
        pictures.append(np.asarray(picture, dtype=np.float64) / 255)
    return pictures


def _caption(shown: Mapping[str, Any]) -> str:
    return f"{len(shown['picture'])} held-out pictures as {len(shown) - 1} regions read them; below a region its layer."
