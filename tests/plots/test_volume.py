"""Slices: every colour is that of a voxel, left is left and the front is above, however the volume is stored."""

from itertools import permutations, product

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgba
from nibabel.affines import apply_affine
from scipy.spatial.transform import Rotation

from fusiform.data import Space
from fusiform.errors import DataError
from fusiform.plots.style import NOTHING
from fusiform.plots.volume import ELSEWHERE, MOST, axial, mosaic

AFFINE = np.array([[2.0, 0, 0, -20], [0, 3.0, 0, -30], [0, 0, 4.0, -40], [0, 0, 0, 1]])
STORED = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def ball(shape=(9, 11, 13), affine=AFFINE):
    middle = (np.array(shape) - 1) / 2
    inside = np.linalg.norm((np.indices(shape).T - middle) / middle, axis=-1).T <= 1
    return Space.voxels("ball", inside, affine)


def stored(order, signs):
    """The ball with its axes in another order and direction, and the affine that says so."""
    turn = np.zeros((4, 4))
    turn[order, range(3)] = signs
    turn[3, 3] = 1
    shape = np.array((9, 11, 13))
    turn[:3, 3] = np.where(turn[:3, :3].sum(axis=1) < 0, shape - 1, 0)
    return ball(tuple(shape[list(order)]), AFFINE @ turn)


def drawn(made):
    return [np.asarray(ax.images[0].get_array()) for ax in made.axes if ax.images]


@pytest.mark.parametrize(("order", "signs"), STORED)
def test_axes_run_right_front_and_up_however_the_volume_is_stored(order, signs):
    space = stored(order, signs)
    for axis, (along, first, step) in enumerate(((2, -20, 2), (1, -30, 3), (0, -40, 4))):
        slices = axial(space.coordinates()[:, axis], space)
        counts = np.indices(slices.values.shape)[along]
        np.testing.assert_allclose(slices.values[slices.inside], (first + step * counts)[slices.inside])
        assert np.isnan(slices.values[~slices.inside]).all()
    np.testing.assert_allclose(slices.heights, -40 + 4 * np.arange(13))
    assert slices.voxel == pytest.approx((2, 3))


def test_an_oblique_volume_is_turned_to_the_nearest_axes():
    tilt = np.eye(4)
    tilt[:3, :3] = Rotation.from_euler("xz", [15, -10], degrees=True).as_matrix()
    space = ball(affine=tilt @ AFFINE)
    for axis, along in ((0, 2), (1, 1), (2, 0)):
        slices = axial(space.coordinates()[:, axis], space)
        assert np.nanmin(np.diff(slices.values, axis=along)) > 0
    middle = apply_affine(space.grid.affine, [[4, 5, z] for z in range(13)])  # of the box about the voxels
    np.testing.assert_allclose(slices.heights, middle[:, 2])


def test_slices_are_cut_to_the_voxels():
    space = ball()
    behind = space.select(space.column("j") < 4)
    slices = axial(np.ones(behind.size), behind)
    assert slices.values.shape[1] == 4 - behind.column("j").min()
    assert slices.inside.sum() == behind.size
    gap = space.select(space.column("k") != 5)
    assert len(axial(np.ones(gap.size), gap).values) == 12  # the empty one is left out
    assert -20.0 not in axial(np.ones(gap.size), gap).heights


def test_voxels_have_their_colours_others_are_pale_and_nan_is_grey():
    space = ball()
    values = np.random.default_rng(0).normal(size=space.size)
    values[::7] = np.nan
    values[1:3] = np.inf, -np.inf
    made = mosaic(values, space, cmap="viridis", limits=(-1.0, 2.0))
    slices = axial(values, space)
    outline = slices.inside.any(axis=0)
    for image, numbers, inside in zip(drawn(made), slices.values, slices.inside, strict=True):
        known = inside & ~np.isnan(numbers)
        np.testing.assert_allclose(image[known], colormaps["viridis"](np.clip((numbers[known] + 1) / 3, 0, 1)))
        np.testing.assert_allclose(
            image[inside & ~known], np.broadcast_to(to_rgba(NOTHING), image[inside & ~known].shape)
        )
        assert np.allclose(image[outline & ~inside], to_rgba(ELSEWHERE))
        assert (image[~outline] == 0).all()


