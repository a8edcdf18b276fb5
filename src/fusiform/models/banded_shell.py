"""A fitted banded ridge: its numbers band by band, predicting, saving and loading."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_is_fitted

from fusiform.errors import DataError
from fusiform.models.bands import split_variance
from fusiform.models.planner import Plan
from fusiform.models.results import Results, plain_settings, plan_of, plan_state, read_state, save_arrays

__all__ = ["BandedShell", "side_by_side"]


class BandedShell(BaseEstimator):  # type: ignore[misc]
    """A fitted linear model per target on features in bands.

    Subclasses set `arrays_` (name -> array with a row per target), `bands_` and their columns, `_center_` [P] (feature
    means), `candidates_` [C, B], `single_` and `plan_`.
    """

    arrays_: dict[str, NDArray[Any]]
    bands_: list[str]
    candidates_: NDArray[np.float64]
    plan_: Plan
    single_: bool
    _columns_: list[slice]
    _center_: NDArray[np.float64]

    @property
    def coef_(self) -> dict[str, NDArray[Any]]:
        """Weights on the features, band -> [V, P_b]."""
        return {name: self._found("coef")[:, band] for name, band in zip(self.bands_, self._columns_, strict=True)}

    @property
    def intercept_(self) -> NDArray[Any]:
        """[V]."""
        return self._found("intercept")

    @property
    def band_weights_(self) -> NDArray[np.float64]:
        """Each target's band weights, [V, B]."""
        return self._found("weights")

    @property
    def best_alphas_(self) -> NDArray[np.float64]:
        """Each target's alpha, [V]."""
        return self._found("alpha")

    @property
    def best_scores_(self) -> NDArray[np.float64]:
        """Held-out score of what was chosen, [V]."""
        return self._found("score")

    @property
    def cv_scores_(self) -> NDArray[np.float64]:
        """Best held-out score of each candidate, [C, V]."""
        return self._found("scores").T

    def predict(self, X: Mapping[str, ArrayLike]) -> NDArray[Any]:
        """Predict responses to bands of features, [N, V] ([N] if y was [N]). NaN for targets that had one."""
        pred = np.sum(list(self._parts(X).values()), axis=0) + self.arrays_["mean"]
        return np.asarray(pred[:, 0] if self.single_ else pred)

    def score(self, X: Mapping[str, ArrayLike], y: ArrayLike) -> float:
        """Mean R2 over the targets that were fitted."""
        from sklearn.metrics import r2_score

        fitted = ~np.isnan(self.arrays_["mean"])
        true, pred = (np.asarray(values).reshape(-1, len(fitted))[:, fitted] for values in (y, self.predict(X)))
        return float(r2_score(true, pred))

    def variance_by_band(self, X: Mapping[str, ArrayLike], y: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """Share of the variance of y [N, V] that each band explains, [V] each (the product measure; their sum is R2).

        R2 is about the mean of the training responses. A band that only cancels others' noise can be negative.
        """
        true = np.asarray(y, dtype=np.float64).reshape(len(np.asarray(y)), -1) - self.arrays_["mean"]
        return split_variance(true, self._parts(X))

    def _parts(self, X: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        """What each band contributes to the prediction beside the mean, [N, V] each."""
        check_is_fitted(self, "arrays_")
        if set(X) != set(self.bands_):
            raise DataError(f"X has the bands {sorted(X)}; wanted those of the fit: {sorted(self.bands_)}")
        columns = dict(zip(self.bands_, self._columns_, strict=True))
        return {name: self._part(X[name], band) for name, band in columns.items()}

    def _part(self, values: ArrayLike, band: slice) -> NDArray[Any]:
        return np.asarray((np.asarray(values) - self._center_[band]) @ self.arrays_["coef"][:, band].T)

    def save(self, folder: Path | str) -> None:
        """Save what was found to a folder, from which `load` makes the model again.

        Raises:
            SettingsError: the folder holds a fit already.
        """
        check_is_fitted(self, "arrays_")
        state = {
            "settings": plain_settings(self),
            "plan": plan_state(self.plan_),
            "bands": {name: band.stop for name, band in zip(self.bands_, self._columns_, strict=True)},
            "single": self.single_,
            "mean": self._center_.tolist(),
            "candidates": self.candidates_.tolist(),
        }
        save_arrays(folder, self.arrays_, {"model": type(self).__name__}, state)

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """The model saved in a folder; its weights stay on disk.

        Raises:
            LayoutError: the folder holds no finished fit.
        """
        results, state = Results.load(folder), read_state(folder)
        model = cls(**state["settings"])
        model.arrays_, model.plan_, model.single_ = results.arrays, plan_of(state["plan"]), state["single"]
        model.bands_, stops = list(state["bands"]), list(state["bands"].values())
        model._columns_ = [slice(start, stop) for start, stop in zip([0, *stops], stops, strict=False)]
        model._center_, model.candidates_ = np.asarray(state["mean"]), np.asarray(state["candidates"])
        return model

    def _found(self, name: str) -> NDArray[Any]:
        check_is_fitted(self, "arrays_")
        return self.arrays_[name]


def side_by_side(X: Any) -> tuple[NDArray[Any], dict[str, slice]]:
    """All bands as one array [N, P], and the columns of each."""
    if not isinstance(X, Mapping) or not X:
        raise DataError(f"X is a {type(X).__name__}; wanted a mapping from band names to arrays [N, P_b]")
    arrays = {
        name: check_array(values, input_name=name, dtype=(np.float64, np.float32, np.float16))
        for name, values in X.items()
    }
    counts = {name: len(values) for name, values in arrays.items()}
    if len(set(counts.values())) > 1:
        raise DataError(f"bands differ in their samples ({counts}); wanted as many in each")
    edges = np.cumsum([0, *(values.shape[1] for values in arrays.values())]).tolist()
    return np.hstack(list(arrays.values())), {name: slice(*edges[i : i + 2]) for i, name in enumerate(arrays)}
