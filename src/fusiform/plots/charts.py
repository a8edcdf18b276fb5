"""Charts of plain arrays: bars by region, time courses, pictures, confusion, distributions, layers."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from fusiform.errors import DataError
from fusiform.plots.style import ACCENT, FAINT, INK, MUTED, SECOND, axes_grid, blank, figure, tidy

__all__ = ["bars", "gallery", "grouped_bars", "histogram", "lines", "matrix", "scatter", "timecourse"]


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
    heights = np.asarray(values, dtype=float)
    if len(heights) != len(names):
        raise DataError(f"there are {len(heights)} values and {len(names)} names; wanted one name per value")
    made = figure(max(4.5, 0.9 * len(names) + 1.5), 3.2)
    ax = made.subplots()
    places = np.arange(len(names))
    ax.bar(places, heights, width=0.62, color=ACCENT, alpha=0.85, zorder=2)
    if dots is not None:
        people = np.asarray(dots, dtype=float)
        spread = np.linspace(-0.2, 0.2, len(people))[:, None] + places
        ax.scatter(spread, people, s=9, color=INK, alpha=0.45, linewidths=0, label="single people", zorder=3)
    if null is not None:
        _marks(ax, null, SECOND, (0, (3, 1.5)), "95 % of chance")
    if ceiling is not None:
        _marks(ax, ceiling, INK, (0, ()), ceiling_label)
    ax.axhline(0, color=MUTED, linewidth=0.8)
    ax.set_xticks(places, names)
    tidy(ax, title=title, y=label)
    _legend(made, ax)
    return made


def grouped_bars(groups: Mapping[str, ArrayLike], names: Sequence[str], *, label: str = "r", title: str = "") -> Figure:
    """Several bars per region, from light to dark in the order of the groups (each [V])."""
    made = figure(max(5.5, 1.15 * len(names) + 1.5), 3.2)
    ax = made.subplots()
    width = 0.8 / len(groups)
    shades = _shades(len(groups))
    for number, (name, values) in enumerate(groups.items()):
        places = np.arange(len(names)) + (number - (len(groups) - 1) / 2) * width
        ax.bar(places, np.asarray(values, dtype=float), width=width * 0.9, color=shades[number], label=name, zorder=2)
    ax.axhline(0, color=MUTED, linewidth=0.8)
    ax.set_xticks(np.arange(len(names)), names)
    tidy(ax, title=title, y=label)
    _legend(made, ax)
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
    """
    made = figure(9, 2.6)
    ax = made.subplots()
    seconds = np.asarray(times, dtype=float)
    ax.plot(seconds, np.asarray(true), color=MUTED, linewidth=1.0, label="measured")
    ax.plot(seconds, np.asarray(pred), color=SECOND, linewidth=1.5, label="predicted")
    if fold is not None:
        for border in np.flatnonzero(np.diff(np.asarray(fold))):
            ax.axvline(seconds[border : border + 2].mean(), color=FAINT, linewidth=1.2, zorder=0)
    ax.set_xlim(seconds[0], seconds[-1])
    tidy(ax, title=title, x="seconds of the recording", y=y)
    _legend(made, ax)
    return made


