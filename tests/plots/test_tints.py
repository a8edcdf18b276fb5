"""Two numbers as one colour, and legends that say so the right way up."""

import numpy as np
import pytest
from matplotlib import colormaps

from fusiform.errors import DataError
from fusiform.plots.style import figure
from fusiform.plots.tints import PLAIN, layered, oklch, polar, retinotopy


def legend_of(tints):
    ax = figure().subplots()
    tints.legend(ax)
    return ax


def legend_at(ax, x, y):
    """The colour of the legend at a place in its own coordinates."""
    image = ax.images[0]
    colours = np.asarray(image.get_array())
    left, right, low, high = image.get_extent()
    rows, columns = colours.shape[:2]
    row = (y - low) / (high - low) * (rows - 1)  # 0 at `low`
    row = row if image.origin == "lower" else rows - 1 - row
    return colours[round(row), round((x - left) / (right - left) * (columns - 1))]


# Ottosson 2020: sRGB's own corners in OKLCh (lightness, chroma, degrees)
CORNERS = [
    ((1.0, 0.0, 0.0), (1, 1, 1)),
    ((0.0, 0.0, 0.0), (0, 0, 0)),
    ((0.62796, 0.25768, 29.2339), (1, 0, 0)),
    ((0.86644, 0.29483, 142.4953), (0, 1, 0)),
    ((0.45201, 0.31321, 264.0520), (0, 0, 1)),
]


@pytest.mark.parametrize(("lch", "rgb"), CORNERS)
def test_oklch_reaches_the_corners_of_srgb(lch, rgb):
    lightness, chroma, degrees = lch
    np.testing.assert_allclose(oklch(lightness, chroma, np.deg2rad(degrees)), rgb, atol=3e-3)


def test_places_in_one_direction_have_one_hue_that_brightens_outwards():
    tints = retinotopy([0.2, 0.5, 0.9, -0.9, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0])
    near, between, far, other, middle = tints.colours
    assert near.mean() < between.mean() < far.mean()
    assert middle.max() - middle.min() < 1e-3  # grey, and dark
    assert middle.mean() < near.mean()
    assert np.abs(far - other).max() > 0.3
    np.testing.assert_allclose(
        retinotopy([0.0], [-0.9]).colours, oklch(0.42 + 0.34 * np.sqrt(0.9), 0.17 * np.sqrt(0.9), np.pi / 2)[None]
    )


def test_beyond_the_middle_of_an_edge_nothing_brightens_more():
    corner, edge = retinotopy([1.0, np.sqrt(0.5)], [1.0, np.sqrt(0.5)]).colours
    np.testing.assert_allclose(corner, edge)


@pytest.mark.parametrize(("x", "y"), [(0.0, -0.9), (0.9, 0.0), (0.0, 0.9), (-0.9, 0.0), (0.5, -0.5), (-0.3, 0.7)])
def test_the_legend_is_the_picture_as_it_was_shown(x, y):
    """x to the right, y downwards; on the axes the top of the picture is above."""
    ax = legend_of(retinotopy([x], [y]))
    np.testing.assert_allclose(legend_at(ax, x, y), retinotopy([x], [y]).colours[0], atol=0.03)
    bottom, top = ax.get_ylim()
    assert bottom == 1  # y = 1, the lower edge, is below
    assert top == -1
    assert ax.images[0].origin == "upper"
    names = dict(zip(ax.get_yticks().tolist(), [tick.get_text() for tick in ax.get_yticklabels()], strict=True))
    assert names == {-0.75: "up", 0.75: "down"}
    names = dict(zip(ax.get_xticks().tolist(), [tick.get_text() for tick in ax.get_xticklabels()], strict=True))
    assert names == {-0.75: "left", 0.75: "right"}


def test_the_wheel_has_the_hues_of_places_as_bright_in_the_middle():
    x, y = np.array([[0.05, 0.9, 0.0, -0.9], [0.0, 0.0, -0.9, 0.0]])
    near, right, up, left = polar(x, y).colours
    np.testing.assert_allclose(near, right)
    np.testing.assert_allclose(polar([1.0, 0.0], [0.0, -1.0]).colours, retinotopy([1.0, 0.0], [0.0, -1.0]).colours)
    ax = legend_of(polar(x, y))
    for place, colour in (((0.7, 0.0), right), ((0.0, -0.7), up), ((-0.7, 0.0), left)):
        np.testing.assert_allclose(legend_at(ax, *place), colour, atol=0.03)
    assert np.isnan(polar([np.nan], [0.1]).colours).all()


def test_layers_fade_where_they_are_undecided():
    tints = layered([0.0, 2.0, 4.0, 2.0, 2.0, np.nan], [1.0, 1.0, 1.0, 0.0, 0.5, 1.0], list("abcde"))
    viridis = colormaps["viridis"]([0.0, 0.5, 1.0])[:, :3]
    np.testing.assert_allclose(tints.colours[:3], viridis)
    np.testing.assert_allclose(tints.colours[3], PLAIN)
    np.testing.assert_allclose(tints.colours[4], (viridis[1] + PLAIN) / 2)
    assert np.isnan(tints.colours[5]).all()
    painted = tints(tints.targets)
    assert (painted[5] == tints(np.array([np.nan]))[0]).all()  # grey, as where there is no target


def test_the_legend_of_layers_names_them_from_below():
    tints = layered([0.0], [1.0], ["conv1", "conv2", "conv3"])
    ax = legend_of(tints)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["conv1", "conv2", "conv3"]
    assert ax.get_ylim() == (0, 2)
    for place, confidence in ((0, 1.0), (2, 1.0), (1, 0.0), (1, 1.0), (2, 0.5)):
        wanted = layered([place], [confidence], list("abc")).colours[0]
        np.testing.assert_allclose(legend_at(ax, confidence, place), wanted, atol=0.02)


def test_many_layers_are_named_by_turns_and_one_layer_alone():
    names = [f"layer{number}" for number in range(48)]
    assert [tick.get_text() for tick in legend_of(layered([0.0], [1.0], names)).get_yticklabels()] == names[::3]
    assert layered([0.0], [1.0], names).size[1] <= 2.7
    one = layered([0.0], [1.0], ["only"])
    np.testing.assert_allclose(one.colours[0], colormaps["viridis"](0.0)[:3])
    assert [tick.get_text() for tick in legend_of(one).get_yticklabels()] == ["only"]


def test_lengths_that_differ_are_refused():
    with pytest.raises(DataError, match=r"x \(2,\), y \(3,\)"):
        retinotopy([0, 1], [0, 1, 2])
    with pytest.raises(DataError, match=r"place \(1,\), confidence \(2,\)"):
        layered([0], [0, 1], ["a"])
