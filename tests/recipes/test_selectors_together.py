"""`encode` with the selector and several subjects: one network, and each subject's maps in a folder of its own."""

import json

import numpy as np
import pandas as pd
import pytest
import zarr

from fusiform.cli import main
from fusiform.datasets import load_dataset
from fusiform.errors import SettingsError
from fusiform.models.neural import NeuralEncoder
from fusiform.models.selection import selection
from fusiform.recipes.compare.network import open_network
from fusiform.recipes.run import Run
from fusiform.recipes.selectors import selecting
from fusiform.recipes.steps import averaged
from fusiform.scores import pearson

ARGUMENTS = {"pictures": 120, "vertices": 60, "subjects": 3, "layers": 2, "patches": 8, "ncsnr": 1.0}
BRAINS = ",".join(f"{name}={value}" for name, value in ARGUMENTS.items())
TOLD = ["encode", "--dataset", "simulated", "--dataset-args", BRAINS, "--backbone", "planted", "--device", "cpu"]
TOLD += ["--backbone-args", "layers=2"]
QUICK = ["--model", "selector", "--model-args", "epochs=4,width=8,batch_size=16,net_args={hidden: 16, octaves: 3}"]
SUBJECTS = ["sim01", "sim03"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "both"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selecting, "selection_sections", lambda *_: [])  # as of one subject, and slow to draw
        patch.setenv("FUSIFORM_CACHE", str(out.parent / "cache"))
        assert main([*TOLD, *QUICK, "--subject", ",".join(SUBJECTS), "--out", str(out)]) == 0
    return Run(out)


def test_one_network_has_learned_from_all(run):
    model = NeuralEncoder.load(run.folder / "model", device="cpu")
    assert model.subjects_ == SUBJECTS
    for subject in SUBJECTS:
        table = pd.read_parquet(run.folder / subject / "selection.parquet")
        kept = selection(model, subject)
        pd.testing.assert_frame_equal(table[["layer", "center_x", "scale"]], kept[["layer", "center_x", "scale"]])
    first, other = (selection(model, subject)["center_x"] for subject in SUBJECTS)
    assert not np.allclose(first, other)


def test_each_subject_has_a_run_of_its_own(run):
    names = {"settings.yaml", "environment.json", "log.jsonl", "summary.json", "model", *SUBJECTS}
    assert {path.name for path in run.folder.iterdir()} == names
    for subject in SUBJECTS:
        folder = run.folder / subject
        files = {f"{name}.parquet" for name in ("selection", "scores", "channels", "regions", "top_channels", "seen")}
        assert files | {"maps", "figures", "predictions.zarr", "report.html"} <= {one.name for one in folder.iterdir()}
        assert (folder / "maps" / "top1_0.lh.func.gii").is_file()
        assert subject in (folder / "report.html").read_text()
        network = open_network(folder)  # as `fusiform report` reads it
        assert network.summary["subject"] == subject
        assert len(network.selection) == 60
    with pytest.raises(SettingsError, match=f"several subjects; give the run of one of them: {run.folder}.sim01, "):
        open_network(run.folder)


def test_the_summary_has_the_numbers_of_each_and_the_scores_of_all(run):
    summary = json.loads((run.folder / "summary.json").read_text())
    assert summary["subject"] == SUBJECTS == list(summary["subjects"])
    tables = [pd.read_parquet(run.folder / subject / "scores.parquet") for subject in SUBJECTS]
    for subject, table in zip(SUBJECTS, tables, strict=True):
        told = summary["subjects"][subject]
        reliable = table[table["ceiling"] > 0.3]
        assert told["scores"]["mean_r"] == pytest.approx(reliable["r"].mean())
        assert {"layer_exact", "scale_auc"} <= set(told["truth"])
        assert {"shuffled_r", "shuffled_ratio", "best_single_layer_ratio"} <= set(told["controls"])
        own = json.loads((run.folder / subject / "summary.json").read_text())
        assert {name: own[name] for name in told} == told
    whole = pd.concat(tables)
    assert summary["scores"]["targets"] == 120
    assert summary["scores"]["mean_r"] == pytest.approx(whole[whole["ceiling"] > 0.3]["r"].mean())
    assert {"fit", "shuffled control", "ridge", "report"} <= set(summary["seconds"])


def test_each_is_judged_by_its_own_responses(run):
    data = load_dataset("simulated", **ARGUMENTS)
    for subject in SUBJECTS:
        trials = averaged(data.responses(subject))
        true = trials.values[trials.samples["split"] == "test"]
        pred = zarr.open_array(run.folder / subject / "predictions.zarr")[:]
        r = pd.read_parquet(run.folder / subject / "scores.parquet")["r"]
        np.testing.assert_allclose(pearson(true, pred), r, atol=1e-5)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--subject", "sim01,sim02"], "the model 'ridge' learns from one subject; got sim01, sim02"),
        (["--subject", "sim01,sim01", *QUICK], "sim01 was given twice"),
    ],
)
def test_what_cannot_be_is_one_sentence(more, said, tmp_path, capsys):
    assert main([*TOLD, *more, "--out", str(tmp_path / "run")]) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fusiform:")]
    assert said in line
    assert not (tmp_path / "run").exists()
