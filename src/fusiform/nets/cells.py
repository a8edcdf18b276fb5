"""Where the tokens of all layers lie, and how much of each a target reads: the matrix behind `reading`.

Letters: N targets, L layers, K tokens, A axes of the grids, F factors.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

__all__ = ["Cells", "Choice", "Tiles"]


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


class Tiles(NamedTuple):
    """Targets that look at neighbouring places, and the tokens that they read.

    Args:
        targets: [T, n] positions; where a tile has fewer than the others its last one is repeated.
        once: [T, n] false where one is repeated.
        columns: [T, k] tokens, among them all that any target of the tile touches, and no other with a share.
    """

    targets: Tensor
    once: Tensor
    columns: Tensor


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

    def weights(self, factors: Tensor, columns: Tensor | None = None) -> Tensor:
        """Share of each token in what a target reads, [N, F] -> [N, K]; of tiles [T, n, F] -> [T, n, k] of columns."""
        pick = self.pick if columns is None else self.pick[:, columns]
        first, *others = (factors @ pick.mT).unbind()
        for other in others:
            first = first * other
        return first

    def _path(self, place: Tensor) -> Tensor:
        """Numbers of the cells of the finest grid in which targets look, along a path that winds through them, [N]."""
        path = torch.zeros(len(place), dtype=torch.long, device=place.device)
        for axis in reversed(range(self.axes)):
            size = int(self.size[:, axis].max())
            cell = (_position(place[:, axis], size).floor().long() + 1).clamp(0, size)
            path = path * (size + 1) + torch.where(path % 2 == 1, size - cell, cell)
        return path

    def tiles(self, place: Tensor, rows: int, most: int) -> list[Tiles]:
        """Tiles of neighbours, in groups of tiles that have about as many targets and touch about as many tokens.

        Args:
            place: [N, A].
            rows: targets of a tile, at most.
            most: targets x tokens of a group, unless a single tile has more.
        """
        path, order = self._path(place).sort(stable=True)
        _, counts = torch.unique_consecutive(path, return_counts=True)
        sizes = torch.tensor(_cut(counts.tolist(), rows), device=place.device)[:, None]  # [T, 1]
        within = torch.arange(int(sizes.max()), device=place.device)
        targets = order[sizes.cumsum(0) - sizes + within.minimum(sizes - 1)]
        once, touched = within < sizes, self._touched(place[targets])
        found = []
        for group in _together(sizes[:, 0].tolist(), touched.sum(1).tolist(), most):
            widest = int(sizes[group].max())
            found.append(Tiles(targets[group, :widest], once[group, :widest], _columns(touched[group])))
        return found

    def _touched(self, place: Tensor) -> Tensor:
        """Which tokens any target of a tile touches, [T, n, A] -> [T, K]."""
        index, size = self.span
        low, high = (_position(edge @ self.axis, size).floor() for edge in (place.amin(1), place.amax(1)))
        spans = (low <= index) & (index <= high + 1)  # [T, S]
        others = spans.new_ones(len(spans), self.pick.shape[2] - len(index))
        return self.weights(torch.cat([others, spans], dim=1).to(place.dtype)) > 0


def _cut(counts: Sequence[int], rows: int) -> list[int]:
    """Sizes of the tiles of cells with so many targets: they end where cells end, as long as they are of fair size."""
    sizes, waiting = list[int](), 0
    for number, count in enumerate(counts, 1):
        waiting += count
        if waiting >= rows // FAIR or number == len(counts):
            parts = -(-waiting // rows)
            sizes += [waiting // parts + (part < waiting % parts) for part in range(parts)]
            waiting = 0
    return sizes


def _together(sizes: Sequence[int], tokens: Sequence[int], most: int) -> list[list[int]]:
    """Tiles of about as many targets and tokens as each other, as long as the largest would fit so many times."""
    groups, widest = list[list[int]](), 0
    for tile in sorted(range(len(sizes)), key=lambda tile: (tokens[tile], sizes[tile])):
        widest = max(widest, sizes[tile])
        if not groups or (len(groups[-1]) + 1) * widest * tokens[tile] > most:
            groups.append([])
            widest = sizes[tile]
        groups[-1].append(tile)
    return groups


def _columns(touched: Tensor) -> Tensor:
    """The touched tokens of every tile, [T, K] -> [T, k]; where a tile has fewer, one without a share fills its row."""
    filler = touched.byte().argmin(1, keepdim=True)
    columns = filler.repeat(1, int(touched.sum(1).max()))
    tile, token = touched.nonzero(as_tuple=True)
    columns[tile, (touched.cumsum(1) - 1)[tile, token]] = token
    return columns


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


FAIR = 3  # a tile has at least a third of the targets that it may have, and is then cut where a cell ends
_NOWHERE = torch.zeros(1, 0)  # the place of a vector
