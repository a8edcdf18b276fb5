"""The feature store: what networks said of stimuli, kept in folders that say what they hold.

    STORE/planted-3f9a51c04e/               one set of features: the backbone, and a digest of the key
        manifest.json                       the key in words, and how the rows are laid out
        blocks/00000/                       the rows of some stimuli: a zarr v3 group ...
            zarr.json                       ... whose attributes name its stimuli, rows, and a checksum per file
            conv1/zarr.json, c/0/0/0/0      an array per layer ("/" in a layer's name is written %2F)

A block is written beside its place and renamed into it: it is there whole or not at all, and the rename is the commit.
Blocks depend on nothing but the key, so that any number of workers, however often interrupted, leave the same bytes.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiform.data import Features, Stimuli
from fusiform.errors import StoreError
from fusiform.features.blockfiles import canonical, changed_files, read_mark, read_rows, sha256, write_block
from fusiform.features.blocks import Block, Joined, features_of
from fusiform.features.tokens import Backbone
from fusiform.files import atomic, read_json, sweep, write_json

__all__ = ["Entry", "FeatureStore", "key_of"]

_FORMAT = 1
_AGAIN = "move the folder away and extract again"
_VERIFY = "run extract again with the same settings and --verify (verify=True in Python) to make it anew"


def key_of(
    stimuli: Stimuli, backbone: Backbone, layers: Sequence[str] | None, reduce: str | None, dtype: str
) -> dict[str, Any]:
    """Everything that decides the numbers of a set of features, and nothing else, ready for JSON."""
    key = {
        "backbone": backbone.name,
        "revision": str(getattr(backbone, "revision", "")),
        "settings": dict(getattr(backbone, "settings", {})),
        "stimuli": {"name": stimuli.name, "count": len(stimuli), "sha256": sha256("\n".join(stimuli.ids).encode())},
        "layers": sorted(layers) if layers else "all",
        "reduce": reduce,
        "dtype": dtype,
    }
    return dict(json.loads(json.dumps(key, default=str)))  # as a manifest gives it back: tuples are lists, paths text


class FeatureStore:
    """A folder of feature sets. Making one touches nothing.

    Args:
        folder: where it is or will be.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def names(self) -> list[str]:
        """The feature sets it holds, sorted."""
        return sorted(manifest.parent.name for manifest in self.folder.glob("*/manifest.json"))

    def entry(self, name: str) -> "Entry":
        """One feature set, finished or not.

        Raises:
            StoreError: there is none of that name.
        """
        if not (self.folder / name / "manifest.json").exists():
            known = ", ".join(self.names()) or "none"
            raise StoreError(f"the store {self.folder} has no features {name!r}; it has: {known}; run extract first")
        return Entry(self.folder / name)

    def features(self, name: str) -> Features:
        """The rows of one finished feature set, read when asked for.

        Raises:
            StoreError: it is unknown, unfinished or damaged.
        """
        entry = self.entry(name)
        return entry.features(range(len(entry)))

    def begin(
        self, key: Mapping[str, Any], ids: Sequence[str], block: int, rate: float | None, hemodynamic: bool
    ) -> "Entry":
        """The feature set of a key; a new one appears on disk with its first block.

        Args:
            key: see `key_of`.
            ids: the stimuli, in order.
            block: stimuli per block, if it is new.
            rate: of the rows (Hz), or None.
            hemodynamic: whether the rows went through a haemodynamic response.

        Raises:
            StoreError: its folder holds another key.
        """
        folder = self.folder / f"{_slug(key['backbone'])}-{sha256(canonical(key))[:10]}"
        if not (folder / "manifest.json").exists():
            layout = {"rate": rate, "hemodynamic": hemodynamic, "stimuli_per_block": block, "stimuli": list(ids)}
            return Entry(folder, {"format": _FORMAT, "key": dict(key), **layout})
        entry = Entry(folder)
        if entry.manifest["key"] != key or entry.manifest["stimuli"] != list(ids):
            raise StoreError(f"{folder}/manifest.json has another key than the folder's name says; {_AGAIN}")
        return entry


