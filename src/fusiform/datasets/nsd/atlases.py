"""Regions: atlases whose every label has its name, on the voxels of a volume or the vertices of two hemispheres.

A mask holds -1 outside the cortex, 0 where nothing is labelled, and labels from 1 on; a table (`NAME.mgz.ctab`) names
them. Where it is not at hand, labels have the names in `labels.py`, and those of further atlases their numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiform.datasets.base import check_shape, reading
from fusiform.datasets.nsd.imaging import opened_image
from fusiform.datasets.nsd.labels import KNOWN
from fusiform.errors import LayoutError, SettingsError, UnknownNameError
from fusiform.registry import did_you_mean

__all__ = ["Atlas", "inside", "read_atlas", "read_map", "regions_in"]


@dataclass(frozen=True, eq=False)
class Atlas:
    """One atlas.

    Args:
        name: such as `prf-visualrois`.
        labels: [T] of every voxel or vertex of the space; 0 or less where there is none.
        names: label -> name.
    """

    name: str
    labels: NDArray[np.int16]
    names: Mapping[int, str]

    def column(self, index: NDArray[np.int64]) -> NDArray[np.object_]:
        """Names of the labels of some targets; empty where there is none."""
        names = np.full(max(self.names, default=0) + 1, "", dtype=object)
        for label, name in self.names.items():
            if label > 0:  # a table may name -1 too, which would count from the end
                names[label] = name
        return np.asarray(names[np.maximum(self.labels[index], 0)])

    def mask(self, name: str | None = None) -> NDArray[np.bool_]:
        """[T] where it has that label, or any."""
        if name is None:
            return self.labels > 0
        return np.isin(self.labels, [label for label, known in self.names.items() if known == name and label > 0])


def read_atlas(name: str, files: Sequence[Path], table: Path | None, shapes: Sequence[tuple[int, ...]]) -> Atlas:
    """Read an atlas and the names of its labels.

    Args:
        name: of the atlas.
        files: a volume, or the left and the right hemisphere.
        table: of names, if there is one.
        shapes: that the masks must have, [X, Y, Z] or [T].

    Raises:
        LayoutError: a file is damaged, of another shape, or holds a label that has no name.
    """
    masks = [read_map(path, shape) for path, shape in zip(files, shapes, strict=True)]
    labels = np.concatenate([mask.ravel() for mask in masks])
    found = np.unique(labels).tolist()
    if not all(float(label).is_integer() for label in found):
        raise LayoutError(f"{files[0]} holds numbers that are no labels; move it elsewhere, or copy the mask again")
    names = _names(table) if table is not None else _usual_names(name, found)
    if strange := [label for label in found if label > 0 and label not in names]:
        raise LayoutError(
            f"{files[0]} holds the label {strange[0]:g}, which {table or 'the data manual'} does not name; take "
            f"the mask and {name}.mgz.ctab from one release"
        )
    return Atlas(name, labels.astype(np.int16), names)


def read_map(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    """One number per voxel [X, Y, Z] or vertex [T].

    Raises:
        LayoutError: the file is damaged or not of that shape.
    """
    with reading(path), opened_image(path) as image:
        values = np.array(np.asarray(image.dataobj))  # off the file, which will be closed
        if path.suffix in (".mgh", ".mgz"):
            values = values.reshape(len(values), -1)[:, 0]  # stored as [T, 1, 1]
    check_shape(values, shape, "the map", path)
    return values


def inside(atlases: Mapping[str, Atlas], wanted: Sequence[str]) -> NDArray[np.bool_]:
    """[T] the union of some regions: atlases (`streams`), labels (`V1v`), or both (`Kastner2015:V1v`).

    Raises:
        UnknownNameError: there is no such region.
        SettingsError: several atlases have such a label.
    """
    return np.asarray(np.logical_or.reduce([_region(atlases, name) for name in wanted]))


def regions_in(atlases: Mapping[str, Atlas], name: str, index: NDArray[np.int64]) -> NDArray[np.object_]:
    """The regions of some targets in one atlas, as `inside` takes them: `V1v`, `Kastner2015:V1v` if there are two."""
    others = {label for atlas in atlases.values() if atlas.name != name for label in (atlas.name, *_labels(atlas))}
    found = atlases[name].column(index)
    return np.array([f"{name}:{label}" if label in others else label for label in found], dtype=object)


def _region(atlases: Mapping[str, Atlas], name: str) -> NDArray[np.bool_]:
    if name in atlases:
        return atlases[name].mask()
    full = {f"{atlas.name}:{label}": (atlas, label) for atlas in atlases.values() for label in _labels(atlas)}
    found = [name] if name in full else [one for one, (_, label) in full.items() if label == name]
    if len(found) > 1:
        raise SettingsError(f"{len(found)} atlases have a region {name!r}; say which: {' or '.join(found)}")
    if not found:
        labels = sorted({label for _, label in full.values()})
        raise UnknownNameError(
            f"unknown region {name!r}{did_you_mean(name, [*labels, *atlases])}; there are 'brain', the atlases "
            f"{', '.join(atlases) or '(none were found)'}, and their labels{_nameless(atlases)}"
        )
    atlas, label = full[found[0]]
    return atlas.mask(label)


def _labels(atlas: Atlas) -> list[str]:
    return list(dict.fromkeys(known for label, known in atlas.names.items() if label > 0))


def _nameless(atlases: Mapping[str, Atlas]) -> str:
    """What to do about labels that have numbers only."""
    bare = [name for name, atlas in atlases.items() if all(label.isdecimal() for label in _labels(atlas))]
    if not bare:
        return ""
    tables = ", ".join(f"{name}.mgz.ctab" for name in bare)
    return f" (numbers in {', '.join(bare)}: copy {tables} to nsddata/freesurfer/SUBJECT/label to have their names)"


def _usual_names(name: str, found: Sequence[float]) -> dict[int, str]:
    """Names where there is no table: a mask of one region has its own."""
    if name in KNOWN:
        return dict(enumerate(KNOWN[name], 1))
    labels = [int(label) for label in found if label > 0]
    return {1: name} if labels == [1] else {label: str(label) for label in labels}


def _names(table: Path) -> dict[int, str]:
    """Lines of a label and its name; FreeSurfer's own tables go on with colours."""
    with reading(table):
        rows = [line.split() for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
        return {int(row[0]): row[1] for row in rows if not row[0].startswith("#")}
