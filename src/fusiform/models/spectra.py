"""Eigendecompositions, and few basis filters that stand for a whole grid of alphas.

Ridge with penalty alpha applies the filter 1 / (s + alpha) to the eigenvalues s of the Gram matrix. Filters of
neighbouring alphas are nearly alike: 60 of them span, to four digits, a space of about eight dimensions. So predictions
are made with a few basis filters, and each alpha's are a mixture of those.

Shapes: A alphas, Q eigenvalues, R basis filters.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.errors import DataError

__all__ = [
    "FilterBasis",
    "filter_basis",
    "filters",
    "floor",
    "lowest",
    "pieced_basis",
    "resolved",
    "shares",
    "spectrum",
    "weighed",
]

PIECES = 5  # most equal stretches that a spectrum is cut into
STEPS, LEAST = 20, 32  # most steps between which it may be cut, and fewest eigenvalues of a step
THIN = 3  # every such alpha is looked at to choose the cuts
GRAM_COST = 3  # small products of predictions with each other run this much slower than the large ones that make them


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

    @property
    def plain(self) -> bool:
        """Whether every alpha has a filter of its own on every eigenvalue, so that nothing is saved or lost."""
        return self.load >= int(self.mix.shape[0]) * int(self.basis.shape[1])

    def only(self, place: int) -> "FilterBasis":
        """The same basis for one alpha of the grid."""
        return replace(self, mix=self.mix[[place]])


def spectrum(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues [Q], ascending and none below zero, and eigenvectors [Q, Q] (columns) of a Gram matrix [Q, Q].

    A float32 decomposition that fails to converge is done again in float64, one in float64 by another algorithm.

    Raises:
        DataError: that fails, too.
    """
    try:
        values, vectors = torch.linalg.eigh(gram)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        again = _by_svd if gram.dtype == torch.float64 else spectrum
        values, vectors = (part.to(gram) for part in again(gram.double()))
    return values.clamp(min=0), vectors


def _by_svd(gram: Tensor) -> tuple[Tensor, Tensor]:
    """The same by a singular value decomposition on the CPU: what is on the left of it are the eigenvectors."""
    scale = gram.diagonal().max()
    try:
        vectors, values, _ = torch.linalg.svd((gram / scale).cpu())
    except torch.linalg.LinAlgError as reason:  # type: ignore[attr-defined]
        raise DataError(
            f"the {len(gram)} x {len(gram)} Gram matrix of the features could not be decomposed, neither by eigh nor "
            "by SVD; standardise the features, and drop those that hardly vary or repeat others"
        ) from reason
    return values.flip(0) * scale.cpu(), vectors.flip(1)


def resolved(values: Tensor, vectors: Tensor) -> Tensor:
    """Eigenvectors, [Q, Q], zero where the eigenvalue is zero but for rounding in float64.

    No weights lie there, and a small alpha would magnify whatever else falls on them by 1 / alpha.
    """
    return vectors * (values > floor(values))


def floor(values: Tensor) -> float:
    """Up to here eigenvalues [Q], ascending, are zero but for rounding in float64."""
    return len(values) * torch.finfo(torch.float64).eps * float(values[-1])


def lowest(values: Tensor) -> float:
    """The least of the eigenvalues [Q], ascending, that are not zero; zero where all are."""
    kept = values[values > floor(values)]
    return float(kept[0]) if len(kept) else 0.0


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
    values: NDArray[np.float64],
    reach: NDArray[np.float64],
    alphas: NDArray[np.float64],
    tolerance: float,
    allowed: NDArray[np.float64] | None = None,
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
        allowed: [A] factors on the tolerance; None: as above, each alpha's share of the largest prediction.
    """
    return _pieced(*weighed(values, reach, alphas, allowed), tolerance, [0, len(values)])


def pieced_basis(
    values: NDArray[np.float64], reach: NDArray[np.float64], alphas: NDArray[np.float64], tolerance: float
) -> FilterBasis:
    """`filter_basis` of stretches of the spectrum, in as many as makes predictions cheapest.

    Over a short stretch all filters are nearly alike, so that three or four stand for a grid of sixty: in all there are
    more of them, but a prediction from each takes a part of the eigenvectors only.
    """
    wanted, weight, share = weighed(values, reach, alphas)
    return _pieced(wanted, weight, share, tolerance, _cheapest(wanted, tolerance))


def _cheapest(wanted: NDArray[np.float64], tolerance: float) -> list[int]:
    """Where to cut the spectrum [A, Q]; the edges, 0 and Q included."""
    width = wanted.shape[1]
    steps = np.linspace(0, width, min(STEPS, max(1, width // LEAST)) + 1).round().astype(int)
    few = wanted[::THIN]
    parts = [torch.from_numpy(few[:, low:high]) for low, high in pairwise(steps)]
    sums = torch.stack([torch.zeros(len(few), len(few)).double(), *(part @ part.T for part in parts)]).cumsum(0)
    return [int(steps[cut]) for cut in min(_cuts(len(parts)), key=lambda cuts: _cost(sums, steps, cuts, tolerance))]


def _cuts(steps: int) -> list[list[int]]:
    """Ways to cut that many steps: into equal stretches, and with the last step, of the largest values, by itself."""
    counts = range(1, min(PIECES, steps) + 1)
    equal = [np.linspace(0, steps, count + 1).round().astype(int).tolist() for count in counts]
    apart = [[*np.linspace(0, steps - 1, count + 1).round().astype(int).tolist(), steps] for count in counts]
    return equal + [cuts for cuts in apart if len(set(cuts)) == len(cuts)]


def _cost(sums: Tensor, steps: NDArray[np.int64], cuts: list[int], tolerance: float) -> float:
    """Of predictions with these stretches, from sums of the steps' Gram matrices [S + 1, a, a] over some alphas."""
    power, left = torch.linalg.eigh(sums[cuts].diff(dim=0))
    errors = left.square() * power.clamp(min=0)[:, None]  # [K, a, a]
    ranks = [int(kept.sum()) for kept in _needed(list(errors.numpy()), tolerance)]
    return float(np.dot(ranks, np.diff(steps[cuts])) + GRAM_COST * (sum(ranks) + 2) ** 2)