class Entry:
    """One set of features in a store: a folder with a manifest and blocks.

    Args:
        folder: of the set.
        new: the manifest of one that is not on disk yet.
    """

    def __init__(self, folder: Path, new: dict[str, Any] | None = None) -> None:
        self.folder, self._new = folder, new

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The key and the layout, as in `manifest.json`.

        Raises:
            StoreError: it is damaged or of another format.
        """
        if self._new:
            return self._new
        try:
            manifest = dict(read_json(self.folder / "manifest.json"))
            if manifest["format"] != _FORMAT:
                raise ValueError(f"format {manifest['format']}; wanted {_FORMAT}")
            if len(manifest["stimuli"]) != manifest["key"]["stimuli"]["count"] or manifest["stimuli_per_block"] < 1:
                raise ValueError(f"{len(manifest['stimuli'])} stimuli, {manifest['stimuli_per_block']} per block")
        except (ValueError, KeyError, TypeError) as reason:
            raise StoreError(f"{self.folder}/manifest.json cannot be used ({reason}); {_AGAIN}") from reason
        return manifest

    def __len__(self) -> int:
        """Number of blocks, written or not."""
        return int(-(-len(self.manifest["stimuli"]) // self.manifest["stimuli_per_block"]))

    def ids(self, number: int) -> list[str]:
        """The stimuli of a block."""
        size = self.manifest["stimuli_per_block"]
        return [str(id) for id in self.manifest["stimuli"][number * size : (number + 1) * size]]

    def has(self, number: int) -> bool:
        """Whether a block is there with all its files at their full size (`damaged` also looks into them)."""
        mark = self._mark(number)
        return mark is not None and not changed_files(self._place(number), mark, deep=False)

    def write(self, number: int, block: Block) -> None:
        """Write a block, unless it is there: another process, at work on the same share, may have been faster.

        Raises:
            StoreError: the disk refuses (nothing half written stays).
        """
        place = self._place(number)
        self.sweep(number)
        if self.has(number):
            return
        try:
            if not (self.folder / "manifest.json").exists():  # two workers may both find it absent: they write the same
                write_json(self.folder / "manifest.json", self.manifest)
            shutil.rmtree(place, ignore_errors=True)  # damaged
            with atomic(place, replace=False) as new:
                write_block(new, block)
        except OSError as reason:
            if self.has(number):  # the other was faster by a moment: both say the same
                return
            raise StoreError(
                f"cannot write block {number} of {self.folder} ({reason}); finished blocks are kept: see that the "
                "folder can be written to and the disk has room, then run extract again to go on"
            ) from reason

    def sweep(self, number: int) -> None:
        """Remove what an interrupted worker of the same share left beside a block's place."""
        sweep(self._place(number))

    def features(self, numbers: Iterable[int]) -> Features:
        """The rows of these blocks, read when asked for.

        Raises:
            StoreError: a block is missing or damaged.
        """
        numbers = list(numbers)
        self._check_present(numbers)
        marks = {number: mark for number in numbers if (mark := self._mark(number))}
        layers = list(next(iter(marks.values()))["arrays"]) if marks else []
        arrays = {layer: self._joined(layer, marks) for layer in layers}
        blocks = [Block(mark["stimuli"], mark["rows"], mark["onsets"], {}) for mark in marks.values()]
        return features_of(blocks, arrays, self.manifest["rate"], self.manifest["hemodynamic"])

    def damaged(self) -> dict[int, list[str]]:
        """The blocks of which a file is missing or differs from its checksum, with those files; reads everything."""
        present = [number for number in range(len(self)) if self._place(number).exists()]
        found = {number: self._changed(number) for number in present}
        return {number: files for number, files in found.items() if files}

    def drop_damaged(self) -> None:
        """Remove the blocks that `damaged` finds, so that extraction makes them again."""
        for number in self.damaged():
            shutil.rmtree(self._place(number))

    def check_first(self, fresh: Block, tolerance: float = 0.02) -> None:
        """Compare new rows of the first stimulus with those kept, where there are any.

        A key cannot know of everything, such as code that was edited: this notices.

        Raises:
            StoreError: they differ by more than `tolerance` of their norm, which no device or batch size explains.
        """
        if not self.has(0):
            return
        kept = self.features([0]).arrays
        for layer, values in fresh.arrays.items():
            if layer not in kept or not _near(kept[layer][:1], values, tolerance):
                raise StoreError(
                    f"stimulus {fresh.stimuli[0]!r} now has another layer {layer!r} than {self.folder} holds under the "
                    "same key; give the changed backbone another revision (or the changed stimuli another name), or "
                    "move the folder away"
                )

    def _place(self, number: int) -> Path:
        return self.folder / "blocks" / f"{number:05d}"

    def _mark(self, number: int) -> dict[str, Any] | None:
        mark = read_mark(self._place(number))
        return mark if mark and mark["stimuli"] == self.ids(number) else None

    def _changed(self, number: int) -> list[str]:
        mark = self._mark(number)
        return ["zarr.json"] if mark is None else changed_files(self._place(number), mark, deep=True)

    def _check_present(self, numbers: list[int]) -> None:
        absent = [number for number in numbers if not self.has(number)]
        if absent:
            state = "damaged" if self._place(absent[0]).exists() else "not extracted yet"
            raise StoreError(
                f"block {absent[0]} of {self.folder} is {state} ({len(absent)} of {len(numbers)} blocks are missing or "
                "damaged); run extract again with the same settings, which makes them"
            )

    def _joined(self, layer: str, marks: Mapping[int, Mapping[str, Any]]) -> Joined:
        """One layer over these blocks, [M, ...]."""
        shapes = [mark["arrays"].get(layer) for mark in marks.values()]
        if any(shape is None or shape[1:] != shapes[0][1:] for shape in shapes):
            raise StoreError(f"layer {layer!r} has not the same shape in all blocks of {self.folder}; {_AGAIN}")
        numbers = list(marks)

        def read(part: int, rows: NDArray[np.int64]) -> NDArray[Any]:
            return self._read(numbers[part], layer, rows)

        return Joined([shape[0] for shape in shapes], tuple(shapes[0][1:]), self.manifest["key"]["dtype"], read)

    def _read(self, number: int, layer: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        try:
            return read_rows(self._place(number), layer, rows)
        except (OSError, ValueError, KeyError) as reason:
            raise StoreError(
                f"layer {layer!r} of block {number} of {self.folder} is damaged ({reason}); {_VERIFY}"
            ) from reason


def _near(old: NDArray[Any], new: NDArray[Any], tolerance: float) -> bool:
    if old.shape != new.shape:
        return False
    old, new = old.astype(np.float64), new.astype(np.float64)
    return bool(np.linalg.norm(old - new) <= tolerance * np.linalg.norm(old))


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "features"
