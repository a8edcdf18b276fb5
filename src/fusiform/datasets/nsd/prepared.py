"""Betas as the whole_brain_encoder system keeps them: one HDF5 file per subject, and a pickled table beside it.

`betas_sub-01.h5` holds `lh_betas` and `rh_betas`, [trials, 163842] of fsaverage. `metadata_sub-01.npy` holds which
picture each trial showed, the published split, masks of regions and the ncsnr. It is a pickle, so it is opened only
when the user says to trust it, and then for plain data only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiform.datasets.base import check_shape, reading
from fusiform.datasets.npy import read_mapping
from fusiform.datasets.nsd.atlases import Atlas
from fusiform.datasets.nsd.betas import Block
from fusiform.datasets.nsd.design import PICTURES
from fusiform.errors import LayoutError, MissingDataError

__all__ = ["Metadata", "Stored", "prepared_files", "read_metadata"]

SPLITS = {"train_img_num": "train", "val_img_num": "val", "test_img_num": "test"}
BYTES = 1 << 23  # of a block


@dataclass(frozen=True, eq=False)
class Metadata:
    """What the pickled table says.

    Args:
        shown: [trials] the picture of each trial, of the 73,000.
        split: picture -> `train`, `val` or `test`.
        atlases: every region, as an atlas of one label over both hemispheres.
        ncsnr: [left and right vertices], if it is there.
        sizes: vertices of the left and the right hemisphere.
    """

    shown: NDArray[np.int64]
    split: Mapping[int, str]
    atlases: Mapping[str, Atlas]
    ncsnr: NDArray[np.float64] | None
    sizes: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Stored:
    """Some vertices of one hemisphere of `betas_sub-01.h5`; a `Place`.

    Args:
        name: of the array: `lh_betas`, `rh_betas`.
        index: [V] vertices, ascending.
        shape: of the array, [trials, vertices].
    """

    name: str
    index: NDArray[np.int64]
    shape: tuple[int, int]

    @property
    def size(self) -> int:
        """How many."""
        return len(self.index)

    def blocks(self, path: Path) -> Iterator[Block]:
        """Every trial of every vertex, some trials at a time.

        Raises:
            LayoutError: the array has another shape.
        """
        import h5py

        with h5py.File(path) as file:
            stored = file[self.name]
            check_shape(stored, self.shape, self.name, path)
            count = max(1, BYTES // (self.shape[1] * stored.dtype.itemsize))
            for start in range(0, self.shape[0], count):
                trials = slice(start, min(start + count, self.shape[0]))
                yield Block(trials, slice(None), stored[trials][:, self.index])


def prepared_files(root: Path, subject: str) -> tuple[Path, Path]:
    """The betas and the table of one subject, in the folder or in `neural_data/` within it.

    Raises:
        MissingDataError: one of them is not here.
    """
    names = [name.format(subject[-2:]) for name in ("betas_sub-{}.h5", "metadata_sub-{}.npy")]
    for folder in (root, root / "neural_data"):
        betas, metadata = (folder / name for name in names)
        if betas.is_file() and metadata.is_file():
            return betas, metadata
    raise MissingDataError(f"{' and '.join(names)} were not found in {root}; give root= the folder that holds them")


def read_metadata(path: Path, trust_pickle: bool) -> Metadata:
    """Read the pickled table.

    Raises:
        SettingsError: the user has not said to trust it.
        LayoutError: it holds something else than plain data, something is missing in it, or a picture is out of range.
    """
    content = read_mapping(path, trust_pickle)
    with reading(path):
        shown = _pictures(content["img_presentation_order"], "img_presentation_order", path)
        split = {int(one): name for key, name in SPLITS.items() for one in _pictures(content[key], key, path)}
        sides = [{name: np.asarray(mask) for name, mask in content[f"{side}_rois"].items()} for side in ("lh", "rh")]
        ncsnr = [np.asarray(content[f"{side}_ncsnr"], dtype=np.float64) for side in ("lh", "rh")]
    sizes = len(ncsnr[0]), len(ncsnr[1])
    return Metadata(shown, split, _regions(sides, sizes, path), np.concatenate(ncsnr), sizes)


def _pictures(numbers: Any, what: str, path: Path) -> NDArray[np.int64]:
    """Rows of the 73,000, which count from 0 here."""
    found = np.asarray(numbers, dtype=np.int64).ravel()
    wrong = found[(found < 0) | (found >= PICTURES)]
    if len(wrong):
        raise LayoutError(f"{what} of {path} holds the picture {wrong[0]}; wanted 0 to {PICTURES - 1}; copy it again")
    return found


def _regions(sides: list[dict[str, NDArray[Any]]], sizes: tuple[int, int], path: Path) -> dict[str, Atlas]:
    atlases = {}
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        masks = [side.get(name, np.zeros(size, dtype=bool)) for side, size in zip(sides, sizes, strict=True)]
        for mask, size in zip(masks, sizes, strict=True):
            check_shape(mask, (size,), f"the region {name!r}", path)
        atlases[name] = Atlas(name, (np.concatenate(masks) != 0).astype(np.int16), {1: name})
    return atlases
