"""Reading cell by cell: the way of a CPU, which can look who reads where.

A place lies between the centres of 2^A cells, its corners, in which it has the shares of linear interpolation. Pairs
of a target and one of its corners are put in the order of their cells, for each grid that layers have. The pairs of a
cell make one product, of their targets' weights with the tokens that all layers have there:

    m[p, l, b] = sum_d w[n, d] t[k(c, l), b, d],    y[b, n] = mean_d sum_p sum_l a[p, l] m[p, l, b],

where p goes through the pairs of n, c is the pair's cell, and a[p, l] its share times that of the layer. Nothing is
multiplied that nobody reads, and m is also all that the backward pass needs.

Letters: B batch, N targets, D width, A axes; of a grid S cells, L layers, C = 2^A corners; P pairs of a block.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fusiform.nets.cells import Cells, Choice
from fusiform.nets.layers import linear

__all__ = ["Block", "blocks", "corners", "read_by_cell"]

BLOCK = 1 << 15  # pairs that are read together, at most, unless a single cell has more


class Block(NamedTuple):
    """Some cells of a grid, and the pairs in them.

    Args:
        cells: which.
        counts: of the pairs in each.
        pairs: [P] their positions in [C, N], cell by cell.
    """

    cells: slice
    counts: list[int]
    pairs: Tensor


def read_by_cell(tokens: Tensor, choice: Choice, weight: Tensor, cells: Cells) -> Tensor:
    """What every target reads from a batch, [N, B]; see `reading.read`."""
    *local, wide = tokens.split_with_sizes([*cells.counts, choice.layer.shape[1]])
    scale = choice.scale[:, None]
    found = _everywhere(wide, choice.layer * scale, weight)
    for size, layers in cells.grids:
        here = torch.stack([local[layer] for layer in layers], dim=1)  # [S, L, B, D]
        share = choice.layer.index_select(1, torch.tensor(layers, device=tokens.device)) * (1 - scale)
        if size:
            found = found + _on_grid(here, share, weight, *corners(choice.place, size))
        else:
            found = found + _everywhere(here[0], share, weight)
    return found / weight.shape[1]


def _everywhere(tokens: Tensor, share: Tensor, weight: Tensor) -> Tensor:
    """[N, B] of tokens that have no place, [L, B, D], of which targets read their shares, [N, L]."""
    made = linear(weight.to(tokens.dtype), tokens.flatten(0, 1)).to(weight.dtype)
    return (share[:, :, None] * made.view(*share.shape, -1)).sum(1)


def _on_grid(tokens: Tensor, share: Tensor, weight: Tensor, cell: Tensor, of_cell: Tensor) -> Tensor:
    """[N, B] of the tokens of a grid, [S, L, B, D]: shares of its layers, [N, L], and corners with theirs, [C, N]."""
    shares = (of_cell[:, :, None] * share).flatten(0, 1)
    return _read(blocks(cell, len(tokens)), torch.is_grad_enabled(), tokens.flatten(1, 2), shares, weight)


def corners(place: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The cells between whose centres places lie, and their shares in what linear interpolation finds there.

    At a cell's centre, where the slope jumps, it is that to the right, as in torch's `grid_sample`.

    Args:
        place: [N, A] in [-1, 1].
        size: of the grid along the axes of a place.

    Returns:
        Numbers of the cells, [C, N], -1 beyond the grid, and shares, [C, N].
    """
    cell, share = place.new_zeros(1, len(place), dtype=torch.int32), place.new_ones(1, len(place))
    for along, count in reversed(list(zip(place.unbind(1), size, strict=True))):
        position = ((along + 1) * count - 1) / 2  # in cells, 0 at the first one's centre
        below = position.detach().floor()
        rest, low = position - below, below.int()
        index = torch.stack([low, low + 1])
        inside = (index >= 0) & (index < count) & (cell[:, None] >= 0)
        cell = torch.where(inside, cell[:, None] * count + index, -1).flatten(0, 1)
        share = (share[:, None] * torch.stack([1 - rest, rest])).flatten(0, 1)
    return cell, share


