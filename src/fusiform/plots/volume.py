"""Values in a volume: axial slices side by side."""

from dataclasses import dataclass
from typing import Unpack

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from fusiform.data import Grid, Space
from fusiform.errors import DataError
from fusiform.plots.paint import Floats, Look, Painter, Tints, finish, paint_for
from fusiform.plots.style import MUTED, axes_grid, blank

__all__ = ["Slices", "axial", "mosaic", "tinted_mosaic", "unsliced"]

MOST, ACROSS = 15, 5  # slices, and those in a line
WIDTH, TALLEST = 1.75, 3.0  # inches of a slice
ELSEWHERE = "#eff1f3"  # where other slices have voxels


@dataclass(frozen=True)
class Slices:
    """Axial slices, from below to above, cut to where there are voxels.

    Args:
        values: [S, Y, X], from the back to the front and from left to right; NaN where there is none.
        inside: [S, Y, X] where there are voxels.
        heights: [S] mm, of the middles of the slices.
        voxel: its size across and up, in mm.
    """

    values: Floats
    inside: NDArray[np.bool_]
    heights: Floats
    voxel: tuple[float, float]


def mosaic(values: ArrayLike, space: Space, *, title: str = "", **look: Unpack[Look]) -> Figure:
    """Axial slices from below to above, at most 15, in even steps; left is left and the front is above.

    Behind each slice the outline of all voxels is pale, so that its place in the whole can be seen.

    Args:
        values: [V]; NaN is left grey. With `categories`, positions in them.
        space: where the V voxels lie; it must have a grid.
        title: above the slices.
        look: `label` of the colour bar, `cmap`, `limits` of the colours, and `categories`; see `paint.Look`.

    Raises:
        DataError: the space has no grid, or not V voxels.
    """
    slices = axial(values, space)
    return _drawn(slices, paint_for([slices.values], **look), title)


def tinted_mosaic(tints: Tints, space: Space, *, title: str = "") -> Figure:
    """As `mosaic`, of voxels that have a colour each and a legend of its own; see `tints`.

    Raises:
        DataError: as in `mosaic`.
    """
    return _drawn(axial(tints.targets, space), tints, title)


def _drawn(slices: Slices, paint: Painter, title: str) -> Figure:
    chosen = _chosen(slices.inside.sum(axis=(1, 2)))
    made, axes = _frames(len(chosen), slices)
    for ax, number in zip(axes, chosen, strict=False):
        _draw(ax, slices, int(number), paint)
    _name_sides(axes[0])
    note = f"{len(chosen)} of {len(slices.values)} axial slices with voxels; pale: where other slices have voxels"
    finish(made, axes, paint, title, note)
    return made


def axial(values: ArrayLike, space: Space) -> Slices:
    """Turn a volume so that its axes run to the right, to the front and upwards, as nearly as its affine allows.

    Args:
        values: [V].
        space: where the V voxels lie.

    Raises:
        DataError: as in `mosaic`.
    """
    if (why := unsliced(space)) or space.grid is None:
        raise DataError(f"space {space.name!r} cannot be drawn in slices, for it {why}; use charts.histogram for it")
    volume, affine = _turned(space.volume(values), space.grid)
    inside, _ = _turned(np.isfinite(space.volume(np.ones(space.size))), space.grid)
    x, y, z = (np.flatnonzero(inside.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    cut = np.ix_(np.arange(x[0], x[-1] + 1), np.arange(y[0], y[-1] + 1), z)
    middle = np.column_stack([np.full(len(z), x.mean()), np.full(len(z), y.mean()), z, np.ones(len(z))])
    across, up, _ = np.linalg.norm(affine[:3, :3], axis=0)
    return Slices(volume[cut].T, inside[cut].T, middle @ affine[2], (float(across), float(up)))


def unsliced(space: Space) -> str:
    """Why targets cannot be drawn in slices; empty where they can."""
    if space.grid is None:
        return "has no grid of voxels"
    if not space.size:
        return "has no voxel"
    singular = np.linalg.matrix_rank(space.grid.affine[:3, :3]) < 3
    return "has an affine that maps its voxels onto a plane" if singular else ""


def _turned(volume: NDArray[np.generic], grid: Grid) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """The volume with axes to the right, front and top, and its affine."""
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    turn = io_orientation(grid.affine)  # type: ignore[no-untyped-call]
    back = inv_ornt_aff(turn, grid.shape)  # type: ignore[no-untyped-call]
    return apply_orientation(volume, turn), grid.affine @ back  # type: ignore[no-untyped-call]


def _chosen(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Slices in even steps, without those at both ends that hold a hundredth of the voxels; all where they are few."""
    if len(counts) <= MOST:
        return np.arange(len(counts))
    low, high = np.searchsorted(np.cumsum(counts) / counts.sum(), (0.01, 0.99))
    return np.unique(np.linspace(low, high, MOST).round().astype(np.int64))


def _frames(count: int, slices: Slices) -> tuple[Figure, list[Axes]]:
    """A figure with a place for each slice, in lines of one length."""
    lines = -(-count // ACROSS)
    columns = -(-count // lines)
    _, rows, cells = slices.values.shape
    width = max(5.0, WIDTH * columns + 1.2)
    widest = (width - 0.5) / columns  # were the colour bar as narrow as can be: slices never fill the height, for
    # where width and height bind alike, the layout does not settle and cuts titles off
    height = min(TALLEST, widest * rows * slices.voxel[1] / (cells * slices.voxel[0]))
    made, grid = axes_grid(lines, columns, width=width, height=max(2.0, (height + 0.25) * lines + 0.5))
    axes = [ax for line in grid for ax in line]
    blank(axes)
    return made, axes


def _draw(ax: Axes, slices: Slices, number: int, paint: Painter) -> None:
    inside = slices.inside[number]
    colours = np.zeros((*inside.shape, 4))
    colours[slices.inside.any(axis=0)] = to_rgba(ELSEWHERE)
    colours[inside] = paint(slices.values[number][inside])
    ax.imshow(colours, origin="lower", aspect=slices.voxel[1] / slices.voxel[0], interpolation="nearest")
    ax.set_title(f"z = {round(float(slices.heights[number]))} mm", fontsize=8, color=MUTED)


def _name_sides(ax: Axes) -> None:
    for name, place, side in (("L", 0.0, "left"), ("R", 1.0, "right")):
        ax.text(place, -0.01, name, transform=ax.transAxes, fontsize=8, color=MUTED, ha=side, va="top")
