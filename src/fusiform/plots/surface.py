"""Values on the cortex: flat maps and inflated views on fsaverage5, of any fsaverage mesh."""

from collections.abc import Mapping, Sequence
from typing import Unpack

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from fusiform.data import Space
from fusiform.errors import DataError
from fusiform.plots.camera import inflated_shot
from fusiform.plots.filling import fill
from fusiform.plots.meshes import HEMISPHERES, MESH, Extent, Floats, flat_pixels, mesh_of, sulcal_depth
from fusiform.plots.paint import Look, Painter, Tints, finish, paint_for
from fusiform.plots.style import INK, MUTED, axes_grid, figure

__all__ = ["MESH", "cortex", "flatmap", "flatmaps", "inflated", "tinted_cortex", "tinted_flatmaps"]

# hemisphere, side it is seen from along x, name
SIDES = (
    ("left", -1, "left, lateral"),
    ("left", 1, "left, medial"),
    ("right", -1, "right, medial"),
    ("right", 1, "right, lateral"),
)


def flatmap(values: ArrayLike, space: Space, *, title: str = "", **look: Unpack[Look]) -> Figure:
    """Both hemispheres cut open and laid flat, left on the left; lines follow the borders of the sulci.

    Args:
        values: [V]; NaN is left grey. With `categories`, positions in them.
        space: where the V targets live; it must name vertices of an fsaverage mesh.
        title: above the map.
        look: `label` of the colour bar, `cmap`, `limits` of the colours, and `categories`; see `paint.Look`.

    Raises:
        DataError: the space has no mesh, another one, or not V targets.
    """
    return flatmaps({"": values}, space, title=title, **look)


def flatmaps(
    maps: Mapping[str, ArrayLike], space: Space, *, title: str = "", across: bool = False, **look: Unpack[Look]
) -> Figure:
    """Flat maps of the same targets in the same colours; `maps` is name -> [V], the rest as in `flatmap`.

    They stand one above the other, or with `across` side by side, right hemispheres below left ones.

    Raises:
        DataError: as in `flatmap`, or there is no map.
    """
    filled = _filled(maps, space)
    paint = paint_for([side for sides, _ in filled.values() for side in sides.values()], **look)
    return _several(filled, dict.fromkeys(filled, paint), title, across)


def tinted_flatmaps(tints: Mapping[str, Tints], space: Space, *, title: str = "", across: bool = False) -> Figure:
    """As `flatmaps`, of targets that have a colour each; all share the first one's legend.

    Raises:
        DataError: as in `flatmaps`.
    """
    return _several(_filled({name: one.targets for name, one in tints.items()}, space), tints, title, across)


def _filled(maps: Mapping[str, ArrayLike], space: Space) -> dict[str, tuple[dict[str, Floats], str]]:
    if not maps:
        raise DataError("there are no maps to draw; wanted one or more, name -> [V]")
    return {name: fill(values, space) for name, values in maps.items()}


def _several(
    filled: Mapping[str, tuple[Mapping[str, Floats], str]],
    paints: Mapping[str, Painter],
    title: str,
    across: bool,
) -> Figure:
    """Maps by name, each of them as `fill` gives it, in one figure."""
    made, grid = _frames(len(filled), across)
    for axes, (name, (sides, _)) in zip(grid, filled.items(), strict=True):
        _draw_both(axes, sides, paints[name], f"{name}, " if name else "")
    note = next(note for _, note in filled.values())
    finish(made, [ax for axes in grid for ax in axes], next(iter(paints.values())), title, note)
    return made


def _frames(count: int, across: bool) -> tuple[Figure, list[list[Axes]]]:
    """A figure, and for each map the axes of its left and its right hemisphere."""
    if not across:
        return axes_grid(count, 2, width=9.6, height=3.9 * count + 0.4)
    made, grid = axes_grid(2, count, width=9.6, height=2 * (7.2 / count + 0.3) + 0.4)
    return made, [list(pair) for pair in zip(*grid, strict=True)]


