"""From each target's best candidate on down the gradient: band weights that no candidate had."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.models.bands import Banded, Choice
from fusiform.models.design import TargetBatches
from fusiform.models.folds import Split
from fusiform.models.gradient import Kernels, conjugate_gradient, held_out_error, kernels_of
from fusiform.models.heldout import Scoring

__all__ = ["refine"]

MOST_STEPS = 200  # of conjugate gradients, in one step of the descent


def refine(
    banded: Banded,
    weights: NDArray[np.float64],
    choice: Choice,
    folds: Sequence[Split],
    batches: TargetBatches,
    scoring: Scoring,
    path: Callable[[Sequence[Kernels], Tensor, int], tuple[Tensor, Tensor]],
) -> tuple[Tensor, NDArray[np.float64], Choice]:
    """Weights on the features [V, P], band weights [V, B], and the choice with its new alphas and scores.

    Args:
        banded: the features, with a Gram matrix per band.
        weights: [V, B] band weights to start from.
        choice: the alphas to start from.
        folds: of the samples.
        batches: V targets; all are held at once.
        scoring: of the scores.
        path: from the folds, logs of weight over alpha [V, B] and the most steps of conjugate gradients to the lowest
            held-out error [V] and its logs [V, B].
    """
    assert banded.grams is not None
    grams = banded.grams.to(banded.design.root.dtype)
    rows, scale = (torch.cat([getattr(batch, name) for batch in batches]) for name in ("rows", "scale"))
    start = torch.as_tensor(weights).to(choice.alpha).clamp(min=1e-6) / choice.alpha[:, None]
    kernels = [kernels_of(banded.design, banded.grams, rows, split) for split in folds]
    inner = min(MOST_STEPS, rows.shape[1])
    error, logs = path(kernels, start.log().to(grams), inner)
    dual = conjugate_gradient(grams, logs, rows, torch.zeros_like(rows), 4 * inner, 1e-6) * scale[:, None].to(rows)
    gain = logs.exp()  # [V, B] g / alpha
    coef = [gain[:, [i]] * (dual @ banded.design.columns(band)) for i, band in enumerate(banded.bands)]
    score = -error.double() * scale.square() if scoring == "mse" else _r2(banded, kernels, folds, logs, inner)
    found = Choice(score, choice.candidate, 1 / gain.double().sum(1), choice.scores)
    return torch.cat(coef, dim=1), (gain / gain.sum(1, keepdim=True)).double().cpu().numpy(), found


def _r2(banded: Banded, kernels: Sequence[Kernels], folds: Sequence[Split], logs: Tensor, inner: int) -> Tensor:
    """Mean over folds of each fold's held-out R2, [V]; zero where held-out targets do not vary."""
    found = []
    for fold, (_, test) in zip(kernels, folds, strict=True):
        root = banded.design.root[test]
        level = (fold.test * root).mean(1) / root.square().mean().sqrt()
        own = fold.test.square().mean(1)
        spread = own - level.square()
        start = torch.zeros_like(fold.train), torch.zeros_like(fold.train)
        error = held_out_error(fold, logs, start, inner)[0]
        found.append(torch.where(spread > 1e-6 * own, 1 - error / spread, 0.0))
    return torch.stack(found).mean(0).double()
