"""What is drawn of fsaverage5: pixels of its flat patches, and folds. Its surfaces are those of `data.meshes`."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from fusiform.data.meshes import HEMISPHERES, MESH, MESHES, VERTICES, Floats, Mesh, mesh_of, sphere_of

__all__ = [
    "HEMISPHERES",
    "MESH",
    "MESHES",
    "VERTICES",
    "Extent",
    "Floats",
    "Mesh",
    "flat_pixels",
    "mesh_of",
    "sphere_of",
    "sulcal_depth",
]

Extent = tuple[float, float, float, float]  # left, right, bottom, top in mm


@cache
def sulcal_depth(hemisphere: str) -> Floats:
    """[10242] sulcal depth, above zero in sulci."""
    from nilearn.datasets import load_fsaverage_data

    return np.asarray(load_fsaverage_data(MESH, data_type="sulcal").data.parts[hemisphere], dtype=np.float64)


@cache
def flat_pixels(hemisphere: str, step: float = 0.5) -> tuple[NDArray[np.int64], Extent]:
    """The vertex of every pixel of the flat patch, [H, W] with -1 outside, and its extent in mm."""
    from PIL import Image, ImageDraw
    from scipy.spatial import KDTree

    mesh = mesh_of("flat", hemisphere)
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
    left, bottom = (low - step / 2).tolist()  # the middle of the first pixel is at `low`
    return pixels, (left, left + step * int(width), bottom, bottom + step * int(height))
