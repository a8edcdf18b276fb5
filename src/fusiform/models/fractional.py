"""Fractional ridge: penalties given as the length of the weights, a fraction of their unpenalised length.

Rokem & Kay 2020, GigaScience 9. A fraction means the same for every target, where an alpha does not; each target's
alpha is found in each fold, and held-out predictions come from the same few basis filters as a grid of alphas.

Shapes: V targets, A fractions, Q eigenvalues.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.errors import SettingsError
from fusiform.models.costs import GRID
from fusiform.models.decompose import decompose
from fusiform.models.design import Design, Targets, blocks, to_numpy
from fusiform.models.fitting import Spectrum, make_spectrum
from fusiform.models.folds import Split
from fusiform.models.heldout import Fold, Scoring, Search, scores
from fusiform.models.solvers import fold_of
from fusiform.models.spectra import FilterBasis

__all__ = ["FractionFold", "Fractions", "alphas_of_fractions"]

DECADES = 8  # alphas are looked for this far below the smallest and above the largest eigenvalue
NEWTON = 4  # steps that polish an alpha found on the grid


@dataclass(frozen=True)
class FractionFold:
    """A fold in which every target has alphas of its own.

    Args:
        fold: whose basis filters reach all alphas from zero on.
        whole: spectrum of the fold's training samples.
        fractions: [A].
    """

    fold: Fold
    whole: Spectrum
    fractions: NDArray[np.float64]

    @property
    def basis(self) -> FilterBasis:
        """The basis filters of the fold."""
        return self.fold.basis

    @property
    def precise(self) -> bool:
        """Always: alphas go down to zero."""
        return True

    @property
    def left(self) -> slice | Tensor | None:
        """As of the fold."""
        return self.fold.left

    def only(self, place: int) -> "FractionFold":
        """The fold with one fraction of the grid."""
        return replace(self, fractions=self.fractions[[place]])

    def left_out(self, targets: Targets) -> Tensor | None:
        """As of the fold."""
        return self.fold.left_out(targets)

    def curves(
        self, design: Design, targets: Targets, total: Tensor, left_out: Tensor | None, scoring: Scoring
    ) -> Tensor:
        """Held-out score of every fraction, [V, A]."""
        mean = self.fold.mean(targets)
        covariates = self.fold.covariates(design, targets, mean, total, left_out)
        fine = covariates.dtype == self.whole.vectors.dtype
        exact = covariates if fine else self.fold.exact_covariates(design, targets)
        products = self.fold.products(design, targets, mean, covariates)
        return scores(products, self._mix(exact), scoring)

    def _mix(self, covariates: Tensor) -> Tensor:
        """What every target mixes from the basis filters for its own alphas, [V, A, R]."""
        fractions = torch.as_tensor(self.fractions, device=covariates.device).expand(len(covariates), -1)
        alphas = alphas_of_fractions(fractions, covariates, self.whole)  # [V, A]
        projection = torch.as_tensor(self.fold.basis.projection, device=covariates.device)
        parts = blocks(len(alphas), alphas.shape[1] * len(projection))
        return torch.cat([_filters(self.whole.values, alphas[part]) @ projection for part in parts])


@dataclass(frozen=True)
class Fractions:
    """A grid of fractions, [A], above 0 and at most 1."""

    values: NDArray[np.float64]

    @property
    def shrinkage(self) -> NDArray[np.float64]:
        """The shorter the weights, the more they are shrunk."""
        return -self.values

    def searches(
        self, design: Design, folds: Sequence[Split], tolerance: float, targets: int, whole: Spectrum
    ) -> Sequence[Search]:
        """What scores them all on each fold."""
        return [self._search(design, split, tolerance) for split in folds]

    def _search(self, design: Design, split: Split, tolerance: float) -> FractionFold:
        training = decompose(design, split, 0.0, precise=True)
        fold = fold_of(design, training, _grid(to_numpy(training.values)), tolerance)
        return FractionFold(fold, make_spectrum(design, training.values, training.vectors, 0.0), self.values)

    def leave_one_out(self, design: Design, tolerance: float) -> Search:
        """Not in closed form: each target has alphas of its own, and with them leverages."""
        raise SettingsError(
            "cv='loo' has a closed form for alphas only; give alphas=, or a number of folds with fracs="
        )

    def alphas(self, best: Tensor, total: Callable[[], Tensor], spectrum: Spectrum) -> Tensor:
        """Each target's alpha, [V]."""
        chosen = torch.as_tensor(self.values, device=best.device)[best]
        return alphas_of_fractions(chosen[:, None], total(), spectrum)[:, 0]


def alphas_of_fractions(fractions: Tensor, covariates: Tensor, whole: Spectrum) -> Tensor:
    """The alphas [V, A] at which the weights are those fractions [V, A] of their unpenalised length."""
    grid = torch.as_tensor(_grid(to_numpy(whole.values)), device=fractions.device)
    lengths = _filters(whole.values, grid).square().T  # [Q, 1 + G] squared, for a covariate of one on an eigenvector
    parts = blocks(len(fractions), max(GRID, fractions.shape[1] * len(whole.values)))
    return torch.cat([_alphas(fractions[part], covariates[part], whole, grid[1:], lengths) for part in parts])


def _alphas(fractions: Tensor, covariates: Tensor, whole: Spectrum, grid: Tensor, lengths: Tensor) -> Tensor:
    """The same of few targets, from the nearest of a grid [G] on; `lengths` are those at zero and on the grid."""
    power = (covariates @ whole.vectors).double().square()  # [V, Q]
    power = power * whole.values if whole.dual else power
    found = power @ lengths
    free = torch.where(found[:, :1] > 0, found[:, :1], 1.0)  # squared length at alpha zero
    length = (found[:, 1:] / free).sqrt()  # [V, G], falls with alpha
    place = torch.searchsorted(-length, -fractions).clamp(max=len(grid) - 1)
    logs = grid.log()[place]
    for _ in range(NEWTON):
        logs = logs - _newton(logs, power, free, whole.values, fractions)
    return torch.where(fractions >= 1, 0.0, logs.exp())


def _newton(logs: Tensor, power: Tensor, free: Tensor, values: Tensor, fractions: Tensor) -> Tensor:
    """The step in log alpha towards log length = log fraction, [V, A]; at most one e-fold."""
    inverse = 1 / (values + logs.exp()[..., None])  # [V, A, Q]
    squared = inverse.square() * power[:, None]
    length, slope = squared.sum(2), (squared * inverse).sum(2) * -logs.exp()  # slope: half the change of length
    step = 0.5 * (length / free / fractions.square()).clamp(min=1e-300).log() * length / slope
    return torch.nan_to_num(step).clamp(-1, 1)


def _filters(values: Tensor, alphas: Tensor) -> Tensor:
    """1 / (s + alpha), [..., Q]; zero where both are zero beyond rounding."""
    total = values + alphas[..., None]
    null = (alphas[..., None] == 0) & (total <= len(values) * torch.finfo(torch.float64).eps * values.max())
    return torch.where(null, 0.0, 1 / torch.where(null, 1.0, total))


def _grid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Zero, and alphas that reach well beyond both ends of a spectrum."""
    top = max(values.max(initial=0.0), np.finfo(np.float64).tiny * 1e30)
    low = values[values > len(values) * np.finfo(np.float64).eps * top].min(initial=top)
    return np.append(0.0, np.geomspace(low / 10**DECADES, top * 10**DECADES, GRID))
