"""Inputs and settings of the ridge estimators: checked, described, and identified for a fit that may be resumed."""

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.sparse import issparse

from fusiform.errors import DataError, SettingsError
from fusiform.models.design import Frame, blocks
from fusiform.models.folds import Split
from fusiform.models.planner import Job, Plan, Weights

__all__ = [
    "check_alphas",
    "check_amounts",
    "check_conservative",
    "check_folds",
    "check_scoring",
    "check_tolerance",
    "check_weight",
    "data_key",
    "find_frame",
    "fingerprint",
    "is_lazy",
    "job_of",
    "result_arrays",
    "shown",
    "warn_missing",
    "weight_arrays",
]

T = TypeVar("T")
ROUNDINGS = 8  # of a number, that a prediction takes


def is_lazy(values: Any) -> bool:
    """Whether an array lies on disk (memory map, zarr, HDF5) and is to be read in blocks."""
    return not issparse(values) and (isinstance(values, np.memmap) or hasattr(values, "chunks"))


def find_frame(device: str, dtype: str | None, X: Any) -> Frame:
    """Device and precision to compute on and in."""
    if dtype not in (None, "float32", "float64"):
        raise SettingsError(f"dtype is {dtype!r}; wanted 'float32', 'float64' or None")
    if dtype is None:
        dtype = "float32" if X.dtype in (np.float32, np.float16) else "float64"
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        where = torch.zeros(0, device=device).device
    except (RuntimeError, AssertionError) as reason:
        raise SettingsError(
            f"device {device!r} cannot be used ({str(reason).splitlines()[0]}); give 'auto' or 'cpu'"
        ) from reason
    return Frame(where, torch.float64 if dtype == "float64" else torch.float32)


def check_alphas(alphas: ArrayLike, name: str = "alphas", top: float = np.inf) -> NDArray[np.float64]:
    """A grid of finite numbers above zero."""
    try:
        grid = np.atleast_1d(np.asarray(alphas, dtype=np.float64))
    except (TypeError, ValueError):
        grid = np.zeros(0)  # no numbers at all
    if grid.ndim != 1 or not len(grid) or not (np.isfinite(grid) & (grid > 0) & (grid <= top)).all():
        limit = "" if top == np.inf else f" and at most {top:g}"
        raise SettingsError(f"{name} is {alphas!r}; wanted a list of finite numbers above zero{limit}")
    return grid


def check_amounts(**amounts: Any) -> None:
    """Finite numbers above zero, or None.

    Raises:
        SettingsError: one is something else; its name is in the message.
    """
    for name, value in amounts.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < np.inf:
            raise SettingsError(f"{name} is {value!r}; wanted a number above zero")


def check_tolerance(tolerance: float, frame: Frame) -> None:
    """Warn of a tolerance that no search in that precision can keep."""
    rounding = ROUNDINGS * torch.finfo(frame.dtype).eps
    if tolerance < rounding:
        more = " or dtype='float64'" if frame.dtype == torch.float32 else ""
        warnings.warn(
            f"tolerance is {tolerance:g}, but held-out predictions in {str(frame.dtype)[6:]} err by about "
            f"{rounding:.0e}; give a larger tolerance{more}",
            stacklevel=3,
        )


def check_weight(weight: ArrayLike | None, count: int) -> NDArray[np.float64] | None:
    """One weight per sample, or None."""
    if weight is None:
        return None
    values = np.asarray(weight, dtype=np.float64)
    values = np.full(count, values) if values.ndim == 0 else values
    if values.shape != (count,) or not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise DataError(f"sample_weight has the shape {values.shape}; wanted {count} finite weights, none below zero")
    return values


def weight_arrays(where: Weights, form: str, count: int, size: int, features: int, dtype: DTypeLike) -> dict[str, Any]:
    """Shapes and types of the arrays that every ridge keeps."""
    shapes: dict[str, Any] = {
        "mean": ((count,), dtype),
        "intercept": ((count,), dtype),
        "alpha": ((count,), np.float64),
    }
    if where == "disk" or (where == "memory" and form == "primal"):
        shapes["coef"] = ((count, features), dtype)
    elif where == "memory":
        shapes["dual_coef"] = ((count, size), dtype)
    return shapes


