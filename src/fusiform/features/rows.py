"""Rows as they come from a network, gathered into one array per layer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.errors import DataError
from fusiform.features.precision import Precision

__all__ = ["Rows", "first_infinite"]


class Rows:
    """The rows of some stimuli, layer by layer, in a precision; what is too large for it becomes infinite.

    They are copied once, from wherever the network left them into their place in the array that is kept.

    Args:
        room: rows that are expected; it is doubled where more come, as with recordings.
        precision: of the rows, see `precision.rounded`.
    """

    def __init__(self, room: int, precision: Precision) -> None:
        self._room, self._precision, self._count = max(1, room), precision, 0
        self._arrays: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        return self._count

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Layer -> [M, ...]; nothing before the first rows."""
        return {layer: array[: self._count] for layer, array in self._arrays.items()} if self._count else {}

    def add(self, part: Mapping[str, Tensor], id: str) -> dict[str, Tensor]:
        """Append rows, layer -> [B, ...] on any device; returns them as they are kept.

        Args:
            part: the rows.
            id: of the first stimulus that they are of.

        Raises:
            DataError: the layers or their shapes differ from those before, or they have not all as many rows.
        """
        self._check(part, id)
        stop = self._count + len(next(iter(part.values())))
        self._reserve(part, stop)
        kept = {layer: torch.from_numpy(array[self._count : stop]) for layer, array in self._arrays.items()}
        for layer, value in part.items():
            value = value.float()
            kept[layer].copy_(value.to(torch.bfloat16) if self._precision == "bfloat16" else value)
        self._count = stop
        return kept

    def forget(self, count: int) -> None:
        """Leave only the first rows."""
        self._count = count
        if not count:
            self._arrays = {}

    def _check(self, part: Mapping[str, Tensor], id: str) -> None:
        counts = {layer: len(value) for layer, value in part.items()}
        if len(set(counts.values())) != 1:
            raise DataError(f"the layers of stimulus {id!r} have {counts} rows; wanted as many of each")
        got = {layer: tuple(value.shape[1:]) for layer, value in part.items()}
        wanted = {layer: array.shape[1:] for layer, array in self._arrays.items()} or got
        if got != wanted:
            raise DataError(f"from stimulus {id!r} on, the layers have the shapes {got}; before they had {wanted}")

    def _reserve(self, part: Mapping[str, Tensor], count: int) -> None:
        """Make room for so many rows."""
        while self._room < count:
            self._room *= 2
        for layer, value in part.items():
            old = self._arrays.get(layer)
            if old is None or len(old) < self._room:
                dtype = np.float16 if self._precision == "float16" else np.float32
                self._arrays[layer] = np.empty((self._room, *value.shape[1:]), dtype)
                if old is not None:
                    self._arrays[layer][: self._count] = old[: self._count]


def first_infinite(values: Tensor) -> int | None:
    """The first row of [M, ...] that holds a NaN or an infinite number; None where all are finite."""
    least, most = torch.aminmax(values)  # one pass, and no array of truths: both are NaN where anything is
    if least.isfinite() and most.isfinite():
        return None
    return int(torch.isfinite(values).flatten(1).all(1).int().argmin())
