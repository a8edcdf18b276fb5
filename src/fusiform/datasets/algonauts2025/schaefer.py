"""Schaefer's 1000 parcels in seven networks: their names, and where the atlas of a subject puts them."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Space
from fusiform.datasets.base import reading
from fusiform.errors import LayoutError

__all__ = ["NETWORKS", "parcels"]

NETWORKS = ("Vis", "SomMot", "DorsAttn", "SalVentAttn", "Limbic", "Cont", "Default")
# parcels in a row that are of one network, in the order of the atlas (Schaefer et al. 2018, as CBIG publishes it); the
# last two of the right hemisphere are of Cont again
_RUNS = {
    "left": dict(zip(NETWORKS, (81, 91, 61, 55, 29, 57, 126), strict=True)),
    "right": dict(zip(NETWORKS, (81, 103, 61, 66, 31, 70, 86), strict=True)) | {"Cont again": 2},
}
MESH = "fsaverage5"
# from the coordinates of fsaverage (MNI305) to those of MNI152, mm (FreeSurfer wiki, CoordinateSystems)
_TO_MNI152 = np.array(
    [[0.9975, -0.0073, 0.0176, -0.0429], [0.0146, 1.0009, -0.0024, 1.5496], [-0.0130, -0.0093, 0.9971, 1.1840]]
)


def parcels(atlas: Path | None) -> Space:
    """The 1000 parcels, left hemisphere first: `name`, `hemisphere`, `roi` (the network), `parcel` (number, from 1).

    With an atlas there are also the middles of the parcels, `x`, `y`, `z` (mm, MNI152), and the `vertex` of fsaverage5
    whose pial place is nearest to each: enough to draw a map, not a projection. Parcels on the surface, as
    `fusiform fetch fsaverage5` brings them, come in hundreds up to 400, not 1000.

    Args:
        atlas: an image of labels from 0 (outside) to 1000; None where there is none.

    Raises:
        LayoutError: the image cannot be read, or does not hold these labels.
    """
    table = _table()
    if atlas is None:
        return Space("schaefer1000", table)
    middles, vertices = _places(atlas, atlas.stat().st_mtime_ns)
    table = table.assign(**dict(zip("xyz", middles.T, strict=True)), vertex=vertices)
    return Space("schaefer1000", table, MESH)


def _table() -> pd.DataFrame:
    pieces = [(side, name.split()[0], count) for side, runs in _RUNS.items() for name, count in runs.items()]
    sides, names, counts = zip(*pieces, strict=True)
    table = pd.DataFrame({"hemisphere": np.repeat(sides, counts), "roi": np.repeat(names, counts)})
    number = table.groupby(["hemisphere", "roi"]).cumcount() + 1
    side = table["hemisphere"].str[0].str.upper() + "H"
    table.insert(0, "name", side + "_" + table["roi"] + "_" + number.astype(str))
    return table.assign(parcel=np.arange(1, len(table) + 1))


@lru_cache(maxsize=8)
def _places(path: Path, changed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Middle [1000, 3] and vertex [1000] of every parcel of an atlas, remembered until the file changes."""
    middles = _middles(path)
    vertices = _vertices(middles, _table()["hemisphere"])
    for places in (middles, vertices):
        places.setflags(write=False)  # they are shared by all who ask
    return middles, vertices


def _middles(path: Path) -> NDArray[np.float64]:
    """Mean place of the voxels of every parcel, [1000, 3] mm."""
    import nibabel

    with reading(path):
        image: Any = nibabel.load(path)
        labels, affine = np.asarray(image.dataobj), np.asarray(image.affine)
    wanted = len(_table())
    numbers = np.unique(labels)
    if labels.ndim != 3 or not np.array_equal(numbers[numbers != 0], np.arange(1, wanted + 1)):
        raise LayoutError(
            f"{path} has the shape {labels.shape} and {np.count_nonzero(numbers)} labels from {numbers.min()} to "
            f"{numbers.max()}; wanted a volume with each of the parcels 1 to {wanted}"
        )
    inside = np.argwhere(labels != 0)
    member = labels[tuple(inside.T)].astype(np.int64) - 1
    places = inside @ affine[:3, :3].T + affine[:3, 3]
    sums = np.stack([np.bincount(member, column, wanted) for column in places.T], axis=1)
    return np.asarray(sums / np.bincount(member, minlength=wanted)[:, None])


def _vertices(middles: NDArray[np.float64], hemisphere: "pd.Series[str]") -> NDArray[np.int64]:
    """The vertex of fsaverage5 nearest to each place of its hemisphere, [P]."""
    from nilearn.datasets import load_fsaverage
    from scipy.spatial import KDTree

    pial = load_fsaverage(MESH)["pial"]
    found = np.empty(len(middles), np.int64)
    for side in _RUNS:
        points = np.asarray(pial.parts[side].coordinates) @ _TO_MNI152[:, :3].T + _TO_MNI152[:, 3]
        here = (hemisphere == side).to_numpy()
        found[here] = KDTree(points).query(middles[here])[1]
    return found
