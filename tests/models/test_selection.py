"""Tables of what targets read: places as angles, several subjects, clusters of any weights."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator

from fusiform.errors import DataError, SettingsError
from fusiform.models import selection as module
from fusiform.models.selection import channel_clusters, selection, selections
from fusiform.nets.cells import Choice

RNG = np.random.default_rng(0)


class Net:
    """What `selection` asks of a network, with choices that are given."""

    layers = ("a", "b", "c")

    def __init__(self, weights, axes):
        self.weights = [torch.from_numpy(np.asarray(one, dtype=np.float32)) for one in weights]
        self.axes = axes

    def choose(self, subject):
        count, random = len(self.weights[subject]), np.random.default_rng(subject)
        parts = (
            random.uniform(-1, 1, (count, self.axes)),
            random.dirichlet([1, 1, 1], count),
            random.uniform(size=count),
        )
        return Choice(*map(torch.from_numpy, parts))

    def channel_weights(self, subject):
        return self.weights[subject]


class Model(BaseEstimator):
    """A fitted model of one or several subjects."""

    def __init__(self, *weights, axes=2):
        self.net_ = Net(weights, axes)
        self.subjects_ = [f"s{number}" for number in range(len(weights))] if len(weights) > 1 else [""]

    def fit(self):
        """Nothing to do."""


def weights(count=12, width=6):
    return np.random.default_rng(count).normal(size=(count, width))


def test_places_are_told_as_angle_and_distance():
    """The angle is counted from the right over the top of the picture, whose y runs downwards."""
    table = selection(Model(weights()))
    x, y = table["center_x"], table["center_y"]
    np.testing.assert_allclose(table["eccentricity"], np.sqrt(x**2 + y**2))
    angle = np.deg2rad(table["polar_angle"])
    np.testing.assert_allclose(np.cos(angle) * table["eccentricity"], x, atol=1e-12)
    np.testing.assert_allclose(np.sin(angle) * table["eccentricity"], -y, atol=1e-12)
    assert table["polar_angle"].between(-180, 180).all()
    above = y < 0
    assert (table["polar_angle"][above] > 0).all()
    assert above.any()


@pytest.mark.parametrize("axes", [0, 1])
def test_without_a_picture_there_is_no_angle(axes):
    table = selection(Model(weights(), axes=axes))
    assert not {"polar_angle", "eccentricity"} & set(table)
    assert ("center_x" in table) == (axes == 1)


def test_one_subject_is_one_table():
    model = Model(weights())
    table = selections(model, 3)
    pd.testing.assert_frame_equal(table, pd.concat([selection(model), channel_clusters(model, 3)], axis=1))


def test_several_subjects_are_one_table_with_clusters_of_them_all():
    first, second = weights(12), weights(9)
    model = Model(first, second)
    table = selections(model, 4)
    assert table["subject"].tolist() == ["s0"] * 12 + ["s1"] * 9
    assert next(iter(table)) == "subject"
    for name in ("s0", "s1"):
        own = table[table["subject"] == name].reset_index(drop=True)
        pd.testing.assert_series_equal(own["center_x"], selection(model, name)["center_x"])
    whole = channel_clusters(Model(np.concatenate([first, second])), 4)
    pd.testing.assert_frame_equal(table[["cluster", "similarity"]], whole)


def tight(count):
    """Three directions, each of many that differ by less than can be told apart."""
    return np.eye(4)[np.arange(count) % 3] + 1e-9 * RNG.normal(size=(count, 4))


ANY = {
    "one target": (weights(1), 1),
    "identical": (np.ones((12, 4)), 1),
    "all zero": (np.zeros((12, 4)), 1),
    "one zero": (np.concatenate([np.zeros((1, 4)), np.ones((5, 4))]), 2),
    "minus zero": (np.array([[1.0, 0.0], [1.0, -0.0]] * 3), 1),
    "fewer than clusters": (np.eye(5)[np.arange(30) % 5] * 7, 5),
    "lengths only": (np.ones((12, 4)) * np.arange(1, 13)[:, None], 1),
    "opposite": (np.array([[1.0, 0.0], [-1.0, 0.0]] * 4), 2),
    "as many as clusters": (np.eye(20), 20),
    "one more": (np.eye(21), 20),
    "like distances": (np.eye(30), 20),
    "many": (RNG.normal(size=(1500, 8)), 20),
    "many, of three directions": (tight(1500), 3),
    "one channel": (RNG.normal(size=(40, 1)), 2),
    "huge and tiny": (RNG.normal(size=(40, 4)) * np.logspace(-30, 30, 40)[:, None], 20),
}


@pytest.mark.parametrize("case", ANY)
def test_clusters_end_whatever_the_weights_are(case):
    rows, count = ANY[case]
    table = channel_clusters(Model(rows), 20)
    assert np.isfinite(table.to_numpy()).all()
    sizes = table["cluster"].value_counts().sort_index()
    assert sizes.index.tolist() == list(range(count))  # none is empty
    assert (sizes.diff().dropna() <= 0).all()  # the largest first
    assert table["similarity"].between(-1 - 1e-6, 1 + 1e-6).all()


def test_more_directions_than_k_means_has_centres_are_joined_as_they_lie(monkeypatch):
    monkeypatch.setattr(module, "FINE", 30)
    groups = np.repeat(np.eye(4), [90, 60, 40, 10], axis=0) + 0.05 * RNG.normal(size=(200, 4))
    assert channel_clusters(Model(groups), 4)["cluster"].tolist() == [0] * 90 + [1] * 60 + [2] * 40 + [3] * 10


def test_the_same_weights_give_the_same_clusters_in_any_order():
    rows, order = RNG.normal(size=(300, 6)), RNG.permutation(300)
    first, again = channel_clusters(Model(rows), 7), channel_clusters(Model(rows), 7)
    pd.testing.assert_frame_equal(first, again)
    moved = channel_clusters(Model(rows[order]), 7)
    together = pd.crosstab(first["cluster"].to_numpy()[order], moved["cluster"])
    assert ((together > 0).sum(axis=1) == 1).all()


def test_wrong_counts_and_weights_that_are_no_numbers_are_refused():
    for wrong in (0, 2.5, True):
        with pytest.raises(SettingsError, match="count is"):
            selections(Model(weights()), wrong)
    for broken in (np.nan, np.inf):
        rows = weights()
        rows[2, 1] = broken
        with pytest.raises(DataError, match="diverged"):
            channel_clusters(Model(rows))
