"""The map that fits a space: the cortex for vertices, slices for voxels."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from fusiform.data import Space
from fusiform.plots.surface import flatmap, unplaced
from fusiform.plots.volume import mosaic, unsliced

__all__ = ["brain_map", "unmapped"]


def brain_map(
    values: ArrayLike,
    space: Space,
    *,
    title: str = "",
    label: str = "",
    cmap: str = "magma",
    limits: tuple[float, float] | None = None,
    categories: Sequence[str] | None = None,
) -> Figure:
    """Values [V] where their targets lie: `volume.mosaic` where the space has a grid, else `surface.flatmap`.

    Raises:
        DataError: the space has no places that can be drawn, as `unmapped` says, or not V targets.
    """
    draw = flatmap if space.grid is None else mosaic
    return draw(values, space, title=title, label=label, cmap=cmap, limits=limits, categories=categories)


def unmapped(space: Space) -> str:
    """Why there is no map of a space, such as `"has neither a mesh nor a grid"`; empty where there is one."""
    if space.grid is None and space.mesh is None:
        return "has neither a mesh nor a grid"
    return unplaced(space) if space.grid is None else unsliced(space)