def test_the_figure_says_what_it_shows():
    space = ball()
    made = mosaic(np.arange(space.size), space, title="Title", label="r")
    frames = [ax for ax in made.axes if ax.images]
    assert [ax.get_title() for ax in frames] == [f"z = {z} mm" for z in range(-40, 12, 4)]
    assert all(ax.images[0].origin == "lower" for ax in frames)  # the front is above
    assert all(ax.get_aspect() == pytest.approx(1.5) for ax in frames)
    places = {text.get_text(): text.get_position()[0] for text in frames[0].texts}
    assert places["L"] < places["R"]
    assert made.get_suptitle() == "Title"
    assert made.axes[-1].get_ylabel() == "r"
    assert "13 of 13 axial slices" in made.get_supxlabel()


@pytest.mark.parametrize("shape", [(4, 5, 2), (9, 3, 2), (3, 9, 2), (20, 25, 13), (1, 1, 1)])
def test_words_stay_within_the_figure(shape):
    space = Space.voxels("box", np.ones(shape, dtype=bool), np.diag([1.8, 1.8, 1.8, 1.0]))
    made = mosaic(np.linspace(-0.06, 0.08, space.size), space, label="r")
    made.set_dpi(160)
    made.draw_without_rendering()
    for ax in made.axes[:-1]:
        box = ax.title.get_window_extent()
        assert (box.x0, box.y0) > (0, 0)
        assert box.y1 < made.bbox.height


def test_many_slices_are_thinned_and_ends_with_few_voxels_left_out():
    inside = np.zeros((20, 20, 60), dtype=bool)
    inside[8:12, 8:12] = True
    inside[:, :, 10:50] = True
    space = Space.voxels("cross", inside, np.eye(4))
    made = mosaic(np.ones(space.size), space)
    heights = [int(ax.get_title().split()[2]) for ax in made.axes if ax.images]
    assert len(heights) == MOST
    assert 9 < min(heights) < 12
    assert 47 < max(heights) < 50
    assert set(np.diff(heights)) <= {2, 3}
    assert "15 of 60 axial slices" in made.get_supxlabel()


def test_categories_have_their_own_colours():
    space = ball()
    made = mosaic(space.column("i") % 3, space, categories=["a", "b", "c"], cmap="viridis")
    steps = colormaps["viridis"](np.linspace(0.05, 0.95, 3))
    slices = axial(space.column("i") % 3, space)
    for image, numbers, inside in zip(drawn(made), slices.values, slices.inside, strict=True):
        np.testing.assert_allclose(image[inside], steps[numbers[inside].astype(int)])
    assert [tick.get_text() for tick in made.axes[-1].get_yticklabels()] == ["a", "b", "c"]


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_odd_values_and_one_voxel_are_drawn_without_a_warning(value):
    space = ball()
    mosaic(np.full(space.size, value), space).draw_without_rendering()
    mosaic([value], space.select([7])).draw_without_rendering()


def test_what_cannot_be_drawn_is_refused():
    space = ball()
    with pytest.raises(DataError, match=r"'regions'.*no grid"):
        mosaic([0.0], Space.named("regions", ["V1"]))
    with pytest.raises(DataError, match="no voxel"):
        mosaic([], space.select(np.zeros(space.size, dtype=bool)))
    with pytest.raises(DataError, match=r"\(3,\)"):
        mosaic(np.zeros(3), space)
    with pytest.raises(DataError, match="plane"):
        mosaic(np.zeros(space.size), ball(affine=np.diag([1.0, 1.0, 0.0, 1.0])))
