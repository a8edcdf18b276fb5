"""Ridge regression as scikit-learn estimators: thin shells over `solvers` and `fitting`."""

from collections.abc import Generator, Sequence
from contextlib import closing
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusiform.errors import SettingsError
from fusiform.models.banded import BandedRidgeCV
from fusiform.models.design import Design, Frame, make_design
from fusiform.models.fitting import Alphas, Penalties, Spectrum, run, whole_spectrum
from fusiform.models.fixed import Ridge
from fusiform.models.folds import Split, splits
from fusiform.models.fractional import Fractions
from fusiform.models.heldout import Scoring, Search
from fusiform.models.inputs import (
    check_alphas,
    check_conservative,
    check_folds,
    check_scoring,
    check_tolerance,
    check_weight,
    data_key,
    find_frame,
    fingerprint,
    job_of,
    result_arrays,
    shown,
)
from fusiform.models.planner import Plan, expected_rank, make_plan
from fusiform.models.precision import all_digits
from fusiform.models.results import Results
from fusiform.models.shared import SEARCH, best_of_all, curves_of, only
from fusiform.models.shells import RidgeShell

__all__ = ["BandedRidgeCV", "Ridge", "RidgeCV"]

RELATIVE = np.logspace(-4, 4, 33)  # the default grid, in units of the mean eigenvalue


