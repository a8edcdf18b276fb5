"""Ridge regression as scikit-learn estimators: thin shells over `solvers`."""

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from fusiform.errors import DataError, SettingsError
from fusiform.models.folds import splits
from fusiform.models.solvers import Design, Frame, Scoring, make_design, make_fold, solve

__all__ = ["RidgeCV"]


class RidgeCV(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Ridge with one alpha per target, chosen by cross-validation on the samples handed to `fit`.

    Minimises ||y - X b - c||^2 + alpha ||b||^2 for each target, c unpenalised. Every fold takes one eigendecomposition
    for all alphas and targets. Features should be standardised, since one alpha penalises all alike.

    Args:
        alphas: [A] penalties above zero, as in scikit-learn. None: 33 from 1e-4 to 1e4 times the mean eigenvalue of the
            centred Gram matrix, trace(X'X) / min(N, P), which is N for standardised features with P < N; four to a
            decade, they reach from almost no shrinkage to almost no weights, whatever the units.
        cv: a number of contiguous unshuffled folds, `"runs"` (leave one of `groups` out), a scikit-learn splitter, or
            pairs (train, test) of positions.
        scoring: what chooses alpha: `"mse"` (negated), `"r2"` or `"pearson"`, the mean over folds of each fold's score.
        fit_intercept: estimate c; else data are taken as they are.
        device: `"auto"` (a GPU if there is one), `"cpu"`, `"cuda"`, `"cuda:1"`.
        dtype: `"float32"` or `"float64"`; None: float32 if X is float32 or float16, else float64.
        tolerance: largest error of held-out predictions allowed to the search over alphas, relative to the rms of the
            target, as a worst-case bound. It never enters the weights, which are exact for the alpha chosen.
        progress: show a bar.

    Attributes:
        coef_: [V, P] ([P] if y was [N]).
        intercept_: [V] (a number if y was [N]).
        alphas_: [A] the grid.
        best_alphas_: [V].
        best_scores_: [V] held-out score at the alpha chosen; higher is better.
        cv_scores_: [A, V] held-out scores.
        n_features_in_: P.
    """

    def __init__(
        self,
        alphas: ArrayLike | None = None,
        *,
        cv: Any = 5,
        scoring: Scoring = "mse",
        fit_intercept: bool = True,
        device: str = "auto",
        dtype: str | None = None,
        tolerance: float = 1e-3,
        progress: bool = False,
    ) -> None:
        self.alphas = alphas
        self.cv = cv
        self.scoring = scoring
        self.fit_intercept = fit_intercept
        self.device = device
        self.dtype = dtype
        self.tolerance = tolerance
        self.progress = progress

    def fit(
        self, X: ArrayLike, y: ArrayLike, *, groups: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Choose alphas and solve.

        Args:
            X: [N, P].
            y: [N, V] or [N].
            groups: [N] labels, such as runs, for a `cv` that keeps them together.
            sample_weight: [N] weights of the squared errors, in training and in scoring.

        Raises:
            DataError: shapes do not agree.
            SettingsError: impossible settings.
        """
        if self.scoring not in ("mse", "r2", "pearson"):
            raise SettingsError(f"scoring is {self.scoring!r}; wanted 'mse', 'r2' or 'pearson'")
        design_values, targets = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=(np.float64, np.float32), ensure_min_samples=2
        )
        single = targets.ndim == 1
        targets = targets[:, None] if single else targets
        frame = find_frame(self.device, self.dtype, design_values)
        weight = _check_weight(sample_weight, len(targets))
        count, width = design_values.shape
        design = make_design(design_values, weight, centred=self.fit_intercept, dual=count < width, frame=frame)
        self.alphas_ = _check_alphas(self.alphas, design)
        folds = [make_fold(design, split, self.alphas_, self.tolerance) for split in splits(self.cv, count, groups)]
        self._collect(
            design, solve(design, folds, targets, self.alphas_, self.scoring, batch=500), targets.shape[1], single
        )
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict responses to features [N, P]: [N, V], or [N] if y was [N]."""
        check_is_fitted(self)
        values = validate_data(self, X, reset=False, dtype=(np.float64, np.float32))
        return np.asarray(values @ self.coef_.T + self.intercept_)

    def _collect(self, design: Design, found: Any, count: int, single: bool) -> None:
        parts = [part for _, part in self._shown(found, count)]
        weights = np.concatenate([part.weights for part in parts])
        self.coef_ = weights @ design.rows.cpu().numpy() if design.dual else weights
        self.intercept_ = np.concatenate([part.intercept for part in parts])
        self.cv_scores_ = np.concatenate([part.curves for part in parts], axis=1)
        best = np.concatenate([part.best for part in parts])
        self.best_alphas_ = self.alphas_[best]
        self.best_scores_ = self.cv_scores_[best, np.arange(len(best))]
        if single:
            self.coef_, self.intercept_ = self.coef_[0], self.intercept_[0]

    def _shown(self, found: Any, count: int) -> Any:
        from tqdm.auto import tqdm

        return tqdm(found, total=-(-count // 500), desc="ridge", unit="batch", disable=not self.progress)


def find_frame(device: str, dtype: str | None, X: NDArray[Any]) -> Frame:
    """Device and precision to compute on and in."""
    if dtype not in (None, "float32", "float64"):
        raise SettingsError(f"dtype is {dtype!r}; wanted 'float32', 'float64' or None")
    if dtype is None:
        dtype = "float64" if X.dtype == np.float64 else "float32"
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return Frame(torch.device(device), torch.float64 if dtype == "float64" else torch.float32)


def _check_alphas(alphas: ArrayLike | None, design: Design) -> NDArray[np.float64]:
    if alphas is None:
        mean = float(design.gram.diagonal().sum()) / min(design.rows.shape)
        return np.logspace(-4, 4, 33) * (mean or 1.0)
    grid = np.atleast_1d(np.asarray(alphas, dtype=np.float64))
    if grid.ndim != 1 or not len(grid) or not (np.isfinite(grid) & (grid > 0)).all():
        raise SettingsError(f"alphas are {alphas!r}; wanted a list of finite numbers above zero")
    return grid


def _check_weight(weight: ArrayLike | None, count: int) -> NDArray[np.float64] | None:
    if weight is None:
        return None
    values = np.asarray(weight, dtype=np.float64)
    values = np.full(count, values) if values.ndim == 0 else values
    if values.shape != (count,) or not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise DataError(f"sample_weight has the shape {values.shape}; wanted {count} finite weights, none below zero")
    return values
