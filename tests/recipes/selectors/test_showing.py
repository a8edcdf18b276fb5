"""What the report shows of spaces of every kind."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fusiform.data import Space
from fusiform.plots.maps import tinted_map
from fusiform.plots.report import Animation
from fusiform.recipes.selectors import showing
from fusiform.recipes.selectors.regions import top_channels
from fusiform.recipes.selectors.showing import selection_sections, to_rgb

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
    numbers, maps = selection_sections(table_of(60), LAYERS, VOXELS, {"shuffled_r": 0.01, "nothing": None}, [])
    assert "Slices" in maps.paragraphs[0]
    assert not [one for one in maps.pictures if isinstance(one, Animation)]
    assert {"selected_layers", "selected_places", "selected_scale"} <= {one.name for one in maps.pictures}
    assert numbers.numbers == {"r, predictions out of place": 0.01}
    assert numbers.table["targets"].sum() == 60
    np.testing.assert_allclose(numbers.table["mean share"].sum(), 1)


def test_vectors_have_no_places():
    _, maps = selection_sections(table_of(60, places=False), LAYERS, VOXELS, {}, [])
    names = [one.name for one in maps.pictures]
    assert "selected_places" not in names
    assert "selected_layers" in names


@pytest.mark.parametrize("space", [Space.numbered("mask", 60), Space.vertices("fsLR", np.arange(60), [], "fsLR")])
def test_without_places_the_report_says_why_there_is_no_map(space):
    numbers, maps = selection_sections(table_of(60), LAYERS, space, {"shuffled_r": 0.01}, [])
    assert not maps.pictures
    assert f"no maps, for the space {space.name!r} has" in maps.notice
    assert numbers.table is not None


def test_on_the_cortex_two_maps_turn(monkeypatch):
    monkeypatch.setattr(showing, "FRAMES", 3)
    space = Space.vertices("few", np.arange(40), np.arange(20), "fsaverage")
    _, maps = selection_sections(table_of(60), LAYERS, space, {}, [])
    assert [one.name for one in maps.pictures if isinstance(one, Animation)] == ["turning_layers", "turning_places"]
    assert "inflated views" in maps.paragraphs[0]
    for name in ("turning_layers", "turning_places"):
        [moving] = [one for one in maps.pictures if one.name == name]
        with Image.open(io.BytesIO(moving.file)) as image:
            assert image.n_frames == 3


def test_every_region_has_a_map_of_the_channels_that_it_reads(monkeypatch):
    drawn = []
    monkeypatch.setattr(showing, "tinted_map", lambda tints, space: drawn.append(tints) or tinted_map(tints, space))
    space = replace(VOXELS, targets=VOXELS.targets.assign(roi=["V1"] * 40 + ["V2"] * 20))
    tops = top_channels(np.random.default_rng(0).normal(size=(60, 5)), space)
    _, maps = selection_sections(table_of(60), LAYERS, space, {}, tops)
    shown = [one for one in maps.pictures if one.name.startswith("selected_top_")]
    assert [one.name for one in shown] == ["selected_top_0", "selected_top_1", "selected_top_2"]
    for one, top, tints in zip(shown, tops, drawn[-3:], strict=True):
        assert f"{top.region} (n = {len(top.targets)})" in one.caption
        assert f"{top.shares[0]:.0%} + {top.shares[1]:.0%}" in one.caption
        np.testing.assert_array_equal(tints.colours, to_rgb(top.values))


def test_on_the_cortex_the_map_of_a_region_has_its_colours():
    space = Space.vertices("few", np.arange(40), np.arange(20), "fsaverage5")
    [top] = top_channels(np.random.default_rng(0).normal(size=(60, 5)), space)
    with Image.open(io.BytesIO(showing._of_region(0, top, space).file)) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20) or ()}
    assert {tuple(colour) for colour in (255 * to_rgb(top.values)).astype(np.uint8).tolist()} & colours


def test_colours_reach_from_the_fifth_to_the_last_but_fifth_percentile():
    maps = np.random.default_rng(0).normal(size=(4, 5, 6, 3)) * (1, 10, 100)
    maps[..., 2] = 7
    found = to_rgb(maps)
    for component in range(2):
        low, high = np.percentile(maps[..., component], (5, 95))
        np.testing.assert_allclose(found[..., component], np.clip((maps[..., component] - low) / (high - low), 0, 1))
    assert (found[..., 2] == 0.5).all()
    np.testing.assert_array_equal(to_rgb(maps.reshape(-1, 3)), found.reshape(-1, 3))
