"""The preset `selectors` by one command: from files as they are published, on disk, to maps.

Every hemisphere answers to the brightness at one place on the other side of the picture, so that what the run finds
tells whether rows, columns and places of the files were joined as they belong.
"""

import csv
import json
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fusiform.cli import main
from fusiform.data.meshes import on_spheres
from fusiform.datasets import load_dataset
from fusiform.datasets.nsd import targets as nsd_targets
from fusiform.features.extract import extract
from fusiform.features.store import FeatureStore
from fusiform.features.tokens import load_backbone
from fusiform.models.neural import NeuralEncoder
from fusiform.models.selection import selection
from fusiform.pairs import pair
from fusiform.recipes.run import Run
from fusiform.scores import score

sys.path.insert(0, str(Path(__file__).parents[1] / "datasets"))
from layouts import algonauts2023, nsd, vit

pytest.importorskip("transformers")

PICTURES, NOISE, CEILING = 150, 0.3, 0.9
LOOKS_AT = {"lh": slice(28, 44), "rh": slice(4, 20)}  # columns of pictures of 48 pixels: the left brain sees the right
MAPS = {
    "selected_layers",
    "selected_places",
    "selected_layer",
    "selected_confidence",
    "selected_scale",
    "selected_cluster",
}
QUICK = ["--model-args", "width=8,batch_size=16,epochs={}", "--device", "cpu"]
SPLIT = ["--dataset-args", "validation=0.15,test=0.2"]
PUBLISHED = '''\
import torch
from torch import nn


class Published(nn.Module):
    """What the published example has: a network, and `get_tokens`. No name, no kind, no preprocessing."""

    def __init__(self, ver="tiny", **kwargs):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.cls = nn.Conv2d(3, 12, 4, 4), nn.Parameter(torch.zeros(1, 1, 12))
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(12, 2, 24, batch_first=True) for _ in range(3))

    def get_tokens(self, x):
        patches = self.embed(x)
        x = torch.cat([self.cls.expand(len(x), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        local_tokens, global_tokens = {}, {}
        for i, block in enumerate(self.blocks):
            x = block(x)
            global_tokens[str(i)] = x[:, 0]
            local_tokens[str(i)] = x[:, 1:].transpose(1, 2).reshape(patches.shape)
        return local_tokens, global_tokens
'''


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("networks") / "vit"
    vit.write(folder)
    return folder


