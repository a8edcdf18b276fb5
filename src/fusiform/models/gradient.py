"""Band weights by gradient descent on the held-out error, each target on its own path.

With d = log(g / alpha), a target's kernel is sum_b exp(d_b) K_b and its dual weights solve (kernel + 1) w = y. The
gradient of the held-out error with respect to d follows from the same system solved once more, with the error's
gradient on the right (implicit differentiation). Both are solved for all targets together by conjugate gradients.

Shapes: n training and M held-out samples, V targets, B bands.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fusiform.models.decompose import dual_parts
from fusiform.models.design import Design, Targets
from fusiform.models.folds import Split

__all__ = ["Kernels", "conjugate_gradient", "descend", "held_out_error", "kernels_of", "targets_of"]


@dataclass(frozen=True)
class Kernels:
    """One fold.

    Args:
        inside: [B, n, n] training with training samples, about the training mean.
        across: [B, M, n] held-out with training samples.
        train: [V, n] targets about their training mean.
        test: [V, M] held-out targets about their training mean; root mean square of the held-out roots: one.
    """

    inside: Tensor
    across: Tensor
    train: Tensor
    test: Tensor


def conjugate_gradient(
    kernels: Tensor, logs: Tensor, right: Tensor, start: Tensor, steps: int, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Solve (sum_b exp(d_b) K_b + 1) w = y for every target: w [V, n], and whether it was reached [V].

    Args:
        kernels: [B, n, n].
        logs: [V, B] d.
        right: [V, n] y.
        start: [V, n] first guess.
        steps: at most so many.
        tolerance: of the residual's norm, relative to that of y.
    """
    solution = start
    residual = right - _apply(kernels, logs, start)
    direction, size = residual, residual.square().sum(1, keepdim=True)
    limit = tolerance**2 * right.square().sum(1, keepdim=True)
    for _ in range(steps):
        if (size <= limit).all():
            break
        along = _apply(kernels, logs, direction)
        length = size / (direction * along).sum(1, keepdim=True).clamp(min=1e-30)
        length = torch.where(size > limit, length, 0.0)
        solution, residual = solution + length * direction, residual - length * along
        before, size = size, residual.square().sum(1, keepdim=True)
        direction = residual + size / before.clamp(min=1e-30) * direction
    return solution, (size <= limit)[:, 0]


def held_out_error(
    fold: Kernels, logs: Tensor, start: tuple[Tensor, Tensor], steps: int
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Mean squared held-out error [V], its gradient [V, B], and the two solutions, to start from the next time."""
    gain = logs.exp().T[:, :, None]  # [B, V, 1]
    weights, _ = conjugate_gradient(fold.inside, logs, fold.train, start[0], steps, 1e-5)
    by_band = gain * (weights @ fold.across.mT)  # [B, V, M]
    error = by_band.sum(0) - fold.test
    slope = 2 * error / error.shape[1]  # [V, M] gradient on the prediction
    right = (gain * (slope @ fold.across)).sum(0)  # [V, n] gradient on the weights
    adjoint, _ = conjugate_gradient(fold.inside, logs, right, start[1], steps, 1e-4)
    through = gain * (weights @ fold.inside)  # [B, V, n]
    gradient = (by_band * slope).sum(2) - (through * adjoint).sum(2)  # [B, V]
    return error.square().mean(1), gradient.T, (weights, adjoint)


def descend(
    folds: Sequence[Kernels], logs: Tensor, steps: int, rate: float, inner: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Adam on the mean error of all folds; yields the best so far after every step: errors [F, V] and logs [V, B].

    Args:
        folds: each fold's kernels and targets.
        logs: [V, B] where to start.
        steps: of the descent.
        rate: largest change of a log in one step.
        inner: conjugate gradient steps at most.
    """
    first, second = torch.zeros_like(logs), torch.zeros_like(logs)
    best, best_logs = logs.new_full((len(folds), len(logs)), torch.inf), logs.clone()
    starts = [(torch.zeros_like(fold.train), torch.zeros_like(fold.train)) for fold in folds]
    for step in range(1, steps + 2):
        found = [held_out_error(fold, logs, start, inner) for fold, start in zip(folds, starts, strict=True)]
        starts = [start for _, _, start in found]
        errors = torch.stack([one for one, _, _ in found])
        error = errors.mean(0)
        better = error < best.mean(0)
        best, best_logs = torch.where(better, errors, best), torch.where(better[:, None], logs, best_logs)
        yield best, best_logs
        gradient = torch.stack([one for _, one, _ in found]).mean(0)
        gradient = gradient / error.clamp(min=1e-30)[:, None]  # of the log error: the same step for every target
        first, second = 0.9 * first + 0.1 * gradient, 0.99 * second + 0.01 * gradient.square()
        update = (first / (1 - 0.9**step)) / ((second / (1 - 0.99**step)).sqrt() + 1e-8)
        logs = (logs - rate * update).clamp(-30, 30)


def kernels_of(design: Design, grams: Tensor, levels: Tensor, split: Split) -> tuple[Tensor, Tensor]:
    """Of one fold and each band, [B, n, n] and [B, M, n] as in `Kernels`: Gram matrices [B, N, N] over levels [B]."""
    train, test = split
    inside = design.root.new_empty(len(grams), len(train), len(train))
    across = design.root.new_empty(len(grams), len(test), len(train))
    for band, (gram, level) in enumerate(zip(grams, levels, strict=True)):
        inside[band], across[band] = dual_parts(replace(design, gram=gram / level), train, test)
    return inside, across.div_(_unit(design, split))


def targets_of(design: Design, targets: Targets, split: Split) -> tuple[Tensor, Tensor]:
    """Some targets in one fold about their training mean, [V, n] and [V, M] as in `Kernels`."""
    root = design.root[split[0]]
    mean = targets.rows[:, split[0]] @ root / root.square().sum() * (1.0 if design.centred else 0.0)
    inside, outside = (torch.addr(targets.rows[:, rows], mean, design.root[rows], alpha=-1) for rows in split)
    return inside, outside / _unit(design, split)


def _unit(design: Design, split: Split) -> Tensor:
    """Root mean square of the held-out roots: over it, means of squares are means weighed by the samples."""
    return design.root[split[1]].square().mean().sqrt()


def _apply(kernels: Tensor, logs: Tensor, values: Tensor) -> Tensor:
    """(sum_b exp(d_b) K_b + 1) v for every target, [V, n]."""
    return values + (logs.exp().T[:, :, None] * (values @ kernels)).sum(0)
