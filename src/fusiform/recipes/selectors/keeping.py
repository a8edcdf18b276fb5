"""What a run of the selector leaves on disk for each subject: tables, and maps as files of images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Space
from fusiform.files import atomic
from fusiform.plots.imaging import save_map, unwritten
from fusiform.recipes.selectors.pictures import Seen
from fusiform.recipes.selectors.quantities import quantities
from fusiform.recipes.selectors.regions import RANKS, TopChannels

__all__ = ["keep_seen", "keep_selection", "keep_top_channels"]


def keep_selection(folder: Path, table: pd.DataFrame, space: Space, layers: Sequence[str]) -> None:
    """Write `selection.parquet`, a row per target, and in `maps/` every quantity and the share of every layer."""
    _write(folder / "selection.parquet", _beside(space, table))
    if unwritten(space):
        return
    for quantity in quantities(layers, table):
        cmap = quantity.look.get("cmap", "magma")
        values = table[quantity.column]
        save_map(folder / "maps", quantity.name, values, space, categories=quantity.categories, cmap=cmap)
    for number, layer in enumerate(layers):  # by number: the names of layers may hold a slash
        if f"share:{layer}" in table:
            save_map(folder / "maps", f"share_{number}", table[f"share:{layer}"], space)


def keep_top_channels(folder: Path, weights: NDArray[np.floating], tops: Sequence[TopChannels], space: Space) -> None:
    """Write channel weights, the mixtures that regions read most, and how much every target reads of these.

    They are `channels.parquet`, a row per target; `regions.parquet`, a row per region and rank, with its weights of the
    channels; `top_channels.parquet`, a row per target, `topRANK:REGION`; and the same in `maps/`, `topRANK_NUMBER` with
    the number of the region.
    """
    channels = [f"channel{number}" for number in range(weights.shape[1])]
    _write(folder / "channels.parquet", pd.DataFrame(weights, columns=channels))
    mixtures = [_mixtures(number, top, channels) for number, top in enumerate(tops)]
    _write(folder / "regions.parquet", pd.concat(mixtures, ignore_index=True))
    values = {f"top{rank}:{top.region}": top.values[:, rank - 1] for top in tops for rank in RANKS}
    _write(folder / "top_channels.parquet", _beside(space, pd.DataFrame(values)))
    if unwritten(space):
        return
    for number, top in enumerate(tops):
        for rank, value in zip(RANKS, top.values.T, strict=True):
            save_map(folder / "maps", f"top{rank}_{number}", value, space)


def keep_seen(folder: Path, seen: Seen | str) -> None:
    """Write `seen.parquet`, what regions see in some pictures, where they see any."""
    if not isinstance(seen, str):
        _write(folder / "seen.parquet", seen.table())


def _mixtures(number: int, top: TopChannels, channels: list[str]) -> pd.DataFrame:
    about = pd.DataFrame({"region": top.region, "number": number, "targets": len(top.targets), "rank": RANKS})
    return pd.concat([about.assign(share=top.shares), pd.DataFrame(top.mixtures.T, columns=channels)], axis=1)


def _beside(space: Space, table: pd.DataFrame) -> pd.DataFrame:
    """Columns of the space and those of a table; of two with one name that of the table."""
    return pd.concat([space.targets.drop(columns=[name for name in space.targets if name in table]), table], axis=1)


def _write(path: Path, table: pd.DataFrame) -> None:
    with atomic(path) as new:
        table.to_parquet(new)
