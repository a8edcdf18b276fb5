"""The map that fits a space."""

import numpy as np
import pandas as pd
import pytest

from fusiform.data import Space
from fusiform.errors import DataError
from fusiform.plots.maps import brain_map, unmapped

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
