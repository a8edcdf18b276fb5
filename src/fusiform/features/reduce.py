"""Reductions: what is kept of the tokens of a stimulus."""

import re
from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn import functional

from fusiform.errors import SettingsError
from fusiform.features.tokens import Tokens

__all__ = ["Reduction", "reduction"]

Reduction = Callable[[Tokens], Tokens]


def reduction(name: str | None) -> Reduction:
    """The reduction of that name.

    - None: everything, local [B, C, *grid] and global [B, C];
    - `mean`: the mean of each local layer over its grid, [B, C], and the global tokens;
    - `cls`: the global (class) tokens only;
    - `pool:HxW`: local grids averaged down to H x W, [B, C, H, W], and the global tokens.

    Raises:
        SettingsError: there is no such reduction.
    """
    if name is None or name in _PLAIN:
        return _PLAIN[name]
    if size := re.fullmatch(r"pool:([1-9]\d*)x([1-9]\d*)", name):
        return partial(_pool, size=(int(size[1]), int(size[2])))
    raise SettingsError(f"unknown reduction {name!r}; there are: mean, cls, pool:HxW (such as pool:8x8), or none")


def _keep(tokens: Tokens) -> Tokens:
    return tokens


def _mean(tokens: Tokens) -> Tokens:
    means = {layer: value.flatten(2).mean(2) if value.ndim > 2 else value for layer, value in tokens.local.items()}
    return Tokens(means, tokens.global_)


def _cls(tokens: Tokens) -> Tokens:
    if not tokens.global_:
        raise SettingsError(f"reduce='cls' keeps global tokens, and there are none; local: {', '.join(tokens.local)}")
    return Tokens({}, tokens.global_)


def _pool(tokens: Tokens, size: tuple[int, int]) -> Tokens:
    return Tokens({layer: _pool_layer(layer, value, size) for layer, value in tokens.local.items()}, tokens.global_)


def _pool_layer(layer: str, value: Tensor, size: tuple[int, int]) -> Tensor:
    grid = tuple(value.shape[2:])
    if not grid:
        return value
    if len(grid) != 2 or grid[0] < size[0] or grid[1] < size[1]:
        raise SettingsError(f"cannot pool layer {layer!r} with the grid {grid} to {size}; wanted a larger one, [H, W]")
    return functional.adaptive_avg_pool2d(value, size)


_PLAIN: dict[str | None, Reduction] = {None: _keep, "mean": _mean, "cls": _cls}
