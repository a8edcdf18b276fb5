"""What the report shows of spaces of every kind."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fusiform.data import Space
from fusiform.plots.report import Animation
from fusiform.recipes.selectors import showing
from fusiform.recipes.selectors.showing import selection_sections

LAYERS = ["a", "b"]
VOXELS = Space.voxels("voxels", np.ones((3, 4, 5), dtype=bool), np.eye(4))


def table_of(count, places=True):
    random = np.random.default_rng(0)
    shares = random.dirichlet([1, 1], count)
    table = pd.DataFrame({"layer": np.array(LAYERS)[shares.argmax(1)], "layer_index": shares.argmax(1)})
    table["mean_layer"], table["confidence"] = shares[:, 1], random.uniform(size=count)
    table["scale"], table["cluster"], table["score"] = random.uniform(size=count), 0, random.uniform(size=count)
    if places:
        table["center_x"], table["center_y"] = random.uniform(-1, 1, (2, count))
        table["polar_angle"], table["eccentricity"] = random.uniform(-1, 1, (2, count))
    return table.assign(**{"share:a": shares[:, 0], "share:b": shares[:, 1]})


def test_voxels_have_slices_and_nothing_that_turns():
    numbers, maps = selection_sections(table_of(60), LAYERS, VOXELS, {"shuffled_r": 0.01, "nothing": None})
    assert "Slices" in maps.paragraphs[0]
    assert not [one for one in maps.pictures if isinstance(one, Animation)]
    assert {"selected_layers", "selected_places", "selected_scale"} <= {one.name for one in maps.pictures}
    assert numbers.numbers == {"r, predictions out of place": 0.01}
    assert numbers.table["targets"].sum() == 60
    np.testing.assert_allclose(numbers.table["mean share"].sum(), 1)


def test_vectors_have_no_places():
    _, maps = selection_sections(table_of(60, places=False), LAYERS, VOXELS, {})
    names = [one.name for one in maps.pictures]
    assert "selected_places" not in names
    assert "selected_layers" in names


@pytest.mark.parametrize("space", [Space.numbered("mask", 60), Space.vertices("fsLR", np.arange(60), [], "fsLR")])
def test_without_places_the_report_says_why_there_is_no_map(space):
    numbers, maps = selection_sections(table_of(60), LAYERS, space, {"shuffled_r": 0.01})
    assert not maps.pictures
    assert f"no maps, for the space {space.name!r} has" in maps.notice
    assert numbers.table is not None


def test_on_the_cortex_two_maps_turn(monkeypatch):
    monkeypatch.setattr(showing, "FRAMES", 3)
    space = Space.vertices("few", np.arange(40), np.arange(20), "fsaverage")
    _, maps = selection_sections(table_of(60), LAYERS, space, {})
    assert [one.name for one in maps.pictures if isinstance(one, Animation)] == ["turning_layers", "turning_places"]
    assert "inflated views" in maps.paragraphs[0]
    for name in ("turning_layers", "turning_places"):
        [moving] = [one for one in maps.pictures if one.name == name]
        with Image.open(io.BytesIO(moving.file)) as image:
            assert image.n_frames == 3
