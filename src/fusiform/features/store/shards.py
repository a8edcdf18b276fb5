"""One array of a block, as the files of a zarr v3 array: its metadata, and one shard that holds all its chunks.

Chunks are not compressed (features hardly shrink, and these bytes do not depend on the version of a compressor) and
carry a CRC32C each, which every read checks. Chunk k lies k chunks into the file, so that any row is one short read;
zarr itself, which writes and reads the same bytes, needs several milliseconds for it.
"""

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiform.features.precision import from_bits, to_bits
from fusiform.features.store.places import Parts

__all__ = ["Shard", "Span"]

Span = tuple[int, int]  # bytes [start, stop) of a file
_CHUNK_BYTES = 1 << 17  # the least that one random read costs
_CRC_BYTES = 4


@dataclass(frozen=True)
class Shard:
    """How the rows of an array lie in its file.

    Args:
        shape: [M, ...].
        dtype: of an element in the file.
        step: rows per chunk.
        bfloat16: elements are the bits of bfloat16, kept as uint16, and read as float32.
    """

    shape: tuple[int, ...]
    dtype: str
    step: int
    bfloat16: bool = False

    @classmethod
    def of(cls, values: NDArray[Any], bfloat16: bool = False) -> "Shard":
        """The shard that fits an array; `bfloat16` concerns float32 only."""
        halved = bfloat16 and values.dtype == np.float32
        dtype = np.dtype(np.uint16) if halved else values.dtype
        row = dtype.itemsize * int(np.prod(values.shape[1:]))
        step = max(1, min(len(values), _CHUNK_BYTES // max(1, row)))
        return cls(values.shape, dtype.name, step, halved)

    @classmethod
    def read(cls, metadata: bytes) -> "Shard":
        """The shard that the `zarr.json` of an array describes.

        Raises:
            ValueError, KeyError: it is damaged, or not of this layout.
        """
        found = json.loads(metadata)
        codec = found["codecs"][0]
        inner = [part["name"] for part in codec["configuration"]["codecs"]]
        if (codec["name"], inner) != ("sharding_indexed", ["bytes", "crc32c"]):
            raise ValueError(f"its chunks went through {codec['name']} and {inner}; they are not written so here")
        bfloat16 = found.get("attributes", {}).get("dtype") == "bfloat16"
        return cls(tuple(found["shape"]), found["data_type"], codec["configuration"]["chunk_shape"][0], bfloat16)

    @property
    def file(self) -> str:
        """The name of the shard's file."""
        return "/".join(["c", *"0" * len(self.shape)])

    @cached_property
    def metadata(self) -> bytes:
        """The array's `zarr.json`."""
        return _metadata(self)

    def files(self, values: NDArray[Any]) -> Iterator[tuple[str, Parts]]:
        """Every file of the array, and what it holds: of the rows, no copy is made."""
        if self.shape[0]:
            yield self.file, self._pack(to_bits(values) if self.bfloat16 else values)
        yield "zarr.json", [self.metadata]

    def pieces(
        self, wanted: NDArray[np.int64], read: Callable[[Sequence[Span]], Iterable[bytes]]
    ) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Ascending rows [n], piece by piece: where in them a piece belongs, and its rows, which are not to be changed.

        Args:
            wanted: positions of the rows.
            read: gives these parts of the shard's file.

        Raises:
            ValueError: a chunk is not what was written.
        """
        chunk, place = np.divmod(wanted, self.step)
        unique = np.unique(chunk)
        runs = np.split(unique, np.flatnonzero(np.diff(unique) != 1) + 1) if len(unique) else []
        spans = [(int(run[0]) * self._chunk, (int(run[-1]) + 1) * self._chunk) for run in runs]
        for run, data in zip(runs, read(spans), strict=True):
            first, last = np.searchsorted(chunk, [run[0], run[-1] + 1]).tolist()
            chunks = self._unpack(data, len(run))
            rows = chunks[:, 0] if self.step == 1 else chunks[chunk[first:last] - run[0], place[first:last]]
            yield slice(first, last), from_bits(rows) if self.bfloat16 else rows

    @property
    def _chunk(self) -> int:
        """Bytes of a chunk with its checksum."""
        return self.step * np.dtype(self.dtype).itemsize * int(np.prod(self.shape[1:])) + _CRC_BYTES

    def _pack(self, values: NDArray[Any]) -> Parts:
        """Chunks one after another, the last filled up with zeros, then where each one lies."""
        count, size = -(-len(values) // self.step), self._chunk - _CRC_BYTES
        data = _bytes(np.ascontiguousarray(values, dtype=np.dtype(self.dtype).newbyteorder("<")))
        last = np.zeros(size, np.uint8)
        last[: len(data) - (count - 1) * size] = data[(count - 1) * size :]
        chunks = [*(data[start : start + size] for start in range(0, (count - 1) * size, size)), last]
        places = np.array([(number * self._chunk, self._chunk) for number in range(count)], dtype="<u8")
        return [part for chunk in [*chunks, _bytes(places)] for part in (chunk.data, _crc(chunk))]

    def _unpack(self, data: bytes, count: int) -> NDArray[Any]:
        """Chunks [count, step, ...], a view on their bytes."""
        if len(data) != count * self._chunk:
            raise ValueError(f"{len(data)} bytes where {count * self._chunk} were written")
        for sealed in np.frombuffer(data, np.uint8).reshape(count, -1):
            if _crc(sealed[:-_CRC_BYTES]) != sealed[-_CRC_BYTES:].tobytes():
                raise ValueError("the checksum of a chunk is wrong")
        dtype = np.dtype(self.dtype).newbyteorder("<")
        inner = np.cumprod([dtype.itemsize, *self.shape[:0:-1]])[::-1].tolist()  # bytes from a row, a channel, ... on
        return np.ndarray((count, self.step, *self.shape[1:]), dtype, data, strides=(self._chunk, *inner))


def _bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    return values.reshape(-1).view(np.uint8)


def _crc(data: NDArray[np.uint8]) -> bytes:
    from google_crc32c import value

    return struct.pack("<I", value(data))  # it takes arrays, and no memoryview


@lru_cache(maxsize=1 << 10)
def _metadata(shard: Shard) -> bytes:
    import zarr
    from zarr.codecs import Crc32cCodec
    from zarr.storage import MemoryStore

    rows, *rest = shard.shape
    files: dict[str, Any] = {}
    zarr.create_array(
        MemoryStore(files),
        shape=shard.shape,
        dtype=shard.dtype,
        chunks=(shard.step, *rest),
        shards=(max(1, -(-rows // shard.step)) * shard.step, *rest),  # all chunks in one file
        compressors=[Crc32cCodec()],
        fill_value=0,
        attributes={"dtype": "bfloat16"} if shard.bfloat16 else {},
        zarr_format=3,
        config={"write_empty_chunks": True},  # a chunk of zeros is data, not absence
    )
    return bytes(files["zarr.json"].to_bytes())
