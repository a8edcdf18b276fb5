"""One look for all figures. Figures are made without pyplot: nothing global changes, and no screen is needed."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar, make_axes
from matplotlib.figure import Figure

__all__ = [
    "ACCENT",
    "FAINT",
    "INK",
    "LETTER",
    "LINE",
    "MUTED",
    "NOTHING",
    "SECOND",
    "axes_grid",
    "blank",
    "colour_bar",
    "figure",
    "heading",
    "legend",
    "legend_axes",
    "name_places",
    "tidy",
]

# colours that stay apart for colour-blind eyes (after Okabe & Ito 2008)
INK, MUTED, FAINT = "#22262b", "#6b7480", "#d9dee3"
ACCENT, SECOND = "#0072b2", "#d55e00"
NOTHING = "#dbdee1"  # where there is no value
LETTER, LINE = 0.07, 0.17  # inches that small print (8 points) takes, across and down


def figure(width: float = 7.2, height: float = 3.2) -> Figure:
    """An empty figure of this size in inches."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def axes_grid(rows: int, columns: int, *, width: float, height: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure and its axes, row by row; `width` and `height` in inches are of the whole."""
    made = figure(width, height)
    return made, [list(row) for row in made.subplots(rows, columns, squeeze=False)]


def tidy(ax: Axes, *, title: str = "", x: str = "", y: str = "", grid: str | None = "y") -> None:
    """Give axes the common look: words in place, thin grid, no box.

    Args:
        ax: the axes.
        title: set to the left above.
        x: label of the horizontal axis.
        y: label of the vertical axis.
        grid: `"x"`, `"y"`, or None for neither.
    """
    ax.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold")
    ax.set_xlabel(x, fontsize=9, color=INK)
    ax.set_ylabel(y, fontsize=9, color=INK)
    ax.tick_params(labelsize=8, colors=MUTED, labelcolor=INK, length=3)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.set_axisbelow(True)
    if grid is not None:
        ax.grid(axis="x" if grid == "x" else "y", color=FAINT, linewidth=0.7)


def blank(axes: Sequence[Axes]) -> None:
    """Remove frames and ticks: for pictures."""
    for ax in axes:
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(False)


def heading(made: Figure, title: str) -> None:
    """The title of a figure that has several axes or a colour bar."""
    if title:
        made.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold", color=INK)


def colour_bar(
    made: Figure, colours: ScalarMappable, axes: Axes | Sequence[Axes], label: str, *, shrink: float
) -> Colorbar:
    """What the colours mean, right of the axes."""
    bar = made.colorbar(colours, ax=axes, shrink=shrink, pad=0.015)
    bar.set_label(label, fontsize=9, color=INK)
    bar.ax.tick_params(labelsize=8, colors=MUTED, labelcolor=INK)
    return bar


def legend_axes(made: Figure, axes: Sequence[Axes], size: tuple[float, float]) -> Axes:
    """Axes of about this size, width and height in inches, right of the others: for a legend in two dimensions."""
    across, up = size[0] / made.get_figwidth(), size[1] / made.get_figheight()
    beside, _ = make_axes(
        list(axes), location="right", fraction=across, shrink=min(1.0, 1.3 * up), aspect=size[1] / size[0], pad=0.015
    )
    beside.tick_params(labelsize=8, colors=MUTED, labelcolor=INK, length=0)
    beside.spines[:].set_visible(False)
    return beside


def name_places(made: Figure, ax: Axes, names: Sequence[str], space: float) -> None:
    """Name the places 0, 1, ... of the horizontal axis.

    Names that would touch are slanted, and the figure grows by what they then need below; where even slanted ones
    would touch, only every second (third, ...) is written.

    Args:
        made: the figure.
        ax: its only axes.
        names: in order.
        space: inches from one place to the next.
    """
    longest = max(map(len, names), default=0) * LETTER
    if longest <= space:
        ax.set_xticks(range(len(names)), names)
        return
    step = math.ceil(1.1 * LINE / space)
    ax.set_xticks(range(0, len(names), step), names[::step], rotation=45, ha="right", rotation_mode="anchor")
    _grow(made, 0.7 * longest)


def legend(made: Figure, ax: Axes) -> None:
    """The names of what was drawn, below the axes: in one line if they fit, else in columns on a taller figure."""
    handles, labels = ax.get_legend_handles_labels()
    if not handles:
        return
    widths = [0.6 + LETTER * len(label) for label in labels]  # inches, with a sample and a gap
    fit = sum(widths) <= made.get_figwidth()
    columns = len(labels) if fit else max(1, int(made.get_figwidth() // max(widths)))
    made.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)
    _grow(made, LINE * (math.ceil(len(labels) / columns) - 1))


def _grow(made: Figure, more: float) -> None:
    made.set_figheight(made.get_figheight() + more)
