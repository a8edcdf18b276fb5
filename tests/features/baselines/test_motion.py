"""Motion energy, against the plain formula in complex numbers, and on gratings that drift."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from fusiform.data import ArrayVideo, Recording, Stimuli
from fusiform.errors import DataError, SettingsError
from fusiform.features.baselines import motion
from fusiform.features.baselines.motion import MotionEnergy
from fusiform.features.extract import extract
from fusiform.features.tokens import load_backbone
from fusiform.testing import check_backbone

SMALL: dict[str, Any] = {"size": 32, "scales": 2, "grid": 4}


def film(values: np.ndarray, rate: float = 16.0) -> Recording:
    """Grey values [T, H, W] in [0, 1] as a film."""
    frames = np.repeat(np.round(values * 255).astype(np.uint8)[..., None], 3, axis=3)
    return Recording(len(values) / rate, video=ArrayVideo(frames, rate))


def grating(
    cycles: float, degrees: float, hertz: float, seconds: float = 3.0, side: int = 32, rate: float = 16.0
) -> Recording:
    """A grating of amplitude .4 that drifts along an angle (0: to the right, 90: downwards)."""
    t, y, x = np.mgrid[: round(seconds * rate), :side, :side]
    along = (x * math.cos(math.radians(degrees)) + y * math.sin(math.radians(degrees))) / side
    return film(0.5 + 0.4 * np.cos(2 * np.pi * (cycles * along - hertz * t / rate) + 0.3), rate)


def energies(recording: Recording, **settings: Any) -> dict[str, torch.Tensor]:
    """layer -> [C, T, grid, grid]"""
    backbone = MotionEnergy(**{"rate": 2.0, "frames": 16.0, **SMALL, **settings})
    parts = [piece.rows(backbone.get_tokens(piece.x)).local for piece in backbone.pieces(recording, 1)]
    return {layer: torch.cat([part[layer] for part in parts]).movedim(1, 0) for layer in parts[0]}


def slow_energy(x: np.ndarray, place: tuple[int, int, int], angle: float, hertz: float, rate: float) -> float:
    """Energy at a pixel and frame of [T, H, W]: a sum over a neighbourhood in space and time, in complex numbers."""

    def zero_mean(envelope: np.ndarray, wave: np.ndarray) -> np.ndarray:
        filter_ = envelope * (wave - (envelope * wave).sum() / envelope.sum())
        return np.asarray(filter_ / (filter_ * wave.conj()).sum().real)

    frame, row, column = place
    dy, dx = np.mgrid[-7:8, -7:8]
    envelope = np.exp(-(dx**2 + dy**2) / (2 * 2.24**2))
    carrier = np.exp(1j * math.pi / 2 * (dx * math.cos(angle) + dy * math.sin(angle)))
    even = envelope * (carrier.real - (envelope * carrier.real).sum() / envelope.sum())
    odd = envelope * carrier.imag
    space = even / (even * carrier.real).sum() + 1j * odd / (odd * carrier.imag).sum()
    reach = math.ceil(3 * 0.56 / hertz * rate)
    dt = np.arange(-reach, reach + 1) / rate
    time = zero_mean(np.exp(-(dt**2) / (2 * (0.56 / hertz) ** 2)), np.exp(-2j * math.pi * hertz * dt))
    last, down, across = (length - 1 for length in x.shape)
    frames = np.clip(np.arange(frame - reach, frame + reach + 1), 0, last)
    patch = x[np.ix_(frames, np.clip(row + dy[:, 0], 0, down), np.clip(column + dx[0], 0, across))]
    return float(abs(np.einsum("t,yx,tyx->", time, space, patch)))


def test_is_the_plain_formula() -> None:
    x = np.round(np.random.default_rng(0).random((40, 16, 16)) * 255) / 255
    settings = {"size": 16, "scales": 1, "orientations": 3, "grid": 16, "frequencies": [3.0], "rate": 16.0}
    found = energies(film(x), **settings)["cycles4-3hz"].numpy()  # a row per frame, a cell per pixel
    assert found.shape == (6, 40, 16, 16)
    for place in ((0, 0, 0), (20, 8, 7), (39, 15, 3), (31, 2, 12)):
        for k in range(6):
            wanted = slow_energy(x, place, math.pi * k / 3, 3.0, 16.0)
            assert found[k][place] == pytest.approx(wanted, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("direction", range(8))
@pytest.mark.parametrize(("cycles", "hertz"), [(8, 2), (16, 4), (8, 4)])
def test_finds_direction_and_speed(cycles: int, hertz: int, direction: int) -> None:
    found = energies(grating(cycles, 45 * direction, hertz, seconds=2.0, side=64), size=64)
    middle = {layer: value[:, 1:3, 1:3, 1:3].mean((1, 2, 3)) for layer, value in found.items()}  # not the ends
    assert list(found) == [f"cycles{c}-{f}hz" for c in (8, 16) for f in (0, 2, 4)]
    best = max(middle, key=lambda layer: float(middle[layer].max()))
    assert best == f"cycles{cycles}-{hertz}hz"
    assert int(middle[best].argmax()) == direction
    assert 0.8 * 0.4 < float(middle[best].max()) < 1.05 * 0.4
    assert float(middle[best][(direction + 4) % 8]) < 0.1 * float(middle[best].max())  # the other way


def test_what_stays_is_in_the_static_layer_only() -> None:
    found = energies(grating(8, 90, 0.0), grid=2)
    assert tuple(found["cycles8-0hz"].shape) == (4, 6, 2, 2)
    assert int(found["cycles8-0hz"].mean((1, 2, 3)).argmax()) == 2
    for layer, value in found.items():
        if not layer.endswith("-0hz"):
            assert float(value.max()) < 2e-3


def test_uniform_light_has_no_energy_and_flicker_no_direction() -> None:
    for value in energies(film(np.full((48, 32, 32), 0.6))).values():
        assert float(value.max()) < 1e-4
    t, _, x = np.mgrid[:48, :32, :32]
    flicker = 0.5 + 0.4 * np.cos(np.pi / 2 * x) * np.cos(2 * np.pi * 4 * t / 16)
    right, left = energies(film(flicker))["cycles8-4hz"].mean((1, 2, 3))[[0, 4]]
    assert float(right) == pytest.approx(float(left), rel=0.02)


def test_energy_is_when_and_where_the_movement_is() -> None:
    values = np.full((96, 32, 32), 0.5)  # 6 s
    video = grating(8, 0, 4, seconds=2.0).video
    assert video is not None
    moving = video.frames(np.arange(32) / 16)[..., 0] / 255
    values[32:64, 16:, :16] = moving[:, 16:, :16]  # from 2 to 4 s, lower left
    energy = energies(film(values), grid=2)["cycles8-4hz"][0]  # to the right: [T, 2, 2]
    assert energy.shape == (12, 2, 2)
    assert set(energy[:, 1, 0].topk(2).indices.tolist()) == {5, 6}
    assert int(energy[5].flatten().argmax()) == 2
    before, after = energy[:4, 1, 0].flip(0), energy[8:, 1, 0]
    torch.testing.assert_close(before, after, atol=5e-3, rtol=0.1)  # filters are centred on their moment


def test_long_films_are_filtered_in_stretches_without_seams() -> None:
    values = np.random.default_rng(0).random((160, 32, 32))
    whole = energies(film(values), frequencies=[4.0])
    part = energies(film(values[32:128]), frequencies=[4.0])
    for layer, value in part.items():
        torch.testing.assert_close(value[:, 2:-2], whole[layer][:, 6:14], rtol=1e-4, atol=1e-6)


def test_pieces_have_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).random((83, 32, 32))  # the last row is short
    whole = energies(film(values))
    monkeypatch.setattr(motion, "_ROWS", 3)
    for layer, value in energies(film(values)).items():
        torch.testing.assert_close(value, whole[layer], rtol=1e-4, atol=1e-6)


def test_contract_rows_and_key() -> None:
    made = {"one": grating(8, 0, 4, seconds=1.6), "two": grating(4, 90, 2, seconds=2.5)}
    stimuli = Stimuli("films", "recording", pd.DataFrame(index=list(made)), made.__getitem__)
    backbone = load_backbone("motion-energy", **SMALL, frames=16.0)
    check_backbone(backbone, stimuli)
    features = extract(stimuli, backbone)
    assert features.arrays["cycles8-4hz"].shape == (4 + 5, 8, 4, 4)
    settings: list[dict[str, Any]] = [
        {},
        {"rate": 4.0},
        {"size": 64},
        {"scales": 1},
        {"orientations": 3},
        {"frequencies": [3]},
        {"grid": 2},
    ]
    keys = {str(MotionEnergy(**{**SMALL, **change}).settings) for change in [*settings, {"frames": 30.0}]}
    assert len(keys) == 8


def test_frames_are_a_whole_number_per_row() -> None:
    backbone = MotionEnergy(rate=1 / 1.49, frames=15.0, **SMALL)
    assert backbone.per_row == 22
    assert backbone.frames == pytest.approx(22 / 1.49)
    long = Recording(149.0, video=ArrayVideo(np.zeros((149, 8, 8, 3), np.uint8), 1.0))
    assert [len(piece.x[0]) for piece in backbone.pieces(long, 1)] == [22 * (64 + 1), 22 * (36 + 1)]  # a margin each
    longer = Recording(149.1, video=long.video)
    assert [len(piece.x[0]) for piece in backbone.pieces(longer, 1)][1] == 22 * (36 + 1) + 1  # and a row of one frame


@pytest.mark.parametrize("frequencies", [[], [8.0]])
def test_refuses_impossible_frequencies(frequencies: list[float]) -> None:
    with pytest.raises(SettingsError, match="wanted one at least, and all below half the frames"):
        MotionEnergy(frequencies=frequencies, frames=16.0)


def test_refuses_recordings_without_pictures() -> None:
    with pytest.raises(DataError, match="the recording has no video"):
        next(MotionEnergy().pieces(Recording(3.0), 1))
