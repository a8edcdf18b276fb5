"""Retrieval: is what a brain says nearest to what it saw?"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusiform.errors import DataError
from fusiform.scores.metrics import correlation_matrix

__all__ = ["Retrieval", "retrieval"]


@dataclass(frozen=True)
class Retrieval:
    """Who was found.

    Args:
        forward: [N] brain -> image: each prediction's own stimulus is the nearest in the gallery.
        backward: [M] image -> brain: each stimulus's nearest prediction is one of its own.
        similarity: [N, M] correlation of predictions and gallery.
        chance: share that guessing gets right going forward, 1 / M.
    """

    forward: NDArray[np.bool_]
    backward: NDArray[np.bool_]
    similarity: NDArray[np.float64]
    chance: float

    def summary(self) -> dict[str, float | int]:
        """Top-1 rates both ways, chance and the size of the gallery, for `summary.json`."""
        rates = {"forward_top1": float(self.forward.mean()), "backward_top1": float(self.backward.mean())}
        return {**rates, "chance": self.chance, "gallery": len(self.backward)}


def retrieval(pred: ArrayLike, gallery: ArrayLike, shown: ArrayLike) -> Retrieval:
    """Find each prediction among a gallery by correlation, and each picture of the gallery among the predictions.

    Ties count as failures, so that constant predictions find nothing.

    Args:
        pred: [N, K] predicted features, one row per sample.
        gallery: [M, K] true features, one row per stimulus.
        shown: [N] which row of the gallery each sample saw.

    Raises:
        DataError: shapes do not agree, something is empty or not finite, or `shown` is no row of the gallery.
    """
    pred, gallery, shown = np.asarray(pred), np.asarray(gallery), np.asarray(shown)
    _check(pred, gallery, shown)
    similarity = correlation_matrix(pred, gallery)
    own = shown[:, None] == np.arange(len(gallery))  # [N, M]
    right, wrong = np.where(own, similarity, -np.inf), np.where(own, -np.inf, similarity)
    forward, backward = (right.max(axis) > wrong.max(axis) for axis in (1, 0))
    return Retrieval(forward, backward, similarity, 1 / len(gallery))


def _check(pred: NDArray[Any], gallery: NDArray[Any], shown: NDArray[Any]) -> None:
    if not pred.ndim == gallery.ndim == 2 or pred.shape[1:] != gallery.shape[1:] or shown.shape != pred.shape[:1]:
        raise DataError(
            f"got predictions {pred.shape}, a gallery {gallery.shape} and {shown.shape} shown; "
            "wanted [N, K], [M, K] and [N]"
        )
    if not (pred.size and gallery.size):
        raise DataError(
            f"got predictions {pred.shape} and a gallery {gallery.shape}; wanted one row and feature or more"
        )
    if not (np.isfinite(pred).all() and np.isfinite(gallery).all()):
        raise DataError("predictions or gallery hold NaN or infinite values; drop those rows first")
    if shown.dtype.kind not in "iu" or shown.min() < 0 or shown.max() >= len(gallery):
        least, most = np.unique(shown)[[0, -1]].tolist()
        raise DataError(
            f"shown holds {least!r} to {most!r}; wanted rows of the gallery, integers from 0 to {len(gallery) - 1}"
        )
