"""One set of features in a store: a manifest, blocks of rows, and what was drawn or fitted to make them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiform.data import Features
from fusiform.errors import StoreError
from fusiform.features.blocks import Block, features_of
from fusiform.features.store.blockfiles import AGAIN, MARK, BlockFiles
from fusiform.features.store.places import Place, folder_of

__all__ = ["FORMAT", "MANIFEST", "Entry"]

FORMAT = 1
MANIFEST = "manifest.json"
_BLOCKS, _REDUCTION = "blocks", "reduction"


class Entry:
    """One set of features in a store.

    Args:
        place: of the set.
        new: the manifest of one that is not there yet.
    """

    def __init__(self, place: Place, new: dict[str, Any] | None = None) -> None:
        self.place, self._new = place, new
        self._fitted = BlockFiles(place, bfloat16=False)

    @property
    def folder(self) -> Path:
        """The folder of a set that has one.

        Raises:
            StoreError: it has none.
        """
        return folder_of(self.place)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The key and the layout, as in `manifest.json`.

        Raises:
            StoreError: it is damaged or of another format.
        """
        if self._new:
            return self._new
        try:
            manifest = dict(json.loads(self.place.read([MANIFEST]).get(MANIFEST, b"")))
            if manifest["format"] != FORMAT:
                raise ValueError(f"format {manifest['format']}; wanted {FORMAT}")
            if len(manifest["stimuli"]) != manifest["key"]["stimuli"]["count"] or manifest["stimuli_per_block"] < 1:
                raise ValueError(f"{len(manifest['stimuli'])} stimuli, {manifest['stimuli_per_block']} per block")
        except (ValueError, KeyError, TypeError) as reason:
            raise StoreError(f"{self.place.address}/{MANIFEST} cannot be used ({reason}); {AGAIN}") from reason
        return manifest

    def __len__(self) -> int:
        """Number of blocks, written or not."""
        return int(-(-len(self.manifest["stimuli"]) // self.manifest["stimuli_per_block"]))

    def ids(self, number: int) -> list[str]:
        """The stimuli of a block."""
        size = self.manifest["stimuli_per_block"]
        return [str(id) for id in self.manifest["stimuli"][number * size : (number + 1) * size]]

    def blocks_of(self, ids: Iterable[str]) -> list[int]:
        """The blocks that these stimuli belong to, ascending."""
        size, wanted = self.manifest["stimuli_per_block"], set(ids)
        places = (place for place, id in enumerate(self.manifest["stimuli"]) if str(id) in wanted)
        return sorted({place // size for place in places})

    def present(self, numbers: Iterable[int], *, whole: bool = False) -> list[int]:
        """Those blocks that are there with all their files at full size (`damaged` also looks into them).

        Args:
            numbers: of the blocks.
            whole: leave out those in which stimuli were skipped.
        """
        marks = self._marks(numbers)
        there = set(self._rows.complete([_name(number) for number in marks]))
        return [n for n, mark in marks.items() if _name(n) in there and not (whole and mark.get("skipped"))]

    def has(self, number: int) -> bool:
        """Whether a block is there with all its files at full size."""
        return bool(self.present([number]))

    def write(self, number: int, block: Block, *, again: bool = False) -> None:
        """Write a block, unless it is there: another process, at work on the same share, may have been faster.

        Args:
            number: of the block.
            block: its rows.
            again: write it even if it is there: its files are replaced one by one.

        Raises:
            StoreError: the disk refuses (nothing half written stays).
        """
        self.sweep([number])
        if not again and self.present([number], whole=not block.skipped):
            return
        try:
            self._write_manifest()
            self._rows.write(_name(number), block)
        except OSError as reason:
            if not again and self.has(number):  # the other was faster by a moment: both say the same
                return
            raise StoreError(
                f"cannot write block {number} of {self.place.address} ({reason}); finished blocks are kept: see that "
                "the folder can be written to and the disk has room, then run extract again to go on"
            ) from reason

    def sweep(self, numbers: Iterable[int], *, within: bool = False) -> None:
        """Remove what interrupted workers of the same share left beside the places of these blocks; or also within."""
        names = [_name(number) for number in numbers]
        self.place.sweep(_BLOCKS, [name.rpartition("/")[2] for name in names])
        for name in names if within else ():
            self.place.sweep_within(name)

    def features(self, numbers: Iterable[int]) -> Features:
        """The rows of these blocks, read when asked for.

        Raises:
            StoreError: a block is missing or damaged.
        """
        numbers = list(numbers)
        self._check_present(numbers)
        marks = self._marks(numbers)
        arrays = self._rows.joined([_name(number) for number, mark in marks.items() if mark["arrays"]], self._dtype)
        blocks = [_described(mark) for mark in marks.values()]
        found = features_of(blocks, arrays, self.manifest["rate"], self.manifest["hemodynamic"])
        return replace(found, name=Path(self.place.address).name)

    def block(self, number: int) -> Block:
        """A block, with its rows in memory.

        Raises:
            StoreError: it is missing or damaged.
        """
        self._check_present([number])
        mark = self._marks([number])[number]
        return _described(mark, {layer: self._rows.read(_name(number), layer) for layer in mark["arrays"]})

    def reduction(self) -> dict[str, NDArray[Any]]:
        """The arrays that were drawn or fitted to make the rows; none where there are none.

        Raises:
            StoreError: they are damaged.
        """
        marks = self._fitted.marks([_REDUCTION])
        return {layer: self._fitted.read(_REDUCTION, layer) for mark in marks.values() for layer in mark["arrays"]}

    def keep_reduction(self, arrays: Mapping[str, NDArray[Any]], *, again: bool = False) -> None:
        """Keep what was drawn or fitted to make the rows, unless it is there (or `again`: even then).

        Raises:
            StoreError: the disk refuses.
        """
        if not again and self._fitted.complete([_REDUCTION]):
            self.place.sweep("", [_REDUCTION])  # only now: another worker may have been writing it
            return
        try:
            self._write_manifest()
            self._fitted.write(_REDUCTION, Block([], [], [], arrays))
        except OSError as reason:
            if again or not self._fitted.complete([_REDUCTION]):
                raise StoreError(
                    f"cannot write {self.place.address}/{_REDUCTION} ({reason}); see that the disk has room"
                ) from reason

    def damaged(self, numbers: Iterable[int] | None = None) -> dict[int, list[str]]:
        """The blocks of which a file is missing or differs from its checksum, with those files; reads everything.

        Args:
            numbers: of the blocks to look at; all by default.
        """
        self.__dict__.pop("_rows", None)  # what was remembered of them may be so no more
        numbers = range(len(self)) if numbers is None else numbers
        present = [number for number in numbers if self.place.has(_name(number))]
        marks = self._marks(present)
        found = {n: self._rows.changed(_name(n)) if n in marks else [MARK] for n in present}
        return {number: files for number, files in found.items() if files}

    def damaged_reduction(self) -> list[str]:
        """The files of what was drawn or fitted that are missing or differ from their checksums."""
        return self._fitted.changed(_REDUCTION) if self.place.has(_REDUCTION) else []

    def check_same(self, fresh: Block, tolerance: float = 0.02) -> None:
        """Compare new rows of one stimulus with those kept, where there are any.

        A key cannot know of everything, such as code that was edited: this notices.

        Raises:
            StoreError: they differ by more than `tolerance` of their norm, which no device or batch size explains.
        """
        kept = self.features(self.present(self.blocks_of(fresh.stimuli)))
        rows = np.flatnonzero(kept.index["stimulus"].isin(fresh.stimuli))
        for layer, values in fresh.arrays.items() if len(rows) else ():
            if layer not in kept.arrays or not _near(kept.arrays[layer][rows], values, tolerance):
                raise StoreError(
                    f"stimulus {fresh.stimuli[0]!r} now has another layer {layer!r} than {self.place.address} holds "
                    "under the same key; give the changed backbone another revision (or the changed stimuli another "
                    "name), or move the folder away"
                )

    def summary(self) -> dict[str, Any]:
        """What there is, for a list; the sizes are those that the marks of the blocks say."""
        key, marks = self.manifest["key"], list(self._marks(range(len(self))).values())
        files = [file for mark in marks for file in mark["files"].values()]
        return {
            "backbone": key["backbone"],
            "layers": list(next((mark["arrays"] for mark in marks if mark["arrays"]), {})),
            "reduce": key["reduce"],
            "rows": sum(sum(mark["rows"]) for mark in marks),
            "dtype": key["dtype"],
            "bytes": sum(file["bytes"] for file in files),
            "blocks": len(marks),
            "of": len(self),
            "skipped": sum(len(mark.get("skipped", {})) for mark in marks),
        }

    @cached_property
    def _rows(self) -> BlockFiles:
        return BlockFiles(self.place, bfloat16=self.manifest["key"]["dtype"] == "bfloat16")

    @property
    def _dtype(self) -> str:
        """Of rows as they are read."""
        dtype = self.manifest["key"]["dtype"]
        return "float32" if dtype == "bfloat16" else str(dtype)

    def _marks(self, numbers: Iterable[int]) -> dict[int, dict[str, Any]]:
        """What those blocks say of themselves that are what the manifest says."""
        numbers = list(numbers)
        found = self._rows.marks([_name(number) for number in numbers])
        marks = {number: found[_name(number)] for number in numbers if _name(number) in found}
        return {number: mark for number, mark in marks.items() if _is_of(mark, self.ids(number))}

    def _write_manifest(self) -> None:
        if self._new and not self.place.has(MANIFEST):  # two workers may both find it absent: they write the same
            self.place.put(MANIFEST, (json.dumps(self.manifest, indent=2, allow_nan=False) + "\n").encode())

    def _check_present(self, numbers: list[int]) -> None:
        present = set(self.present(numbers))
        absent = [number for number in numbers if number not in present]
        if absent:
            state = "damaged" if self.place.has(_name(absent[0])) else "not extracted yet"
            raise StoreError(
                f"block {absent[0]} of {self.place.address} is {state} ({len(absent)} of {len(numbers)} blocks are "
                "missing or damaged); run extract again with the same settings, which makes them"
            )


def _name(number: int) -> str:
    return f"{_BLOCKS}/{number:05d}"


def _is_of(mark: Mapping[str, Any], ids: list[str]) -> bool:
    return bool(mark["stimuli"] == [id for id in ids if id not in mark.get("skipped", {})])


def _described(mark: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None) -> Block:
    return Block(mark["stimuli"], mark["rows"], mark["onsets"], arrays or {}, mark.get("skipped", {}))


def _near(old: NDArray[Any], new: NDArray[Any], tolerance: float) -> bool:
    if old.shape != new.shape:
        return False
    old, new = old.astype(np.float64), new.astype(np.float64)
    return bool(np.linalg.norm(old - new) <= tolerance * np.linalg.norm(old))
