"""Where files are kept: a folder and fsspec's addresses do the same."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

from fusiform.errors import MissingExtraError, SettingsError, StoreError
from fusiform.features.store.places import Folder, Objects, Parts, Place, folder_of, place_of


@pytest.fixture(params=["folder", "file", "memory", "objects"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "memory":
        yield place_of("memory://store")
        fsspec.filesystem("memory").rm("/store", recursive=True)
    elif request.param == "objects":
        yield Objects(DirFileSystem(str(tmp_path), LocalFileSystem()), "store", "objects://store")
    else:
        yield place_of(tmp_path / "store" if request.param == "folder" else f"file://{tmp_path}/store")


def test_files_come_back(place: Place) -> None:
    place.inside("set").commit("blocks/0", [("a/b", [b"123", memoryview(b"45")]), ("last", [b"!"])])
    place.put("set/manifest.json", b"{}")
    assert place.read(["set/blocks/0/a/b", "set/none", "none/none"]) == {"set/blocks/0/a/b": b"12345"}
    assert place.sizes("set", ["set/blocks/0/a/b", "set/none"]) == {"set/blocks/0/a/b": 5}
    assert list(place.inside("set").ranges("blocks/0/a/b", [(1, 3), (4, 5)])) == [b"23", b"5"]
    assert [place.has(name) for name in ("set/blocks/0", "set/manifest.json", "none")] == [True, True, False]
    assert (place.holding("manifest.json"), place.inside("set").holding("manifest.json")) == (["set"], [])


def test_nothing_is_there_before(place: Place) -> None:
    assert (place.read(["a"]), place.sizes("", ["a"]), place.holding("a"), place.has("a")) == ({}, {}, [], False)
    with pytest.raises(OSError):
        list(place.ranges("a", [(0, 1)]))
    place.put("a", b"")


def test_a_commit_that_ends_early_does_not_count(place: Place) -> None:
    def files() -> Iterator[tuple[str, Parts]]:
        yield "first", [b"1"]
        raise OSError("full")

    place.put("other", b"")
    with pytest.raises(OSError, match="full"):
        place.commit("block", files())
    assert not place.has("block/last")


def test_files_of_a_commit_are_replaced(place: Place) -> None:
    for content in (b"old", b"new"):
        place.commit("block", [("a", [content]), ("last", [content])])
    assert place.read(["block/a", "block/last"]) == {"block/a": b"new", "block/last": b"new"}


def test_a_folder_keeps_nothing_but_what_was_committed(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    place.commit("block", [("a/x", [b"1"]), ("b", [b"2"])])
    (tmp_path / "block" / "a" / ".x.999999999.abc").mkdir()  # of a process that was killed while it mended
    place.commit("block", [("a/x", [b"3"]), ("c", [b"4"])])
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "block", "c", "x"]


def test_addresses(tmp_path: Path) -> None:
    assert isinstance(place_of(str(tmp_path)), Folder)
    assert folder_of(place_of(f"file://{tmp_path}/x")) == tmp_path / "x"
    with pytest.raises(StoreError, match="memory://x is no folder"):
        folder_of(place_of("memory://x"))
    with pytest.raises(SettingsError, match="nonsense://x is no address"):
        place_of("nonsense://x")


def test_an_address_that_needs_a_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(address: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", absent)
    with pytest.raises(MissingExtraError, match=r"s3://bucket/x needs a package .*Install s3fs"):
        place_of("s3://bucket/x")
