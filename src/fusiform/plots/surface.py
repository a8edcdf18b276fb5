"""Values on the cortex: flat maps and inflated views on fsaverage5, of any fsaverage mesh."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from fusiform.data import Space
from fusiform.errors import DataError
from fusiform.plots.camera import inflated_shot
from fusiform.plots.filling import fill
from fusiform.plots.meshes import HEMISPHERES, MESH, Extent, Floats, flat_pixels, mesh_of, sulcal_depth
from fusiform.plots.paint import Painter, Tints, finish, paint_for
from fusiform.plots.style import INK, MUTED, axes_grid, figure

__all__ = ["MESH", "cortex", "flatmap", "flatmaps", "inflated", "tinted_cortex"]

# hemisphere, side it is seen from along x, name
SIDES = (
    ("left", -1, "left, lateral"),
    ("left", 1, "left, medial"),
    ("right", -1, "right, medial"),
    ("right", 1, "right, lateral"),
)


def flatmap(
    values: ArrayLike,
    space: Space,
    *,
    title: str = "",
    label: str = "",
    cmap: str | Colormap = "magma",
    limits: tuple[float, float] | None = None,
    categories: Sequence[str] | None = None,
) -> Figure:
    """Both hemispheres cut open and laid flat, left on the left; lines follow the borders of the sulci.

    Args:
        values: [V]; NaN is left grey. With `categories`, positions in them.
        space: where the V targets live; it must name vertices of an fsaverage mesh.
        title: above the map.
        label: of the colour bar.
        cmap: a matplotlib colour map.
        limits: of the colours; from the 1st to the 99th percentile by default.
        categories: names, in their order; colours are then steps.

    Raises:
        DataError: the space has no mesh, another one, or not V targets.
    """
    return flatmaps({"": values}, space, title=title, label=label, cmap=cmap, limits=limits, categories=categories)


def flatmaps(
    maps: Mapping[str, ArrayLike],
    space: Space,
    *,
    title: str = "",
    label: str = "",
    cmap: str | Colormap = "magma",
    limits: tuple[float, float] | None = None,
    categories: Sequence[str] | None = None,
) -> Figure:
    """Flat maps of the same targets, one above the other in the same colours; `maps` is name -> [V], as in `flatmap`.

    Raises:
        DataError: as in `flatmap`, or there is no map.
    """
    if not maps:
        raise DataError("there are no maps to draw; wanted one or more, name -> [V]")
    filled = {name: fill(values, space) for name, values in maps.items()}
    paint = paint_for([side for sides, _ in filled.values() for side in sides.values()], cmap, limits, categories)
    made, grid = axes_grid(len(maps), 2, width=9.6, height=3.9 * len(maps) + 0.4)
    for axes, (name, (sides, _)) in zip(grid, filled.items(), strict=True):
        _draw_both(axes, sides, paint, f"{name}, " if name else "")
    note = next(note for _, note in filled.values())
    finish(made, [ax for axes in grid for ax in axes], paint, title, label, note)
    return made


def inflated(
    values: ArrayLike,
    space: Space,
    *,
    title: str = "",
    label: str = "",
    cmap: str | Colormap = "magma",
    limits: tuple[float, float] | None = None,
    categories: Sequence[str] | None = None,
) -> Figure:
    """Four views of the inflated hemispheres: left lateral and medial, right medial and lateral; as in `flatmap`."""
    filled, note = fill(values, space)
    paint = paint_for(list(filled.values()), cmap, limits, categories)
    made, [axes] = axes_grid(1, 4, width=11.0, height=2.6)
    _draw_sides(axes, filled, paint)
    finish(made, axes, paint, title, label, note)
    return made


def cortex(
    values: ArrayLike,
    space: Space,
    *,
    title: str = "",
    label: str = "",
    cmap: str | Colormap = "magma",
    limits: tuple[float, float] | None = None,
    categories: Sequence[str] | None = None,
) -> Figure:
    """The flat map, and below it the inflated views in the same colours; as in `flatmap`."""
    filled, note = fill(values, space)
    return _whole(filled, paint_for(list(filled.values()), cmap, limits, categories), title, label, note)


def tinted_cortex(tints: Tints, space: Space, *, title: str = "") -> Figure:
    """As `cortex`, of targets that have a colour each and a legend of its own; see `tints`.

    Raises:
        DataError: as in `flatmap`.
    """
    filled, note = fill(tints.targets, space)
    return _whole(filled, tints, title, "", note)


def _whole(filled: Mapping[str, Floats], paint: Painter, title: str, label: str, note: str) -> Figure:
    made = figure(9.6, 6.0)
    grid = made.add_gridspec(2, 4, height_ratios=[2.3, 1])
    flat = [made.add_subplot(grid[0, start : start + 2]) for start in (0, 2)]
    sides = [made.add_subplot(grid[1, column]) for column in range(4)]
    _draw_both(flat, filled, paint)
    _draw_sides(sides, filled, paint)
    finish(made, [*flat, *sides], paint, title, label, note)
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
