"""How numbers become colours on a map, and what stands around it: the colour bar, the title and a note."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize, to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fusiform.plots.numbers import finite
from fusiform.plots.style import MUTED, NOTHING, colour_bar, heading

__all__ = ["Paint", "finish", "paint_for"]

MOST_NAMES = 20  # that fit beside the colour bar
TALLEST = 2.7  # inches of a colour bar
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Paint:
    """How numbers become colours, and the names of categories."""

    cmap: Colormap
    norm: Normalize
    categories: Sequence[str] | None

    def __call__(self, values: Floats) -> NDArray[np.float64]:
        """[...] to RGBA [..., 4]; NaN is grey."""
        colours = np.asarray(self.cmap(self.norm(np.where(np.isnan(values), 0.0, values))))
        colours[np.isnan(values)] = to_rgba(NOTHING)
        return colours


def paint_for(
    maps: Sequence[Floats], cmap: str, limits: tuple[float, float] | None, categories: Sequence[str] | None
) -> Paint:
    """The colours of maps that share them.

    Args:
        maps: values of any shape; NaN and infinite ones have no say.
        cmap: a matplotlib colour map.
        limits: of the colours; from the 1st to the 99th percentile by default.
        categories: names, in their order, of which the values are positions; colours are then steps.
    """
    if categories is not None:
        steps = ListedColormap(colormaps[cmap](np.linspace(0.05, 0.95, len(categories))))
        return Paint(steps, BoundaryNorm(np.arange(len(categories) + 1) - 0.5, len(categories)), categories)
    numbers = np.concatenate([finite(values) for values in maps])
    low, high = limits or (np.percentile(numbers, (1, 99)) if len(numbers) else (0.0, 1.0))
    return Paint(colormaps[cmap], Normalize(low, high if high > low else low + 1), None)


def finish(made: Figure, axes: Sequence[Axes], paint: Paint, title: str, label: str, note: str) -> None:
    """Say what the colours mean, right of the axes, what the figure is, above, and what it used, below."""
    bar = colour_bar(
        made, ScalarMappable(paint.norm, paint.cmap), axes, label, shrink=min(0.7, TALLEST / made.get_figheight())
    )
    if paint.categories is not None:
        step = -(-len(paint.categories) // MOST_NAMES)
        bar.set_ticks(list(range(0, len(paint.categories), step)), labels=list(paint.categories[::step]))
        bar.minorticks_off()
        bar.ax.tick_params(length=0)
    heading(made, title)
    if note:
        made.supxlabel(note, fontsize=7, color=MUTED)
