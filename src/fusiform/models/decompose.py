"""The training samples of a fold, decomposed: its Gram matrix from that of all samples, about its own mean.

Shapes: N samples (n in training, M held out), P features, Q as in `design`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.models.design import Design, add_squares
from fusiform.models.folds import Split
from fusiform.models.spectra import resolved, spectrum

__all__ = ["Training", "decompose", "dual_parts", "level", "positions", "training_share"]

COARSE = 3e-3  # largest relative error of a filter by float32 decomposition


@dataclass(frozen=True)
class Training:
    """The training samples of a fold, decomposed.

    Args:
        train: [n] positions, a slice where they are contiguous.
        test: [M] positions.
        left: positions not trained on, whose part is taken off the total; None: covariates are made directly.
        held: [M, Q] held-out rows on the eigenvectors.
        values: [Q] eigenvalues.
        vectors: [Q, Q]; zero where the eigenvalue is zero but for rounding.
    """

    train: slice | Tensor
    test: slice | Tensor
    left: slice | Tensor | None
    held: Tensor
    values: Tensor
    vectors: Tensor


def decompose(design: Design, split: Split, smallest: float, precise: bool = False) -> Training:
    """Decompose the training Gram matrix of a fold, once for all alphas and targets.

    In the precision of the design if that serves the smallest alpha, else in float64: a float32 decomposition moves
    eigenvalues by about a rounding of the largest, and the filter 1 / (s + alpha) errs by that over s + alpha.

    Args:
        design: the features.
        split: positions of training and of held-out samples.
        smallest: alpha.
        precise: in float64 at once.
    """
    train, test = (positions(rows, design) for rows in split)
    left = _left_out(split, design)
    gram, held = dual_parts(design, *split) if design.dual else _primal_parts(design, train, test, left)
    values, vectors = spectrum(gram if precise else gram.to(design.root.dtype))
    if values.dtype == torch.float32 and _too_coarse(values, smallest, design):
        values, vectors = spectrum(gram)
    vectors = resolved(values, vectors)
    if design.dual and design.centred:
        vectors[:, 0] = 0.0  # the mean's own
    return Training(train, test, left, held.to(vectors) @ vectors, values, vectors)


def _too_coarse(values: Tensor, smallest: float, design: Design) -> bool:
    lowest = values[1 if design.dual and design.centred and len(values) > 1 else 0]  # the mean's own is zero
    return bool(torch.finfo(torch.float32).eps * values[-1] > COARSE * (lowest + smallest))


def positions(rows: NDArray[np.int64], design: Design) -> slice | Tensor:
    """Positions, as a slice (whose rows are read in place) where they are contiguous."""
    if len(rows) and (np.diff(rows) == 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return torch.as_tensor(rows, device=design.root.device)


def _left_out(split: Split, design: Design) -> slice | Tensor | None:
    """Positions to take off the total, where they are fewer than the training samples and none is trained on twice."""
    train, _ = split
    left = np.setdiff1d(np.arange(len(design.root)), train)
    if len(left) + len(train) != len(design.root) or len(left) >= len(train) or not len(left):
        return None
    return positions(left, design)


def _primal_parts(
    design: Design, train: slice | Tensor, test: slice | Tensor, left: slice | Tensor | None
) -> tuple[Tensor, Tensor]:
    """Training Gram [P, P] and held-out rows [M, P] about the training mean, in float64."""
    root, held = design.root[train].double(), design.rows[test].double()
    inside = design.rows[train].double() if left is None else design.rows[left].double()
    gram = torch.zeros_like(design.gram) if left is None else design.gram.clone()
    add_squares(gram, inside.T, sign=1 if left is None else -1)
    if not design.centred:
        return gram, held
    size = root.square().sum()
    mean = level(design, train, left) / size
    return gram.addr_(mean, mean, alpha=-float(size)), torch.addr(held, design.root[test].double(), mean, alpha=-1)


def level(design: Design, train: slice | Tensor, left: slice | Tensor | None) -> Tensor:
    """Sum of the weighed training rows along the root, [P] in float64; by what is left out where that is less to read.

    A fold's mean may be large beside what varies within the fold; its rounding would be that of the Gram matrix.
    """
    if left is None:
        return design.rows[train].double().T @ design.root[train].double()
    return design.level - design.rows[left].double().T @ design.root[left].double()


def training_share(design: Design, train: slice | Tensor) -> Tensor:
    """What takes a weighed target [N] to its mean along the training samples' root, [N]."""
    root = design.root[train]
    share = torch.zeros_like(design.root)
    if not design.centred:
        return share
    every = torch.arange(len(share), device=share.device)[train]
    return share.index_add_(0, every, root / root.square().sum())  # a sample may be trained on twice


def dual_parts(design: Design, train: NDArray[np.int64], test: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Training Gram [n, n] and that of held-out with training rows [M, n], about the training mean."""
    inside, outside = (torch.as_tensor(rows, device=design.gram.device) for rows in (train, test))
    gram, held = design.gram[inside[:, None], inside], design.gram[outside[:, None], inside]
    if not design.centred:
        return gram, held
    root = design.root.double()
    unit = root[inside] / root[inside].norm()
    level = gram @ unit  # [n]
    held.addr_(root[outside] / root[inside].norm(), level, alpha=-1)
    along = level - 0.5 * (unit @ level) * unit  # half of what both sides take off
    gram.addr_(unit, along, alpha=-1).addr_(along, unit, alpha=-1)
    return gram, held.addr_(held @ unit, unit, alpha=-1)
