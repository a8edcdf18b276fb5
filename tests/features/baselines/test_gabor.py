"""Gabor energy, against a plain formula and on gratings of known frequency and orientation."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from fusiform.errors import SettingsError
from fusiform.features.baselines.gabor import Gabor
from fusiform.features.tokens import load_backbone
from fusiform.testing import check_backbone


def grating(cycles: float, degrees: float, side: int = 64, phase: float = 0.0, amplitude: float = 0.4) -> torch.Tensor:
    """[1, 1, side, side], luminance changing along an angle (0: from left to right, 90: downwards)."""
    y, x = np.mgrid[:side, :side] / side
    along = x * math.cos(math.radians(degrees)) + y * math.sin(math.radians(degrees))
    return torch.tensor(0.5 + amplitude * np.cos(2 * np.pi * cycles * along + phase), dtype=torch.float32)[None, None]


def slow_energy(x: np.ndarray, row: int, column: int, angle: float) -> float:
    """Energy at one pixel, by the formula in complex numbers, pixel after pixel."""
    terms = []  # envelope, carrier, luminance
    for dy in range(-7, 8):
        for dx in range(-7, 8):
            envelope = math.exp(-(dx**2 + dy**2) / (2 * 2.24**2))
            carrier = np.exp(1j * math.pi / 2 * (dx * math.cos(angle) + dy * math.sin(angle)))
            terms.append((envelope, carrier, x[min(max(row + dy, 0), 15), min(max(column + dx, 0), 15)]))
    mean = sum(e * c for e, c, _ in terms) / sum(e for e, _, _ in terms)
    even = sum(e * (c - mean).real * v for e, c, v in terms) / sum(e * (c - mean).real * c.real for e, c, _ in terms)
    odd = sum(e * c.imag * v for e, c, v in terms) / sum(e * c.imag**2 for e, c, _ in terms)
    return math.hypot(even, odd)


def test_is_the_plain_formula() -> None:
    x = np.random.default_rng(0).random((16, 16))
    found = Gabor(16, scales=1, orientations=3, grid=16).get_tokens(torch.tensor(x[None, None], dtype=torch.float32))
    energy = found.local["cycles4"][0].numpy()
    for row, column in ((0, 0), (8, 7), (15, 3)):
        for k in range(3):
            wanted = slow_energy(x, row, column, math.pi * k / 3)
            assert energy[k, row, column] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("orientation", range(4))
@pytest.mark.parametrize("cycles", [4, 8, 16])
@pytest.mark.parametrize("phase", [0.0, 1.0])
def test_finds_the_grating(cycles: int, orientation: int, phase: float) -> None:
    local = Gabor(64, scales=3, orientations=4, grid=4).get_tokens(grating(cycles, 45 * orientation, phase=phase)).local
    energy = {layer: value[0, :, 1:3, 1:3].mean((1, 2)) for layer, value in local.items()}  # away from the edge
    assert list(local) == ["cycles4", "cycles8", "cycles16"]
    assert max(energy, key=lambda layer: float(energy[layer].max())) == f"cycles{cycles}"
    assert int(energy[f"cycles{cycles}"].argmax()) == orientation
    assert 0.85 * 0.4 < float(energy[f"cycles{cycles}"].max()) < 1.02 * 0.4


def test_knows_the_place() -> None:
    x = torch.full((1, 1, 64, 64), 0.5)
    x[..., 32:, :32] = grating(16, 0)[..., 32:, :32]
    energy = Gabor(64, scales=1, orientations=4, grid=2).get_tokens(x).local["cycles16"][0, 0]
    assert int(energy.argmax()) == 2  # lower left
    assert float(energy[0, 1]) < 0.1 * float(energy[1, 0])


def test_uniform_light_has_no_energy() -> None:
    for layer in Gabor(64, scales=2).get_tokens(torch.full((1, 1, 64, 64), 0.7)).local.values():
        assert float(layer.abs().max()) < 1e-5


def test_shapes_contract_and_key() -> None:
    backbone = load_backbone("gabor", size=32, scales=2, orientations=6, grid=4)
    x = backbone.preprocess(Image.new("RGB", (50, 40)))[None]
    assert {layer: tuple(value.shape) for layer, value in backbone.get_tokens(x).local.items()} == {
        "cycles4": (1, 6, 4, 4),
        "cycles8": (1, 6, 4, 4),
    }
    check_backbone(backbone)
    others = ((64, 2, 4, 4), (32, 2, 4, 4), (64, 1, 4, 4), (64, 2, 5, 4), (64, 2, 4, 2))
    assert len({str(Gabor(*arguments).settings) for arguments in others}) == 5


@pytest.mark.parametrize("arguments", [(64, 0), (64, 5), (66, 2), (64, 1, 0), (64, 3, 8, 32)])
def test_refuses_impossible_pyramids(arguments: tuple[int, ...]) -> None:
    with pytest.raises(SettingsError, match="wanted one of each at least, and a coarsest scale"):
        Gabor(*arguments)
