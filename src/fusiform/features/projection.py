"""Rows made shorter by a matrix per layer: random projections, and principal components of training rows.

Both work on a layer's row as one vector, however many axes it has. What was drawn or fitted can be kept in a store and
taken from there, so that rows that are made later go through the same numbers.
"""

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiform.data import Array, Features
from fusiform.errors import DataError, SettingsError

__all__ = ["PCA_WIDTH", "PrincipalComponents", "RandomProjection", "check_width", "fit_components"]

PCA_WIDTH = 4096  # numbers in a row: a covariance of 128 MiB per layer
_BATCH_BYTES = 1 << 26


class RandomProjection:
    """A sparse random projection of every layer's rows to `size` numbers.

    Entries are 0, or +-sqrt(sqrt(P) / size) with probability 1 / sqrt(P) in all, for rows of P numbers; squared
    lengths and distances keep their expectation (Li, Hastie & Church 2006, "Very sparse random projections"; the same
    distribution as scikit-learn's SparseRandomProjection). A layer's matrix depends on the seed, its name and P.

    Args:
        size: numbers that are left of a row.
        seed: of the matrices.
        arrays: of matrices that were drawn before, see `arrays`.
    """

    def __init__(self, size: int, seed: int, arrays: Mapping[str, NDArray[Any]] | None = None) -> None:
        self.size, self.seed = size, seed
        layers = dict.fromkeys(name.rpartition("/")[0] for name in arrays or {})
        self._matrices: dict[str, Any] = {layer: _sparse(arrays or {}, layer, size) for layer in layers}

    def __call__(self, layer: str, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The rows [M, ...] of a layer to [M, size].

        Raises:
            DataError: they have another width than the matrix that was drawn before.
        """
        flat = rows.reshape(len(rows), -1)
        if layer not in self._matrices:
            self._matrices[layer] = self._draw(layer, flat.shape[1])
        matrix = self._matrices[layer]
        if matrix.shape[1] != flat.shape[1]:
            raise DataError(
                f"rows of layer {layer!r} have {flat.shape[1]} numbers; the projection that was drawn takes "
                f"{matrix.shape[1]}: stimuli must become rows of one size"
            )
        return np.ascontiguousarray((matrix @ flat.T).T, dtype=np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The matrices drawn so far, in compressed rows: `columns`, `starts`, `values`, `width`, after `layer/`."""
        found: dict[str, NDArray[Any]] = {}
        for layer, matrix in self._matrices.items():
            found[f"{layer}/columns"] = matrix.indices.astype(np.int32)
            found[f"{layer}/starts"] = matrix.indptr.astype(np.int64)
            found[f"{layer}/values"] = matrix.data
            found[f"{layer}/width"] = np.array([matrix.shape[1]])
        return found

    def _draw(self, layer: str, width: int) -> Any:
        from scipy.sparse import csr_array

        random = np.random.default_rng([self.seed, zlib.crc32(layer.encode())])
        density = width**-0.5
        counts = random.binomial(width, density, self.size)
        columns = [np.sort(random.choice(width, count, replace=False, shuffle=False)) for count in counts.tolist()]
        signs = random.integers(0, 2, int(counts.sum())) * 2 - 1
        values = (signs / np.sqrt(density * self.size)).astype(np.float32)
        starts = np.concatenate([[0], np.cumsum(counts)])
        return csr_array((values, np.concatenate(columns), starts), shape=(self.size, width))


def _sparse(arrays: Mapping[str, NDArray[Any]], layer: str, size: int) -> Any:
    from scipy.sparse import csr_array

    columns, starts, values, width = (arrays[f"{layer}/{part}"] for part in ("columns", "starts", "values", "width"))
    return csr_array((values, columns, starts), shape=(size, int(width[0])))


class PrincipalComponents:
    """Principal components of every layer's rows.

    Args:
        arrays: `layer/mean` [P], `layer/components` [size, P] with unit rows, the largest variance first, and
            `layer/variance_ratio` [size], their shares of the variance of the rows they were fitted on.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.arrays = dict(arrays)

    def __call__(self, layer: str, rows: NDArray[Any]) -> NDArray[np.float32]:
        """The rows [M, ...] of a layer to [M, size]."""
        flat = rows.reshape(len(rows), -1).astype(np.float64)
        scores = (flat - self.arrays[f"{layer}/mean"]) @ self.arrays[f"{layer}/components"].T
        return np.asarray(scores, dtype=np.float32)


def fit_components(features: Features, chosen: NDArray[np.bool_], size: int) -> PrincipalComponents:
    """The principal components of the chosen rows of features, [M], which are read once, in batches.

    They are the eigenvectors of the covariance; of each, the number that is largest in size is positive, so that the
    signs do not depend on the machine.

    Raises:
        SettingsError: a row has more than `PCA_WIDTH` numbers, or there are no `size` components.
    """
    fitted: dict[str, NDArray[Any]] = {}
    rows = np.flatnonzero(chosen)
    for layer, array in features.arrays.items():
        width = int(np.prod(array.shape[1:]))
        check_width(layer, width)
        if size > min(len(rows) - 1, width):
            raise SettingsError(
                f"pca:{size} of layer {layer!r} needs at least {size + 1} training rows of {size} numbers; there are "
                f"{len(rows)} of {width}: ask for fewer components"
            )
        mean, scatter = _moments(array, rows, width)
        values, vectors = _largest(scatter, size)
        fitted[f"{layer}/mean"] = mean
        fitted[f"{layer}/components"] = vectors
        fitted[f"{layer}/variance_ratio"] = values / (np.trace(scatter) or 1.0)  # rows that are all the same have none
    return PrincipalComponents(fitted)


def check_width(layer: str, width: int) -> None:
    """Raise SettingsError where the rows of a layer are too wide for a covariance."""
    if width > PCA_WIDTH:
        raise SettingsError(
            f"pca of layer {layer!r}: its rows have {width} numbers, and at most {PCA_WIDTH} can be decomposed; reduce "
            "them first, e.g. mean+pca:64 or project:4096+pca:64"
        )


def _moments(array: Array, rows: NDArray[np.int64], width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean [P] of some rows, and sum of squares and products around it [P, P]."""
    step = max(1, _BATCH_BYTES // (8 * width))
    total, scatter, shift = np.zeros(width), np.zeros((width, width)), None
    for start in range(0, len(rows), step):
        values = np.asarray(array[rows[start : start + step]], dtype=np.float64).reshape(-1, width)
        shift = values.mean(0) if shift is None else shift  # sums around a point near the mean lose no digits
        values = values - shift
        total += values.sum(0)
        scatter += values.T @ values
    assert shift is not None
    offset = total / len(rows)
    return shift + offset, scatter - len(rows) * np.outer(offset, offset)


def _largest(scatter: NDArray[np.float64], size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The largest eigenvalues [size], descending, and their eigenvectors [size, P], signs fixed."""
    from scipy.linalg import eigh

    width = len(scatter)
    values, vectors = eigh(scatter, subset_by_index=[width - size, width - 1])
    vectors = vectors.T[::-1]
    signs = np.sign(vectors[np.arange(size), np.abs(vectors).argmax(1)])
    return np.maximum(values[::-1], 0), np.ascontiguousarray(vectors * signs[:, None])
