"""Motion energy: a model of V1 and MT without weights, the classic baseline of films."""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from fusiform.data import Kind, Recording
from fusiform.data.timing import checked_rate, row_count, row_times
from fusiform.errors import SettingsError
from fusiform.features.baselines.gabor import BANDWIDTH, check_pyramid, gabor_filters, pyramid, quadrature
from fusiform.features.preprocess import Picture, describe
from fusiform.features.time.streams import video_of
from fusiform.features.time.windows import Piece
from fusiform.features.tokens import Tokens

__all__ = ["MotionEnergy"]

_AT_ONCE = 32  # frames filtered in time by one matrix product
_ROWS = 64  # of a piece


class MotionEnergy:
    """Energy of spatio-temporal Gabor filters (Adelson & Bergen 1985, JOSA A 2; Nishimoto et al. 2011, Curr Biol 21).

    Luminance goes through the pyramid of `gabor.Gabor`, frame by frame. The responses of each quadrature pair are then
    filtered in time by quadrature pairs of an octave's bandwidth, centred on their moment, and sums and differences of
    the four products see one direction of movement each. The root of the energy is averaged over the cells of a grid
    and over the frames of a row. A grating that drifts as a filter likes it gives its amplitude there (.9 of it at the
    coarse scales). Local layers, [1, C, T, grid, grid]:

    - `cycles6-4hz` and the like: cycles per picture and cycles per second of the filters. Channel d likes what moves
      along the angle 180 d / orientations degrees: to the right at 0, downwards at 90; C = 2 x orientations;
    - `cycles6-0hz` and the like: what stays, by orientation; C = orientations.

    Args:
        rate: rows per second (Hz).
        size: side in pixels to which frames are resized; the finest scale has size / 4 cycles per picture.
        scales: number of them, an octave apart.
        orientations: number of them.
        frequencies: cycles per second of the filters.
        grid: cells along each side.
        frames: per second, rounded to a whole number of frames per row.

    Raises:
        SettingsError: there is no such pyramid, or frequencies too fast for the frames.
    """

    name, revision = "motion-energy", "1"
    kind: Kind = "recording"

    def __init__(
        self,
        rate: float = 2.0,
        size: int = 96,
        scales: int = 4,
        orientations: int = 4,
        frequencies: Sequence[float] = (2.0, 4.0),
        grid: int = 6,
        frames: float = 15.0,
    ) -> None:
        check_pyramid(size, scales, orientations, grid)
        self.rate, self.scales, self.orientations, self.grid = checked_rate(rate), scales, orientations, grid
        self.frequencies = tuple(sorted(map(checked_rate, frequencies)))
        self.per_row = max(1, round(checked_rate(frames) / self.rate))
        self.frames = self.per_row * self.rate
        if not self.frequencies or self.frequencies[-1] >= self.frames / 2:
            raise SettingsError(
                f"got frequencies={self.frequencies} Hz at {self.frames:g} frames per second; wanted one at least, and "
                "all below half the frames"
            )
        self.picture = Picture(size, colour=False, normalise="none")
        self.settings = {
            "rate": self.rate,
            "scales": scales,
            "orientations": orientations,
            "frequencies": list(self.frequencies),
            "grid": grid,
            "frames": self.frames,
            "preprocess": describe(self.picture),
        }

    def preprocess(self, frames: NDArray[np.uint8]) -> Tensor:
        """Frames [T, H, W, 3] to their luminance [T, size, size], uint8."""
        small = [self.picture(Image.fromarray(frame))[0] * 255 for frame in frames]
        return torch.stack(small).round().to(torch.uint8)

    def pieces(self, recording: Recording, batch_size: int) -> Iterator[Piece]:
        """The frames of a recording, as many rows at once whatever the size of a batch.

        Each piece begins and ends with rows that the filters reach into, and that are left out again.
        """
        video, rows = video_of(recording), row_count(recording.duration, self.rate)
        times = row_times(rows * self.per_row, self.frames, start=0.5 / self.frames)
        times = times[: max((rows - 1) * self.per_row + 1, int((times < recording.duration).sum()))]
        margin = math.ceil(self._reach / self.per_row)
        for first in range(0, rows, _ROWS):
            low = max(0, first - margin)
            part = times[low * self.per_row : (first + _ROWS + margin) * self.per_row]
            x = self.preprocess(video.frames(part))
            yield Piece(x[None], partial(_own_rows, own=slice(first - low, min(first + _ROWS, rows) - low)))

    def get_tokens(self, x: Tensor) -> Tokens:
        """[1, T, size, size] luminance -> a layer per spatial and temporal frequency."""
        kernels = self._kernels.to(x.device)
        reach = self._reach
        around = torch.arange(-reach, x.shape[1] + reach, device=x.device).clamp(0, x.shape[1] - 1)
        parts = [
            self._energy(x[0, around[start : min(start + _AT_ONCE, x.shape[1]) + 2 * reach]], kernels)
            for start in range(0, x.shape[1], _AT_ONCE)
        ]
        return Tokens({layer: self._rows(torch.cat([part[layer] for part in parts])) for layer in parts[0]}, {})

    def to(self, device: Any) -> None:
        """Nothing to move: the filters follow their frames."""

    def _energy(self, frames: Tensor, kernels: Tensor) -> dict[str, Tensor]:
        """[T + 2 reach, size, size] -> layer -> [T, C, grid, grid]."""
        found: dict[str, Tensor] = {}
        for layer, small in pyramid(frames[:, None].float() / 255, self.scales).items():
            even, odd = quadrature(small, self._filters.to(frames.device))
            still, *moving = _filtered(torch.stack([even, odd]), kernels)
            found[f"{layer}-0hz"] = self._cells(torch.hypot(*still[0]))
            for frequency, (cosine, sine) in zip(self.frequencies, moving, strict=True):
                found[f"{layer}-{frequency:g}hz"] = self._cells(_directions(cosine, sine))
        return found

    def _cells(self, energy: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(energy, self.grid)

    def _rows(self, energy: Tensor) -> Tensor:
        """[T, C, grid, grid] of frames -> [1, C, rows, grid, grid]."""
        rows = torch.stack([frames.mean(0) for frames in torch.split(energy, self.per_row)])
        return rows.movedim(0, 1)[None]

    @cached_property
    def _filters(self) -> Tensor:
        return gabor_filters(self.orientations)

    @cached_property
    def _kernels(self) -> Tensor:
        """[1 + frequencies, 2, taps]: cosine and sine of each frequency; the first pair is a mean and nothing."""
        seconds = torch.arange(-self._reach, self._reach + 1, dtype=torch.float64) / self.frames
        slowest = BANDWIDTH / self.frequencies[0]
        return torch.stack([_kernel(frequency, slowest, seconds) for frequency in (0.0, *self.frequencies)]).float()

    @property
    def _reach(self) -> int:
        """Frames before and after its own that a filter sees: three deviations of the slowest."""
        return math.ceil(3 * BANDWIDTH / self.frequencies[0] * self.frames)


def _own_rows(tokens: Tokens, own: slice) -> Tokens:
    """[1, C, T, grid, grid] of a piece -> [T, C, grid, grid] of its own rows."""
    return Tokens({layer: value[0].movedim(1, 0)[own] for layer, value in tokens.local.items()}, {})


def _kernel(frequency: float, slowest: float, seconds: Tensor) -> Tensor:
    """[2, taps] of one frequency (Hz), which answers 1 to its own wave and 0 to what stays."""
    deviation = BANDWIDTH / frequency if frequency else slowest
    envelope = torch.exp(-(seconds**2) / (2 * deviation**2))
    cosine, sine = (wave(2 * math.pi * frequency * seconds) for wave in (torch.cos, torch.sin))
    if not frequency:
        return torch.stack([envelope / envelope.sum(), torch.zeros_like(envelope)])
    even, odd = envelope * (cosine - (envelope * cosine).sum() / envelope.sum()), envelope * sine
    return torch.stack([even, odd]) / (even * cosine + odd * sine).sum()


def _filtered(responses: Tensor, kernels: Tensor) -> Tensor:
    """Spatial pairs [2, T + 2 reach, K, H, W] through temporal ones [F, 2, taps] -> [F, 2, 2, T, K, H, W].

    The axes of two are the temporal and the spatial phase.
    """
    taps, long = kernels.shape[-1], responses.shape[1]
    band = torch.stack([functional.pad(kernels, (start, long - taps - start)) for start in range(long - taps + 1)], -2)
    return torch.einsum("fptu,sukhw->fpstkhw", band, responses)


def _directions(cosine: Tensor, sine: Tensor) -> Tensor:
    """Temporal filters of both phases, each on spatial pairs [2, T, K, H, W], to the energy [T, 2 K, H, W].

    A grating that drifts along its filter's angle turns even + i odd by exp(i w t). Turned back by exp(-i w t) it stays
    and adds up; so does what drifts the other way, if turned by exp(i w t).
    """
    (cosine_even, cosine_odd), (sine_even, sine_odd) = cosine, sine
    along = torch.hypot(cosine_even + sine_odd, cosine_odd - sine_even)
    against = torch.hypot(cosine_even - sine_odd, cosine_odd + sine_even)
    return torch.cat([along, against], dim=1)
