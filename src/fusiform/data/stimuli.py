"""Stimuli: what a person saw or heard, as a table and a way to load each one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data.media import Sound, Video
from fusiform.errors import DataError, UnknownNameError
from fusiform.registry import did_you_mean

__all__ = ["Kind", "Recording", "Stimuli", "Track"]

Kind = Literal["image", "video", "audio", "text", "image+text", "recording"]


@dataclass(frozen=True)
class Track:
    """One evenly sampled signal of a recording.

    Args:
        values: [T, C], row i from `start + i / rate` seconds on.
        rate: rows per second (Hz).
        start: onset of row 0 in seconds of the recording.
        hemodynamic: it already went through a haemodynamic response.
    """

    values: NDArray[np.float32]
    rate: float
    start: float = 0.0
    hemodynamic: bool = False


@dataclass(frozen=True)
class Recording:
    """A stimulus that unfolds in time: a film or a story.

    Args:
        duration: in seconds.
        tracks: named signals.
        words: columns `text`, `start`, `stop` (seconds), in the order they are heard; may be empty.
        video: what was seen; None where there is nothing to see, or only tracks of it.
        sound: what was heard.
    """

    duration: float
    tracks: Mapping[str, Track] = field(default_factory=dict)
    words: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"text": [], "start": [], "stop": []}))
    video: Video | None = None
    sound: Sound | None = None


@dataclass(frozen=True)
class Stimuli:
    """What was shown: a table with a row per stimulus, and a function that loads one.

    Args:
        name: of the collection; it enters the key of features extracted from it.
        kind: what `load` returns: an `image` (PIL), a `recording` (`Recording`), a `text` (str), ...
        table: indexed by unique stimulus id (str); further columns as the dataset has them (`split`, `label`, ...).
        loader: id -> stimulus. Called once per read, for images by several threads at once; it should be cheap and must
            not depend on the order of calls.
    """

    name: str
    kind: Kind
    table: pd.DataFrame
    loader: Callable[[str], Any]

    def __post_init__(self) -> None:
        if not self.table.index.is_unique:
            twice = self.table.index[self.table.index.duplicated()][0]
            raise DataError(f"stimuli {self.name!r} have the id {twice!r} more than once; ids must be unique")

    def __len__(self) -> int:
        return len(self.table)

    @property
    def ids(self) -> list[str]:
        """Ids in the order of the table."""
        return [str(name) for name in self.table.index.tolist()]

    def load(self, id: str) -> Any:
        """Load one stimulus.

        Raises:
            UnknownNameError: there is no such id.
        """
        if id not in self.table.index:
            raise UnknownNameError(
                f"stimuli {self.name!r} have no {id!r}{did_you_mean(id, self.ids)}; they hold {len(self)} ids"
            )
        return self.loader(id)

    def select(self, ids: Sequence[str]) -> "Stimuli":
        """The same collection, of these ids only, in this order."""
        missing = [name for name in ids if name not in self.table.index]
        if missing:
            raise UnknownNameError(f"stimuli {self.name!r} have no {missing[0]!r} ({len(missing)} ids are unknown)")
        return Stimuli(self.name, self.kind, self.table.loc[list(ids)], self.loader)
