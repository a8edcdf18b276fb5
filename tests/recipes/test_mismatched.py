"""`encode` with the selector on a brain that is not of its kind: the truth is told, and comes without a bar."""

import numpy as np
import pandas as pd
import pytest

from fusiform.datasets import load_dataset
from fusiform.recipes.encode import encode
from fusiform.recipes.recipe import load_preset

TINY = {"pictures": 160, "vertices": 80, "subjects": 1, "layers": 2, "patches": 40, "ncsnr": 1.0}
TOLD = {
    "dataset": "simulated",
    "backbone": "planted",
    "backbone_args": {"layers": 2},
    "model": "selector",
    "model_args": {"epochs": 2, "width": 8, "batch_size": 16, "net_args": {"hidden": 16, "octaves": 3}},
    "device": "cpu",
}


def test_the_truth_of_a_mixture_is_the_larger_layer(tmp_path):
    mixed = {**TINY, "mixtures": 1.0, "nonlinearity": "mixed"}
    run = encode(**TOLD, dataset_args=mixed, out=tmp_path / "run")
    found = run.summary["truth"]
    assert set(found) == {"layer_exact", "center_r_x", "center_r_y", "scale_auc"}
    planted = load_dataset("simulated", **mixed).truth("images")
    assert (planted["second_share"] > 0).mean() > 0.3
    chosen, table = (pd.read_parquet(run.folder / f"{name}.parquet") for name in ("selection", "scores"))
    among = (table["ceiling"] > 0.3).to_numpy()
    right = (chosen["layer"].to_numpy() == planted["layer"].to_numpy())[among]
    assert found["layer_exact"] == pytest.approx(right.mean())
    assert {"shuffled_layer_exact", "shuffled_ratio", "best_single_layer_ratio"} <= set(run.summary["controls"])
    assert np.isfinite(list(found.values())).all()


def test_the_preset_is_selectors_small_on_a_mismatched_brain():
    mismatched, plain = load_preset("selectors-mismatched-small"), load_preset("selectors-small")
    assert {key for key in plain if plain[key] != mismatched.get(key)} == {"dataset_args"}
    arguments = mismatched["dataset_args"]
    assert {**plain["dataset_args"], "mixtures": 0.5, "nonlinearity": "mixed"} == arguments
    truth = load_dataset("simulated", **{**arguments, "pictures": 10, "vertices": 200, "subjects": 1}).truth("images")
    assert 0.2 < (truth["second_share"] > 0).mean() < 0.6
