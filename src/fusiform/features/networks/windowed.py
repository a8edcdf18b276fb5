"""What published networks of films and of sounds share: rows at a rate, from windows of a recording that overlap."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.data.timing import checked_rate
from fusiform.features.hooks import device_of, evaluating
from fusiform.features.networks.checkpoints import check_folder, revision_of
from fusiform.features.networks.language_network import choose, name_of
from fusiform.features.networks.towers import Tower, watched
from fusiform.features.precision import PRECISIONS, Precision
from fusiform.features.time.windows import Piece, Window, Windows, windowed_rows
from fusiform.features.tokens import Tokens

__all__ = ["Windowed"]


class Windowed:
    """A network of which every layer is read in one pass over windows of a recording.

    Subclasses say what is run (`network`), how recordings are cut (`windows`), which blocks are watched (`_tower`), and
    when the moments of a window begin and end (`_edges`).

    Args:
        source: name on the hub, or a local folder that `save_pretrained` wrote.
        rate: rows per second (Hz).
        precision: that the network computes in.
        commit: hash, tag or branch on the hub; None for the latest.

    Raises:
        LayoutError: the folder holds no network.
        SettingsError: there is no such rate or precision.
    """

    def __init__(self, source: str, rate: float, precision: Precision, commit: str | None) -> None:
        check_folder(source)
        choose("precision", precision, PRECISIONS)
        self.source, self.commit, self.name = source, commit, name_of(source)
        self.rate, self.precision = checked_rate(rate), precision

    @cached_property
    def network(self) -> Any:
        """The part that is run, loaded when first asked for."""
        raise NotImplementedError

    @cached_property
    def windows(self) -> Windows:
        """How recordings are cut."""
        raise NotImplementedError

    @cached_property
    def revision(self) -> str:
        """Commit on the hub, or digest of weights and configuration."""
        return revision_of(self.network, self.source)

    def to(self, device: Any) -> None:
        """Move the network."""
        self.network.to(device)

    def get_tokens(self, x: Tensor) -> Tokens:
        """[B, ...] windows as `preprocess` makes them -> local tokens [B, C, N, *grid] of every layer, in one pass."""
        x = x.to(device_of(self.network), getattr(torch, self.precision))
        with evaluating(self.network), watched([self._tower(x)]) as found:
            self.network(x)
        return Tokens(dict(found), {})

    @property
    def _timing(self) -> Mapping[str, float]:
        """The settings of time, all in seconds but the rate in Hz."""
        cut = self.windows
        return {"rate": self.rate, "window": cut.length, "stride": cut.stride, "context": cut.context}

    def _pieces(self, duration: float, at_once: int, made: Callable[[Sequence[Window]], Tensor]) -> Iterator[Piece]:
        """The windows of a recording, so many at once, each group made into a batch when it is asked for."""
        windows = self.windows.plan(duration, self.rate)
        for first in range(0, len(windows), at_once):
            group = windows[first : first + at_once]
            yield Piece(made(group), partial(windowed_rows, windows=group, edges=self._edges))

    def _tower(self, x: Tensor) -> Tower:
        """The blocks that are watched, and how their states for this batch become tokens."""
        raise NotImplementedError

    def _edges(self, window: Window, count: int) -> NDArray[np.float64]:
        """[count + 1] seconds at which the moments of a window begin and end."""
        raise NotImplementedError
