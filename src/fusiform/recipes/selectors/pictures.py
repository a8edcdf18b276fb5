"""What the regions of a brain see in pictures: the channels that their targets read most, place by place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Stimuli
from fusiform.errors import FusiformError
from fusiform.models.channels import channel_maps
from fusiform.models.subjects import read_views, token_shapes
from fusiform.plots.charts import gallery
from fusiform.plots.report import Picture, Section
from fusiform.recipes.selectors.learning import Chosen
from fusiform.recipes.selectors.regions import RANKS, TopChannels
from fusiform.recipes.selectors.showing import to_rgb
from fusiform.recipes.steps import Material

__all__ = ["Seen", "look", "seen_section"]

PICTURES = 8  # that are shown
SIDE = 128  # pixels of the longer side of a picture
TITLE = "What regions see in pictures"
READING = (
    "Above are held-out pictures, below what each region reads of them, place by place, in the layer that it reads "
    "most. Red, green and blue are the first three principal components of its targets' channel weights, from the 5th "
    "to the 95th percentile over these pictures: places of one colour look alike to the region, and what is red in one "
    "row has nothing to do with red in another. A network that cuts pictures to a square sees their middle only."
)


@dataclass(frozen=True)
class Seen:
    """What regions read of some pictures.

    Args:
        pictures: stimulus -> [H, W, 3] in [0, 1].
        layers: region -> the layer that it reads most.
        maps: region -> [pictures, h, w, 3], how much of each of its mixtures of channels is where on the layer's grid.
    """

    pictures: Mapping[str, NDArray[np.float64]]
    layers: Mapping[str, str]
    maps: Mapping[str, NDArray[np.float32]]

    def table(self) -> pd.DataFrame:
        """A row per region, picture and place, of which `down` and `across` count cells from the upper left one."""
        return pd.concat([self._rows(region) for region in self.maps], ignore_index=True)

    def _rows(self, region: str) -> pd.DataFrame:
        maps = self.maps[region]
        picture, down, across = np.indices(maps.shape[:3]).reshape(3, -1)
        place = {"stimulus": np.array(list(self.pictures))[picture], "down": down, "across": across}
        mixed = {f"top{rank}": maps[..., rank - 1].ravel() for rank in RANKS}
        return pd.DataFrame({"region": region, "layer": self.layers[region], **place, **mixed})


def look(chosen: Chosen, found: Material, tops: Sequence[TopChannels]) -> Seen | str:
    """Show some held-out pictures to the regions; or why that cannot be."""
    grids = {name: shape.grid for name, shape in token_shapes(read_views(found.pairs)).items()}
    planar = [layer for layer, grid in grids.items() if len(grid) == 2]
    if not planar:
        return "no layer keeps a grid of tokens over the picture"
    rows = _some_rows(found.pairs.samples, chosen.result.rows[chosen.result.fold == 0])  # the model is the first fold's
    pictures = _pictures(found.stimuli, found.pairs.samples["stimulus"].iloc[rows].tolist())
    if isinstance(pictures, str):
        return pictures
    features = found.pairs.select(rows)
    layers = {top.region: _most_read(chosen.table.iloc[top.targets], planar) for top in tops}
    maps = {top.region: channel_maps(chosen.model, features, layers[top.region], top.mixtures) for top in tops}
    return Seen(pictures, layers, maps)


def seen_section(seen: Seen | str) -> Section:
    """The pictures, and below them what each region reads of them, as colours."""
    if isinstance(seen, str):
        return Section(TITLE, notice=f"Left out: {seen}.")
    rows = {f"{region}\n{seen.layers[region]}": list(to_rgb(maps)) for region, maps in seen.maps.items()}
    caption = f"{len(seen.pictures)} held-out pictures as each region reads them; below its name the layer."
    shown = gallery({"picture": list(seen.pictures.values()), **rows})
    return Section(TITLE, [READING], pictures=[Picture("channels", shown, caption)])


def _most_read(table: pd.DataFrame, layers: Sequence[str]) -> str:
    """The layer of which these targets read most on average, among some."""
    return max(layers, key=lambda layer: float(table[f"share:{layer}"].mean()))


def _some_rows(samples: pd.DataFrame, held: NDArray[np.int64]) -> NDArray[np.int64]:
    """Held-out rows of different stimuli, evenly apart."""
    first = held[~samples["stimulus"].iloc[held].duplicated().to_numpy()]
    return first[np.unique(np.linspace(0, len(first) - 1, PICTURES).round().astype(np.int64))]


def _pictures(stimuli: Stimuli, ids: Sequence[str]) -> dict[str, NDArray[np.float64]] | str:
    """Small RGB pictures [H, W, 3] in [0, 1], or why there are none."""
    if stimuli.kind != "image":
        return f"the stimuli are of the kind {stimuli.kind!r}, not pictures"
    pictures = {}
    for id in ids:
        try:
            picture = stimuli.load(id).convert("RGB")
        except (FusiformError, OSError, ValueError) as reason:
            return f"the picture {id!r} could not be loaded ({reason})"
        picture.thumbnail((SIDE, SIDE))
        pictures[id] = np.asarray(picture, dtype=np.float64) / 255
    return pictures
