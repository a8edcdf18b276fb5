"""A block on disk: a zarr v3 group with an array per layer, whose attributes are its mark.

The mark names the stimuli and their rows, the arrays, and the size and SHA-256 of every file; a digest guards the mark
itself. It is written last. Chunks are not compressed (features hardly shrink, and these bytes do not depend on the
version of a compressor) and carry a CRC32C each, which every read checks.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from fusiform.features.blocks import Block
from fusiform.files import read_json

__all__ = ["canonical", "changed_files", "read_mark", "read_rows", "sha256", "write_block"]

_CHUNK_BYTES = 1 << 17  # the least that one random read costs


def write_block(folder: Path, block: Block) -> None:
    """Write a block into a folder of its own; a block of the same rows is always the same bytes."""
    import zarr

    group = zarr.open_group(store=folder, mode="w", zarr_format=3)
    for layer, values in block.arrays.items():
        _write_array(group, _file_name(layer), values)
    mark: dict[str, Any] = {
        "stimuli": list(block.stimuli),
        "rows": list(block.rows),
        "onsets": list(block.onsets),
        "arrays": {layer: list(values.shape) for layer, values in block.arrays.items()},
        "files": {name: _written(folder / name) for name in _files(folder)},
    }
    group.attrs.put({**mark, "digest": sha256(canonical(mark))})


def read_mark(folder: Path) -> dict[str, Any] | None:
    """What a block says of itself; None where there is no block, or its mark is damaged."""
    try:
        mark = dict(read_json(folder / "zarr.json")["attributes"])
        digest = mark.pop("digest")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return mark if digest == sha256(canonical(mark)) else None


def changed_files(folder: Path, mark: Mapping[str, Any], *, deep: bool) -> list[str]:
    """The files of a block that are missing or of another size (`deep`: or content) than its mark says."""
    return [name for name, written in mark["files"].items() if not _same(folder / name, written, deep=deep)]


def read_rows(folder: Path, layer: str, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Ascending rows [n] of one layer of a block, [n, ...].

    Raises:
        OSError, ValueError, KeyError: it is damaged.
    """
    array = _open_array(folder / _file_name(layer))
    if not (folder / _file_name(layer) / "c" / "/".join("0" * array.ndim)).exists():
        raise FileNotFoundError("its only file is missing")  # of which zarr would make zeros
    if rows[-1] - rows[0] == len(rows) - 1:  # neighbours: one slice is read faster than single rows
        return np.asarray(array[int(rows[0]) : int(rows[-1]) + 1])
    return np.asarray(array.oindex[rows])


def canonical(value: Any) -> bytes:
    """JSON of which there is only one for a value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sha256(data: bytes) -> str:
    """The checksum in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _write_array(group: Any, name: str, values: NDArray[Any]) -> None:
    from zarr.codecs import Crc32cCodec

    rows, rest = len(values), values.shape[1:]
    step = max(1, min(rows, _CHUNK_BYTES // max(1, values[:1].nbytes)))  # rows per chunk
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=(step, *rest),
        shards=(-(-rows // step) * step, *rest),  # all chunks in one file
        compressors=[Crc32cCodec()],
        fill_value=0,
        config={"write_empty_chunks": True},  # a chunk of zeros is data, not absence
    )
    array[...] = values


@lru_cache(maxsize=1 << 14)
def _open_array(path: Path) -> Any:
    import zarr

    return zarr.open_array(store=path, mode="r")


def _files(folder: Path) -> list[str]:
    """Every file of the arrays, relative and sorted; not the group's own, which holds the mark."""
    return sorted(file.relative_to(folder).as_posix() for file in folder.glob("*/**/*") if file.is_file())


def _written(file: Path) -> dict[str, Any]:
    return {"bytes": file.stat().st_size, "sha256": sha256(file.read_bytes())}


def _same(file: Path, written: Mapping[str, Any], *, deep: bool) -> bool:
    try:
        same = bool(file.stat().st_size == written["bytes"])
        return same and (not deep or sha256(file.read_bytes()) == written["sha256"])
    except OSError:
        return False


def _file_name(layer: str) -> str:
    """A layer's name as the name of a folder: `/` is written %2F."""
    return quote(layer, safe=" ,()[]")
