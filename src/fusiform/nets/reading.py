"""Reading mixtures of tokens at places of one's own: interpolation, layer mixing and readout as matrix products.

The plain formula interpolates every layer's grid at every target's place and then mixes:

    v[b, n] = (1 - s[n]) sum_l p[n, l] sample(local_l[b], u[n]) + s[n] sum_l p[n, l] global_l[b]
    y[b, n] = mean_d w[n, d] v[b, n, d]

With a[n, k] the share of token k in what target n reads, where k counts the cells of all grids and the global tokens,

    y[b, n] = mean_d w[n, d] sum_k a[n, k] t[k, b, d] = sum_k a[n, k] mean_d w[n, d] t[k, b, d].

Interpolation is linear between cell centres and a target touches few cells, hence targets are put in the order of their
places and cut into tiles; a tile takes part with the cells that it touches and no others. They are few where there are
many targets, so that the second form is made: products of weights with tokens, [n, k B], which are also all that the
backward pass needs. A GPU would have to wait to know which cells are touched; it takes all of them, in the first form.

Letters: B batch, N targets, K tokens, D width; T tiles of n targets and k tokens.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fusiform.nets.cells import Cells, Choice, Tiles

__all__ = ["read"]

TILE = 128  # targets of a tile that knows its cells, at most: more need more at once, and touch no fewer cells
PRODUCTS = 1 << 18  # of weights with tokens that tiles make together: enough for all cores, and near enough to them
BLOCK = 1 << 26  # numbers that exist at once, of v or of the shares' factors, where a tile takes all cells


def read(tokens: Tensor, choice: Choice, weight: Tensor, cells: Cells, *, sparse: bool | None = None) -> Tensor:
    """What every target reads from a batch, exactly the plain formula.

    Args:
        tokens: [K, B, D], ordered as `cells` has them; products are made in their type.
        choice: of N targets.
        weight: [N, D] mixture of channels of each target; its type is that of the result.
        cells: of the tokens.
        sparse: leave out the cells that a tile does not touch. It saves most of the work and needs to look at the
            places, for which a GPU would have to wait: default on the CPU only.

    Returns:
        [B, N].
    """
    sparse = not tokens.is_cuda if sparse is None else sparse
    with torch.autocast(tokens.device.type, enabled=False):  # the types of products are chosen here
        factors = cells.factors(choice)
        if not sparse:
            widest = max(tokens[0].numel(), cells.pick[..., 0].numel())  # of v and the shares' factors, [1 + A, K]
            rows = max(1, BLOCK // widest)
            every = [slice(start, start + rows) for start in range(0, len(weight), rows)]
            return _whole(cells, every, tokens, factors, weight).T
        tiles = cells.tiles(choice.place.detach(), TILE, PRODUCTS // tokens.shape[1])
        return _touched(cells, tiles, torch.is_grad_enabled(), tokens, factors, weight).T


class _Touched(torch.autograd.Function):
    """Tiles of targets, each with the tokens that it touches."""

    @staticmethod
    def forward(
        ctx: Any, cells: Cells, tiles: list[Tiles], keep: bool, tokens: Tensor, factors: Tensor, weight: Tensor
    ) -> Tensor:
        ctx.tiles, ctx.shares = tiles, []
        found, weighed = weight.new_empty(len(weight) + 1, tokens.shape[1]), []
        for targets, once, columns in tiles:
            near, mixture = _near(tokens, columns), _taken(weight, targets)
            made = torch.bmm(mixture.to(near.dtype), near.mT).to(weight.dtype)  # [T, n, k B]
            leaf = _taken(factors, targets).requires_grad_(keep)
            with torch.set_grad_enabled(keep):  # a derivative of their own, for the backward pass
                share = cells.weights(leaf, columns)  # [T, n, k]
            y = torch.bmm(share.detach().flatten(0, 1)[:, None], _by_token(made, columns))
            _put(found, targets, once, y.view(*targets.shape, -1))
            if keep:  # a prediction has no backward pass
                weighed.append(made)
                ctx.shares.append((leaf, share))
        ctx.save_for_backward(tokens, factors, weight, *weighed)
        return found[:-1] / weight.shape[1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tokens, factors, weight, *weighed = ctx.saved_tensors
        grad = (grad / weight.shape[1]).contiguous()
        of_tokens = torch.zeros_like(tokens, dtype=grad.dtype)  # many tiles add to it: not in half precision
        of_factors, of_weight = (one.new_empty(len(one) + 1, one.shape[1]) for one in (factors, weight))
        for (targets, once, columns), (leaf, share), made in zip(ctx.tiles, ctx.shares, weighed, strict=True):
            near, mixture, own = _near(tokens, columns), _taken(weight, targets), _taken(grad, targets)
            of_share = torch.bmm(_by_token(made, columns), own.flatten(0, 1)[:, :, None]).view_as(share)
            _put(of_factors, targets, once, *torch.autograd.grad(share, leaf, of_share, retain_graph=True))
            of_made = (share.detach()[..., None] * own[:, :, None]).flatten(2).to(near.dtype)  # [T, n, k B]
            _put(of_weight, targets, once, torch.bmm(of_made, near))
            of_near = torch.bmm(of_made.mT, mixture.mul_(once[..., None]).to(near.dtype)).view(-1, *tokens.shape[1:])
            of_tokens.index_add_(0, columns.flatten(), of_near.to(grad.dtype))
        return None, None, None, of_tokens.to(tokens.dtype), of_factors[:-1], of_weight[:-1]


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


def _near(tokens: Tensor, columns: Tensor) -> Tensor:
    """The tokens of every tile, [K, B, D] and [T, k] -> [T, k B, D]."""
    return _taken(tokens, columns).flatten(1, 2)


def _by_token(made: Tensor, columns: Tensor) -> Tensor:
    """[T, n, k B] -> [T n, k, B]."""
    return made.view(made.shape[0] * made.shape[1], columns.shape[1], -1)


def _taken(values: Tensor, rows: Tensor) -> Tensor:
    """`values[rows]` of some rows, [T, n]; `index_select` copies whole rows, which indexing does not."""
    return values.index_select(0, rows.flatten()).view(*rows.shape, *values.shape[1:])


def _put(values: Tensor, rows: Tensor, once: Tensor, part: Tensor) -> None:
    """`values[rows] = part`, in place and in the type of `values`; what is repeated goes to the last row, for none."""
    places = torch.where(once, rows, len(values) - 1)
    values.index_copy_(0, places.flatten(), part.flatten(0, 1).to(values.dtype))


def _tile(cells: Cells, tokens: Tensor, factors: Tensor, weight: Tensor) -> Tensor:
    """[n, B] of some targets, from all tokens."""
    _, batch, width = tokens.shape
    mixed = cells.weights(factors).to(tokens.dtype) @ tokens.flatten(1)
    mixed = mixed.view(-1, batch, width).to(weight.dtype)
    return torch.bmm(mixed, weight[:, :, None])[:, :, 0] / width


def _rows(targets: Sequence[Tensor], rows: slice) -> list[Tensor]:
    return [one[rows] for one in targets]


def _touched(cells: Cells, tiles: list[Tiles], keep: bool, *tensors: Tensor) -> Tensor:
    found: Tensor = _Touched.apply(cells, tiles, keep, *tensors)  # type: ignore[no-untyped-call]
    return found


def _whole(cells: Cells, tiles: list[slice], *tensors: Tensor) -> Tensor:
    found: Tensor = _Whole.apply(cells, tiles, *tensors)  # type: ignore[no-untyped-call]
    return found
