"""Ridge regression as functions on arrays: every alpha's held-out score per target, and weights at the best one.

A fold's operators make all basis predictions of a batch of targets by matrix products with their covariates [V, Q];
what any alpha's score needs is in the products of those predictions with each other and the target.

Shapes: N samples (n in training, M held out), P features, V targets, A alphas, R basis filters, Q as in `design`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.models.decompose import Training, decompose
from fusiform.models.design import Design, Targets, to_numpy
from fusiform.models.folds import Split
from fusiform.models.spectra import FilterBasis, filter_basis, pieced_basis, spectrum

__all__ = [
    "Fold",
    "LeaveOneOut",
    "Scoring",
    "Search",
    "fold_of",
    "fold_scores",
    "make_fold",
    "make_folds",
    "make_leave_one_out",
    "ridge_weights",
    "scaled",
    "scores",
]

Scoring = Literal["mse", "r2", "pearson"]
ROTATED = (
    12  # fewer targets than this for each held-out row are better rotated onto the eigenvectors than the rows back
)


class Search(Protocol):
    """Held-out samples that can be scored for a whole grid of alphas."""

    @property
    def basis(self) -> FilterBasis:
        """The basis filters."""

    @property
    def precise(self) -> bool:
        """Whether it was decomposed in float64."""

    def curves(self, design: Design, targets: Targets, total: Tensor, scoring: Scoring) -> Tensor:
        """Score of every alpha, [V, A], in units of the standardised targets; higher is better."""


@dataclass(frozen=True)
class Fold:
    """What predicts the held-out samples of one fold for a whole grid of alphas.

    Args:
        train: as in `Training`, like `test` and `left`.
        test: [M] positions.
        left: positions not trained on, or None.
        left_rows: [N - n, P] their rows of the design.
        level: [P] sum of the weighed training rows along `root`; empty in the dual.
        share: [N] what takes a target to its training mean; zero without an intercept.
        operators: [r * M, q] for the r filters on each piece of q covariates.
        rotation: [Q, Q] onto the eigenvectors, for the covariates, if the operators were left on those; else None.
        turn: [M, q] orthonormal columns if held-out rows were rotated into fewer, q = P < M; else None.
        basis: of filters.
        precise: it was decomposed in float64.
    """

    train: slice | Tensor
    test: slice | Tensor
    left: slice | Tensor | None
    left_rows: Tensor | None
    level: Tensor
    share: Tensor
    operators: list[Tensor]
    rotation: Tensor | None
    turn: Tensor | None
    basis: FilterBasis
    precise: bool

    def curves(self, design: Design, targets: Targets, total: Tensor, scoring: Scoring) -> Tensor:
        """Held-out score of every alpha, [V, A]."""
        mix = torch.as_tensor(self.basis.mix, device=total.device)
        return scores(self.products(design, targets, self.covariates(design, targets, total)), mix, scoring)

    def products(self, design: Design, targets: Targets, covariates: Tensor) -> Tensor:
        """Basis predictions, target and intercept direction times each other, [V, R + 2, R + 2] in float64."""
        mean = targets.rows @ self.share  # [V]
        true = targets.rows[:, self.test] - mean[:, None] * design.root[self.test]  # [V, M]
        root = design.root[self.test]
        held = sum(map(len, self.operators)) // self.basis.rank
        buffer = covariates.new_empty(len(covariates), self.basis.rank + 2, held)
        covariates = covariates if self.rotation is None else covariates @ self.rotation
        for (filters, part), operator in zip(self.basis.pieces, self.operators, strict=True):
            torch.mm(covariates[:, part], operator.T, out=buffer[:, filters].view(len(buffer), -1))
        buffer[:, -2] = true if self.turn is None else true @ self.turn
        buffer[:, -1] = root if self.turn is None else root @ self.turn
        products = torch.bmm(buffer, buffer.mT).double()
        if self.turn is not None:  # what the rotation left out touches only the target and the root
            products[:, -2, -2] = true.square().sum(1)
            products[:, -2, -1] = products[:, -1, -2] = true @ root
            products[:, -1, -1] = root.square().sum()
        return products

    def covariates(self, design: Design, targets: Targets, total: Tensor) -> Tensor:
        """Covariates [V, Q] of the training rows about their mean: X'y (primal) or y (dual)."""
        mean = targets.rows @ self.share  # [V]
        if design.dual:
            return targets.rows[:, self.train] - mean[:, None] * design.root[self.train]
        if self.left is None or self.left_rows is None:
            inside = targets.rows[:, self.train] @ design.rows[self.train]
        else:
            inside = torch.addmm(total, targets.rows[:, self.left], self.left_rows, alpha=-1)
        return inside.addr_(mean, self.level, alpha=-1) if design.centred else inside


