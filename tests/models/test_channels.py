"""The channels that targets share, and their maps over pictures, against plain formulas."""

import numpy as np
import pytest
import torch

from fusiform.errors import DataError, UnknownNameError
from fusiform.models import channels
from fusiform.models.channels import channel_maps, principal_channels
from fusiform.models.neural import NeuralEncoder


def test_components_are_the_eigenvectors_of_the_weights_second_moments():
    rows = np.random.default_rng(0).normal(size=(40, 6)) * np.arange(1, 7) + 2
    found = principal_channels(rows)
    values, vectors = np.linalg.eigh(rows.T @ rows)
    for component, vector in zip(found.T, vectors.T[::-1], strict=False):
        assert abs(component @ vector) == pytest.approx(1)
    np.testing.assert_allclose(found.T @ found, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(((rows @ found) ** 2).sum(0), values[::-1][:3])


def test_signs_follow_the_targets_and_not_their_order():
    rows = np.random.default_rng(1).normal(size=(25, 5)) + 0.3
    found = principal_channels(rows)
    assert ((rows @ found).mean(0) > 0).all()
    np.testing.assert_allclose(principal_channels(rows[::-1]), found, atol=1e-10)
    np.testing.assert_allclose(principal_channels(-rows), -found, atol=1e-10)


def test_components_that_are_not_there_are_zero():
    one = principal_channels([[3.0, 4.0, 0.0, 0.0]])
    np.testing.assert_allclose(one, [[0.6, 0, 0], [0.8, 0, 0], [0, 0, 0], [0, 0, 0]], atol=1e-12)
    assert not principal_channels(np.zeros((4, 5))).any()
    assert principal_channels(np.random.default_rng(0).normal(size=(9, 2))).shape == (2, 3)  # fewer channels
    for wrong in (np.zeros((0, 4)), np.zeros(4), np.full((2, 2), np.nan)):
        with pytest.raises(DataError, match="one target or more"):
            principal_channels(wrong)


@pytest.fixture(scope="module")
def fitted():
    random = np.random.default_rng(0)
    X = {
        "low": random.standard_normal((30, 5, 4, 6), dtype=np.float32),
        "low/global": random.standard_normal((30, 5), dtype=np.float32),
        "vector": random.standard_normal((30, 7), dtype=np.float32),
        "high": random.standard_normal((30, 3, 3, 2), dtype=np.float32),
    }
    model = NeuralEncoder(coordinates=random.standard_normal((8, 3)), width=4, epochs=1, batch_size=8, device="cpu")
    return model.fit(X, random.standard_normal((30, 8))), X


@pytest.mark.parametrize(("layer", "grid"), [("low", (4, 6)), ("vector", ()), ("high", (3, 2))])
def test_maps_are_the_layers_own_tokens_behind_its_bottleneck(fitted, layer, grid):
    model, X = fitted
    mixtures = np.random.default_rng(1).normal(size=(4, 3))
    some = {name: array[:5] for name, array in X.items()}
    found = channel_maps(model, some, layer, mixtures)
    assert found.shape == (5, *grid, 3)
    part = model.net_.bottlenecks[list(model.net_.layers).index(layer)]
    with torch.no_grad():
        plain = part.local(part.local_units(torch.from_numpy(some[layer])).movedim(1, -1))  # [5, *grid, D]
    np.testing.assert_allclose(found, plain.numpy() @ mixtures, rtol=1e-4, atol=1e-5)


def test_a_layer_that_is_not_read_is_named(fitted):
    model, X = fitted
    with pytest.raises(UnknownNameError, match=r"'hihg'.*did you mean 'high'"):
        channel_maps(model, X, "hihg", np.zeros((4, 3)))


class Stored:
    """What an array on disk has; it notes how many numbers are read together."""

    def __init__(self, values):
        self.values, self.chunks, self.read = values, (1,), []
        self.shape, self.dtype = values.shape, values.dtype

    def __getitem__(self, rows):
        self.read.append(self.values[rows].size)
        return self.values[rows]


def test_a_part_of_one_layer_is_read_at_a_time(fitted, monkeypatch):
    model, X = fitted
    mixtures = np.random.default_rng(1).normal(size=(4, 3))
    whole = channel_maps(model, X, "low", mixtures)
    monkeypatch.setattr(channels, "BLOCK", 500)
    on_disk = {name: Stored(array) for name, array in X.items()}
    np.testing.assert_allclose(channel_maps(model, on_disk, "low", mixtures), whole, rtol=1e-5, atol=1e-6)
    assert max(on_disk["low"].read) <= 500
    assert sum(on_disk["low"].read) == X["low"].size  # each row once
    assert not any(one.read for name, one in on_disk.items() if name != "low")
    monkeypatch.setattr(channels, "BLOCK", 1)  # a row is the least
    np.testing.assert_allclose(channel_maps(model, on_disk, "high", mixtures), channel_maps(model, X, "high", mixtures))
    assert channel_maps(model, {name: array[:0] for name, array in X.items()}, "low", mixtures).shape == (0, 4, 6, 3)


def test_halves_are_mixed_as_well(fitted):
    model, X = fitted
    halves = {name: array.astype(np.float16) for name, array in X.items()}
    mixtures = np.eye(4)[:, :2]
    found = channel_maps(model, halves, "high", mixtures)
    np.testing.assert_allclose(found, channel_maps(model, X, "high", mixtures), atol=2e-2)
    assert found.dtype == np.float32
