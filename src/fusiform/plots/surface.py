"""Values on the cortex: flat maps and inflated views on fsaverage5, which comes with nilearn."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize, to_rgba
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from fusiform.data import Space
from fusiform.errors import DataError
from fusiform.plots.style import INK, MUTED, NOTHING, axes_grid, colour_bar, heading

__all__ = ["MESH", "fill", "flatmap", "inflated"]

MESH, VERTICES = "fsaverage5", 10242  # of one hemisphere
HEMISPHERES = ("left", "right")
MOST_NAMES = 20  # that fit beside the colour bar
Shape = Literal["flat", "inflated", "sphere"]
Floats = NDArray[np.floating]


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
        space: where the V targets live; it must name vertices of fsaverage5.
        title: above the map.
        label: of the colour bar.
        cmap: a matplotlib colour map.
        limits: of the colours; from the 1st to the 99th percentile by default.
        categories: names, in their order; colours are then steps.

    Raises:
        DataError: the space has no mesh, another one, or not V targets.
    """
    filled, note = fill(values, space)
    paint = _paint(filled, cmap, limits, categories)
    made, [axes] = axes_grid(1, 2, width=9.6, height=4.3)
    for ax, hemisphere in zip(axes, HEMISPHERES, strict=True):
        _draw_flat(ax, filled[hemisphere], hemisphere, paint)
    _finish(made, axes, paint, title, label, note)
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
    paint = _paint(filled, cmap, limits, categories)
    made, [axes] = axes_grid(1, 4, width=11.0, height=2.6)
    views = (("left", -1), ("left", 1), ("right", -1), ("right", 1))  # seen from this side along x
    names = ("left, lateral", "left, medial", "right, medial", "right, lateral")
    for ax, (hemisphere, side), name in zip(axes, views, names, strict=True):
        _draw_inflated(ax, filled[hemisphere], hemisphere, side, paint)
        ax.set_title(name, fontsize=8, color=MUTED)
    _finish(made, axes, paint, title, label, note)
    return made


