"""One look for all figures. Figures are made without pyplot: nothing global changes, and no screen is needed."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["ACCENT", "FAINT", "INK", "MUTED", "SECOND", "axes_grid", "blank", "figure", "tidy"]

# colours that stay apart for colour-blind eyes (after Okabe & Ito 2008)
INK, MUTED, FAINT = "#22262b", "#6b7480", "#d9dee3"
ACCENT, SECOND = "#0072b2", "#d55e00"


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
