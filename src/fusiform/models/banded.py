"""Banded ridge as an estimator: features come as a mapping of bands, each with a penalty chosen for every target."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusiform.errors import SettingsError
from fusiform.models.banded_shell import BandedShell
from fusiform.models.bands import Banded, choose, make_banded, search, solve_bands
from fusiform.models.batches import TargetBatches
from fusiform.models.choosing import Rule
from fusiform.models.design import Frame, make_design
from fusiform.models.folds import Split, splits
from fusiform.models.heldout import Scoring
from fusiform.models.inputs import (
    check_amounts,
    check_conservative,
    check_folds,
    check_scoring,
    check_tolerance,
    check_weight,
    data_key,
    find_frame,
    fingerprint,
    is_lazy,
    shown,
)
from fusiform.models.planner import Form, Job, Plan, expected_rank, make_plan
from fusiform.models.precision import all_digits
from fusiform.models.proposals import Proposals, longest, mean_eigenvalue
from fusiform.models.refine import refine
from fusiform.models.results import MANIFEST, Results, refuse_fit
from fusiform.models.shared import SEARCH
from fusiform.models.side_by_side import SideBySide, side_by_side

__all__ = ["BandedRidgeCV"]


class BandedRidgeCV(BandedShell):
    """Ridge with a penalty per band of features, chosen per target by cross-validation.

    Minimises ||y - sum_b X_b w_b - c||^2 + alpha sum_b ||w_b||^2 / g_b, with the band weights g on the simplex
    (la Tour et al. 2022, NeuroImage 264).

    Args:
        alphas: [A] penalties; or a mapping band -> penalties of its own, all combinations of which are tried; None: as
            in `RidgeCV`, of equally weighted bands.
        alpha_per_target: each target has band weights and an alpha of its own; else all share those whose score has the
            best mean over the targets.
        jitter_alphas: shift the grid by a random factor for every candidate, up to half its widest step either way
            (of a single alpha: half a decade), so that many candidates try penalties between its points as well.
        conservative: as in `RidgeCV`, for every candidate; these are then compared by the scores of those alphas.
        candidates: [C, B] band weights to try, in the order of the bands; None: `n_candidates` random ones.
        n_candidates: equal weights, then draws from Dirichlet distributions.
        concentration: of those distributions; several take turns. At 1 draws are spread evenly over the simplex, below
            it they come near its corners, where few bands count, above it near equal weights.
        solver: `"random"`: the best candidate; `"gradient"`: from there on down the held-out squared error, by
            implicit differentiation (Adam, conjugate gradients), each target on its own path; where that leads to
            nothing better, the candidate it is.
        steps: of the gradient solver.
        rate: of the gradient solver: about the largest change of a log penalty in one step.
        cv: as in `RidgeCV`, without `"loo"`.
        scoring: `"mse"`, `"r2"` or `"pearson"`; the gradient solver follows the first.
        fit_intercept: estimate c.
        seed: of the random candidates, and of the shifts.
        device: as in `RidgeCV`.
        dtype: as in `RidgeCV`.
        tolerance: as in `RidgeCV`.
        memory_limit: as in `RidgeCV`.
        keep_weights: without them nothing can be predicted, but band weights, alphas and scores take little memory and
            nothing is solved in the end.
        folder: where results are written, the search candidate by candidate; a stopped fit goes on from there.
        progress: show a bar.

    Attributes:
        bands_: names, in the order of the mapping handed to `fit`.
        coef_: band -> [V, P_b].
        intercept_: [V].
        band_weights_: [V, B] g.
        best_alphas_: [V].
        best_scores_: [V] held-out score of what was chosen; higher is better.
        fold_scores_: [F, V] score of each fold, of which that is the mean.
        candidates_: [C, B].
        alphas_: [C, A] alphas tried with each; NaN where it had fewer than others.
        cv_scores_: [C, V] score of each candidate at the alpha chosen with it.
        best_candidates_: [V] place of the best; the gradient solver started there.
        curves_: [A, V] score of every alpha of that candidate.
        plan_: what was done.
    """

    def __init__(
        self,
        alphas: ArrayLike | Mapping[str, ArrayLike] | None = None,
        *,
        alpha_per_target: bool = True,
        jitter_alphas: bool = False,
        conservative: bool = False,
        candidates: ArrayLike | None = None,
        n_candidates: int = 20,
        concentration: float | Sequence[float] = (1.0, 0.1),
        solver: Literal["random", "gradient"] = "random",
        steps: int = 30,
        rate: float = 0.5,
        cv: Any = 5,
        scoring: Scoring = "mse",
        fit_intercept: bool = True,
        seed: int = 0,
        device: str = "auto",
        dtype: str | None = None,
        tolerance: float = 1e-2,
        memory_limit: int | None = None,
        keep_weights: bool = True,
        folder: Path | str | None = None,
        progress: bool = False,
    ) -> None:
        self.alphas = alphas
        self.alpha_per_target = alpha_per_target
        self.jitter_alphas = jitter_alphas
        self.conservative = conservative
        self.candidates = candidates
        self.n_candidates = n_candidates
        self.concentration = concentration
        self.solver = solver
        self.steps = steps
        self.rate = rate
        self.cv = cv
        self.scoring = scoring
        self.fit_intercept = fit_intercept
        self.seed = seed
        self.device = device
        self.dtype = dtype
        self.tolerance = tolerance
        self.memory_limit = memory_limit
        self.keep_weights = keep_weights
        self.folder = folder
        self.progress = progress

    def fit(
        self,
        X: Mapping[str, ArrayLike],
        y: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Choose band weights and alphas, and solve.

        Args:
            X: band -> [N, P_b], in memory or on disk (memory map, zarr, HDF5).
            y: [N, V] or [N], likewise. A target with a NaN is not fitted; the others are.
            groups: [N] labels, for a `cv` that keeps them together.
            sample_weight: [N].

        Raises:
            DataError: shapes do not agree.
            SettingsError: impossible settings, or too little memory.
        """
        self._check()
        features, responses = self._read(X, y)
        count = features.shape[0]
        weight, folds = check_weight(sample_weight, count), self._splits(count, groups)
        check_folds(folds, weight)
        frame = find_frame(self.device, self.dtype, features)
        check_tolerance(self.tolerance, frame)
        self.plan_ = self._plan(features, self.bands_, responses, folds, frame)
        dual = self.plan_.form == "dual"
        with all_digits():
            design = make_design(features, weight, centred=self.fit_intercept, dual=dual, frame=frame)
            banded = make_banded(design, self._columns_)
            self._tried_ = self._proposals.of(self.bands_, mean_eigenvalue(banded))
            batches = TargetBatches(responses, design, self.plan_.batch)
            results = self._search(banded, folds, batches, self._key(features, responses, weight, folds))
            found = self._solve(banded, folds, batches, results)
            self._keep(banded, batches, found)
        if self.folder is not None and not (Path(self.folder) / MANIFEST).exists():
            self.save(self.folder)
        return self

    def explain(self, X: Mapping[str, ArrayLike], y: ArrayLike, *, groups: ArrayLike | None = None) -> Plan:
        """The plan of `fit` with these data; `print` it. Nothing is computed.

        Raises:
            SettingsError: impossible settings, or it would not fit in memory; the message says what would.
        """
        self._check()
        features, bands = side_by_side(X)
        frame = find_frame(self.device, self.dtype, features)
        return self._plan(features, list(bands), y, self._splits(features.shape[0], groups), frame)

    def _check(self) -> None:
        """Look at the settings that need no data."""
        check_amounts(tolerance=self.tolerance, memory_limit=self.memory_limit)
        if self.solver not in ("random", "gradient"):
            raise SettingsError(f"solver is {self.solver!r}; wanted 'random' or 'gradient'")
        if self.solver == "gradient" and self.scoring == "pearson":
            raise SettingsError("solver='gradient' follows the squared error; give scoring='mse' or 'r2'")
        if self.solver == "gradient" and not self.alpha_per_target:
            raise SettingsError("solver='gradient' has a path for each target; give alpha_per_target=True, or 'random'")
        if self.solver == "gradient" and self.conservative:
            raise SettingsError("solver='gradient' goes to the best score; give conservative=False, or 'random'")
        if self.n_candidates < 1 or self.steps < 1 or self.rate <= 0:
            raise SettingsError(
                f"got n_candidates={self.n_candidates}, steps={self.steps}, rate={self.rate}; wanted all above zero"
            )

    def _splits(self, count: int, groups: ArrayLike | None) -> list[Split]:
        folds = splits(self.cv, count, groups)
        check_scoring(self.scoring, folds)
        check_conservative(self, folds)
        return folds

    def _plan(
        self, features: SideBySide, bands: Sequence[str], responses: Any, folds: Sequence[Split], frame: Frame
    ) -> Plan:
        candidates = self._proposals.of(bands)
        alphas, descends = longest(candidates), self.solver == "gradient"
        job = Job(
            *features.shape,
            1 if np.ndim(responses) == 1 else np.shape(responses)[1],
            len(alphas),
            [len(test) for _, test in folds],
            frame.dtype.itemsize,
            weights="memory" if self.keep_weights else "none",
            lazy=is_lazy(responses) and np.ndim(responses) == 2,
            bands=len(bands),
            candidates=len(candidates),
            steps=self.steps if descends else 0,
            shared=not self.alpha_per_target,
        )
        form: Form | None = "dual" if descends else None
        return make_plan(job, frame, expected_rank(alphas, self.tolerance), self.memory_limit, form)

    @property
    def _proposals(self) -> Proposals:
        drawn = self.n_candidates, self.concentration, self.seed
        return Proposals(self.alphas, self.candidates, *drawn, self.jitter_alphas)

    @property
    def _rule(self) -> Rule:
        return "shared" if not self.alpha_per_target else "conservative" if self.conservative else "best"

    def _search(self, banded: Banded, folds: Sequence[Split], batches: TargetBatches, key: dict[str, Any]) -> Results:
        """Every candidate's scores, from which the best is chosen."""
        scores, alphas = (len(self._tried_), len(batches)), self.plan_.job.alphas
        shapes: dict[str, Any] = {
            "scores": (scores, np.float64),
            "alphas": (scores, np.float64),
            "curves": ((len(batches), alphas), np.float64),
            "folds": ((len(batches), len(folds)), np.float64),
        }
        folder = None if self.folder is None else Path(self.folder) / SEARCH
        if folder is not None and not (folder / MANIFEST).exists():
            refuse_fit(folder.parent)
        results = Results.open(shapes, folder, key)
        left = len(self._tried_) - results.done
        steps = search(banded, self._tried_, folds, batches, self.scoring, self.tolerance, self._rule, results)
        self._show(steps, left, "candidate")
        return results

    def _show(self, steps: Iterator[int], count: int, unit: str) -> None:
        """Run through the steps, with a bar."""
        for _ in shown(((done, None) for done in steps), count, self.progress, unit):
            pass

    def _solve(
        self, banded: Banded, folds: Sequence[Split], batches: TargetBatches, results: Results
    ) -> dict[str, NDArray[Any]]:
        """What is kept of every target, from its best candidate on."""
        choice = choose(results, not self.alpha_per_target)
        kept = {**results.arrays, "scores": results.arrays["scores"].T}
        found: dict[str, NDArray[Any]] = {name: np.array(kept[name]) for name in ("scores", "curves", "folds")}
        found |= {"score": choice.score, "candidate": choice.candidate, "alpha": choice.alpha}
        found["weights"] = np.stack([one.weights for one in self._tried_])[choice.candidate]
        if self.keep_weights:
            found["coef"] = solve_bands(banded, self._tried_, choice, batches)
        if self.solver == "gradient":
            steps = refine(banded, folds, batches, self.scoring, self.steps, self.rate, found)
            self._show(steps, (self.steps + 1) * len(batches.parts), "step")
        return found

    def _key(
        self, features: SideBySide, responses: Any, weight: NDArray[Any] | None, folds: Sequence[Split]
    ) -> dict[str, Any]:
        """What identifies a fit that may be resumed."""
        if self.folder is None:
            return {}
        shared = ("alpha_per_target", "conservative", "solver", "steps", "rate", "scoring", "tolerance")
        return {
            "model": "BandedRidgeCV",
            "data": data_key(self, features, responses, weight),
            "bands": {name: band.stop for name, band in zip(self.bands_, self._columns_, strict=True)},
            "candidates": fingerprint(*(part for one in self._tried_ for part in (one.weights, one.alphas))),
            "folds": fingerprint(*(part for fold in folds for part in fold)),
            **{name: getattr(self, name) for name in shared},
        }
