"""Charts draw the numbers that they were given, and refuse what does not fit."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgba

from fusiform.errors import DataError
from fusiform.plots.charts import ACROSS, WIDEST, bars, gallery, grouped_bars, histogram, lines, matrix, scatter
from fusiform.plots.charts import timecourse as course
from fusiform.plots.style import ACCENT, NOTHING, SECOND

LONG = [f"left posterior superior temporal sulcus {number}" for number in range(40)]


def axes(made):
    return made.axes[0]


def words(ticks):
    return [tick.get_text() for tick in ticks]


def told(made):
    """The legend's words."""
    return [text.get_text() for legend in made.legends for text in legend.get_texts()]


def whole(made):
    """Draw it; every word must lie within the figure, and names along an axis must not touch."""
    made.draw_without_rendering()
    page = made.bbox.padded(1)
    for box in [part.get_window_extent() for part in made.legends] + [ax.get_tightbbox() for ax in made.axes]:
        assert page.x0 <= box.x0 <= box.x1 <= page.x1
        assert page.y0 <= box.y0 <= box.y1 <= page.y1
    for ax in made.axes:
        names = [name.get_window_extent() for name in ax.get_xticklabels() if name.get_rotation() == 0]
        assert all(left.x1 <= right.x0 for left, right in pairwise(names))


def test_bars_are_as_high_as_their_values():
    made = bars([0.3, -0.1, 0.2], ["V1", "V2", "FFA"], label="r", title="By region")
    ax = axes(made)
    assert [bar.get_height() for bar in ax.patches] == [0.3, -0.1, 0.2]
    assert [bar.get_x() + bar.get_width() / 2 for bar in ax.patches] == pytest.approx([0, 1, 2])
    assert words(ax.get_xticklabels()) == ["V1", "V2", "FFA"]
    assert (ax.get_title(loc="left"), ax.get_ylabel(), told(made)) == ("By region", "r", [])


def test_marks_and_single_people_lie_at_their_values():
    people = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    made = bars([0.3, 0.4], ["a", "b"], null=[0.1, 0.15], ceiling=[0.5, 0.6], dots=people, ceiling_label="others")
    dots, null, ceiling = axes(made).collections
    np.testing.assert_allclose(np.sort(dots.get_offsets()[:, 1]), np.sort(people.ravel()))
    assert all(people[:, round(x)].tolist().count(y) for x, y in dots.get_offsets())  # over their own bar
    for mark, levels in ((null, [0.1, 0.15]), (ceiling, [0.5, 0.6])):
        assert [segment[:, 1].tolist() for segment in mark.get_segments()] == [[level, level] for level in levels]
        assert [segment[:, 0].mean() for segment in mark.get_segments()] == pytest.approx([0, 1])
    assert to_hex(null.get_color()[0]) == SECOND
    assert told(made) == ["single people", "95 % of chance", "others"]


def test_grouped_bars_stand_side_by_side_from_light_to_dark():
    groups = {"sound": [0.1, 0.2], "rate": [0.3, 0.4], "meaning": [0.5, 0.6]}
    made = grouped_bars(groups, ["a", "b"])
    drawn = sorted(axes(made).patches, key=lambda bar: bar.get_x())
    assert [bar.get_height() for bar in drawn] == [0.1, 0.3, 0.5, 0.2, 0.4, 0.6]
    ends = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in drawn]
    assert all(left[1] <= right[0] for left, right in pairwise(ends))
    light = [np.dot(bar.get_facecolor()[:3], [0.299, 0.587, 0.114]) for bar in drawn[:3]]
    assert light == sorted(light, reverse=True)
    assert told(made) == list(groups)


def test_lines_go_through_their_values():
    made = lines({"V1": [0.1, 0.3, 0.2], "FFA": [0.2, np.nan, 0.4]}, ["conv1", "conv2", "conv3"], y="mean r")
    first, second = axes(made).lines
    np.testing.assert_array_equal(first.get_xydata(), [[0, 0.1], [1, 0.3], [2, 0.2]])
    np.testing.assert_array_equal(second.get_ydata(), [0.2, np.nan, 0.4])
    assert words(axes(made).get_xticklabels()) == ["conv1", "conv2", "conv3"]
    assert told(made) == ["V1", "FFA"]
    assert to_hex(axes(lines({"one": [1, 2]}, "ab")).lines[0].get_color()) == ACCENT


