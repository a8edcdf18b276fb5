"""A file per episode, as teams of the 2025 challenge share features: `SERIES/.../STEM.h5`, with [rows, D] per layer.

Files that are written here also say, as attributes, their `rate` (Hz), their `start` (seconds) and whether they are
`hemodynamic`; those of others have a row per volume, from the beginning of the film on.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fusiform.data import Features
from fusiform.errors import DataError, LayoutError
from fusiform.features.exchange.episodes import RATE, by_episode, path_of
from fusiform.features.exchange.source import Source, Timing, chosen, runs

__all__ = ["Episodes", "flat", "write"]


def write(features: Features, folder: Path) -> None:
    """Write a file for every recording into a folder.

    Raises:
        SettingsError: rows have no time.
    """
    for id, start, rows in runs(features, "h5"):
        path = folder / f"{path_of(id)}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file.attrs.update({"rate": features.rate, "start": start, "hemodynamic": bool(features.convolved)})
            for layer, array in features.arrays.items():
                file.create_dataset(layer.replace("/", "%2F"), data=np.asarray(array[rows]))


class Episodes(Source):
    """Features in a file per episode.

    Args:
        folder: whose files, at any depth, are read.
        layers: to read; all by default.
        rate: of the rows (Hz) where the files do not say; one per volume of the challenge by default.

    Raises:
        LayoutError: a file cannot be read.
        DataError: an episode lacks layers that others have, or has two files, or the files differ in their rate.
    """

    def __init__(self, folder: Path, layers: Sequence[str] | None = None, rate: float | None = None) -> None:
        self.paths = by_episode(folder.rglob("*.h5"))
        found = {episode: _describe(path) for episode, path in self.paths.items()}
        known = list(dict.fromkeys(layer for names, _ in found.values() for layer in names))
        wanted = chosen(layers, known, folder)
        for _episode, (names, _) in found.items():
            if missing := [layer for layer in wanted if layer not in names]:
                lacking = [name for name, (own, _) in found.items() if missing[0] not in own]
                raise DataError(
                    f"{len(lacking)} of {len(found)} episodes lack layer {missing[0]!r} ({', '.join(lacking[:5])}); "
                    "complete them, or import the layers that all have, with layers="
                )
        self.starts = {episode: float(said.get("start", 0.0)) for episode, (_, said) in found.items()}
        said = {(said.get("rate"), bool(said.get("hemodynamic", False))) for _, said in found.values()}
        if len(said) > 1:
            raise DataError(f"the files of {folder} have several rates or kinds ({said}); import them apart")
        ((own, hemodynamic),) = said
        timing = Timing(float(own if own is not None else rate or RATE), hemodynamic)
        super().__init__(list(self.paths), wanted, list(self.paths.values()), timing)

    def read(self, id: str) -> dict[str, NDArray[Any]]:
        """See `Source.read`."""
        with h5py.File(self.paths[id]) as file:
            return {layer: flat(file[_key(file, layer)][()], layer, self.paths[id]) for layer in self.layers}

    def onset(self, id: str) -> float:
        """See `Source.onset`."""
        return self.starts[id]


def flat(values: NDArray[Any], layer: str, path: Path) -> NDArray[Any]:
    """[rows, D], of which [1, rows, D] and [rows, 1, D] are also in use.

    Raises:
        DataError: it is of another shape.
    """
    if values.ndim == 3 and 1 in values.shape[:2]:
        values = values[0] if values.shape[0] == 1 else values[:, 0]
    if values.ndim < 2 or not len(values):
        raise DataError(f"layer {layer!r} in {path} has the shape {values.shape}; wanted [rows, D]")
    return values


def _key(file: Any, layer: str) -> str:
    return layer if layer in file else layer.replace("/", "%2F")


def _describe(path: Path) -> tuple[list[str], dict[str, Any]]:
    """The layers of a file, and what it says of itself."""
    try:
        with h5py.File(path) as file:
            names: list[str] = []
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            return [name.replace("%2F", "/") for name in names], dict(file.attrs)
    except OSError as reason:
        raise LayoutError(f"{path} cannot be read as HDF5 ({reason}); it is damaged: get it again") from reason
