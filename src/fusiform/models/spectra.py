"""Eigendecompositions, and few basis filters that stand for a whole grid of alphas.

Ridge with penalty alpha applies the filter 1 / (s + alpha) to the eigenvalues s of the Gram matrix. Filters of
neighbouring alphas are nearly alike: 60 of them span, to four digits, a space of about eight dimensions. So predictions
are made with a few basis filters, and each alpha's are a mixture of those.

Shapes: A alphas, Q eigenvalues, R basis filters.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["FilterBasis", "filter_basis", "filters", "spectrum"]


@dataclass(frozen=True)
class FilterBasis:
    """Basis filters for a grid of alphas: filters(s, alphas) is approximately `mix @ basis`.

    Args:
        basis: [R, Q] basis filters on the eigenvalues.
        mix: [A, R] weights of the basis filters for each alpha.
        projection: [Q, R]; `filters @ projection` is the mix of any other filters in reach of the basis.
        error: bound on the norm of the error of what the filters predict, for a target of norm one and any alpha.
    """

    basis: NDArray[np.float64]
    mix: NDArray[np.float64]
    projection: NDArray[np.float64]
    error: float

    @property
    def rank(self) -> int:
        """Number of basis filters, R."""
        return len(self.basis)


def spectrum(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues [Q], ascending and none below zero, and eigenvectors [Q, Q] (columns) of a Gram matrix [Q, Q].

    A float32 decomposition that fails to converge is done again in float64.
    """
    try:
        values, vectors = torch.linalg.eigh(gram)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        if gram.dtype == torch.float64:
            raise
        values, vectors = (part.to(gram.dtype) for part in torch.linalg.eigh(gram.double()))
    return values.clamp(min=0), vectors


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
    weight = np.maximum(reach, 1e-8 * reach.max(initial=0.0) + np.finfo(np.float32).tiny)  # [Q]
    wanted = filters(values, alphas) * weight  # [A, Q]
    share = np.linalg.norm(wanted, axis=1, keepdims=True)
    share = np.maximum(share / share.max(), np.finfo(np.float32).tiny)
    left, size, right = np.linalg.svd(wanted / share, full_matrices=False)
    tails = np.sqrt(np.cumsum(np.square(left * size)[:, ::-1], axis=1)[:, ::-1].max(0))  # error left by the first r
    errors = np.append(tails, 0.0)
    rank = max(1, int(np.argmax(errors <= tolerance)))
    basis, mix = right[:rank] / weight, share * left[:, :rank] * size[:rank]
    return FilterBasis(basis, mix, (right[:rank] * weight).T, float(errors[rank]))
