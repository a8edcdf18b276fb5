"""A few alphas of a grid, the nodes, from whose predictions those of all others are mixed.

Shapes: A alphas, K nodes, Q eigenvalues, S of those and of values between them.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.models.spectra import FilterBasis, filters, floor, weighed

__all__ = ["make_nodes"]

PER_DECADE = 12  # values between eigenvalues


def make_nodes(
    values: Tensor, alphas: NDArray[np.float64], tolerance: float
) -> tuple[NDArray[np.float64], FilterBasis]:
    """The fewest nodes, [K] ascending, for folds of samples with this spectrum, and the basis of their own filters.

    The eigenvalues of a part of the samples lie between those of all (Cauchy's interlacing), so that filters are held
    against values in between, too. Held-out samples are taken to be like the others.

    Args:
        values: [Q] eigenvalues, ascending.
        alphas: [A], above zero.
        tolerance: as in `filter_basis`.
    """
    dense = _dense(values, float(alphas.min()) * tolerance)
    wanted, _, share = weighed(dense, dense, alphas)
    places, mix, error = _interpolated(torch.as_tensor(wanted), tolerance)
    own = filters(values.cpu().numpy(), alphas[places])
    every = ((slice(0, len(own)), slice(0, own.shape[1])),)
    back = torch.linalg.pinv(torch.as_tensor(own)).numpy()
    return alphas[places], FilterBasis(own, share * mix / share[places].T, back, error, every)


def _dense(values: Tensor, negligible: float) -> NDArray[np.float64]:
    """Eigenvalues above zero and values between, [S]; down to the negligible where more than the mean's is zero."""
    kept = values[values > floor(values)].cpu().numpy()
    low = kept[0] if len(values) - len(kept) < 2 else min(kept[0], negligible)
    between = np.geomspace(low, kept[-1], 2 + int(PER_DECADE * np.log10(kept[-1] / low)))
    return np.concatenate([kept, between])


def _interpolated(wanted: Tensor, tolerance: float) -> tuple[list[int], NDArray[np.float64], float]:
    """Rows whose span holds all rows [A, S] within a tolerance, the mix [A, K] of each, and the largest error.

    Greedily: the row that is farthest from the span of those chosen is the next (QR decomposition with pivoting).
    """
    rest, along = wanted.clone(), []
    places: list[int] = []
    while not places or (len(places) < len(wanted) and float(rest.norm(dim=1).max()) > tolerance):
        places.append(int(rest.norm(dim=1).argmax()))
        unit = rest[places[-1]] / rest[places[-1]].norm()
        along.append(rest @ unit)
        rest = rest - torch.outer(along[-1], unit)
    found = torch.stack(along, dim=1)
    mix = torch.linalg.solve_triangular(found[places], found, upper=False, left=False)
    order = np.argsort(places)
    return [places[place] for place in order], mix.numpy()[:, order], float(rest.norm(dim=1).max())
