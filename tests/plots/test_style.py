import numpy as np
import pandas as pd
import pytest
from matplotlib import rcParams
from matplotlib._pylab_helpers import Gcf
from matplotlib.cm import ScalarMappable

from fusiform.data import Space
from fusiform.plots.charts import bars
from fusiform.plots.style import axes_grid, blank, colour_bar, figure, heading, legend, legend_axes, name_places, tidy
from fusiform.plots.surface import MESH, inflated


def test_nothing_global_changes_and_no_screen_is_asked_for():
    before = dict(rcParams)
    bars([1], ["a"]).draw_without_rendering()
    nothing = Space("none", pd.DataFrame({"hemisphere": [], "vertex": []}), MESH)
    inflated([], nothing).draw_without_rendering()
    assert dict(rcParams) == before
    assert not Gcf.figs  # the figures that pyplot keeps


def test_a_grid_has_its_rows_columns_and_size():
    made, axes = axes_grid(2, 3, width=6, height=4)
    assert [len(row) for row in axes] == [3, 3]
    assert made.axes == [ax for row in axes for ax in row]
    assert made.get_size_inches().tolist() == [6, 4]


def test_tidy_puts_words_and_grid_in_place():
    ax = figure().subplots()
    tidy(ax, title="Title", x="across", y="up", grid="x")
    assert (ax.get_title(loc="left"), ax.get_xlabel(), ax.get_ylabel()) == ("Title", "across", "up")
    assert not ax.spines["top"].get_visible()
    assert ax.xaxis.get_gridlines()[0].get_visible()
    assert not ax.yaxis.get_gridlines()[0].get_visible()


def test_blank_axes_have_no_ticks_and_no_frame():
    _, [line] = axes_grid(1, 2, width=2, height=1)
    blank(line)
    assert all(len(ax.get_xticks()) == len(ax.get_yticks()) == 0 for ax in line)
    assert not any(spine.get_visible() for ax in line for spine in ax.spines.values())


def test_a_heading_is_there_only_where_there_is_a_title():
    made = figure()
    heading(made, "")
    assert made.get_suptitle() == ""
    heading(made, "Layers")
    assert made.get_suptitle() == "Layers"


def test_a_colour_bar_says_what_it_means():
    made = figure()
    bar = colour_bar(made, ScalarMappable(), made.subplots(), "r", shrink=0.5)
    assert bar.ax.get_ylabel() == "r"


def test_names_are_slanted_only_when_they_would_touch_and_thinned_only_when_they_still_would():
    shown = {}
    for space in (2.0, 0.3, 0.05):
        made = figure(6, 3)
        ax = made.subplots()
        name_places(made, ax, ["conv1_expand", "conv2_expand", "conv3_expand", "conv4_expand"], space)
        labels = ax.get_xticklabels()
        shown[space] = len(labels), labels[0].get_rotation(), made.get_figheight() > 3
        np.testing.assert_array_equal(ax.get_xticks(), np.arange(4)[:: 4 // len(labels)])
    assert shown == {2.0: (4, 0.0, False), 0.3: (4, 45.0, True), 0.05: (1, 45.0, True)}


def test_a_legend_takes_more_lines_on_a_taller_figure_where_its_names_do_not_fit():
    heights = {}
    for name in ("a", "a name that is rather long to stand beside others"):
        made = figure(5, 3)
        ax = made.subplots()
        for number in range(4):
            ax.plot([0, 1], label=f"{name} {number}")
        legend(made, ax)
        heights[name[:1] + str(len(name))] = made.get_figheight(), made.legends[0]._ncols
    assert heights["a1"] == (3, 4)
    assert heights["a49"][0] > 3.4
    assert heights["a49"][1] == 1


def test_no_names_no_legend():
    made = figure()
    legend(made, made.subplots())
    assert made.legends == []


def test_axes_for_a_legend_are_of_the_size_asked_for_and_right_of_the_others():
    made, axes = axes_grid(2, 2, width=8, height=6)
    beside = legend_axes(made, [ax for row in axes for ax in row], (0.8, 2.0))
    made.draw_without_rendering()
    box = beside.get_position()
    assert box.width * 8 == pytest.approx(0.8, rel=0.2)
    assert box.height / box.width == pytest.approx(2.0 / 0.8 * 8 / 6, rel=0.01)
    assert box.x0 > max(ax.get_position().x1 for row in axes for ax in row)