@pytest.fixture(scope="module")
def challenge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Algonauts 2023 of subjects 1, who comes with noise ceilings, and 2, who does not."""
    root = tmp_path_factory.mktemp("data") / "algonauts2023"
    algonauts2023.write(root, subjects=["subj01", "subj02"], pictures=PICTURES)
    for subject in ("subj01", "subj02"):
        _plant(root / subject)
    return root


def _plant(folder: Path) -> None:
    shown = sorted((folder / "training_split/training_images").iterdir())
    grey = np.stack([np.asarray(Image.open(path).convert("L"), float) for path in shown])
    random = np.random.default_rng(0)
    for short, columns in LOOKS_AT.items():
        size = algonauts2023.SIZES[folder.name][short]
        seen = grey[:, 16:32, columns].mean((1, 2))
        values = ((seen - seen.mean()) / seen.std())[:, None] + NOISE * random.standard_normal((len(shown), size))
        np.save(folder / f"training_split/training_fmri/{short}_training_fmri.npy", values.astype(np.float32))
        if (ceilings := folder / "test_split/noise_ceiling").is_dir():
            np.save(ceilings / f"{short}_noise_ceiling.npy", np.full(size, CEILING))


def encode(dataset: str, root: Path, backbone: str, out: Path, *more: str, epochs: int = 2) -> int:
    """`fusiform encode --preset selectors`, as it is typed; its exit code."""
    told = ["encode", "--preset", "selectors", "--dataset", dataset, "--root", str(root), "--backbone", backbone]
    return main([*told, *more, *(word.format(epochs) for word in QUICK), "--out", str(out)])


@pytest.fixture(scope="module")
def run(challenge: Path, network: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "subj01"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUSIFORM_CACHE", str(out.parent / "cache"))
        assert encode("algonauts2023", challenge, f"hf:{network}", out, "--subject", "subj01", *SPLIT, epochs=16) == 0
    return Run(out)


def test_every_vertex_says_what_it_reads(run: Run) -> None:
    table = pd.read_parquet(run.folder / "selection.parquet")
    assert len(table) == sum(algonauts2023.SIZES["subj01"].values())
    vertices = np.concatenate([algonauts2023.vertices("subj01", short) for short in ("lh", "rh")])
    np.testing.assert_array_equal(table["vertex"], vertices)
    for axis, places in on_spheres("fsaverage", table["hemisphere"], vertices).items():
        np.testing.assert_array_equal(table[axis], places)
    assert set(table["layer"]) <= set(vit.LAYERS)
    shares = table[[f"share:{layer}" for layer in vit.LAYERS]]
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert {"confidence", "center_y", "scale", "cluster", "streams"} <= set(table)


def test_hemispheres_look_where_they_were_planted_to_look(run: Run) -> None:
    """In the middle of the right and of the left half of the picture; places run from -1 to 1."""
    table = pd.read_parquet(run.folder / "selection.parquet")
    looks = table.groupby("hemisphere")[["center_x", "center_y"]].mean()
    np.testing.assert_allclose(looks.loc["left"], [0.5, 0.0], atol=0.15)
    np.testing.assert_allclose(looks.loc["right"], [-0.5, 0.0], atol=0.15)


def test_the_headline_is_against_the_published_ceiling(run: Run) -> None:
    summary = json.loads((run.folder / "summary.json").read_text())
    assert (summary["preset"], summary["dataset"], summary["subject"]) == ("selectors", "algonauts2023", "subj01")
    scores = summary["scores"]
    assert scores["mean_ceiling"] == pytest.approx(np.sqrt(CEILING))
    assert scores["ratio_to_ceiling"] == pytest.approx(scores["mean_r"] / np.sqrt(CEILING))
    assert scores["mean_r"] > 0.6
    assert scores["targets"] == scores["targets_reliable"] == 84
    assert "truth" not in summary
    assert {"shuffled_r", "shuffled_ratio", "best_single_layer_ratio"} <= set(summary["controls"])
    assert summary["controls"]["shuffled_ratio"] < scores["ratio_to_ceiling"]


def test_maps_and_report_are_there(run: Run) -> None:
    drawn = {path.stem for path in (run.folder / "figures").iterdir()}
    assert MAPS | {"map"} <= drawn
    with Image.open(run.folder / "figures/selected_places.png") as figure:
        assert len(figure.convert("RGB").getcolors(1 << 20) or ()) > 50  # more than an empty frame
    page = (run.folder / "report.html").read_text()
    assert "What each target reads" in page
    assert "whose r-ceiling is above .3" in page
    assert (run.folder / "model").is_dir()


def test_several_subjects_learn_together(challenge: Path, network: Path, tmp_path: Path) -> None:
    """In Python; by one command in test_selectors_together.py."""
    data = load_dataset("algonauts2023", root=str(challenge), validation=0.15, test=0.2)
    store = FeatureStore(tmp_path / "features")
    features = extract(data.stimuli(), load_backbone(f"hf:{network}"), store, reduce="pool:8x8")
    pairs = {subject: pair(features, data.responses(subject)) for subject in ("subj01", "subj02")}
    model = NeuralEncoder(width=8, batch_size=16, epochs=10, device="cpu").fit(pairs)
    for subject, one in pairs.items():
        test, left = one.split("test"), one.space.column("hemisphere") == "left"
        assert score(test.responses, model.predict({subject: test})[subject]).values.mean() > 0.6
        looks = selection(model, subject)["center_x"]
        assert looks[left].mean() > 0.2 > -0.2 > looks[~left].mean()


@pytest.mark.slow
def test_the_published_class_works_unchanged(
    challenge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is claimed of a ceiling that nobody published."""
    (tmp_path / "published_net.py").write_text(PUBLISHED)
    monkeypatch.syspath_prepend(tmp_path)
    more = ["--subject", "subj02", "--image-size", "32", "--normalise", "imagenet", *SPLIT, "--json"]
    assert encode("algonauts2023", challenge, "published_net:Published", tmp_path / "run", *more) == 0
    summary = json.loads(capsys.readouterr().out)
    assert set(summary["scores"]) == {"targets", "targets_reliable", "mean_r", "median_r"}
    assert summary["scores"]["targets_reliable"] == 84
    assert summary["controls"]["best_single_layer_ratio"] is None
    assert summary["controls"]["best_single_layer_r"] is not None
    assert set(pd.read_parquet(tmp_path / "run/selection.parquet")["layer"]) <= {"0", "1", "2"}
    assert "no ceiling was published" in (tmp_path / "run/report.html").read_text()
    stored = [path.read_text() for path in (tmp_path / "cache").rglob("*.json") if "Published" in path.read_text()]
    assert any('"size": 32' in text and '"imagenet"' in text for text in stored)


