"""How an omni network reads a moment: the tokens of pictures and of sound in one line, each with its time.

This is the published layout of Qwen2.5-Omni (Xu et al. 2025, arXiv 2503.20215, section 2.2): chunks of two seconds, in
each the tokens of pictures before those of sound.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fusiform.errors import SettingsError

__all__ = ["PICTURE", "SOUND", "SOUND_TOKEN", "Layout", "fitted", "media_layout", "patches"]

PICTURE, SOUND = 1, 2  # kinds of tokens; marks and text are 0
SOUND_TOKEN = 0.04  # seconds of sound in one token: four frames of 10 ms


@dataclass(frozen=True)
class Layout:
    """The tokens of a window, in order.

    Args:
        ids: [L] as the network reads them.
        kind: [L] `PICTURE`, `SOUND`, or 0 for marks and text.
        spans: [L, 2] seconds of the window, from and until which what a token stands for lasts.
    """

    ids: NDArray[np.int64]
    kind: NDArray[np.int64]
    spans: NDArray[np.float64]

    def after(self, ids: list[int]) -> "Layout":
        """The same behind a text."""
        kind, spans = np.zeros(len(ids), np.int64), np.zeros((len(ids), 2))
        return Layout(
            np.concatenate([np.array(ids, dtype=np.int64), self.ids]),
            np.concatenate([kind, self.kind]),
            np.concatenate([spans, self.spans]),
        )


def media_layout(config: Any, grid: tuple[int, int], seconds: float, sounds: int) -> Layout:
    """The pictures and the sound of a window between their marks.

    Args:
        config: of the network: the ids of tokens and marks, positions per second, seconds per chunk.
        grid: pairs of frames (0 where there is nothing to see), and tokens of each.
        seconds: that a pair stands for; two at most.
        sounds: tokens of sound; 0 where there is nothing to hear.

    Raises:
        SettingsError: the configuration lacks an id.
    """
    seen, heard = np.repeat(np.arange(grid[0]), grid[1]), np.arange(sounds)
    kind = np.repeat([PICTURE, SOUND], [len(seen), sounds])
    start = np.concatenate([seen * seconds, heard * SOUND_TOKEN])
    stop = start + np.repeat([seconds, SOUND_TOKEN], [len(seen), sounds])
    ids = np.repeat([_id(config, "video_token_id"), _id(config, "audio_token_id")], [len(seen), sounds])
    order = np.lexsort([kind, _chunks(config, seen, seconds, heard)])  # within chunk and kind, they stay in order
    before, after = _marks(config, len(seen) > 0, sounds > 0)
    edges = (len(before), len(after))
    return Layout(
        np.concatenate([before, ids[order], after]),
        np.pad(kind[order], edges),
        np.pad(np.stack([start, stop], axis=1)[order], (edges, (0, 0))),
    )


def _chunks(config: Any, seen: NDArray[np.int64], seconds: float, heard: NDArray[np.int64]) -> NDArray[np.int64]:
    """The chunk of every token, in the network's own float32: it counts by itself, and must come to the same."""
    positions = seen.astype(np.float32) * np.float32(seconds) * np.float32(config.position_id_per_seconds)
    length = int(config.position_id_per_seconds * config.seconds_per_chunk)
    return np.concatenate([positions.astype(np.int64), heard]) // length


def _marks(config: Any, seen: bool, heard: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What stands before and after: the marks of pictures enclose those of sound."""
    kinds = [kind for kind, there in (("vision", seen), ("audio", heard)) if there]
    before = [_id(config, f"{kind}_start_token_id") for kind in kinds]
    after = [_id(config, f"{kind}_end_token_id") for kind in reversed(kinds)]
    return np.array(before, dtype=np.int64), np.array(after, dtype=np.int64)


def _id(config: Any, name: str) -> int:
    value = getattr(config, name, None)
    if value is None:
        raise SettingsError(f"the configuration of the network has no {name}; wanted that of a Qwen2.5-Omni thinker")
    return int(value)


def fitted(size: tuple[int, int], factor: int, pixels: int) -> tuple[int, int]:
    """Height and width in multiples of `factor`, about in proportion to `size`, with at most `pixels` pixels.

    Raises:
        SettingsError: not even one multiple fits.
    """
    scale = (pixels / (size[0] * size[1])) ** 0.5
    height, width = (max(1, int(side * scale / factor + 1e-9)) for side in size)
    while height * width * factor**2 > pixels and max(height, width) > 1:  # long strips
        height, width = (height - 1, width) if height > width else (height, width - 1)
    if factor**2 > pixels:
        raise SettingsError(f"got pixels={pixels}; the network reads {factor} x {factor} at least, {factor**2}")
    return height * factor, width * factor


def patches(frames: Tensor, patch: int, merge: int, together: int) -> tuple[Tensor, tuple[int, int, int]]:
    """Frames to the patches that the vision part reads, `merge` x `merge` neighbours next to each other.

    Args:
        frames: [F, 3, H, W], normalised; F is a multiple of `together`, H and W of `patch * merge`.
        patch: side of a patch in pixels.
        merge: patches along each side that become one token.
        together: frames in one patch.

    Returns:
        [T * H' * W', 3 * together * patch * patch], and the grid (T, H', W') of patches.
    """
    count, channels, height, width = frames.shape
    grid = (count // together, height // patch, width // patch)
    down, across = ((side // merge, merge, patch) for side in grid[1:])
    split = frames.reshape(grid[0], together, channels, *down, *across)
    return split.permute(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(grid[0] * grid[1] * grid[2], -1), grid