def shares(values: NDArray[np.float64], reach: NDArray[np.float64], alphas: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much each alpha can predict, as a share of what the one that predicts most can, [A]; as in `filter_basis`."""
    return weighed(values, reach, alphas)[2][:, 0]


def weighed(
    values: NDArray[np.float64],
    reach: NDArray[np.float64],
    alphas: NDArray[np.float64],
    allowed: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Filters weighted by their reach over what is allowed [A, Q], those weights [Q], and what is allowed [A, 1]."""
    weight = np.maximum(reach, 1e-8 * reach.max(initial=0.0) + np.finfo(np.float32).tiny)
    wanted = filters(values, alphas) * np.where(reach > 0, weight, 0.0)
    if allowed is None:
        sizes = np.linalg.norm(wanted, axis=1)
        allowed = sizes / (sizes.max() or 1.0)
    share = np.maximum(allowed, np.finfo(np.float32).tiny)[:, None]
    return wanted / share, weight, share


def _pieced(
    wanted: NDArray[np.float64],
    weight: NDArray[np.float64],
    share: NDArray[np.float64],
    tolerance: float,
    edges: list[int],
) -> FilterBasis:
    """Bases of the stretches between edges, with the fewest filters that keep the tolerance together."""
    parts = [slice(low, high) for low, high in pairwise(edges)]
    found = [_svd(wanted[:, part]) for part in parts]
    errors = [np.square(left * size) for left, size, _ in found]
    needed = _needed(errors, tolerance)
    ends = np.cumsum([0, *(int(kept.sum()) for kept in needed)]).tolist()
    basis, projection = np.zeros((ends[-1], len(weight))), np.zeros((len(weight), ends[-1]))
    pieces = tuple((slice(low, high), part) for (low, high), part in zip(pairwise(ends), parts, strict=True))
    for (rows, part), (_, _, right), kept in zip(pieces, found, needed, strict=True):
        basis[rows, part] = right[kept] / weight[part]
        projection[part, rows] = (right[kept] * weight[part]).T
    mix = share * np.concatenate(
        [(left * size)[:, kept] for (left, size, _), kept in zip(found, needed, strict=True)], 1
    )
    rest = sum(error[:, ~kept].sum(1) for error, kept in zip(errors, needed, strict=True))
    return FilterBasis(basis, mix, projection, float(np.sqrt(np.max(rest))), pieces)


def _svd(wanted: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """By torch, as all here: numpy's own threads spin on for a while after a product, and slow down what comes next."""
    left, size, right = torch.linalg.svd(torch.as_tensor(wanted), full_matrices=False)
    return left.numpy(), size.numpy(), right.numpy()


def _needed(errors: list[NDArray[np.float64]], tolerance: float) -> list[NDArray[np.bool_]]:
    """Which singular vectors to keep so that what is dropped stays within the tolerance for every alpha.

    Args:
        errors: [A, r] of each stretch: squared error of each alpha if that vector is dropped. They add up.
        tolerance: largest root of their sum; each stretch keeps its largest vector all the same.
    """
    every = np.concatenate(errors, axis=1)
    order = np.argsort(every.sum(0))  # the least of all first
    dropped = int(np.searchsorted(np.cumsum(every[:, order], axis=1).max(0), tolerance**2, side="right"))
    kept = np.ones(len(order), dtype=bool)
    kept[order[:dropped]] = False
    needed = np.split(kept, np.cumsum([error.shape[1] for error in errors])[:-1])
    for stretch, error in zip(needed, errors, strict=True):
        stretch[error.sum(0).argmax()] = True
    return needed
