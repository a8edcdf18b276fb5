"""`encode` with the selector: the run, its truth and controls, a dataset without a split, an interruption."""

from dataclasses import replace
from types import SimpleNamespace

import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fusiform.errors import SettingsError
from fusiform.models.neural import NeuralEncoder
from fusiform.models.selection import channel_weights, selection
from fusiform.recipes.encode import encode
from fusiform.recipes.selectors import learning, reads_layers, selecting, selector_truth, showing
from fusiform.scores import Scores

TINY = {"pictures": 200, "vertices": 80, "subjects": 1, "layers": 2, "patches": 8, "ncsnr": 1.0}
QUICK = {"epochs": 4, "width": 8, "batch_size": 16, "net_args": {"hidden": 16, "octaves": 3}}
TOLD = {
    "dataset": "simulated",
    "backbone": "planted",
    "backbone_args": {"layers": 2},
    "dataset_args": TINY,
    "model": "selector",
    "model_args": QUICK,
    "device": "cpu",
}

TURN = 5  # frames: a whole turn is measured in plots/test_spin.py


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(showing, "FRAMES", TURN)
        return encode(**TOLD, out=tmp_path_factory.mktemp("runs") / "selectors")


def test_the_run_holds_table_network_maps_and_numbers(run):
    names = {path.name for path in run.folder.iterdir()}
    assert {"selection.parquet", "model", "scores.parquet", "predictions.zarr", "report.html", "figures"} <= names
    assert "checkpoints" not in names
    table = pd.read_parquet(run.folder / "selection.parquet")
    assert {"hemisphere", "vertex", "x", "z", "layer", "center_x", "scale", "confidence", "cluster"} <= set(table)
    kept = selection(NeuralEncoder.load(run.folder / "model"))
    pd.testing.assert_series_equal(kept["center_x"], table["center_x"])
    assert table["score"].tolist() == pd.read_parquet(run.folder / "scores.parquet")["r"].tolist()
    summary = run.summary
    assert set(summary["truth"]) == {"layer_exact", "center_r_x", "center_r_y", "scale_auc"}
    told = {"shuffled_ratio", "shuffled_layer_exact", "best_single_layer_ratio", "shuffled_r"}
    assert told <= set(summary["controls"])
    assert summary["scores"]["ratio_to_ceiling"] > 0.3
    assert abs(summary["controls"]["shuffled_r"]) < 0.2


QUANTITIES = [
    *("mean_layer", "confidence", "polar_angle", "eccentricity"),
    *("center_x", "center_y", "scale", "similarity", "score"),
]
THIRDS = 3  # regions of a simulated brain, beside all targets


def test_every_quantity_is_a_file_for_each_hemisphere(run):
    names = {f"{name}.{side}.func.gii" for name in QUANTITIES for side in ("lh", "rh")}
    names |= {f"{name}.{side}.label.gii" for name in ("layer", "cluster") for side in ("lh", "rh")}
    shares = [name for name in pd.read_parquet(run.folder / "selection.parquet") if name.startswith("share:")]
    names |= {f"share_{number}.{side}.func.gii" for number in range(len(shares)) for side in ("lh", "rh")}
    tops = [f"top{rank}_{number}" for rank in (1, 2, 3) for number in range(1 + THIRDS)]
    names |= {f"{name}.{side}.func.gii" for name in tops for side in ("lh", "rh")}
    assert {path.name for path in (run.folder / "maps").iterdir()} == names
    table = pd.read_parquet(run.folder / "selection.parquet")
    for short, side in (("lh", "left"), ("rh", "right")):
        own = table[table["hemisphere"] == side]
        for name in QUANTITIES:
            values = nibabel.load(run.folder / "maps" / f"{name}.{short}.func.gii").darrays[0].data
            np.testing.assert_allclose(values[own["vertex"]], own[name].to_numpy(), rtol=1e-6)
            assert np.isfinite(values).sum() == len(own)
        image = nibabel.load(run.folder / "maps" / f"layer.{short}.label.gii")
        labels = image.labeltable.get_labels_as_dict()
        assert [labels[key] for key in image.darrays[0].data[own["vertex"]]] == own["layer"].tolist()


def test_channel_weights_are_a_table(run):
    weights = pd.read_parquet(run.folder / "channels.parquet")
    assert len(weights) == len(pd.read_parquet(run.folder / "selection.parquet"))
    assert list(weights) == [f"channel{number}" for number in range(weights.shape[1])]
    loaded = NeuralEncoder.load(run.folder / "model", device="cpu")
    np.testing.assert_array_equal(weights.to_numpy(), channel_weights(loaded))


def test_what_regions_read_is_tables(run):
    files = [run.folder / f"{name}.parquet" for name in ("regions", "top_channels", "seen")]
    regions, values, seen = map(pd.read_parquet, files)
    names = ["all targets", *regions["region"].unique()[1:]]
    assert set(names[1:]) == {"posterior", "middle", "anterior"}
    channels = pd.read_parquet(run.folder / "channels.parquet")
    first = regions[(regions["region"] == names[2]) & (regions["rank"] == 1)]
    np.testing.assert_allclose(values[f"top1:{names[2]}"], channels @ first[list(channels)].to_numpy()[0], rtol=1e-5)
    image = nibabel.load(run.folder / "maps" / "top1_2.rh.func.gii").darrays[0].data
    right = values[values["hemisphere"] == "right"]
    np.testing.assert_allclose(image[right["vertex"]], right[f"top1:{names[2]}"], rtol=1e-6)
    assert list(seen["region"].unique()) == names
    assert len(seen) == len(names) * seen["stimulus"].nunique() * 8 * 8  # places of a layer of the planted network


