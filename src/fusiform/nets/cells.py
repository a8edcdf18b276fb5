"""Where the tokens of all layers lie, and how much of each a target reads: the matrix behind `reading`.

Letters: N targets, L layers, K tokens, A axes of the grids, F factors.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

__all__ = ["Cells", "Choice"]


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


class Cells(nn.Module):
    """Which layer each of the K tokens is of, and where in its grid it lies: all cells, layer by layer, then globals.

    The weight of a token is a product of factors: the share of its layer, that of its scale, and one per axis of the
    grid. Few of them differ (an axis of eight cells has eight), so they are made once per target, [N, F], and each
    token picks its own.

    Args:
        grids: of every layer, such as (8, 8); () for a layer that is one vector.
    """

    index: Tensor  # [K, A] place in the grid along each axis, x first
    size: Tensor  # [K, A] of the grid; 0 where a token has no place and is read everywhere
    axis: Tensor  # [A, S] one where a span, a cell's extent along an axis, is on the axis
    span: Tensor  # [2, S] index and size of every span
    pick: Tensor  # [2 + A, K, F] one where a token picks the factor

    def __init__(self, grids: Sequence[tuple[int, ...]]) -> None:
        super().__init__()
        self.axes = max(len(grid) for grid in grids)
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
        """Number the factors: shares of the layers, of the local and the global scale, one, and all spans."""
        where = [(axis, *map(float, pair)) for axis in range(self.axes) for pair in self._spans(axis)]
        spans = torch.tensor(where).view(-1, 3)
        number = {span: layers + 3 + position for position, span in enumerate(where)}
        picked = [layer, torch.where(torch.arange(len(layer)) < count, layers, layers + 1)]
        for axis in range(self.axes):
            pairs = zip(self.index[:, axis].tolist(), self.size[:, axis].tolist(), strict=True)
            picked.append(torch.tensor([number.get((axis, *pair), layers + 2) for pair in pairs]))
        self._keep("axis", (spans[:, 0] == torch.arange(self.axes)[:, None]).float())
        self._keep("span", spans[:, 1:].T.contiguous())
        self._keep("pick", torch.stack([one_hot(one, layers + 3 + len(where)) for one in picked]).float())

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
        return torch.cat([choice.layer, 1 - scale, scale, torch.ones_like(scale), spans], dim=1)

    def weights(self, factors: Tensor, columns: Tensor | slice = slice(None)) -> Tensor:
        """Share of each token in what a target reads, [N, K], or of some tokens."""
        first, *others = (factors @ self.pick[:, columns].mT).unbind()
        for other in others:
            first = first * other
        return first

    def order(self, place: Tensor) -> Tensor:
        """Targets along a path that winds through the cells of the finest grid, [N] positions."""
        path = torch.zeros(len(place), dtype=torch.long, device=place.device)
        for axis in reversed(range(self.axes)):
            size = int(self.size[:, axis].max())
            cell = (_position(place[:, axis], size).floor().long() + 1).clamp(0, size)
            path = path * (size + 1) + torch.where(path % 2 == 1, size - cell, cell)
        return path.argsort(stable=True)

    def tiles(self, place: Tensor, rows: int) -> list[tuple[slice, Tensor]]:
        """Cuts of `rows` targets each, with the columns of the tokens that any of them touches."""
        parts = torch.split(place, rows)
        low, high = (torch.stack([edge(part) for part in parts])[:, None] for edge in (_least, _most))  # [T, 1, A]
        first, last = _position(low, self.size).floor(), _position(high, self.size).floor() + 1
        touched = (((first <= self.index) & (self.index <= last)) | (self.size == 0)).all(-1)  # [T, K]
        starts = range(0, len(place), rows)
        return [(slice(a, a + rows), mask.nonzero()[:, 0]) for a, mask in zip(starts, touched, strict=True)]


def _share(place: Tensor, index: Tensor, size: Tensor) -> Tensor:
    """Share of a cell in linear interpolation at a place, and none beyond the grid.

    At a cell's centre, where the slope jumps, it is that to the right, as in torch's `grid_sample`.
    """
    position = _position(place, size)
    below = position.detach().floor()
    rest = position - below
    return torch.where(index == below, 1 - rest, torch.where(index == below + 1, rest, 0.0))


def _position(place: Tensor, size: Tensor | int) -> Tensor:
    """In cells, 0 at the first one's centre, for edges at -1 and 1."""
    return ((place + 1) * size - 1) / 2


def _least(places: Tensor) -> Tensor:
    return places.amin(0)


def _most(places: Tensor) -> Tensor:
    return places.amax(0)


_NOWHERE = torch.zeros(1, 0)  # the place of a vector
