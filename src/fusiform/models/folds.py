"""Folds: which samples are held out together, and predictions of every sample by a model that never saw it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.model_selection import BaseCrossValidator, LeaveOneGroupOut, check_cv

from fusiform.errors import DataError, SettingsError

__all__ = ["ContiguousFolds", "Split", "cross_predict", "splits"]

Split = tuple[NDArray[np.int64], NDArray[np.int64]]  # positions of training and of held-out samples


class ContiguousFolds(BaseCrossValidator):  # type: ignore[misc]
    """Folds for time series: held-out blocks are contiguous, and their neighbours are kept out of training.

    Neighbouring samples of fMRI share noise and a haemodynamic response; the gap keeps that from leaking.

    Args:
        n_splits: number of blocks; the first ones are a sample longer where they cannot be equal.
        gap: samples left out of training on each side of a held-out block.
    """

    def __init__(self, n_splits: int = 5, gap: int = 0) -> None:
        self.n_splits = n_splits
        self.gap = gap

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of folds."""
        return self.n_splits

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Split]:
        """Positions (train, test) of each fold, in order."""
        count = len(X) if hasattr(X, "__len__") else X.shape[0]
        self._check(count)
        everyone = np.arange(count)
        for block in np.array_split(everyone, self.n_splits):
            near = (everyone >= block[0] - self.gap) & (everyone <= block[-1] + self.gap)
            if near.all():
                raise SettingsError(
                    f"a gap of {self.gap} samples leaves nothing to train on with {self.n_splits} folds of {count} "
                    "samples; give a smaller gap or more folds"
                )
            yield everyone[~near], block

    def _check(self, count: int) -> None:
        if self.n_splits < 2 or self.gap < 0:
            raise SettingsError(f"got n_splits={self.n_splits}, gap={self.gap}; wanted at least 2 folds and a gap >= 0")
        if self.n_splits > count:
            raise SettingsError(f"{self.n_splits} folds need as many samples; got {count}")


def splits(cv: Any, count: int, groups: ArrayLike | None = None) -> list[Split]:
    """The folds that `cv` makes of `count` samples.

    Args:
        cv: a number of contiguous unshuffled folds, `"runs"` (one group out at a time), a scikit-learn splitter, or
            pairs (train, test) of positions.
        count: N samples.
        groups: [N] labels, such as runs; needed by splitters that keep groups together, unused by a number of folds.

    Raises:
        SettingsError: `cv` makes no usable folds.
    """
    if isinstance(cv, str) and cv != "runs":
        raise SettingsError(f"cv is {cv!r}; wanted a number of folds, 'runs', a splitter, or (train, test) pairs")
    if groups is not None and len(np.asarray(groups)) != count:
        raise DataError(f"groups has {len(np.asarray(groups))} labels; wanted {count}, one per sample")
    groups = None if isinstance(cv, int) else groups
    try:
        splitter = check_cv(LeaveOneGroupOut() if isinstance(cv, str) else cv)
        found = [
            (_positions(a, count), _positions(b, count)) for a, b in splitter.split(np.empty((count, 1)), None, groups)
        ]
    except (ValueError, IndexError) as reason:
        raise SettingsError(
            f"cv={cv!r} cannot split {count} samples ({reason}); give another number of folds or pass groups="
        ) from reason
    if any(len(train) == 0 or len(test) == 0 for train, test in found):
        raise SettingsError(f"cv={cv!r} makes a fold of {count} samples with nothing to train on or to hold out")
    return found


def _positions(rows: ArrayLike, count: int) -> NDArray[np.int64]:
    """Positions from positions or a mask."""
    return np.asarray(np.arange(count)[np.asarray(rows)])


def cross_predict(
    model: Any, X: ArrayLike, Y: ArrayLike, cv: Any = 5, groups: ArrayLike | None = None
) -> NDArray[np.floating]:
    """Predict every sample with a model fitted on folds without it.

    Args:
        model: a scikit-learn estimator; a fresh clone is fitted in each fold.
        X: [N, P].
        Y: [N, V] or [N].
        cv: as in `splits`.
        groups: [N] labels; they also reach `fit` if it takes `groups`, restricted to the fold's training samples.

    Returns:
        Out-of-fold predictions, of the shape of Y.

    Raises:
        SettingsError: the folds do not hold out every sample exactly once.
    """
    X, Y = np.asarray(X), np.asarray(Y)
    folds = splits(cv, len(X), groups)
    held = np.bincount(np.concatenate([test for _, test in folds]), minlength=len(X))
    if (held != 1).any():
        raise SettingsError(
            f"cv={cv!r} holds out {int((held == 0).sum())} samples never and {int((held > 1).sum())} more than once; "
            "wanted each exactly once"
        )
    parts = [_fitted(model, X, Y, train, groups).predict(X[test]) for train, test in folds]
    order = np.argsort(np.concatenate([test for _, test in folds]), kind="stable")
    return np.asarray(np.concatenate(parts)[order])


def _fitted(model: Any, X: NDArray[Any], Y: NDArray[Any], train: NDArray[np.int64], groups: ArrayLike | None) -> Any:
    from sklearn.utils.validation import has_fit_parameter

    extra = {"groups": np.asarray(groups)[train]} if groups is not None and has_fit_parameter(model, "groups") else {}
    return clone(model).fit(X[train], Y[train], **extra)
