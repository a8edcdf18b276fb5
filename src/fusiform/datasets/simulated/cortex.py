"""The simulated cortex: places on fsaverage5, subsets of them that are evenly spread, and smooth random maps."""

from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = [
    "HEMISPHERES",
    "MESH",
    "VERTICES",
    "locations",
    "mix",
    "places",
    "quality",
    "signal_share",
    "smooth_map",
    "sphere",
    "spread",
]

Floats = NDArray[np.floating]

MESH = "fsaverage5"
HEMISPHERES = ("left", "right")
VERTICES = 10242  # of one hemisphere
_APART = 1.2  # radii by which each sphere is moved off the middle, so that no two places coincide
SPREAD = 0.5  # of the logarithm of ncsnr over the cortex
_WAVES = 64  # of a smooth map


@cache
def sphere() -> NDArray[np.float64]:
    """The vertices of one hemisphere's sphere, [10242, 3] of unit length: x rightwards, y to the front, z up.

    Read from the mesh that nilearn ships; its two hemispheres have the same sphere.
    """
    from nilearn.datasets import fetch_surf_fsaverage
    from nilearn.surface import load_surf_mesh

    mesh = load_surf_mesh(fetch_surf_fsaverage(MESH)["sphere_left"])
    points: NDArray[np.float64] = np.asarray(mesh.coordinates, dtype=np.float64)
    unit = np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True))
    unit.setflags(write=False)  # it is shared by all who ask
    return unit


def places() -> pd.DataFrame:
    """All 20,484 vertices, left hemisphere first: `hemisphere`, `vertex`, and `x`, `y`, `z` on the spheres (mm)."""
    hemisphere = np.repeat(HEMISPHERES, VERTICES)
    points = 100 * locations()
    table = pd.DataFrame({"hemisphere": hemisphere, "vertex": np.tile(np.arange(VERTICES), 2)})
    return table.assign(x=points[:, 0], y=points[:, 1], z=points[:, 2])


def locations() -> NDArray[np.float64]:
    """All vertices on two spheres of radius 1 side by side, [20484, 3]."""
    apart = np.array([_APART, 0, 0])
    return np.concatenate([sphere() - apart, sphere() + apart])


@cache
def spread(count: int) -> NDArray[np.int64]:
    """Rows of `places` of `count` vertices spread evenly over both hemispheres, sorted; fewer are some of more."""
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


def quality(random: np.random.Generator, median: float) -> NDArray[np.float64]:
    """A random ncsnr for every vertex, [20484]: lognormal, partly smooth over the cortex, of exactly this median."""
    logarithm = 0.6 * smooth_map(random, locations(), 0.4) + 0.8 * random.standard_normal(2 * VERTICES)
    return np.asarray(median * np.exp(SPREAD * (logarithm - np.median(logarithm))))


def signal_share(ncsnr: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation of the signal in samples of unit variance, [V]: ncsnr / sqrt(ncsnr^2 + 1)."""
    return np.asarray(np.sin(np.arctan(ncsnr)))


def mix(signal: Floats, noise: Floats, ncsnr: NDArray[np.float64]) -> NDArray[np.float32]:
    """Samples of unit variance, [N, V], from signal and noise of unit variance in the proportion of ncsnr, [V]."""
    share = signal_share(ncsnr).astype(np.float32)
    return np.asarray(signal * share + noise * np.sqrt(1 - share**2), dtype=np.float32)
