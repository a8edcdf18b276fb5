"""Features as the command line handles them: extracted, listed, exported, imported."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fusiform.cli import main
from fusiform.features import filling
from fusiform.features.store import FeatureStore

SMALL = ["--dataset", "simulated", "--dataset-args", "pictures=40,vertices=20", "--backbone", "pixels"]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "_BLOCK_STIMULI", 16)


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    """What a command prints for machines."""
    assert main([*argv, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_a_list_says_what_there_is_and_how_far_it_got(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    assert said(capsys, "list", "features", "--store", store)["features"] == []
    said(capsys, "extract", *SMALL, "--store", store, "--shard", "0/2", "--reduce", "mean", "--dtype", "float16")
    (line,) = said(capsys, "list", "features", "--store", store)["features"]
    assert line.pop("name").startswith("pixels-")
    assert line.pop("size").endswith(" KiB")
    assert line == {
        "backbone": "pixels", "layers": "pixels", "reduce": "mean", "rows": 24, "dtype": "float16",
        "state": "2/3 blocks",
    }  # fmt: skip
    said(capsys, "extract", *SMALL, "--store", store, "--shard", "1/2", "--reduce", "mean", "--dtype", "float16")
    assert main(["list", "features", "--store", store]) == 0
    heading, row = (text.split() for text in capsys.readouterr().out.splitlines()[2:])
    assert heading == ["name", "backbone", "layers", "reduce", "rows", "dtype", "size", "state"]
    assert (row[4], row[-1]) == ("40", "finished")


def test_one_damaged_manifest_does_not_hide_the_others(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for reduce in ("mean", "pool:2x2"):
        said(capsys, "extract", *SMALL, "--store", str(tmp_path), "--reduce", reduce)
    first, second = FeatureStore(tmp_path).names()
    (tmp_path / first / "manifest.json").write_text("{")
    states = {
        line["name"]: line["state"] for line in said(capsys, "list", "features", "--store", str(tmp_path))["features"]
    }
    assert states == {first: "damaged: its manifest cannot be read", second: "finished"}


def test_progress_says_how_fast_and_how_long(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["extract", *SMALL, "--store", str(tmp_path)]) == 0
    shown = capsys.readouterr().err
    assert "extract pixels: 100%" in shown
    assert "40/40 [00:0" in shown
    assert " images/s]" in shown


def test_views_and_components_by_flags(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    flags = ["--store", str(tmp_path), "--views", "2", "--seed", "5", "--reduce", "mean+pca:2", "--dtype", "bfloat16"]
    found = said(capsys, "extract", *SMALL, *flags)
    assert (found["rows"], found["layers"]) == (120, {"pixels": [2]})
    keys = [FeatureStore(tmp_path).entry(name).manifest["key"] for name in FeatureStore(tmp_path).names()]
    assert [(key["views"]["count"], key["views"]["seed"]) for key in keys] == [(2, 5)] * 2


def test_a_picture_that_will_not_load_is_named_or_skipped(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fusiform.data import Stimuli

    load = Stimuli.load

    def broken(stimuli: Stimuli, id: str) -> Any:
        return Image.open(tmp_path / "none.png") if id == stimuli.ids[3] else load(stimuli, id)

    monkeypatch.setattr(Stimuli, "load", broken)
    argv = ["extract", *SMALL, "--store", str(tmp_path / "store")]
    assert main(argv) == 2
    assert "on_error='skip'" in capsys.readouterr().err
    for _ in range(2):
        found = said(capsys, *argv, "--on-error", "skip")
        (reason,) = found["skipped"].values()
        assert (found["rows"], reason.startswith("FileNotFoundError")) == (39, True)
    (line,) = said(capsys, "list", "features", "--store", str(tmp_path / "store"))["features"]
    assert line["state"] == "finished, 1 skipped"


def test_out_and_in_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    store = ["--store", str(tmp_path / "store")]
    said(capsys, "extract", *SMALL, *store)
    (name,) = FeatureStore(tmp_path / "store").names()
    out = str(tmp_path / "out")
    assert said(capsys, "export", name, out, *store)["layers"] == {"pixels": [3, 32, 32]}
    assert said(capsys, "import", out, "--name", "mine", *store)["rows"] == 40
    mine, theirs = (FeatureStore(tmp_path / "store").features(n) for n in FeatureStore(tmp_path / "store").names())
    np.testing.assert_array_equal(mine.arrays["pixels"][:], theirs.arrays["pixels"][:])


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (["export", "pixls", "out"], "has no features 'pixls'"),
        (["import", "nowhere", "--name", "x"], "there is no folder nowhere"),
        (["import", ".", "--name", "x", "--layout", "hdf"], "unknown layout 'hdf'"),
        (["extract", *SMALL, "--on-error", "skp"], "did you mean 'skip'"),
        (["extract", *SMALL, "--dtype", "float8"], "unknown dtype 'float8'"),
        (["extract", *SMALL, "--reduce", "pca:4+mean"], "unknown reduction 'pca:4+mean'"),
        (["extract", *SMALL, "--views", "-1"], "got views=-1"),
        (["extract", *SMALL, "--store", "s4://x"], "s4://x is no address that can be used"),
        (["list", "featres"], "did you mean 'features'"),
    ],
)
def test_mistakes_get_one_sentence(argv: list[str], wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    (line,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("fusiform:")]
    assert wanted in line
