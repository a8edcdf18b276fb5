"""Folds in closed form, from the decomposition of all samples: none has to be decomposed by itself.

Where a ridge fit to all samples has the hat matrix H, the same fit without the samples g errs on these by
(I - H_gg)^-1 (y - H y)_g (An, Liu & Venkatesh 2007, Pattern Recognition 40: 2154-2162; of one sample, Allen's PRESS).
So the other samples t predict them by (I - H_gg)^-1 H_gt. That is made for a few alphas, the nodes, and mixed for all
others. It is done in the dual, where H is as large as what is decomposed.

Shapes: N samples (n in training, M held out, L left out: those held out and perhaps gaps), V targets, A alphas, K
nodes, Q = N eigenvalues.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.models.decompose import positions, training_share
from fusiform.models.design import Design, add_squares
from fusiform.models.folds import Split
from fusiform.models.heldout import Fold
from fusiform.models.nodes import make_nodes
from fusiform.models.spectra import FilterBasis

__all__ = ["leave_group_out", "pays"]

SPECTRUM = 10  # multiplications in float32 that take as long as a decomposition in float64, over Q^3
EACH = 3.6  # filters on an eigenvalue of a fold that is decomposed by itself, on average
ROUNDING = 0.1  # share of the tolerance that rounding may take


def leave_group_out(
    design: Design,
    folds: Sequence[Split],
    alphas: NDArray[np.float64],
    tolerance: float,
    targets: int,
    values: Tensor,
    vectors: Tensor,
) -> list[Fold] | None:
    """What scores the folds; None where they are decomposed sooner by themselves, or where rounding would be felt.

    Args:
        design: the features.
        folds: positions of training and of held-out samples.
        alphas: [A].
        tolerance: as in `make_fold`.
        targets: how many will be predicted.
        values: [Q] eigenvalues of all samples, in float64.
        vectors: [Q, Q], zero where the eigenvalue is.
    """
    groups = [np.setdiff1d(np.arange(len(design.root)), train) for train, _ in folds]
    if not design.dual or not all(map(_is_left_out, folds, groups)):
        return None
    if float(alphas.min()) <= 0 or float(values[-1]) <= 0:
        return None
    nodes, basis = make_nodes(values, alphas, tolerance)
    if not pays([(len(train), len(test)) for train, test in folds], targets, len(nodes)):
        return None
    operators = _operators(design, folds, groups, nodes, ROUNDING * tolerance, values, vectors)
    if operators is None:
        return None
    return [_fold(design, split, stack, basis) for split, stack in zip(folds, operators, strict=True)]


def _is_left_out(split: Split, group: NDArray[np.int64]) -> bool:
    """Whether the closed form holds: no sample is trained on twice, and held-out ones are not trained on."""
    train, test = split
    return len(np.unique(train)) == len(train) and len(test) > 0 and bool(np.isin(test, group).all())


def pays(folds: Sequence[tuple[int, int]], targets: int, nodes: int) -> bool:
    """Whether this takes fewer multiplications than to decompose every fold, and to rotate the targets onto it.

    Args:
        folds: how many samples each trains on, and holds out.
        targets: V.
        nodes: K.
    """
    samples = max(map(sum, folds))
    shared, own = 1.1 * nodes * samples**3, 0.0
    for train, test in folds:
        predictions = nodes * train * test
        shared += 2 * nodes * test**2 * samples + targets * predictions
        own += SPECTRUM * train**3 + targets * min(predictions, train**2 + EACH * train * test)
    return shared < own


def _operators(
    design: Design,
    folds: Sequence[Split],
    groups: Sequence[NDArray[np.int64]],
    nodes: NDArray[np.float64],
    rounding: float,
    values: Tensor,
    vectors: Tensor,
) -> list[Tensor] | None:
    """What predicts from training targets about their mean, [K, M, n] of each fold; None where it is not safe."""
    made = [design.root.new_empty(len(nodes), len(test), len(train)) for train, test in folds]
    for node, alpha in enumerate(nodes.tolist()):
        hat = torch.zeros_like(vectors)
        add_squares(hat, vectors * (values / (values + alpha)).sqrt().to(vectors))  # but for the mean's part
        for found, (train, test), group in zip(made, folds, groups, strict=True):
            inverse = _inverse(design, hat, torch.as_tensor(group, device=hat.device))
            if node == 0 and not _is_safe(inverse, design.root.dtype, rounding):
                return None
            outside = inverse[np.searchsorted(group, test)].to(hat)  # [M, L]
            torch.mm(outside, hat[positions(group, design)][:, positions(train, design)], out=found[node])
    return made


def _inverse(design: Design, hat: Tensor, group: Tensor) -> Tensor:
    """(I - H_gg)^-1, [L, L] in float64; infinite where the left-out samples alone know of a direction."""
    left = -hat[group[:, None], group].double()
    left.diagonal().add_(1)
    if design.centred:
        unit = design.root[group].double() / design.root.double().norm()
        left.addr_(unit, unit, alpha=-1)
    lower, failed = torch.linalg.cholesky_ex(left)
    return torch.full_like(left, torch.inf) if failed else torch.cholesky_inverse(lower)


def _is_safe(inverse: Tensor, dtype: torch.dtype, rounding: float) -> bool:
    """Whether roundings that the inverse [L, L] enlarges stay small; at the smallest alpha it does so most."""
    if not inverse.isfinite().all():
        return False
    return torch.finfo(dtype).eps * float(torch.linalg.eigvalsh(inverse)[-1]) <= rounding


def _fold(design: Design, split: Split, operators: Tensor, basis: FilterBasis) -> Fold:
    train, test = (positions(rows, design) for rows in split)
    return Fold(
        train=train,
        test=test,
        left=None,
        left_rows=None,
        level=design.root.new_empty(0),
        share=training_share(design, train),
        operators=[operators.flatten(0, 1)],
        rotation=None,
        turn=None,
        basis=basis,
        precise=True,
    )
