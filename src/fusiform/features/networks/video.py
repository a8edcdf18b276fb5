"""Video networks of Hugging Face, by name or from a local folder: every layer in one pass over windows of a film."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fusiform.data import Kind, Video
from fusiform.errors import SettingsError
from fusiform.features.networks.language_network import in_precision
from fusiform.features.networks.media_network import FILMS, load_part, load_video_config, model_type_of
from fusiform.features.networks.processing import Processing, processing_of
from fusiform.features.networks.towers import Tower
from fusiform.features.networks.windowed import Windowed
from fusiform.features.precision import Precision
from fusiform.features.preprocess import describe
from fusiform.features.time.streams import video_of
from fusiform.features.time.windows import Piece, Window, Windows, even_edges

__all__ = ["HuggingFaceVideo"]

_FRAMES = {"videomae": "num_frames", "vjepa2": "frames_per_clip"}  # where a configuration says how many it takes
_SIZE = {"videomae": "image_size", "vjepa2": "crop_size"}
_FIXED = ("videomae",)  # networks whose positions allow no other number of frames
_PART = {"vjepa2": "encoder"}  # the predictor beside it fills in hidden patches, of which there are none


class HuggingFaceVideo(Windowed):
    """A video network (V-JEPA 2, VideoMAE), such as `HuggingFaceVideo("facebook/vjepa2-vitl-fpc64-256")`.

    Layers, all local, [T, C, H, W] for T rows: `embeddings`, `block1` ... `blockN` (what each block gives on, before
    any final norm) and `final`, the network's own last state, where that is another. Tokens stand for the time of the
    frames that they are made of; a row is the mean of its tokens, see `windows.Windows`.

    Args:
        source: name on the hub, or a local folder that `save_pretrained` wrote.
        rate: rows per second (Hz).
        window: seconds that the network sees at once.
        stride: seconds of rows that come from one window; half of it by default.
        context: seconds that a window sees before its first row; all that is left by default.
        frames: in a window, spread evenly; as many as the network was made for by default.
        precision: that the network computes in; bfloat16 and float16 are meant for GPUs.
        commit: hash, tag or branch on the hub; the latest by default.
    """

    kind: Kind = "video"

    def __init__(
        self,
        source: str,
        rate: float = 2.0,
        window: float = 4.0,
        stride: float | None = None,
        context: float | None = None,
        frames: int | None = None,
        precision: Precision = "float32",
        commit: str | None = None,
    ) -> None:
        super().__init__(source, rate, precision, commit)
        self.windows = Windows.of(window, stride, context)
        self._given_frames = frames

    @cached_property
    def network(self) -> Any:
        """The part that sees, loaded when first asked for."""
        kind = model_type_of(self.source, self.commit, FILMS, "films")
        return in_precision(load_part(self.source, self.commit, _PART.get(kind, "")), self.precision)

    @cached_property
    def frames(self) -> int:
        """Frames in a window.

        Raises:
            SettingsError: the network cannot take that many.
        """
        config, given = self.network.config, self._given_frames
        own: int = getattr(config, _FRAMES[config.model_type])
        tubelet = config.tubelet_size
        if given is None:
            return own
        fixed = config.model_type in _FIXED
        if given < tubelet or given % tubelet or (fixed and given != own):
            wanted = own if fixed else f"a multiple of {tubelet}"
            raise SettingsError(f"got frames={given}; {self.name!r} takes {wanted}")
        return int(given)

    @cached_property
    def processing(self) -> Processing:
        """How frames are made ready, as the network's own file says."""
        config = self.network.config
        file = load_video_config(self.source, self.commit)
        return processing_of(file, config.model_type, getattr(config, _SIZE[config.model_type]))

    @property
    def settings(self) -> Mapping[str, Any]:
        """What else decides the numbers."""
        how = {"frames": self.frames, "precision": self.precision, "preprocess": describe(self.processing)}
        return {**self._timing, **how}

    def preprocess(self, frames: NDArray[np.uint8]) -> Tensor:
        """The frames of a window, [F, H, W, 3], to [F, 3, H', W']."""
        return torch.stack([self.processing(Image.fromarray(frame)) for frame in frames])

    def pieces(self, recording: Any, batch_size: int) -> Iterator[Piece]:
        """The windows of a recording, as many at once as have `batch_size` frames, or one."""
        video = video_of(recording)
        yield from self._pieces(video.duration, max(1, batch_size // self.frames), partial(self._clips, video))

    def _clips(self, video: Video, windows: Sequence[Window]) -> Tensor:
        """[B, F, 3, H, W]; a frame that several windows share is decoded and made ready once."""
        places = (np.arange(self.frames) + 0.5) * (self.windows.length / self.frames)  # middles of equal parts
        starts = np.array([window.start for window in windows])
        times, place = np.unique((starts[:, None] + places).round(6), return_inverse=True)
        return self.preprocess(video.frames(times))[torch.from_numpy(place.reshape(len(windows), -1))]

    def _tower(self, x: Tensor) -> Tower:
        """States for windows [B, F, 3, H, W] to tokens [B, C, F / tubelet, H', W']."""
        return Tower(self.network, partial(_unfolded, grid=self._grid(x)), unit="block")

    def _edges(self, window: Window, count: int) -> NDArray[np.float64]:
        return even_edges(window, self.windows.length, count)

    def _grid(self, x: Tensor) -> tuple[int, int, int]:
        """Tokens over time, down and across."""
        config = self.network.config
        size = config.patch_size
        down, across = (size, size) if isinstance(size, int) else size
        return x.shape[1] // config.tubelet_size, x.shape[3] // down, x.shape[4] // across


def _unfolded(state: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """[B, T * H * W, C] -> [B, C, T, H, W]."""
    return state.transpose(1, 2).reshape(len(state), -1, *grid)
