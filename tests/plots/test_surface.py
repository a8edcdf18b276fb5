"""Maps of the cortex: every colour drawn is that of a value, at its place."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgba
from scipy.spatial import KDTree

from fusiform.data import Space
from fusiform.errors import DataError
from fusiform.plots.camera import inflated_shot
from fusiform.plots.filling import fill
from fusiform.plots.meshes import HEMISPHERES, VERTICES, flat_pixels, mesh_of, sulcal_depth
from fusiform.plots.style import NOTHING
from fusiform.plots.surface import MESH, cortex, flatmap, flatmaps, inflated, tinted_cortex
from fusiform.plots.tints import retinotopy

GREY = to_rgba(NOTHING)


def whole():
    sides = np.repeat(HEMISPHERES, VERTICES)
    return Space(MESH, pd.DataFrame({"hemisphere": sides, "vertex": np.tile(np.arange(VERTICES), 2)}), MESH)


def some(count=300, sides=HEMISPHERES):
    rng = np.random.default_rng(0)
    vertices = np.concatenate([rng.permutation(VERTICES)[:count] for _ in sides])
    return Space("some", pd.DataFrame({"hemisphere": np.repeat(sides, count), "vertex": vertices}), MESH)


def drawn(made):
    """The RGBA pixels of each map."""
    return [np.asarray(ax.images[0].get_array()) for ax in made.axes if ax.images]


def test_parcels_are_said_to_be_drawn_at_one_vertex_each():
    space = some(sides=["left"])
    parcels = Space("parcels", space.targets.assign(parcel=np.arange(300)), MESH)
    assert "300 parcels, each at one vertex" in fill(np.ones(300), parcels)[1]
    [note] = [text.get_text() for text in flatmap(np.ones(300), parcels).texts if "parcels" in text.get_text()]
    assert note == fill(np.ones(300), parcels)[1]


def test_a_hemisphere_without_targets_stays_empty():
    filled, note = fill(np.ones(300), some(sides=["right"]))
    assert np.isnan(filled["left"]).all()
    assert (filled["right"] == 1).all()
    assert "10,242" in note
    left, right = drawn(flatmap(np.ones(300), some(sides=["right"])))
    assert (left[left[..., 3] > 0] == GREY).all()
    assert not (right == GREY).all(-1).any()


def test_flat_pixels_have_the_colour_of_their_vertex():
    space = whole()
    values = np.random.default_rng(0).normal(size=space.size)
    values[3::7] = np.nan
    values[:2] = np.inf, -np.inf  # the ends of the colours
    made = flatmap(values, space, cmap="viridis", limits=(-1.0, 2.0))
    for image, side, numbers in zip(drawn(made), HEMISPHERES, np.split(values, 2), strict=True):
        pixels, _ = flat_pixels(side)
        wanted = colormaps["viridis"](np.clip((numbers + 1) / 3, 0, 1))
        wanted[np.isnan(numbers)] = GREY
        np.testing.assert_allclose(image[pixels >= 0], wanted[pixels[pixels >= 0]], atol=1e-9)
        assert (image[pixels < 0] == 0).all()  # clear outside the patch


@pytest.mark.parametrize("side", HEMISPHERES)
def test_flat_pixels_are_the_nearest_vertices_of_the_patch(side):
    pixels, (left, right, low, high) = flat_pixels(side)
    mesh = mesh_of("flat", side)
    height, width = pixels.shape
    assert (right - left) / width == pytest.approx(0.5)
    assert (high - low) / height == pytest.approx(0.5)
    rows, columns = np.nonzero(pixels >= 0)
    picked = np.random.default_rng(0).permutation(len(rows))[:200]
    places = (np.column_stack([columns[picked], rows[picked]]) + 0.5) * 0.5 + (left, low)  # the middles of pixels
    used = np.unique(mesh.faces)
    apart = np.linalg.norm(places[:, None] - mesh.points[used, :2], axis=2)
    np.testing.assert_array_equal(pixels[rows[picked], columns[picked]], used[apart.argmin(1)])
    assert set(np.unique(pixels)) - {-1} <= set(used)  # the medial wall is cut out
    assert len(used) < VERTICES


def test_the_front_is_outside_and_the_top_above():
    """Flat maps: occipital poles meet in the middle; the vertex of the brain is above the temporal lobe."""
    for side, outward in (("left", -1), ("right", 1)):
        mesh = mesh_of("flat", side)
        used = np.unique(mesh.faces)
        flat, head = mesh.points[used], mesh_of("inflated", side).points[used]
        assert np.corrcoef(outward * flat[:, 0], head[:, 1])[0, 1] > 0.9
        assert np.corrcoef(flat[:, 1], head[:, 2])[0, 1] > 0.8


def test_lines_follow_the_borders_of_sulci():
    made = flatmap(np.zeros(2 * VERTICES), whole())
    for ax, side in zip(made.axes, HEMISPHERES, strict=False):
        mesh, depth = mesh_of("flat", side), sulcal_depth(side)
        [path] = ax.collections[0].get_paths()
        corners = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        crossed = corners[depth[corners[:, 0]] * depth[corners[:, 1]] < 0]  # edges from gyrus to sulcus
        share = (depth[crossed[:, 0]] / (depth[crossed[:, 0]] - depth[crossed[:, 1]]))[:, None]
        zero = mesh.points[crossed[:, 0]] * (1 - share) + mesh.points[crossed[:, 1]] * share
        apart, _ = KDTree(zero[:, :2]).query(path.vertices)
        assert apart.max() < 1e-6  # mm
        assert len(path.vertices) > 1000


def test_colours_reach_from_the_first_to_the_last_percentile():
    values = np.append(np.linspace(0, 1, 2 * VERTICES - 1), 50.0)
    low, high = np.percentile(values, (1, 99))
    made = flatmap(values, whole(), label="r", title="Title")
    assert made.axes[-1].get_ylim() == pytest.approx((low, high))
    assert made.axes[-1].get_ylabel() == "r"
    assert made.get_suptitle() == "Title"
    assert flatmap(values, whole(), limits=(-3.0, 3.0)).axes[-1].get_ylim() == (-3.0, 3.0)


def test_categories_have_their_own_colours_and_names():
    space, names = some(sides=["left"]), ["conv1", "conv2", "conv3"]
    places = np.arange(300) % 3
    made = flatmap(places, space, categories=names, cmap="viridis")
    steps = colormaps["viridis"](np.linspace(0.05, 0.95, 3))
    pixels, _ = flat_pixels("left")
    filled, _ = fill(places, space)
    np.testing.assert_allclose(drawn(made)[0][pixels >= 0], steps[filled["left"][pixels[pixels >= 0]].astype(int)])
    bar = made.axes[-1]
    assert [tick.get_text() for tick in bar.get_yticklabels()] == names
    assert bar.get_yticks().tolist() == [0, 1, 2]


def test_many_categories_are_named_by_turns():
    names = [f"layer {number}" for number in range(48)]
    bar = flatmap(np.arange(600) % 48, some(), categories=names).axes[-1]
    assert [tick.get_text() for tick in bar.get_yticklabels()] == names[::3]


def test_several_maps_share_their_colours():
    space = some(sides=["left"])
    made = flatmaps({"found": np.full(300, 1.0), "planted": np.full(300, 3.0)}, space, cmap="viridis")
    first, _, second, _ = drawn(made)
    inside = flat_pixels("left")[0] >= 0
    assert (first[inside] == colormaps["viridis"](0.0)).all()
    assert (second[inside] == colormaps["viridis"](1.0)).all()
    names = [ax.get_title() for ax in made.axes[:4]]
    assert names == ["found, left", "found, right", "planted, left", "planted, right"]
    with pytest.raises(DataError, match="no maps"):
        flatmaps({}, space)


def test_inflated_views_look_from_the_side_they_name():
    """The front of the brain is left in left lateral and right medial views; lateral is away from the other half."""
    head = {side: mesh_of("inflated", side).points for side in HEMISPHERES}
    front = np.concatenate([head[side][:, 1] for side in HEMISPHERES])  # y grows to the front
    made = inflated(front, whole(), cmap="gray", limits=(-110.0, 110.0))
    for image, leftward in zip(drawn(made), (True, False, True, False), strict=True):
        seen = image[..., 3] > 0
        _, across = np.nonzero(seen)
        assert (np.corrcoef(across, image[seen][:, 0])[0, 1] < -0.7) == leftward
        assert abs(np.corrcoef(across, image[seen][:, 0])[0, 1]) > 0.7
    outer = inflated(np.concatenate([head[side][:, 0] for side in HEMISPHERES]), whole(), cmap="gray", limits=(-45, 45))
    light = [image[image[..., 3] > 0][:, 0].mean() for image in drawn(outer)]
    # x grows to the right: the left hemisphere's lateral side is darker than its medial side
    assert light[0] < light[1]
    assert light[2] < light[3]
    names = [ax.get_title() for ax in made.axes[:4]]
    assert names == ["left, lateral", "left, medial", "right, medial", "right, lateral"]


def test_every_inflated_pixel_has_the_colour_of_its_vertex_darker_where_it_turns_away():
    values = np.random.default_rng(0).normal(size=2 * VERTICES)
    made = inflated(values, whole(), cmap="viridis", limits=(-1.0, 2.0))
    views = [inflated_shot(side, toward)[0] for side in HEMISPHERES for toward in (-1, 1)]
    for image, view, numbers in zip(drawn(made), views, np.repeat(np.split(values, 2), 2, axis=0), strict=True):
        seen = view.vertex >= 0
        colours = colormaps["viridis"](np.clip((numbers[view.vertex[seen]] + 1) / 3, 0, 1))[:, :3]
        np.testing.assert_allclose(image[seen][:, :3], colours * (0.65 + 0.35 * view.shade[seen])[:, None])
        assert (image[~seen][:, 3] == 0).all()


def test_the_cortex_is_the_flat_map_above_the_inflated_views_in_the_same_colours():
    values = np.random.default_rng(0).normal(size=2 * VERTICES)
    options = {"cmap": "Reds", "limits": (-1.0, 1.0)}
    made = cortex(values, whole(), title="Title", label="r", **options)
    apart = drawn(flatmap(values, whole(), **options)) + drawn(inflated(values, whole(), **options))
    for ours, theirs in zip(drawn(made), apart, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert made.axes[-1].get_ylabel() == "r"
    assert made.get_suptitle() == "Title"
    flat, below = made.axes[0], made.axes[2]
    made.draw_without_rendering()
    assert flat.get_position().y0 > below.get_position().y1


def test_tinted_targets_keep_their_colours_and_bring_their_legend():
    space = some(sides=["right"])
    x, y = np.random.default_rng(0).uniform(-1, 1, (2, 300))
    x[7] = np.nan
    tints = retinotopy(x, y)
    made = tinted_cortex(tints, space, title="Title")
    filled, note = fill(np.arange(300), space)
    left, right, *sides = drawn(made)[:6]
    assert (left[left[..., 3] > 0] == GREY).all()
    pixels, _ = flat_pixels("right")
    shown = filled["right"][pixels[pixels >= 0]].astype(int)
    wanted = np.where(np.isnan(tints.colours[shown]), GREY[:3], tints.colours[shown])
    np.testing.assert_allclose(right[pixels >= 0][:, :3], wanted)
    assert (wanted == GREY[:3]).all(1).any()
    assert len(sides) == 4
    legend = made.axes[-1]
    assert [tick.get_text() for tick in legend.get_xticklabels()] == ["left", "right"]
    assert note in [text.get_text() for text in made.texts]
    made.draw_without_rendering()
    box = legend.get_position()
    assert box.x0 > made.axes[1].get_position().x1  # beside the maps, and square
    assert box.width * made.get_figwidth() == pytest.approx(box.height * made.get_figheight(), rel=0.01)
    assert box.width * made.get_figwidth() == pytest.approx(1.15, rel=0.25)


@pytest.mark.parametrize("draw", [flatmap, inflated, cortex])
@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -np.inf])
def test_odd_values_are_drawn_without_a_warning(draw, value):
    draw(np.full(600, value), some()).draw_without_rendering()
    draw(np.append(np.arange(599.0), value), some()).draw_without_rendering()


def test_one_vertex_and_none_are_drawn_without_a_warning():
    one = some().select([0])
    flatmap([0.3], one).draw_without_rendering()
    left, _ = drawn(flatmap([], one.select([False])))
    assert (left[left[..., 3] > 0] == GREY).all()


@pytest.mark.parametrize("draw", [flatmap, inflated, cortex])
def test_what_cannot_be_drawn_is_refused(draw):
    space = some(3)
    with pytest.raises(DataError, match=r"shape \(5,\).*\[6\]"):
        draw(np.zeros(5), space)
    with pytest.raises(DataError, match=r"shape \(6, 1\)"):
        draw(np.zeros((6, 1)), space)
    with pytest.raises(DataError, match=r"'regions' cannot be drawn.*has no mesh.*charts\.bars"):
        draw(np.zeros(2), Space.named("regions", ["V1", "V2"]))
    with pytest.raises(DataError, match="'fsLR'"):
        draw(np.zeros(6), Space("other", space.targets, "fsLR"))
    with pytest.raises(DataError, match="'lh'"):
        draw(np.zeros(1), Space("s", pd.DataFrame({"hemisphere": ["lh"], "vertex": [0]}), MESH))
    with pytest.raises(DataError, match="names 10242"):
        draw(np.zeros(1), Space("s", pd.DataFrame({"hemisphere": ["left"], "vertex": [VERTICES]}), MESH))
    with pytest.raises(DataError, match="from 0 to 40961 of fsaverage6"):
        draw(np.zeros(1), Space("s", pd.DataFrame({"hemisphere": ["left"], "vertex": [40962]}), "fsaverage6"))


def test_the_values_handed_in_stay_as_they_were():
    values = np.array([np.nan, *np.arange(599.0)])
    kept = values.copy()
    flatmap(values, some())
    np.testing.assert_array_equal(values, kept)
