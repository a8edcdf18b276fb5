"""What a banded search tries: weights of the bands, and the alphas to go with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusiform.errors import SettingsError
from fusiform.models.bands import Banded, Candidate, check_candidates, draw_candidates, grid_candidates
from fusiform.models.inputs import check_alphas

__all__ = ["Proposals", "longest", "mean_eigenvalue"]

RELATIVE = np.logspace(-4, 4, 33)  # the default grid, in units of the mean eigenvalue


@dataclass(frozen=True)
class Proposals:
    """The settings of a search, as `BandedRidgeCV` takes them.

    Args:
        alphas: [A]; or band -> [A_b]; None for a grid that suits the data.
        candidates: [C, B] band weights; None for random ones.
        count: of random ones.
        concentration: one, or several that take turns, of the distributions that random ones are drawn from.
        seed: of random ones.
    """

    alphas: ArrayLike | Mapping[str, ArrayLike] | None
    candidates: ArrayLike | None
    count: int
    concentration: float | Sequence[float]
    seed: int

    def of(self, bands: Sequence[str], unit: float = 1.0) -> list[Candidate]:
        """The candidates for these bands; without alphas, those of a grid in units of one.

        Raises:
            SettingsError: settings that do not fit these bands, or one another.
        """
        if isinstance(self.alphas, Mapping):
            return grid_candidates(self._grids(self.alphas, bands))
        alphas = RELATIVE * unit if self.alphas is None else check_alphas(self.alphas)
        if self.candidates is None:
            concentration = check_alphas(self.concentration, "concentration").tolist()
            return draw_candidates(len(bands), self.count, alphas, self.seed, concentration)
        return [Candidate(weights, alphas) for weights in check_candidates(self.candidates, len(bands))]

    def _grids(self, alphas: Mapping[str, ArrayLike], bands: Sequence[str]) -> list[NDArray[np.float64]]:
        if self.candidates is not None or set(alphas) != set(bands):
            raise SettingsError(
                f"alphas has grids for {sorted(alphas)}; wanted one per band ({sorted(bands)}), and no "
                "candidates beside them"
            )
        return [check_alphas(alphas[name]) for name in bands]


def longest(candidates: Sequence[Candidate]) -> NDArray[np.float64]:
    """The alphas [A] of the candidate that has most of them, the widest of equals: what time and memory depend on."""
    return max((one.alphas for one in candidates), key=lambda alphas: (len(alphas), alphas.max() / alphas.min()))


def mean_eigenvalue(banded: Banded) -> float:
    """Of the Gram matrix of equally weighted bands; one for features that do not vary."""
    trace, equal = banded.design.gram.diagonal().sum(), 1 / len(banded.bands)
    return float(trace) * equal / min(len(banded.design.root), len(banded.design.mean)) or 1.0