def gallery(rows: Mapping[str, Sequence[ArrayLike]], *, columns: Sequence[str] = (), title: str = "") -> Figure:
    """Pictures in rows, such as originals above their reconstructions.

    Args:
        rows: name -> pictures, each [H, W] (grey, black to white over the row) or [H, W, 3] in [0, 1].
        columns: a caption per column.
        title: above all.
    """
    count = max(len(pictures) for pictures in rows.values())
    made, axes = axes_grid(len(rows), count, width=max(4.0, 0.95 * count + 1), height=1.05 * len(rows) + 0.5)
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        blank(line)
        arrays = [np.asarray(picture, dtype=float) for picture in pictures]
        low, high = min(map(np.min, arrays)), max(map(np.max, arrays))
        for ax, picture in zip(line, arrays, strict=False):
            ax.imshow(picture, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        line[0].set_ylabel(name, fontsize=9, color=INK)
    for ax, caption in zip(axes[0], columns, strict=False):
        ax.set_title(caption, fontsize=8, color=MUTED)
    if title:
        made.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold", color=INK)
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
    """A table as colours, [rows, columns], such as a confusion matrix; light is low."""
    made = figure(4.6, 4.0)
    ax = made.subplots()
    image = ax.imshow(np.asarray(values, dtype=float), cmap="Blues", vmin=0, interpolation="nearest")
    ax.set_xticks(np.arange(len(columns)), columns, rotation=45, ha="right")
    ax.set_yticks(np.arange(len(rows)), rows)
    tidy(ax, title=title, x=x, y=y, grid=None)
    bar = made.colorbar(image, ax=ax, shrink=0.8, label=label)
    bar.ax.tick_params(labelsize=8)
    return made


def histogram(
    groups: Mapping[str, ArrayLike], *, x: str = "r", y: str = "targets", title: str = "", mark: float | None = None
) -> Figure:
    """Distributions over common bins, the first filled and the others as outlines; `mark` is a vertical line."""
    made = figure(5.4, 3.0)
    ax = made.subplots()
    arrays = {name: np.asarray(values, dtype=float).ravel() for name, values in groups.items()}
    bins = np.histogram_bin_edges(np.concatenate(list(arrays.values())), bins=40)
    for number, (name, values) in enumerate(arrays.items()):
        look = {"histtype": "step", "color": SECOND} if number else {"histtype": "stepfilled", "color": ACCENT}
        ax.hist(values, bins=bins.tolist(), alpha=0.8, linewidth=1.6, label=name, **look)  # type: ignore[arg-type]
    if mark is not None:
        ax.axvline(mark, color=INK, linewidth=1, linestyle="--")
    tidy(ax, title=title, x=x, y=y)
    _legend(made, ax)
    return made


def scatter(
    x: ArrayLike, y: ArrayLike, *, x_label: str, y_label: str, title: str = "", diagonal: bool = True
) -> Figure:
    """Two numbers per target against each other, by density; the diagonal is where they are equal."""
    made = figure(4.6, 4.0)
    ax = made.subplots()
    across, up = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(across) > 500:
        ax.hexbin(across, up, gridsize=45, bins="log", cmap="Blues", mincnt=1, linewidths=0)
    else:
        ax.scatter(across, up, s=10, color=ACCENT, alpha=0.6, linewidths=0)
    if diagonal:
        ends = [float(min(across.min(), up.min())), float(max(across.max(), up.max()))]
        ax.plot(ends, ends, color=SECOND, linewidth=1.2, linestyle="--")
    tidy(ax, title=title, x=x_label, y=y_label)
    return made


def lines(
    values: Mapping[str, ArrayLike], names: Sequence[str], *, x: str = "layer", y: str = "r", title: str = ""
) -> Figure:
    """A line per group over ordered things, such as the mean r of each layer in each region."""
    made = figure(5.8, 3.2)
    ax = made.subplots()
    for shade, (name, heights) in zip(_shades(len(values)), values.items(), strict=True):
        ax.plot(
            np.arange(len(names)), np.asarray(heights, dtype=float), marker="o", markersize=4, color=shade, label=name
        )
    ax.set_xticks(np.arange(len(names)), names)
    tidy(ax, title=title, x=x, y=y)
    _legend(made, ax)
    return made


def _marks(ax: Axes, levels: ArrayLike, colour: str, dashes: tuple[float, Sequence[float]], name: str) -> None:
    """A horizontal mark across each bar."""
    heights = np.asarray(levels, dtype=float)
    places = np.arange(len(heights))
    ax.hlines(heights, places - 0.38, places + 0.38, linestyles=dashes, colors=colour, label=name, zorder=4)


def _shades(count: int) -> NDArray[np.float64]:
    """Colours from light to dark that keep their order in grey, [count, 4]."""
    from matplotlib import colormaps

    return np.asarray(colormaps["viridis"](np.linspace(0.88, 0.12, count)))


def _legend(made: Figure, ax: Axes) -> None:
    """One line of names below the chart, where several things were drawn."""
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        made.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)), fontsize=8, frameon=False)