def test_a_course_shows_both_series_and_the_borders_of_folds():
    times = np.array([20.0, 22.0, 24.0, 26.0])
    made = course(times, [1, 2, 3, 4], [2, 3, 4, 5], fold=[0, 0, 1, 1], title="LPTL", y="sd")
    true, pred, border = axes(made).lines
    np.testing.assert_array_equal(true.get_xydata(), np.column_stack([times, [1, 2, 3, 4]]))
    np.testing.assert_array_equal(pred.get_xydata(), np.column_stack([times, [2, 3, 4, 5]]))
    assert border.get_xdata() == [23, 23]
    assert axes(made).get_xlim() == (20, 26)
    assert told(made) == ["measured", "predicted"]


def test_a_gallery_shows_each_row_from_black_to_white():
    seen, decoded = np.arange(12.0).reshape(3, 2, 2), -np.arange(8.0).reshape(2, 2, 2)
    made = gallery({"seen": list(seen), "decoded": list(decoded)}, columns=["x", "y", "z"])
    shown = [[image.get_array() for image in ax.images] for ax in made.axes]
    np.testing.assert_array_equal(np.array(shown[:3])[:, 0], seen)
    np.testing.assert_array_equal(np.array(shown[3:5])[:, 0], decoded)
    assert shown[5] == []  # a row may be shorter
    assert {image.get_clim() for ax in made.axes[:3] for image in ax.images} == {(0.0, 11.0)}
    assert {image.get_clim() for ax in made.axes[3:] for image in ax.images} == {(-7.0, 0.0)}
    assert [ax.get_title() for ax in made.axes] == ["x", "y", "z", "", "", ""]
    assert [made.axes[0].get_ylabel(), made.axes[3].get_ylabel()] == ["seen", "decoded"]


def test_colour_pictures_stay_as_they_are_but_within_reach(capfd, caplog):
    picture = np.array([[[-0.5, 0.25, 1.5]]])
    made = gallery({"": [picture]})
    made.draw_without_rendering()
    np.testing.assert_array_equal(made.axes[0].images[0].get_array(), [[[0.0, 0.25, 1.0]]])
    np.testing.assert_array_equal(picture, [[[-0.5, 0.25, 1.5]]])
    assert not caplog.records


def test_a_long_gallery_goes_on_below():
    pictures = [np.full((2, 2), number) for number in range(ACROSS + 3)]
    made = gallery({"a": pictures, "b": pictures}, columns=[str(number) for number in range(ACROSS + 3)])
    shown = [ax.images[0].get_array()[0, 0] for ax in made.axes if ax.images]
    assert shown == [*range(12), *range(12), 12, 13, 14, 12, 13, 14]
    assert made.axes[2 * ACROSS].get_title() == "12"
    assert made.get_figwidth() <= 13


def test_a_matrix_shows_its_values_and_names():
    values = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, np.nan]])
    made = matrix(values, ["a", "b"], ["x", "y", "z"], x="taken for", y="shown", label="share")
    image = axes(made).images[0]
    np.testing.assert_array_equal(image.get_array().filled(np.nan), values)
    assert image.get_clim() == (0.0, 1.0)
    assert axes(made).get_facecolor() == to_rgba(NOTHING)
    assert words(axes(made).get_xticklabels()) == ["x", "y", "z"]
    assert words(axes(made).get_yticklabels()) == ["a", "b"]
    assert made.axes[1].get_ylabel() == "share"
    assert matrix(-values, ["a", "b"], "xyz").axes[0].images[0].get_clim() == (-1.0, 0.0)


def test_a_histogram_counts_every_finite_value_once():
    values = np.random.default_rng(0).normal(size=300)
    other = np.append(values[:100] + 1, [np.nan, np.inf])
    made = histogram({"voxels": values, "exchanged": other}, mark=0.25, x="r", y="voxels")
    first, second = axes(made).patches
    edges = np.histogram_bin_edges(np.concatenate([values, other[:100]]), bins=40)
    for drawn, numbers in ((first, values), (second, other[:100])):
        # both polygons step along their counts, so that the area under them is count times width
        heights = np.histogram(numbers, edges)[0]
        assert drawn.get_xy()[:, 1].max() == heights.max()
        assert set(drawn.get_xy()[:, 1]) == {0, *heights}
    assert axes(made).lines[0].get_xdata() == [0.25, 0.25]
    marks = [int(word) for word in words(axes(made).get_yticklabels())]
    assert (marks[1] - marks[0]) in (1, 2, 5, 10, 20)
    assert told(made) == ["voxels", "exchanged"]
    assert told(histogram({"targets": values})) == []


