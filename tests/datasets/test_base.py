"""Finding, choosing and reading: what every dataset relies on."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fusiform.datasets import Dataset, load_dataset
from fusiform.datasets.base import check_shape, choose, locate, pick, read_numbers, reading
from fusiform.errors import DataError, LayoutError, SettingsError, UnknownNameError
from fusiform.registry import names

REAL = ("alice", "kay2017", "miyawaki2008")


@pytest.mark.parametrize("name", REAL)
def test_datasets_are_found_by_name_and_read_nothing_when_made(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path))
    dataset = load_dataset(name)
    assert isinstance(dataset, Dataset)
    assert dataset.name == name
    assert name in names("dataset")
    assert dataset.truth() is None
    with pytest.raises(LayoutError, match=f"run 'fusiform fetch {name}' or set FUSIFORM_DATA"):
        dataset.responses(dataset.subjects[0])


def test_unknown_dataset_and_argument_suggest_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'alice'"):
        load_dataset("alise")
    with pytest.raises(SettingsError, match="did you mean 'sphere'"):
        load_dataset("alice", sphre="6mm")


def test_arguments_reach_the_constructor() -> None:
    assert load_dataset("alice", sphere="10mm").sphere == "10mm"  # type: ignore[attr-defined]


def test_importing_datasets_imports_no_heavy_library() -> None:
    heavy = "torch", "scipy", "h5py", "tqdm"
    code = f"import sys, fusiform.datasets.alice; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_locate_takes_the_first_folder_that_holds_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path / "a"))
    monkeypatch.setenv("FUSIFORM_CACHE", str(tmp_path / "b"))
    for file in ("a/set/one", "b/data/set/one", "b/data/set/two"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert locate("set", "one") == tmp_path / "a" / "set"
    assert locate("set", "one", "two") == tmp_path / "b" / "data" / "set"
    with pytest.raises(LayoutError, match="looked for three in"):
        locate("set", "three")


def test_choose_and_pick() -> None:
    known = ("LATL", "RATL", "LPTL")
    assert choose("region", None, known) == "LATL"
    assert pick("region", None, known).tolist() == [0, 1, 2]
    assert pick("region", ["LPTL", "LATL"], known).tolist() == [2, 0]
    with pytest.raises(UnknownNameError, match=r"unknown region 'LPT' \(did you mean 'LPTL'\?\); there are: LATL"):
        pick("region", ["LATL", "LPT"], known)
    none: list[str] = []
    for wrong in (none, "LATL"):
        with pytest.raises(SettingsError, match=r"wanted a list of one name at least, such as \['LATL'\]"):
            pick("region", wrong, known)


def test_read_numbers_reads_what_numpy_wrote(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(5, 3))
    np.savetxt(tmp_path / "n.txt", values)
    np.testing.assert_array_equal(read_numbers(tmp_path / "n.txt", 5, 3), values)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("1 2\n3 4\n", LayoutError, "has 2 lines; wanted 3 lines of 2 numbers"),
        ("1 2\n3\n5 6\n", LayoutError, "has 1 numbers on line 2; wanted 3 lines of 2"),
        ("", LayoutError, "has 0 lines; wanted 3"),
        ("1 2\n3 x\n5 6\n", LayoutError, "could not convert string to float: 'x'"),
        ("1 2\n3 nan\n5 6\n", DataError, r"holds 1 NaN or infinite values, the first at \[1, 1\]"),
        ("1 2\n3 inf\n5 6\n", DataError, "NaN or infinite"),
    ],
)
def test_damaged_numbers_are_named(tmp_path: Path, text: str, error: type[Exception], words: str) -> None:
    path = tmp_path / "numbers.txt"
    path.write_text(text)
    with pytest.raises(error, match=words) as caught:
        read_numbers(path, 3, 2)
    assert str(path) in str(caught.value)
    assert "fusiform fetch" in str(caught.value)


def test_reading_turns_a_parsers_error_into_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"a\.mat cannot be read \(KeyError: 'R2'\)"), reading(tmp_path / "a.mat"):
        {}["R2"]


def test_check_shape_names_got_and_wanted(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"R2 of .*a\.mat has the shape \(2, 3\); wanted \(3, 2\)"):
        check_shape(np.zeros((2, 3)), (3, 2), "R2", tmp_path / "a.mat")
