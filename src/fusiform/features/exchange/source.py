"""What every layout gives and takes: features of stimuli, one at a time."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiform.data import Features
from fusiform.errors import DataError, LayoutError, SettingsError, UnknownNameError
from fusiform.features.blocks import Block
from fusiform.features.precision import Precision, rounded
from fusiform.registry import did_you_mean

__all__ = ["Source", "Timing", "chosen", "runs"]


@dataclass(frozen=True)
class Timing:
    """When rows are.

    Args:
        rate: rows per second (Hz); None where stimuli do not unfold in time.
        hemodynamic: they went through a haemodynamic response.
    """

    rate: float | None
    hemodynamic: bool = False


class Source(ABC):
    """Features in files of some layout.

    Args:
        ids: of the stimuli, in the order that their rows get.
        layers: their names.
        files: everything that is read, for the checksum.
        timing: of the rows.
    """

    def __init__(self, ids: Sequence[str], layers: Sequence[str], files: Sequence[Path], timing: Timing) -> None:
        self.ids, self.layers, self.files, self.timing = list(ids), list(layers), sorted(files), timing

    @abstractmethod
    def read(self, id: str) -> dict[str, NDArray[Any]]:
        """The rows of a stimulus: layer -> [rows, ...].

        Raises:
            LayoutError: a file cannot be read.
        """

    def onset(self, id: str) -> float:
        """Seconds of the stimulus at which its first row begins."""
        return 0.0

    def block(self, ids: Sequence[str], dtype: Precision) -> Block:
        """The rows of some stimuli."""
        found = [self.read(id) for id in ids]
        rows = [len(next(iter(arrays.values()))) for arrays in found]
        joined = {layer: np.concatenate([arrays[layer] for arrays in found]) for layer in self.layers}
        arrays = {layer: rounded(values.astype(np.float32), dtype) for layer, values in joined.items()}
        return Block(list(ids), rows, [self.onset(id) for id in ids], arrays)

    def check(self) -> Precision:
        """Read everything once and see that it fits together.

        Returns:
            The smallest precision that holds it: float16 if all of it is, else float32.

        Raises:
            DataError: layers differ in rows, stimuli in shape, or a value is no finite number.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        half = True
        for id in self.ids:
            arrays = self.read(id)
            _check_rows(id, arrays)
            for layer, values in arrays.items():
                _check_array(id, layer, values, shapes.setdefault(layer, values.shape[1:]))
                half = half and values.dtype == np.float16
        return "float16" if half else "float32"


def _check_rows(id: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    counts = {layer: len(values) for layer, values in arrays.items()}
    (first, wanted), *others = counts.items()
    for layer, count in others:
        if count != wanted:
            raise DataError(
                f"{id!r} has {count} rows of layer {layer!r} and {wanted} of {first!r}; layers with rows of their own "
                "are features of their own: import them apart, with layers="
            )


def _check_array(id: str, layer: str, values: NDArray[Any], shape: tuple[int, ...]) -> None:
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        what = f"numbers of the type {values.dtype}" if values.dtype.kind != "f" else "NaN or infinite values"
        raise DataError(
            f"layer {layer!r} of {id!r} holds {what}; wanted finite floating-point numbers: repair its file"
        )
    if values.shape[1:] != shape or not len(values):
        raise DataError(
            f"layer {layer!r} of {id!r} has the shape {values.shape}; wanted [rows, {', '.join(map(str, shape))}] with "
            "one row at least, as in the stimuli before"
        )


def chosen(layers: Sequence[str] | None, known: Sequence[str], where: Path) -> list[str]:
    """Those layers of a folder or file that are wanted; all by default.

    Raises:
        LayoutError: there are none.
        UnknownNameError: one is not there.
    """
    if not known:
        raise LayoutError(f"{where} holds no features of this layout; see that path and layout belong together")
    for layer in layers or ():
        if layer not in known:
            raise UnknownNameError(
                f"{where} has no layer {layer!r}{did_you_mean(layer, known)}; it has: {', '.join(known)}"
            )
    return list(layers or known)


def runs(features: Features, layout: str) -> Iterator[tuple[str, float, slice]]:
    """Every stimulus of features in time: its id, when it begins (seconds), and its rows.

    Raises:
        SettingsError: rows have no time, or only some layers went through a haemodynamic response.
    """
    if features.rate is None:
        raise SettingsError(f"the layout {layout!r} has a file per recording, and these features have no time; use npy")
    ids = features.index["stimulus"].astype(str).to_numpy()
    edges = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1).tolist(), len(ids)]
    for start, stop in pairwise(edges):
        yield str(ids[start]), float(features.index["start"].iloc[start]), slice(start, stop)