def blocks(cell: Tensor, cells: int) -> list[Block]:
    """Pairs by their cells, of which there are so many, from the cells of all corners, [C, N]; without those at -1."""
    keys = (cell.flatten() + 1).to(torch.int16 if cells < 1 << 15 else torch.int32).cpu().numpy()
    order = torch.from_numpy(np.argsort(keys, kind="stable")).to(cell.device)  # 16 bits are sorted in linear time
    beyond, *counts = np.bincount(keys, minlength=cells + 1).tolist()
    start = list(accumulate(counts, initial=beyond))
    cuts = pairwise([*_starts(counts), cells])
    return [Block(slice(first, last), counts[first:last], order[start[first] : start[last]]) for first, last in cuts]


def _starts(counts: Sequence[int]) -> list[int]:
    """Of the cells with so many pairs those with which a block begins."""
    starts, within = [0], 0
    for cell, count in enumerate(counts):
        if within and within + count > BLOCK:
            starts.append(cell)
            within = 0
        within += count
    return starts


class _Read(torch.autograd.Function):
    """[N, B] of what targets read on one grid: its tokens [S, L B, D], shares of pairs [C N, L], weights [N, D]."""

    @staticmethod
    def forward(ctx: Any, blocks: list[Block], keep: bool, tokens: Tensor, share: Tensor, weight: Tensor) -> Tensor:
        layers, batch = share.shape[1], tokens.shape[1] // share.shape[1]
        found, kept = share.new_zeros(len(share), batch), []
        for cells, counts, pairs in blocks:
            mixture, own = weight.index_select(0, pairs % len(weight)).to(tokens.dtype), share.index_select(0, pairs)
            made = mixture.new_empty(len(pairs), layers * batch)
            _multiply(mixture.split_with_sizes(counts), tokens[cells].mT, made.split_with_sizes(counts))
            made = made.to(weight.dtype).view(len(pairs), layers, batch)
            found.index_copy_(0, pairs, torch.bmm(own[:, None], made)[:, 0])
            kept += [own, made] * keep  # a prediction has no backward pass
        ctx.blocks, ctx.shape = blocks, share.shape
        ctx.save_for_backward(tokens, weight, *kept)
        return found.view(-1, len(weight), batch).sum(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tokens, weight, *kept = ctx.saved_tensors
        of_tokens, of_share, of_weight = torch.empty_like(tokens), grad.new_zeros(ctx.shape), torch.zeros_like(weight)
        with torch.autocast(grad.device.type, enabled=False):
            for (cells, counts, pairs), own, made in zip(ctx.blocks, kept[::2], kept[1::2], strict=True):
                targets = pairs % len(weight)
                mixture, of_y = weight.index_select(0, targets).to(tokens.dtype), grad.index_select(0, targets)
                of_share.index_copy_(0, pairs, torch.bmm(made, of_y[:, :, None])[:, :, 0])
                of_made = (own[:, :, None] * of_y[:, None]).flatten(1).to(tokens.dtype)
                parts = mixture.split_with_sizes(counts)
                _multiply(of_made.mT.split_with_sizes(counts, 1), parts, of_tokens[cells])
                _multiply(of_made.split_with_sizes(counts), tokens[cells], parts)  # its numbers were needed above
                of_weight.index_add_(0, targets, mixture.to(weight.dtype))
        return None, None, of_tokens, of_share, of_weight


def _multiply(left: Iterable[Tensor], right: Iterable[Tensor], out: Iterable[Tensor]) -> None:
    """The product of every cell, into where it belongs."""
    for one, other, found in zip(left, right, out, strict=True):
        torch.mm(one, other, out=found)


def _read(*given: Any) -> Tensor:
    found: Tensor = _Read.apply(*given)  # type: ignore[no-untyped-call]
    return found
