"""Long recordings through networks of short reach: windows, and the rows that come from each.

Windows are laid out from rows, never rows from windows: every row lies whole in one window and comes from it alone. So
there is no seam to stitch, no row twice, and the row grid is the same for every window length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.errors import SettingsError
from fusiform.features.time.sampling import row_edges, sample
from fusiform.features.tokens import Tokens

__all__ = ["Piece", "Window", "Windows", "centred_edges", "even_edges", "windowed_rows"]


class Piece(NamedTuple):
    """A piece of a recording on its way through a backbone: what `Backbone.pieces` yields, in the order of time.

    Args:
        x: [B, ...], as `get_tokens` takes it: a batch of windows, of frames, ...
        rows: its tokens, [B, C, *grid] each, to one row per moment, local [T, C, *grid] and global [T, C].
    """

    x: Tensor
    rows: Callable[[Tokens], Tokens]


class Window(NamedTuple):
    """What a network sees at once, and which rows come from it (all times in seconds of the recording).

    Args:
        start: of what is seen.
        stop: of what is seen.
        edges: [T + 1], of the rows that come from it.
    """

    start: float
    stop: float
    edges: NDArray[np.float64]


@dataclass(frozen=True)
class Windows:
    """How a recording is cut.

    Rows come in groups of as many as fit into `stride`. The window of a group begins `context` before its first row. At
    the ends of the recording it is moved, not cut: every window is `length` long, so that nothing is padded, unless the
    whole recording is shorter.

    Args:
        length: of a window in seconds.
        stride: seconds of rows that one window answers for at most.
        context: seconds that a window sees before its first row; what is left of the length lies after its last.

    Raises:
        SettingsError: these are no seconds above zero, or stride and context exceed the length.
    """

    length: float
    stride: float
    context: float

    def __post_init__(self) -> None:
        if not (0 < self.stride < np.inf and self.context >= 0 and self._excess <= 1e-9):
            raise SettingsError(
                f"got windows of {self.length} s, stride {self.stride} s and context {self.context} s; wanted seconds "
                "above 0, of which the last two fit into the first"
            )

    @classmethod
    def of(cls, length: float, stride: float | None = None, context: float | None = None) -> "Windows":
        """Windows with a stride of half their length, and all that is left of it as context, where none is given.

        So every row sees half a window of the past at least, and of the future no more than the stride; only where the
        recording begins it sees less of the one and more of the other.
        """
        stride = length / 2 if stride is None else stride
        return cls(length, stride, length - stride if context is None else context)

    @property
    def _excess(self) -> float:
        return (self.stride + self.context - self.length) / self.length if self.length > 0 else np.inf

    def plan(self, duration: float, rate: float) -> list[Window]:
        """The windows of a recording, in the order of time; every row at `rate` (Hz) is in one of them.

        Raises:
            SettingsError: a row is longer than the stride.
        """
        group = int(np.floor(self.stride * rate + 1e-6))  # rows
        if not group:
            raise SettingsError(
                f"rows at {rate:g} Hz last {1 / rate:g} s each, longer than the stride of {self.stride:g} s; take "
                "longer windows, or a higher rate and average with pair(..., window=)"
            )
        edges = row_edges(duration, rate)
        latest = max(0.0, duration - self.length)
        windows = []
        for first in range(0, len(edges) - 1, group):
            own = edges[first : first + group + 1]
            start = float(np.clip(own[0] - self.context, 0.0, latest))
            windows.append(Window(start, min(start + self.length, duration), own))
        return windows


def even_edges(window: Window, length: float, count: int) -> NDArray[np.float64]:
    """When `count` tokens that share `length` seconds evenly begin and end, [count + 1].

    They are cut where the window stops: what comes after is padding, and lasts for no time.
    """
    edges = window.start + np.arange(count + 1, dtype=np.float64) * (length / count)
    return np.minimum(edges, window.stop)


def centred_edges(window: Window, centre: float, hop: float, count: int) -> NDArray[np.float64]:
    """When `count` tokens begin and end, [count + 1], the first centred at `centre` and each `hop` after the last.

    Every moment of the window belongs to the token whose centre is nearest. Tokens centred where the window has stopped
    are padding, and last for no time.
    """
    length = window.stop - window.start
    real = min(count, max(1, int(np.ceil((length - centre) / hop - 1e-6))))
    edges = window.start + centre + (np.arange(count + 1, dtype=np.float64) - 0.5) * hop
    edges[0], edges[real:] = window.start, window.stop
    return edges


def windowed_rows(
    tokens: Tokens, windows: Sequence[Window], edges: Callable[[Window, int], NDArray[np.float64]]
) -> Tokens:
    """Tokens of a batch of windows, local [B, C, N, *grid], to those of their rows, [T, C, *grid].

    Args:
        tokens: B windows, N moments of the network's own time.
        windows: [B].
        edges: (window, N) -> [N + 1] seconds at which the moments begin and end.
    """
    return Tokens({layer: _rows(value, windows, edges) for layer, value in tokens.local.items()}, {})


def _rows(value: Tensor, windows: Sequence[Window], edges: Callable[[Window, int], NDArray[np.float64]]) -> Tensor:
    rows = []
    for moments, window in zip(value.movedim(2, 1), windows, strict=True):  # [N, C, *grid]
        times = edges(window, len(moments))
        rows.append(sample(moments, times[:-1], times[1:], window.edges))
    return torch.cat(rows)
