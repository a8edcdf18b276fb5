"""Gabor energy: a model of V1 without weights, the classic baseline of early visual areas."""

import math
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fusiform.data import Kind
from fusiform.errors import SettingsError
from fusiform.features.preprocess import Picture, describe
from fusiform.features.tokens import Tokens

__all__ = ["BANDWIDTH", "Gabor", "check_pyramid", "gabor_filters", "pyramid", "quadrature"]

_WAVELENGTH = 4.0  # pixels, at every level of the pyramid
BANDWIDTH = 0.56  # deviation of an envelope in wavelengths: one octave at half height
_DEVIATION = BANDWIDTH * _WAVELENGTH
_RADIUS = 7  # pixels, past three deviations


class Gabor:
    """Energy of quadrature pairs of Gabor filters over scales, orientations and places (Kay et al. 2008, Nature 452).

    A picture of luminance is halved from scale to scale. At each scale, filters of two phases a quarter cycle apart are
    applied at every pixel; the root of the sum of their squares is averaged over the cells of a grid. A grating at a
    filter's own frequency and orientation gives its amplitude there (.9 of it at the coarse scales, for the halving
    blurs). Local layers `cycles4`, `cycles8`, ... [B, orientations, grid, grid] are named by their frequency in cycles
    per picture.

    Args:
        size: side in pixels to which pictures are resized; the finest scale has size / 4 cycles per picture.
        scales: number of them, an octave apart.
        orientations: number of them; the k-th filter's luminance changes along the angle 180 k / orientations degrees,
            from left to right at 0 and downwards at 90.
        grid: cells along each side.
    """

    name, revision = "gabor", "1"
    kind: Kind = "image"

    def __init__(self, size: int = 128, scales: int = 4, orientations: int = 8, grid: int = 8) -> None:
        check_pyramid(size, scales, orientations, grid)
        self.size, self.scales, self.orientations, self.grid = size, scales, orientations, grid
        self.preprocess = Picture(size, colour=False, normalise="none")
        self.settings = {
            "scales": scales,
            "orientations": orientations,
            "grid": grid,
            "preprocess": describe(self.preprocess),
        }

    def get_tokens(self, x: Tensor) -> Tokens:
        """[B, 1, size, size] in [0, 1] -> a local layer per scale, from the coarsest to the finest."""
        filters, found = self._filters.to(x.device), {}
        for layer, small in pyramid(x, self.scales).items():
            energy = torch.hypot(*quadrature(small, filters))
            found[layer] = functional.adaptive_avg_pool2d(energy, self.grid)
        return Tokens(found, {})

    def to(self, device: Any) -> None:
        """Nothing to move: the filters follow their batch."""

    @cached_property
    def _filters(self) -> Tensor:
        return gabor_filters(self.orientations)


def check_pyramid(size: int, scales: int, orientations: int, grid: int) -> None:
    """Say which pyramids there are.

    Raises:
        SettingsError: its coarsest scale is too small for the filters, or for the grid.
    """
    coarsest = size / 2 ** (scales - 1) if scales > 0 else 0
    if min(scales, orientations, grid) < 1 or coarsest % 4 or coarsest < max(grid, 8):
        raise SettingsError(
            f"got size={size}, scales={scales}, orientations={orientations}, grid={grid}; wanted one of each at "
            f"least, and a coarsest scale (size / 2 ** (scales - 1)) of 8, 12, 16, ... pixels, not below the grid"
        )


def pyramid(x: Tensor, scales: int) -> dict[str, Tensor]:
    """[B, 1, H, W] halved from scale to scale, the coarsest first, by the cycles per picture of its filters."""
    halved = [functional.avg_pool2d(x, 2**scale) for scale in reversed(range(scales))]
    return {f"cycles{small.shape[-1] // 4}": small for small in halved}


def gabor_filters(orientations: int) -> Tensor:
    """[2 x orientations, 1, 15, 15]: the even filters, then the odd ones."""
    angles = [math.pi * k / orientations for k in range(orientations)]
    return torch.stack([_filter(angle, phase) for phase in (0.0, math.pi / 2) for angle in angles])[:, None]


def quadrature(x: Tensor, filters: Tensor) -> tuple[Tensor, Tensor]:
    """[B, 1, H, W] -> responses of even and odd filters, [B, orientations, H, W]; beyond the edge, it goes on."""
    padded = functional.pad(x, (_RADIUS,) * 4, mode="replicate")
    even, odd = functional.conv2d(padded, filters).chunk(2, dim=1)
    return even, odd


def _filter(angle: float, phase: float) -> Tensor:
    """One Gabor filter [15, 15] that sums to zero and answers 1 to the crest of its own grating of amplitude 1."""
    along = torch.arange(-_RADIUS, _RADIUS + 1, dtype=torch.float64)
    y, x = torch.meshgrid(along, along, indexing="ij")
    envelope = torch.exp(-(x**2 + y**2) / (2 * _DEVIATION**2))
    wave = torch.cos(2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / _WAVELENGTH - phase)
    values = envelope * (wave - (envelope * wave).sum() / envelope.sum())  # uniform light has no energy
    return (values / (values * wave).sum()).float()
