"""One alpha, or one fraction, for all targets: the one whose held-out score has the best mean over them."""

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiform.errors import DataError
from fusiform.models.design import Design, make_targets
from fusiform.models.fitting import Alphas, Penalties, batches
from fusiform.models.fractional import Fractions
from fusiform.models.heldout import Scoring, Search, fold_scores
from fusiform.models.planner import Plan
from fusiform.models.results import Results

__all__ = ["SEARCH", "best_of_all", "curves_of", "only"]

SEARCH = "search"  # the folder, inside that of the fit, where the curves of all targets are


def curves_of(
    design: Design, searches: Sequence[Search], Y: Any, scoring: Scoring, plan: Plan, results: Results
) -> Generator[int, None, None]:
    """Fill `curves` [V, A] from the first unfinished target on; yields how many targets each batch had."""
    for raw in batches(Y, results.done, plan.batch):
        targets = make_targets(raw, design)
        curves = fold_scores(searches, design, targets, scoring)[0].mean(0)
        curves[~targets.valid] = np.nan
        results.write(results.done + raw.shape[1], {"curves": curves.cpu().numpy()})
        yield raw.shape[1]


def best_of_all(curves: NDArray[Any]) -> int:
    """Place in the grid of the best mean over targets, [V, A]; targets that were not fitted are left out.

    Raises:
        DataError: none was.
    """
    missing = np.isnan(curves[:, 0])
    if missing.all():
        raise DataError(f"y holds NaN in every target ({len(curves)}); drop the samples or targets with missing values")
    return int(curves[~missing].mean(0).argmax())


def only(penalties: Penalties, place: int) -> Penalties:
    """A grid of one: the value at that place."""
    kind = Fractions if isinstance(penalties, Fractions) else Alphas
    return kind(penalties.values[[place]])
