"""The thinker of a Qwen2.5-Omni network, and how its eyes and ears want pictures and sound."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fusiform.errors import LayoutError
from fusiform.features.hooks import device_of, evaluating
from fusiform.features.networks.checkpoints import check_folder, drop_untrained, load_processing_config, revision_of
from fusiform.features.networks.interleave import SOUND_TOKEN, Layout, fitted, media_layout, patches
from fusiform.features.networks.language_network import choose, in_precision
from fusiform.features.networks.processing import Processing, processing_of
from fusiform.features.networks.tokenizing import Tokenizing, load_tokenizer
from fusiform.features.networks.towers import Pool, Tower, watched
from fusiform.features.precision import PRECISIONS, Precision
from fusiform.registry import need

__all__ = ["HEARD_AT", "Rows", "Thinker"]

HEARD_AT = 16_000  # samples per second that these networks hear
Rows = Callable[[Tensor, NDArray[np.floating]], Tensor]  # states [N, C] and their spans [N, 2] in seconds -> [T, C]


@dataclass(frozen=True)
class Thinker:
    """A network by name. Making one loads nothing.

    Args:
        source: name on the hub, or a local folder that `save_pretrained` wrote.
        precision: that it computes in.
        commit: hash, tag or branch on the hub; the latest by default.
    """

    source: str
    precision: Precision
    commit: str | None

    def __post_init__(self) -> None:
        check_folder(self.source)
        choose("precision", self.precision, PRECISIONS)

    @cached_property
    def network(self) -> Any:
        """The thinker without the layer that predicts words, loaded when first asked for."""
        return in_precision(_load(self.source, self.commit), self.precision)

    @cached_property
    def tokenizing(self) -> Tokenizing:
        """How it reads."""
        return Tokenizing(load_tokenizer(self.source, self.commit))

    @cached_property
    def revision(self) -> str:
        """Commit on the hub, or digest of weights and configuration; and a digest of the tokenizer."""
        return f"{revision_of(self.network, self.source)}-{self.tokenizing.digest}"

    @cached_property
    def eyes(self) -> Processing:
        """How pictures are resized, scaled and normalised; their size depends on the film."""
        asked = self._asked("resample", "rescale_factor", "image_mean", "image_std")
        source = "preprocessor_config.json" if asked else "default of Qwen2VL"
        return replace(processing_of(asked, "clip"), source=source, fit="stretch", size=None, crop=None)

    @property
    def hearing(self) -> dict[str, Any]:
        """What the file says of spectrograms: for the key of a store, since no weight holds it."""
        return self._asked("feature_size", "sampling_rate", "n_fft", "hop_length", "dither")

    @cached_property
    def ears(self) -> Any:
        """From samples to a spectrogram."""
        transformers = need("transformers", extra="models")
        try:
            return transformers.WhisperFeatureExtractor.from_pretrained(self.source, revision=self.commit)
        except (OSError, ValueError) as reason:
            raise LayoutError(
                f"{self.source!r} does not say how it hears ({reason}); wanted preprocessor_config.json beside its "
                "weights"
            ) from reason

    def _asked(self, *keys: str) -> dict[str, Any]:
        """Some settings of `preprocessor_config.json`, as far as it has them."""
        file = load_processing_config(self.source, self.commit) or {}
        return {key: file[key] for key in keys if key in file}

    def resized(self, frames: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
        """[F, H, W, 3] -> [F, h, w, 3]: as large as `pixels` allows, in whole tokens."""
        vision = self.network.config.vision_config
        height, width = fitted(frames.shape[1:3], vision.patch_size * vision.spatial_merge_size, pixels)
        method = Image.Resampling(self.eyes.resample)
        return np.stack([np.asarray(Image.fromarray(frame).resize((width, height), method)) for frame in frames])

    def spectrogram(self, samples: NDArray[np.float32]) -> dict[str, Tensor]:
        """[n] samples at 16 kHz to what the ears take; it is padded, and a mask says where it ends.

        A second of silence gives the same numbers as the five minutes that the published processor pads to.
        """
        hop = self.ears.hop_length
        found = self.ears(
            samples,
            sampling_rate=HEARD_AT,
            padding="max_length",
            max_length=-(-len(samples) // hop) * hop + HEARD_AT,
            truncation=False,
            return_attention_mask=True,
            return_tensors="pt",
        )
        return {"input_features": found["input_features"], "feature_attention_mask": found["attention_mask"]}

    def read(
        self, text: str, frames: Tensor, samples: Tensor, pair: float, kinds: Collection[int], rows: Rows
    ) -> dict[str, Tensor]:
        """layer -> [T, C], of a window in one pass.

        Args:
            text: that comes first.
            frames: [F, h, w, 3] uint8, as `resized` gives them; F is even, or 0.
            samples: [n] at 16 kHz, or none.
            pair: seconds that two frames stand for.
            kinds: of tokens that are rows of the language part, see `interleave`.
            rows: of states with times.
        """
        given, grid, sounds = self._sensed(frames, samples, pair)
        merged = grid[1] * grid[2] // self.network.config.vision_config.spatial_merge_size**2
        layout = media_layout(self.network.config, (grid[0], merged), pair, sounds).after(self.tokenizing.text(text))
        given["input_ids"] = torch.from_numpy(layout.ids)[None]
        given["attention_mask"] = torch.ones_like(given["input_ids"])
        towers = [Tower(self.network.language_model, _of_tokens(layout, kinds, rows), unit="block")]
        if grid[0]:
            towers.append(Tower(self.network.visual, _of_moments(grid[0], pair, rows), "vision.", "block"))
        if sounds:
            towers.append(Tower(self.network.audio_tower, _of_sounds(sounds, rows), "audio.", "block"))
        return self._run(given, towers)

    def _sensed(self, frames: Tensor, samples: Tensor, pair: float) -> tuple[dict[str, Any], tuple[int, int, int], int]:
        """What the network is given, the grid of patches, and the number of tokens of sound."""
        given: dict[str, Any] = {"use_audio_in_video": bool(len(frames) and len(samples))}
        grid, sounds = (0, 0, 0), 0
        if len(frames):
            given["pixel_values_videos"], grid = self._seen(frames)
            given |= {"video_grid_thw": torch.tensor([grid]), "video_second_per_grid": torch.tensor([pair])}
        if len(samples):
            given |= self.spectrogram(samples.cpu().numpy())
            sounds = _sound_tokens(int(given["feature_attention_mask"].sum()))
        return given, grid, sounds

    def _seen(self, frames: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        vision = self.network.config.vision_config
        mean, deviation = (torch.tensor(values) for values in (self.eyes.mean, self.eyes.deviation))
        x = ((frames.cpu() * self.eyes.scale - mean) / deviation).movedim(3, 1)
        return patches(x, vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size)

    def _run(self, given: Mapping[str, Any], towers: list[Tower]) -> dict[str, Tensor]:
        device = device_of(self.network)
        placed = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in given.items()}
        with evaluating(self.network), watched(towers) as found:
            self.network(**placed, use_cache=False)
        return found


def _load(source: str, commit: str | None) -> Any:
    transformers = need("transformers", extra="models")
    try:
        whole, report = transformers.Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(
            source, revision=commit, output_loading_info=True
        )
    except Exception as reason:  # a damaged checkpoint breaks in any of four libraries
        said = str(reason).strip().partition("\n")[0][:200]
        raise LayoutError(
            f"cannot load {source!r} ({type(reason).__name__}: {said}); wanted a Qwen2.5-Omni network on the model hub "
            "or in a local folder"
        ) from reason
    missing = [key.removeprefix("model.") for key in report["missing_keys"] if not key.startswith("lm_head.")]
    drop_untrained(whole.model, missing, source)
    return whole.model.eval()


def _sound_tokens(frames: int) -> int:
    """Tokens of as many frames of a spectrogram: halved by a convolution, and by a mean."""
    return ((frames - 1) // 2 + 1 - 2) // 2 + 1


def _of_tokens(layout: Layout, kinds: Collection[int], rows: Rows) -> Pool:
    """States [1, L, C] of the language part to the rows of some kinds of its tokens."""
    kept = np.flatnonzero(np.isin(layout.kind, list(kinds)))
    return lambda state: rows(state[0, torch.from_numpy(kept).to(state.device)], layout.spans[kept])


def _of_moments(count: int, pair: float, rows: Rows) -> Pool:
    """States [T * patches, C] of the eyes to rows; the patches of a moment stand together, in the order of windows."""
    spans = pair * (np.arange(count)[:, None] + np.arange(2))
    return lambda state: rows(state.float().reshape(count, -1, state.shape[-1]).mean(1), spans)


def _of_sounds(tokens: int, rows: Rows) -> Pool:
    """States [N, C] of the ears to rows: of the blocks, two for each token, and then one."""

    def pool(state: Tensor) -> Tensor:
        length = SOUND_TOKEN / (1 if len(state) == tokens else 2)
        return rows(state, length * (np.arange(len(state))[:, None] + np.arange(2)))

    return pool
