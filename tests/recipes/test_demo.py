"""The tour on the real data: its bars, its skips, and that held-out volumes teach nothing."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from fusiform.cli import main
from fusiform.recipes.demo import demo
from fusiform.recipes.demo.network import read
from fusiform.recipes.demo.story import _side_by_side


@pytest.fixture(scope="module")
def toured(tmp_path_factory):
    return demo(only=("alice", "miyawaki2008"), out=tmp_path_factory.mktemp("demo") / "run")


@pytest.mark.data
@pytest.mark.slow
def test_the_story_is_predicted_above_chance(toured):
    found = toured.summary["alice"]
    assert found["mean_r"] >= 0.37
    assert found["r"]["LPTL"] >= 0.45
    assert found["r"]["LIPL"] >= 0.42
    assert found["mean_r"] == pytest.approx(np.mean(list(found["r"].values())))
    assert np.mean(list(found["whole_run_r"].values())) == pytest.approx(0.47, abs=0.01)  # of all features, too
    for region, r in found["r"].items():
        assert 0 < found["null_95"][region] < r
        assert found["p"][region] < 0.05
        assert found["single_people_r"][region] < r  # the mean of 27 is less noisy than one
        assert found["exchanged_vectors_r"][region] < r  # words that mean something else predict worse


@pytest.mark.data
@pytest.mark.slow
def test_pictures_are_predicted_and_reconstructed(toured):
    found = toured.summary["miyawaki2008"]
    assert found["reconstruction_r"] >= 0.65
    assert found["reconstruction_r"] > found["mean_picture_r"]
    assert found["encoding_r"] >= 0.26
    assert found["permuted_r"] < 0.05
    assert found["identification"] > found["chance"]


@pytest.mark.data
@pytest.mark.slow
def test_the_report_stands_alone(toured):
    page = (toured.folder / "report.html").read_text()
    assert "Hearing a story" in page
    assert "Seeing a picture" in page
    assert "http:" not in page
    assert "https:" not in page
    assert len(list((toured.folder / "figures").glob("*.png"))) == 7


def test_parts_without_data_are_skipped_in_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path / "nothing"))
    run = demo(only=("alice", "miyawaki2008"), out=tmp_path / "run")
    said = capsys.readouterr().err
    for name in ("alice", "miyawaki2008"):
        assert f"fusiform fetch {name}" in run.summary["skipped"][name]
        assert f"skipped {name}" in said
    assert "Skipped:" in (run.folder / "report.html").read_text()
    assert json.loads((run.folder / "summary.json").read_text()) == run.summary


@pytest.mark.data
def test_what_was_skipped_is_tried_again(tmp_path, monkeypatch):
    data = os.environ["FUSIFORM_DATA"]
    monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path / "nothing"))
    assert "miyawaki2008" in demo(only=("miyawaki2008",), out=tmp_path / "run").summary["skipped"]
    monkeypatch.setenv("FUSIFORM_DATA", data)
    assert "skipped" not in demo(only=("miyawaki2008",), out=tmp_path / "run").summary


@pytest.mark.data
def test_damaged_data_are_an_error_not_a_skip(tmp_path, monkeypatch, capsys):
    source = Path(os.environ["FUSIFORM_DATA"]) / "miyawaki2008" / "V1_mean_figure.mat"
    (tmp_path / "miyawaki2008").mkdir()
    (tmp_path / "miyawaki2008" / source.name).write_bytes(source.read_bytes()[:100_000])
    monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path))
    assert main(["demo", "--only", "miyawaki2008", "--out", str(tmp_path / "run")]) == 2
    assert source.name in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_small_brain_is_read_right():
    found = read(pictures=600, vertices=300)
    assert found.recovered["layer_found"] > 0.75
    assert found.wrong_layer_r < 0.65 * found.right_layer_r
    slow = [found.r[layer, vertex] for vertex, layer in enumerate(found.planted) if found.scores.ceiling[vertex] > 0.3]
    assert found.right_layer_r == pytest.approx(np.mean(slow))


@pytest.mark.data
def test_held_out_volumes_change_no_unit():
    from fusiform.datasets import load_dataset

    alice = load_dataset("alice")
    people = [alice.responses(subject) for subject in alice.subjects[:3]]
    train, held = np.arange(100, 362), np.arange(95)
    spoiled = []
    for one in people:
        values = np.array(one.values)
        values[held] = 1e5
        spoiled.append(type(one)(values, one.samples, one.space))
    plain, changed = (_side_by_side(brains, [], train)[train] for brains in (people, spoiled))
    np.testing.assert_array_equal(plain, changed)
    np.testing.assert_allclose(plain[:, -6:].mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(plain[:, -6:].std(0), 1)
