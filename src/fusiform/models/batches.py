"""Targets that are gone through more than once, a batch at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiform.models.design import Design, Targets, blocks, make_targets
from fusiform.models.fitting import batches

__all__ = ["TargetBatches"]


@dataclass(frozen=True)
class TargetBatches:
    """Targets in batches, put in the common frame anew each time; many batches at a time are read from the source.

    Args:
        source: [N, V], in memory or on disk.
        design: whose frame it is.
        size: targets of a batch.
    """

    source: Any
    design: Design
    size: int

    @property
    def parts(self) -> list[slice]:
        """Columns of each batch."""
        return list(blocks(self.source.shape[1], 1, self.size))

    def __len__(self) -> int:
        return int(self.source.shape[1])

    def __iter__(self) -> Iterator[tuple[slice, Targets]]:
        """Columns of each batch, and its targets."""
        return ((part, make_targets(raw, self.design)) for part, raw in self._raw())

    def some(self, chosen: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.intp], Targets]]:
        """Columns of those targets of each batch that are chosen, [V] true where they are, and these targets."""
        for part, raw in self._raw():
            own = np.flatnonzero(chosen[part])
            if len(own):
                yield part.start + own, make_targets(raw[:, own], self.design)

    def _raw(self) -> Iterator[tuple[slice, NDArray[Any]]]:
        return zip(self.parts, batches(self.source, 0, self.size), strict=True)
