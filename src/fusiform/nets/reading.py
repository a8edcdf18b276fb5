"""Reading mixtures of tokens at places of one's own: interpolation, layer mixing and readout as matrix products.

The plain formula interpolates every layer's grid at every target's place and then mixes:

    v[b, n] = (1 - s[n]) sum_l p[n, l] sample(local_l[b], u[n]) + s[n] sum_l p[n, l] global_l[b]
    y[b, n] = mean_d w[n, d] v[b, n, d]

With a[n, k] the share of token k in what target n reads, where k counts the cells of all grids and the global tokens,

    y[b, n] = mean_d w[n, d] sum_k a[n, k] t[k, b, d] = sum_k a[n, k] mean_d w[n, d] t[k, b, d].

Interpolation is linear between cell centres and a target touches few cells. A CPU makes the second form of those alone
(`cellwise`). A GPU would have to wait to know which they are; it takes all of them, in the first form.

Letters: B batch, N targets, K tokens, D width.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fusiform.nets.cells import Cells, Choice
from fusiform.nets.cellwise import read_by_cell

__all__ = ["read"]

BLOCK = 1 << 26  # numbers that exist at once, of v or of the shares' factors, where all cells are read


def read(tokens: Tensor, choice: Choice, weight: Tensor, cells: Cells, *, sparse: bool | None = None) -> Tensor:
    """What every target reads from a batch, exactly the plain formula.

    Args:
        tokens: [K, B, D], ordered as `cells` has them; products are made in their type.
        choice: of N targets.
        weight: [N, D] mixture of channels of each target; its type is that of the result.
        cells: of the tokens.
        sparse: leave out the cells that a target does not touch. It saves most of the work and needs to look at the
            places, for which a GPU would have to wait: default on the CPU only.

    Returns:
        [B, N].
    """
    sparse = not tokens.is_cuda if sparse is None else sparse
    with torch.autocast(tokens.device.type, enabled=False):  # the types of products are chosen here
        if sparse:
            return read_by_cell(tokens, choice, weight, cells).T
        factors = cells.factors(choice)
        widest = max(tokens[0].numel(), cells.pick[..., 0].numel())  # of v and the shares' factors, [1 + A, K]
        rows = max(1, BLOCK // widest)
        every = [slice(start, start + rows) for start in range(0, len(weight), rows)]
        return _whole(cells, every, tokens, factors, weight).T


class _Whole(torch.autograd.Function):
    """Tiles of targets, each with all tokens; the backward pass makes each tile again instead of keeping it."""

    @staticmethod
    def forward(ctx: Any, cells: Cells, tiles: list[slice], tokens: Tensor, *targets: Tensor) -> Tensor:
        ctx.cells, ctx.tiles = cells, tiles
        ctx.save_for_backward(tokens, *targets)
        return torch.cat([_tile(cells, tokens, *_rows(targets, rows)) for rows in tiles])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tokens, *targets = ctx.saved_tensors
        whole = torch.zeros_like(tokens, dtype=grad.dtype)
        found = [torch.empty_like(one) for one in targets]
        for rows in ctx.tiles:
            leaves = [part.detach().requires_grad_() for part in (tokens, *_rows(targets, rows))]
            with torch.enable_grad():
                out = _tile(ctx.cells, *leaves)
            first, *others = torch.autograd.grad(out, leaves, grad[rows])
            whole += first
            for one, part in zip(found, others, strict=True):
                one[rows] = part
        return None, None, whole.to(tokens.dtype), *found


def _tile(cells: Cells, tokens: Tensor, factors: Tensor, weight: Tensor) -> Tensor:
    """[n, B] of some targets, from all tokens."""
    _, batch, width = tokens.shape
    mixed = cells.weights(factors).to(tokens.dtype) @ tokens.flatten(1)
    mixed = mixed.view(-1, batch, width).to(weight.dtype)
    return torch.bmm(mixed, weight[:, :, None])[:, :, 0] / width


def _rows(targets: Sequence[Tensor], rows: slice) -> list[Tensor]:
    return [one[rows] for one in targets]


def _whole(cells: Cells, tiles: list[slice], *tensors: Tensor) -> Tensor:
    found: Tensor = _Whole.apply(cells, tiles, *tensors)  # type: ignore[no-untyped-call]
    return found
