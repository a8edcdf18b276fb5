"""The log-mel spectrogram: what the ear's filters let through, the classic baseline of sounds."""

import math
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.data import Kind, Recording, Sound
from fusiform.data.timing import checked_rate, row_at, row_times
from fusiform.errors import DataError, SettingsError
from fusiform.features.time.sampling import row_edges, sample
from fusiform.features.time.streams import sound_of
from fusiform.features.tokens import Tokens

__all__ = ["LogMel", "mel_filters"]

_FLOOR = 1e-10  # of power: -100 dB below a sound of full scale
_LINEAR, _STEP = 1000.0, 200 / 3  # Hz up to which Slaney's scale is linear, and Hz per mel there
_GROWTH = math.log(6.4) / 27  # of log frequency per mel above
_AT_ONCE = 3000  # frames


class LogMel:
    """Power in the bands of the mel scale, its logarithm averaged over each row: the layer `mel`, [1, bands, T].

    The sound is cut into frames of `window` seconds, one every `hop`, that lie whole in it; nothing is padded. Each is
    weighted by a Hann window, and its power spectrum |X|^2 / (sum of weights)^2 summed with triangular weights over the
    bands, which are Slaney's (1998, Auditory Toolbox, Apple TR 45): linear in Hz up to 1 kHz and logarithmic above,
    triangles of area one. Values are log10, -10 at least, and a frame counts in a row as long as it lies in it.

    Args:
        rate: rows per second (Hz).
        bands: number of them.
        lowest: edge of the first band in Hz.
        highest: edge of the last band in Hz; sounds need twice as many samples per second.
        window: length of a frame in seconds.
        hop: seconds from one frame to the next.

    Raises:
        SettingsError: these are no bands or no frames.
    """

    name, revision = "log-mel", "1"
    kind: Kind = "recording"

    def __init__(
        self,
        rate: float = 2.0,
        bands: int = 64,
        lowest: float = 50.0,
        highest: float = 8000.0,
        window: float = 0.025,
        hop: float = 0.01,
    ) -> None:
        if bands != int(bands) or bands < 1 or not 0 <= lowest < highest < math.inf or not 0 < hop <= window < math.inf:
            raise SettingsError(
                f"got bands={bands}, lowest={lowest}, highest={highest}, window={window}, hop={hop}; wanted "
                "a whole number of bands, 0 <= lowest < highest in Hz, and seconds of which the hop does not exceed "
                "the window"
            )
        self.rate, self.bands, self.lowest, self.highest = checked_rate(rate), bands, float(lowest), float(highest)
        self.window, self.hop = float(window), float(hop)
        self.settings = {name: getattr(self, name) for name in ("rate", "bands", "lowest", "highest", "window", "hop")}

    def preprocess(self, recording: Recording) -> Tensor:
        """[bands, T]: the rows."""
        values, centres = self._frames(sound_of(recording), recording.duration)
        edges = row_edges(recording.duration, self.rate)
        turns = np.concatenate(
            [[edges[0]], (centres[1:] + centres[:-1]) / 2, [edges[-1]]]
        )  # each moment to the nearest
        return sample(torch.from_numpy(values), turns[:-1], turns[1:], edges).T.contiguous()

    def get_tokens(self, x: Tensor) -> Tokens:
        """[1, bands, T] -> the layer `mel`."""
        return Tokens({"mel": x}, {})

    def _frames(self, sound: Sound, duration: float) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """log10 power [F, bands] of frames and their centres [F] in seconds; a sound that ends early is silent then."""
        length, total = round(self.window * sound.rate), int(row_at(duration, sound.rate))
        starts = row_at(row_times(int(duration / self.hop) + 1, 1 / self.hop), sound.rate)
        starts = starts[starts + length <= total]
        if not len(starts):
            raise DataError(f"a recording of {duration:g} s is shorter than a frame of {self.window:g} s")
        filters = mel_filters(self.bands, self.lowest, self.highest, length, sound.rate)
        parts = [starts[first : first + _AT_ONCE] for first in range(0, len(starts), _AT_ONCE)]
        powers = [_power(_stretch(sound, part, length), filters) for part in parts]
        return np.concatenate(powers), (starts + length / 2) / sound.rate


def _stretch(sound: Sound, starts: NDArray[np.int64], length: int) -> NDArray[np.float32]:
    """Frames [F, length] that begin at these samples."""
    first, last = int(starts[0]), int(starts[-1]) + length
    samples = sound.samples(first / sound.rate, last / sound.rate)
    whole = np.pad(samples, (0, last - first - len(samples)))
    return np.asarray(whole[(starts - first)[:, None] + np.arange(length)])


def _power(frames: NDArray[np.float32], filters: NDArray[np.float64]) -> NDArray[np.float32]:
    """Frames [F, length] to log10 power [F, bands]."""
    weights = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frames.shape[1]) / frames.shape[1])
    spectrum = np.abs(np.fft.rfft(frames * weights) / weights.sum()) ** 2
    return np.asarray(np.log10(np.maximum(spectrum @ filters.T, _FLOOR)), dtype=np.float32)


@cache
def mel_filters(bands: int, lowest: float, highest: float, length: int, rate: int) -> NDArray[np.float64]:
    """Triangles of area one (1 / Hz) on Slaney's scale, [bands, length // 2 + 1] at the frequencies of a spectrum.

    Args:
        bands: number of them.
        lowest: edge of the first in Hz.
        highest: edge of the last in Hz.
        length: of a frame in samples.
        rate: samples per second (Hz).

    Raises:
        DataError: the sound does not reach that high.
        SettingsError: a band is so narrow that no frequency of the spectrum falls into it.
    """
    if rate < 2 * highest:
        raise DataError(
            f"a sound of {rate} Hz reaches up to {rate / 2:g} Hz, and the bands up to {highest:g}; "
            f"give highest={rate / 2:g}"
        )
    edges = _hertz(np.linspace(_mel(lowest), _mel(highest), bands + 2))
    frequencies = np.arange(length // 2 + 1) * rate / length
    rising = (frequencies - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - frequencies) / np.diff(edges)[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    if empty := np.flatnonzero(filters.sum(1) == 0).tolist():
        raise SettingsError(
            f"no frequency of a frame of {length / rate:g} s falls into band {empty[0]} ({edges[empty[0]]:.0f} to "
            f"{edges[empty[0] + 2]:.0f} Hz); take fewer bands, or a longer window"
        )
    return np.asarray(filters, dtype=np.float64)


def _mel(hertz: float) -> float:
    return hertz / _STEP if hertz < _LINEAR else (_LINEAR / _STEP) + math.log(hertz / _LINEAR) / _GROWTH


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mels < _LINEAR / _STEP, mels * _STEP, _LINEAR * np.exp((mels - _LINEAR / _STEP) * _GROWTH))
