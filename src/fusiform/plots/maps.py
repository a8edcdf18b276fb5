"""The map that fits a space: the cortex for vertices, slices for voxels."""

from typing import Unpack

from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from fusiform.data import Space
from fusiform.plots.filling import unplaced
from fusiform.plots.paint import Look, Tints
from fusiform.plots.surface import cortex, flatmap, tinted_cortex
from fusiform.plots.volume import mosaic, tinted_mosaic, unsliced

__all__ = ["brain_map", "tinted_map", "unmapped"]


def brain_map(values: ArrayLike, space: Space, *, title: str = "", sides: bool = False, **look: Unpack[Look]) -> Figure:
    """Values [V] where their targets lie: `volume.mosaic` where the space has a grid, else `surface.flatmap`.

    Args:
        values: [V].
        space: where they lie.
        title: above the map.
        sides: show the inflated cortex from its sides, too (`surface.cortex`); slices stay as they are.
        look: as in `flatmap`.

    Raises:
        DataError: the space has no places that can be drawn, as `unmapped` says, or not V targets.
    """
    draw = mosaic if space.grid is not None else cortex if sides else flatmap
    return draw(values, space, title=title, **look)


def tinted_map(tints: Tints, space: Space, *, title: str = "") -> Figure:
    """Targets that have a colour each where they lie: in slices, or on the cortex, flat and from its sides.

    Raises:
        DataError: as in `brain_map`.
    """
    return (tinted_cortex if space.grid is None else tinted_mosaic)(tints, space, title=title)


def unmapped(space: Space) -> str:
    """Why there is no map of a space, such as `"has neither a mesh nor a grid"`; empty where there is one."""
    if space.grid is None and space.mesh is None:
        return "has neither a mesh nor a grid"
    return unplaced(space) if space.grid is None else unsliced(space)
