"""Sounds at another rate: those of scipy, in whatever stretches they are read."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.signal import resample_poly

from fusiform.data import ArraySound, Sound
from fusiform.errors import DataError
from fusiform.features.time.resampling import Resampled


@pytest.mark.parametrize(("given", "wanted"), [(44100, 16000), (48000, 16000), (8000, 16000), (22050, 24000)])
def test_every_stretch_is_that_of_the_whole_sound(given: int, wanted: int) -> None:
    random = np.random.default_rng(0)
    values = random.uniform(-1, 1, 3 * given + 17)
    whole = resample_poly(values, wanted // np.gcd(given, wanted), given // np.gcd(given, wanted))
    sound = Resampled(ArraySound(values, given), wanted)
    assert isinstance(sound, Sound)
    assert (sound.rate, sound.duration) == (wanted, len(values) / given)
    edges = np.r_[0.0, np.sort(random.uniform(0, 3, 9)), sound.duration]
    pieces = [sound.samples(start, stop) for start, stop in pairwise(edges)]
    found = np.concatenate(pieces)
    assert len(found) == round(sound.duration * wanted)
    np.testing.assert_allclose(found, whole[: len(found)], atol=1e-6)


def test_the_same_rate_is_the_same_sound() -> None:
    values = np.linspace(-1, 1, 100)
    sound = Resampled(ArraySound(values, 50), 50)
    np.testing.assert_array_equal(sound.samples(0.5, 1.5), values[25:75].astype(np.float32))
    assert len(sound.samples(1.0, 1.0)) == 0


def test_a_tone_above_half_the_rate_is_gone_and_one_below_stays() -> None:
    times = np.arange(48000) / 48000
    for hertz, kept in ((440, 1.0), (12000, 0.0)):
        sound = Resampled(ArraySound(np.sin(2 * np.pi * hertz * times), 48000), 16000)
        amplitude = np.abs(sound.samples(0.2, 0.8)).max()
        assert amplitude == pytest.approx(kept, abs=0.01)


def test_a_rate_that_cannot_be() -> None:
    with pytest.raises(DataError, match=r"at 0.5 Hz; wanted a whole number above zero"):
        Resampled(ArraySound(np.zeros(9), 8), 0.5)  # type: ignore[arg-type]
