"""The loop of a ridge fit: a batch of targets at a time, score every penalty, choose, solve, keep."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.models.design import Design, Targets, make_targets
from fusiform.models.folds import Split
from fusiform.models.heldout import Scoring, Search, fold_scores
from fusiform.models.planner import READ, Plan
from fusiform.models.results import Results
from fusiform.models.solvers import make_folds, make_leave_one_out, ridge_weights
from fusiform.models.spectra import resolved, spectrum

__all__ = ["Alphas", "Penalties", "Spectrum", "run", "run_fixed", "whole_spectrum"]


@dataclass(frozen=True)
class Spectrum:
    """Of all samples, for the weights.

    Args:
        values: [Q] in float64.
        vectors: [Q, Q] in the precision of the design.
        dual: they are of samples, so that weights on features are as long as those on them times the root of a value.
    """

    values: Tensor
    vectors: Tensor
    dual: bool


class Penalties(Protocol):
    """What is searched over: a grid of alphas, or of fractions."""

    @property
    def values(self) -> NDArray[np.float64]:
        """The grid, [A]."""

    def searches(self, design: Design, folds: Sequence[Split], tolerance: float, targets: int) -> Sequence[Search]:
        """What scores them all on each fold."""

    def leave_one_out(self, design: Design, tolerance: float) -> Search:
        """What scores them all on every sample held out alone."""

    def alphas(self, best: Tensor, total: Tensor, spectrum: Spectrum) -> Tensor:
        """Each target's alpha [V] from the index of its best [V]."""


@dataclass(frozen=True)
class Alphas:
    """A grid of alphas, [A]."""

    values: NDArray[np.float64]

    def searches(self, design: Design, folds: Sequence[Split], tolerance: float, targets: int) -> Sequence[Search]:
        """What scores them all on each fold."""
        return make_folds(design, folds, self.values, tolerance, targets)

    def leave_one_out(self, design: Design, tolerance: float) -> Search:
        """What scores them all on every sample held out alone."""
        return make_leave_one_out(design, self.values, tolerance)

    def alphas(self, best: Tensor, total: Tensor, spectrum: Spectrum) -> Tensor:
        """Each target's alpha, [V]."""
        return torch.as_tensor(self.values, device=best.device)[best]


def whole_spectrum(design: Design) -> Spectrum:
    """The spectrum of all samples, decomposed in float64."""
    values, vectors = spectrum(design.gram)
    return Spectrum(values, resolved(values, vectors).to(design.root.dtype), design.dual)


def run(
    design: Design,
    whole: Spectrum,
    searches: Sequence[Search],
    penalties: Penalties,
    Y: Any,
    scoring: Scoring,
    plan: Plan,
    results: Results,
) -> Iterator[int]:
    """Fill the results from their first unfinished target on; yields how many targets each batch had."""
    for raw in _batches(Y, results.done, plan.batch):
        targets = make_targets(raw, design)
        found, total = fold_scores(searches, design, targets, scoring)  # [F, V, A], [V, Q]
        curves = found.mean(0)
        best = curves.argmax(1)
        alphas = penalties.alphas(best, total, whole)
        weights = solved(design, whole, targets, total, alphas)
        at_best = found.gather(2, best.expand(len(found), -1)[..., None])[..., 0].T
        _keep(results, design, targets, weights, {"alpha": alphas, "curves": curves, "folds": at_best})
        yield raw.shape[1]


def run_fixed(
    design: Design, whole: Spectrum, alphas: NDArray[np.float64], Y: Any, plan: Plan, results: Results
) -> Iterator[int]:
    """As `run`, with each target's alpha [V] given."""
    for raw in _batches(Y, results.done, plan.batch):
        targets = make_targets(raw, design)
        own = torch.as_tensor(alphas[results.done : results.done + raw.shape[1]], device=design.root.device)
        weights = solved(design, whole, targets, design.total(targets), own)
        _keep(results, design, targets, weights, {"alpha": own})
        yield raw.shape[1]


def solved(design: Design, whole: Spectrum, targets: Targets, total: Tensor, alphas: Tensor) -> Tensor:
    """Weights [V, Q] in the units of the targets."""
    values = whole.values.to(design.root.dtype)
    return ridge_weights(total, values, whole.vectors, alphas) * targets.scale[:, None].to(total)


def _batches(Y: Any, start: int, batch: int) -> Iterator[NDArray[Any]]:
    """Responses [N, batch] from target `start` on; read from their source many batches at a time."""
    samples, count = Y.shape
    together = max(1, READ // (samples * np.dtype(Y.dtype).itemsize * batch)) * batch
    for first in range(start, count, together):
        block = np.asarray(Y[:, first : min(first + together, count)])
        for left in range(0, block.shape[1], batch):
            yield block[:, left : left + batch]


def _keep(results: Results, design: Design, targets: Targets, weights: Tensor, more: dict[str, Tensor]) -> None:
    """Write one batch: weights in the form that the results hold, NaN for targets that were not valid."""
    parts = {"mean": targets.mean, "intercept": targets.mean - (weights @ design.mean_covariates).double(), **more}
    if "coef" in results.arrays:
        parts["coef"] = design.on_features(weights)
    elif "dual_coef" in results.arrays:
        parts["dual_coef"] = weights
    arrays = {name: part.cpu().numpy() for name, part in parts.items()}
    invalid = (~targets.valid).cpu().numpy()
    for array in arrays.values():
        array[invalid] = np.nan
    results.write(results.done + len(weights), arrays)
