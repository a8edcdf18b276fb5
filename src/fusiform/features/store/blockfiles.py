"""The files of a block: a zarr v3 group with an array per layer, whose attributes are its mark.

The mark names the stimuli and their rows, those that were skipped and why, the arrays, and the size and SHA-256 of
every file; a digest guards the mark itself. It is the last file to be written, and a block without it is no block.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from numpy.typing import NDArray

from fusiform.errors import StoreError
from fusiform.features.blocks import Block, Joined
from fusiform.features.store.places import Parts, Place
from fusiform.features.store.shards import Shard

__all__ = ["AGAIN", "MARK", "BlockFiles", "block_files", "canonical", "read_mark", "sha256"]

MARK = "zarr.json"
_LONGEST = 255  # bytes of a folder's name that a disk takes
AGAIN = "move the folder away and extract again"
_VERIFY = "run extract again with the same settings and --verify (verify=True in Python) to make it anew"


def block_files(block: Block, *, bfloat16: bool = False) -> Iterator[tuple[str, Parts]]:
    """Every file of a block and what it holds, the mark last; a block of the same rows is always the same bytes.

    Layers are packed by several threads, while those before them are written.
    """
    written: dict[str, dict[str, Any]] = {}
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for files in threads.map(partial(_layer_files, bfloat16=bfloat16), block.arrays, block.arrays.values()):
            for name, parts, about in files:
                written[name] = about
                yield name, parts
    mark: dict[str, Any] = {
        "stimuli": list(block.stimuli),
        "rows": list(block.rows),
        "onsets": list(block.onsets),
        **({"skipped": dict(block.skipped)} if block.skipped else {}),
        "arrays": {layer: list(values.shape) for layer, values in block.arrays.items()},
        "files": dict(sorted(written.items())),
    }
    yield MARK, [_group({**mark, "digest": sha256(canonical(mark))})]


def _layer_files(layer: str, values: NDArray[Any], *, bfloat16: bool) -> list[tuple[str, Parts, dict[str, Any]]]:
    """Every file of one layer: its name, what it holds, and its size and checksum."""
    files = [(array_file(layer, name), parts) for name, parts in Shard.of(values, bfloat16).files(values)]
    return [(name, parts, {"bytes": sum(map(len, parts)), "sha256": sha256(*parts)}) for name, parts in files]


def read_mark(data: bytes | None) -> dict[str, Any] | None:
    """What a block says of itself; None where there is no block, or its mark is damaged."""
    try:
        mark = dict(json.loads(data or b"")["attributes"])
        digest = mark.pop("digest")
    except (ValueError, KeyError, TypeError):
        return None
    return mark if digest == sha256(canonical(mark)) else None


def array_file(layer: str, name: str) -> str:
    """A file of a layer's array, in a folder that has the layer's name, in which `/` is written %2F.

    A name that no disk takes is cut, and ends in its checksum.
    """
    folder = quote(layer, safe=" ,()[]")
    if len(folder) > _LONGEST:
        folder = f"{folder[: _LONGEST - 17]}-{sha256(layer.encode())[:16]}"
    return f"{folder}/{name}"


def canonical(value: Any) -> bytes:
    """JSON of which there is only one for a value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sha256(*parts: bytes | memoryview) -> str:
    """The checksum, in hexadecimal, of parts that stand one after another."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _group(attributes: Mapping[str, Any]) -> bytes:
    import zarr
    from zarr.storage import MemoryStore

    files: dict[str, Any] = {}
    zarr.create_group(MemoryStore(files), attributes=dict(attributes), zarr_format=3)
    return bytes(files[MARK].to_bytes())


class BlockFiles:
    """The blocks at a place, by the names of their folders. What was read of them is remembered.

    Args:
        place: that they are at.
        bfloat16: float32 rows are kept as bfloat16.
    """

    def __init__(self, place: Place, *, bfloat16: bool) -> None:
        self.place, self._bfloat16 = place, bfloat16
        self._known: dict[str, dict[str, Any]] = {}
        self._shards: dict[str, Shard] = {}

    def write(self, name: str, block: Block) -> None:
        """Write a block; of one that is there, every file is replaced.

        Raises:
            OSError: the disk refuses.
        """
        self._known.pop(name, None)
        self._shards = {file: shard for file, shard in self._shards.items() if not file.startswith(f"{name}/")}
        self.place.commit(name, block_files(block, bfloat16=self._bfloat16))

    def marks(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What blocks say of themselves; those that are not there, or whose mark is damaged, are left out."""
        unknown = [name for name in names if name not in self._known]
        files = self.place.read([f"{name}/{MARK}" for name in unknown])
        for name in unknown:
            if mark := read_mark(files.get(f"{name}/{MARK}")):
                self._known[name] = mark
        return {name: self._known[name] for name in names if name in self._known}

    def complete(self, names: Sequence[str]) -> list[str]:
        """Those that are there with all their files, at full size."""
        marks = self.marks(names)
        wanted = {
            name: {f"{name}/{file}": about["bytes"] for file, about in _files(mark)} for name, mark in marks.items()
        }
        folder = names[0] if len(names) == 1 else "blocks"
        sizes = self.place.sizes(folder, [file for files in wanted.values() for file in files])
        return [name for name, files in wanted.items() if files.items() <= sizes.items()]

    def changed(self, name: str) -> list[str]:
        """The files of a block that are missing or differ from their checksums; reads everything."""
        mark = read_mark(self.place.read([f"{name}/{MARK}"]).get(f"{name}/{MARK}"))
        return [MARK] if mark is None else [file for file, about in _files(mark) if not self._same(name, file, about)]

    def joined(self, names: Sequence[str], dtype: Any) -> dict[str, Joined]:
        """Every layer over some blocks, [M, ...] of a dtype, read when asked for.

        Raises:
            StoreError: they do not have the same layers, of the same shapes.
        """
        marks = self.marks(names)
        layers = list(next(iter(marks.values()))["arrays"]) if marks else []
        return {layer: self._joined(layer, marks, dtype) for layer in layers}

    def read(self, name: str, layer: str) -> NDArray[Any]:
        """All rows of one layer of a block, [n, ...].

        Raises:
            StoreError: it is damaged.
        """
        shape = self.marks([name])[name]["arrays"][layer]
        rows = np.arange(shape[0])
        parts = [part for _, part in self.pieces(name, layer, rows)]
        return np.concatenate(parts) if parts else np.empty(shape, np.float32)

    def pieces(self, name: str, layer: str, rows: NDArray[np.int64]) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Ascending rows [n] of one layer of a block, see `Shard.pieces`.

        Raises:
            StoreError: it is damaged.
        """
        try:
            shard = self._shard(name, layer)
            file = f"{name}/{array_file(layer, shard.file)}"
            yield from shard.pieces(rows, lambda spans: self.place.ranges(file, spans))
        except (OSError, ValueError, KeyError, IndexError, TypeError) as reason:
            raise StoreError(
                f"layer {layer!r} of {_spoken(name)} of {self.place.address} is damaged ({reason}); {_VERIFY}"
            ) from reason

    def _joined(self, layer: str, marks: Mapping[str, Mapping[str, Any]], dtype: Any) -> Joined:
        shapes = [mark["arrays"].get(layer) for mark in marks.values()]
        if any(shape is None or shape[1:] != shapes[0][1:] for shape in shapes):
            raise StoreError(f"layer {layer!r} has not the same shape in all blocks of {self.place.address}; {AGAIN}")
        read = partial(self._pieces_of, list(marks), layer)  # unlike a function made here, it can go to other processes
        return Joined([shape[0] for shape in shapes], tuple(shapes[0][1:]), dtype, read)

    def _pieces_of(
        self, names: Sequence[str], layer: str, part: int, rows: NDArray[np.int64]
    ) -> Iterator[tuple[slice, NDArray[Any]]]:
        return self.pieces(names[part], layer, rows)

    def _shard(self, name: str, layer: str) -> Shard:
        file = f"{name}/{array_file(layer, 'zarr.json')}"
        if file not in self._shards:
            self._shards[file] = Shard.read(self.place.read([file]).get(file, b""))
        return self._shards[file]

    def _same(self, name: str, file: str, about: Mapping[str, Any]) -> bool:
        data = self.place.read([f"{name}/{file}"]).get(f"{name}/{file}")
        return data is not None and sha256(data) == about["sha256"]


def _files(mark: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return list(mark["files"].items())


def _spoken(name: str) -> str:
    """`blocks/00012` as "block 12"."""
    folder, _, number = name.rpartition("/")
    return f"block {int(number)}" if folder else name