@pytest.mark.slow
def test_the_natural_scenes_on_fsaverage(network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nsd_targets, "FSAVERAGE", nsd.FSAVERAGE)
    nsd.write(tmp_path / "nsd")
    split = _some_pictures(tmp_path / "nsd", tmp_path / "split.csv")
    more = ["--subject", "subj01", "--dataset-args", f"space=fsaverage,sessions=1,split={split}"]
    assert encode("nsd", tmp_path / "nsd", f"hf:{network}", tmp_path / "run", *more) == 0
    table = pd.read_parquet(tmp_path / "run/selection.parquet")
    np.testing.assert_array_equal(table["vertex"], [*range(nsd.FSAVERAGE)] * 2)
    np.testing.assert_array_equal(table["z"], on_spheres("fsaverage", table["hemisphere"], table["vertex"])["z"])
    scores = Run(tmp_path / "run").summary["scores"]
    assert 0 < scores["targets_reliable"] < scores["targets"] == 2 * nsd.FSAVERAGE
    assert {"mean_ceiling", "ratio_to_ceiling"} <= set(scores)
    assert {path.stem for path in (tmp_path / "run/figures").iterdir()} >= MAPS


def _some_pictures(root: Path, split: Path) -> Path:
    """Thirty pictures of the first session that are not black, and their split."""
    shown = list(dict.fromkeys(nsd.design()["shown"][: nsd.TRIALS].tolist()))[:30]
    with h5py.File(root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5", "r+") as file:
        for number in shown:
            file["imgBrick"][number - 1] = nsd.picture(number - 1)
    with split.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["stimulus", "split"])
        names = ["train"] * 20 + ["val"] * 4 + ["test"] * 6
        rows.writerows((f"nsd-{number - 1:05}", name) for number, name in zip(shown, names, strict=True))
    return split


MASK = "roi_masks/lh.all-vertices_fsaverage_space.npy"
RIGHT = "training_split/training_fmri/rh_training_fmri.npy"


def _one_more(path: Path) -> None:
    mask = np.load(path)
    mask[np.flatnonzero(mask == 0)[0]] = 1
    np.save(path, mask)


@pytest.mark.parametrize(
    ("file", "damage", "said"),
    [
        (MASK, Path.unlink, "lh.all-vertices_fsaverage_space.npy was not found; give the root of the data set"),
        (MASK, _one_more, "lh.prf-visualrois_challenge_space.npy has the shape (40,); wanted (41,)"),
        (RIGHT, Path.unlink, "rh_training_fmri.npy was not found; give the root of the data set"),
    ],
)
def test_what_is_missing_is_named(challenge, network, tmp_path, capsys, file, damage, said):
    unread = shutil.ignore_patterns(*(f"*{kind}_fsaverage_space.npy" for kind in algonauts2023.CLASSES))
    shutil.copytree(challenge / "subj01", tmp_path / "data/subj01", ignore=unread)
    damage(tmp_path / "data/subj01" / file)
    assert encode("algonauts2023", tmp_path / "data", f"hf:{network}", tmp_path / "run") == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fusiform:")]
    assert said in line
    assert not (tmp_path / "run").exists()


def test_a_network_that_prepares_its_pictures_takes_no_size(challenge, network, tmp_path, capsys):
    more = ["--image-size", "32"]
    assert encode("algonauts2023", challenge, f"hf:{network}", tmp_path / "run", *more) == 2
    assert "says itself how pictures are made ready; leave out --image-size" in capsys.readouterr().err


def test_vertices_without_coordinates_are_refused_before_features(network, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("fusiform.recipes.steps._features", None)  # not reached
    monkeypatch.setattr(nsd_targets, "FSAVERAGE", nsd.FSAVERAGE)
    nsd.write(tmp_path / "nsd")
    split = _some_pictures(tmp_path / "nsd", tmp_path / "split.csv")
    more = ["--dataset-args", f"space=nativesurface,sessions=1,split={split}", "--rois", "prf-visualrois:V1v"]
    assert encode("nsd", tmp_path / "nsd", f"hf:{network}", tmp_path / "run", *more) == 2
    said = "space 'subj01-nativesurface' has no column 'x'; wanted x, y and z in mm, which vertices of an fsaverage"
    assert said in capsys.readouterr().err