@dataclass(frozen=True)
class LeaveOneOut:
    """Every sample held out alone, in closed form: its residual over one minus its leverage.

    Args:
        operator: [R * N, Q], the basis of fitted values.
        stretch: [A, N] 1 / (1 - leverage).
        basis: of filters.
        precise: it was decomposed in float64.
    """

    operator: Tensor
    stretch: Tensor
    basis: FilterBasis
    precise: bool = True

    def curves(self, design: Design, targets: Targets, total: Tensor, scoring: Scoring) -> Tensor:
        """Score of every alpha, [V, A], over all samples at once (a sample alone has no r2)."""
        mix = torch.as_tensor(self.basis.mix).to(total)
        step = max(1, 2**24 // self.stretch.numel())
        edges = range(0, len(total), step)
        parts = [self._part(design, targets.rows[i : i + step], total[i : i + step], mix, scoring) for i in edges]
        return torch.cat(parts)

    def _part(self, design: Design, rows: Tensor, total: Tensor, mix: Tensor, scoring: Scoring) -> Tensor:
        fitted = (total @ self.operator.T).view(len(rows), self.basis.rank, -1)
        error = (rows[:, None] - mix @ fitted) * self.stretch  # [V, A, N]
        pred = torch.cat([rows[:, None] - error, rows[:, None], design.root.expand_as(rows)[:, None]], dim=1)
        every = torch.eye(len(mix), device=rows.device, dtype=torch.float64)
        return scores(torch.bmm(pred, pred.mT).double(), every, scoring)


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
        targets: how many will be predicted; fewer than R * M are better rotated than the operator is.
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
    reach = training.held.norm(dim=0) * (1 if design.dual else training.values.sqrt())
    scale = float(design.root[test].norm() / design.root[train].norm())
    turn, held = _fewer_rows(training.held.to(design.root.dtype))
    asked = to_numpy(training.values), to_numpy(reach), alphas, tolerance * scale
    rotated = targets is not None and targets < ROTATED * len(held)
    basis = pieced_basis(*asked) if rotated else filter_basis(*asked)
    return Fold(
        train=train,
        test=test,
        left=left,
        left_rows=None if left is None or design.dual else design.rows[left],
        level=design.rows[train].T @ design.root[train],
        share=_share(design, train),
        operators=_stacks(basis, held) if rotated else [_operator(basis, held, training.vectors)],
        rotation=training.vectors.to(design.root.dtype) if rotated else None,
        turn=turn,
        basis=basis,
        precise=training.values.dtype == torch.float64,
    )


def make_leave_one_out(design: Design, alphas: NDArray[np.float64], tolerance: float) -> LeaveOneOut:
    """Decompose the whole Gram matrix, once for all samples, alphas and targets.

    The weighed leverage of sample i is sum_q u_iq^2 s_q / (s_q + alpha), plus its share of the weights with an
    intercept; its left-out residual is the fitted one over one minus that (Allen 1974, Technometrics 16).
    """
    values, vectors = spectrum(design.gram)
    held = design.gram if design.dual else design.rows.double()
    rotated = held @ vectors  # [N, Q]; u sqrt(s), or u s
    power = rotated.square() if not design.dual else vectors.square() * values
    grid = torch.as_tensor(alphas, device=values.device)[:, None]
    share = design.root.double().square() / design.root.double().square().sum()
    leverage = (1 / (values + grid)) @ power.T + (share if design.centred else 0.0)  # [A, N]
    reach = rotated.norm(dim=0) * (1 if design.dual else values.sqrt())
    stretch = 1 / (1 - leverage).clamp(min=1e-12)
    basis = filter_basis(to_numpy(values), to_numpy(reach), alphas, tolerance / float(stretch.max().clamp(max=100)))
    return LeaveOneOut(_operator(basis, rotated.to(design.root.dtype), vectors), stretch.to(design.root.dtype), basis)


def ridge_weights(covariates: Tensor, values: Tensor, vectors: Tensor, alphas: Tensor) -> Tensor:
    """Ridge weights [V, Q] of every target at its own alpha [V], from covariates [V, Q] and a spectrum."""
    total = values + alphas[:, None].to(values)
    null = (alphas[:, None] == 0) & (total <= len(values) * torch.finfo(values.dtype).eps * values.max())
    return (covariates @ vectors * torch.where(null, 0.0, 1 / total)) @ vectors.T


def scores(products: Tensor, mix: Tensor, scoring: Scoring) -> Tensor:
    """Scores [V, A] from the products [V, R + 2, R + 2] of basis predictions, target and root with each other.

    Args:
        products: in float64.
        mix: [A, R], or [V, A, R] where each target has its own alphas.
        scoring: which score.
    """
    inner, cross, level = products[:, :-2, :-2], mix @ products[:, :-2, -2:-1], mix @ products[:, :-2, -1:]
    power, cross, level = _quadratic(inner, mix), cross[..., 0], level[..., 0]  # [V, A]
    own, size = products[:, -2, -2, None], products[:, -1, -1, None]
    error = (power - 2 * cross + own).clamp(min=0)
    if scoring == "mse":
        return -error / size
    mean = products[:, -2, -1, None] / size
    spread = own - mean.square() * size
    if scoring == "r2":
        return _ratio(spread - error, spread, own)
    varied = (power - level.square() / size).clamp(min=0)
    return _ratio(cross - level * mean, (varied * spread).sqrt(), (power * own).sqrt())


def fold_scores(
    searches: Sequence[Search], design: Design, targets: Targets, total: Tensor, scoring: Scoring
) -> Tensor:
    """Scores of every fold, [F, V, A], in the units of the targets."""
    found = torch.stack([search.curves(design, targets, total, scoring) for search in searches])
    return found * targets.scale[:, None].square() if scoring == "mse" else found


def scaled(design: Design, scale: Tensor, gram: Tensor) -> Design:
    """The design with features times `scale` [P], whose Gram matrix is `gram`."""
    rows = design.rows if design.dual else design.rows * scale.to(design.rows)
    return replace(design, rows=rows, gram=gram, scale=scale)


def _share(design: Design, train: slice | Tensor) -> Tensor:
    """What takes a weighed target [N] to its mean along the training samples' root, [N]."""
    root = design.root[train]
    share = torch.zeros_like(design.root)
    if not design.centred:
        return share
    every = torch.arange(len(share), device=share.device)[train]
    return share.index_add_(0, every, root / root.square().sum())  # a sample may be trained on twice


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


def _quadratic(inner: Tensor, mix: Tensor) -> Tensor:
    """mix' inner mix for every target and alpha, [V, A]; one matrix product where the mix is shared."""
    if mix.ndim == 3:
        return ((mix @ inner) * mix).sum(2)
    pairs = mix[:, :, None] * mix[:, None, :]  # [A, R, R]
    return inner.flatten(1) @ pairs.flatten(1).T


def _ratio(top: Tensor, bottom: Tensor, whole: Tensor) -> Tensor:
    """Their ratio; zero where the bottom is nothing but rounding of the whole: a constant explains nothing."""
    flat = bottom <= 1e-10 * whole
    return torch.where(flat, 0.0, top / torch.where(flat, 1.0, bottom))
