"""Features in bands, seen as one array."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array

from fusiform.errors import DataError
from fusiform.models.inputs import is_lazy

__all__ = ["SideBySide", "side_by_side"]


@dataclass(frozen=True)
class SideBySide:
    """Bands as the columns of one array [N, P], which is made only of what is sliced: on disk they stay there.

    Args:
        parts: [N, P_b] each, sliced like arrays.
    """

    parts: Sequence[Any]

    @property
    def shape(self) -> tuple[int, int]:
        """N and P."""
        return int(self.parts[0].shape[0]), sum(int(part.shape[1]) for part in self.parts)

    @property
    def dtype(self) -> np.dtype[Any]:
        """One that holds the numbers of every band."""
        return np.result_type(*(part.dtype for part in self.parts))

    def __getitem__(self, key: slice | tuple[slice, slice]) -> NDArray[Any]:
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        start, stop, _ = columns.indices(self.shape[1])
        found = []
        for part in self.parts:
            if start < part.shape[1] and stop > 0:
                found.append(np.asarray(part[rows, max(start, 0) : stop]))
            start, stop = start - part.shape[1], stop - part.shape[1]
        return found[0] if len(found) == 1 else np.hstack(found)


def side_by_side(X: Any) -> tuple[SideBySide, dict[str, slice]]:
    """All bands as one array [N, P], and the columns of each. Those on disk are not read.

    Raises:
        DataError: X is no mapping, a band is no table of finite numbers, or bands differ in their samples.
    """
    if not isinstance(X, Mapping) or not X:
        raise DataError(f"X is a {type(X).__name__}; wanted a mapping from band names to arrays [N, P_b]")
    arrays = {name: _band(name, values) for name, values in X.items()}
    counts = {name: int(values.shape[0]) for name, values in arrays.items()}
    if len(set(counts.values())) > 1:
        raise DataError(f"bands differ in their samples ({counts}); wanted as many in each")
    edges = np.cumsum([0, *(values.shape[1] for values in arrays.values())]).tolist()
    return SideBySide(list(arrays.values())), {name: slice(*edges[i : i + 2]) for i, name in enumerate(arrays)}


def _band(name: str, values: Any) -> Any:
    """One band, checked in memory or left where it is."""
    if not is_lazy(values):
        return check_array(values, input_name=name, dtype=(np.float64, np.float32, np.float16))
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(f"band {name!r} has the shape {tuple(values.shape)}; wanted [N samples, P_b features]")
    return values
