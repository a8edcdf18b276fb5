"""The recipes end to end on tiny simulated brains, and on a dataset that the test registers."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr

from fusiform.cli import main
from fusiform.errors import DataError
from fusiform.recipes.decode import decode
from fusiform.recipes.encode import encode
from fusiform.recipes.recipe import load_preset, preset_names
from fusiform.recipes.run import Run

sys.path.insert(0, str(Path(__file__).parents[1] / "datasets"))
from layouts import algonauts2023, folder

TINY = {"pictures": 300, "vertices": 120, "subjects": 2}


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "encode"
    return encode(dataset="simulated", backbone="planted", dataset_args=TINY, out=out)


def test_encode_leaves_a_whole_run(encoded):
    names = {path.name for path in encoded.folder.iterdir()}
    files = {"settings.yaml", "environment.json", "log.jsonl", "summary.json", "report.html", "figures"}
    assert files | {"scores.parquet", "predictions.zarr"} == names
    table = pd.read_parquet(encoded.folder / "scores.parquet")
    assert {"hemisphere", "vertex", "r", "ceiling", "layer", "r conv1", "r conv6"} <= set(table)
    predictions = zarr.open_array(encoded.folder / "predictions.zarr")
    assert predictions.shape == (30, 120)
    assert "conv1" in (encoded.folder / "report.html").read_text()


def test_the_headline_is_over_reliable_targets(encoded):
    table = pd.read_parquet(encoded.folder / "scores.parquet")
    reliable = table[table["ceiling"] > 0.3]
    told = encoded.summary["scores"]
    assert told["targets"] == 120
    assert told["targets_reliable"] == len(reliable)
    assert told["mean_r"] == pytest.approx(reliable["r"].mean())
    assert told["ratio_to_ceiling"] == pytest.approx(reliable["r"].mean() / reliable["ceiling"].mean())


def test_the_planted_truth_is_told_and_the_control_is_chance(encoded):
    summary = encoded.summary
    assert summary["truth"]["layer_found"] > 0.6  # six layers: chance is one in six
    assert summary["scores"]["mean_r"] > 0.2
    assert abs(summary["controls"]["shuffled_r"]) < 0.1
    assert summary["dataset"] == "simulated"
    assert summary["subject"] == "sim01"


def test_another_network_than_the_planted_one_has_no_truth_to_find(tmp_path):
    run = encode(dataset="simulated", backbone="pixels", dataset_args=TINY, out=tmp_path / "pixels")
    assert "truth" not in run.summary
    assert "scores" in run.summary


def mean_r(tmp_path, name, **settings):
    tiny = {"dataset": "simulated", "backbone": "planted", "dataset_args": TINY, **settings}
    return encode(**tiny, out=tmp_path / name).summary["scores"]["mean_r"]


def test_every_setting_changes_what_it_names(tmp_path, encoded):
    whole = encoded.summary["scores"]["mean_r"]
    found = {
        "subject": mean_r(tmp_path, "a", subject="sim02"),
        "layers": mean_r(tmp_path, "b", layers=("conv1", "conv1/global")),
        "reduce": mean_r(tmp_path, "c", reduce="mean"),
        "single_trials": mean_r(tmp_path, "d", single_trials=True),
        "together": mean_r(tmp_path, "e", together=True),
        "backbone": mean_r(tmp_path, "f", backbone="pixels"),
        "backbone_args": mean_r(tmp_path, "g", backbone_args={"seed": 5}),
        "model_args": mean_r(tmp_path, "h", model_args={"alphas": [1e-3]}),
    }
    assert len({round(value, 6) for value in [whole, *found.values()]}) == 1 + len(found)
    assert found["layers"] < whole
    assert found["backbone_args"] < whole  # another random network is not the one that was planted
    assert found["single_trials"] < whole  # noise is not averaged away


def test_regions_are_compared_with_their_own_truth(tmp_path):
    told = {"dataset": "simulated", "backbone": "planted", "dataset_args": TINY}
    run = encode(**told, rois=("posterior",), out=tmp_path / "rois")
    assert run.summary["scores"]["targets"] < 120
    assert run.summary["truth"]["layer_found"] > 0.6


def test_metric_and_seed_reach_the_run(tmp_path, encoded):
    other = {"dataset": "simulated", "backbone": "planted", "dataset_args": TINY}
    run = encode(**other, metric="r2", seed=3, out=tmp_path / "m")
    assert "r2" in pd.read_parquet(run.folder / "scores.parquet")
    assert run.summary["controls"] != encoded.summary["controls"]
    assert run.summary["scores"] == encoded.summary["scores"]


def film(tmp_path, name, **settings):
    tiny = {"runs": 8, "trs": 120, "parcels": 20}
    net = {"backbone": "tracks", "backbone_args": {"names": ["video", "audio", "text"], "rate": 2.0}}
    told = {"dataset": "simulated", "part": "movie", "dataset_args": tiny, "together": True, **net, **settings}
    return encode(**told, out=tmp_path / name).summary["scores"]["mean_r"]


def test_films_need_the_right_time(tmp_path):
    at_once = film(tmp_path, "a")
    late = film(tmp_path, "b", lags=(4.0, 5.0, 6.0, 7.0, 8.0))
    smooth = film(tmp_path, "c", lags=(6.0,), window=2.0)
    assert late > at_once + 0.1
    assert smooth > at_once
    assert film(tmp_path, "d", hemodynamic=True) > at_once + 0.05


def test_decode_finds_the_picture_and_reports_both_ways(tmp_path):
    told = {"dataset": "simulated", "backbone": "planted", "layer": "conv2", "reduce": "mean"}
    run = decode(**told, dataset_args={**TINY, "vertices": 400}, out=tmp_path / "decode")
    found = run.summary["retrieval"]
    assert found["gallery"] == 30
    assert found["forward_top1"] > 3 * found["chance"]
    assert found["backward_top1"] > 3 * found["chance"]
    assert run.summary["scores"]["mean_r"] > 0.2
    assert "Decoding of held-out stimuli" in (run.folder / "report.html").read_text()


def test_decoded_pixels_are_shown_as_pictures(tmp_path):
    run = decode(dataset="simulated", backbone_args={"size": 8}, dataset_args=TINY, out=tmp_path / "decode")
    assert (run.folder / "figures" / "decoded.png").is_file()


def test_decode_asks_for_one_layer(tmp_path, capsys):
    argv = ["decode", "--dataset", "simulated", "--backbone", "planted", "--dataset-args", "pictures=60,vertices=20"]
    assert main([*argv, "--out", str(tmp_path / "d")]) == 2
    assert "choose --layer among: conv1, conv2" in capsys.readouterr().err
    assert main([*argv, "--layer", "conv9", "--out", str(tmp_path / "d")]) == 2
    assert "no layer 'conv9' (did you mean 'conv" in capsys.readouterr().err


def test_the_command_line_equals_the_function(tmp_path, encoded, capsys):
    tiny = ",".join(f"{key}={value}" for key, value in TINY.items())
    argv = ["encode", "--dataset", "simulated", "--backbone", "planted", "--dataset-args", tiny, "--json"]
    assert main([*argv, "--out", str(tmp_path / "e")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scores"] == encoded.summary["scores"]
    assert told["run"] == str(tmp_path / "e")


def test_the_same_run_twice_has_the_same_numbers(tmp_path, encoded):
    again = encode(dataset="simulated", backbone="planted", dataset_args=TINY, out=tmp_path / "again")
    first, second = (zarr.open_array(run.folder / "predictions.zarr")[:] for run in (encoded, again))
    np.testing.assert_array_equal(first, second)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Algonauts 2023 in a folder of another name, and a cache of the test's own."""
    monkeypatch.setenv("FUSIFORM_CACHE", str(tmp_path / "cache"))
    algonauts2023.write(tmp_path / "anywhere")
    return tmp_path / "anywhere"


