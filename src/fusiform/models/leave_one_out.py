"""Every sample held out alone, in closed form, for a whole grid of alphas.

A left-out residual is the fitted one over one minus the sample's leverage (Allen 1974, Technometrics 16). With more
features than samples both of these differences go to nothing where alpha does, and their ratio would be one of
roundings. In the dual none is formed: the residual is alpha (K + alpha)^-1 y, one minus the leverage is
alpha [(K + alpha)^-1]_ii, and alpha cancels.

Shapes: N samples, P features, V targets, A alphas, R basis filters, Q as in `design`, q eigenvectors.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.models.design import Design, Targets, blocks, to_numpy
from fusiform.models.heldout import Scoring, accuracy, correlation, exact_product
from fusiform.models.spectra import FilterBasis, filter_basis, floor, lowest, resolved, shares, spectrum

__all__ = ["LeaveOneOut", "make_leave_one_out"]

TOGETHER = 1 << 23  # numbers of basis predictions held at once
ALPHAS = 8  # whose residuals are held at once
FELT = 0.1  # share of the tolerance that float32 may take; beyond it, float64
SMALL = 1e-6  # share of the largest prediction up to which alphas need not be told apart
NOTHING = 1e-12  # what is left of a sample with a leverage of one


@dataclass(frozen=True)
class LeaveOneOut:
    """Every sample held out alone.

    Args:
        vectors: [Q, q] onto the eigenvectors, for the covariates.
        rows: [N, q] what covariates on them add, once filtered, to fitted values or to residuals.
        stretch: [A, N] what makes a fitted residual a left-out one.
        basis: of filters.
        residual: the rows are of residuals, not of fitted values.
        precise: it was decomposed in float64.
    """

    vectors: Tensor
    rows: Tensor
    stretch: Tensor
    basis: FilterBasis
    residual: bool
    precise: bool = True
    left: None = None

    def only(self, place: int) -> "LeaveOneOut":
        """The same with one alpha of the grid."""
        return replace(self, stretch=self.stretch[[place]], basis=self.basis.only(place))

    def left_out(self, targets: Targets) -> None:
        """Nothing: it needs the total only."""

    def curves(
        self, design: Design, targets: Targets, total: Tensor, left_out: Tensor | None, scoring: Scoring
    ) -> Tensor:
        """Score of every alpha, [V, A], over all samples at once (a sample alone has no r2)."""
        rows, root = targets.rows.to(self.rows), design.root.to(self.rows)
        covariates = total.to(self.rows)  # in the dual the targets themselves
        if self.rows.dtype != total.dtype and not design.dual:
            rows = _about_mean(rows, root) if design.centred else rows
            covariates = exact_product(rows, design.rows)
        along = covariates @ self.vectors  # [V, q]
        step = max(1, TOGETHER // (self.basis.rank * sum(self.rows.shape)))
        parts = [self._scores(rows[part], along[part], root, scoring) for part in blocks(len(rows), 1, step)]
        return torch.cat(parts)

    def _scores(self, rows: Tensor, along: Tensor, root: Tensor, scoring: Scoring) -> Tensor:
        filters, mix = (torch.as_tensor(part).to(rows) for part in (self.basis.basis, self.basis.mix))
        made = (along[:, None] * filters) @ self.rows.T  # [V, R, N]
        found = []
        for some in blocks(len(mix), 1, ALPHAS):
            mixed = mix[some] @ made
            error = (mixed if self.residual else rows[:, None] - mixed) * self.stretch[some]
            found.append(_score(error, rows, root, scoring))
        return torch.cat(found, dim=1)


def make_leave_one_out(design: Design, alphas: NDArray[np.float64], tolerance: float) -> LeaveOneOut:
    """Decompose the whole Gram matrix, once for all samples, alphas and targets.

    Args:
        design: the features.
        alphas: [A].
        tolerance: bound on the error of left-out predictions by mixing basis filters, relative to the target's rms;
            where float32 would take too much of it, all is computed in float64.
    """
    grid = torch.as_tensor(alphas, device=design.gram.device)
    return (_dual if design.dual else _primal)(design, grid, tolerance)


def _primal(design: Design, alphas: Tensor, tolerance: float) -> LeaveOneOut:
    """Leverages are sum_q u_iq^2 s_q / (s_q + alpha), plus the sample's share of the weights with an intercept."""
    root = design.root.double()
    size = root.square().sum()
    mean = design.level / size if design.centred else torch.zeros_like(design.level)  # what rounding has left of it
    values, vectors = spectrum(design.gram.addr(mean, mean, alpha=-float(size)))
    vectors = resolved(values, vectors)
    parts = blocks(*design.rows.shape)
    rotated = torch.cat(
        [torch.addr(design.rows[part].double(), root[part], mean, alpha=-1) @ vectors for part in parts]
    )
    share = root.square() / size if design.centred else 0.0
    kept = (1 - (1 / (values + alphas[:, None])) @ rotated.square().T - share).clamp(
        min=NOTHING
    )  # [A, N]; rotated: u s
    least = kept.amin(1)
    felt = (values[-1] / (lowest(values) + alphas)).sqrt().clamp(min=1) / least
    basis = _basis(values, rotated.norm(dim=0) * values.sqrt(), alphas, least, tolerance)
    dtype = _precision(design, felt, tolerance)
    return LeaveOneOut(vectors.to(dtype), rotated.to(dtype), (1 / kept).to(dtype), basis, residual=False)


