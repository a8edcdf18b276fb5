"""The planted network: fixed by its seed, white, and with layers that tell little of each other."""

import numpy as np
import pytest
import torch

from fusiform.nets.planted import CHANNELS, GRID, PlantedNetwork, _dead_leaves, planted_network


@pytest.fixture(scope="module")
def network() -> PlantedNetwork:
    return planted_network(layers=6, seed=0)


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    return _dead_leaves(300, torch.Generator().manual_seed(99))


def test_the_seed_and_the_number_of_layers_fix_it(network: PlantedNetwork, pictures: torch.Tensor) -> None:
    again, other, deeper = planted_network(6, 0), planted_network(6, 1), planted_network(9, 0)
    local, global_ = network(pictures[:4])
    torch.testing.assert_close(again(pictures[:4]), (local, global_), rtol=0, atol=0)
    assert not torch.allclose(other(pictures[:4])[0]["conv1"], local["conv1"])
    torch.testing.assert_close(deeper(pictures[:4])[1]["conv6"], global_["conv6"])
    assert deeper.layers == tuple(f"conv{number}" for number in range(1, 10))


def test_shapes_and_nothing_to_train(network: PlantedNetwork, pictures: torch.Tensor) -> None:
    local, global_ = network(pictures[:3])
    assert list(local) == list(global_) == list(network.layers)
    assert all(tokens.shape == (3, CHANNELS, GRID, GRID) for tokens in local.values())
    assert all(tokens.shape == (3, CHANNELS) for tokens in global_.values())
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_pictures_do_not_depend_on_their_batch(network: PlantedNetwork, pictures: torch.Tensor) -> None:
    whole = network(pictures[:7])
    alone = network(pictures[5:6])
    for layer in network.layers:
        torch.testing.assert_close(whole[0][layer][5:6], alone[0][layer], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(whole[1][layer][5:6], alone[1][layer], rtol=1e-4, atol=1e-4)


def test_tokens_are_white_on_new_pictures_of_the_same_kind(network: PlantedNetwork, pictures: torch.Tensor) -> None:
    local, global_ = network(pictures)
    for layer in network.layers:
        covariance = torch.cov(local[layer].transpose(0, 1).flatten(1))
        torch.testing.assert_close(covariance, torch.eye(CHANNELS), rtol=0, atol=0.15)
        assert local[layer].mean((0, 2, 3)).abs().max() < 0.1
        assert 0.8 < global_[layer].std() < 1.25


def test_a_layer_tells_little_of_the_next(network: PlantedNetwork, pictures: torch.Tensor) -> None:
    """Linear prediction of one layer's local tokens from another's, cell by cell: right .99, wrong far below."""
    local, _ = network(pictures)
    cells = {name: tokens.permute(0, 2, 3, 1).flatten(0, 2).numpy() for name, tokens in local.items()}
    for first, second in [("conv1", "conv2"), ("conv2", "conv3"), ("conv4", "conv5"), ("conv5", "conv6")]:
        weights = np.linalg.lstsq(cells[first], cells[second], rcond=None)[0]
        error = np.square(cells[second] - cells[first] @ weights).mean(0) / cells[second].var(0)
        assert error.mean() > 0.7


def test_no_picture_runs_away_in_a_deep_network() -> None:
    ramp = torch.linspace(0, 40, 64)
    grating = (torch.sin(ramp) > 0).float().expand(1, 3, 64, 64)
    local, global_ = planted_network(12, 0)(grating)
    assert max(tokens.abs().max() for tokens in [*local.values(), *global_.values()]) < 40


def test_one_layer() -> None:
    local, _ = planted_network(1, 3)(torch.rand(2, 3, 64, 64))
    assert list(local) == ["conv1"]
