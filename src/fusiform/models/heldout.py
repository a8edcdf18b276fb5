"""Held-out samples that are scored for a whole grid of alphas at once.

A fold's operators make all basis predictions of a batch of targets by matrix products with their covariates [V, Q];
what any alpha's score needs is in the products of those predictions with each other and the target.

Shapes: N samples (n in training, M held out), P features, V targets, A alphas, R basis filters, Q as in `design`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal, Protocol

import torch
from torch import Tensor

from fusiform.models.design import Design, Targets, blocks
from fusiform.models.precision import product
from fusiform.models.spectra import FilterBasis

__all__ = ["Fold", "Scoring", "Search", "accuracy", "correlation", "exact_product", "fold_scores", "scores"]

Scoring = Literal["mse", "r2", "pearson"]
LANES = 8  # numbers that a processor multiplies at once: small matrices of a multiple of it are fast
FLAT = 100  # roundings up to which what varies about a mean does not


class Search(Protocol):
    """Held-out samples that can be scored for a whole grid of alphas."""

    @property
    def basis(self) -> FilterBasis:
        """The basis filters."""

    @property
    def precise(self) -> bool:
        """Whether it was decomposed in float64."""

    @property
    def left(self) -> slice | Tensor | None:
        """Positions whose covariates are taken off the total; None: it makes its own."""

    def only(self, place: int) -> "Search":
        """The search over one value of the grid."""

    def left_out(self, targets: Targets) -> Tensor | None:
        """Covariates [V, Q] of those positions."""

    def curves(
        self, design: Design, targets: Targets, total: Tensor, left_out: Tensor | None, scoring: Scoring
    ) -> Tensor:
        """Score of every alpha, [V, A], in units of the standardised targets; higher is better.

        Args:
            design: the features.
            targets: V of them.
            total: [V, Q] covariates of all samples.
            left_out: what the method of that name gave.
            scoring: which score.
        """


@dataclass(frozen=True)
class Products:
    """Of basis predictions, the target and the direction of the intercept with each other, on held-out samples.

    Args:
        values: [V, R + 2, R + 2] in float64, the target's and the intercept's last.
        true: [V, M] the targets, about their training mean.
        root: [M] direction of the intercept.
    """

    values: Tensor
    true: Tensor
    root: Tensor


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

    def only(self, place: int) -> "Fold":
        """The fold with one alpha of the grid."""
        return replace(self, basis=self.basis.only(place))

    def left_out(self, targets: Targets) -> Tensor | None:
        """Covariates [V, P] of the samples that are not trained on."""
        return None if self.left_rows is None else product(targets.rows[:, self.left], self.left_rows.T)

    def curves(
        self, design: Design, targets: Targets, total: Tensor, left_out: Tensor | None, scoring: Scoring
    ) -> Tensor:
        """Held-out score of every alpha, [V, A]."""
        mean, mix = self.mean(targets), torch.as_tensor(self.basis.mix, device=total.device)
        covariates = self.covariates(design, targets, mean, total, left_out)
        return scores(self.products(design, targets, mean, covariates), mix, scoring)

    def mean(self, targets: Targets) -> Tensor:
        """Of the training samples, [V], zero without an intercept."""
        return targets.rows @ self.share

    def products(self, design: Design, targets: Targets, mean: Tensor, covariates: Tensor) -> Products:
        """Those of the basis predictions of some targets."""
        root = design.root[self.test]
        true = torch.addr(targets.rows[:, self.test], mean, root, alpha=-1)  # [V, M]
        rank, held = self.basis.rank, sum(map(len, self.operators)) // self.basis.rank
        buffer = design.scratch.take(covariates, len(covariates), rows_of(rank), held)
        covariates = covariates if self.rotation is None else product(covariates, self.rotation.T)
        for (filters, part), operator in zip(self.basis.pieces, self.operators, strict=True):
            buffer[:, filters] = product(covariates[:, part], operator).view(len(buffer), -1, held)
        buffer[:, rank] = true if self.turn is None else true @ self.turn
        buffer[:, rank + 1] = root if self.turn is None else root @ self.turn
        buffer[:, rank + 2 :] = 0.0
        products = torch.bmm(buffer, buffer.mT)[:, : rank + 2, : rank + 2].double()
        if self.turn is not None:  # what the rotation left out touches only the target and the root
            products[:, -2, -2] = true.square().sum(1)
            products[:, -2, -1] = products[:, -1, -2] = true @ root
            products[:, -1, -1] = root.square().sum()
        return Products(products, true, root)

    def covariates(
        self, design: Design, targets: Targets, mean: Tensor, total: Tensor, left_out: Tensor | None
    ) -> Tensor:
        """Covariates [V, Q] of the training rows about their mean: X'y (primal) or y (dual)."""
        if design.dual:
            return torch.addr(targets.rows[:, self.train], mean, design.root[self.train], alpha=-1)
        inside = targets.rows[:, self.train] @ design.rows[self.train] if left_out is None else total - left_out
        return inside.addr_(mean, self.level, alpha=-1) if design.centred else inside

    def exact_covariates(self, design: Design, targets: Targets) -> Tensor:
        """The same in the primal, [V, P] in float64."""
        mean, root = targets.rows.double() @ self.share.double(), design.root[self.train].double()
        rows = torch.addr(targets.rows[:, self.train].double(), mean, root, alpha=-1)
        return exact_product(rows, design.rows[self.train])