class RidgeCV(RidgeShell):
    """Ridge with one alpha per target, chosen by cross-validation on the samples handed to `fit`.

    Minimises ||y - X b - c||^2 + alpha ||b||^2 for each target, c unpenalised. Every fold takes one eigendecomposition
    for all alphas and targets. Features should be standardised, since one alpha penalises all alike.

    Args:
        alphas: [A] penalties above zero, as in scikit-learn. None: 33 from 1e-4 to 1e4 times the mean eigenvalue of the
            centred Gram matrix, trace(X'X) / min(N, P), which is N for standardised features with P < N; four to a
            decade, they reach from almost no shrinkage to almost no weights, whatever the units.
        fracs: [A] instead of alphas: lengths of the weights as fractions (0, 1] of their unpenalised length (fractional
            ridge, Rokem & Kay 2020).
        alpha_per_target: each target has an alpha (or fraction) of its own; else all share the one whose score has the
            best mean over the targets.
        conservative: of each target, not the alpha of the best score but the largest one (or the smallest fraction)
            whose score is no further below than one standard deviation of the best one's over the folds.
        cv: a number of contiguous unshuffled folds, `"runs"` (leave one of `groups` out), `"loo"` (each sample alone,
            in closed form, scored over all samples at once), a scikit-learn splitter, or pairs (train, test).
        scoring: what chooses alpha: `"mse"` (negated), `"r2"` or `"pearson"`, the mean over folds of each fold's score.
        fit_intercept: estimate c; else data are taken as they are.
        device: `"auto"` (a GPU if there is one), `"cpu"`, `"cuda"`, `"cuda:1"`.
        dtype: `"float32"` or `"float64"`; None: float32 if X is float32 or float16, else float64.
        tolerance: largest error of held-out predictions allowed to the search over alphas, relative to the rms of the
            target, as a worst-case bound. It never enters the weights, which are exact for the alpha chosen.
        memory_limit: bytes that may be used beside the data; None: four fifths of what is free.
        keep_weights: without them nothing can be predicted, but alphas and scores take little memory.
        folder: where results are written target batch by target batch; a stopped fit goes on from there.
        progress: show a bar.

    Attributes:
        coef_: [V, P] ([P] if y was [N]).
        intercept_: [V] (a number if y was [N]).
        alphas_: [A] the grid.
        best_alphas_: [V].
        best_fracs_: [V], with `fracs`.
        best_scores_: [V] held-out score at the alpha chosen; higher is better.
        cv_scores_: [A, V] held-out scores.
        fold_scores_: [F, V] scores of each fold at the alpha chosen.
        plan_: what was done; `print` it.
        n_features_in_: P.
    """

    def __init__(
        self,
        alphas: ArrayLike | None = None,
        *,
        fracs: ArrayLike | None = None,
        alpha_per_target: bool = True,
        conservative: bool = False,
        cv: Any = 5,
        scoring: Scoring = "mse",
        fit_intercept: bool = True,
        device: str = "auto",
        dtype: str | None = None,
        tolerance: float = 1e-2,
        memory_limit: int | None = None,
        keep_weights: bool = True,
        folder: Path | str | None = None,
        progress: bool = False,
    ) -> None:
        self.alphas = alphas
        self.fracs = fracs
        self.alpha_per_target = alpha_per_target
        self.conservative = conservative
        self.cv = cv
        self.scoring = scoring
        self.fit_intercept = fit_intercept
        self.device = device
        self.dtype = dtype
        self.tolerance = tolerance
        self.memory_limit = memory_limit
        self.keep_weights = keep_weights
        self.folder = folder
        self.progress = progress

    def fit(
        self, X: ArrayLike, y: ArrayLike, *, groups: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Choose alphas and solve.

        Args:
            X: [N, P], in memory or on disk (memory map, zarr, HDF5).
            y: [N, V] or [N], likewise. A target with a NaN is not fitted; the others are.
            groups: [N] labels, such as runs, for a `cv` that keeps them together.
            sample_weight: [N] weights of the squared errors, in training and in scoring.

        Raises:
            DataError: shapes do not agree.
            SettingsError: impossible settings, or too little memory; the message says what would do.
        """
        features, responses = self._read(X, y)
        weight = check_weight(sample_weight, features.shape[0])
        folds = self._splits(features.shape[0], groups)
        check_folds(folds, weight)
        frame = find_frame(self.device, self.dtype, features)
        check_tolerance(self.tolerance, frame)
        self.plan_ = self._plan(features, responses, folds, frame)
        shapes = result_arrays(self.plan_, frame, len(folds or [0]))
        key = self._key(features, responses, weight, folds)
        dual = self.plan_.form == "dual"
        solve = self._solve if self.alpha_per_target else self._solve_shared
        with all_digits():
            design = make_design(features, weight, centred=self.fit_intercept, dual=dual, frame=frame)
            results = solve(design, responses, folds, shapes, key)
        self._finish(design, results)
        return self

    def _solve(
        self, design: Design, responses: Any, folds: list[Split] | None, shapes: dict[str, Any], key: dict[str, Any]
    ) -> Results:
        """Each target at its own best."""
        results = Results.open(shapes, self.folder, key)
        penalties, whole, searches = self._prepared(design, responses, folds)
        self._run(design, whole, searches, penalties, responses, results)
        return results

    def _solve_shared(
        self, design: Design, responses: Any, folds: list[Split] | None, shapes: dict[str, Any], key: dict[str, Any]
    ) -> Results:
        """All targets at what is best for their mean: every curve first, then a search over that one value."""
        curves = {"curves": shapes.pop("curves")}
        results = Results.open(shapes, self.folder, key)  # first: it refuses the folder of another fit
        found = Results.open(curves, None if self.folder is None else Path(self.folder) / SEARCH, key)
        penalties, whole, searches = self._prepared(design, responses, folds)
        self._show(curves_of(design, searches, responses, self.scoring, self.plan_, found), responses, found)
        place = best_of_all(found.arrays["curves"])
        searches = [search.only(place) for search in searches]
        self._run(design, whole, searches, only(penalties, place), responses, results)
        results.arrays |= found.arrays
        return results

    def _prepared(
        self, design: Design, responses: Any, folds: list[Split] | None
    ) -> tuple[Penalties, Spectrum, Sequence[Search]]:
        """The grid in absolute terms, what weights are solved with down to its smallest alpha, and what scores it."""
        penalties = self._penalties(design)
        self._values_ = penalties.values
        whole = whole_spectrum(design, 0.0 if self.fracs is not None else float(penalties.values.min()))
        if folds is None:
            searches: Sequence[Search] = [penalties.leave_one_out(design, self.tolerance)]
        else:
            searches = penalties.searches(design, folds, self.tolerance, responses.shape[1], whole)
        self.plan_ = self.plan_.done(searches)
        return penalties, whole, searches

    def _run(
        self,
        design: Design,
        whole: Spectrum,
        searches: Sequence[Search],
        penalties: Penalties,
        responses: Any,
        results: Results,
    ) -> None:
        asked = penalties, responses, self.scoring, self.plan_, results, self.conservative
        self._show(run(design, whole, searches, *asked), responses, results)

    def _show(self, batches: Generator[int, None, None], responses: Any, results: Results) -> None:
        """Run through the batches, with a bar."""
        left = responses.shape[1] - results.done
        with closing(batches):  # at once, so that what waits to be written is, also where this is stopped
            for _ in shown(((count, None) for count in batches), left, self.progress, "target"):
                pass

    def explain(self, X: ArrayLike, y: ArrayLike, *, groups: ArrayLike | None = None) -> Plan:
        """The plan of `fit` with these data; `print` it. Nothing is computed.

        Raises:
            SettingsError: it would not fit in memory; the message says what would.
        """
        features, responses = copy(self)._read(X, y)  # a fitted model stays as it is
        frame = find_frame(self.device, self.dtype, features)
        return self._plan(features, responses, self._splits(features.shape[0], groups), frame)

    @property
    def alphas_(self) -> NDArray[np.float64]:
        """The grid of alphas, [A]."""
        if self.fracs is not None:
            raise AttributeError("a search over fracs has no grid of alphas; see best_alphas_")
        return self._values_

    @property
    def best_alphas_(self) -> NDArray[np.float64]:
        """Each target's alpha, [V]."""
        return self.results_.arrays["alpha"]

    @property
    def best_fracs_(self) -> NDArray[np.float64]:
        """Each target's fraction, [V]."""
        if self.fracs is None:
            raise AttributeError("fracs were not given; see best_alphas_")
        return self.results_.arrays["chosen"]

    @property
    def cv_scores_(self) -> NDArray[np.float64]:
        """Held-out scores, [A, V]."""
        return self.results_.arrays["curves"].T

    @property
    def best_scores_(self) -> NDArray[np.float64]:
        """Held-out score at the alpha chosen, [V]."""
        return np.asarray(self.results_.arrays["folds"].mean(1))

    @property
    def fold_scores_(self) -> NDArray[np.float64]:
        """Scores of each fold at the alpha chosen, [F, V]."""
        return self.results_.arrays["folds"].T

    def _splits(self, count: int, groups: ArrayLike | None) -> list[Split] | None:
        """The folds; None for leave-one-out in closed form."""
        folds = None if isinstance(self.cv, str) and self.cv == "loo" else splits(self.cv, count, groups)
        check_scoring(self.scoring, folds)
        check_conservative(self, folds)
        return folds

    def _plan(self, features: Any, responses: Any, folds: list[Split] | None, frame: Frame) -> Plan:
        grid = self._grid()
        held = [features.shape[0]] if folds is None else [len(test) for _, test in folds]
        job = job_of(self, features, responses, frame, len(grid), held)
        job = replace(job, search="loo" if folds is None else "alphas" if self.fracs is None else "fractions")
        reach = np.geomspace(1e-4, 1e4, 400) if self.fracs is not None else grid  # of a steep spectrum
        return make_plan(job, frame, expected_rank(reach, self.tolerance), self.memory_limit)

    def _grid(self) -> NDArray[np.float64]:
        if self.alphas is not None and self.fracs is not None:
            raise SettingsError("got both alphas and fracs; give one of them")
        if self.fracs is not None:
            return check_alphas(self.fracs, "fracs", 1.0)
        return RELATIVE if self.alphas is None else check_alphas(self.alphas)

    def _penalties(self, design: Design) -> Penalties:
        if self.fracs is not None:
            return Fractions(self._grid())
        mean = float(design.gram.diagonal().sum()) / min(len(design.root), len(design.mean))
        return Alphas(self._grid() * (1.0 if self.alphas is not None else mean or 1.0))

    def _key(
        self, features: Any, responses: Any, weight: NDArray[Any] | None, folds: list[Split] | None
    ) -> dict[str, Any]:
        positions = [part for fold in folds or [] for part in fold]
        return {
            "model": "RidgeCV",
            "data": data_key(self, features, responses, weight),
            "grid": [*self._grid().tolist(), "fracs" if self.fracs is not None else "alphas"],
            "folds": "loo" if folds is None else fingerprint(*positions) if self.folder is not None else "",
            "alpha_per_target": self.alpha_per_target,
            "conservative": self.conservative,
            "scoring": self.scoring,
            "tolerance": self.tolerance,
        }

    def _state(self) -> dict[str, Any]:
        return {"values": self._values_.tolist()}

    def _restore(self, state: dict[str, Any]) -> None:
        self._values_ = np.asarray(state["values"])
        folder = self.results_.folder
        if folder is not None and (folder / SEARCH).exists():
            self.results_.arrays |= Results.load(folder / SEARCH).arrays