def test_what_a_preset_says_of_its_dataset_is_left_out_for_another(tmp_path, elsewhere, capsys):
    told = {"preset": "ridge-small", "dataset": "algonauts2023", "root": str(elsewhere), "out": tmp_path / "run"}
    run = encode(**told)
    dropped = {"dataset_args": {"pictures": 1500, "vertices": 2000}}
    assert (run.settings["left_out"], run.settings["dataset_args"]) == (dropped, None)
    assert run.settings["root"] == str(elsewhere)
    said = "preset 'ridge-small' is for another dataset than 'algonauts2023'; its dataset_args are left out (pictures"
    assert said in capsys.readouterr().err
    assert encode(**told).summary == run.summary
    again = encode(config=run.folder / "settings.yaml", out=tmp_path / "again")  # its own settings may be reused
    assert again.settings["root"] == str(elsewhere)


def test_arguments_of_ones_own_win_over_a_presets(tmp_path, elsewhere):
    told = {"preset": "ridge-small", "dataset": "algonauts2023", "dataset_args": {"root": str(elsewhere), "seed": 1}}
    run = encode(**told, out=tmp_path / "run")
    assert run.settings["dataset_args"] == told["dataset_args"]
    assert "left_out" not in run.settings


def test_presets_with_arguments_name_their_dataset():
    presets = [load_preset(name) for name in preset_names()]
    assert all("dataset" in preset for preset in presets if "dataset_args" in preset)


def test_decode_and_extract_take_a_root(tmp_path, elsewhere, capsys):
    argv = ["--dataset", "algonauts2023", "--root", str(elsewhere), "--backbone", "pixels", "--backbone-args", "size=4"]
    assert main(["decode", *argv, "--out", str(tmp_path / "decode")]) == 0
    assert Run(tmp_path / "decode").settings["root"] == str(elsewhere)
    capsys.readouterr()
    assert main(["extract", *argv, "--store", str(tmp_path / "store"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["store"] == str(tmp_path / "store")


@pytest.mark.parametrize("verb", [encode, decode])
def test_responses_that_cannot_be_learned_from_are_refused_before_features(tmp_path, monkeypatch, verb):
    folder.write(tmp_path / "mine")
    description, values = tmp_path / "mine/dataset.yaml", folder.betas(0)
    monkeypatch.setattr("fusiform.recipes.steps._features", None)  # not reached
    values[3, 1], values[7:9, 4] = np.nan, np.inf
    np.save(tmp_path / "mine/sub-01/betas.npy", values)
    with pytest.raises(
        DataError, match=r"of 'sub-01' hold 3 NaN .* in 2 of 6 targets \(mine-1, mine-4\); leave them out"
    ):
        verb(dataset=str(description), out=tmp_path / "run")
    np.save(tmp_path / "mine/sub-01/betas.npy", np.full_like(values, np.nan))
    with pytest.raises(DataError, match=r"hold 216 NaN .* in 6 of 6 targets \(mine-0, mine-1, mine-2, \.\.\.\); leave"):
        verb(dataset=str(description), out=tmp_path / "run")
    description.write_text(description.read_text().replace("responses:", "responses:\n  drop_nan: true"))
    with pytest.raises(DataError, match=r"have the shape \(36, 0\); wanted one sample and one target at least: check"):
        verb(dataset=str(description), out=tmp_path / "run")


def test_encode_and_decode_say_the_same_of_what_to_keep():
    said = [re.search(r"\nreduce\n(.*?)\n\w", verb.__doc__, re.DOTALL).group(1) for verb in (encode, decode)]
    assert said[0] == said[1]
    assert "pca:DIM" in said[0]
