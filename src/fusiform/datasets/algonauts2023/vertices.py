"""The challenge space: which vertices of fsaverage the columns of the responses are, and in which regions they lie."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Space
from fusiform.datasets.base import check_finite, check_shape
from fusiform.datasets.npy import read_array, read_mapping
from fusiform.datasets.roots import require
from fusiform.errors import LayoutError

__all__ = ["HEMISPHERES", "LABELS", "REGIONS", "vertex_space", "vertices_of"]

HEMISPHERES = {"left": "lh", "right": "rh"}
VERTICES = 163_842  # of one hemisphere of fsaverage
MESH = "fsaverage"
# value of a mask -> region, as NSD publishes them (its .ctab files, which the mapping files repeat); 0 is no region
LABELS: dict[str, tuple[str, ...]] = {
    "prf-visualrois": ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"),
    "floc-bodies": ("EBA", "FBA-1", "FBA-2", "mTL-bodies"),
    "floc-faces": ("OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"),
    "floc-places": ("OPA", "PPA", "RSC"),
    "floc-words": ("OWFA", "VWFA-1", "VWFA-2", "mfs-words", "mTL-words"),
    "streams": ("early", "midventral", "midlateral", "midparietal", "ventral", "lateral", "parietal"),
}
REGIONS = tuple(name for names in LABELS.values() for name in names)


def vertex_space(folder: Path, trust_pickle: bool) -> Space:
    """The vertices of one subject, left hemisphere first.

    Columns: `hemisphere`, `vertex` (of fsaverage, so that subjects 6 and 8 simply lack those without data), `x y z` (on
    the spheres of both hemispheres side by side, as `data.meshes.on_spheres` gives them), one per class of regions
    (`prf-visualrois`, ..., `streams`) with the region's name or "", `roi`, which is the anatomical stream, and
    `noise_ceiling` where the challenge's files of it are here: the share of the variance of the averaged responses to
    the withheld pictures that is signal.

    Args:
        folder: of the subject.
        trust_pickle: read the names of the regions from the mapping files, which are pickles, in place of those that
            NSD publishes.

    Raises:
        MissingDataError: a file is not here.
        LayoutError: a mask does not have the shape of the others, or labels without a name.
    """
    names = {kind: _names(folder, kind, trust_pickle) for kind in LABELS}
    where = {side: vertices_of(folder, side) for side in HEMISPHERES}
    space = Space.vertices(MESH, where["left"], where["right"], MESH)
    sides = [_labels(folder, side, len(vertices), names) for side, vertices in where.items()]
    table = pd.concat([space.targets, pd.concat(sides, ignore_index=True)], axis=1)
    return replace(space, targets=table.assign(roi=table["streams"]))


def vertices_of(folder: Path, side: str) -> NDArray[np.int64]:
    """The vertices of one hemisphere that have responses, in their order.

    Raises:
        MissingDataError: the mask is not here.
        LayoutError: it does not cover fsaverage.
    """
    path = require(folder / "roi_masks" / f"{HEMISPHERES[side]}.all-vertices_fsaverage_space.npy")
    mask = read_array(path, mapped=True)
    check_shape(mask, (VERTICES,), "the mask", path)
    return np.flatnonzero(mask)


def _labels(folder: Path, side: str, size: int, names: Mapping[str, dict[int, str]]) -> pd.DataFrame:
    """The regions of one hemisphere's vertices, and their noise ceiling where it is here."""
    short = HEMISPHERES[side]
    columns: dict[str, NDArray[np.object_]] = {}
    for kind, labels in names.items():
        path = require(folder / "roi_masks" / f"{short}.{kind}_challenge_space.npy")
        columns[kind] = _labelled(read_array(path), labels, size, path)
    ceiling = folder / "test_split" / "noise_ceiling" / f"{short}_noise_ceiling.npy"
    table = pd.DataFrame(columns)
    return table.assign(noise_ceiling=_shares(ceiling, size)) if ceiling.exists() else table


def _labelled(mask: NDArray[Any], labels: dict[int, str], size: int, path: Path) -> NDArray[np.object_]:
    """[V] the name of each vertex's region."""
    check_shape(mask, (size,), "the mask", path)
    values, place = np.unique(mask, return_inverse=True)
    if strange := [value for value in values.tolist() if value not in labels and value != 0]:
        raise LayoutError(f"{path} has the label {strange[0]}, which has no name; wanted {_spelled(labels)}")
    return np.array([labels.get(value, "") for value in values.tolist()], dtype=object)[place]


def _names(folder: Path, kind: str, trust_pickle: bool) -> dict[int, str]:
    """Label -> region of one class of regions."""
    published = dict(enumerate(LABELS[kind], 1))
    path = folder / "roi_masks" / f"mapping_{kind}.npy"
    if not trust_pickle or not path.exists():
        return published
    found = {int(value): str(name) for value, name in read_mapping(path, trust_pickle).items() if value != 0}
    if strange := [name for name in found.values() if name not in LABELS[kind]]:
        raise LayoutError(f"{path} names the region {strange[0]!r}; wanted {_spelled(published)}")
    return found


def _spelled(labels: dict[int, str]) -> str:
    return ", ".join(f"{value} ({name})" for value, name in labels.items())


def _shares(path: Path, size: int) -> NDArray[np.float64]:
    found = read_array(path).astype(np.float64)
    check_shape(found, (size,), "the noise ceiling", path)
    check_finite(found, path)
    if found.min() < 0 or found.max() > 1:
        raise LayoutError(f"{path} holds values from {found.min():g} to {found.max():g}; wanted shares from 0 to 1")
    return found
