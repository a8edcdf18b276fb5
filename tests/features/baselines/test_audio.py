"""Tracks of a recording as features."""

import numpy as np
import pandas as pd
import pytest

from fusiform.data import Recording, Stimuli
from fusiform.errors import DataError
from fusiform.features.baselines.audio import Tracks
from fusiform.features.extract import extract


@pytest.fixture
def one(story: Recording) -> Stimuli:
    return Stimuli("stories", "recording", pd.DataFrame(index=["long"]), lambda id: story)


def test_a_layer_per_track_with_its_rows(one: Stimuli) -> None:
    features = extract(one, Tracks(["sound", "light"], rate=2))
    np.testing.assert_array_equal(features.arrays["sound"][:, 0], np.arange(20))
    np.testing.assert_array_equal(features.arrays["light"][:, 0], 10 * np.arange(20))
    np.testing.assert_array_equal(features.index["start"], np.arange(20) / 2)
    assert (features.rate, features.convolved) == (2.0, frozenset())


def test_rows_begin_where_the_track_does(one: Stimuli) -> None:
    features = extract(one, Tracks("late", rate=0.5, hemodynamic=True))
    assert features.arrays["late"].shape == (5, 2)
    np.testing.assert_array_equal(features.index["start"], [3, 5, 7, 9, 11])
    np.testing.assert_array_equal(features.index["stop"], [5, 7, 9, 11, 13])


def test_haemodynamic_tracks_are_not_convolved_again(one: Stimuli) -> None:
    late = extract(one, Tracks("late", rate=0.5, hemodynamic=True))
    np.testing.assert_array_equal(late.hemodynamic().arrays["late"], late.arrays["late"])
    sound = extract(one, Tracks("sound", rate=2))
    once = sound.hemodynamic()
    assert np.abs(once.arrays["sound"] - sound.arrays["sound"]).max() > 1
    np.testing.assert_array_equal(once.hemodynamic().arrays["sound"], once.arrays["sound"])
    assert once.select("sound").convolved == {"sound"}


@pytest.mark.parametrize(
    ("tracks", "message"),
    [
        (Tracks("sond", rate=2), "no track 'sond'; it has: sound, light, late"),
        (Tracks("sound", rate=4), "track 'sound' has rate=2 and hemodynamic=False; .* rate=4"),
        (Tracks("late", rate=0.5), "hemodynamic=True; this backbone was made for rate=0.5 and hemodynamic=False"),
    ],
)
def test_a_track_that_is_not_as_declared_is_an_error(one: Stimuli, tracks: Tracks, message: str) -> None:
    with pytest.raises(DataError, match=f"stimulus 'long' of 'stories': .*{message}"):
        extract(one, tracks)


def test_tracks_of_different_lengths_are_two_backbones(story: Recording) -> None:
    shorter = {**story.tracks, "cut": type(story.tracks["sound"])(np.zeros((7, 1), np.float32), 2.0)}
    with pytest.raises(DataError, match="make one Tracks for each"):
        Tracks(["sound", "cut"], rate=2).preprocess(Recording(10.0, shorter))
