"""The surfaces of fsaverage5, which come with nilearn, and the places of other fsaverage meshes on its sphere.

The fsaverage meshes are one icosahedron, halved again and again: the vertices of each are the first of the next
(FreeSurfer; Fischl et al. 1999, Human Brain Mapping 8). So places on finer spheres are computed, not read from files.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "HEMISPHERES",
    "MESH",
    "MESHES",
    "VERTICES",
    "Extent",
    "Floats",
    "Mesh",
    "flat_pixels",
    "halved",
    "mesh_of",
    "sphere_of",
    "sulcal_depth",
]

MESH, VERTICES = "fsaverage5", 10242  # of one hemisphere
# vertices of one hemisphere; nilearn calls the finest one fsaverage7
MESHES = {
    "fsaverage3": 642,
    "fsaverage4": 2562,
    MESH: VERTICES,
    "fsaverage6": 40962,
    "fsaverage": 163842,
    "fsaverage7": 163842,
}
RADIUS = 100  # mm
HEMISPHERES = ("left", "right")
Shape = Literal["flat", "inflated", "sphere"]
Floats = NDArray[np.floating]
Extent = tuple[float, float, float, float]  # left, right, bottom, top in mm


@dataclass(frozen=True)
class Mesh:
    """A hemisphere's surface.

    Args:
        points: [N, 3] mm, of fsaverage5 [10242, 3].
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
def sphere_of(mesh: str) -> Floats:
    """[N, 3] mm, places of the vertices of one of `MESHES` on its sphere, which is the same for both hemispheres."""
    sphere = mesh_of("sphere", HEMISPHERES[0])
    while len(sphere.points) < MESHES[mesh]:
        sphere = halved(sphere)
    return sphere.points[: MESHES[mesh]]


def halved(sphere: Mesh) -> Mesh:
    """The next finer icosahedral sphere: each edge gets a vertex in its middle, and each face becomes four.

    New vertices follow the old ones in the order in which the faces first name their edges (each face its edges ca, bc,
    ab), and faces come as FreeSurfer lists them, so that the rule can be applied again.
    """
    a, b, c = sphere.faces.T
    edges = np.sort(np.stack([c, a, b, c, a, b], axis=1).reshape(-1, 2), axis=1)
    _, first, which = np.unique(edges, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    middles = sphere.points[edges[first[order]]].sum(axis=1)
    middles *= RADIUS / np.linalg.norm(middles, axis=1, keepdims=True)
    number = len(sphere.points) + np.argsort(order)
    ca, bc, ab = number[which.reshape(-1, 3)].T
    corners = np.stack([a, ab, ca], axis=1)
    others = np.stack([ca, bc, c, ab, bc, ca, ab, b, bc], axis=1).reshape(-1, 3)
    return Mesh(np.concatenate([sphere.points, middles]), np.concatenate([corners, others]))


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
