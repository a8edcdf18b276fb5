"""The map that fits a space."""

import numpy as np
import pandas as pd
import pytest

from fusiform.data import Space
from fusiform.errors import DataError
from fusiform.plots.maps import brain_map, tinted_map, unmapped
from fusiform.plots.tints import retinotopy

VOXELS = Space.voxels("voxels", np.ones((3, 4, 5), dtype=bool), np.eye(4))
VERTICES = Space.vertices("vertices", [0, 1, 2], [5], "fsaverage")


def titles(made):
    return [ax.get_title() for ax in made.axes if ax.images]


def test_voxels_are_drawn_in_slices_and_vertices_on_the_cortex():
    assert titles(brain_map(np.arange(60), VOXELS))[:2] == ["z = 0 mm", "z = 1 mm"]
    assert titles(brain_map(np.arange(4), VERTICES)) == ["left", "right"]
    assert unmapped(VOXELS) == unmapped(VERTICES) == ""


@pytest.mark.parametrize("space", [VOXELS, VERTICES])
def test_options_reach_the_map(space):
    made = brain_map(np.zeros(space.size), space, title="Title", label="r", limits=(-2.0, 2.0))
    assert made.get_suptitle() == "Title"
    assert made.axes[-1].get_ylabel() == "r"
    assert made.axes[-1].get_ylim() == (-2.0, 2.0)
    bar = brain_map(np.zeros(space.size), space, categories=["a", "b"]).axes[-1]
    assert [tick.get_text() for tick in bar.get_yticklabels()] == ["a", "b"]
    shades = [
        brain_map(np.zeros(space.size), space, cmap=cmap).axes[0].images[0].get_array() for cmap in ("gray", "Reds")
    ]
    assert not np.array_equal(*shades)


@pytest.mark.parametrize(
    ("space", "why"),
    [
        (Space.vertices("fsLR", [0], [0], "fsLR"), "'fsLR'"),
        (Space.vertices("wrong", [10242], [0], "fsaverage5"), "names 10242"),
        (Space("nan", pd.DataFrame({"hemisphere": ["left"], "vertex": [np.nan]}), "fsaverage"), "names nan"),
        (VOXELS.select(np.zeros(60, dtype=bool)), "no voxel"),
        (Space.voxels("flat", np.ones((2, 2, 2), dtype=bool), np.zeros((4, 4))), "plane"),
    ],
)
def test_spaces_without_a_map_say_why(space, why):
    assert why in unmapped(space)
    with pytest.raises(DataError, match=why):
        brain_map(np.zeros(space.size), space)


def test_names_alone_have_no_map():
    regions = Space.named("regions", ["V1"])
    assert unmapped(regions) == "has neither a mesh nor a grid"
    with pytest.raises(DataError, match=r"'regions'.*no mesh"):
        brain_map([0.0], regions)


def test_sides_are_shown_of_a_cortex_and_not_of_a_volume():
    assert len(titles(brain_map(np.arange(4), VERTICES, sides=True))) == 6
    assert len(titles(brain_map(np.arange(60), VOXELS, sides=True))) == len(titles(brain_map(np.arange(60), VOXELS)))


@pytest.mark.parametrize("space", [VOXELS, VERTICES])
def test_tints_are_drawn_where_their_targets_lie_with_their_legend(space):
    x = np.linspace(-1, 1, space.size)
    tints = retinotopy(x, np.zeros(space.size))
    made = tinted_map(tints, space, title="Title")
    assert made.get_suptitle() == "Title"
    assert made.axes[-1].get_title() == "place in the picture"
    shown = np.concatenate([np.asarray(ax.images[0].get_array())[..., :3].reshape(-1, 3) for ax in made.axes[:-1]])
    for colour in tints.colours[:: max(1, space.size // 4)]:
        assert (np.abs(shown - colour).max(1) < 1e-6).any()


def test_a_tinted_voxel_has_its_own_colour():
    tints = retinotopy(*np.random.default_rng(0).uniform(-1, 1, (2, 60)))
    made = tinted_map(tints, VOXELS)
    volume = VOXELS.volume(np.arange(60)).astype(int)
    for number, ax in enumerate(made.axes[:5]):
        image = np.asarray(ax.images[0].get_array())[..., :3]  # [Y, X, 3]
        np.testing.assert_allclose(image, tints.colours[volume[:, :, number].T])
