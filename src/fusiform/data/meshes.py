"""The fsaverage meshes: the surfaces of fsaverage5, which come with nilearn, and places on the spheres of finer ones.

The meshes are one icosahedron, halved again and again: the vertices of each are the first of the next (FreeSurfer;
Fischl et al. 1999, Human Brain Mapping 8). So places on finer spheres are computed, not read from files.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "HEMISPHERES",
    "MESH",
    "MESHES",
    "VERTICES",
    "Floats",
    "Mesh",
    "halved",
    "mesh_of",
    "on_spheres",
    "sphere_of",
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
MIDDLES = {"left": -1.2 * RADIUS, "right": 1.2 * RADIUS}  # mm along x, of the spheres where they stand side by side
Shape = Literal["flat", "inflated", "sphere"]
Floats = NDArray[np.floating]


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
    """[N, 3] mm, places of the vertices of one of `MESHES` on its sphere, which is the same for both hemispheres.

    Up to fsaverage5 they are those of nilearn's file, which is rounded: its vertices lie up to 0.01 mm off the sphere.
    Finer ones are halved from there. The same rule, begun with the twenty faces of the icosahedron, gives every vertex
    of fsaverage5 to 0.02 mm, so the finer ones should be as near to FreeSurfer's, whose neighbours on fsaverage are
    about 0.9 mm apart. FreeSurfer's own files of fsaverage6 and fsaverage have not been compared with.
    """
    sphere = mesh_of("sphere", HEMISPHERES[0])
    while len(sphere.points) < MESHES[mesh]:
        sphere = halved(sphere)
    return sphere.points[: MESHES[mesh]]


def on_spheres(mesh: str | None, hemisphere: ArrayLike, vertex: ArrayLike) -> dict[str, Floats]:
    """Places of some vertices as columns `x`, `y`, `z`, [V] mm; none where they are no vertices of one of `MESHES`.

    The spheres stand side by side, the left one with its middle at x = -120 and the right one at 120, so that no two
    places coincide: around one middle, a vertex would lie where that of the other hemisphere is.

    Args:
        mesh: its name.
        hemisphere: [V] `"left"` or `"right"`.
        vertex: [V] its number in that hemisphere's mesh.
    """
    numbers, sides = np.asarray(vertex), np.asarray(hemisphere)
    if mesh not in MESHES or not ((numbers >= 0) & (numbers < MESHES[mesh]) & np.isin(sides, HEMISPHERES)).all():
        return {}
    places = sphere_of(mesh)[numbers.astype(np.int64)]
    places[:, 0] += np.where(sides == "left", MIDDLES["left"], MIDDLES["right"])
    return dict(zip("xyz", places.T, strict=True))


def halved(sphere: Mesh) -> Mesh:
    """The next finer icosahedral sphere: each edge gets a vertex in its middle, and each face becomes four.

    New vertices follow the old ones in the order in which the faces first name their edges (each face its edges ca, bc,
    ab), and faces come as FreeSurfer lists them, so that the rule can be applied again.
    """
    a, b, c = sphere.faces.T
    edges = np.sort(np.stack([c, a, b, c, a, b], axis=1).reshape(-1, 2), axis=1)
    names = edges[:, 0] * len(sphere.points) + edges[:, 1]  # one number per edge: numpy sorts rows ten times slower
    _, first, which = np.unique(names, return_index=True, return_inverse=True)
    order = np.argsort(first)
    middles = sphere.points[edges[first[order]]].sum(axis=1)
    middles *= RADIUS / np.linalg.norm(middles, axis=1, keepdims=True)
    number = len(sphere.points) + np.argsort(order)
    ca, bc, ab = number[which.reshape(-1, 3)].T
    corners = np.stack([a, ab, ca], axis=1)
    others = np.stack([ca, bc, c, ab, bc, ca, ab, b, bc], axis=1).reshape(-1, 3)
    return Mesh(np.concatenate([sphere.points, middles]), np.concatenate([corners, others]))