@pytest.mark.parametrize("count", [50, 800])
def test_a_scatter_shows_every_pair(count):
    x, y = np.random.default_rng(0).uniform(size=(2, count))
    x[0] = np.nan
    ax = axes(scatter(x, y, x_label="ceiling", y_label="r"))
    [cloud] = ax.collections
    if count <= 500:
        np.testing.assert_array_equal(np.ma.filled(cloud.get_offsets(), np.nan)[1:], np.column_stack([x, y])[1:])
    else:
        assert cloud.get_array().sum() == count - 1
    ends = np.array([np.nanmin([x[1:], y[1:]]), np.nanmax([x, y])])
    np.testing.assert_allclose(ax.lines[0].get_xydata(), np.column_stack([ends, ends]), atol=0.02)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("ceiling", "r")
    assert not axes(scatter(x, y, x_label="a", y_label="b", diagonal=False)).lines


@pytest.mark.parametrize("names", [LONG[:1], LONG[:6], LONG, ["LATL"], [str(number) for number in range(40)]])
def test_names_long_and_many_neither_touch_nor_leave_the_figure(names):
    values = np.linspace(0.1, 0.5, len(names))
    many = {"word rate": values, "length and duration": values / 2, "the meaning of every word heard": values / 3}
    people = np.tile(values, (5, 1))
    drawn = [
        bars(values, names, null=values / 3, ceiling=values, dots=people, ceiling_label="one person from the others"),
        grouped_bars(many, names),
        lines(many, names),
        matrix(np.outer(values, values), names, names, label="share"),
        gallery({"seen": [np.eye(3)] * len(names)}, columns=names),
    ]
    for made in drawn:
        assert made.get_figwidth() <= max(WIDEST, 13.5)
        whole(made)


def test_lines_of_many_groups_keep_their_room():
    made = lines({name: [0, 1] for name in LONG}, "ab")
    whole(made)
    assert axes(made).get_window_extent().height > 0.4 * 3.2 * made.dpi
    assert told(made) == LONG


ODD = {
    "a single value": [0.3],
    "constant values": [0.3] * 600,
    "zeros": [0.0] * 3,
    "all NaN": [np.nan] * 3,
    "some NaN": [0.1, np.nan, 0.3],
    "nothing": [],
}


@pytest.mark.parametrize("values", ODD.values(), ids=ODD)
def test_odd_numbers_are_drawn_without_a_warning(values):
    names = [str(number) for number in range(len(values))]
    drawn = [
        bars(values, names, null=values, ceiling=values, dots=[values, values]),
        grouped_bars({"a": values, "b": values}, names),
        lines({"a": values}, names),
        course(values, values, values, fold=values),
        histogram({"a": values, "b": []}, mark=0.1),
        scatter(values, values, x_label="a", y_label="b"),
    ]
    if values:
        drawn += [matrix([values], ["a"], names), gallery({"a": [[values]], "b": []}, columns=["x"])]
    for made in drawn:
        made.draw_without_rendering()


WRONG = {
    "bars": (lambda: bars([1, 2], ["a"]), "2"),
    "null": (lambda: bars([1], ["a"], null=[1, 2]), "1 names"),
    "ceiling": (lambda: bars([1], ["a"], ceiling=[]), "1 names"),
    "dots": (lambda: bars([1, 2], "ab", dots=np.zeros((2, 3))), "2 names"),
    "groups": (lambda: grouped_bars({"x": [1], "y": [1, 2]}, ["a"]), "1 names"),
    "lines": (lambda: lines({"x": [1, 2, 3]}, "ab"), "2 names"),
    "course": (lambda: course([0, 1], [1, 2], [1]), r"predicted \(1,\)"),
    "scatter": (lambda: scatter([1, 2], [1], x_label="ceiling", y_label="r"), r"ceiling \(2,\)"),
    "matrix": (lambda: matrix([[1, 2]], "ab", "xy"), r"\[2, 2\]"),
    "gallery": (lambda: gallery({"seen": []}), "seen.*no picture"),
}


@pytest.mark.parametrize(("draw", "words"), WRONG.values(), ids=WRONG)
def test_lengths_that_differ_are_refused(draw, words):
    with pytest.raises(DataError, match=words):
        draw()
