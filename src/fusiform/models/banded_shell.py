"""A fitted banded ridge: its numbers band by band, predicting, saving and loading."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_is_fitted

from fusiform.errors import DataError, SettingsError
from fusiform.models.bands import Banded, Candidate, split_variance
from fusiform.models.batches import TargetBatches
from fusiform.models.design import blocks, to_numpy
from fusiform.models.inputs import is_lazy, warn_missing
from fusiform.models.planner import Plan
from fusiform.models.results import Results, plain_settings, plan_of, plan_state, read_state, save_arrays
from fusiform.models.side_by_side import SideBySide, side_by_side

__all__ = ["BandedShell"]


class BandedShell(BaseEstimator):  # type: ignore[misc]
    """A fitted linear model per target on features in bands.

    Subclasses set `arrays_` (name -> array with a row per target), `bands_` and their columns, `_center_` [P] (feature
    means), `_tried_` [C], `single_` and `plan_`.
    """

    arrays_: dict[str, NDArray[Any]]
    bands_: list[str]
    plan_: Plan
    single_: bool
    _columns_: list[slice]
    _center_: NDArray[np.float64]
    _tried_: list[Candidate]

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

    @property
    def candidates_(self) -> NDArray[np.float64]:
        """Band weights that were tried, [C, B]."""
        check_is_fitted(self, "arrays_")
        return np.stack([one.weights for one in self._tried_])

    @property
    def alphas_(self) -> NDArray[np.float64]:
        """Alphas that were tried with each candidate, [C, A]; NaN where it had fewer than others."""
        check_is_fitted(self, "arrays_")
        alphas = np.full((len(self._tried_), max(len(one.alphas) for one in self._tried_)), np.nan)
        for row, one in zip(alphas, self._tried_, strict=True):
            row[: len(one.alphas)] = one.alphas
        return alphas

    @property
    def best_candidates_(self) -> NDArray[np.int64]:
        """Place of each target's candidate, [V]; -1 for a target that was not fitted."""
        return self._found("candidate")

    @property
    def curves_(self) -> NDArray[np.float64]:
        """Held-out score of every alpha that was tried with the candidate chosen, [A, V]."""
        return self._found("curves").T

    @property
    def fold_scores_(self) -> NDArray[np.float64]:
        """Scores of each fold for what was chosen, [F, V]."""
        return self._found("folds").T

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
        coef = self._found("coef")
        if set(X) != set(self.bands_):
            raise DataError(f"X has the bands {sorted(X)}; wanted those of the fit: {sorted(self.bands_)}")
        columns = dict(zip(self.bands_, self._columns_, strict=True))
        return {
            name: np.asarray((np.asarray(X[name]) - self._center_[band]) @ coef[:, band].T)
            for name, band in columns.items()
        }

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
            "candidates": [{"weights": one.weights.tolist(), "alphas": one.alphas.tolist()} for one in self._tried_],
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
        model._center_ = np.asarray(state["mean"])
        model._tried_ = [
            Candidate(*(np.asarray(one[part]) for part in ("weights", "alphas"))) for one in state["candidates"]
        ]
        return model

    def _read(self, X: Mapping[str, ArrayLike], y: ArrayLike) -> tuple[SideBySide, Any]:
        """Features of all bands [N, P] and responses [N, V]."""
        features, bands = side_by_side(X)
        self.bands_, self._columns_ = list(bands), list(bands.values())
        lazy = is_lazy(y)
        responses: Any = y if lazy else check_array(y, ensure_2d=False, ensure_all_finite="allow-nan", input_name="y")
        if responses.shape[0] != features.shape[0]:
            raise DataError(f"X has {features.shape[0]} samples, y {responses.shape[0]}; wanted as many")
        self.single_ = responses.ndim == 1
        return features, np.asarray(responses)[:, None] if self.single_ else responses

    def _keep(self, banded: Banded, batches: TargetBatches, found: dict[str, NDArray[Any]]) -> None:
        """Take over what was found, NaN (a place: -1) for targets that were not valid."""
        self._center_ = to_numpy(banded.design.mean)
        means, valid = zip(*((targets.mean, targets.valid) for _, targets in batches), strict=True)
        found["mean"], missing = to_numpy(torch.cat(means)), ~torch.cat(valid).cpu().numpy()
        if "coef" in found:
            found["intercept"] = found["mean"] - _of_center(found["coef"], self._center_)
        for array in found.values():
            array[missing] = np.nan if array.dtype.kind == "f" else -1
        self.arrays_ = found
        warn_missing(missing)

    def _found(self, name: str) -> NDArray[Any]:
        check_is_fitted(self, "arrays_")
        if name not in self.arrays_:
            raise SettingsError("the weights were not kept; fit with keep_weights=True to have them and to predict")
        return self.arrays_[name]


def _of_center(coef: NDArray[Any], center: NDArray[np.float64]) -> NDArray[np.float64]:
    """What weights [V, P] predict of the mean sample [P], [V] in float64."""
    mean = torch.from_numpy(center)
    return np.concatenate([to_numpy(torch.from_numpy(coef[part]).double() @ mean) for part in blocks(*coef.shape)])
