"""Charts of plain arrays: bars by region, time courses, pictures, confusion, distributions, layers."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from fusiform.errors import DataError
from fusiform.plots.numbers import aligned, finite, limits, per_name
from fusiform.plots.style import (
    ACCENT,
    FAINT,
    INK,
    LETTER,
    LINE,
    MUTED,
    NOTHING,
    SECOND,
    axes_grid,
    blank,
    colour_bar,
    figure,
    heading,
    legend,
    name_places,
    tidy,
)

__all__ = ["bars", "gallery", "grouped_bars", "histogram", "lines", "matrix", "scatter", "timecourse"]

WIDEST = 9.6  # inches; wider figures become unreadable on a page
ACROSS = 12  # pictures in a line of a gallery


def bars(
    values: ArrayLike,
    names: Sequence[str],
    *,
    label: str = "r",
    title: str = "",
    null: ArrayLike | None = None,
    ceiling: ArrayLike | None = None,
    dots: ArrayLike | None = None,
    ceiling_label: str = "ceiling",
) -> Figure:
    """A bar per region.

    Args:
        values: [V] heights.
        names: V regions.
        label: what the height is.
        title: above the chart.
        null: [V] 95th percentile of chance, a dashed mark across each bar.
        ceiling: [V] a solid mark across each bar.
        dots: [S, V] single people, scattered over each bar.
        ceiling_label: its name in the legend.

    Raises:
        DataError: the number of names or values differs.
    """
    made, ax = _places(names, min(WIDEST, max(4.5, 0.9 * len(names) + 1.5)))
    places = np.arange(len(names))
    ax.bar(places, per_name(values, names), width=0.62, color=ACCENT, alpha=0.85, zorder=2)
    if dots is not None:
        people = per_name(dots, names)
        spread = np.linspace(-0.22, 0.22, len(people) + 2)[1:-1, None] + places
        ax.scatter(spread, people, s=9, color=INK, alpha=0.45, linewidths=0, label="single people", zorder=3)
    if null is not None:
        _marks(ax, per_name(null, names), SECOND, (0, (3, 1.5)), "95 % of chance")
    if ceiling is not None:
        _marks(ax, per_name(ceiling, names), INK, (0, ()), ceiling_label)
    tidy(ax, title=title, y=label)
    legend(made, ax)
    return made


def grouped_bars(groups: Mapping[str, ArrayLike], names: Sequence[str], *, label: str = "r", title: str = "") -> Figure:
    """Several bars per region, from light to dark in the order of the groups (each [V])."""
    made, ax = _places(names, min(WIDEST, max(5.5, 1.15 * len(names) + 1.5)))
    width = 0.8 / max(1, len(groups))
    for number, (shade, (name, values)) in enumerate(zip(_shades(len(groups)), groups.items(), strict=True)):
        places = np.arange(len(names)) + (number - (len(groups) - 1) / 2) * width
        ax.bar(places, per_name(values, names), width=width * 0.9, color=shade, label=name, zorder=2)
    tidy(ax, title=title, y=label)
    legend(made, ax)
    return made


def lines(
    values: Mapping[str, ArrayLike], names: Sequence[str], *, x: str = "layer", y: str = "r", title: str = ""
) -> Figure:
    """A line per group over ordered things, such as the mean r of each layer in each region."""
    made = figure(5.8, 3.2)
    ax = made.subplots()
    for shade, (name, heights) in zip(_shades(len(values)), values.items(), strict=True):
        ax.plot(np.arange(len(names)), per_name(heights, names), marker="o", markersize=4, color=shade, label=name)
    name_places(made, ax, names, 4.8 / max(1, len(names)))
    tidy(ax, title=title, x=x, y=y)
    legend(made, ax)
    return made


def timecourse(
    times: ArrayLike, true: ArrayLike, pred: ArrayLike, *, fold: ArrayLike | None = None, title: str = "", y: str = ""
) -> Figure:
    """Measured and predicted course of one target.

    Args:
        times: [N] seconds.
        true: [N] measured.
        pred: [N] predicted, when held out.
        fold: [N] in which fold; the borders are drawn.
        title: above the chart.
        y: the unit.

    Raises:
        DataError: the courses differ in length.
    """
    made = figure(9, 2.6)
    ax = made.subplots()
    seconds, measured, predicted = aligned(times=times, measured=true, predicted=pred)
    ax.plot(seconds, measured, color=MUTED, linewidth=1.0, label="measured")
    ax.plot(seconds, predicted, color=SECOND, linewidth=1.5, label="predicted")
    if fold is not None:
        for border in np.flatnonzero(np.diff(np.asarray(fold))):
            ax.axvline(seconds[border : border + 2].mean(), color=FAINT, linewidth=1.2, zorder=0)
    ax.margins(x=0)
    tidy(ax, title=title, x="seconds of the recording", y=y)
    legend(made, ax)
    return made


def gallery(rows: Mapping[str, Sequence[ArrayLike]], *, columns: Sequence[str] = (), title: str = "") -> Figure:
    """Pictures in rows, such as originals above their reconstructions; after twelve columns the rows begin anew below.

    Args:
        rows: name -> pictures, each [H, W] (grey, black to white over the row) or [H, W, 3] in [0, 1].
        columns: a caption per column.
        title: above all.

    Raises:
        DataError: there is no picture.
    """
    arrays = {name: [np.asarray(picture, dtype=float) for picture in row] for name, row in rows.items()}
    count = max(map(len, arrays.values()), default=0)
    if not count:
        raise DataError(f"a gallery of the rows {list(rows)} has no picture; wanted one or more")
    starts = range(0, count, ACROSS)
    captions = [textwrap.fill(caption, 13) for caption in columns]
    deepest = LINE * max((1 + caption.count("\n") for caption in captions), default=0)
    made, axes = axes_grid(
        len(starts) * len(arrays),
        min(count, ACROSS),
        width=max(4.0, 0.95 * min(count, ACROSS) + LETTER * max(map(len, arrays)) + 0.2),
        height=len(starts) * (1.0 * len(arrays) + deepest) + 0.35,
    )
    for number, start in enumerate(starts):
        block = axes[number * len(arrays) :]
        for line, (name, pictures) in zip(block, arrays.items(), strict=False):
            _row(line, name, pictures[start : start + ACROSS], limits(pictures))
        for ax, caption in zip(block[0], captions[start:], strict=False):
            ax.set_title(caption, fontsize=8, color=MUTED)
    heading(made, title)
    return made


def matrix(
    values: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str = "",
    x: str = "",
    y: str = "",
    label: str = "",
) -> Figure:
    """A table as colours, [rows, columns], such as a confusion matrix; light is low, grey is NaN.

    Raises:
        DataError: the values are not [rows, columns].
    """
    table = np.asarray(values, dtype=float)
    if table.shape != (len(rows), len(columns)) or not table.size:
        raise DataError(f"values have the shape {table.shape}; wanted [{len(rows)}, {len(columns)}], and some")
    cell = min(1.2, max(0.19, 3.4 / max(table.shape)))  # inches
    longest = LETTER * max(map(len, rows))
    made = figure(max(3.6, cell * len(columns) + longest + 1.5), max(1.6, cell * len(rows)) + 0.9)
    ax = made.subplots()
    low, high = limits([table, [0.0]])
    image = ax.imshow(table, cmap="Blues", vmin=low, vmax=high, interpolation="nearest")
    ax.set_facecolor(NOTHING)
    name_places(made, ax, columns, cell)
    ax.set_yticks(np.arange(len(rows)), rows)
    tidy(ax, x=x, y=y, grid=None)
    colour_bar(made, image, ax, label, shrink=0.8)
    heading(made, title)
    return made


def histogram(
    groups: Mapping[str, ArrayLike], *, x: str = "r", y: str = "targets", title: str = "", mark: float | None = None
) -> Figure:
    """Distributions over common bins, the first filled and the others as outlines; `mark` is a vertical line.

    Values that are not finite are left out.
    """
    made = figure(5.4, 3.0)
    ax = made.subplots()
    arrays = {name: finite(values) for name, values in groups.items()}
    everything = np.concatenate([np.empty(0), *arrays.values()])
    bins = np.histogram_bin_edges(everything, bins=int(np.clip(2 * np.sqrt(len(everything)), 8, 40)))
    for number, (name, values) in enumerate(arrays.items()):
        look = {"histtype": "step", "color": SECOND} if number else {"histtype": "stepfilled", "color": ACCENT}
        ax.hist(values, bins=bins.tolist(), alpha=0.8, linewidth=1.6, label=name, **look)  # type: ignore[arg-type]
    if mark is not None:
        ax.axvline(mark, color=INK, linewidth=1, linestyle="--")
    ax.yaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    tidy(ax, title=title, x=x, y=y)
    if len(groups) > 1:
        legend(made, ax)
    return made


def scatter(
    x: ArrayLike, y: ArrayLike, *, x_label: str, y_label: str, title: str = "", diagonal: bool = True
) -> Figure:
    """Two numbers per target against each other, by density; the diagonal is where they are equal.

    Raises:
        DataError: they differ in length.
    """
    made = figure(4.6, 4.0)
    ax = made.subplots()
    across, up = aligned(**{x_label: x, y_label: y})
    if len(across) > 500:
        ax.hexbin(across, up, gridsize=45, bins="log", cmap=_visible("Blues"), mincnt=1, linewidths=0)
    else:
        ax.scatter(across, up, s=14, color=ACCENT, alpha=0.6, linewidths=0)
    if diagonal:
        ends = limits([across, up])
        ax.plot(ends, ends, color=SECOND, linewidth=1.2, linestyle="--")
    tidy(ax, title=title, x=x_label, y=y_label)
    return made


def _places(names: Sequence[str], width: float) -> tuple[Figure, Axes]:
    """A figure for bars above names, with room for four at least: a single bar is no wall."""
    made = figure(width, 3.2)
    ax = made.subplots()
    half = max(len(names) / 2 + 0.1, 2.0)
    ax.set_xlim((len(names) - 1) / 2 - half, (len(names) - 1) / 2 + half)
    ax.axhline(0, color=MUTED, linewidth=0.8)
    name_places(made, ax, names, (width - 0.8) / (2 * half))
    return made, ax


def _row(line: Sequence[Axes], name: str, pictures: Sequence[NDArray[np.float64]], ends: tuple[float, float]) -> None:
    """One line of a gallery; `ends` are black and white."""
    blank(line)
    for ax, picture in zip(line, pictures, strict=False):
        shown = np.clip(picture, 0, 1) if picture.ndim == 3 else picture
        ax.imshow(shown, cmap="gray", vmin=ends[0], vmax=ends[1], interpolation="nearest")
        ax.set_facecolor(NOTHING)
    line[0].set_ylabel(name, fontsize=9, color=INK, rotation=0, ha="right", va="center")


def _marks(
    ax: Axes, levels: NDArray[np.float64], colour: str, dashes: tuple[float, Sequence[float]], name: str
) -> None:
    """A horizontal mark across each bar."""
    places = np.arange(len(levels))
    ax.hlines(levels, places - 0.38, places + 0.38, linestyles=dashes, colors=colour, label=name, zorder=4)


def _shades(count: int) -> list[Any]:
    """Colours from light to dark that keep their order in grey."""
    return [ACCENT] if count == 1 else list(colormaps["viridis"](np.linspace(0.88, 0.12, count)))


def _visible(cmap: str) -> Colormap:
    """The darker part of a colour map, so that the lowest count stands out from white."""
    return ListedColormap(colormaps[cmap](np.linspace(0.3, 1, 256)))