def fill(values: ArrayLike, space: Space) -> tuple[dict[str, Floats], str]:
    """Spread the values of some vertices over both hemispheres.

    Where the space holds some of a hemisphere's vertices, each other vertex takes the value of the nearest of them on
    the sphere, so that the map has no holes. A hemisphere without any stays NaN.

    Returns:
        hemisphere -> [10242], and a sentence that says what was filled (empty where nothing was).
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (space.size,):
        raise DataError(
            f"values have the shape {numbers.shape}; wanted [{space.size}], one per target of {space.name!r}"
        )
    sides, vertices = _places(space)
    filled = {}
    for hemisphere in HEMISPHERES:
        here = sides == hemisphere
        filled[hemisphere] = _nearest(numbers[here], vertices[here], hemisphere)
    part = len(np.unique(sides)) * VERTICES
    note = (
        "" if space.size >= part else f"{space.size:,} vertices drawn on {part:,}: each takes the nearest one's value"
    )
    return filled, note


def _places(space: Space) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """The hemisphere and the vertex of every target, [V] and [V]."""
    if space.mesh != MESH or not {"hemisphere", "vertex"} <= set(space.targets):
        raise DataError(
            f"space {space.name!r} has no vertices of {MESH} (its mesh is {space.mesh!r}) and cannot be drawn on the "
            "cortex; use charts.bars or charts.histogram for it"
        )
    sides, vertices = space.column("hemisphere"), space.column("vertex").astype(np.int64)
    strange = [*np.setdiff1d(sides, HEMISPHERES), *vertices[(vertices < 0) | (vertices >= VERTICES)]]
    if strange:
        raise DataError(
            f"space {space.name!r} names {strange[0]!r}; wanted hemispheres 'left' and 'right', and vertices from 0 to "
            f"{VERTICES - 1} of {MESH}"
        )
    return sides, vertices


def _nearest(values: Floats, vertices: NDArray[np.int64], hemisphere: str) -> Floats:
    if not len(vertices):
        return np.full(VERTICES, np.nan)
    from scipy.spatial import KDTree

    points = _mesh("sphere", hemisphere).points
    _, nearest = KDTree(points[vertices]).query(points)
    return np.asarray(values[nearest])


@dataclass(frozen=True)
class _Mesh:
    """points [10242, 3] in mm, and faces [F, 3]."""

    points: Floats
    faces: NDArray[np.int64]


@cache
def _mesh(shape: Shape, hemisphere: str) -> _Mesh:
    from nilearn.datasets import load_fsaverage

    part = load_fsaverage(MESH)[shape].parts[hemisphere]
    return _Mesh(np.asarray(part.coordinates, dtype=np.float64), np.asarray(part.faces, dtype=np.int64))


@cache
def _sulci(hemisphere: str) -> Floats:
    """[10242] sulcal depth, above zero in sulci."""
    from nilearn.datasets import load_fsaverage_data

    return np.asarray(load_fsaverage_data(MESH, data_type="sulcal").data.parts[hemisphere], dtype=np.float64)


@dataclass(frozen=True)
class _Paint:
    """How numbers become colours, and the names of categories."""

    cmap: Colormap
    norm: Normalize
    categories: Sequence[str] | None

    def __call__(self, values: Floats) -> NDArray[np.float64]:
        """[...] to RGBA [..., 4]; NaN is grey."""
        colours = np.asarray(self.cmap(self.norm(np.nan_to_num(values))))
        colours[np.isnan(values)] = to_rgba(NOTHING)
        return colours


def _paint(
    filled: dict[str, Floats], cmap: str, limits: tuple[float, float] | None, categories: Sequence[str] | None
) -> _Paint:
    from matplotlib import colormaps

    if categories is not None:
        steps = ListedColormap(colormaps[cmap](np.linspace(0.05, 0.95, len(categories))))
        return _Paint(steps, BoundaryNorm(np.arange(len(categories) + 1) - 0.5, len(categories)), categories)
    numbers = np.concatenate(list(filled.values()))
    numbers = numbers[np.isfinite(numbers)]
    low, high = limits or (np.percentile(numbers, (1, 99)) if len(numbers) else (0.0, 1.0))
    return _Paint(colormaps[cmap], Normalize(low, high if high > low else low + 1), None)


@cache
def _flat_pixels(hemisphere: str, step: float = 0.5) -> tuple[NDArray[np.int64], tuple[float, float, float, float]]:
    """The vertex of every pixel of the flat patch, [H, W] with -1 outside, and its extent in mm."""
    from PIL import Image, ImageDraw
    from scipy.spatial import KDTree

    mesh = _mesh("flat", hemisphere)
    used = np.unique(mesh.faces)
    flat = mesh.points[used, :2]
    low, high = flat.min(0) - 2, flat.max(0) + 2
    width, height = np.ceil((high - low) / step).astype(int)
    mask = Image.new("1", (int(width), int(height)))
    draw = ImageDraw.Draw(mask)
    for corners in (mesh.points[mesh.faces][..., :2] - low) / step:
        draw.polygon([tuple(corner) for corner in corners], fill=1, outline=1)
    y, x = np.mgrid[:height, :width]
    _, nearest = KDTree(flat).query(np.column_stack([x.ravel(), y.ravel()]) * step + low)
    pixels = np.where(np.asarray(mask).ravel(), used[nearest], -1).reshape(height, width)
    return pixels, (float(low[0]), float(high[0]), float(low[1]), float(high[1]))


def _draw_flat(ax: Axes, values: Floats, hemisphere: str, paint: _Paint) -> None:
    pixels, extent = _flat_pixels(hemisphere)
    colours = paint(values[pixels])
    colours[pixels < 0] = 0
    ax.imshow(colours, origin="lower", extent=extent, interpolation="nearest")
    _draw_sulci(ax, hemisphere)
    ax.set_title(hemisphere, fontsize=8, color=MUTED)
    ax.set_axis_off()
    _same_frame(ax, extent)


def _same_frame(ax: Axes, extent: tuple[float, float, float, float]) -> None:
    """Both flat patches in frames of one size, so that their scales and their names are level."""
    left, right, low, high = extent
    width, height = np.max([np.diff(_flat_pixels(hemisphere)[1])[::2] for hemisphere in HEMISPHERES], axis=0) / 2
    ax.set_xlim((left + right) / 2 - width, (left + right) / 2 + width)
    ax.set_ylim((low + high) / 2 - height, (low + high) / 2 + height)
    ax.set_aspect("equal")


def _draw_sulci(ax: Axes, hemisphere: str) -> None:
    """Where the folds turn from gyrus to sulcus; white within a dark edge shows on light and dark colours alike."""
    from matplotlib.patheffects import Normal, Stroke
    from matplotlib.tri import Triangulation

    mesh = _mesh("flat", hemisphere)
    patch = Triangulation(mesh.points[:, 0], mesh.points[:, 1], mesh.faces)
    borders = ax.tricontour(patch, _sulci(hemisphere), [0.0], colors=["white"], linewidths=0.5)
    borders.set(alpha=0.45, path_effects=[Stroke(linewidth=1.1, foreground=INK), Normal()])


def _draw_inflated(ax: Axes, values: Floats, hemisphere: str, side: int, paint: _Paint) -> None:
    """Faces that look to the viewer, far ones first, darker where they turn away."""
    from matplotlib.collections import PolyCollection

    mesh = _mesh("inflated", hemisphere)
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


def _finish(made: Figure, axes: list[Axes], paint: _Paint, title: str, label: str, note: str) -> None:
    from matplotlib.cm import ScalarMappable

    bar = colour_bar(made, ScalarMappable(paint.norm, paint.cmap), axes, label, shrink=0.7)
    if paint.categories is not None:
        step = -(-len(paint.categories) // MOST_NAMES)
        bar.set_ticks(list(range(0, len(paint.categories), step)), labels=list(paint.categories[::step]))
        bar.minorticks_off()
        bar.ax.tick_params(length=0)
    heading(made, title)
    if note:
        made.supxlabel(note, fontsize=7, color=MUTED)
