"""Reductions against plain formulas."""

import pytest
import torch

from fusiform.errors import SettingsError
from fusiform.features.reduce import Steps, reduction, steps_of
from fusiform.features.tokens import Tokens

TOKENS = Tokens(
    {"map": torch.rand(2, 3, 8, 12), "flat": torch.rand(2, 5), "clip": torch.rand(2, 3, 4, 4, 4)},
    {"map": torch.rand(2, 7)},
)


def test_none_keeps_everything() -> None:
    assert reduction(None)(TOKENS) is TOKENS


def test_mean_is_over_the_grid_only() -> None:
    local, global_ = reduction("mean")(TOKENS)
    torch.testing.assert_close(local["map"], TOKENS.local["map"].sum((2, 3)) / 96)
    torch.testing.assert_close(local["clip"], TOKENS.local["clip"].sum((2, 3, 4)) / 64)
    torch.testing.assert_close(local["flat"], TOKENS.local["flat"])
    assert global_ is TOKENS.global_


def test_cls_keeps_the_global_tokens() -> None:
    assert reduction("cls")(TOKENS) == Tokens({}, TOKENS.global_)
    with pytest.raises(SettingsError, match="there are none; local: map"):
        reduction("cls")(Tokens({"map": torch.rand(1, 2)}, {}))


def test_pool_averages_blocks_of_the_grid() -> None:
    local, global_ = reduction("pool:4x3")(
        Tokens({"map": TOKENS.local["map"], "flat": TOKENS.local["flat"]}, TOKENS.global_)
    )
    torch.testing.assert_close(local["map"], TOKENS.local["map"].reshape(2, 3, 4, 2, 3, 4).mean((3, 5)))
    torch.testing.assert_close(local["flat"], TOKENS.local["flat"])
    assert global_ is TOKENS.global_


def test_pool_never_makes_a_grid_larger() -> None:
    with pytest.raises(SettingsError, match=r"'map' with the grid \(8, 12\) to \(9, 9\); .* such as pool:8x9,"):
        reduction("pool:9x9")(TOKENS)
    with pytest.raises(SettingsError, match="'clip'"):
        reduction("pool:2x2")(TOKENS)


@pytest.mark.parametrize("name", ["means", "pool", "pool:8", "pool:0x8", ""])
def test_unknown_reductions_say_what_there_is(name: str) -> None:
    with pytest.raises(SettingsError, match=r"unknown reduction .*; there are: mean, cls, pool:HxW"):
        reduction(name)


@pytest.mark.parametrize(
    ("name", "steps", "spelled"),
    [
        (None, Steps(), None),
        ("mean", Steps("mean"), "mean"),
        ("pool:2x3", Steps("pool:2x3"), "pool:2x3"),
        ("project:64", Steps(None, 64), "project:64:0"),
        ("pool:8x8+project:64:7", Steps("pool:8x8", 64, 7), "pool:8x8+project:64:7"),
        ("mean+pca:16", Steps("mean", pca=16), "mean+pca:16"),
        ("cls+project:32+pca:16", Steps("cls", 32, 0, 16), "cls+project:32:0+pca:16"),
        ("pca:3", Steps(pca=3), "pca:3"),
    ],
)
def test_steps_are_joined_in_their_order(name: str | None, steps: Steps, spelled: str | None) -> None:
    assert steps_of(name) == steps
    assert steps.name == spelled
    assert steps_of(spelled) == steps


@pytest.mark.parametrize(
    "name",
    ["", "+", "mean+", "+mean", "mean+mean", "pca:4+mean", "pca:4+project:3", "project:4+mean", "pca", "pca:0",
     "project", "project:0", "project:4:", "meanpca:4", "mean+cls", "pool:0x8+pca:2", "mean pca:4"],
)  # fmt: skip
def test_steps_that_cannot_be_say_what_there_is(name: str) -> None:
    with pytest.raises(SettingsError, match=r"unknown reduction .*; there are: mean, cls, pool:HxW .*pca:DIM"):
        steps_of(name)
