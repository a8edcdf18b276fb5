"""The loop of a ridge fit: a batch of targets at a time, score every penalty, choose, solve, keep."""

import math
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.models.choosing import at_places, places
from fusiform.models.design import BLOCK, Design, Targets, make_targets
from fusiform.models.folds import Split
from fusiform.models.heldout import Scoring, Search, exact_product, fold_scores
from fusiform.models.leave_group_out import leave_group_out
from fusiform.models.leave_one_out import make_leave_one_out
from fusiform.models.planner import READ, Plan
from fusiform.models.results import Results
from fusiform.models.solvers import make_folds, onto_features, ridge_weights
from fusiform.models.spectra import floor, lowest, resolved, spectrum

__all__ = ["Alphas", "Penalties", "Spectrum", "batches", "make_spectrum", "run", "run_fixed", "whole_spectrum"]

STEEP = 1e-4  # error of float32 covariates, in sd of a target's prediction, from which on float64 makes them


@dataclass(frozen=True)
class Spectrum:
    """Of the samples that weights are solved on.

    Args:
        values: [Q] in float64.
        vectors: [Q, Q] in the precision of the design; in float64 where some alphas are too small for float32.
        dual: they are of samples, so that weights on features are as long as those on them times the root of a value.
    """

    values: Tensor
    vectors: Tensor
    dual: bool

    @property
    def least(self) -> float:
        """Up to this sum of eigenvalue and alpha nothing is solved for.

        In the dual a rounding of weights on the largest direction's scale hides what is as small.
        """
        rounding = torch.finfo(self.vectors.dtype).eps * float(self.values[-1])
        return max(floor(self.values), rounding) if self.dual else floor(self.values)

    def is_steep(self, alphas: Tensor) -> Tensor:
        """For which alphas float32 covariates, whose errors are those of the largest direction, cost digits."""
        ratio = float(self.values[-1]) / (lowest(self.values) + alphas)  # the error is felt by the root of it
        return ratio.nan_to_num().sqrt() * torch.finfo(torch.float32).eps > STEEP


class Penalties(Protocol):
    """What is searched over: a grid of alphas, or of fractions."""

    @property
    def values(self) -> NDArray[np.float64]:
        """The grid, [A]."""

    @property
    def shrinkage(self) -> NDArray[np.float64]:
        """Grows with how much each shrinks weights, [A]."""

    def searches(
        self, design: Design, folds: Sequence[Split], tolerance: float, targets: int, whole: Spectrum
    ) -> Sequence[Search]:
        """What scores them all on each fold; `whole` is the spectrum of all samples."""

    def leave_one_out(self, design: Design, tolerance: float) -> Search:
        """What scores them all on every sample held out alone."""

    def alphas(self, best: Tensor, total: Callable[[], Tensor], spectrum: Spectrum) -> Tensor:
        """Each target's alpha [V] from the index of its best [V]; `total` makes covariates as fine as the spectrum."""


@dataclass(frozen=True)
class Alphas:
    """A grid of alphas, [A]."""

    values: NDArray[np.float64]

    @property
    def shrinkage(self) -> NDArray[np.float64]:
        """Alphas themselves."""
        return self.values

    def searches(
        self, design: Design, folds: Sequence[Split], tolerance: float, targets: int, whole: Spectrum
    ) -> Sequence[Search]:
        """What scores them all on each fold."""
        asked = design, folds, self.values, tolerance, targets
        return leave_group_out(*asked, whole.values, whole.vectors) or make_folds(*asked)

    def leave_one_out(self, design: Design, tolerance: float) -> Search:
        """What scores them all on every sample held out alone."""
        return make_leave_one_out(design, self.values, tolerance)

    def alphas(self, best: Tensor, total: Callable[[], Tensor], spectrum: Spectrum) -> Tensor:
        """Each target's alpha, [V]."""
        return torch.as_tensor(self.values, device=best.device)[best]


def whole_spectrum(design: Design, smallest: float = math.inf, level: int = 5) -> Spectrum:
    """The spectrum of all samples, decomposed in float64; warns of directions that float32 has no weights for.

    Args:
        design: the features.
        smallest: alpha that may be asked for.
        level: of the caller who is warned, as in `warnings.warn`.
    """
    found = make_spectrum(design, *spectrum(design.gram), smallest)
    hidden = (found.values > floor(found.values)) & (found.values + smallest <= found.least)
    if hidden.any():
        warnings.warn(
            f"{int(hidden.sum())} of {len(hidden)} directions of X are too small beside the largest for weights on "
            "samples in float32, and have none at the smallest penalty; give dtype='float64' to have them",
            stacklevel=level,
        )
    return found


def make_spectrum(design: Design, values: Tensor, vectors: Tensor, smallest: float) -> Spectrum:
    """A spectrum in float64 [Q], [Q, Q], with vectors as fine as the smallest alpha needs them."""
    found = Spectrum(values, resolved(values, vectors), design.dual)
    if not design.dual and bool(found.is_steep(values.new_tensor([smallest]))):
        return found
    return replace(found, vectors=found.vectors.to(design.root.dtype))


