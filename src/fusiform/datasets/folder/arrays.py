"""Responses in files of the usual formats, each as [rows, targets] and where the targets live."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Array, Space
from fusiform.datasets.base import reading
from fusiform.datasets.nsd.imaging import opened_image
from fusiform.errors import LayoutError, MissingDataError

__all__ = [
    "Measured",
    "check_grid",
    "check_mesh",
    "join_sides",
    "load_image",
    "read_array",
    "read_cifti",
    "read_mask",
    "read_surface",
    "read_volumes",
]

VOLUMES = (".nii", ".nii.gz")
THEN = "check the path and the format in the description of the dataset"
# vertices of a hemisphere of FreeSurfer's average; nilearn calls the finest mesh fsaverage7
SIZES = {
    "fsaverage3": 642,
    "fsaverage4": 2562,
    "fsaverage5": 10242,
    "fsaverage6": 40962,
    "fsaverage": 163842,
    "fsaverage7": 163842,
}


@dataclass(frozen=True)
class Measured:
    """Values [N, V], where the targets live, and how many rows each file gave."""

    values: Array
    space: Space
    rows: tuple[int, ...]


def read_array(path: Path, key: str | None = None, transpose: bool = False) -> Array:
    """A matrix of an `.npy` or `.h5` file, [rows, targets]; npy is mapped, not read.

    Raises:
        MissingDataError: there is no such file.
        LayoutError: it holds no matrix of numbers, needs a key, or is a pickle (never loaded: it may run code).
    """
    _check_there(path)
    with reading(path, THEN):
        values = _h5(path, key) if path.suffix in (".h5", ".hdf5") else _npy(path)
    if len(values.shape) != 2 or values.dtype.kind not in "fiu":
        raise LayoutError(f"{path} holds an array {values.shape} of {values.dtype}; wanted numbers, [samples, targets]")
    return np.asarray(values).T if transpose else values


def _npy(path: Path) -> Array:
    try:
        values: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as reason:
        if "pickle" not in str(reason) and "Python objects" not in str(reason):
            raise
        raise LayoutError(
            f"{path} holds pickled Python objects, which may run any code when they are loaded, so it is refused; "
            "save it as plain numbers: np.save(path, np.asarray(values, dtype='float32'))"
        ) from reason
    return values


def _h5(path: Path, key: str | None) -> Array:
    import h5py

    with h5py.File(path) as file:
        found: list[str] = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        if key is None and len(found) == 1:
            key = found[0]
        if key not in found:
            raise LayoutError(f"{path} has no array {key!r}; it has: {', '.join(found) or 'none'}; set responses.key")
        values: NDArray[Any] = file[key][()]
    return values


def load_image(path: Path) -> Any:
    """An image of nibabel.

    Raises:
        MissingDataError: there is no such file.
        LayoutError: it cannot be read.
    """
    import nibabel

    _check_there(path)
    with reading(path, THEN):
        return nibabel.load(path)


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise MissingDataError(f"there is no file {path}; {THEN}")


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


def read_volumes(paths: Sequence[Path], name: str, mask: Path | None = None) -> Measured:
    """The voxels of 4-D (or 3-D: one row) volumes on one grid, the files one below the other.

    Args:
        paths: .nii or .nii.gz.
        name: of the space.
        mask: a volume on the same grid, or None: the voxels that are finite in every row and vary in some file.

    Raises:
        LayoutError: the grids differ, or no voxel is left.
    """
    images = [load_image(path) for path in paths]
    inside, affine = (None, images[0].affine) if mask is None else read_mask(mask)
    shape = images[0].shape[:3] if inside is None else inside.shape
    for path, image in zip(paths, images, strict=True):
        check_grid(path, image, shape, affine)
    blocks = [_rows(path, image, inside) for path, image in zip(paths, images, strict=True)]
    if inside is None:
        keep = np.all([np.isfinite(block).all(axis=0) for block in blocks], axis=0)
        keep &= np.any([np.ptp(np.nan_to_num(block), axis=0) > 0 for block in blocks], axis=0)
        blocks, inside = [block[:, keep] for block in blocks], keep.reshape(shape)
    if not inside.any():
        raise LayoutError(f"no voxel of {paths[0]} is finite and varies; give a mask, or check the images")
    return Measured(np.concatenate(blocks), Space.voxels(name, inside, affine), tuple(map(len, blocks)))


def check_grid(path: Path, image: Any, shape: tuple[int, ...], affine: NDArray[np.float64]) -> None:
    """Raise LayoutError where a volume lies on another grid (shape, or affine by more than a hundredth of a mm)."""
    if image.shape[:3] != tuple(shape):
        raise LayoutError(
            f"{path} has {image.shape[:3]} voxels; wanted {tuple(shape)}, as the others; resample it first"
        )
    if not np.allclose(image.affine, affine, atol=1e-2):
        raise LayoutError(
            f"{path} has as many voxels as the others but another affine; resample it to their grid first"
        )


def _rows(path: Path, image: Any, inside: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """[rows, voxels], all of them where there is no mask."""
    with reading(path, THEN):
        values = np.asarray(image.dataobj, dtype=np.float32)
    values = values[..., None] if values.ndim == 3 else values
    return np.ascontiguousarray((values.reshape(-1, values.shape[3]) if inside is None else values[inside]).T)


def read_surface(path: Path, key: str | None = None, transpose: bool = False) -> Array:
    """One hemisphere of a `.gii`, `.mgh`, `.npy` or `.h5` file, [rows, vertices]."""
    if path.suffix in (".npy", ".h5", ".hdf5"):
        return read_array(path, key, transpose)
    if path.suffix in (".mgh", ".mgz"):
        return _mgh(path)
    image = load_image(path)
    with reading(path, THEN):
        return np.stack([np.asarray(one.data, dtype=np.float32) for one in image.darrays])


def _mgh(path: Path) -> NDArray[np.float32]:
    """[V, 1, 1] or [V, 1, 1, rows] as [rows, V]."""
    _check_there(path)
    with reading(path, THEN), opened_image(path) as image:
        values = np.asarray(image.dataobj, dtype=np.float32)
    return np.ascontiguousarray(values.reshape(len(values), -1).T)


def join_sides(name: str, mesh: str | None, left: Sequence[Array], right: Sequence[Array]) -> Measured:
    """Rows of the hemispheres (either may be empty), the left targets first.

    Raises:
        LayoutError: files of one hemisphere have several sizes, not that of the mesh, or the sides have other rows.
    """
    sides = [_below(which, side) for which, side in (("left", left), ("right", right))]
    check_mesh(mesh, *(side.shape[1] for side in sides if side is not None))
    rows = [tuple(len(one) for one in map(np.asarray, side)) for side in (left, right) if side]
    if len(set(rows)) > 1:
        raise LayoutError(
            f"the left hemisphere has {rows[0]} rows in its files, the right one {rows[1]}; wanted the same"
        )
    count = sum(rows[0])
    both = [np.empty((count, 0), np.float32) if side is None else side for side in sides]
    left_vertices, right_vertices = (np.arange(side.shape[1]) for side in both)
    space = Space.vertices(name, left_vertices, right_vertices, mesh)
    return Measured(np.concatenate(both, axis=1), space, rows[0])


def check_mesh(mesh: str | None, *sizes: int) -> None:
    """Raise LayoutError where a hemisphere has not all vertices of a mesh whose size is known: which would they be?"""
    wrong = [size for size in sizes if size != SIZES.get(mesh or "", size)]
    if wrong:
        raise LayoutError(
            f"a hemisphere has {wrong[0]} vertices; wanted {SIZES[str(mesh)]}, all of {mesh}: put NaN where there are "
            "no data (with responses.drop_nan: true), or name no mesh"
        )


def _below(which: str, side: Sequence[Array]) -> NDArray[Any] | None:
    if sizes := {one.shape[1] for one in side}:
        if len(sizes) > 1:
            raise LayoutError(f"files of the {which} hemisphere have {sorted(sizes)} vertices; wanted one number")
        return np.concatenate([np.asarray(one) for one in side])
    return None


def read_cifti(paths: Sequence[Path], name: str) -> Measured:
    """Grayordinates of `.dtseries.nii` or `.dscalar.nii` files, one below the other.

    The targets have `structure`, `hemisphere` and `vertex` (-1 for voxels) and `x y z` in mm (NaN for vertices).
    """
    blocks, tables = [], []
    for path in paths:
        image = load_image(path)
        with reading(path, THEN):
            blocks.append(np.asarray(image.dataobj, dtype=np.float32))
            tables.append(_grayordinates(image.header.get_axis(1)))
        if not tables[-1].equals(tables[0]):
            raise LayoutError(f"{path} has other grayordinates than {paths[0]}; wanted the same brain models in all")
    return Measured(np.concatenate(blocks), Space(name, tables[0]), tuple(map(len, blocks)))


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
