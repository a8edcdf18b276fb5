"""Numpy files: what is pickled is refused, and what is written for a challenge is read by every numpy."""

import io
import os
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusiform.datasets.npy import read_array, read_array_of, read_mapping, write_mapping
from fusiform.errors import LayoutError, SettingsError


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.proof),)


@pytest.mark.parametrize("mapped", [False, True])
def test_arrays_of_numbers_are_read(tmp_path: Path, mapped: bool) -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(tmp_path / "a.npy", values)
    found = read_array(tmp_path / "a.npy", mapped=mapped)
    np.testing.assert_array_equal(found, values)
    assert isinstance(found, np.memmap) == mapped


@pytest.mark.parametrize("mapped", [False, True])
def test_pickles_and_texts_are_no_arrays_of_numbers(tmp_path: Path, mapped: bool) -> None:
    np.save(tmp_path / "a.npy", {"lh": 1})  # type: ignore[arg-type]
    with pytest.raises(LayoutError, match=r"a\.npy holds a pickled object; wanted an array of numbers"):
        read_array(tmp_path / "a.npy", mapped=mapped)
    np.save(tmp_path / "b.npy", np.array(["a", "b"]))
    with pytest.raises(LayoutError, match=r"b\.npy holds an array of <U1; wanted an array of numbers"):
        read_array(tmp_path / "b.npy", mapped=mapped)


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("bytes_", [0, 5, 40, 130])
def test_a_truncated_array_is_named(tmp_path: Path, mapped: bool, bytes_: int) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((3, 4)))
    path.write_bytes(path.read_bytes()[:bytes_])
    with pytest.raises(LayoutError, match=r"a\.npy cannot be read"):
        read_array(path, mapped=mapped)


def test_a_pickle_is_read_only_when_it_is_trusted(tmp_path: Path) -> None:
    path = tmp_path / "counts.npy"
    np.save(path, {"s07e01a": 460, "scores": np.arange(3), "mean": np.float64(0.5)})  # type: ignore[arg-type]
    with pytest.raises(
        SettingsError, match=r"counts\.npy is a pickle.*run code.*give --trust-pickle .*trust_pickle=True"
    ):
        read_mapping(path, trust_pickle=False)
    found = read_mapping(path, trust_pickle=True)
    assert (found["s07e01a"], found["mean"]) == (460, 0.5)
    np.testing.assert_array_equal(found["scores"], np.arange(3))


def test_even_a_trusted_pickle_runs_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "trap.npy", {"a": Trap(tmp_path / "proof")})  # type: ignore[arg-type]
    with pytest.raises(LayoutError, match=r"trap\.npy cannot be read.*it names posix\.mkdir; wanted plain data"):
        read_mapping(tmp_path / "trap.npy", trust_pickle=True)
    assert not (tmp_path / "proof").exists()
    np.load(tmp_path / "trap.npy", allow_pickle=True)  # it would have
    assert (tmp_path / "proof").exists()


def test_a_mapping_is_no_array_and_no_list(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(LayoutError, match=r"a\.npy holds an array of float64; wanted a dict"):
        read_mapping(tmp_path / "a.npy", trust_pickle=True)
    np.save(tmp_path / "b.npy", np.array([{"a": 1}, None]))
    with pytest.raises(LayoutError, match=r"b\.npy holds a ndarray; wanted a dict"):
        read_mapping(tmp_path / "b.npy", trust_pickle=True)


@pytest.mark.parametrize("version", ["numpy.core", "numpy._core"])
def test_pickles_of_both_versions_of_numpy_are_read(tmp_path: Path, version: str) -> None:
    path = tmp_path / "a.npy"
    np.save(path, {"a": np.arange(3.0)})  # type: ignore[arg-type]
    held = path.read_bytes()
    own = b"numpy._core" if b"numpy._core" in held else b"numpy.core"
    at = held.index(own)
    length = held[at - 1]  # of the name, in the byte before it
    name = held[at : at + length].replace(own, version.encode())
    path.write_bytes(held[: at - 1] + bytes([len(name)]) + name + held[at + length :])
    frame = path.read_bytes().index(b"\x80\x04\x95") + 3  # protocol 4 begins with the length of what follows
    size = int.from_bytes(path.read_bytes()[frame : frame + 8], "little") + len(name) - length
    path.write_bytes(path.read_bytes()[:frame] + size.to_bytes(8, "little") + path.read_bytes()[frame + 8 :])
    np.testing.assert_array_equal(read_mapping(path, trust_pickle=True)["a"], np.arange(3.0))


def test_what_is_written_is_what_numpy_reads_and_names_only_what_every_numpy_has(tmp_path: Path) -> None:
    mapping = {"sub-01": {"a": np.ones((2, 3), np.float32), "b": np.zeros((0, 3), np.float32)}, "n": 3}
    with (tmp_path / "a.npy").open("wb") as file:
        write_mapping(file, mapping)
    found = np.load(tmp_path / "a.npy", allow_pickle=True).item()  # as the challenge's server does
    assert (list(found), found["n"]) == (["sub-01", "n"], 3)
    for name, values in mapping["sub-01"].items():  # type: ignore[attr-defined]
        assert found["sub-01"][name].dtype == np.float32
        np.testing.assert_array_equal(found["sub-01"][name], values)
    held = (tmp_path / "a.npy").read_bytes()
    words = [argument for _, argument, _ in pickletools.genops(held[held.index(b"\x80\x04") :])]
    assert {"numpy", "ndarray", "array"} <= set(words)
    assert not [word for word in words if isinstance(word, str) and "core" in word]


def test_a_member_of_a_zip_is_named(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"lh\.npy of x\.zip cannot be read"):
        read_array_of(io.BytesIO(b"nothing"), "lh.npy of x.zip")
