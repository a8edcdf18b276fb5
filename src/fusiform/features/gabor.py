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

__all__ = ["Gabor"]

_WAVELENGTH = 4.0  # pixels, at every level of the pyramid
_DEVIATION = 0.56 * _WAVELENGTH  # of the envelope: a bandwidth of one octave at half height
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
        coarsest = size / 2 ** (scales - 1) if scales > 0 else 0
        if min(scales, orientations, grid) < 1 or coarsest % 4 or coarsest < max(grid, 8):
            raise SettingsError(
                f"got size={size}, scales={scales}, orientations={orientations}, grid={grid}; wanted one of each at "
                f"least, and a coarsest scale (size / 2 ** (scales - 1)) of 8, 12, 16, ... pixels, not below the grid"
            )
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
        for scale in range(self.scales):
            small = functional.avg_pool2d(x, 2**scale)
            energy = _energy(small, filters)
            found[f"cycles{small.shape[-1] // 4}"] = functional.adaptive_avg_pool2d(energy, self.grid)
        return Tokens(dict(reversed(found.items())), {})

    def to(self, device: Any) -> None:
        """Nothing to move: the filters follow their batch."""

    @cached_property
    def _filters(self) -> Tensor:
        """[2 x orientations, 1, 15, 15]: the even filters, then the odd ones."""
        angles = [math.pi * k / self.orientations for k in range(self.orientations)]
        return torch.stack([_filter(angle, phase) for phase in (0.0, math.pi / 2) for angle in angles])[:, None]


def _filter(angle: float, phase: float) -> Tensor:
    """One Gabor filter [15, 15] that sums to zero and answers 1 to the crest of its own grating of amplitude 1."""
    along = torch.arange(-_RADIUS, _RADIUS + 1, dtype=torch.float64)
    y, x = torch.meshgrid(along, along, indexing="ij")
    envelope = torch.exp(-(x**2 + y**2) / (2 * _DEVIATION**2))
    wave = torch.cos(2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / _WAVELENGTH - phase)
    values = envelope * (wave - (envelope * wave).sum() / envelope.sum())  # uniform light has no energy
    return (values / (values * wave).sum()).float()


def _energy(x: Tensor, filters: Tensor) -> Tensor:
    """[B, 1, H, W] -> [B, orientations, H, W]; beyond the edge, the edge goes on."""
    padded = functional.pad(x, (_RADIUS,) * 4, mode="replicate")
    even, odd = functional.conv2d(padded, filters).chunk(2, dim=1)
    return torch.hypot(even, odd)
