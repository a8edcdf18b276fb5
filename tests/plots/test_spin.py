"""The brain that turns, read back frame by frame."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image, ImageSequence

from fusiform.data import Space
from fusiform.errors import DataError, SettingsError
from fusiform.plots.meshes import VERTICES
from fusiform.plots.paint import Tints
from fusiform.plots.spin import spin
from fusiform.plots.style import NOTHING
from fusiform.plots.tints import layered, retinotopy

BRAIN = Space.vertices("fsaverage5", np.arange(VERTICES), np.arange(VERTICES), "fsaverage5")


def frames_of(gif):
    with Image.open(io.BytesIO(gif)) as image:
        return [np.asarray(frame.convert("RGB"), dtype=float) / 255 for frame in ImageSequence.Iterator(image)]


def halves():
    """The left hemisphere is red, the right one blue, and the legend green."""
    colours = np.repeat([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], VERTICES, axis=0)
    return Tints(colours, lambda ax: ax.imshow([[[0.0, 1.0, 0.0]]]))


def across(frame, channel):
    """Mean column of the pixels that are nothing but one colour."""
    others = np.delete(frame, channel, axis=2).max(2)
    return np.nonzero((frame[..., channel] > 0.5) & (others < 0.2))[1]


@pytest.fixture(scope="module")
def turned():
    return spin(halves(), BRAIN, frames=4)


def test_it_turns_once_around_and_over_again(turned):
    with Image.open(io.BytesIO(turned)) as image:
        assert image.format == "GIF"
        assert image.n_frames == 4
        assert image.info["loop"] == 0
        assert image.info["duration"] == 1500


def test_it_begins_behind_and_goes_around(turned):
    behind, right, ahead, left = frames_of(turned)
    assert across(behind, 0).mean() < across(behind, 2).mean()  # the left hemisphere is left from behind
    assert across(ahead, 0).mean() > across(ahead, 2).mean()
    assert len(across(right, 0)) < 0.05 * len(across(right, 2))  # the right hemisphere hides the left one
    assert len(across(left, 2)) < 0.05 * len(across(left, 0))
    assert len(across(right, 2)) > 1.5 * len(across(behind, 2))  # and is seen from its long side


def test_the_legend_stands_beside_the_brain_in_every_frame(turned):
    for frame in frames_of(turned):
        brain = np.concatenate([across(frame, 0), across(frame, 2)])
        assert across(frame, 1).min() > brain.max()
        assert (frame[0] == 1).all()  # white around


def test_what_has_no_target_is_grey():
    few = Space.vertices("few", np.arange(50), [], "fsaverage5")
    tints = Tints(np.tile([1.0, 0.0, 0.0], (50, 1)), lambda ax: None)
    [frame] = frames_of(spin(tints, few, frames=1))
    right = frame[:, 3 * frame.shape[1] // 5]
    shaded = right[(right.max(1) < 0.93) & (right.max(1) > 0)]
    hues = shaded / shaded.max(1, keepdims=True)
    np.testing.assert_allclose(
        hues, np.tile(np.array(to_rgb(NOTHING)) / max(to_rgb(NOTHING)), (len(hues), 1)), atol=0.03
    )


@pytest.mark.parametrize("names", [["a"], [f"vision_model.encoder.layers.{number}.mlp" for number in range(30)]])
def test_the_legend_has_room_for_its_names(names):
    tints = layered(np.zeros(2 * VERTICES), np.ones(2 * VERTICES), names)
    [frame] = frames_of(spin(tints, BRAIN, frames=1))
    assert (frame[[0, -1]] == 1).all()  # nothing is cut off
    assert (frame[:, -1] == 1).all()


def test_what_cannot_be_turned_is_refused():
    with pytest.raises(SettingsError, match="'frames' is 0"):
        spin(halves(), BRAIN, frames=0)
    with pytest.raises(DataError, match="has no mesh"):
        spin(halves(), Space.numbered("mask", 2 * VERTICES), frames=1)
    with pytest.raises(DataError, match="one per target"):
        spin(halves(), BRAIN.select(np.arange(3)), frames=1)


@pytest.mark.slow
def test_a_whole_turn_is_a_small_file():
    points = np.random.default_rng(0).uniform(-1, 1, (2, 2 * VERTICES))  # no two neighbours alike: the largest file
    gif = spin(retinotopy(*points), BRAIN)
    assert len(gif) < 3e6
    frames = frames_of(gif)
    assert len(frames) == 30
    assert all((frame[[0, -1]] == 1).all() for frame in frames)  # white, not nearly white
