"""Responses in files of the usual formats, one below the other and side by side, and where the targets live."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Array, Space
from fusiform.datasets.base import reading
from fusiform.datasets.folder.matrix import HDF5, Matrix, open_matrix
from fusiform.datasets.folder.stored import (
    THEN,
    Block,
    Grayordinates,
    Images,
    Stored,
    check_there,
    load_image,
    open_gifti,
)
from fusiform.datasets.nsd.imaging import opened_image
from fusiform.errors import LayoutError

__all__ = [
    "Measured",
    "check_grid",
    "check_mesh",
    "join_sides",
    "open_cifti",
    "open_matrices",
    "open_surface",
    "open_volumes",
    "read_mask",
]

# vertices of a hemisphere of FreeSurfer's average; nilearn calls the finest mesh fsaverage7
SIZES = {
    "fsaverage3": 642,
    "fsaverage4": 2562,
    "fsaverage5": 10242,
    "fsaverage6": 40962,
    "fsaverage": 163842,
    "fsaverage7": 163842,
}


@dataclass(frozen=True, eq=False)
class Measured:
    """Responses [N, V] that are not read yet.

    Args:
        sides: files whose targets stand side by side (one, or the hemispheres); those of a side stand one below the
            other.
        space: where the targets live.
    """

    sides: Sequence[Sequence[Stored]]
    space: Space

    @property
    def rows(self) -> tuple[int, ...]:
        """How many each file of a side gives."""
        return tuple(file.shape[0] for file in self.sides[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The one that holds those of all files."""
        return np.result_type(*(file.dtype for side in self.sides for file in side))

    def finite(self) -> NDArray[np.bool_]:
        """[V] whether a target is finite in every row; all files are read for it, and nothing is kept."""
        found = np.ones(self.space.size, dtype=np.bool_)
        for block in self._blocks():
            found[block.targets] &= np.isfinite(block.values).all(axis=0)
        return found

    def read(self, columns: NDArray[np.int64], dtype: np.dtype[Any] | None = None) -> Array:
        """Some targets, [N, columns]; one `.npy` file that is wanted as it is stays on the disk.

        Args:
            columns: positions of targets, ascending.
            dtype: of the result, which is then in memory (default: that of the files).
        """
        if dtype is None and len(columns) == self.space.size and (whole := self._mapped()) is not None:
            return whole
        values = np.empty((sum(self.rows), len(columns)), dtype or self.dtype)
        for rows, targets, block in self._blocks():
            part = slice(*np.searchsorted(columns, [targets.start, targets.stop]))
            values[rows, part] = block[:, _beside(columns[part] - targets.start)]
        return values

    def _mapped(self) -> Array | None:
        file = self.sides[0][0]
        alone = len(self.sides) == len(self.sides[0]) == 1
        return file.mapped() if alone and isinstance(file, Matrix) else None

    def _blocks(self) -> Iterator[Block]:
        """All of all files, rows and targets counted through."""
        column = 0
        for side in self.sides:
            row = 0
            for file in side:
                for rows, targets, values in file.blocks():
                    yield Block(_moved(rows, row), _moved(targets, column), values)
                row += file.shape[0]
            column += side[0].shape[1]


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def _beside(chosen: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    """Ascending positions as a slice where they follow one another, which copies nothing."""
    if len(chosen) and chosen[-1] - chosen[0] == len(chosen) - 1:
        return slice(int(chosen[0]), int(chosen[-1]) + 1)
    return chosen


def open_matrices(paths: Sequence[Path], name: str, mesh: str | None, key: str | None, transpose: bool) -> Measured:
    """Matrices, one below the other; with a mesh the columns are its vertices, left then right.

    Raises:
        LayoutError: a file holds no matrix, or they have several widths, or not that of the mesh.
    """
    files = [open_matrix(path, key, transpose) for path in paths]
    widths = {file.shape[1] for file in files}
    if len(widths) > 1:
        raise LayoutError(f"responses.files have {sorted(widths)} columns; wanted one number of targets in all")
    [width] = widths
    if mesh is None:
        return Measured([files], Space.numbered(name, width))
    if width % 2:
        raise LayoutError(f"responses.files have {width} columns; wanted both hemispheres of {mesh}, left then right")
    check_mesh(mesh, width // 2)
    half = np.arange(width // 2)
    return Measured([files], Space.vertices(mesh, half, half, mesh=mesh))


def read_mask(path: Path) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Voxels above zero of a volume, [X, Y, Z], and its affine."""
    image = load_image(path)
    with reading(path, THEN):
        inside = np.asarray(image.dataobj) > 0
    if inside.ndim == 4 and inside.shape[3] == 1:
        inside = inside[..., 0]
    if inside.ndim != 3 or not inside.any():
        raise LayoutError(
            f"the mask {path} has the shape {inside.shape} and {inside.sum()} voxels; wanted [X, Y, Z] and some"
        )
    return inside, np.asarray(image.affine, dtype=np.float64)


def open_volumes(
    paths: Sequence[Path],
    name: str,
    inside: NDArray[np.bool_] | None = None,
    affine: NDArray[np.float64] | None = None,
) -> Measured:
    """The voxels of 4-D (or 3-D: one row) volumes on one grid, the files one below the other.

    Args:
        paths: .nii or .nii.gz.
        name: of the space.
        inside: [X, Y, Z] the voxels, or None: those that are finite in every row and vary in some file, for which all
            files are read once.
        affine: of their grid, or None: that of the first file.

    Raises:
        LayoutError: the grids differ, or no voxel is left.
    """
    images = [load_image(path) for path in paths]
    shape = images[0].shape[:3] if inside is None else inside.shape
    affine = images[0].affine if affine is None else affine
    for path, image in zip(paths, images, strict=True):
        check_grid(path, image, shape, affine)
    counts = [image.shape[3] if len(image.shape) == 4 else 1 for image in images]

    def files(inside: NDArray[np.bool_]) -> list[Images]:
        return [Images(path, count, inside) for path, count in zip(paths, counts, strict=True)]

    inside = _lively(files(np.ones(shape, np.bool_))) if inside is None else inside
    if not inside.any():
        raise LayoutError(f"no voxel of {paths[0]} is finite and varies; give a mask, or check the images")
    return Measured([files(inside)], Space.voxels(name, inside, affine))


def _lively(files: Sequence[Images]) -> NDArray[np.bool_]:
    """[X, Y, Z] voxels that are finite in every row and vary in some file."""
    finite, varied = np.ones(files[0].inside.size, np.bool_), np.zeros(files[0].inside.size, np.bool_)
    for file in files:
        low, high = np.full((2, finite.size), np.nan, dtype=np.float32)
        for block in file.blocks():
            finite &= np.isfinite(block.values).all(axis=0)
            np.fmin(low, np.fmin.reduce(block.values), out=low)
            np.fmax(high, np.fmax.reduce(block.values), out=high)
        varied |= high > low
    return (finite & varied).reshape(files[0].inside.shape)


def check_grid(path: Path, image: Any, shape: tuple[int, ...], affine: NDArray[np.float64]) -> None:
    """Raise LayoutError where a volume lies on another grid (shape, or affine by more than a hundredth of a mm)."""
    if len(image.shape) > 4:
        raise LayoutError(f"{path} has the shape {image.shape}; wanted [X, Y, Z] or [X, Y, Z, rows]; save it so")
    if image.shape[:3] != tuple(shape):
        raise LayoutError(
            f"{path} has {image.shape[:3]} voxels; wanted {tuple(shape)}, as the others; resample it first"
        )
    if not np.allclose(image.affine, affine, atol=1e-2):
        raise LayoutError(
            f"{path} has as many voxels as the others but another affine; resample it to their grid first"
        )


def open_surface(path: Path, key: str | None = None, transpose: bool = False) -> Stored:
    """One hemisphere of a `.gii`, `.mgh`, `.npy` or `.h5` file, [rows, vertices]."""
    if path.suffix in (".npy", *HDF5):
        return open_matrix(path, key, transpose)
    if path.suffix not in (".mgh", ".mgz"):
        return open_gifti(path)
    check_there(path)
    with reading(path, THEN), opened_image(path) as image:
        shape = image.shape
    return Images(path, shape[3] if len(shape) == 4 else 1, np.ones(shape[:3], np.bool_))


def join_sides(name: str, mesh: str | None, left: Sequence[Stored], right: Sequence[Stored]) -> Measured:
    """Rows of the hemispheres (either may be empty), the left targets first.

    Raises:
        LayoutError: files of one hemisphere have several sizes, not that of the mesh, or the sides have other rows.
    """
    sides = [side for side in (left, right) if side]
    sizes = [_size(which, side) for which, side in (("left", left), ("right", right))]
    check_mesh(mesh, *(size for size, side in zip(sizes, (left, right), strict=True) if side))
    rows = [tuple(file.shape[0] for file in side) for side in sides]
    if len(set(rows)) > 1:
        raise LayoutError(
            f"the left hemisphere has {rows[0]} rows in its files, the right one {rows[1]}; wanted the same"
        )
    left_vertices, right_vertices = (np.arange(size) for size in sizes)
    return Measured(sides, Space.vertices(name, left_vertices, right_vertices, mesh))


def check_mesh(mesh: str | None, *sizes: int) -> None:
    """Raise LayoutError where a hemisphere has not all vertices of a mesh whose size is known: which would they be?"""
    wrong = [size for size in sizes if size != SIZES.get(mesh or "", size)]
    if wrong:
        raise LayoutError(
            f"a hemisphere has {wrong[0]} vertices; wanted {SIZES[str(mesh)]}, all of {mesh}: put NaN where there are "
            "no data (with drop_nan: true), or name no mesh"
        )


def _size(which: str, side: Sequence[Stored]) -> int:
    """Vertices of a hemisphere; none where it has no files."""
    sizes = sorted({file.shape[1] for file in side})
    if len(sizes) > 1:
        raise LayoutError(f"files of the {which} hemisphere have {sizes} vertices; wanted one number")
    return sizes[0] if sizes else 0


def open_cifti(paths: Sequence[Path], name: str) -> Measured:
    """Grayordinates of `.dtseries.nii` or `.dscalar.nii` files, one below the other.

    The targets have `structure`, `hemisphere` and `vertex` (-1 for voxels) and `x y z` in mm (NaN for vertices).
    """
    files, tables = [], []
    for path in paths:
        image = load_image(path)
        with reading(path, THEN):
            files.append(Grayordinates(path, image.shape))
            tables.append(_grayordinates(image.header.get_axis(1)))
        if not tables[-1].equals(tables[0]):
            raise LayoutError(f"{path} has other grayordinates than {paths[0]}; wanted the same brain models in all")
    return Measured([files], Space(name, tables[0]))


def _grayordinates(axis: Any) -> pd.DataFrame:
    structure = np.asarray(axis.name, dtype=str)
    side = np.select(
        [np.char.endswith(structure, "_LEFT"), np.char.endswith(structure, "_RIGHT")], ["left", "right"], ""
    )
    places = np.full((len(structure), 3), np.nan)
    voxels = ~np.asarray(axis.surface_mask)
    if voxels.any():
        places[voxels] = axis.voxel[voxels] @ axis.affine[:3, :3].T + axis.affine[:3, 3]
    short = np.char.replace(np.char.lower(np.char.replace(structure, "CIFTI_STRUCTURE_", "")), "_", " ")
    columns = {"structure": short, "hemisphere": side, "vertex": np.asarray(axis.vertex)}
    return pd.DataFrame({**columns, **dict(zip("xyz", places.T, strict=True))})
