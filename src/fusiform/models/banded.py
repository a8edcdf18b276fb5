"""Banded ridge as an estimator: features come as a mapping of bands, each with a penalty chosen for every target."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_array
from torch import Tensor

from fusiform.errors import DataError, SettingsError
from fusiform.models.banded_shell import BandedShell, side_by_side
from fusiform.models.bands import (
    Banded,
    Candidate,
    Choice,
    check_candidates,
    choose,
    draw_candidates,
    grid_candidates,
    make_banded,
    search,
    solve_bands,
)
from fusiform.models.design import TargetBatches, make_design, to_numpy
from fusiform.models.folds import Split, splits
from fusiform.models.gradient import Kernels, descend
from fusiform.models.heldout import Scoring
from fusiform.models.inputs import (
    check_alphas,
    check_amounts,
    check_folds,
    check_scoring,
    check_weight,
    data_key,
    find_frame,
    fingerprint,
    is_lazy,
    last,
    shown,
    warn_missing,
)
from fusiform.models.planner import Form, Job, Plan, expected_rank, make_plan
from fusiform.models.refine import refine
from fusiform.models.results import MANIFEST, Results, refuse_fit
from fusiform.models.shared import SEARCH

__all__ = ["BandedRidgeCV"]

RELATIVE = np.logspace(-4, 4, 33)  # the default grid, in units of the mean eigenvalue


class BandedRidgeCV(BandedShell):
    """Ridge with a penalty per band of features, chosen per target by cross-validation.

    Minimises ||y - sum_b X_b w_b - c||^2 + alpha sum_b ||w_b||^2 / g_b, with the band weights g on the simplex
    (la Tour et al. 2022, NeuroImage 264).

    Args:
        alphas: [A] penalties; or a mapping band -> penalties of its own, all combinations of which are tried; None: as
            in `RidgeCV`, of equally weighted bands.
        candidates: [C, B] band weights to try, in the order of the bands; None: `n_candidates` random ones.
        n_candidates: equal weights, then draws from Dirichlet distributions of concentration 1 and 0.1 by turns.
        solver: `"random"`: the best candidate; `"gradient"`: from there on down the held-out squared error, by
            implicit differentiation (Adam, conjugate gradients), each target on its own path.
        steps: of the gradient solver.
        rate: of the gradient solver: about the largest change of a log penalty in one step.
        cv: as in `RidgeCV`, without `"loo"`.
        scoring: `"mse"`, `"r2"` or `"pearson"`; the gradient solver follows the first.
        fit_intercept: estimate c.
        seed: of the random candidates.
        device: as in `RidgeCV`.
        dtype: as in `RidgeCV`.
        tolerance: as in `RidgeCV`.
        memory_limit: as in `RidgeCV`.
        folder: where results are written, the search candidate by candidate; a stopped fit goes on from there.
        progress: show a bar.

    Attributes:
        bands_: names, in the order of the mapping handed to `fit`.
        coef_: band -> [V, P_b].
        intercept_: [V].
        band_weights_: [V, B] g.
        best_alphas_: [V].
        best_scores_: [V] held-out score; higher is better.
        cv_scores_: [C, V] best score of each candidate.
        candidates_: [C, B].
        plan_: what was done.
    """

    def __init__(
        self,
        alphas: ArrayLike | Mapping[str, ArrayLike] | None = None,
        *,
        candidates: ArrayLike | None = None,
        n_candidates: int = 20,
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
        folder: Path | str | None = None,
        progress: bool = False,
    ) -> None:
        self.alphas = alphas
        self.candidates = candidates
        self.n_candidates = n_candidates
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
            X: band -> [N, P_b].
            y: [N, V] or [N], in memory or on disk (memory map, zarr, HDF5). A target with a NaN is not fitted; the
                others are.
            groups: [N] labels, for a `cv` that keeps them together.
            sample_weight: [N].

        Raises:
            DataError: shapes do not agree.
            SettingsError: impossible settings, or too little memory.
        """
        self._check()
        features, responses = self._read(X, y)
        weight, folds = check_weight(sample_weight, len(features)), splits(self.cv, len(features), groups)
        check_scoring(self.scoring, folds)
        check_folds(folds, weight)
        frame = find_frame(self.device, self.dtype, features)
        shape = len(features), features.shape[1]
        self.plan_ = self._plan(shape, len(self.bands_), responses.shape[1], folds, frame)
        dual = self.plan_.form == "dual" or self.solver == "gradient"
        design = make_design(features, weight, centred=self.fit_intercept, dual=dual, frame=frame)
        banded = make_banded(design, self._columns_)
        candidates = self._candidates(banded)
        batches = TargetBatches(responses, design, self.plan_.batch)
        key = self._key(features, responses, weight, folds, candidates)
        choice = self._search(banded, candidates, folds, batches, key)
        chosen = np.stack([one.weights for one in candidates])[choice.candidate.cpu().numpy()]
        if self.solver == "gradient":
            coef, chosen, choice = refine(banded, chosen, choice, folds, batches, self.scoring, self._path)
        else:
            coef = solve_bands(banded, candidates, choice, batches)
        self._keep(banded, candidates, batches, choice, chosen, coef)
        if self.folder is not None and not (Path(self.folder) / MANIFEST).exists():
            self.save(self.folder)
        return self

    def explain(self, X: Mapping[str, ArrayLike], y: ArrayLike, *, groups: ArrayLike | None = None) -> Plan:
        """The plan of `fit` with these data; `print` it. Nothing is computed.

        Raises:
            SettingsError: it would not fit in memory.
        """
        features, bands = side_by_side(X)
        frame = find_frame(self.device, self.dtype, features)
        count, folds = 1 if np.ndim(y) == 1 else np.shape(y)[1], splits(self.cv, len(features), groups)
        return self._plan((len(features), features.shape[1]), len(bands), count, folds, frame)

    def _read(self, X: Mapping[str, ArrayLike], y: ArrayLike) -> tuple[NDArray[Any], Any]:
        """Features of all bands [N, P] and responses [N, V]; settings that are plain numbers are looked at, too."""
        check_amounts(tolerance=self.tolerance, memory_limit=self.memory_limit)
        features, bands = side_by_side(X)
        self.bands_, self._columns_ = list(bands), list(bands.values())
        lazy = is_lazy(y)
        responses: Any = y if lazy else check_array(y, ensure_2d=False, ensure_all_finite="allow-nan", input_name="y")
        if responses.shape[0] != len(features):
            raise DataError(f"X has {len(features)} samples, y {responses.shape[0]}; wanted as many")
        self.single_ = responses.ndim == 1
        return features, np.asarray(responses)[:, None] if self.single_ else responses

    def _check(self) -> None:
        if self.solver not in ("random", "gradient"):
            raise SettingsError(f"solver is {self.solver!r}; wanted 'random' or 'gradient'")
        if self.solver == "gradient" and self.scoring == "pearson":
            raise SettingsError("solver='gradient' follows the squared error; give scoring='mse' or 'r2'")
        if self.n_candidates < 1 or self.steps < 1 or self.rate <= 0:
            raise SettingsError(
                f"got n_candidates={self.n_candidates}, steps={self.steps}, rate={self.rate}; wanted all above zero"
            )

    def _plan(self, shape: tuple[int, int], bands: int, targets: int, folds: list[Split], frame: Any) -> Plan:
        grid = RELATIVE if self.alphas is None or isinstance(self.alphas, Mapping) else check_alphas(self.alphas)
        held = [len(test) for _, test in folds]
        samples, width = shape
        job = Job(
            samples,
            width,
            targets,
            len(grid),
            held,
            frame.dtype.itemsize,
            bands=bands,
            candidates=self._count(),
            together=self.solver == "gradient",
        )
        form: Form | None = "dual" if self.solver == "gradient" else None
        return make_plan(job, frame, expected_rank(grid, self.tolerance), self.memory_limit, form)

    def _count(self) -> int:
        if isinstance(self.alphas, Mapping):
            return int(np.prod([np.size(grid) for grid in self.alphas.values()]))
        return self.n_candidates if self.candidates is None else len(np.atleast_2d(np.asarray(self.candidates)))

    def _candidates(self, banded: Banded) -> list[Candidate]:
        if isinstance(self.alphas, Mapping):
            if self.candidates is not None or set(self.alphas) != set(self.bands_):
                raise SettingsError(
                    f"alphas has grids for {sorted(self.alphas)}; wanted one per band ({sorted(self.bands_)}), and no "
                    "candidates beside them"
                )
            return grid_candidates([check_alphas(self.alphas[name]) for name in self.bands_])
        if self.alphas is None:
            trace, equal = banded.design.gram.diagonal().sum(), 1 / len(self.bands_)
            mean = float(trace) * equal / min(len(banded.design.root), len(banded.design.mean))
            alphas = RELATIVE * (mean or 1.0)
        else:
            alphas = check_alphas(self.alphas)
        if self.candidates is None:
            return draw_candidates(len(self.bands_), self.n_candidates, alphas, self.seed)
        return [Candidate(weights, alphas) for weights in check_candidates(self.candidates, len(self.bands_))]

    def _search(
        self,
        banded: Banded,
        candidates: list[Candidate],
        folds: list[Split],
        batches: TargetBatches,
        key: dict[str, Any],
    ) -> Choice:
        shape = (len(candidates), len(batches)), np.float64
        folder = None if self.folder is None else Path(self.folder) / SEARCH
        if folder is not None and not (folder / MANIFEST).exists():
            refuse_fit(folder.parent)
        results = Results.open({"scores": shape, "alphas": shape}, folder, key)
        left = len(candidates) - results.done
        steps = search(banded, candidates, folds, batches, self.scoring, self.tolerance, results)
        for _ in shown(((count, None) for count in steps), left, self.progress, "candidate"):
            pass
        return choose(results, banded.design.gram)

    def _key(
        self,
        features: Any,
        responses: Any,
        weight: NDArray[Any] | None,
        folds: list[Split],
        candidates: list[Candidate],
    ) -> dict[str, Any]:
        if self.folder is None:
            return {}
        return {
            "model": "BandedRidgeCV",
            "data": data_key(self, features, responses, weight),
            "bands": {name: band.stop for name, band in zip(self.bands_, self._columns_, strict=True)},
            "candidates": fingerprint(*(part for one in candidates for part in (one.weights, one.alphas))),
            "folds": fingerprint(*(part for fold in folds for part in fold)),
            **{name: getattr(self, name) for name in ("solver", "steps", "rate", "scoring", "tolerance")},
        }

    def _path(self, kernels: Sequence[Kernels], start: Tensor, inner: int) -> tuple[Tensor, Tensor]:
        path = descend(kernels, start, self.steps, self.rate, inner)
        return last(shown(((1, step) for step in path), self.steps + 1, self.progress, "step"))

    def _keep(
        self,
        banded: Banded,
        candidates: Sequence[Candidate],
        batches: TargetBatches,
        choice: Choice,
        chosen: NDArray[np.float64],
        coef: Tensor,
    ) -> None:
        self._center_ = to_numpy(banded.design.mean)
        self.candidates_ = np.stack([candidate.weights for candidate in candidates])
        mean, valid = (torch.cat([getattr(batch, name) for batch in batches]) for name in ("mean", "valid"))
        found = {
            "coef": coef,
            "mean": mean,
            "intercept": mean - (coef.double() @ banded.design.mean),
            "weights": torch.as_tensor(chosen),
            "alpha": choice.alpha,
            "score": choice.score,
            "scores": choice.scores.T,
        }
        self.arrays_ = {name: np.array(part.cpu().numpy()) for name, part in found.items()}
        missing = ~valid.cpu().numpy()
        for array in self.arrays_.values():
            array[missing] = np.nan
        warn_missing(missing)
