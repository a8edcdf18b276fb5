"""From each target's best candidate on down the gradient: band weights that no candidate had."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.models.bands import Banded
from fusiform.models.batches import TargetBatches
from fusiform.models.design import Design, Targets, to_numpy
from fusiform.models.folds import Split
from fusiform.models.gradient import Kernels, conjugate_gradient, descend, kernels_of, targets_of
from fusiform.models.heldout import Scoring

__all__ = ["refine"]

MOST_STEPS = 200  # of conjugate gradients, in one step of the descent


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
        found: `weights` [V, B] and `alpha` [V] to start from. These, `score` [V], `folds` [V, F] and, if it is there,
            `coef` [V, P] are written over.
    """
    assert banded.grams is not None
    design, inner = banded.design, min(MOST_STEPS, len(banded.design.root))
    matrices = [kernels_of(design, banded.grams, split) for split in folds]
    grams = banded.grams.to(design.root.dtype)
    for part, targets in batches:
        kernels = [Kernels(*pair, *targets_of(design, targets, one)) for pair, one in zip(matrices, folds, strict=True)]
        weights, alpha = (torch.as_tensor(found[name][part]).to(grams) for name in ("weights", "alpha"))
        logs = (weights.clamp(min=1e-6) / alpha[:, None]).log()
        for lowest in descend(kernels, logs, steps, rate, inner):
            errors, logs = lowest
            yield 1
        scores = _scores(design, kernels, folds, targets, errors, scoring)
        gain = logs.double().exp()  # [V, B] g / alpha
        found["weights"][part] = to_numpy(gain / gain.sum(1, keepdim=True))
        found["alpha"][part] = to_numpy(1 / gain.sum(1))
        found["folds"][part], found["score"][part] = to_numpy(scores), to_numpy(scores.mean(1))
        if "coef" in found:
            found["coef"][part] = _coef(banded, grams, targets, logs, 4 * inner).cpu().numpy()


def _coef(banded: Banded, grams: Tensor, targets: Targets, logs: Tensor, steps: int) -> Tensor:
    """Weights on the features, [V, P]."""
    dual = conjugate_gradient(grams, logs, targets.rows, torch.zeros_like(targets.rows), steps, 1e-6)
    dual = dual * targets.scale[:, None].to(dual)
    gain = logs.exp()
    return torch.cat(
        [gain[:, [i]] * (dual @ banded.design.columns(band)) for i, band in enumerate(banded.bands)], dim=1
    )


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
