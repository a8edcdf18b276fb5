"""The surfaces of fsaverage5, which come with nilearn."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["HEMISPHERES", "MESH", "VERTICES", "Extent", "Floats", "Mesh", "flat_pixels", "mesh_of", "sulcal_depth"]

MESH, VERTICES = "fsaverage5", 10242  # of one hemisphere
HEMISPHERES = ("left", "right")
Shape = Literal["flat", "inflated", "sphere"]
Floats = NDArray[np.floating]
Extent = tuple[float, float, float, float]  # left, right, bottom, top in mm


@dataclass(frozen=True)
class Mesh:
    """A hemisphere's surface.

    Args:
        points: [10242, 3] mm.
        faces: [F, 3] their corners.
    """

    points: Floats
    faces: NDArray[np.int64]


@cache
def mesh_of(shape: Shape, hemisphere: str) -> Mesh:
    """A hemisphere in one of its shapes; the flat one lacks the medial wall and has z = 0."""
    from nilearn.datasets import load_fsaverage

    part = load_fsaverage(MESH)[shape].parts[hemisphere]
    return Mesh(np.asarray(part.coordinates, dtype=np.float64), np.asarray(part.faces, dtype=np.int64))


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
