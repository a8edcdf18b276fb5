"""Reductions: what is kept of the tokens of a stimulus.

A reduction is one step or several joined by `+`, in this order, each at most once:

    mean | cls | pool:HxW        of tokens, see `reduction`
    project:DIM[:SEED]           of a layer's row, however many axes it has: a random projection to DIM numbers
    pca:DIM                      of a layer's row: its first DIM principal components over the training rows

So `mean+pca:64` is the mean over the grid and then 64 components, and `project:4096+pca:64` projects whole token maps.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor
from torch.nn import functional

from fusiform.errors import SettingsError
from fusiform.features.tokens import Tokens

__all__ = ["Reduction", "Steps", "reduction", "steps_of"]

Reduction = Callable[[Tokens], Tokens]
_KNOWN = "mean, cls, pool:HxW (such as pool:8x8), project:DIM, pca:DIM, some of them in this order joined by +, or none"


@dataclass(frozen=True)
class Steps:
    """The steps of a reduction.

    Args:
        tokens: name of the one that works on tokens, or None.
        project: numbers that a random projection leaves, or None.
        seed: of the projection.
        pca: number of principal components, or None.
    """

    tokens: str | None = None
    project: int | None = None
    seed: int = 0
    pca: int | None = None

    @property
    def name(self) -> str | None:
        """The reduction in one spelling."""
        return self.before_pca if self.pca is None else "+".join(filter(None, [self.before_pca, f"pca:{self.pca}"]))

    @property
    def before_pca(self) -> str | None:
        """What comes before the principal components, in one spelling."""
        project = None if self.project is None else f"project:{self.project}:{self.seed}"
        return "+".join(filter(None, [self.tokens, project])) or None


def steps_of(name: str | None) -> Steps:
    """The steps of a reduction by its name.

    Raises:
        SettingsError: there is no such reduction.
    """
    if name is None:
        return Steps()
    match = _STEPS.fullmatch(name)
    if not match or not name:
        raise SettingsError(f"unknown reduction {name!r}; there are: {_KNOWN}")
    project, seed, pca = (None if match[part] is None else int(match[part]) for part in ("project", "seed", "pca"))
    return Steps(match["tokens"], project, seed or 0, pca)


def reduction(name: str | None) -> Reduction:
    """The step of that name that works on tokens.

    - None: everything, local [B, C, *grid] and global [B, C];
    - `mean`: the mean of each local layer over its grid, [B, C], and the global tokens;
    - `cls`: the global (class) tokens only;
    - `pool:HxW`: local grids averaged down to H x W, [B, C, H, W], and the global tokens.

    Raises:
        SettingsError: there is no such reduction.
    """
    if name is None or name in _PLAIN:
        return _PLAIN[name]
    if size := re.fullmatch(_POOL, name):
        return partial(_pool, size=(int(size[1]), int(size[2])))
    raise SettingsError(f"unknown reduction {name!r}; there are: {_KNOWN}")


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
        other = f", such as pool:{min(grid[0], size[0])}x{min(grid[1], size[1])}," if len(grid) == 2 else ""
        raise SettingsError(
            f"cannot pool layer {layer!r} with the grid {grid} to {size}; give a smaller pool{other} or other layers"
        )
    return functional.adaptive_avg_pool2d(value, size)


_PLAIN: dict[str | None, Reduction] = {None: _keep, "mean": _mean, "cls": _cls}
_POOL = r"pool:([1-9]\d*)x([1-9]\d*)"
_TOKENS = "|".join([*filter(None, _PLAIN), r"pool:[1-9]\d*x[1-9]\d*"])
_STEPS = re.compile(
    rf"(?:(?P<tokens>{_TOKENS})(?:\+(?!$)|$))?"
    r"(?:project:(?P<project>[1-9]\d*)(?::(?P<seed>\d+))?(?:\+(?!$)|$))?"
    r"(?:pca:(?P<pca>[1-9]\d*))?"
)
