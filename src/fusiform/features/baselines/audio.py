"""Signals that a recording brings along, as features."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fusiform.data import Kind, Recording, Track
from fusiform.data.timing import checked_rate
from fusiform.errors import DataError
from fusiform.features.tokens import Tokens

__all__ = ["Tracks"]


class Tracks:
    """Named tracks of a recording as they are, one layer each, [1, C, T].

    Tracks of another rate, onset, shape or haemodynamic state are other features: make one `Tracks` for each kind.

    Args:
        names: of the tracks.
        rate: that they were sampled at (Hz).
        hemodynamic: they already went through a haemodynamic response. Features keep this, so that
            `Features.hemodynamic` does not convolve them again.
    """

    name, revision = "tracks", "1"
    kind: Kind = "recording"

    def __init__(self, names: str | Sequence[str], rate: float, hemodynamic: bool = False) -> None:
        self.names = (names,) if isinstance(names, str) else tuple(names)
        self.rate, self.hemodynamic = checked_rate(rate), hemodynamic
        self.settings = {"names": list(self.names), "rate": self.rate, "hemodynamic": hemodynamic}

    def preprocess(self, recording: Recording) -> Tensor:
        """[K, C, T]: the K tracks side by side."""
        values = np.stack([track.values.T for track in self._tracks(recording)])
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))

    def get_tokens(self, x: Tensor) -> Tokens:
        """[1, K, C, T] -> a layer per track."""
        return Tokens(dict(zip(self.names, x.unbind(dim=1), strict=True)), {})

    def onset(self, recording: Recording) -> float:
        """Seconds of the recording at which row 0 begins."""
        return self._tracks(recording)[0].start

    def _tracks(self, recording: Recording) -> list[Track]:
        tracks = [_find(recording, name) for name in self.names]
        for name, track in zip(self.names, tracks, strict=True):
            self._check(name, track, tracks[0])
        return tracks

    def _check(self, name: str, track: Track, first: Track) -> None:
        if (track.rate, track.hemodynamic) != (self.rate, self.hemodynamic):
            raise DataError(
                f"track {name!r} has rate={track.rate:g} and hemodynamic={track.hemodynamic}; this backbone was made "
                f"for rate={self.rate:g} and hemodynamic={self.hemodynamic}; give it the track's own"
            )
        if (track.start, track.values.shape) != (first.start, first.values.shape):
            raise DataError(
                f"track {name!r} begins at {track.start:g} s with the shape {track.values.shape}, {self.names[0]!r} at "
                f"{first.start:g} s with {first.values.shape}; make one Tracks for each"
            )


def _find(recording: Recording, name: str) -> Track:
    if name not in recording.tracks:
        raise DataError(f"the recording has no track {name!r}; it has: {', '.join(recording.tracks) or 'none'}")
    return recording.tracks[name]
