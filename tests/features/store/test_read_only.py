"""A store on a disk or at an address that nobody may write to, such as one that is shared."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

from fusiform.data import Stimuli
from fusiform.errors import StoreError
from fusiform.features import filling
from fusiform.features.baselines.image import Pixels
from fusiform.features.extract import extract
from fusiform.features.store import FeatureStore
from fusiform.features.store.places import Objects

Pictures = Callable[[int], Stimuli]

COMPONENTS = "project:8+pca:2"


def refuse(*_: Any, **__: Any) -> Any:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


class ReadOnly(DirFileSystem):
    """A filesystem that takes nothing."""

    makedirs = mkdir = pipe_file = rm = rm_file = mv = touch = staticmethod(refuse)


@pytest.fixture(params=["folder", "address"])
def frozen(
    request: pytest.FixtureRequest, tmp_path: Path, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> FeatureStore:
    """Ten pictures, their pixels and two components of these."""
    monkeypatch.setattr(filling, "_BLOCK_STIMULI", 4)
    store = FeatureStore(tmp_path / "store")
    extract(pictures(10), Pixels(4), store)
    extract(with_split(pictures(10)), Pixels(4), store, reduce=COMPONENTS)
    next(store.folder.glob("*/blocks")).joinpath(".00001.999999999.abc").mkdir()  # of a worker that was killed
    if request.param == "address":
        store.place = Objects(ReadOnly(str(tmp_path), LocalFileSystem()), "store", "objects://store")
    else:
        for name in (
            "mkdir",
            "rename",
            "replace",
            "rmdir",
            "unlink",
            "remove",
        ):  # root may write whatever the mode says
            monkeypatch.setattr(os, name, refuse)
    return store


def with_split(stimuli: Stimuli) -> Stimuli:
    return Stimuli(stimuli.name, stimuli.kind, stimuli.table.assign(split="train"), stimuli.loader)


def test_it_is_listed_read_and_looked_through(frozen: FeatureStore, pictures: Pictures) -> None:
    whole = extract(pictures(10), Pixels(4)).arrays["pixels"]
    plain = [name for name in frozen.names() if frozen.entry(name).manifest["key"]["reduce"] is None]
    assert (len(frozen.names()), len(plain)) == (3, 1)
    np.testing.assert_array_equal(frozen.features(plain[0]).arrays["pixels"], whole)
    assert (frozen.entry(plain[0]).damaged(), frozen.entry(plain[0]).summary()["rows"]) == ({}, 10)


@pytest.mark.parametrize("verify", [False, True])
def test_extraction_that_has_nothing_to_do_writes_nothing(
    frozen: FeatureStore, pictures: Pictures, verify: bool
) -> None:
    assert len(extract(pictures(10), Pixels(4), frozen, verify=verify)) == 10
    fitted = extract(with_split(pictures(10)), Pixels(4), frozen, reduce=COMPONENTS, verify=verify)
    assert fitted.arrays["pixels"].shape == (10, 2)


def test_extraction_that_has_something_to_do_says_that_it_cannot(frozen: FeatureStore, pictures: Pictures) -> None:
    with pytest.raises(StoreError, match=r"cannot write block 0 of .*Read-only file system.*can be written to"):
        extract(pictures(10), Pixels(5), frozen)
