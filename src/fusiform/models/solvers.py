"""Ridge regression as functions on arrays: what scores every alpha on each fold, and weights at the best one.

Shapes: N samples (n in training, M held out), P features, V targets, A alphas, R basis filters, Q as in `design`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.models.decompose import Training, decompose, level, training_share
from fusiform.models.design import BLOCK, Design, blocks, to_numpy
from fusiform.models.folds import Split
from fusiform.models.heldout import Fold
from fusiform.models.precision import product
from fusiform.models.spectra import FilterBasis, filter_basis, pieced_basis

__all__ = ["fold_of", "make_fold", "make_folds", "onto_features", "ridge_weights", "rotates", "scaled"]


def make_fold(
    design: Design,
    split: Split,
    alphas: NDArray[np.float64],
    tolerance: float,
    targets: int | None = None,
    precise: bool = False,
) -> Fold:
    """Decompose the training samples of a fold and make what predicts its held-out ones for a grid of alphas.

    Args:
        design: the features.
        split: positions of training and of held-out samples.
        alphas: [A].
        tolerance: bound on the error of held-out predictions by mixing basis filters, relative to the target's rms.
        targets: how many will be predicted; None: very many.
        precise: as in `decompose`.
    """
    return fold_of(design, decompose(design, split, float(alphas.min()), precise), alphas, tolerance, targets)


def make_folds(
    design: Design, folds: Sequence[Split], alphas: NDArray[np.float64], tolerance: float, targets: int | None = None
) -> list[Fold]:
    """`make_fold` of each; once one needed float64, the others are decomposed in it at once."""
    made: list[Fold] = []
    for split in folds:
        made.append(make_fold(design, split, alphas, tolerance, targets, precise=bool(made) and made[-1].precise))
    return made


def fold_of(
    design: Design, training: Training, alphas: NDArray[np.float64], tolerance: float, targets: int | None = None
) -> Fold:
    """What predicts the held-out samples of a decomposed fold."""
    train, test, left = training.train, training.test, training.left
    reach = training.held.double().norm(dim=0) * (1 if design.dual else training.values.sqrt())
    scale = float(design.root[test].norm() / design.root[train].norm())
    turn, held = _fewer_rows(training.held.to(design.root.dtype))
    asked = to_numpy(training.values), to_numpy(reach), alphas, tolerance * scale
    single, pieced = filter_basis(*asked), pieced_basis(*asked)
    rows, size = held.shape
    rotated = rotates(single.rank, pieced.load / size, rows, size, targets)
    basis = pieced if rotated else single
    return Fold(
        train=train,
        test=test,
        left=left,
        left_rows=None if left is None or design.dual else design.rows[left],
        level=level(design, train, left).to(design.root.dtype),
        share=training_share(design, train),
        operators=_stacks(basis, held) if rotated else [_operator(basis, held, training.vectors)],
        rotation=training.vectors.to(design.root.dtype) if rotated else None,
        turn=turn,
        basis=basis,
        precise=training.values.dtype == torch.float64,
    )


def rotates(single: float, each: float, held: int, size: int, targets: int | None) -> bool:
    """Whether it is cheaper to rotate the covariates than the operators onto the eigenvectors.

    Rotated covariates can be predicted from in pieces; but each target takes Q^2 operations, an operator only once.

    Args:
        single: basis filters in one piece.
        each: of several pieces, those on one eigenvalue, on average.
        held: M rows.
        size: Q.
        targets: V; None: very many.
    """
    once = 0.0 if targets is None else size / targets
    return size + held * each < held * single * (1 + once)


def ridge_weights(covariates: Tensor, values: Tensor, vectors: Tensor, alphas: Tensor, least: float) -> Tensor:
    """Ridge weights [V, Q] of every target at its own alpha.

    Args:
        covariates: [V, Q], in whose precision it is done.
        values: [Q] eigenvalues.
        vectors: [Q, Q].
        alphas: [V], not negative.
        least: up to this sum of eigenvalue and alpha a direction has no weights.
    """
    vectors = vectors.to(covariates)
    total = values.to(covariates) + alphas[:, None].to(covariates)
    filters = total.masked_fill_(total <= least, torch.inf).reciprocal_()
    return product(product(covariates, vectors.T).mul_(filters), vectors)


def onto_features(design: Design, weights: Tensor, found: NDArray[Any]) -> None:
    """Write weights [V, Q] as weights on the features of the source to `found` [V, P].

    In the dual all features are read, a block of columns at a time.
    """
    if not design.dual:
        found[:] = design.on_features(weights).cpu().numpy()
        return
    for part in blocks(len(design.mean), len(design.root), BLOCK):
        carried = weights @ design.columns(part)
        found[:, part] = (carried if design.scale is None else carried * design.scale[part].to(carried)).cpu().numpy()


def scaled(design: Design, scale: Tensor, gram: Tensor) -> Design:
    """The design with features times `scale` [P], whose Gram matrix is `gram`."""
    rows = design.rows if design.dual else design.rows * scale.to(design.rows)
    return replace(design, rows=rows, gram=gram, scale=scale)


def _operator(basis: FilterBasis, held: Tensor, vectors: Tensor) -> Tensor:
    """What turns covariates into basis predictions, [R * M, Q]."""
    [stack] = _stacks(basis, held)
    return stack @ vectors.to(held.dtype).T


def _stacks(basis: FilterBasis, held: Tensor) -> list[Tensor]:
    """The same for covariates on the eigenvectors, by piece: held-out rows [M, q] times r filters, [r * M, q]."""
    filters = torch.as_tensor(basis.basis).to(held)
    return [(filters[rows, None, part] * held[:, part]).flatten(0, 1) for rows, part in basis.pieces]


def _fewer_rows(rotated: Tensor) -> tuple[Tensor | None, Tensor]:
    """Held-out rows [M, Q] as Q rows that predict the same up to a rotation, where that is fewer."""
    if len(rotated) <= 1.25 * rotated.shape[1]:
        return None, rotated
    turn, fewer = torch.linalg.qr(rotated)
    return turn, fewer
