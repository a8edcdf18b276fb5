"""Eigendecompositions, and few basis filters that stand for a whole grid of alphas.

Ridge with penalty alpha applies the filter 1 / (s + alpha) to the eigenvalues s of the Gram matrix. Filters of
neighbouring alphas are nearly alike: 60 of them span, to four digits, a space of about eight dimensions. So predictions
are made with a few basis filters, and each alpha's are a mixture of those.

Shapes: A alphas, Q eigenvalues, R basis filters.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["FilterBasis", "filter_basis", "filters", "pieced_basis", "spectrum"]

PIECES = 5  # most stretches that a spectrum is cut into
LEAST = 32  # fewest eigenvalues of a stretch
THIN = 8
GRAM_COST = 6  # small products of predictions with each other run this much slower than the large ones that make them


@dataclass(frozen=True)
class FilterBasis:
    """Basis filters for a grid of alphas: filters(s, alphas) is approximately `mix @ basis`.

    Args:
        basis: [R, Q] basis filters on the eigenvalues.
        mix: [A, R] weights of the basis filters for each alpha.
        projection: [Q, R]; `filters @ projection` is the mix of any other filters in reach of the basis.
        error: bound on the norm of the error of what the filters predict, for a target of norm one and any alpha.
        pieces: (filters, eigenvalues) of each stretch of the spectrum; a filter is zero outside its own.
    """

    basis: NDArray[np.float64]
    mix: NDArray[np.float64]
    projection: NDArray[np.float64]
    error: float
    pieces: tuple[tuple[slice, slice], ...]

    @property
    def load(self) -> int:
        """Number of filters on each eigenvalue, summed: what a prediction costs, R * Q in one piece."""
        return sum((rows.stop - rows.start) * (part.stop - part.start) for rows, part in self.pieces)

    @property
    def rank(self) -> int:
        """Number of basis filters, R."""
        return len(self.basis)


def spectrum(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues [Q], ascending and none below zero, and eigenvectors [Q, Q] (columns) of a Gram matrix [Q, Q].

    A float32 decomposition that fails to converge is done again in float64.
    """
    try:
        values, vectors = _eigh(gram)
    except (np.linalg.LinAlgError, torch.linalg.LinAlgError):  # type: ignore[attr-defined]
        if gram.dtype == torch.float64:
            raise
        values, vectors = (part.to(gram.dtype) for part in _eigh(gram.double()))
    return values.clamp(min=0), vectors


def _eigh(gram: Tensor) -> tuple[Tensor, Tensor]:
    """On the CPU LAPACK's divide and conquer as scipy calls it, which takes two thirds of torch's time."""
    if gram.device.type != "cpu":
        values, vectors = torch.linalg.eigh(gram)
        return values, vectors
    from scipy.linalg import eigh

    found = eigh(gram.numpy(), driver="evd", check_finite=False)
    return torch.from_numpy(found[0]), torch.from_numpy(found[1])


