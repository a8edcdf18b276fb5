"""The files of an array against zarr: it writes the same bytes, and reads what is written here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec

from fusiform.features.store import shards
from fusiform.features.store.shards import Shard, Span

SHAPES = [(1, 3), (10, 768), (300, 12), (7, 3, 40, 40), (5, 64, 32, 32), (1000, 1), (64, 2, 3, 4, 5)]


def array(shape: tuple[int, ...], dtype: Any = np.float32) -> NDArray[Any]:
    return (100 * np.random.default_rng(len(shape)).standard_normal(shape)).astype(dtype)


def files_of(shard: Shard, values: NDArray[Any]) -> dict[str, bytes]:
    return {name: b"".join(parts) for name, parts in shard.files(values)}


def put(folder: Path, shard: Shard, values: NDArray[Any]) -> Path:
    for name, data in files_of(shard, values).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def gathered(shard: Shard, rows: NDArray[np.int64], read: Any) -> NDArray[Any]:
    parts = list(shard.pieces(rows, read))
    assert [row for where, _ in parts for row in range(len(rows))[where]] == list(range(len(rows)))
    return np.concatenate([part for _, part in parts]) if parts else np.empty((0, *shard.shape[1:]))


def reader(data: bytes) -> Any:
    def read(spans: Sequence[Span]) -> list[bytes]:
        return [data[start:stop] for start, stop in spans]

    return read


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64])
def test_zarr_writes_the_same_bytes(tmp_path: Path, shape: tuple[int, ...], dtype: Any) -> None:
    values = array(shape, dtype)
    shard = Shard.of(values)
    theirs = zarr.create_array(
        tmp_path / "theirs",
        shape=shape,
        dtype=dtype,
        chunks=(shard.step, *shape[1:]),
        shards=(-(-shape[0] // shard.step) * shard.step, *shape[1:]),
        compressors=[Crc32cCodec()],
        fill_value=0,
        config={"write_empty_chunks": True},
    )
    theirs[...] = values
    ours = put(tmp_path / "ours", shard, values)
    for name in ("zarr.json", shard.file):
        assert (ours / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()


@pytest.mark.parametrize("shape", SHAPES)
def test_zarr_reads_it(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = array(shape)
    values[0] = 0  # a chunk of zeros is data
    np.testing.assert_array_equal(zarr.open_array(put(tmp_path, Shard.of(values), values), mode="r")[...], values)


def test_zarr_reads_bfloat16_as_its_bits(tmp_path: Path) -> None:
    values = array((20, 5))
    found = zarr.open_array(put(tmp_path, Shard.of(values, bfloat16=True), values), mode="r")
    assert (found.dtype, dict(found.attrs)) == (np.uint16, {"dtype": "bfloat16"})
    bits = torch.from_numpy(np.asarray(found[...])).view(torch.bfloat16)
    assert torch.equal(bits, torch.from_numpy(values).to(torch.bfloat16))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bfloat16", [False, True])
def test_any_rows_come_back(shape: tuple[int, ...], bfloat16: bool) -> None:
    values = array(shape)
    shard = Shard.of(values, bfloat16)
    files = files_of(shard, values)
    again = Shard.read(files["zarr.json"])
    assert again == shard
    wanted = torch.from_numpy(values).to(torch.bfloat16).float().numpy() if bfloat16 else values
    for rows in (range(shape[0]), range(0, shape[0], 3), [shape[0] - 1], []):
        some = np.array(rows, dtype=np.int64)
        np.testing.assert_array_equal(gathered(again, some, reader(files[shard.file])), wanted[some])


def test_few_bytes_are_read_for_few_rows() -> None:
    values = array((64, 64, 32, 32))
    shard = Shard.of(values)
    file, read = files_of(shard, values)[shard.file], []

    def counting(spans: Sequence[Span]) -> list[bytes]:
        read.extend(spans)
        return [file[start:stop] for start, stop in spans]

    gathered(shard, np.array([3, 4, 60]), counting)
    assert len(read) == 2  # neighbours are one read
    assert sum(stop - start for start, stop in read) == 3 * (values[0].nbytes + 4)


def test_a_flipped_bit_a_short_file_and_another_layout_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    values = array((10, 40))
    shard = Shard.of(values)
    files = files_of(shard, values)
    flipped = bytearray(files[shard.file])
    flipped[77] ^= 4
    with pytest.raises(ValueError, match="checksum"):
        gathered(shard, np.arange(3), reader(bytes(flipped)))
    with pytest.raises(ValueError, match="bytes where"):
        gathered(shard, np.arange(10), reader(files[shard.file][:50]))
    with pytest.raises(ValueError, match="are not written so here"):
        Shard.read(files["zarr.json"].replace(b"crc32c", b"gzip", 1))
    monkeypatch.setattr(shards, "_CHUNK_BYTES", 100)  # a later version may chunk otherwise; what it finds counts
    np.testing.assert_array_equal(
        gathered(Shard.read(files["zarr.json"]), np.arange(10), reader(files[shard.file])), values
    )


def test_no_rows_are_no_file() -> None:
    values = np.empty((0, 4), np.float32)
    files = files_of(Shard.of(values), values)
    assert list(files) == ["zarr.json"]
    assert list(Shard.read(files["zarr.json"]).pieces(np.empty(0, np.int64), reader(b""))) == []


def test_rows_are_not_copied_to_be_written() -> None:
    values = array((5, 64, 32, 32))
    parts = dict(Shard.of(values).files(values))["c/0/0/0/0"]
    assert sum(np.shares_memory(np.frombuffer(part, np.uint8), values) for part in parts) == 4  # the last may be padded
