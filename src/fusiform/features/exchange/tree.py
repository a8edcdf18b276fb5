"""The tree of the movie system: `GROUP/RUN/LAYER/SERIES/.../STEM.npy` or `.pt`, [rows, D] with a row per volume.

GROUP is one of `Audio`, `Emotional`, `Omni`, `Text`, `Visual`; SERIES is `friends`, `movie10` or `ood`. Any folder of
the tree can be read: a layer is named by its path below that folder, so `Omni/RUN` gives the layers of one run.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiform.data import Features
from fusiform.errors import DataError, LayoutError, SettingsError
from fusiform.features.exchange.episodes import RATE, SERIES, by_episode, path_of
from fusiform.features.exchange.h5 import flat
from fusiform.features.exchange.source import Source, Timing, chosen, runs
from fusiform.registry import unknown

__all__ = ["GROUPS", "Tree", "write"]

GROUPS = ("Audio", "Emotional", "Omni", "Text", "Visual")


def write(features: Features, folder: Path, group: str, run: str) -> None:
    """Write features as one run of a group into a tree.

    Raises:
        SettingsError: there is no such group, or rows have no time or another rate than one per volume.
    """
    if group not in GROUPS:
        raise SettingsError(unknown("group", group, GROUPS))
    if features.rate is not None and abs(features.rate - RATE) > 1e-9:
        raise SettingsError(
            f"the tree has a row per volume ({RATE:.4f} Hz), and these features have {features.rate:.4f} Hz; extract "
            "them at that rate, or use the layout h5"
        )
    for id, start, rows in runs(features, "tree"):
        if start != 0:
            raise SettingsError(f"{id!r} begins at {start:g} s; the tree has rows from 0 s on: use the layout h5")
        for layer, array in features.arrays.items():
            path = folder / group / run / layer / f"{path_of(id)}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.asarray(array[rows]), allow_pickle=False)


class Tree(Source):
    """Features in a folder of the tree.

    Args:
        folder: the whole tree, a group, a run, or a layer of it.
        layers: to read; all by default.
        rate: of the rows (Hz); one per volume by default.

    Raises:
        LayoutError: there is nothing, or a file cannot be read.
        DataError: layers differ in their episodes (named), or an episode has two files.
    """

    def __init__(self, folder: Path, layers: Sequence[str] | None = None, rate: float | None = None) -> None:
        files: dict[str, list[Path]] = {}
        for file in sorted([*folder.rglob("*.npy"), *folder.rglob("*.pt")]):
            files.setdefault(_layer_of(file.relative_to(folder), folder.name), []).append(file)
        wanted = chosen(layers, list(files), folder)
        self.paths = {layer: by_episode(files[layer]) for layer in wanted}
        episodes = sorted({episode for paths in self.paths.values() for episode in paths})
        for layer, paths in self.paths.items():
            if missing := [episode for episode in episodes if episode not in paths]:
                raise DataError(
                    f"layer {layer!r} lacks {len(missing)} of {len(episodes)} episodes ({', '.join(missing[:5])}); "
                    "complete it, or import it apart, with layers="
                )
        read = [path for paths in self.paths.values() for path in paths.values()]
        super().__init__(episodes, wanted, read, Timing(rate or RATE))

    def read(self, id: str) -> dict[str, NDArray[Any]]:
        """See `Source.read`."""
        return {layer: flat(_load(paths[id]), layer, paths[id]) for layer, paths in self.paths.items()}


def _layer_of(file: Path, name: str) -> str:
    """The path of a file's layer: what comes before the series, or else the file's folder."""
    parts = file.parts[:-1]
    depth = next((place for place, part in enumerate(parts) if part in SERIES), len(parts))
    return "/".join(parts[:depth]) or name


def _load(path: Path) -> NDArray[Any]:
    """The array of a file; pickled objects are not loaded."""
    try:
        return np.asarray(np.load(path, allow_pickle=False) if path.suffix == ".npy" else _load_tensor(path))
    except Exception as reason:  # damaged archives raise whatever they like
        raise LayoutError(
            f"{path} cannot be read as an array of numbers ({type(reason).__name__}: {str(reason).splitlines()[0]})"
        ) from reason


def _load_tensor(path: Path) -> NDArray[Any]:
    import torch

    tensor = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"it holds a {type(tensor).__name__}, wanted one tensor")
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).detach().numpy()
