"""Plain files: `LAYER.npy` with all rows of a layer ("/" in its name is written %2F), and `index.csv`, a line per row.

The columns of `index.csv` are `stimulus` and, where there are any, `start` and `stop` (seconds) or `view`. A file
`timing.json` holds `rate` (Hz) and `hemodynamic` where rows have a time.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Features
from fusiform.errors import DataError, LayoutError
from fusiform.features.exchange.source import Source, Timing, chosen
from fusiform.files import read_json, write_json

__all__ = ["Npy", "write"]

_INDEX, _TIMING = "index.csv", "timing.json"
_BATCH_BYTES = 1 << 26


def write(features: Features, folder: Path) -> None:
    """Write features into an empty folder of their own."""
    features.index.to_csv(folder / _INDEX, index=False)
    if features.rate is not None:
        write_json(folder / _TIMING, {"rate": features.rate, "hemodynamic": bool(features.convolved)})
    for layer, array in features.arrays.items():
        file = np.lib.format.open_memmap(
            folder / f"{quote(layer, safe=' ,()[]')}.npy", mode="w+", dtype=array.dtype, shape=tuple(array.shape)
        )
        step = max(1, _BATCH_BYTES // max(1, file[:1].nbytes))
        for start in range(0, len(file), step):
            file[start : start + step] = array[start : start + step]
        file.flush()


class Npy(Source):
    """Features in a folder that `write` wrote, or that was laid out like that.

    Args:
        folder: of them.
        layers: to read; all by default.
        rate: of the rows (Hz) where the folder does not say.

    Raises:
        LayoutError: a file is missing or cannot be read.
        DataError: index and arrays differ in rows, or the rows of a stimulus do not stand together.
    """

    def __init__(self, folder: Path, layers: Sequence[str] | None = None, rate: float | None = None) -> None:
        self.index = _read_index(folder / _INDEX)
        known = {unquote(file.stem): file for file in sorted(folder.glob("*.npy"))}
        wanted = chosen(layers, list(known), folder)
        self.arrays = {layer: _open(known[layer], len(self.index)) for layer in wanted}
        self.places = _places(self.index, folder / _INDEX)
        files = [folder / _INDEX, *(known[layer] for layer in wanted)]
        timing, said = Timing(rate if "start" in self.index else None), folder / _TIMING
        if said.exists():
            timing, files = Timing(**read_json(said)), [*files, said]
        if timing.rate is None and "start" in self.index:
            raise LayoutError(f"{folder} has rows in time and no {_TIMING}; give their rate (Hz)")
        super().__init__(list(self.places), wanted, files, timing)

    def read(self, id: str) -> dict[str, NDArray[Any]]:
        """See `Source.read`."""
        return {layer: np.asarray(array[self.places[id]]) for layer, array in self.arrays.items()}

    def onset(self, id: str) -> float:
        """See `Source.onset`."""
        return float(self.index["start"].iloc[self.places[id].start]) if "start" in self.index else 0.0


def _read_index(path: Path) -> pd.DataFrame:
    try:
        index = pd.read_csv(path, dtype={"stimulus": str}, keep_default_na=False)
    except (OSError, ValueError) as reason:
        raise LayoutError(f"{path} cannot be read ({reason}); wanted a table with a line per row") from reason
    if "stimulus" not in index:
        raise LayoutError(f"{path} has the columns {', '.join(map(str, index))}; wanted one called stimulus")
    return index


def _open(file: Path, rows: int) -> NDArray[Any]:
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as reason:
        raise LayoutError(f"{file} cannot be read as an array ({reason})") from reason
    if array.ndim < 2 or len(array) != rows:
        raise DataError(f"{file} has the shape {array.shape}; wanted [{rows}, ...], a row per line of {_INDEX}")
    return np.asarray(array) if array.size == 0 else array


def _places(index: pd.DataFrame, path: Path) -> dict[str, slice]:
    """The rows of each stimulus."""
    ids = index["stimulus"].to_numpy()
    starts = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1).tolist()]
    places: dict[str, slice] = {}
    for start, stop in zip(starts, [*starts[1:], len(ids)], strict=True) if len(ids) else ():
        if ids[start] in places:
            raise DataError(f"the rows of {ids[start]!r} do not stand together in {path}; sort them by stimulus")
        places[str(ids[start])] = slice(start, stop)
    return places
