"""Maps of the cortex: every colour drawn is that of a value, at its place."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgba
from scipy.spatial import KDTree

from fusiform.data import Space
from fusiform.errors import DataError
from fusiform.plots.meshes import HEMISPHERES, MESHES, VERTICES, flat_pixels, mesh_of, sphere_of, sulcal_depth
from fusiform.plots.style import NOTHING
from fusiform.plots.surface import MESH, fill, flatmap, flatmaps, inflated

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


def test_every_vertex_of_a_whole_brain_keeps_its_value():
    values = np.random.default_rng(0).normal(size=2 * VERTICES)
    filled, note = fill(values, whole())
    np.testing.assert_array_equal(np.concatenate([filled["left"], filled["right"]]), values)
    assert note == ""


def test_the_others_take_the_value_of_the_nearest_on_the_sphere():
    space = some()
    values = np.random.default_rng(1).permutation(600)
    filled, note = fill(values, space)
    for number, side in enumerate(HEMISPHERES):
        points = mesh_of("sphere", side).points
        here = slice(number * 300, number * 300 + 300)
        apart = np.linalg.norm(points[:, None] - points[space.column("vertex")[here]], axis=2)  # [10242, 300] mm
        taken = (filled[side][:, None] == values[here]).argmax(1)  # whose value it is: each is there once
        np.testing.assert_array_equal(filled[side], values[here][taken])
        np.testing.assert_allclose(apart[np.arange(VERTICES), taken], apart.min(1))
    assert note == "600 of 20,484 vertices; others nearby take the nearest one's value"


@pytest.mark.parametrize("mesh", ["fsaverage6", "fsaverage"])
def test_the_first_vertices_of_a_finer_mesh_are_drawn(mesh):
    count = MESHES[mesh]
    values = np.random.default_rng(0).normal(size=2 * count)
    values[[3, count + 5]] = np.nan
    filled, note = fill(values, Space.vertices(mesh, np.arange(count), np.arange(count), mesh))
    for side, numbers in zip(HEMISPHERES, np.split(values, 2), strict=True):
        np.testing.assert_array_equal(filled[side], numbers[:VERTICES])
    assert note == f"{2 * count:,} vertices of {mesh}; drawn are those of fsaverage5, the first 10,242 of a hemisphere"


@pytest.mark.parametrize("mesh", ["fsaverage4", "fsaverage6", "fsaverage"])
def test_what_some_vertices_of_another_mesh_lack_is_the_nearest_ones_on_its_sphere(mesh):
    vertices = np.sort(np.random.default_rng(0).permutation(MESHES[mesh])[:400])
    values = np.random.default_rng(1).permutation(400).astype(float)
    filled, note = fill(values, Space.vertices("some", vertices, [], mesh))
    away = np.linalg.norm(sphere_of(MESH)[:, None] - sphere_of(mesh)[vertices], axis=2)  # [10242, 400] mm
    taken = np.argsort(values)[filled["left"].astype(int)]  # whose value it is: values are 0 to 399
    np.testing.assert_allclose(away[np.arange(VERTICES), taken], away.min(axis=1))  # some are equally near to two
    own = vertices[vertices < VERTICES]
    np.testing.assert_array_equal(filled["left"][own], values[: len(own)])
    assert np.isnan(filled["right"]).all()
    assert note.startswith(f"400 of {MESHES[mesh]:,} vertices of {mesh}, drawn on fsaverage5; others nearby take")


def test_a_region_of_the_finest_mesh_has_no_hole_and_no_halo():
    """As the challenge of 2023 gives it: the back of the brain, and of it every other vertex."""
    place = KDTree(sphere_of(MESH)).query(sphere_of("fsaverage"))[1]
    behind = mesh_of("inflated", "left").points[:, 1] < -50  # [10242]
    vertices = np.random.default_rng(0).permutation(np.flatnonzero(behind[place]))[::2]
    filled, _ = fill(np.ones(len(vertices)), Space.vertices("region", np.sort(vertices), [], "fsaverage"))
    painted = np.isfinite(filled["left"])
    assert painted[behind].all()
    assert painted.sum() < 1.1 * behind.sum()


def test_parcels_are_said_to_be_drawn_at_one_vertex_each():
    space = some(sides=["left"])
    parcels = Space("parcels", space.targets.assign(parcel=np.arange(300)), MESH)
    assert "300 parcels, each at one vertex" in fill(np.ones(300), parcels)[1]
    [note] = [text.get_text() for text in flatmap(np.ones(300), parcels).texts if "parcels" in text.get_text()]
    assert note == fill(np.ones(300), parcels)[1]


def test_a_region_stays_a_region():
    brain = whole()
    behind = np.concatenate([mesh_of("inflated", side).points[:, 1] for side in HEMISPHERES]) < -50
    filled, _ = fill(np.ones(behind.sum()), brain.select(behind))
    painted = np.isfinite(np.concatenate([filled[side] for side in HEMISPHERES]))
    assert painted[behind].all()
    assert painted.sum() < 1.35 * behind.sum()  # a seam of a few vertices, and nothing of the front
    alone, _ = fill([0.3], brain.select([7]))
    assert np.flatnonzero(np.isfinite(alone["left"])).tolist() == [7]


@pytest.mark.parametrize("count", [40, 300, 8000])
def test_scattered_vertices_leave_no_hole(count):
    filled, _ = fill(np.ones(count), whole().select(np.random.default_rng(0).permutation(2 * VERTICES)[:count]))
    assert all((filled[side] == 1).all() for side in HEMISPHERES)


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
    """The front of the brain is left in left lateral and right medial views; only what faces the viewer is drawn."""
    head = {side: mesh_of("inflated", side).points for side in HEMISPHERES}
    front = np.concatenate([head[side][:, 1] for side in HEMISPHERES])  # y grows to the front
    made = inflated(front, whole(), cmap="gray", limits=(-110.0, 110.0))
    for ax, leftward in zip(made.axes[:4], (True, False, True, False), strict=True):
        faces = ax.collections[0]
        across = np.array([path.vertices[:3, 0].mean() for path in faces.get_paths()])
        light = faces.get_facecolor()[:, :3].mean(1)
        assert (np.corrcoef(across, light)[0, 1] < -0.7) == leftward
        assert abs(np.corrcoef(across, light)[0, 1]) > 0.7
    outer = inflated(np.concatenate([head[side][:, 0] for side in HEMISPHERES]), whole(), cmap="gray", limits=(-45, 45))
    light = [ax.collections[0].get_facecolor()[:, :3].mean() for ax in outer.axes[:4]]
    # x grows to the right: the left hemisphere's lateral side is darker than its medial side
    assert light[0] < light[1]
    assert light[2] < light[3]
    names = [ax.get_title() for ax in made.axes[:4]]
    assert names == ["left, lateral", "left, medial", "right, medial", "right, lateral"]


def test_faces_have_the_hue_of_their_values_darker_where_they_turn_away():
    space = whole()
    made = inflated(np.zeros(space.size), space, limits=(0.0, 1.0), cmap="Reds")
    colours = made.axes[0].collections[0].get_facecolor()
    lightest = np.array(colormaps["Reds"](0.0))[:3]
    shares = colours[:, :3] / lightest
    np.testing.assert_allclose(shares, shares[:, :1] * np.ones(3), atol=1e-6)
    assert 0.6 < shares.min() < 0.75
    assert shares.max() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("draw", [flatmap, inflated])
@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -np.inf])
def test_odd_values_are_drawn_without_a_warning(draw, value):
    draw(np.full(600, value), some()).draw_without_rendering()
    draw(np.append(np.arange(599.0), value), some()).draw_without_rendering()


def test_one_vertex_and_none_are_drawn_without_a_warning():
    one = some().select([0])
    flatmap([0.3], one).draw_without_rendering()
    left, _ = drawn(flatmap([], one.select([False])))
    assert (left[left[..., 3] > 0] == GREY).all()


@pytest.mark.parametrize("draw", [fill, flatmap, inflated])
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