def run(
    design: Design,
    whole: Spectrum,
    searches: Sequence[Search],
    penalties: Penalties,
    Y: Any,
    scoring: Scoring,
    plan: Plan,
    results: Results,
    conservative: bool = False,
) -> Generator[int, None, None]:
    """Fill the results from their first unfinished target on; yields how many targets each batch had."""
    with _Keeper(design, results, plan.batch) as keeper:
        for raw in batches(Y, results.done, plan.batch):
            targets = make_targets(raw, design)
            found, total = fold_scores(searches, design, targets, scoring)  # [F, V, A], [V, Q]
            best = places(found, penalties.shrinkage if conservative else None)
            alphas = penalties.alphas(best, partial(_as_fine, design, whole, targets, total), whole)
            weights = solved(design, whole, targets, total, alphas)
            chosen = torch.as_tensor(penalties.values, device=best.device)[best]
            more = {"alpha": alphas, "chosen": chosen, "curves": found.mean(0), "folds": at_places(found, best).T}
            keeper.add(targets, weights, more)
            yield raw.shape[1]


def run_fixed(
    design: Design, whole: Spectrum, alphas: NDArray[np.float64], Y: Any, plan: Plan, results: Results
) -> Generator[int, None, None]:
    """As `run`, with each target's alpha [V] given."""
    first = results.done
    with _Keeper(design, results, plan.batch) as keeper:
        for raw in batches(Y, first, plan.batch):
            targets = make_targets(raw, design)
            own = torch.as_tensor(alphas[first : first + raw.shape[1]], device=design.root.device)
            weights = solved(design, whole, targets, design.total(targets), own)
            keeper.add(targets, weights, {"alpha": own})
            first += raw.shape[1]
            yield raw.shape[1]


def solved(design: Design, whole: Spectrum, targets: Targets, total: Tensor, alphas: Tensor) -> Tensor:
    """Weights [V, Q] in the units of the targets."""
    weights = ridge_weights(total, whole.values, whole.vectors, alphas, whole.least)
    if whole.vectors.dtype != total.dtype and (steep := whole.is_steep(alphas)).any():
        exact = exact_product(targets.rows[steep], design.rows)
        weights[steep] = ridge_weights(exact, whole.values, whole.vectors, alphas[steep], whole.least).to(weights)
    return weights.mul_(targets.scale[:, None].to(total))


def batches(Y: Any, start: int, batch: int) -> Iterator[NDArray[Any]]:
    """Responses [N, batch] from target `start` on; read from their source many batches at a time."""
    samples, count = Y.shape
    together = max(1, READ // (samples * np.dtype(Y.dtype).itemsize * batch)) * batch
    for first in range(start, count, together):
        block = np.asarray(Y[:, first : min(first + together, count)])
        for left in range(0, block.shape[1], batch):
            yield block[:, left : left + batch]


def _as_fine(design: Design, whole: Spectrum, targets: Targets, total: Tensor) -> Tensor:
    """Covariates of all samples [V, Q] in the precision of the spectrum's vectors."""
    return total if total.dtype == whole.vectors.dtype else exact_product(targets.rows, design.rows)


class _Keeper:
    """Adds finished batches to results: weights in the form that these hold, NaN for targets that were not valid.

    Weights that go from samples to features wait for each other, since every such passage reads all features again;
    as many as take no more memory than one batch's weights on features. At the end, also of a fit that is stopped,
    those that wait are written.
    """

    def __init__(self, design: Design, results: Results, batch: int) -> None:
        self._design, self._results = design, results
        self._carried = "coef" in results.arrays
        samples, width = len(design.root), len(design.mean)
        each = 2 * (samples + min(width, max(1, BLOCK // samples)))  # numbers held of a target that waits
        self._together = max(batch, batch * width // each) if design.dual and self._carried else batch
        self._waiting: list[dict[str, Tensor]] = []

    def __enter__(self) -> "_Keeper":
        return self

    def __exit__(self, *reason: object) -> None:
        self._write()

    def add(self, targets: Targets, weights: Tensor, more: dict[str, Tensor]) -> None:
        """A batch: its targets, weights [V, Q], and what else the results may hold of it, [V, ...] each."""
        level = targets.mean - (weights @ self._design.mean_covariates).double()
        self._waiting.append(
            {"mean": targets.mean, "intercept": level, "valid": targets.valid, "weights": weights, **more}
        )
        if sum(len(batch["mean"]) for batch in self._waiting) >= self._together:
            self._write()

    def _write(self) -> None:
        if not self._waiting:
            return
        found = self._waiting[0]
        if len(self._waiting) > 1:
            found = {name: torch.cat([batch[name] for batch in self._waiting]) for name in found}
        weights, invalid = found["weights"], (~found["valid"]).cpu().numpy()
        rows = slice(self._results.done, self._results.done + len(weights))
        arrays = {name: array[rows] for name, array in self._results.arrays.items()}
        if self._carried:
            onto_features(self._design, weights, arrays["coef"])
        for name, array in arrays.items():
            if name != "coef":
                array[:] = found["weights" if name == "dual_coef" else name].cpu().numpy()
            array[invalid] = np.nan
        self._waiting = []
        self._results.commit(rows.stop)
