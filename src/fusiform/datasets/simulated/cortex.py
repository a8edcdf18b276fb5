"""The simulated cortex: places on fsaverage5, subsets of them that are evenly spread, and smooth random maps."""

from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["HEMISPHERES", "MESH", "VERTICES", "places", "smooth_map", "sphere", "spread"]

MESH = "fsaverage5"
HEMISPHERES = ("left", "right")
VERTICES = 10242  # of one hemisphere
_APART = 120.0  # mm along x by which each sphere (of 100 mm) is moved off the middle, so that no two places coincide
_WAVES = 64  # of a smooth map


@cache
def sphere() -> NDArray[np.float64]:
    """The vertices of one hemisphere's sphere, [10242, 3] of unit length: x rightwards, y to the front, z up.

    Read from the mesh that nilearn ships; its two hemispheres have the same sphere.
    """
    import nibabel
    from nilearn.datasets import fetch_surf_fsaverage

    points, _ = nibabel.load(fetch_surf_fsaverage(MESH)["sphere_left"]).agg_data()
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    unit = np.asarray(points / lengths, dtype=np.float64)
    unit.setflags(write=False)  # it is shared by all who ask
    return unit


def places(rows: NDArray[np.int64]) -> pd.DataFrame:
    """The mesh's vertices of these rows, left hemisphere first: `hemisphere`, `vertex`, `x`, `y`, `z` (mm)."""
    right, vertex = rows >= VERTICES, rows % VERTICES
    points = sphere()[vertex] * 100.0
    points[:, 0] += np.where(right, _APART, -_APART)
    hemisphere = np.where(right, *HEMISPHERES[::-1])
    return pd.DataFrame({"hemisphere": hemisphere, "vertex": vertex, **dict(zip("xyz", points.T, strict=True))})


@cache
def spread(count: int) -> NDArray[np.int64]:
    """Rows of `count` vertices that lie evenly on both hemispheres, sorted; fewer are always some of more."""
    left = np.sort(_farthest_first(count - count // 2))
    right = np.sort(_farthest_first(count // 2)) + VERTICES
    rows = np.concatenate([left, right])
    rows.setflags(write=False)
    return rows


@cache
def _farthest_first(count: int) -> NDArray[np.int64]:
    """Vertices picked one by one, each the farthest from those before it (Gonzalez 1985)."""
    points = sphere()
    if count == len(points):
        return np.arange(count)
    chosen, nearness = np.zeros(count, dtype=np.int64), np.full(len(points), -np.inf)
    for turn in range(1, count):
        nearness = np.maximum(nearness, points @ points[chosen[turn - 1]])  # cosine to the nearest one chosen
        chosen[turn] = nearness.argmin()
    return chosen


def smooth_map(random: np.random.Generator, points: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """A smooth random map, [V], of about zero mean and unit variance over all maps.

    A sum of random waves approximates a Gaussian process with the covariance exp(-d^2 / 2 width^2) (Rahimi & Recht
    2007, NIPS). It is a function of the place alone: a vertex's value does not depend on which others there are.

    Args:
        random: draws the map; it takes the same draws for any number of points.
        points: [V, 3].
        width: in the unit of the points.
    """
    waves = random.normal(0, 1 / width, (3, _WAVES))
    phases, heights = random.uniform(0, 2 * np.pi, _WAVES), random.standard_normal(_WAVES)
    return np.asarray(np.cos(points @ waves + phases) @ heights * np.sqrt(2 / _WAVES))
