"""Maps as files that other programs read: GIFTI on the fsaverage meshes, NIfTI in volumes.

GIFTI: Surface Data Format 1.0 of the NIfTI working group; measures are `.func.gii`, categories `.label.gii`. NIfTI has
no names for categories; they stand beside it, in a table as BIDS has it for segmentations.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import Colormap
from numpy.typing import ArrayLike, NDArray

from fusiform.data import Space
from fusiform.errors import DataError
from fusiform.files import atomic, write_text
from fusiform.plots.filling import unplaced
from fusiform.plots.meshes import HEMISPHERES, MESHES
from fusiform.plots.paint import steps_of
from fusiform.plots.volume import unsliced

__all__ = ["NO_LABEL", "save_map", "unwritten"]

SHORT = {"left": "lh", "right": "rh"}
STRUCTURES = {"left": "CortexLeft", "right": "CortexRight"}  # as GIFTI's metadata call them
NO_LABEL = "???"  # key 0 of a label table: no value


def save_map(
    folder: Path | str,
    name: str,
    values: ArrayLike,
    space: Space,
    *,
    categories: Sequence[str] | None = None,
    cmap: str | Colormap = "viridis",
) -> list[Path]:
    """Write one map, each file whole or not at all.

    For vertices a file per hemisphere that has targets, with all vertices of the mesh: `name.lh.func.gii` (float32; NaN
    where there is no target) or, with categories, `name.lh.label.gii` (key 0, `???`, where there is none). For voxels
    `name.nii.gz`: float32, NaN elsewhere; with categories int16, 0 elsewhere, and the names in `name.tsv`.

    Args:
        folder: made where it is missing.
        name: of the map.
        values: [V]; with `categories` positions in them, NaN for none.
        space: where the V targets live.
        categories: names, in their order; in the files their keys begin at 1.
        cmap: of the label table's colours.

    Returns:
        the files.

    Raises:
        DataError: the space is none of these, as `unwritten` says, or not V targets.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if why := unwritten(space):
        raise DataError(f"maps of the space {space.name!r} cannot be written as files of images, for it {why}")
    if numbers.shape != (space.size,):
        raise DataError(
            f"values have the shape {numbers.shape}; wanted [{space.size}], one per target of {space.name!r}"
        )
    if space.grid is not None:
        return _save_volume(Path(folder), name, space.volume(numbers), space.grid.affine, categories)
    sides = [side for side in HEMISPHERES if (space.column("hemisphere") == side).any()]
    return [_save_side(Path(folder), name, side, _on_mesh(numbers, space, side), categories, cmap) for side in sides]


def unwritten(space: Space) -> str:
    """Why maps of a space cannot be written; empty where they can."""
    return unplaced(space) if space.grid is None else unsliced(space)


def _on_mesh(values: NDArray[np.float64], space: Space, side: str) -> NDArray[np.float64]:
    """[N] all vertices of one hemisphere, NaN where there is no target."""
    here = space.column("hemisphere") == side
    whole = np.full(MESHES[str(space.mesh)], np.nan)
    whole[space.column("vertex")[here].astype(np.int64)] = values[here]
    return whole


def _save_side(
    folder: Path,
    name: str,
    side: str,
    values: NDArray[np.float64],
    categories: Sequence[str] | None,
    cmap: str | Colormap,
) -> Path:
    from nibabel.gifti import gifti

    measured = categories is None
    array: Any = gifti.GiftiDataArray(  # type: ignore[no-untyped-call]
        values.astype(np.float32) if measured else _keys(values, np.int32),
        intent="NIFTI_INTENT_NONE" if measured else "NIFTI_INTENT_LABEL",
        meta={"Name": name},
    )
    table: Any = None if categories is None else _label_table(categories, cmap)
    image: Any = gifti.GiftiImage(  # type: ignore[no-untyped-call]
        darrays=[array],
        labeltable=table,
        meta=gifti.GiftiMetaData({"AnatomicalStructurePrimary": STRUCTURES[side]}),  # type: ignore[no-untyped-call]
    )
    path = folder / f"{name}.{SHORT[side]}.{'func' if measured else 'label'}.gii"
    _write(image, path)
    return path


def _label_table(categories: Sequence[str], cmap: str | Colormap) -> Any:
    from nibabel.gifti import gifti

    table: Any = gifti.GiftiLabelTable()  # type: ignore[no-untyped-call]
    colours = [(0.0, 0.0, 0.0, 0.0), *steps_of(cmap, len(categories)).tolist()]
    for key, (label, colour) in enumerate(zip([NO_LABEL, *categories], colours, strict=True)):
        entry: Any = gifti.GiftiLabel(key, *colour)  # type: ignore[no-untyped-call]
        entry.label = str(label)
        table.labels.append(entry)
    return table


def _save_volume(
    folder: Path,
    name: str,
    values: NDArray[np.float64],
    affine: NDArray[np.float64],
    categories: Sequence[str] | None,
) -> list[Path]:
    import nibabel

    numbers = values.astype(np.float32) if categories is None else _keys(values, np.int16)
    image: Any = nibabel.Nifti1Image(numbers, affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")
    written = [folder / f"{name}.nii.gz"]
    _write(image, written[0])
    if categories is not None:
        lines = ["index\tname", *(f"{key}\t{label}" for key, label in enumerate(categories, start=1))]
        written.append(folder / f"{name}.tsv")
        write_text(written[1], "\n".join(lines) + "\n")
    return written


def _keys(values: NDArray[np.float64], kind: type[np.signedinteger[Any]]) -> NDArray[np.signedinteger[Any]]:
    """Positions among categories as keys from 1 on; 0 for NaN."""
    return np.nan_to_num(values + 1, nan=0.0).astype(kind)


def _write(image: Any, path: Path) -> None:
    import nibabel

    with atomic(path) as new:
        nibabel.save(image, new)