def fingerprint(*arrays: Any, rows: int | None = None) -> str:
    """A digest of arrays, of all their rows or of about `rows` that are evenly spread."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(repr((tuple(array.shape), str(array.dtype))).encode())
        step = 1 if rows is None else max(1, array.shape[0] // rows)
        for part in (
            blocks(array.shape[0], int(np.prod(array.shape[1:])))
            if rows is None
            else (slice(i, i + 1) for i in range(0, array.shape[0], step))
        ):
            digest.update(np.ascontiguousarray(array[part]).tobytes())
    return digest.hexdigest()


def job_of(model: Any, features: Any, responses: Any, frame: Frame, alphas: int, held: list[int]) -> Job:
    """The size of a fit with an estimator's settings."""
    weights: Weights = "none" if not model.keep_weights else "memory" if model.folder is None else "disk"
    width = frame.dtype.itemsize
    samples, count = features.shape
    return Job(samples, count, responses.shape[1], alphas, held, width, weights, is_lazy(responses))


def result_arrays(plan: Plan, frame: Frame, folds: int = 0) -> dict[str, Any]:
    """Shapes and types of what a plan's fit finds."""
    job = plan.job
    dtype = np.dtype(f"float{8 * frame.dtype.itemsize}")
    shapes = weight_arrays(job.weights, plan.form, job.targets, job.samples, job.features, dtype)
    if job.search == "fractions":
        shapes["chosen"] = ((job.targets,), np.float64)
    if folds:
        shapes["curves"] = ((job.targets, job.alphas), np.float64)
        shapes["folds"] = ((job.targets, folds), np.float64)
    return shapes


def data_key(model: Any, features: Any, responses: Any, weight: NDArray[Any] | None) -> dict[str, Any]:
    """What identifies the data of a fit that may be resumed: all features, and some rows of the responses."""
    if model.folder is None:
        return {}
    return {
        "shape": [*features.shape, responses.shape[1]],
        "features": fingerprint(features),
        "responses": fingerprint(responses, rows=16),
        "weight": None if weight is None else fingerprint(weight),
        "fit_intercept": model.fit_intercept,
        "dtype": model.dtype,
        "keep_weights": getattr(model, "keep_weights", True),
    }


def warn_missing(
    missing: NDArray[np.bool_], done: str = "were not fitted; their predictions are NaN", level: int = 4
) -> None:
    """Say how many targets could not be fitted, [V] true where one holds a NaN.

    Args:
        missing: [V].
        done: with them.
        level: of the caller's caller who is told, as in `warnings.warn`.

    Raises:
        DataError: all of them.
    """
    count = int(missing.sum())
    if count == len(missing):
        raise DataError(f"y holds NaN in every target ({count}); drop the samples or targets with missing responses")
    if count:
        warnings.warn(f"{count} targets hold NaN and {done}", stacklevel=level)


def check_scoring(scoring: str, folds: Sequence[Split] | None) -> None:
    """A known score, and one that the folds can be given."""
    if scoring not in ("mse", "r2", "pearson"):
        raise SettingsError(f"scoring is {scoring!r}; wanted 'mse', 'r2' or 'pearson'")
    if scoring != "mse" and folds is not None and min(len(test) for _, test in folds) < 2:
        raise SettingsError(f"scoring {scoring!r} needs two held-out samples in every fold; give scoring='mse'")


def check_conservative(model: Any, folds: Sequence[Split] | None) -> None:
    """Folds whose scores differ, and a choice for each target, where the choice is to be conservative."""
    if model.conservative and (folds is None or len(folds) < 2):
        raise SettingsError(
            "conservative=True goes by how much scores differ between folds, of which this cv has one; give "
            "conservative=False, or two folds or more"
        )
    if model.conservative and not model.alpha_per_target:
        raise SettingsError(
            "conservative=True chooses for each target; give alpha_per_target=True, or conservative=False"
        )


def check_folds(folds: Sequence[Split] | None, weight: NDArray[np.float64] | None) -> None:
    """Samples with weight to train on and to hold out, in every fold."""
    for place, (train, test) in enumerate(folds if folds is not None and weight is not None else []):
        for name, rows in (("trained on", train), ("held out", test)):
            if weight is not None and not weight[rows].any():
                raise DataError(
                    f"sample_weight is zero for all samples that are {name} in fold {place}; leave them out of X and "
                    "y, or give another cv"
                )


def shown(steps: Iterator[tuple[int, T]], count: int, progress: bool, unit: str) -> Iterator[T]:
    """What the steps bring, with a bar that counts how much each of them did."""
    from tqdm.auto import tqdm

    with tqdm(total=count, desc="ridge", unit=unit, disable=not progress) as bar:
        for done, found in steps:
            yield found
            bar.update(done)