def fold_scores(
    searches: Sequence[Search], design: Design, targets: Targets, scoring: Scoring
) -> tuple[Tensor, Tensor]:
    """Scores of every fold, [F, V, A], in the units of the targets, and the covariates of all samples, [V, Q]."""
    left_out = [search.left_out(targets) for search in searches]
    total = _total(searches, left_out, design, targets)
    curves = [
        search.curves(design, targets, total, left, scoring) for search, left in zip(searches, left_out, strict=True)
    ]
    found = torch.stack(curves)
    return (found * targets.scale[:, None].square() if scoring == "mse" else found), total


def rows_of(rank: int) -> int:
    """Rows of the small matrices of that many basis predictions, the target and the root."""
    return -(-(rank + 2) // LANES) * LANES


def _total(searches: Sequence[Search], left_out: Sequence[Tensor | None], design: Design, targets: Targets) -> Tensor:
    """Covariates of all samples: the sum of those left out, where every sample is left out once."""
    times = torch.zeros_like(design.root)
    parts = [part for part in left_out if part is not None]
    for search in searches:
        if search.left is not None:
            times[search.left] += 1
    if len(parts) == len(searches) and bool((times == 1).all()):
        return reduce(torch.add, parts)
    return design.total(targets)


def scores(products: Products, mix: Tensor, scoring: Scoring) -> Tensor:
    """Scores [V, A] of predictions that are mixed from basis predictions.

    Args:
        products: of the basis predictions.
        mix: [A, R], or [V, A, R] where each target has its own alphas.
        scoring: which score.
    """
    every, true, root = products.values, products.true, products.root
    if scoring == "pearson":
        cross, level = (_linear(every[:, :-2, place], mix) for place in (-2, -1))
        return correlation(_quadratic(every[:, :-2, :-2], mix), cross, level, true, root)
    missed = torch.cat([mix, mix.new_full((*mix.shape[:-1], 1), -1.0)], dim=-1)  # the prediction less the target
    return accuracy(_quadratic(every[:, :-1, :-1], missed).clamp(min=0), true, root, scoring)


def accuracy(error: Tensor, true: Tensor, root: Tensor, scoring: Scoring) -> Tensor:
    """Negated mean squared error or R2, [V, A].

    Args:
        error: [V, A] sum of squared errors, in float64.
        true: [V, M] targets.
        root: [M] direction of the intercept.
        scoring: which score.
    """
    if scoring == "mse":
        return -error / root.double().square().sum()
    spread = _spread(true, root)
    return _ratio(spread - error, spread)


def correlation(power: Tensor, cross: Tensor, level: Tensor, true: Tensor, root: Tensor) -> Tensor:
    """Pearson's r, [V, A], from products [V, A] of predictions with themselves, target and root, in float64."""
    size, mean = root.double().square().sum(), (true @ root)[:, None].double()
    varied = power - level.square() / size
    varied = torch.where(varied <= FLAT * torch.finfo(true.dtype).eps * power, 0.0, varied)
    return _ratio(cross - level * mean / size, (varied * _spread(true, root)).sqrt())


def _spread(true: Tensor, root: Tensor) -> Tensor:
    """Sum of squares of targets [V, M] about their mean, [V, 1] in float64; zero where it is nothing but rounding."""
    beside = torch.addr(true, true @ root, root, alpha=-1 / float(root.square().sum()))
    spread, own = (part.square().sum(1, keepdim=True).double() for part in (beside, true))
    return torch.where(spread <= (FLAT * torch.finfo(true.dtype).eps) ** 2 * own, 0.0, spread)


def exact_product(rows: Tensor, features: Tensor) -> Tensor:
    """Targets [V, n] times features [n, P] in float64, [V, P], a block of samples at a time."""
    found = rows.new_zeros(len(rows), features.shape[1], dtype=torch.float64)
    for part in blocks(*features.shape):
        found.addmm_(rows[:, part].double(), features[part].double())
    return found


def _linear(along: Tensor, mix: Tensor) -> Tensor:
    """Products [V, R] of every target, mixed for every alpha, [V, A]."""
    return along @ mix.T if mix.ndim == 2 else (mix @ along[..., None])[..., 0]


def _quadratic(inner: Tensor, mix: Tensor) -> Tensor:
    """mix' inner mix for every target and alpha, [V, A]; one matrix product where the mix is shared."""
    if mix.ndim == 3:
        return ((mix @ inner) * mix).sum(2)
    pairs = mix[:, :, None] * mix[:, None, :]  # [A, R, R]
    return inner.flatten(1) @ pairs.flatten(1).T


def _ratio(top: Tensor, bottom: Tensor) -> Tensor:
    """Their ratio; zero where the bottom is: a constant explains nothing."""
    return torch.where(bottom > 0, top / torch.where(bottom > 0, bottom, 1.0), 0.0)