def _dual(design: Design, alphas: Tensor, tolerance: float) -> LeaveOneOut:
    """Residuals are sum_q u_iq (u_q'y) / (s_q + alpha) over sum_q u_iq^2 / (s_q + alpha), directions of zero included.

    The mean's own direction is none of them: targets have nothing on it.
    """
    values, vectors = _beside_mean(design)
    values = torch.where(values > floor(values), values, 0.0)
    filters = 1 / (values + alphas[:, None])  # [A, q]
    kept = torch.maximum(filters @ vectors.square().T, NOTHING * filters.amin(1, keepdim=True))  # [A, N]
    least = kept.amin(1)
    felt = filters.norm(dim=1) / (len(vectors) ** 0.5 * least)
    basis = _basis(values, torch.ones_like(values), alphas, least, tolerance)
    basis = replace(basis, mix=basis.mix / to_numpy(least)[:, None])  # else of the size of 1 / s, in any units
    vectors = vectors.to(_precision(design, felt, tolerance))
    return LeaveOneOut(vectors, vectors, (least[:, None] / kept).to(vectors), basis, residual=True)


def _beside_mean(design: Design) -> tuple[Tensor, Tensor]:
    """Eigenvalues [q] and eigenvectors [N, q] of XX', without that of the mean where features were centred.

    It is lifted above all others first, since it shares its eigenvalue, zero, with any other null direction.
    """
    if not design.centred:
        return spectrum(design.gram)
    root = design.root.double()
    lift = 2 * float(design.gram.norm()) or 1.0
    values, vectors = spectrum(torch.addr(design.gram, root, root / root.square().sum(), alpha=lift))
    return values[:-1], vectors[:, :-1]


def _about_mean(rows: Tensor, root: Tensor) -> Tensor:
    """Targets [V, N] in float64 without what their rounding to float32 left along the root."""
    return torch.addr(rows, rows @ root, root, alpha=-1 / float(root.square().sum()))


def _basis(values: Tensor, reach: Tensor, alphas: Tensor, least: Tensor, tolerance: float) -> FilterBasis:
    """Filters whose errors, stretched by at most 1 / least [A], stay within each alpha's share of the tolerance."""
    spread, grid = to_numpy(values), to_numpy(alphas)
    allowed = np.maximum(shares(spread, spread, grid), SMALL) * to_numpy(least)
    return filter_basis(spread, to_numpy(reach), grid, tolerance * allowed.max(), allowed / allowed.max())


def _precision(design: Design, felt: Tensor, tolerance: float) -> torch.dtype:
    """That of the design if its rounding, felt [A] times, takes but a small share of the tolerance."""
    rounding = torch.finfo(design.root.dtype).eps * float(felt.max())
    return design.root.dtype if rounding <= FELT * tolerance else torch.float64


def _score(error: Tensor, rows: Tensor, root: Tensor, scoring: Scoring) -> Tensor:
    """Scores [V, A] of residuals [V, A, N] of targets [V, N]."""
    if scoring != "pearson":
        return accuracy(error.square().sum(2).double(), rows, root, scoring)
    pred = rows[:, None] - error
    products = pred.square().sum(2), (pred * rows[:, None]).sum(2), pred @ root
    power, cross, level = (part.double() for part in products)
    return correlation(power, cross, level, rows, root)
