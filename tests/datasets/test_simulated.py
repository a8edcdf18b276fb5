"""Simulated pictures and the brains that see them: stable, as planted, and hard for wrong methods."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from fusiform.data import Responses
from fusiform.datasets.base import Dataset
from fusiform.datasets.simulated import Simulated, brain
from fusiform.datasets.simulated.brain import NONLINEARITIES, Tokens, signals
from fusiform.datasets.simulated.cortex import VERTICES, locations, places, smooth_map, sphere, spread
from fusiform.datasets.simulated.pictures import OUTLINES, _clouds, paint
from fusiform.datasets.simulated.plant import CHANNELS
from fusiform.datasets.simulated.scenes import COLOURS, CONTENTS, OBJECTS, Scene, Thing, scene
from fusiform.errors import SettingsError, UnknownNameError
from fusiform.nets import planted
from fusiform.scores import ncsnr, pearson, r_ceiling


@pytest.fixture(scope="module")
def small() -> Simulated:
    return Simulated(pictures=40, vertices=300, subjects=2)


@pytest.fixture(scope="module")
def silent() -> Simulated:
    """Without noise."""
    return Simulated(pictures=300, vertices=600, ncsnr=np.inf, repeats=1)


def planted_tokens(dataset: Simulated) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """Local [N, 1024] and global [N, 16] tokens per layer, by the public way: load the pictures, run the network."""
    stimuli = dataset.stimuli()
    pictures = np.stack([np.asarray(stimuli.load(id)) for id in stimuli.ids])
    local, global_ = planted.planted_network()(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255)
    return {n: t.flatten(1).numpy() for n, t in local.items()}, {n: t.numpy() for n, t in global_.items()}


# pictures


def test_is_a_dataset_and_imports_no_torch() -> None:
    assert isinstance(Simulated(), Dataset)
    code = "import sys, fusiform.datasets.simulated; sys.exit('torch' in sys.modules or 'nilearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_stimuli_have_pictures_splits_and_words(small: Simulated) -> None:
    stimuli = small.stimuli("images")
    picture = stimuli.load("picture00007")
    assert (picture.mode, picture.size, stimuli.kind) == ("RGB", (64, 64), "image")
    assert stimuli.table["split"].value_counts().to_dict() == {"train": 32, "val": 4, "test": 4}
    assert set(stimuli.table["content"]) == set(CONTENTS)
    assert np.asarray(picture).std() > 10
    with pytest.raises(UnknownNameError, match="picture00040"):
        stimuli.load("picture00040")


def test_a_picture_depends_on_its_seed_and_number_alone(small: Simulated) -> None:
    more, other = Simulated(pictures=90, layers=3).stimuli(), Simulated(pictures=40, seed=1).stimuli()
    few = small.stimuli()
    pd.testing.assert_frame_equal(few.table, more.table.iloc[:40])
    late, early = more.load("picture00031"), more.load("picture00002")
    assert np.array_equal(few.load("picture00002"), early)
    assert np.array_equal(few.load("picture00031"), late)
    assert not np.array_equal(few.load("picture00002"), other.load("picture00002"))
    assert few.name == more.name != other.name  # features are kept under this name


def test_scenes_are_varied_and_say_what_they_show() -> None:
    scenes = [scene(np.random.default_rng(number)) for number in range(800)]
    assert {one.label for one in scenes if one.content == "object"} == set(OBJECTS)
    assert {one.colour for one in scenes} == {"grey", *COLOURS}
    red = Thing("everywhere", 0, 0, 1, 1, fill="stripes", hue="red", angle=np.deg2rad(3))
    shown = Scene("grating", "vertical", "red", (red,)).amounts()
    assert shown["red"] == shown["vertical grating"] == 1
    assert shown["green"] == shown["horizontal grating"] == shown["checked texture"] == shown["cloudy background"] == 0
    assert Scene("grating", "vertical", "orange", (red,)).caption == "an orange vertical grating filling the picture"
    stars = Scene("shape", "star", "red", (Thing("star", 0, 0, 0.3, 0.3),) * 3)
    assert stars.caption == "a red star and 2 more shapes on a cloudy background"


def test_paint_puts_things_where_they_are() -> None:
    disc = Thing("disc", 0.5, -0.5, 0.3, 0.3, colour=(1.0, 0.0, 0.0))
    with_disc, without = (
        paint(Scene("shape", "disc", "red", things), np.random.default_rng(0)).astype(int) for things in ((disc,), ())
    )
    changed = np.argwhere((with_disc != without).any(2))
    assert with_disc[16, 48, 0] > 180 > 60 > with_disc[16, 48, 1]  # row 16 is y = -.5, column 48 is x = .5
    assert changed.min(0).tolist() >= [5, 37]
    assert changed.max(0).tolist() <= [26, 58]


@pytest.mark.parametrize(("angle", "axis"), [(0.0, 1), (np.pi / 2, 0)])
def test_upright_stripes_change_along_x(angle: float, axis: int) -> None:
    thing = Thing("everywhere", 0, 0, 1, 1, fill="stripes", colour=(1, 1, 1), second=(0, 0, 0), angle=angle, cycles=5)
    picture = paint(Scene("grating", "vertical", "grey", (thing,)), np.random.default_rng(0))[:, :, 0].astype(float)
    profile = picture.mean(1 - axis)
    assert picture.mean(axis).std() < 0.2 * profile.std()
    assert np.abs(np.fft.rfft(profile - profile.mean())).argmax() == 5  # cycles per picture


def test_outlines_are_closed() -> None:
    """Points beyond 1.5 half axes are outside of every outline, so that the bounding box cuts nothing off."""
    around = np.linspace(0, 2 * np.pi, 200)
    for inside in OUTLINES.values():
        assert (inside(1.5 * np.cos(around), 1.5 * np.sin(around)) <= 0).all()
        assert inside(np.array([0.7, 0.0]), np.array([0.0, 0.7])).max() > 0


def test_clouds_have_an_amplitude_of_one_over_frequency() -> None:
    fields = np.concatenate([_clouds(np.random.default_rng(number)) for number in range(40)])
    amplitude = np.abs(np.fft.rfft2(fields)).mean(0)
    slope = np.polyfit(np.log([2, 4, 8, 16]), np.log(amplitude[0, [2, 4, 8, 16]]), 1)[0]
    assert slope == pytest.approx(-1, abs=0.1)


# cortex


def test_vertices_are_spread_evenly_and_nested() -> None:
    rows, more = spread(601), spread(2000)
    assert len(np.unique(rows)) == 601
    assert np.isin(rows, more).all()
    assert (rows < VERTICES).sum() == 301
    points = locations()[more]
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    nearest = np.sort(distance, axis=1)[:, 1]
    assert nearest.min() > 0.5 * nearest.max()
    assert len(spread(2 * VERTICES)) == len(np.unique(spread(2 * VERTICES))) == 2 * VERTICES


def test_places_are_those_of_the_mesh() -> None:
    from nilearn.datasets import fetch_surf_fsaverage
    from nilearn.surface import load_surf_mesh

    table = places()
    for hemisphere, shift in (("left", -120), ("right", 120)):
        mesh = load_surf_mesh(fetch_surf_fsaverage("fsaverage5")[f"sphere_{hemisphere}"]).coordinates
        some = table[table["hemisphere"] == hemisphere]
        np.testing.assert_allclose(some[list("xyz")], mesh[some["vertex"]] + [shift, 0, 0], atol=0.02)


def test_smooth_maps_are_smooth_and_do_not_depend_on_the_points() -> None:
    points = locations()
    whole = smooth_map(np.random.default_rng(0), points, 0.4)
    np.testing.assert_allclose(smooth_map(np.random.default_rng(0), points[50:60], 0.4), whole[50:60])
    maps = np.stack([smooth_map(np.random.default_rng(number), points[:2], 0.4) for number in range(3000)])
    distance = np.linalg.norm(points[0] - points[1])
    assert maps.std() == pytest.approx(1, abs=0.05)
    assert np.corrcoef(maps.T)[0, 1] == pytest.approx(np.exp(-(distance**2) / 2 / 0.4**2), abs=0.05)


def test_space_has_what_figures_and_models_need(small: Simulated) -> None:
    found = small.responses("sim01")
    assert found.space.mesh == "fsaverage5"
    assert {"hemisphere", "vertex", "x", "y", "z", "roi"} <= set(found.space.targets)
    back = small.responses("sim01", rois=["posterior"])
    there = found.space.column("roi") == "posterior"
    np.testing.assert_allclose(back.values, found.values[:, there], atol=1e-5)
    assert back.space.coordinates()[:, 1].max() < found.space.select(~there).coordinates()[:, 1].min()


# truth


@pytest.fixture(scope="module")
def truth() -> pd.DataFrame:
    return Simulated(pictures=10, subjects=2).truth()


def test_truth_has_a_row_per_target_of_every_subject(small: Simulated) -> None:
    everyone, second = small.truth(), small.truth(subject="sim02")
    assert everyone["subject"].value_counts().to_dict() == {"sim01": 300, "sim02": 300}
    pd.testing.assert_frame_equal(everyone[everyone["subject"] == "sim02"].reset_index(drop=True), second)
    where = small.responses("sim02").space.targets
    assert np.array_equal(second[["hemisphere", "vertex"]], where[["hemisphere", "vertex"]])


def test_layers_run_from_back_to_front_with_borders_of_each_subject(truth: pd.DataFrame) -> None:
    first, second = (truth[truth["subject"] == subject] for subject in ("sim01", "sim02"))
    y = places()["y"].to_numpy()
    assert np.corrcoef(y, first["layer_index"])[0, 1] > 0.9
    assert first["layer_index"].value_counts(normalize=True).between(0.1, 0.25).all()
    assert 0.8 < (first["layer_index"].to_numpy() == second["layer_index"].to_numpy()).mean() < 0.97
    straight = np.digitize(y / 100, np.linspace(-1, 1, 7)[1:-1])
    assert 0.7 < (first["layer_index"] == straight).mean() < 0.95
    assert set(first["layer"]) == set(planted.planted_network(6).layers)
    assert (first["layer"] == "conv" + (first["layer_index"] + 1).astype(str)).all()


def test_each_hemisphere_sees_the_other_side(truth: pd.DataFrame) -> None:
    left = truth["hemisphere"] == "left"
    assert (truth.loc[left, "x"] > 0).all()
    assert (truth.loc[~left, "x"] < 0).all()
    eccentricity = np.hypot(truth["x"], truth["y"])
    assert eccentricity.between(0.09, 0.86).all()
    assert (truth["y"] > 0.3).mean() > 0.1 < (truth["y"] < -0.3).mean()
    subject = truth[truth["subject"] == "sim01"].iloc[:VERTICES]
    points = sphere()
    near = np.argsort(-points @ points[::100].T, axis=0)[1:6]  # five neighbours of every hundredth vertex
    for axis in "xy":  # a smooth map: neighbours see almost the same place
        column = subject[axis].to_numpy()
        assert np.median(np.abs(column[near] - column[::100])) < 0.06


def test_deeper_patches_are_more_often_global(truth: pd.DataFrame) -> None:
    share = truth.groupby("layer_index")["scale"].mean()
    assert set(truth["scale"]) == {0.1, 0.9}
    assert share[0] < 0.6 < 0.65 < share[5]


def test_patches_hang_together_and_share_their_channels(truth: pd.DataFrame) -> None:
    from nilearn.datasets import fetch_surf_fsaverage
    from nilearn.surface import load_surf_mesh
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    left = truth[truth["subject"] == "sim01"].iloc[:VERTICES]
    patch, faces = left["patch"].to_numpy(), load_surf_mesh(fetch_surf_fsaverage("fsaverage5")["sphere_left"]).faces
    edges = np.concatenate([faces[:, :2], faces[:, 1:]])
    edges = edges[patch[edges[:, 0]] == patch[edges[:, 1]]]
    graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(VERTICES, VERTICES))
    piece = connected_components(graph, directed=False)[1]
    largest = [np.bincount(piece[patch == number]).max() / (patch == number).sum() for number in np.unique(patch)]
    assert len(largest) == 36
    assert np.mean(largest) > 0.95
    weights = left[CHANNELS].to_numpy()
    np.testing.assert_allclose(np.linalg.norm(weights, axis=1), 1)
    centre = left.groupby("patch")[CHANNELS].mean().to_numpy()
    own = np.einsum("vc,vc->v", weights, centre[patch]) / np.linalg.norm(centre[patch], axis=1)
    assert np.mean(own) == pytest.approx(1 / np.sqrt(1 + 0.3**2), abs=0.01)  # jitter of .3 standard deviations
    assert left.groupby("patch")["layer"].nunique().max() == 1


def test_ncsnr_is_spread_as_planted(truth: pd.DataFrame) -> None:
    subject = truth[truth["subject"] == "sim02"]
    assert subject["ncsnr"].median() == pytest.approx(0.45)
    assert np.log(subject["ncsnr"]).std() == pytest.approx(0.5, abs=0.06)
    nc = subject["ncsnr"] ** 2 / (subject["ncsnr"] ** 2 + 1)
    np.testing.assert_allclose(subject["noise_ceiling"], nc)


# responses


def test_responses_do_not_depend_on_what_else_is_asked_for(small: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brain, "BATCH", 37)
    monkeypatch.setattr(brain, "BLOCK", 11)
    larger = Simulated(pictures=60, vertices=500, subjects=3, repeats=4)
    few, many = small.responses("sim02"), larger.responses("sim02")
    keys = ["stimulus", "repeat"]
    place = pd.MultiIndex.from_frame(many.samples[keys]).get_indexer(pd.MultiIndex.from_frame(few.samples[keys]))
    columns = np.flatnonzero(np.isin(spread(500), spread(300)))
    np.testing.assert_allclose(np.asarray(many.values)[np.ix_(place, columns)], few.values, atol=2e-4)
    first = small.responses("sim01")
    assert np.abs(pearson(first.values, few.values)).mean() < 0.5


def test_samples_tell_the_story(small: Simulated) -> None:
    samples = small.responses("sim01").samples
    assert len(samples) == 36 + 4 * 3
    assert samples.groupby("split")["repeat"].max().to_dict() == {"train": 1, "val": 1, "test": 3}
    assert (samples["subject"] == "sim01").all()
    shown = small.stimuli().table["split"]
    assert (samples["split"].to_numpy() == shown[samples["stimulus"]].to_numpy()).all()


def test_signal_is_the_plain_formula(silent: Simulated) -> None:
    """Noise-free responses against reading the network vertex by vertex."""
    local, global_ = planted_tokens(silent)
    responses, truth = silent.responses("sim01"), silent.truth(subject="sim01")
    cells = (np.arange(8) + 0.5) / 4 - 1
    for number in range(0, 600, 40):
        vertex = truth.iloc[number]
        field = np.exp(-((cells[:, None] - vertex["y"]) ** 2 + (cells - vertex["x"]) ** 2) / 2 / 0.18**2)
        weights = vertex[CHANNELS].to_numpy(float)
        tokens = local[vertex["layer"]].reshape(-1, 16, 8, 8)
        near = np.einsum("ncyx,c,yx->n", tokens, weights, field)
        wide = global_[vertex["layer"]] @ weights
        expected = (1 - vertex["scale"]) * near / near.std() + vertex["scale"] * wide / wide.std()
        assert np.corrcoef(expected, responses.values[:, number])[0, 1] > 0.995


def test_directions_are_carried_where_the_truth_says(silent: Simulated) -> None:
    table, truth = silent.stimuli().table, silent.truth(subject="sim01")
    values = np.asarray(silent.responses("sim01").values)
    directions = [name for name in truth["direction"].unique() if name]
    assert {"red", "green", "blue", "vertical grating", "horizontal grating"} <= set(directions)
    for name in directions:
        follows = pearson(values, np.repeat(table[[name]].to_numpy(float), values.shape[1], axis=1))
        carries = (truth["direction"] == name).to_numpy()
        claimed = truth.loc[carries, "direction_r"].iloc[0]
        assert claimed > 0.3
        assert follows[carries].mean() == pytest.approx(claimed, abs=0.2)  # 300 pictures, few of which show it
        assert follows[carries].mean() > np.quantile(np.abs(follows[~carries]), 0.9)


def test_repeats_give_back_the_planted_ncsnr() -> None:
    dataset = Simulated(pictures=600, vertices=200, repeats=8)
    responses, truth = dataset.responses("sim01"), dataset.truth(subject="sim01")
    test = responses.select(responses.samples["split"] == "test")
    found = ncsnr(test.values, test.samples["stimulus"])
    assert np.median(found / truth["ncsnr"]) == pytest.approx(1, abs=0.1)
    assert np.corrcoef(found, truth["ncsnr"])[0, 1] > 0.8


def test_without_signal_repeats_agree_on_nothing_and_without_noise_on_all() -> None:
    def agreement(level: float) -> float:
        found = Simulated(pictures=150, vertices=60, layers=2, repeats=2, ncsnr=level).responses("sim01")
        test = found.select(found.samples["split"] == "test")
        return float(pearson(test.values[::2], test.values[1::2]).mean())

    assert agreement(np.inf) == pytest.approx(1)
    assert abs(agreement(0)) < 0.1


def test_nonlinearities_bend_the_signal(small: Simulated) -> None:
    random, truth = np.random.default_rng(0), small.truth(subject="sim01")
    tokens = Tokens(*(random.standard_normal((6, 150, size), dtype=np.float32) for size in (1024, 16)))
    plain, tanh, square, mixed = (signals(tokens, 100, truth, name) for name in NONLINEARITIES)
    assert plain.shape == (50, 300)
    assert pearson(np.tanh(plain), tanh).min() > 0.9999
    assert pearson(np.square(plain.clip(0)), square).min() > 0.9999
    assert np.array_equal(mixed, np.where(truth["vertex"] % 2 == 0, tanh, square))


# what methods find


@pytest.fixture(scope="module")
def job() -> tuple[Simulated, Responses]:
    dataset = Simulated(pictures=700, vertices=300, subjects=1, ncsnr=1.2)
    return dataset, dataset.responses("sim01")


def ridge(
    features: NDArray[np.float32], responses: NDArray[np.float32], new: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Predictions of plain dual ridge with one alpha, a tenth of the kernel's trace."""
    mean = features.mean(0)
    kernel = (features - mean) @ (features - mean).T
    alpha = 0.3 * np.trace(kernel) / len(kernel)
    dual = np.linalg.solve(kernel + alpha * np.eye(len(kernel), dtype=np.float32), responses - responses.mean(0))
    return np.asarray((new - mean) @ ((features - mean).T @ dual))


