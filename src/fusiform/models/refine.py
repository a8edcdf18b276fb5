"""From each target's best candidate on down the gradient: band weights that no candidate had."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.models.bands import Banded
from fusiform.models.batches import TargetBatches
from fusiform.models.carrying import Carrier
from fusiform.models.design import Design, Targets, blocks, to_numpy
from fusiform.models.folds import Split
from fusiform.models.gradient import Kernels, conjugate_gradient, descend, kernels_of, targets_of
from fusiform.models.heldout import Scoring

__all__ = ["refine"]

MOST_STEPS = 200  # of conjugate gradients, in one step of the descent
CLOSE = 1e-9  # residual of the weights in the end, relative to the target


def refine(
    banded: Banded,
    folds: Sequence[Split],
    batches: TargetBatches,
    scoring: Scoring,
    steps: int,
    rate: float,
    found: dict[str, NDArray[Any]],
) -> Iterator[int]:
    """Take what was found further, a batch of targets at a time; yields 1 after every step.

    Args:
        banded: the features, with a Gram matrix per band.
        folds: of the samples.
        batches: V targets.
        scoring: of the scores.
        steps: of each descent, which yields once more.
        rate: as in `descend`.
        found: `weights` [V, B] and `alpha` [V] to start from, `score` [V] and `folds` [V, F] of these and, if there
            are any, weights on the features `coef` [V, P]. They are written over for targets that come to a better
            score.
    """
    assert banded.grams is not None
    design, inner, levels = banded.design, min(MOST_STEPS, len(banded.design.root)), _levels(banded.grams)
    matrices = [kernels_of(design, banded.grams, levels, split) for split in folds]
    carrier = Carrier(design, banded.bands, found["coef"]) if "coef" in found else None
    for part, targets in batches:
        kernels = [Kernels(*pair, *targets_of(design, targets, one)) for pair, one in zip(matrices, folds, strict=True)]
        weights, alpha = (torch.as_tensor(found[name][part]).to(levels) for name in ("weights", "alpha"))
        logs = (weights.clamp(min=1e-6) / alpha[:, None] * levels).log().to(design.root)
        for lowest in descend(kernels, logs, steps, rate, inner):
            errors, logs = lowest
            yield 1
        scores = to_numpy(_scores(design, kernels, folds, targets, errors, scoring))
        better = np.flatnonzero(scores.mean(1) > found["score"][part])
        gains = logs[better].double().exp() / levels  # [v, B] g / alpha
        _write_over(found, part.start + better, gains, scores[better])
        if carrier is not None:
            dual = _solved(banded.grams, gains, targets.rows[better]) * targets.scale[better, None]
            carrier.add(part.start + better, dual, gains)
    if carrier is not None:
        carrier.write()


def _levels(grams: Tensor) -> Tensor:
    """Mean of the diagonal of each band's Gram matrix, [B]; one for a band that does not vary."""
    means = grams.diagonal(dim1=1, dim2=2).mean(1)
    return torch.where(means > 0, means, 1.0)


def _write_over(
    found: dict[str, NDArray[Any]], own: NDArray[np.intp], gains: Tensor, scores: NDArray[np.float64]
) -> None:
    """What is now known of some targets [v], from their g / alpha [v, B] and the scores of each fold [v, F]."""
    total = gains.sum(1, keepdim=True)
    found["weights"][own], found["alpha"][own] = to_numpy(gains / total), to_numpy(1 / total[:, 0])
    found["folds"][own], found["score"][own] = scores, scores.mean(1)


def _solved(grams: Tensor, gains: Tensor, rows: Tensor) -> Tensor:
    """Weights on the samples over alpha, [v, N]: (sum_b g_b / alpha K_b + 1)^-1 y, in float64.

    Where there are more samples than features most of a target lies where no feature reaches. Features take that out
    of its weights again, but only to a rounding; so it is not left to float32. Where conjugate gradients would take
    longer than a Cholesky decomposition, that is made.
    """
    rows, steps = rows.double(), max(1, grams.shape[1] // (4 * len(grams)))
    found, reached = conjugate_gradient(grams, gains.log(), rows, torch.zeros_like(rows), steps, CLOSE)
    left = (~reached).nonzero()[:, 0]
    for part in blocks(len(left), grams.shape[1] ** 2):
        kernels = torch.tensordot(gains[left[part]], grams, 1)
        kernels.diagonal(dim1=1, dim2=2).add_(1)
        right = rows[left[part], :, None]
        found[left[part]] = torch.cholesky_solve(right, torch.linalg.cholesky(kernels))[..., 0]
    return found


def _scores(
    design: Design,
    kernels: Sequence[Kernels],
    folds: Sequence[Split],
    targets: Targets,
    errors: Tensor,
    scoring: Scoring,
) -> Tensor:
    """Held-out score of each fold, [V, F], from mean squared errors [F, V]; R2 is zero where targets do not vary."""
    if scoring == "mse":
        return -errors.T.double() * targets.scale[:, None].square()
    every = zip(kernels, folds, errors, strict=True)
    return torch.stack([_r2(fold, design.root[test], error.double()) for fold, (_, test), error in every], dim=1)


def _r2(fold: Kernels, root: Tensor, error: Tensor) -> Tensor:
    level = (fold.test * root).mean(1) / root.square().mean().sqrt()
    own = fold.test.square().mean(1)
    spread = own - level.square()
    return torch.where(spread > 1e-6 * own, 1 - error / spread, 0.0)
