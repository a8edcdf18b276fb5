"""What the ridge estimators share: reading inputs, checking settings, predicting, saving and loading."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, validate_data

from fusiform.errors import DataError, SettingsError
from fusiform.files import write_json
from fusiform.models.design import Design, Scratch, blocks, to_tensor
from fusiform.models.inputs import check_amounts, is_lazy, warn_missing
from fusiform.models.planner import Plan
from fusiform.models.precision import all_digits
from fusiform.models.results import MODEL, Results, plain_settings, plan_of, plan_state, read_state, save_arrays
from fusiform.models.solvers import onto_features

__all__ = ["RidgeShell"]

TOGETHER = 1 << 22  # numbers predicted from at a time
DUAL_TOGETHER = 1 << 26  # in the dual, where each block of rows reads all training features


class RidgeShell(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A fitted linear model per target, whose weights may be dual, on disk, or not kept.

    Subclasses set `results_` (arrays with a row per target), `plan_`, `features_mean_` [P] and, in the dual, `design_`.
    """

    results_: Results
    plan_: Plan
    features_mean_: NDArray[np.float64]
    design_: Design | None

    @property
    def coef_(self) -> NDArray[Any]:
        """Weights on the features, [V, P] ([P] if y was [N]); in the dual form they are made when asked for."""
        check_is_fitted(self, "results_")
        coef = self._coef()
        return np.asarray(coef[0] if self.single_ else coef)

    @property
    def intercept_(self) -> Any:
        """[V] (a number if y was [N])."""
        check_is_fitted(self, "results_")
        intercept = self.results_.arrays["intercept"]
        return intercept[0] if self.single_ else intercept

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict responses to features [N, P]: [N, V], or [N] if y was [N]. NaN for targets that had a NaN."""
        check_is_fitted(self, "results_")
        features = self._features(X, reset=False)
        arrays = self.results_.arrays
        if "coef" not in arrays and "dual_coef" not in arrays:
            raise SettingsError("the weights were not kept, so nothing can be predicted; fit with keep_weights=True")
        make, name, together = self._centred, "coef", TOGETHER
        if self.design_ is not None:
            make, name, together = self._kernel, "dual_coef", DUAL_TOGETHER
        pred = np.empty((features.shape[0], len(arrays["mean"])), np.result_type(arrays[name], arrays["mean"]))
        for rows in blocks(features.shape[0], features.shape[1], together):
            np.matmul(make(features[rows]), arrays[name].T, out=pred[rows])
            pred[rows] += arrays["mean"]
        return np.asarray(pred[:, 0] if self.single_ else pred)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Mean R2 over the targets that were fitted and have no NaN now; says how many were left out.

        Raises:
            DataError: the shape of y is not that of the prediction, or no target is left.
        """
        from sklearn.metrics import r2_score

        true, pred = (part.reshape(len(part), -1) for part in (np.asarray(y), self.predict(X)))
        if true.shape != pred.shape:
            raise DataError(f"y has the shape {true.shape}; wanted that of the prediction, {pred.shape}")
        missing = np.isnan(true).any(0) | np.isnan(pred).any(0)
        warn_missing(missing, "were left out of the score", level=3)
        return float(r2_score(true[:, ~missing], pred[:, ~missing], sample_weight=sample_weight))

    def save(self, folder: Path | str) -> None:
        """Save what was found to a folder, from which `load` makes the model again.

        Raises:
            SettingsError: the folder holds a fit already.
        """
        check_is_fitted(self, "results_")
        arrays = dict(self.results_.arrays)
        if arrays.pop("dual_coef", None) is not None:
            arrays["coef"] = self._coef()
        save_arrays(folder, arrays, self.results_.key or {}, self._saved())

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """The model saved in a folder (also one that was given to `fit`); its weights stay on disk.

        Raises:
            LayoutError: the folder holds no finished fit.
        """
        results = Results.load(folder)
        state = read_state(folder)
        model = cls(**state["settings"])
        model.results_, model.plan_, model.design_ = results, plan_of(state["plan"]), None
        model.n_features_in_, model.single_ = state["features"], state["single"]
        model.features_mean_ = np.asarray(state["mean"])
        model._restore(state)
        return model

    def _restore(self, state: dict[str, Any]) -> None:
        """Set what the subclass derives from the results."""

    def _state(self) -> dict[str, Any]:
        """What the subclass needs to be restored, as JSON."""
        return {}

    def _saved(self) -> dict[str, Any]:
        """All that `load` needs beside the arrays, as JSON."""
        shared = {
            "settings": plain_settings(self),
            "plan": plan_state(self.plan_),
            "features": self.n_features_in_,
            "single": self.single_,
            "mean": self.features_mean_.tolist(),
        }
        return {**shared, **self._state()}

    def _coef(self) -> NDArray[Any]:
        """Weights on the features, [V, P]."""
        arrays = self.results_.arrays
        if "coef" in arrays:
            return np.array(arrays["coef"])
        if self.design_ is None:
            raise SettingsError("the weights were not kept; fit with keep_weights=True to have them")
        dual = arrays["dual_coef"]
        coef = np.empty((len(dual), self.n_features_in_), dual.dtype)
        with all_digits():
            onto_features(self.design_, torch.as_tensor(dual, device=self.design_.root.device), coef)
        return coef

    def _centred(self, X: NDArray[Any]) -> NDArray[Any]:
        return (np.asarray(X) - self.features_mean_).astype(self.results_.arrays["coef"].dtype, copy=False)

    def _kernel(self, X: NDArray[Any]) -> NDArray[Any]:
        """Products of new with fitted rows, [n, N]."""
        design = self.design_
        assert design is not None
        kernel = design.root.new_zeros(len(X), len(design.root))
        for part in blocks(X.shape[1], len(design.root)):
            new = to_tensor(X[:, part] - self.features_mean_[part]).to(design.root)
            new = new if design.scale is None else new * design.scale[part].to(new)
            with all_digits():
                kernel += new @ design.columns(part).T
        return np.asarray(kernel.cpu().numpy())

    def _features(self, X: Any, *, reset: bool) -> Any:
        """Features to be sliced: checked in memory, or left where they are."""
        if not is_lazy(X):
            return validate_data(self, X, reset=reset, dtype=(np.float64, np.float32, np.float16))
        if X.ndim != 2:
            raise DataError(f"X has the shape {tuple(X.shape)}; wanted [N samples, P features]")
        if reset:
            self.n_features_in_ = X.shape[1]
        elif X.shape[1] != self.n_features_in_:
            raise DataError(f"X has {X.shape[1]} features, but the model was fitted with {self.n_features_in_}")
        return X

    def _read(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Features [N, P] and responses [N, V]; settings that are plain numbers are looked at, too."""
        check_amounts(tolerance=getattr(self, "tolerance", None), memory_limit=self.memory_limit)
        if y is None:
            raise DataError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        X = self._features(X, reset=True)
        if not is_lazy(y):
            y = check_array(y, ensure_2d=False, dtype=None, ensure_all_finite="allow-nan", input_name="y")
            y = y.astype(np.float64) if y.dtype.kind not in "fiu" else y
        if y.ndim not in (1, 2) or 0 in y.shape:
            raise DataError(f"y has the shape {y.shape}; wanted [N samples, V targets] or [N]")
        check_consistent_length(X, y)
        if X.shape[0] < 2:
            raise DataError("found 1 sample, n_samples = 1; a ridge needs at least two to be fitted")
        self.single_ = y.ndim == 1
        return X, np.asarray(y)[:, None] if self.single_ else y

    def _finish(self, design: Design, results: Results) -> None:
        """Take over what was found, and say which targets could not be fitted."""
        self.results_ = results
        self.features_mean_ = design.mean.cpu().numpy()
        dual = "dual_coef" in results.arrays
        self.design_ = replace(design, gram=design.gram.new_empty(0, 0), scratch=Scratch()) if dual else None
        warn_missing(np.isnan(results.arrays["intercept"]))
        if results.folder is not None:
            write_json(results.folder / MODEL, self._saved())
