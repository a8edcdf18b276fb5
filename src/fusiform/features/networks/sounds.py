"""Audio networks of Hugging Face, by name or from a local folder: every layer in one pass over windows of a sound."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.data import Kind, Sound
from fusiform.data.timing import row_at
from fusiform.errors import DataError, SettingsError
from fusiform.features.networks.language_network import in_precision
from fusiform.features.networks.media_network import SOUNDS, load_extractor, load_part, model_type_of
from fusiform.features.networks.towers import Tower
from fusiform.features.networks.windowed import Windowed
from fusiform.features.precision import Precision
from fusiform.features.time.resampling import Resampled
from fusiform.features.time.streams import sound_of
from fusiform.features.time.windows import Piece, Window, Windows, centred_edges

__all__ = ["HuggingFaceAudio"]

_PICTURES = 8  # a window of sound takes about the memory of as many pictures
_SHORTEST = 0.1  # seconds of sound that every family can read
_LONGEST = 30.0  # seconds of a window by default
_FRAME = 400  # samples that the spectra of w2v-BERT and AST are made of, 25 ms
_HOP = 160  # samples between them, 10 ms


@dataclass(frozen=True)
class _Family:
    """What differs between families.

    Args:
        extractor: name of the class that makes a sound ready.
        times: (configuration, extractor) -> when the first token is centred, and how far tokens are apart, in samples.
        limit: (extractor) -> seconds that the network can see at once.
        part: of the network that hears.
        tower: the submodule of that part whose blocks are watched; all of it by default.
        before: tokens that stand before those of the sound.
    """

    extractor: str
    times: Callable[[Any, Any], tuple[float, float]]
    limit: Callable[[Any], float] = lambda extractor: np.inf
    part: str = ""
    tower: str = ""
    before: int = 0


def _convolved(config: Any, extractor: Any) -> tuple[float, float]:
    """The receptive field of a stack of convolutions without padding, of which a token has the middle."""
    field, hop = 1, 1
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        field, hop = field + (kernel - 1) * hop, hop * stride
    return (field - 1) / 2, hop


def _stacked(config: Any, extractor: Any) -> tuple[float, float]:
    """Spectra, of which `stride` neighbours are one token."""
    return _FRAME / 2 + _HOP * (extractor.stride - 1) / 2, _HOP * extractor.stride


def _patched(config: Any, extractor: Any) -> tuple[float, float]:
    """Patches of a spectrogram."""
    return _FRAME / 2 + _HOP * (config.patch_size - 1) / 2, _HOP * config.time_stride


_WAVE = _Family("Wav2Vec2FeatureExtractor", _convolved, tower="encoder")
_FAMILIES = {
    "audio-spectrogram-transformer": _Family(
        *("ASTFeatureExtractor", _patched),
        limit=lambda extractor: extractor.max_length * _HOP / extractor.sampling_rate,
        before=2,  # the class token and the one of distillation
    ),
    "hubert": _WAVE,
    "wav2vec2": _WAVE,
    "wav2vec2-bert": _Family("SeamlessM4TFeatureExtractor", _stacked, tower="encoder"),
    "wavlm": _WAVE,
    "whisper": _Family(
        "WhisperFeatureExtractor",
        lambda config, extractor: (0.0, 2.0 * extractor.hop_length),  # spectra are centred; every other one is kept
        limit=lambda extractor: float(extractor.chunk_length),
        part="encoder",
    ),
}


class HuggingFaceAudio(Windowed):
    """An audio network, such as `HuggingFaceAudio("openai/whisper-large-v3")`: it reads the sound of recordings.

    Whisper (its encoder), wav2vec 2.0, HuBERT, WavLM, w2v-BERT 2.0, audio-spectrogram transformers. The sound is
    brought to the network's rate and made ready by the network's own feature extractor, window by window.

    Layers, all local, [T, C] for T rows: `embeddings`, `block1` ... `blockN` (what each block gives on, before any
    final norm) and `final`, the network's own last state, where that is another. Audio-spectrogram transformers have
    [T, C, F], F bands of frequency. A moment belongs to the token whose centre is nearest, and a row is the mean of its
    moments, see `windows.Windows`; silence that fills up a short sound is in no mean.

    Args:
        source: name on the hub, or a local folder that `save_pretrained` wrote.
        rate: rows per second (Hz).
        window: seconds that the network hears at once; 30, or what it can, by default.
        stride: seconds of rows that come from one window; half of it by default.
        context: seconds that a window hears before its first row; all that is left by default.
        precision: that the network computes in; bfloat16 and float16 are meant for GPUs.
        commit: hash, tag or branch on the hub; the latest by default.
    """

    kind: Kind = "audio"

    def __init__(
        self,
        source: str,
        rate: float = 2.0,
        window: float | None = None,
        stride: float | None = None,
        context: float | None = None,
        precision: Precision = "float32",
        commit: str | None = None,
    ) -> None:
        super().__init__(source, rate, precision, commit)
        self._given = (window, stride, context)
        if window is not None:
            Windows.of(window, stride, context)  # says at once what cannot be

    @cached_property
    def network(self) -> Any:
        """The part that hears, loaded when first asked for."""
        return in_precision(load_part(self.source, self.commit, self._family.part), self.precision)

    @cached_property
    def extractor(self) -> Any:
        """What makes a sound ready for the network."""
        return load_extractor(self.source, self.commit, self._family.extractor)

    @cached_property
    def windows(self) -> Windows:
        """How sounds are cut.

        Raises:
            SettingsError: the network cannot hear that long at once.
        """
        limit = self._family.limit(self.extractor)
        window, stride, context = self._given
        if window is not None and not _SHORTEST <= window <= limit:
            raise SettingsError(f"got a window of {window} s; {self.name!r} hears {_SHORTEST:g} to {limit:g} s at once")
        return Windows.of(min(_LONGEST, limit) if window is None else window, stride, context)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What else decides the numbers."""
        return {**self._timing, "precision": self.precision, "preprocess": _plain(self.extractor)}

    def preprocess(self, samples: NDArray[np.float32]) -> Tensor:
        """The samples of a window at the extractor's rate, [n], to what the network takes."""
        found = self.extractor(samples, sampling_rate=self.extractor.sampling_rate, return_tensors="np")
        ready = torch.from_numpy(np.asarray(found[self.extractor.model_input_names[0]][0], dtype=np.float32))
        if self._family.times is _stacked and "attention_mask" in found:
            ready = ready[torch.from_numpy(found["attention_mask"][0] > 0)]  # half a token at the end is left out
        return ready

    def pieces(self, recording: Any, batch_size: int) -> Iterator[Piece]:
        """The windows of a recording; one takes the place of eight pictures in a batch."""
        sound = Resampled(sound_of(recording), self.extractor.sampling_rate)
        if sound.duration < _SHORTEST:
            raise DataError(f"the sound lasts {sound.duration:g} s; wanted {_SHORTEST:g} s at least")
        yield from self._pieces(sound.duration, max(1, batch_size // _PICTURES), partial(self._clips, sound))

    def _clips(self, sound: Sound, windows: Sequence[Window]) -> Tensor:
        """[B, ...]."""
        return torch.stack([self.preprocess(self._heard(sound, window)) for window in windows])

    def _heard(self, sound: Sound, window: Window) -> NDArray[np.float32]:
        """The samples of a window: as many in every window of a sound, wherever it begins between two samples."""
        rate = sound.rate
        count = int(min(row_at(self.windows.length, rate), row_at(sound.duration, rate)))
        first = int(min(row_at(window.start, rate), row_at(sound.duration, rate) - count))
        return sound.samples(first / rate, (first + count) / rate)

    def _tower(self, x: Tensor) -> Tower:
        """States for windows [B, ...] to tokens [B, C, N], or [B, C, N, F] where there are bands."""
        return Tower(self.network.get_submodule(self._family.tower), self._unfolded, unit="block")

    def _edges(self, window: Window, count: int) -> NDArray[np.float64]:
        centre, hop = self._family.times(self.network.config, self.extractor)
        rate = self.extractor.sampling_rate
        return centred_edges(window, centre / rate, hop / rate, count)

    def _unfolded(self, state: Tensor) -> Tensor:
        """[B, before + N, C] -> [B, C, N], or [B, before + F * N, C] -> [B, C, N, F] where there are bands."""
        state = state[:, self._family.before :].transpose(1, 2)
        if self._family.times is not _patched:
            return state
        config = self.network.config
        bands = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
        return state.reshape(*state.shape[:2], bands, -1).transpose(2, 3)

    @cached_property
    def _family(self) -> _Family:
        return _FAMILIES[model_type_of(self.source, self.commit, SOUNDS, "sounds")]


def _plain(extractor: Any) -> dict[str, Any]:
    """The settings of a feature extractor that are numbers and words; filters and windows follow from them."""
    values = extractor.to_dict()
    return {key: value for key, value in sorted(values.items()) if isinstance(value, str | int | float | bool | None)}
