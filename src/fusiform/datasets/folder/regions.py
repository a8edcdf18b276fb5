"""Regions of a user's targets: label volumes, GIFTI labels, tables of names."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Space
from fusiform.datasets.base import reading
from fusiform.datasets.folder.arrays import check_grid
from fusiform.datasets.folder.description import Atlas, Description
from fusiform.datasets.folder.stored import THEN, load_image
from fusiform.datasets.folder.tables import check_columns, numeric, read_table
from fusiform.errors import LayoutError, SettingsError, UnknownNameError
from fusiform.registry import unknown

__all__ = ["label", "region_names", "targets_in"]

NOWHERE = ""  # the region of targets that have none


def label(space: Space, description: Description, subject: str) -> Space:
    """The space with a column per atlas, and the first of them as `roi` too.

    Raises:
        LayoutError: an atlas lies on another grid or mesh, or has labels without a name.
    """
    targets = space.targets
    for name, atlas in description.atlases.items():
        targets = targets.assign(**{name: _names(space, atlas, name, description, subject)})
    if description.atlases and "roi" not in description.atlases:
        targets = targets.assign(roi=targets[next(iter(description.atlases))])
    return Space(space.name, targets, space.mesh, space.grid)


def region_names(space: Space, atlases: Sequence[str]) -> list[str]:
    """Regions that can be asked for: of all atlases, or the names of the targets where there is no atlas."""
    if not atlases:
        return space.names if "name" in space.targets else list(dict.fromkeys(space.targets.get("structure", [])))
    names = {str(name): None for atlas in atlases for name in space.column(atlas)}
    return [name for name in names if name != NOWHERE]


def targets_in(space: Space, atlases: Sequence[str], rois: Sequence[str]) -> NDArray[np.int64]:
    """Positions of the targets that any atlas puts in one of the regions, in the order of the space.

    Raises:
        UnknownNameError: there is no such region.
    """
    known = region_names(space, atlases)
    for roi in rois:
        if roi not in known:
            raise UnknownNameError(unknown("region", roi, known))
    columns = list(atlases) or [name for name in ("name", "structure") if name in space.targets][:1]
    inside = np.any([np.isin(space.column(name).astype(str), list(rois)) for name in columns], axis=0)
    return np.flatnonzero(inside)


def _names(space: Space, atlas: Atlas, name: str, description: Description, subject: str) -> NDArray[np.str_]:
    if atlas.file is not None:
        file = description.path(atlas.file, subject)
        labels = None if atlas.labels is None else description.path(atlas.labels, subject)
        return _from_volume(space, file, labels)
    if atlas.left is not None or atlas.right is not None:
        sides = {"left": atlas.left, "right": atlas.right}
        files = {side: description.path(file, subject) for side, file in sides.items() if file is not None}
        return _from_surface(space, files)
    if atlas.table is not None:
        return _from_table(space, description.path(atlas.table, subject), atlas.column)
    raise SettingsError(f"the atlas {name!r} names no file; wanted 'file' and 'labels', 'left' and 'right', or 'table'")


def _from_volume(space: Space, path: Path, labels: Path | None) -> NDArray[np.str_]:
    if space.grid is None:
        raise LayoutError(f"the atlas {path} is a volume, but the targets are no voxels; give left/right or a table")
    image = load_image(path)
    check_grid(path, image, space.grid.shape, space.grid.affine)
    with reading(path, THEN):
        volume = np.asarray(image.dataobj).reshape(space.grid.shape)
    numbers = np.rint(volume[tuple(space.column(axis) for axis in "ijk")]).astype(np.int64)
    return _named(numbers, {} if labels is None else _label_table(labels), path, labels)


def _label_table(path: Path) -> dict[int, str]:
    """Columns `index` and `name`, as BIDS has them."""
    table = read_table(path)
    check_columns(table, path, "index", "name")
    return dict(zip(numeric(table["index"], path).astype(int), table["name"], strict=True))


def _from_surface(space: Space, files: Mapping[str, Path]) -> NDArray[np.str_]:
    if not {"hemisphere", "vertex"} <= set(space.targets):
        raise LayoutError(f"the atlas {next(iter(files.values()))} is a surface, but the targets are no vertices")
    names = np.full(space.size, NOWHERE, dtype=object)
    for side, path in files.items():
        image = load_image(path)
        with reading(path, THEN):
            numbers, known = np.asarray(image.darrays[0].data), image.labeltable.get_labels_as_dict()
        here = np.flatnonzero(space.column("hemisphere") == side)
        vertices = space.column("vertex")[here].astype(np.int64)
        if len(vertices) and vertices.max() >= len(numbers):
            raise LayoutError(
                f"{path} labels {len(numbers)} vertices; wanted at least {vertices.max() + 1}: another mesh"
            )
        names[here] = _named(numbers[vertices].astype(np.int64), known, path, path)
    return names.astype(str)


def _named(numbers: NDArray[np.int64], known: Mapping[int, str], path: Path, labels: Path | None) -> NDArray[np.str_]:
    """Names of label numbers; 0 is nowhere unless the table names it otherwise.

    Without a table the numbers are the names, and with one every number must be in it.
    """
    present = np.unique(numbers)
    strange = [int(number) for number in present if labels is not None and number != 0 and number not in known]
    if strange:
        raise LayoutError(
            f"{path} holds {len(strange)} labels that {labels} does not name, such as {strange[0]}; "
            f"it names {len(known)}: add them, or take the table that belongs to the atlas"
        )
    named = {int(number): str(known.get(int(number), number)) for number in present}
    unlabelled = ("???", "unknown", "Unknown", "background", "Background")
    names = {number: NOWHERE if number == 0 or name in unlabelled else name for number, name in named.items()}
    return np.array([names[int(number)] for number in numbers], dtype=str)


def _from_table(space: Space, path: Path, column: str) -> NDArray[np.str_]:
    table: pd.DataFrame = read_table(path, column)
    if len(table) != space.size:
        raise LayoutError(f"{path} has {len(table)} rows; wanted {space.size}, one per target")
    return table[column].to_numpy(dtype=str)
