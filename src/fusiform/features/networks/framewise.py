"""Films through networks of pictures, frame by frame."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fusiform.data import Kind, Video
from fusiform.data.timing import checked_rate
from fusiform.errors import SettingsError
from fusiform.features.time.sampling import row_edges, sample
from fusiform.features.time.streams import video_of
from fusiform.features.time.windows import Piece
from fusiform.features.tokens import Backbone, Tokens, load_backbone

__all__ = ["Framewise"]


class Framewise:
    """Any backbone of pictures on the frames of a recording: `Framewise("hf:facebook/dinov2-base", rate=2)`.

    A row is the mean over `frames` pictures taken at the middles of as many equal parts of the row; layers are those of
    the backbone, global ones included.

    Args:
        backbone: of pictures, or its name.
        rate: rows per second (Hz).
        frames: pictures per row.
        arguments: handed to the backbone's constructor, where it is given by name.

    Raises:
        SettingsError: the backbone takes no pictures, or a setting cannot be used.
    """

    kind: Kind = "video"

    def __init__(self, backbone: str | Backbone, rate: float = 2.0, frames: int = 1, **arguments: Any) -> None:
        self.backbone = load_backbone(backbone, **arguments) if isinstance(backbone, str) else backbone
        self.rate, self.frames = checked_rate(rate), frames
        self.name = f"framewise:{self.backbone.name}"
        if self.backbone.kind != "image":
            raise SettingsError(f"{self.name!r} wants a backbone of pictures; this one takes {self.backbone.kind!r}")
        if frames < 1 or frames % 1:
            raise SettingsError(f"got frames={frames!r}; wanted a whole number of pictures per row, one at least")

    @property
    def revision(self) -> str:
        """That of the backbone."""
        return str(getattr(self.backbone, "revision", ""))

    @property
    def settings(self) -> Mapping[str, Any]:
        """What else decides the numbers."""
        return {"rate": self.rate, "frames": self.frames, "backbone": dict(getattr(self.backbone, "settings", {}))}

    def preprocess(self, frame: NDArray[np.uint8]) -> Tensor:
        """One frame [H, W, 3] to one item of a batch."""
        return self.backbone.preprocess(Image.fromarray(frame))

    def get_tokens(self, x: Tensor) -> Tokens:
        """A batch of frames to the tokens of the backbone."""
        movable = hasattr(self.backbone, "to")
        return Tokens(*self.backbone.get_tokens(x if movable else x.cpu()))

    def to(self, device: Any) -> None:
        """Move the backbone, if it can be moved."""
        if hasattr(self.backbone, "to"):
            self.backbone.to(device)

    def pieces(self, recording: Any, batch_size: int) -> Iterator[Piece]:
        """The frames of a recording in batches of `batch_size` or, if more, of one row."""
        video = video_of(recording)
        edges = row_edges(video.duration, self.rate)
        at_once = max(1, batch_size // self.frames)
        for first in range(0, len(edges) - 1, at_once):
            yield self._piece(video, edges[first : first + at_once + 1])

    def _piece(self, video: Video, edges: NDArray[np.float64]) -> Piece:
        parts = _divided(edges, self.frames)
        frames = video.frames((parts[:-1] + parts[1:]) / 2)
        x = torch.stack([self.preprocess(frame) for frame in frames])

        def rows(tokens: Tokens) -> Tokens:
            local, global_ = (
                {layer: sample(value, parts[:-1], parts[1:], edges) for layer, value in layers.items()}
                for layers in tokens
            )
            return Tokens(local, global_)

        return Piece(x, rows)


def _divided(edges: NDArray[np.float64], parts: int) -> NDArray[np.float64]:
    """[T + 1] edges of rows to those of `parts` equal parts of each, [T * parts + 1]."""
    places = np.arange((len(edges) - 1) * parts + 1) / parts
    return np.interp(places, np.arange(len(edges)), edges)