def test_truth_tells_what_can_be_told():
    planted = pd.DataFrame({"layer": list("aabb"), "x": [0.1, 0.2, 0.3, 0.4], "y": 0.0, "scale": [0.1, 0.1, 0.1, 0.9]})
    table = pd.DataFrame({"layer": list("abbb"), "scale": [0.2, 0.3, 0.1, 0.8], "center_y": [0.1, 0.2, 0.3, 0.4]})
    reliable = Scores(np.full(4, 0.5), "pearson", ceiling=np.full(4, 0.9))
    assert selector_truth(planted, table, reliable) == {"layer_exact": 0.75, "scale_auc": 1.0}  # no grid, one row
    assert selector_truth(planted, table, replace(reliable, ceiling=np.zeros(4))) == {}


def test_every_quantity_is_a_figure_and_the_brain_turns(run):
    shown = {path.name for path in (run.folder / "figures").iterdir()}
    tops = [f"top_{number}" for number in range(1 + THIRDS)]
    plain = {f"selected_{name}.png" for name in (*QUANTITIES, "layer", "cluster", *tops) if name != "mean_layer"}
    assert plain | {"selected_layers.png", "selected_places.png", "map.png", "channels.png"} <= shown
    for name in ("turning_layers.gif", "turning_places.gif"):
        with Image.open(run.folder / "figures" / name) as moving:
            assert moving.n_frames == TURN
        assert (run.folder / "figures" / name).stat().st_size < 3e6


def test_the_report_holds_them_all_and_says_how_to_read_them(run):
    page = (run.folder / "report.html").read_text()
    assert page.count("data:image/gif") == 2
    assert page.count("data:image/png") == len(list((run.folder / "figures").glob("*.png")))
    assert len(page) < 15e6
    for words in ("What each target reads", "Maps", "What regions see in pictures", "up is up", "Red, green and blue"):
        assert words in page


def test_an_unknown_argument_is_named():
    with pytest.raises(SettingsError, match=r"'widht'.*did you mean 'width'"):
        learning.arguments_of("selector", {"widht": 3}, 0, "cpu")


def test_only_the_selector_reads_all_layers():
    assert reads_layers("selector")
    assert not reads_layers("ridge")


def test_truth_is_over_reliable_targets():
    planted = pd.DataFrame(
        {
            "layer": ["a", "a", "b", "b", "b", "a"],
            "x": [0.0, 0.5, -0.5, 0.9, 0.1, 5.0],
            "y": [0.3, 0.2, 0.1, 0.0, 0.4, 5.0],
            "scale": [0.1, 0.1, 0.1, 0.1, 0.9, 0.1],
        }
    )
    table = pd.DataFrame(
        {
            "layer": ["a", "b", "b", "b", "b", "b"],
            "center_x": [0.0, 0.25, -0.25, 0.45, 9.0, -7.0],
            "center_y": [-0.3, -0.2, -0.1, 0.0, 9.0, 7.0],
            "scale": [0.2, 0.3, 0.6, 0.1, 0.5, 1.0],
        }
    )
    ceiling = np.array([0.9, 0.9, 0.9, 0.9, 0.9, 0.1])
    found = selector_truth(planted, table, Scores(np.ones(6), "pearson", None, ceiling))
    assert found == pytest.approx({"layer_exact": 0.8, "center_r_x": 1, "center_r_y": -1, "scale_auc": 0.75})
    local = planted.assign(scale=0.1)
    assert "scale_auc" not in selector_truth(local, table, Scores(np.ones(6), "pearson", None, ceiling))


def test_without_a_split_one_stimulus_of_ten_is_for_validation():
    shown = pd.DataFrame({"stimulus": np.repeat([f"picture{number}" for number in range(20)], 2)})
    held = learning._validation(SimpleNamespace(samples=shown))
    assert shown["stimulus"][held].unique().tolist() == ["picture9", "picture19"]
    assert learning._validation(SimpleNamespace(samples=shown[:6])) is None  # too few
    assert learning._validation(SimpleNamespace(samples=shown.assign(split="val"))) is None  # there are some


def test_another_network_than_the_planted_one_has_no_truth_to_find(tmp_path, monkeypatch):
    monkeypatch.setattr(selecting, "selection_sections", lambda *_: [])  # slow to draw
    told = {**TOLD, "backbone_args": {"size": 8}, "model_args": {**QUICK, "epochs": 1}}
    summary = encode(**{**told, "backbone": "pixels"}, out=tmp_path / "run").summary
    assert "truth" not in summary
    assert set(summary["controls"]) == {
        *("shuffled_r", "shuffled_ratio", "best_single_layer_r", "best_single_layer_ratio")
    }


@pytest.mark.slow
def test_a_run_that_was_interrupted_goes_on(tmp_path, run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(selecting, "evaluate", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            encode(**TOLD, out=tmp_path / "run")
    assert (tmp_path / "run" / "checkpoints" / "fold0" / "checkpoint.safetensors").is_file()
    again = encode(**TOLD, out=tmp_path / "run")
    for part in ("scores", "truth", "controls"):
        assert again.summary[part] == run.summary[part]
