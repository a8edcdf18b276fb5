"""Ridge at alphas that are given."""

from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusiform.errors import SettingsError
from fusiform.models.design import Frame, make_design
from fusiform.models.fitting import run_fixed, whole_spectrum
from fusiform.models.inputs import check_weight, data_key, find_frame, fingerprint, job_of, result_arrays
from fusiform.models.planner import Plan, make_plan
from fusiform.models.precision import all_digits
from fusiform.models.results import Results
from fusiform.models.shells import RidgeShell

__all__ = ["Ridge"]


class Ridge(RidgeShell):
    """Ridge at a given alpha, one for all targets or one for each.

    Minimises ||y - X b - c||^2 + alpha ||b||^2 for each target, c unpenalised.

    Args:
        alpha: not negative; a number, or one per target.
        fit_intercept: estimate c; else data are taken as they are.
        device: `"auto"` (a GPU if there is one), `"cpu"`, `"cuda"`, `"cuda:1"`.
        dtype: `"float32"` or `"float64"`; None: float32 if X is float32 or float16, else float64.
        memory_limit: bytes that may be used beside the data; None: four fifths of what is free.
        keep_weights: without them nothing can be predicted.
        folder: where results are written target batch by target batch; a stopped fit goes on from there.

    Attributes:
        coef_: [V, P] ([P] if y was [N]).
        intercept_: [V] (a number if y was [N]).
        plan_: what was done.
        n_features_in_: P.
    """

    def __init__(
        self,
        alpha: float | ArrayLike = 1.0,
        *,
        fit_intercept: bool = True,
        device: str = "auto",
        dtype: str | None = None,
        memory_limit: int | None = None,
        keep_weights: bool = True,
        folder: Path | str | None = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.device = device
        self.dtype = dtype
        self.memory_limit = memory_limit
        self.keep_weights = keep_weights
        self.folder = folder

    def fit(self, X: ArrayLike, y: ArrayLike, *, sample_weight: ArrayLike | None = None) -> Self:
        """Solve for features [N, P] and responses [N, V] or [N], in memory or on disk (memory map, zarr, HDF5).

        Raises:
            DataError: shapes do not agree.
            SettingsError: impossible settings, or too little memory.
        """
        features, responses = self._read(X, y)
        alphas = _per_target(self.alpha, responses.shape[1])
        weight = check_weight(sample_weight, features.shape[0])
        frame = find_frame(self.device, self.dtype, features)
        self.plan_ = self._plan(features, responses, frame)
        given = fingerprint(alphas) if np.ndim(self.alpha) else float(alphas[0])  # written after every batch: short
        key = {"model": "Ridge", "data": data_key(self, features, responses, weight), "alpha": given}
        results = Results.open(result_arrays(self.plan_, frame), self.folder, key)
        with all_digits():
            design = make_design(
                features, weight, centred=self.fit_intercept, dual=self.plan_.form == "dual", frame=frame
            )
            whole = whole_spectrum(design, float(alphas.min()), level=3)
            for _ in run_fixed(design, whole, alphas, responses, self.plan_, results):
                pass
        self._finish(design, results)
        return self

    def explain(self, X: ArrayLike, y: ArrayLike) -> Plan:
        """The plan of `fit` with these data; `print` it. Nothing is computed.

        Raises:
            SettingsError: it would not fit in memory; the message says what would.
        """
        features, responses = copy(self)._read(X, y)  # a fitted model stays as it is
        _per_target(self.alpha, responses.shape[1])
        return self._plan(features, responses, find_frame(self.device, self.dtype, features))

    def _plan(self, features: Any, responses: Any, frame: Frame) -> Plan:
        plan = make_plan(job_of(self, features, responses, frame, 1, []), frame, 1, self.memory_limit)
        return replace(plan, spectra="float64")


def _per_target(alpha: float | ArrayLike, count: int) -> NDArray[np.float64]:
    values = np.asarray(alpha, dtype=np.float64)
    if values.shape not in ((), (count,)) or not (np.isfinite(values) & (values >= 0)).all():
        raise SettingsError(f"alpha is {alpha!r}; wanted a finite number not below zero, or {count} of them")
    return np.broadcast_to(values, count).copy()
