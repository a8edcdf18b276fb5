"""Where the tokens of all layers lie, and how much of each a target reads: the matrix behind `reading`.

Letters: N targets, L layers, K tokens, A axes of the grids, F factors.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

__all__ = ["Cells", "Choice", "Grid"]


class Choice(NamedTuple):
    """What N targets read.

    Args:
        place: [N, A] in [-1, 1], x (the last axis of a grid) first; the edges of the grid are at -1 and 1.
        layer: [N, L] shares that sum to one.
        scale: [N] share of the global tokens.
    """

    place: Tensor
    layer: Tensor
    scale: Tensor


class Grid(NamedTuple):
    """Layers whose local tokens lie on grids of one size.

    Args:
        size: of the grid along the axes of a place; () where tokens have no place.
        layers: their numbers.
    """

    size: tuple[int, ...]
    layers: list[int]


class Cells(nn.Module):
    """Which layer each of the K tokens is of, and where in its grid it lies: all cells, layer by layer, then globals.

    The weight of a token is a product of factors: the share of its layer at its scale, and one per axis of the grid.
    Few of them differ (an axis of eight cells has eight), so they are made once per target, [N, F], and each token
    picks its own.

    Args:
        grids: of every layer, such as (8, 8); () for a layer that is one vector.
    """

    index: Tensor  # [K, A] place in the grid along each axis, x first
    size: Tensor  # [K, A] of the grid; 0 where a token has no place and is read everywhere
    axis: Tensor  # [A, S] one where a span, a cell's extent along an axis, is on the axis
    span: Tensor  # [2, S] index and size of every span
    pick: Tensor  # [1 + A, K, F] one where a token picks the factor

    def __init__(self, grids: Sequence[tuple[int, ...]]) -> None:
        super().__init__()
        self.axes = max(len(grid) for grid in grids)
        self.counts = [math.prod(grid) for grid in grids]  # of every layer's cells
        self.grids = _grids(grids)
        layer, index, size = [], [], []
        for number, grid in enumerate(grids):
            places = torch.cartesian_prod(*map(torch.arange, grid)).view(-1, len(grid)).flip(1) if grid else _NOWHERE
            layer += [number] * len(places)
            index.append(torch.zeros(len(places), self.axes).index_copy_(1, torch.arange(len(grid)), places.float()))
            size.append(torch.tensor([[*reversed(grid), *[0] * (self.axes - len(grid))]]).expand(len(places), -1))
        count, globals_ = len(layer), torch.zeros(len(grids), self.axes)
        self._keep("index", torch.cat([*index, globals_]))
        self._keep("size", torch.cat([*size, globals_]).float())
        self._set_factors(len(grids), torch.tensor([*layer, *range(len(grids))]), count)

    def _set_factors(self, layers: int, layer: Tensor, count: int) -> None:
        """Number the factors: shares of the layers in local tokens, those in global ones, one, and all spans."""
        where = [(axis, *map(float, pair)) for axis in range(self.axes) for pair in self._spans(axis)]
        spans = torch.tensor(where).view(-1, 3)
        number = {span: 2 * layers + 1 + position for position, span in enumerate(where)}
        picked = [torch.where(torch.arange(len(layer)) < count, layer, layers + layer)]
        for axis in range(self.axes):
            pairs = zip(self.index[:, axis].tolist(), self.size[:, axis].tolist(), strict=True)
            picked.append(torch.tensor([number.get((axis, *pair), 2 * layers) for pair in pairs]))
        self._keep("axis", (spans[:, 0] == torch.arange(self.axes)[:, None]).float())
        self._keep("span", spans[:, 1:].T.contiguous())
        self._keep("pick", torch.stack([one_hot(one, 2 * layers + 1 + len(where)) for one in picked]).float())

    def _spans(self, axis: int) -> list[tuple[int, int]]:
        """(index, size) of every cell along an axis, of every size that grids have there."""
        sizes = sorted({int(size) for size in self.size[:, axis].tolist()} - {0})
        return [(index, size) for size in sizes for index in range(size)]

    def _keep(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)  # it follows from the grids

    def factors(self, choice: Choice) -> Tensor:
        """All factors of every target, [N, F]."""
        scale = choice.scale[:, None]
        spans = _share(choice.place @ self.axis, *self.span)
        return torch.cat([choice.layer * (1 - scale), choice.layer * scale, torch.ones_like(scale), spans], dim=1)

    def weights(self, factors: Tensor) -> Tensor:
        """Share of each token in what a target reads, [N, F] -> [N, K]."""
        first, *others = (factors @ self.pick.mT).unbind()
        for other in others:
            first = first * other
        return first


def _grids(grids: Sequence[tuple[int, ...]]) -> list[Grid]:
    """The grids that differ in size, with all layers on each."""
    found: dict[tuple[int, ...], list[int]] = {}
    for number, grid in enumerate(grids):
        found.setdefault(grid[::-1], []).append(number)
    return [Grid(*one) for one in found.items()]


def _share(place: Tensor, index: Tensor, size: Tensor) -> Tensor:
    """Share of a cell in linear interpolation at a place, and none beyond the grid.

    At a cell's centre, where the slope jumps, it is that to the right, as in torch's `grid_sample`.
    """
    position = ((place + 1) * size - 1) / 2  # in cells, 0 at the first one's centre
    below = position.detach().floor()
    rest = position - below
    return torch.where(index == below, 1 - rest, torch.where(index == below + 1, rest, 0.0))


_NOWHERE = torch.zeros(1, 0)  # the place of a vector