def test_only_the_planted_layer_predicts(job: tuple[Simulated, Responses]) -> None:
    dataset, responses = job
    local, global_ = planted_tokens(dataset)
    layers, truth = list(local), dataset.truth()
    train = responses.select(responses.samples["split"] == "train")
    test = responses.select(responses.samples["split"] == "test").average_repeats()
    rows = [dataset.stimuli().table.index.get_indexer(part.samples["stimulus"]) for part in (train, test)]
    half = np.arange(len(train)) < len(train) // 2
    shuffled = np.random.default_rng(0).permutation(len(train))
    error, r, chance = [], [], []
    for layer in layers:
        features = np.hstack([local[layer], global_[layer]])
        known, new = features[rows[0]], features[rows[1]]
        held = ridge(known[half], train.values[half], known[~half])
        error.append(np.square(held - train.values[~half]).sum(0))
        r.append(pearson(test.values, ridge(known, train.values, new)))
        chance.append(pearson(test.values, ridge(known[shuffled], train.values, new)))
    reliable = r_ceiling(truth["ncsnr"], 3) > 0.3
    right = truth["layer_index"].to_numpy()
    here = np.arange(len(layers))[:, None] == right
    assert (np.argmin(error, 0) == right)[reliable].mean() > 0.9
    assert np.array(r)[here].mean() > 0.45
    assert np.array(r)[~here].mean() < 0.65 * np.array(r)[here].mean()
    assert abs(np.mean(chance)) < 0.03


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"pictures": 3}, "pictures is 3; wanted a whole number from 10"),
        ({"pictures": "many"}, "pictures is 'many'; wanted a whole number"),
        ({"pictures": 100.5}, r"pictures is 100\.5; wanted a whole number"),
        ({"subjects": True}, "subjects is True"),
        ({"vertices": 30000}, "vertices is 30000; wanted"),
        ({"patches": 5}, "patches is 5; wanted a whole number from 12"),
        ({"ncsnr": -1}, "ncsnr is -1; wanted a number from 0"),
        ({"ncsnr": float("nan")}, "ncsnr is nan"),
        ({"runs": 2}, "runs is 2"),
    ],
)
def test_impossible_numbers_are_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Simulated(**arguments)  # type: ignore[arg-type]


def test_unknown_names_are_refused(small: Simulated) -> None:
    with pytest.raises(UnknownNameError, match="subject 'sim09'"):
        small.responses("sim09")
    with pytest.raises(UnknownNameError, match="part 'film'"):
        small.stimuli("film")
    with pytest.raises(UnknownNameError, match="region 'V1'"):
        small.responses("sim01", rois=["V1"])
    with pytest.raises(UnknownNameError, match="nonlinearity 'tan'"):
        Simulated(nonlinearity="tan")  # type: ignore[arg-type]
