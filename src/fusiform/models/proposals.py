"""What a banded search tries: weights of the bands, and the alphas to go with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusiform.errors import SettingsError
from fusiform.models.bands import Banded, Candidate
from fusiform.models.inputs import check_alphas

__all__ = [
    "Proposals",
    "check_weights",
    "draw_weights",
    "grid_candidates",
    "jittered",
    "longest",
    "mean_eigenvalue",
]

RELATIVE = np.logspace(-4, 4, 33)  # the default grid, in units of the mean eigenvalue
DECADE = 10.0  # within which a single alpha is shifted, as it has no neighbour


@dataclass(frozen=True)
class Proposals:
    """The settings of a search, as `BandedRidgeCV` takes them.

    Args:
        alphas: [A]; or band -> [A_b]; None for a grid that suits the data.
        candidates: [C, B] band weights; None for random ones.
        count: of random ones.
        concentration: one, or several that take turns, of the distributions that random ones are drawn from.
        seed: of random ones, and of the shifts.
        jitter: shift the grid of alphas for every candidate.
    """

    alphas: ArrayLike | Mapping[str, ArrayLike] | None
    candidates: ArrayLike | None
    count: int
    concentration: float | Sequence[float]
    seed: int
    jitter: bool = False

    def of(self, bands: Sequence[str], unit: float = 1.0) -> list[Candidate]:
        """The candidates for these bands; without alphas, those of a grid in units of one.

        Raises:
            SettingsError: settings that do not fit these bands, or one another.
        """
        if isinstance(self.alphas, Mapping):
            return grid_candidates(self._grids(self.alphas, bands))
        alphas = RELATIVE * unit if self.alphas is None else check_alphas(self.alphas)
        found = [Candidate(weights, alphas) for weights in self._weights(len(bands))]
        return jittered(found, self.seed) if self.jitter else found

    def _weights(self, bands: int) -> NDArray[np.float64]:
        """Of every candidate, [C, B]."""
        if self.candidates is not None:
            return check_weights(self.candidates, bands)
        return draw_weights(bands, self.count, self.seed, check_alphas(self.concentration, "concentration"))

    def _grids(self, alphas: Mapping[str, ArrayLike], bands: Sequence[str]) -> list[NDArray[np.float64]]:
        if self.candidates is not None or set(alphas) != set(bands):
            raise SettingsError(
                f"alphas has grids for {sorted(alphas)}; wanted one per band ({sorted(bands)}), and no "
                "candidates beside them"
            )
        if self.jitter:
            raise SettingsError("jitter_alphas=True shifts one grid for all bands; give alphas as a list of them")
        return [check_alphas(alphas[name]) for name in bands]


def longest(candidates: Sequence[Candidate]) -> NDArray[np.float64]:
    """The alphas [A] of the candidate that has most of them, the widest of equals: what time and memory depend on."""
    return max((one.alphas for one in candidates), key=lambda alphas: (len(alphas), alphas.max() / alphas.min()))


def mean_eigenvalue(banded: Banded) -> float:
    """Of the Gram matrix of equally weighted bands; one for features that do not vary."""
    trace, equal = banded.design.gram.diagonal().sum(), 1 / len(banded.bands)
    return float(trace) * equal / min(len(banded.design.root), len(banded.design.mean)) or 1.0


def draw_weights(bands: int, count: int, seed: int, concentration: NDArray[np.float64]) -> NDArray[np.float64]:
    """Equal weights first, then draws from Dirichlet distributions of these concentrations by turns, [count, bands].

    Those of concentration 1 are spread evenly over the simplex, those of smaller ones lie near its corners.
    """
    rng = np.random.default_rng(seed)
    draws = [rng.dirichlet(np.full(bands, concentration[i % len(concentration)])) for i in range(count - 1)]
    return np.array([np.full(bands, 1 / bands), *draws])


def grid_candidates(grids: Sequence[NDArray[np.float64]]) -> list[Candidate]:
    """Every combination of the bands' own penalties, those of equal ratios together in one candidate."""
    penalties = np.array(list(product(*grids)))  # [combinations, B]
    alphas = 1 / (1 / penalties).sum(1)
    weights = alphas[:, None] / penalties
    ratios = np.log(penalties / penalties[:, :1])  # weights of bands that hardly count would all round to zero
    _, group, counts = np.unique(ratios.round(9), axis=0, return_inverse=True, return_counts=True)
    members = np.split(np.argsort(group.ravel(), kind="stable"), np.cumsum(counts)[:-1])
    return [Candidate(weights[rows[0]], np.sort(alphas[rows])) for rows in members]


def jittered(candidates: Sequence[Candidate], seed: int) -> list[Candidate]:
    """Each candidate with its alphas times a factor of its own, drawn evenly in logs from within one step of the grid.

    The step is the widest between neighbours, so that all factors together reach every penalty among them; of a single
    alpha it is a decade. Draws are independent of those of the weights, which stay what they are.
    """
    rng = np.random.default_rng(seed).spawn(1)[0]
    return [replace(one, alphas=one.alphas * _step(one.alphas) ** (rng.random() - 0.5)) for one in candidates]


def _step(alphas: NDArray[np.float64]) -> float:
    """Widest ratio of neighbours in a grid."""
    ordered = np.unique(alphas)
    return float((ordered[1:] / ordered[:-1]).max()) if len(ordered) > 1 else DECADE


def check_weights(candidates: ArrayLike, bands: int) -> NDArray[np.float64]:
    """Band weights [C, B], each of sum one."""
    weights = np.atleast_2d(np.asarray(candidates, dtype=np.float64))
    if weights.ndim != 2 or weights.shape[1] != bands or not (weights >= 0).all() or not (weights.sum(1) > 0).all():
        raise SettingsError(
            f"candidates has the shape {weights.shape}; wanted [C, {bands}], a row of weights not below "
            "zero per candidate"
        )
    return np.asarray(weights / weights.sum(1, keepdims=True))