def filters(values: NDArray[np.float64], alphas: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (s + alpha), [A, Q]; zero where alpha is zero and s is zero beyond rounding (the pseudo-inverse).

    Args:
        values: [Q] eigenvalues s.
        alphas: [A] penalties, not negative.
    """
    total = values + alphas[:, None]
    floor = len(values) * np.finfo(np.float64).eps * values.max(initial=0.0)
    null = (alphas[:, None] == 0) & (total <= floor)
    return np.where(null, 0.0, 1 / np.where(null, 1.0, total))


def filter_basis(
    values: NDArray[np.float64], reach: NDArray[np.float64], alphas: NDArray[np.float64], tolerance: float
) -> FilterBasis:
    """The fewest basis filters that serve all alphas within a tolerance.

    With d the error of a filter and g = reach, what it predicts for a target of norm one errs by at most
    |sum_q g_q d_q u_q| with sum u^2 <= 1, hence by at most the norm of g d (Cauchy-Schwarz). The best basis in that
    norm is given by the singular vectors of the filters weighted by g. Large alphas predict little, and differ by less:
    each alpha's error is kept below the tolerance times its share of the largest prediction, which costs a filter or
    two and keeps the order of neighbouring alphas.

    Args:
        values: [Q] eigenvalues.
        reach: [Q] norm of what a unit coefficient on each eigenvector of a unit target predicts.
        alphas: [A].
        tolerance: largest error allowed, in units of a target's norm.
    """
    wanted, weight, share = _wanted(values, reach, alphas)
    return _pieced(wanted, weight, share, tolerance, 1)


def pieced_basis(
    values: NDArray[np.float64], reach: NDArray[np.float64], alphas: NDArray[np.float64], tolerance: float
) -> FilterBasis:
    """`filter_basis` of stretches of the spectrum, in as many as makes predictions cheapest.

    Over a short stretch all filters are nearly alike, so that three or four stand for a grid of sixty: in all there are
    more of them, but a prediction from each takes a part of the eigenvectors only.
    """
    wanted, weight, share = _wanted(values, reach, alphas)
    counts = range(1, min(PIECES, len(values) // LEAST) + 1)
    count = min(counts or [1], key=lambda count: _cost(wanted, tolerance, count))
    return _pieced(wanted, weight, share, tolerance, count)


def _cost(wanted: NDArray[np.float64], tolerance: float, count: int) -> float:
    """Of predictions with `count` stretches, guessed from every THIN-th eigenvalue: a spectrum is smooth."""
    thin = wanted[:, ::THIN] * np.sqrt(THIN)
    ranks = [len(_truncated(part, tolerance / np.sqrt(count))[1]) for part in np.array_split(thin, count, axis=1)]
    return float(sum(ranks) * wanted.shape[1] / count + GRAM_COST * (sum(ranks) + 2) ** 2)


def _wanted(
    values: NDArray[np.float64], reach: NDArray[np.float64], alphas: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Filters weighted by their reach over each alpha's share [A, Q], those weights [Q], and the shares [A, 1]."""
    weight = np.maximum(reach, 1e-8 * reach.max(initial=0.0) + np.finfo(np.float32).tiny)
    wanted = filters(values, alphas) * weight
    share = np.linalg.norm(wanted, axis=1, keepdims=True)
    share = np.maximum(share / share.max(), np.finfo(np.float32).tiny)
    return wanted / share, weight, share


def _pieced(
    wanted: NDArray[np.float64],
    weight: NDArray[np.float64],
    share: NDArray[np.float64],
    tolerance: float,
    count: int,
) -> FilterBasis:
    """Bases of `count` equal stretches, each within its part of the tolerance: errors add up as squares."""
    edges = np.linspace(0, len(weight), count + 1).round().astype(int)
    parts = [slice(int(low), int(high)) for low, high in pairwise(edges)]
    found = [_truncated(wanted[:, part], tolerance / np.sqrt(count)) for part in parts]
    ends = np.cumsum([0, *(len(right) for _, right, _ in found)]).tolist()
    basis, projection = np.zeros((ends[-1], len(weight))), np.zeros((len(weight), ends[-1]))
    pieces = tuple((slice(low, high), part) for (low, high), part in zip(pairwise(ends), parts, strict=True))
    for (rows, part), (_, right, _) in zip(pieces, found, strict=True):
        basis[rows, part] = right / weight[part]
        projection[part, rows] = (right * weight[part]).T
    mix = share * np.concatenate([left for left, _, _ in found], axis=1)
    error = float(np.sqrt(sum(error**2 for _, _, error in found)))
    return FilterBasis(basis, mix, projection, error, pieces)


def _truncated(wanted: NDArray[np.float64], tolerance: float) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """The fewest singular vectors that leave rows within the tolerance: left * size [A, R], right [R, Q], error."""
    left, size, right = np.linalg.svd(wanted, full_matrices=False)
    tails = np.sqrt(np.cumsum(np.square(left * size)[:, ::-1], axis=1)[:, ::-1].max(0))  # error left by the first r
    errors = np.append(tails, 0.0)
    rank = max(1, int(np.argmax(errors <= tolerance)))
    return left[:, :rank] * size[:rank], right[:rank], float(errors[rank])
