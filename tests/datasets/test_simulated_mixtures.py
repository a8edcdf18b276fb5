"""A simulated brain in which some vertices read two layers: planted as told, and nothing else changed by it."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from fusiform.datasets.simulated import Simulated
from fusiform.datasets.simulated.plant import CHANNELS, SECOND
from fusiform.errors import SettingsError
from fusiform.nets.planted import planted_network
from fusiform.scores import ncsnr, pearson

SOME: dict[str, Any] = {"pictures": 300, "vertices": 240, "subjects": 2, "layers": 3, "patches": 48}
ADDED = {"layer_share", "second_share", "second_layer", "second_index", *SECOND}


@pytest.fixture(scope="module")
def mixed() -> Simulated:
    """Without noise."""
    return Simulated(**SOME, mixtures=0.5, ncsnr=np.inf, repeats=1)


@pytest.fixture(scope="module")
def plain() -> Simulated:
    return Simulated(**SOME, ncsnr=np.inf, repeats=1)


@pytest.fixture(scope="module")
def tokens(mixed: Simulated) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """Local [N, 16, 8, 8] and global [N, 16] tokens per layer, by the public way: load pictures, run the network."""
    stimuli = mixed.stimuli()
    pictures = np.stack([np.asarray(stimuli.load(id)) for id in stimuli.ids])
    local, global_ = planted_network(3)(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255)
    return {n: t.numpy() for n, t in local.items()}, {n: t.numpy() for n, t in global_.items()}


def test_the_truth_names_both_layers_and_their_shares(mixed: Simulated, plain: Simulated) -> None:
    truth, before = mixed.truth(), plain.truth()
    assert set(truth) - set(before) == ADDED
    pd.testing.assert_frame_equal(truth[list(before)], before)  # nothing else is planted differently
    two = truth["second_share"] > 0
    assert 0.3 < two.mean() < 0.6
    np.testing.assert_allclose(truth["layer_share"] + truth["second_share"], 1)
    assert (truth["layer_share"] > truth["second_share"]).all()  # `layer` is the larger one
    assert truth.loc[two, "second_share"].between(0.25, 0.45).all()
    assert (truth["second_layer"] != truth["layer"]).all()
    named = [f"conv{index + 1}" if index >= 0 else "" for index in truth["second_index"]]
    assert (truth["second_layer"] == named).all()
    assert (truth.loc[~two, "second_layer"] == "").all()
    assert set(truth.loc[two, "second_layer"]) == {"conv1", "conv2", "conv3"}
    np.testing.assert_allclose(np.linalg.norm(truth.loc[two, SECOND], axis=1), 1)
    assert (truth.loc[~two, SECOND] == 0).all(axis=None)


def test_patches_hold_together_and_those_with_a_direction_stay_pure(mixed: Simulated) -> None:
    truth = mixed.truth()
    patches = truth.groupby("patch")
    assert (patches["second_share"].nunique() == 1).all()  # subjects share them
    assert (patches["second_index"].nunique() == 1).all()
    assert (truth.loc[truth["direction"] != "", "second_share"] == 0).all()
    first, second = (truth[truth["subject"] == subject] for subject in mixed.subjects)
    assert not np.allclose(first[SECOND], second[SECOND])  # the jitter is of each subject


def test_a_smaller_share_is_part_of_a_larger_one() -> None:
    shares = [Simulated(**SOME, mixtures=share).truth()["second_share"].to_numpy() for share in (0.2, 0.6, 1.0)]
    for fewer, more in pairwise(shares):
        assert (fewer > 0).sum() < (more > 0).sum()
        assert (more[fewer > 0] == fewer[fewer > 0]).all()
    everyone = Simulated(**SOME, mixtures=1).truth()
    assert ((everyone["second_share"] > 0) == (everyone["direction"] == "")).all()


def test_the_signal_is_the_plain_formula(
    mixed: Simulated, tokens: tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]
) -> None:
    """Noise-free responses against reading both layers vertex by vertex; the larger layer alone falls short."""
    local, global_ = tokens
    responses, truth = np.asarray(mixed.responses("sim01").values), mixed.truth(subject="sim01")
    cells = (np.arange(8) + 0.5) / 4 - 1

    def drive(vertex: pd.Series, layer: str, channels: list[str]) -> NDArray[np.float64]:
        field = np.exp(-((cells[:, None] - vertex["y"]) ** 2 + (cells - vertex["x"]) ** 2) / 2 / 0.18**2)
        weights = vertex[channels].to_numpy(float)
        near = np.einsum("ncyx,c,yx->n", local[layer], weights, field)
        wide = global_[layer] @ weights
        sum_ = (1 - vertex["scale"]) * near / near.std() + vertex["scale"] * wide / wide.std()
        return np.asarray(sum_ / sum_.std())

    for number in np.flatnonzero(truth["second_share"] > 0)[::8]:
        vertex = truth.iloc[number]
        first = drive(vertex, vertex["layer"], CHANNELS)
        second = drive(vertex, vertex["second_layer"], SECOND)
        expected = vertex["layer_share"] * first + vertex["second_share"] * second
        assert np.corrcoef(expected, responses[:, number])[0, 1] > 0.99
        assert np.corrcoef(first, responses[:, number])[0, 1] < 0.98


def test_vertices_with_one_layer_answer_as_before(mixed: Simulated, plain: Simulated) -> None:
    truth = mixed.truth(subject="sim02")
    one = (truth["second_share"] == 0).to_numpy()
    after, before = (np.asarray(dataset.responses("sim02").values) for dataset in (mixed, plain))
    np.testing.assert_allclose(after[:, one], before[:, one], atol=1e-5)  # products of other widths round otherwise
    assert (pearson(after[:, ~one], before[:, ~one]) < 0.98).all()


@pytest.mark.parametrize(("nonlinearity", "alike"), [("none", 0.75), ("mixed", 0.5)])
def test_repeats_give_back_the_planted_ncsnr(nonlinearity: str, alike: float) -> None:
    told = {**SOME, "repeats": 16, "nonlinearity": nonlinearity}
    dataset = Simulated(**told, mixtures=1.0)
    responses, truth = dataset.responses("sim01"), dataset.truth(subject="sim01")
    test = responses.select(responses.samples["split"] == "test")
    found = ncsnr(np.asarray(test.values), test.samples["stimulus"])
    assert np.median(found / truth["ncsnr"]) == pytest.approx(1, abs=0.15)
    assert np.corrcoef(found, truth["ncsnr"])[0, 1] > alike  # signals of 30 pictures vary in variance
    nc = truth["ncsnr"] ** 2 / (truth["ncsnr"] ** 2 + 1)
    np.testing.assert_allclose(truth["noise_ceiling"], nc)


def test_targets_of_a_region_keep_their_truth(mixed: Simulated) -> None:
    whole, part = mixed.responses("sim01"), mixed.responses("sim01", rois=["anterior"])
    there = whole.space.column("roi") == "anterior"
    np.testing.assert_allclose(np.asarray(part.values), np.asarray(whole.values)[:, there], atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"mixtures": 1.5}, r"mixtures is 1\.5; wanted a number from 0 to 1"),
        ({"mixtures": -0.1}, r"mixtures is -0\.1; wanted"),
        ({"mixtures": "half"}, "mixtures is 'half'; wanted a number"),
        ({"mixtures": 0.5, "layers": 1}, r"mixtures is 0\.5 and layers is 1; wanted two layers"),
    ],
)
def test_impossible_shares_are_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Simulated(**arguments)  # type: ignore[arg-type]


def test_without_mixtures_everything_is_as_it_was() -> None:
    """Numbers that were written down before there were mixtures."""
    plain = Simulated(pictures=40, vertices=60, subjects=2)
    assert not ADDED & set(plain.truth())
    found = np.asarray(plain.responses("sim02").values)[[3, 11, 40]][:, [0, 7, 31, 59]]
    known = [
        [-0.7266759, 0.7708319, -1.1484274, -1.3626934],
        [0.1159564, -0.2808407, -0.4949653, -0.8837634],
        [-1.5438951, -0.7179553, 0.3814358, 0.9917045],
    ]
    np.testing.assert_allclose(found, known, atol=2e-4)  # machines round the network otherwise