def inflated(values: ArrayLike, space: Space, *, title: str = "", **look: Unpack[Look]) -> Figure:
    """Four views of the inflated hemispheres: left lateral and medial, right medial and lateral; as in `flatmap`."""
    filled, note = fill(values, space)
    paint = paint_for(list(filled.values()), **look)
    made, [axes] = axes_grid(1, 4, width=11.0, height=2.6)
    _draw_sides(axes, filled, paint)
    finish(made, axes, paint, title, note)
    return made


def cortex(values: ArrayLike, space: Space, *, title: str = "", **look: Unpack[Look]) -> Figure:
    """The flat map, and below it the inflated views in the same colours; as in `flatmap`."""
    filled, note = fill(values, space)
    return _whole(filled, paint_for(list(filled.values()), **look), title, note)


def tinted_cortex(tints: Tints, space: Space, *, title: str = "") -> Figure:
    """As `cortex`, of targets that have a colour each and a legend of its own; see `tints`.

    Raises:
        DataError: as in `flatmap`.
    """
    filled, note = fill(tints.targets, space)
    return _whole(filled, tints, title, note)


def _whole(filled: Mapping[str, Floats], paint: Painter, title: str, note: str) -> Figure:
    made = figure(9.6, 6.0)
    grid = made.add_gridspec(2, 4, height_ratios=[2.3, 1])
    flat = [made.add_subplot(grid[0, start : start + 2]) for start in (0, 2)]
    sides = [made.add_subplot(grid[1, column]) for column in range(4)]
    _draw_both(flat, filled, paint)
    _draw_sides(sides, filled, paint)
    finish(made, [*flat, *sides], paint, title, note)
    return made


def _draw_both(axes: Sequence[Axes], filled: Mapping[str, Floats], paint: Painter, name: str = "") -> None:
    for ax, hemisphere in zip(axes, HEMISPHERES, strict=True):
        _draw_flat(ax, filled[hemisphere], hemisphere, paint)
        ax.set_title(f"{name}{hemisphere}", fontsize=8, color=MUTED)


def _draw_sides(axes: Sequence[Axes], filled: Mapping[str, Floats], paint: Painter) -> None:
    for ax, (hemisphere, side, name) in zip(axes, SIDES, strict=True):
        shot, extent = inflated_shot(hemisphere, side)
        ax.imshow(shot.coloured(paint(filled[hemisphere])), origin="lower", extent=extent)
        ax.set_axis_off()
        ax.set_title(name, fontsize=8, color=MUTED)


def _draw_flat(ax: Axes, values: Floats, hemisphere: str, paint: Painter) -> None:
    pixels, extent = flat_pixels(hemisphere)
    colours = paint(values[pixels])
    colours[pixels < 0] = 0
    ax.imshow(colours, origin="lower", extent=extent, interpolation="nearest")
    _draw_sulci(ax, hemisphere)
    ax.set_axis_off()
    _same_frame(ax, extent)


def _same_frame(ax: Axes, extent: Extent) -> None:
    """Both flat patches in frames of one size, so that their scales and their names are level."""
    left, right, low, high = extent
    width, height = np.max([np.diff(flat_pixels(hemisphere)[1])[::2] for hemisphere in HEMISPHERES], axis=0) / 2
    ax.set_xlim((left + right) / 2 - width, (left + right) / 2 + width)
    ax.set_ylim((low + high) / 2 - height, (low + high) / 2 + height)
    ax.set_aspect("equal")


def _draw_sulci(ax: Axes, hemisphere: str) -> None:
    """Where the folds turn from gyrus to sulcus; white within a dark edge shows on light and dark colours alike."""
    from matplotlib.patheffects import Normal, Stroke
    from matplotlib.tri import Triangulation

    mesh = mesh_of("flat", hemisphere)
    patch = Triangulation(mesh.points[:, 0], mesh.points[:, 1], mesh.faces)
    borders = ax.tricontour(patch, sulcal_depth(hemisphere), [0.0], colors=["white"], linewidths=0.5)
    borders.set(alpha=0.4, path_effects=[Stroke(linewidth=1.1, foreground=INK), Normal()])
