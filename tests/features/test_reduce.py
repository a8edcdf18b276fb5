"""Reductions against plain formulas."""

import pytest
import torch

from fusiform.errors import SettingsError
from fusiform.features.reduce import reduction
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
    with pytest.raises(SettingsError, match=r"'map' with the grid \(8, 12\) to \(9, 9\)"):
        reduction("pool:9x9")(TOKENS)
    with pytest.raises(SettingsError, match="'clip'"):
        reduction("pool:2x2")(TOKENS)


@pytest.mark.parametrize("name", ["means", "pool", "pool:8", "pool:0x8", ""])
def test_unknown_reductions_say_what_there_is(name: str) -> None:
    with pytest.raises(SettingsError, match=r"unknown reduction .*; there are: mean, cls, pool:HxW"):
        reduction(name)
