"""Values of some vertices spread over the whole cortex of fsaverage5."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusiform.data import Space
from fusiform.errors import DataError
from fusiform.plots.meshes import HEMISPHERES, MESH, MESHES, VERTICES, Floats, sphere_of

__all__ = ["fill", "unplaced"]

REACH = 4  # times the median distance of neighbours: scattered vertices leave no hole, and a region stays a region
OTHERS = "others nearby take the nearest one's value"


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
