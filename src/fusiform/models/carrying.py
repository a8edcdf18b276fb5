"""Weights on samples that are carried to features in bands."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fusiform.models.design import Design, blocks

__all__ = ["GATHERED", "Carrier"]

GATHERED = 1 << 27  # bytes of weights that wait for each other, since all features are read to carry them


class Carrier:
    """Weights on samples wait until many of them are carried to the features at once.

    Args:
        design: in the dual, unweighted.
        bands: columns of each.
        coef: [V, P] where weights on the features are written.
    """

    def __init__(self, design: Design, bands: Sequence[slice], coef: NDArray[Any]) -> None:
        self._design, self._bands, self._coef = design, bands, coef
        self._waiting: list[tuple[NDArray[np.intp], Tensor, Tensor]] = []

    def add(self, own: NDArray[np.intp], weights: Tensor, factors: Tensor) -> None:
        """Take the weights [v, N] of some targets [v], each band of which has a factor [v, B] on its features."""
        self._waiting.append((own, weights, factors.to(weights)))
        if sum(weights.nbytes for _, weights, _ in self._waiting) >= GATHERED:
            self.write()

    def write(self) -> None:
        """Carry those that wait."""
        for place, band in enumerate(self._bands if self._waiting else ()):
            for part in blocks(band.stop - band.start, len(self._design.root)):
                columns = slice(band.start + part.start, band.start + part.stop)
                features = self._design.columns(columns)
                for own, weights, factors in self._waiting:
                    carried = (weights @ features.to(weights)).mul_(factors[:, [place]])
                    self._coef[own, columns] = carried.cpu().numpy()
        self._waiting = []
