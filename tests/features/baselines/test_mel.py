"""The log-mel spectrogram, against plain formulas and published filters, and on planted tones."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.signal import spectrogram

from fusiform.data import ArraySound, Recording, Stimuli
from fusiform.errors import DataError, SettingsError
from fusiform.features.baselines.mel import LogMel, mel_filters
from fusiform.features.extract import extract
from fusiform.features.tokens import load_backbone
from fusiform.testing import check_backbone


def noise(seconds: float, rate: int = 16_000, seed: int = 0) -> Recording:
    samples = np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate)).astype(np.float32)
    return Recording(seconds, sound=ArraySound(samples, rate))


def tone(hertz: float, seconds: float = 2.0, rate: int = 16_000) -> Recording:
    samples = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return Recording(seconds, sound=ArraySound(samples.astype(np.float32), rate))


def rows(recording: Recording, **settings: float) -> np.ndarray:
    """[T, bands]"""
    return LogMel(**settings).preprocess(recording).numpy().T  # type: ignore[arg-type]


def test_filters_are_slaneys() -> None:
    published = pytest.importorskip("transformers.audio_utils").mel_filter_bank(
        num_frequency_bins=201,
        num_mel_filters=40,
        min_frequency=50.0,
        max_frequency=8000.0,
        sampling_rate=16_000,
        norm="slaney",
        mel_scale="slaney",
    )
    np.testing.assert_allclose(mel_filters(40, 50.0, 8000.0, 400, 16_000), published.T, atol=1e-12)


def test_rows_are_means_of_the_plain_formula() -> None:
    recording = noise(2.0)
    samples = recording.sound.samples(0, 2)  # type: ignore[union-attr]
    settings: dict[str, Any] = {"window": "hann", "nperseg": 400, "noverlap": 240, "detrend": False}
    _, _, magnitude = spectrogram(samples, 16_000, mode="magnitude", scaling="spectrum", **settings)
    power = np.log10(np.maximum(magnitude.T**2 @ mel_filters(64, 50.0, 8000.0, 400, 16_000).T, 1e-10))
    assert power.shape == (198, 64)
    # frame j is nearest from .0125 + .01 (j - .5) on: row 1 (.5 to 1 s) has frames 49 (last quarter) to 99 (first part)
    edges = np.concatenate([[0], 0.0125 + 0.01 * (np.arange(1, 198) - 0.5), [2]])
    share = np.clip(np.minimum(edges[1:], 1.0) - np.maximum(edges[:-1], 0.5), 0, None)
    np.testing.assert_allclose(rows(recording)[1], share @ power / share.sum(), rtol=1e-4)


@pytest.mark.parametrize("hertz", [200.0, 440.0, 1000.0, 3000.0, 7000.0])
def test_a_tone_is_in_its_own_band(hertz: float) -> None:
    found = rows(tone(hertz), bands=32)
    filters = mel_filters(32, 50.0, 8000.0, 400, 16_000)
    wanted = np.argmax(filters[:, round(hertz / 40)] / filters.max(1))
    assert (abs(found.argmax(1) - wanted) <= 1).all()


def test_power_does_not_depend_on_the_rate_of_samples() -> None:
    low, high = (rows(tone(440.0, rate=rate), bands=24) for rate in (16_000, 48_000))
    np.testing.assert_allclose(low, high, atol=0.01)


def test_rows_lie_where_the_sound_is() -> None:
    samples = np.zeros(160_000, np.float32)
    samples[64_000:72_000] = np.random.default_rng(0).normal(0, 0.1, 8000)  # 4 to 4.5 s
    found = rows(Recording(10.0, sound=ArraySound(samples, 16_000))).mean(1)
    assert found.shape == (20,)
    assert int(found.argmax()) == 8
    np.testing.assert_allclose(np.delete(found, [7, 8, 9]), -10)


def test_nothing_drifts_over_rows_of_149_hundredths() -> None:
    times = np.arange(3000 * 1000) / 1000  # a ramp of loudness over 50 minutes, in a sound of 1000 Hz
    sound = ArraySound((times / 3000 * np.sign(np.sin(2 * np.pi * 101 * times))).astype(np.float32), 1000)
    backbone = LogMel(rate=1 / 1.49, bands=1, lowest=50, highest=500, window=0.1, hop=0.05)
    loudness = 10 ** (backbone.preprocess(Recording(3000.0, sound=sound)).numpy()[0] / 2)
    middles = 1.49 * (np.arange(len(loudness)) + 0.5)
    line = np.polyfit(middles, loudness, 1)
    assert len(loudness) == 2014
    np.testing.assert_allclose((loudness[1:-1] - np.polyval(line, middles[1:-1])) / line[0], 0, atol=0.5)  # seconds
    assert abs(line[1] / line[0]) < 0.05


def test_a_sound_that_ends_early_is_silent_then_and_long_ones_are_read_in_stretches() -> None:
    short, long = noise(2.0), noise(40.0)
    found = rows(Recording(4.0, sound=short.sound))
    assert found.shape == (8, 64)
    np.testing.assert_allclose(found[5:], -10)
    np.testing.assert_allclose(found[:3], rows(short)[:3], rtol=1e-6)
    last = long.sound.samples(35, 40)  # type: ignore[union-attr]
    np.testing.assert_allclose(rows(long)[72:], rows(Recording(5.0, sound=ArraySound(last, 16_000)))[2:], rtol=1e-4)


def test_contract_rows_and_key() -> None:
    made = {"one": noise(3.0), "two": noise(5.2, seed=1)}
    stimuli = Stimuli("sounds", "recording", pd.DataFrame(index=list(made)), made.__getitem__)
    backbone = load_backbone("log-mel", rate=4.0, bands=10)
    check_backbone(backbone, stimuli)
    features = extract(stimuli, backbone)
    assert features.arrays["mel"].shape == (12 + 21, 10)
    assert features.rate == 4.0
    others = [LogMel(), LogMel(rate=1), LogMel(bands=3), LogMel(lowest=0), LogMel(highest=4000)]
    others += [LogMel(window=0.05), LogMel(hop=0.02)]
    assert len({str(other.settings) for other in others}) == len(others)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"bands": 0}, SettingsError, "wanted a whole number of bands"),
        ({"bands": 2.5}, SettingsError, "wanted a whole number of bands"),
        ({"lowest": 900, "highest": 800}, SettingsError, "0 <= lowest < highest"),
        ({"hop": 0.03}, SettingsError, "the hop does not exceed the window"),
        ({"bands": 200}, SettingsError, "no frequency of a frame of 0.025 s falls into band 0"),
        ({"highest": 9000}, DataError, "reaches up to 8000 Hz, and the bands up to 9000; give highest=8000"),
    ],
)
def test_refuses_what_cannot_be(settings: dict[str, float], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        rows(noise(1.0), **settings)


def test_recordings_without_sound_or_too_short_are_refused() -> None:
    with pytest.raises(DataError, match="the recording has no sound"):
        rows(Recording(3.0))
    with pytest.raises(DataError, match=r"a recording of 0.02 s is shorter than a frame of 0.025 s"):
        rows(noise(0.02))
