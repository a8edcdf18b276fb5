"""Values on the cortex: flat maps and inflated views on fsaverage5, of any fsaverage mesh."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from fusiform.data import Space
from fusiform.errors import DataError
from fusiform.plots.meshes import (
    HEMISPHERES,
    MESH,
    MESHES,
    VERTICES,
    Extent,
    Floats,
    flat_pixels,
    mesh_of,
    sphere_of,
    sulcal_depth,
)
from fusiform.plots.paint import Paint, finish, paint_for
from fusiform.plots.style import INK, MUTED, axes_grid

__all__ = ["MESH", "fill", "flatmap", "flatmaps", "inflated", "unplaced"]

REACH = 4  # times the median distance of neighbours: scattered vertices leave no hole, and a region stays a region
OTHERS = "others nearby take the nearest one's value"


def flatmap(
    values: ArrayLike,
    space: Space,
    *,
    title: str = "",
    label: str = "",
    cmap: str = "magma",
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
    cmap: str = "magma",
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
        for ax, hemisphere in zip(axes, HEMISPHERES, strict=True):
            _draw_flat(ax, sides[hemisphere], hemisphere, paint)
            ax.set_title(f"{name}, {hemisphere}" if name else hemisphere, fontsize=8, color=MUTED)
    note = next(note for _, note in filled.values())
    finish(made, [ax for axes in grid for ax in axes], paint, title, label, note)
    return made


def inflated(
    values: ArrayLike,
    space: Space,
    *,
    title: str = "",
    label: str = "",
    cmap: str = "magma",
    limits: tuple[float, float] | None = None,
    categories: Sequence[str] | None = None,
) -> Figure:
    """Four views of the inflated hemispheres: left lateral and medial, right medial and lateral; as in `flatmap`."""
    filled, note = fill(values, space)
    paint = paint_for(list(filled.values()), cmap, limits, categories)
    made, [axes] = axes_grid(1, 4, width=11.0, height=2.6)
    views = (("left", -1), ("left", 1), ("right", -1), ("right", 1))  # seen from this side along x
    names = ("left, lateral", "left, medial", "right, medial", "right, lateral")
    for ax, (hemisphere, side), name in zip(axes, views, names, strict=True):
        _draw_inflated(ax, filled[hemisphere], hemisphere, side, paint)
        ax.set_title(name, fontsize=8, color=MUTED)
    finish(made, axes, paint, title, label, note)
    return made


def fill(values: ArrayLike, space: Space) -> tuple[dict[str, Floats], str]:
    """Spread the values of some vertices over both hemispheres of fsaverage5.

    The vertices of fsaverage5 are the first ones of every finer fsaverage mesh, and keep their own values. Where the
    space does not hold one, it takes the value of the nearest vertex that it holds, on the sphere of the space's mesh,
    so that the map has no holes. What is farther from all of them than `REACH` times their usual distance from each
    other stays NaN: vertices of visual cortex say nothing of the frontal lobe.

    Returns:
        hemisphere -> [10242], and a sentence that says what was drawn (empty where it is every vertex's own value).
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (space.size,):
        raise DataError(
            f"values have the shape {numbers.shape}; wanted [{space.size}], one per target of {space.name!r}"
        )
    mesh, sides, vertices = _places(space)
    filled = {}
    for hemisphere in HEMISPHERES:
        here = sides == hemisphere
        filled[hemisphere] = _nearest(numbers[here], vertices[here], mesh)
    return filled, _note(space, mesh, len(np.unique(sides)) * MESHES[mesh])


def _note(space: Space, mesh: str, part: int) -> str:
    """What was drawn of the `part` vertices of the hemispheres that have targets."""
    if "parcel" in space.targets:
        return (
            f"{space.size:,} parcels, each at one vertex near its middle; vertices nearby take the nearest one's value"
        )
    if mesh == MESH:
        return "" if space.size >= part else f"{space.size:,} of {part:,} vertices; {OTHERS}"
    if space.size >= part and MESHES[mesh] > VERTICES:
        return f"{space.size:,} vertices of {mesh}; drawn are those of {MESH}, the first {VERTICES:,} of a hemisphere"
    return f"{space.size:,} of {part:,} vertices of {mesh}, drawn on {MESH}; {OTHERS}"


def unplaced(space: Space) -> str:
    """Why targets cannot be drawn on the cortex; empty where they can."""
    if space.mesh is None:
        return "has no mesh"
    if space.mesh not in MESHES or not {"hemisphere", "vertex"} <= set(space.targets):
        return f"has no vertices of an fsaverage mesh (its mesh is {space.mesh!r})"
    vertices, count = space.column("vertex"), MESHES[space.mesh]
    strange = np.setdiff1d(space.column("hemisphere"), HEMISPHERES).tolist()
    strange += vertices[~((vertices >= 0) & (vertices < count))].tolist()
    if not strange:
        return ""
    wanted = f"hemispheres 'left' and 'right', and vertices from 0 to {count - 1} of {space.mesh}"
    return f"names {strange[0]!r}; wanted {wanted}"


def _places(space: Space) -> tuple[str, NDArray[np.object_], NDArray[np.int64]]:
    """The mesh, and the hemisphere and the vertex of every target, [V] and [V]."""
    if why := unplaced(space):
        raise DataError(
            f"space {space.name!r} cannot be drawn on the cortex, for it {why}; for voxels there is volume.mosaic, "
            "for others charts.bars and charts.histogram"
        )
    return str(space.mesh), space.column("hemisphere"), space.column("vertex").astype(np.int64)


def _nearest(values: Floats, vertices: NDArray[np.int64], mesh: str) -> Floats:
    """[10242] values of the vertices of one hemisphere of fsaverage5."""
    if not len(vertices):
        return np.full(VERTICES, np.nan)
    from scipy.spatial import KDTree

    known = KDTree(sphere_of(mesh)[vertices])
    away, nearest = known.query(sphere_of(MESH))
    between = np.asarray(known.query(known.data, k=2)[0])[:, 1]  # infinite where there is one vertex only
    within = REACH * np.nan_to_num(np.median(between), posinf=0.0)
    return np.where(away <= within, values[nearest], np.nan)


def _draw_flat(ax: Axes, values: Floats, hemisphere: str, paint: Paint) -> None:
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


def _draw_inflated(ax: Axes, values: Floats, hemisphere: str, side: int, paint: Paint) -> None:
    """Faces that look to the viewer, far ones first, darker where they turn away."""
    from matplotlib.collections import PolyCollection

    mesh = mesh_of("inflated", hemisphere)
    corners = mesh.points[mesh.faces]  # [F, 3, 3]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = side * normals[:, 0] / np.linalg.norm(normals, axis=1)
    order = np.argsort(side * corners[:, :, 0].mean(1))
    order = order[facing[order] > 0]
    colours = paint(values)[mesh.faces[order, 0]]
    colours[:, :3] *= (0.65 + 0.35 * facing[order])[:, None]
    across = corners[order][:, :, 1] * side  # seen from the right, the front is to the right
    faces = np.stack([across, corners[order][:, :, 2]], axis=-1)
    ax.add_collection(PolyCollection(list(faces), facecolors=colours, edgecolors=colours, linewidths=0.3))
    ax.set_xlim(-112, 112)
    ax.set_ylim(-78, 78)
    ax.set_aspect("equal")
    ax.set_axis_off()
