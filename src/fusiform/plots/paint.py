"""How numbers become colours on a map, and what stands around it: the legend, the title and a note."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize, to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fusiform.plots.numbers import finite
from fusiform.plots.style import MUTED, NOTHING, colour_bar, heading, legend_axes

__all__ = ["Look", "Paint", "Painter", "Tints", "finish", "paint_for", "steps_of"]

MOST_NAMES = 20  # that fit beside the colour bar
TALLEST = 2.7  # inches of a colour bar
Floats = NDArray[np.floating]


class Look(TypedDict, total=False):
    """How the numbers of maps become colours, and what these are called; all of it may be left out.

    Args:
        label: of the colour bar.
        cmap: a matplotlib colour map; `magma` by default.
        limits: of the colours; from the 1st to the 99th percentile by default.
        categories: names, in their order, of which the values are positions; colours are then steps.
    """

    label: str
    cmap: str | Colormap
    limits: tuple[float, float] | None
    categories: Sequence[str] | None


class Painter(Protocol):
    """Whatever gives numbers their colours, and says so beside the map."""

    def __call__(self, values: Floats) -> NDArray[np.float64]:
        """[...] to RGBA [..., 4]; NaN is grey."""

    def explain(self, made: Figure, axes: Sequence[Axes]) -> None:
        """Draw the legend right of the axes."""


@dataclass(frozen=True)
class Paint:
    """How numbers become colours, the names of categories, and the label of the colour bar."""

    cmap: Colormap
    norm: Normalize
    categories: Sequence[str] | None
    label: str

    def __call__(self, values: Floats) -> NDArray[np.float64]:
        """[...] to RGBA [..., 4]; NaN is grey."""
        colours = np.asarray(self.cmap(self.norm(np.where(np.isnan(values), 0.0, values))))
        colours[np.isnan(values)] = to_rgba(NOTHING)
        return colours

    def explain(self, made: Figure, axes: Sequence[Axes]) -> None:
        """A colour bar, with the names of categories where there are some."""
        shrink = min(0.7, TALLEST / made.get_figheight())
        bar = colour_bar(made, ScalarMappable(self.norm, self.cmap), axes, self.label, shrink=shrink)
        if self.categories is not None:
            step = -(-len(self.categories) // MOST_NAMES)
            bar.set_ticks(list(range(0, len(self.categories), step)), labels=list(self.categories[::step]))
            bar.minorticks_off()
            bar.ax.tick_params(length=0)


@dataclass(frozen=True)
class Tints:
    """A colour for each of V targets, where two numbers make one colour.

    Args:
        colours: [V, 3] RGB in [0, 1]; NaN is grey.
        legend: draws on axes what the colours mean.
        size: of these axes, width and height in inches.
    """

    colours: NDArray[np.float64]
    legend: Callable[[Axes], None]
    size: tuple[float, float] = (1.15, 1.15)

    @property
    def targets(self) -> NDArray[np.float64]:
        """[V] the numbers of the targets: what is painted."""
        return np.arange(len(self.colours), dtype=np.float64)

    def __call__(self, values: Floats) -> NDArray[np.float64]:
        """Numbers of targets [...] to their RGBA [..., 4]; NaN is grey."""
        known = np.isfinite(values)
        colours = np.broadcast_to(to_rgba(NOTHING), (*values.shape, 4)).copy()
        found = self.colours[values[known].astype(np.int64)]
        colours[known, :3] = np.where(np.isfinite(found).all(1, keepdims=True), found, colours[known, :3])
        return colours

    def explain(self, made: Figure, axes: Sequence[Axes]) -> None:
        """The legend that the colours came with."""
        self.legend(legend_axes(made, axes, self.size))


def paint_for(
    maps: Sequence[Floats],
    *,
    label: str = "",
    cmap: str | Colormap = "magma",
    limits: tuple[float, float] | None = None,
    categories: Sequence[str] | None = None,
) -> Paint:
    """The colours of maps that share them.

    Args:
        maps: values of any shape; NaN and infinite ones have no say.
        label, cmap, limits, categories: as in `Look`.
    """
    if categories is not None:
        steps = ListedColormap(steps_of(cmap, len(categories)))
        return Paint(steps, BoundaryNorm(np.arange(len(categories) + 1) - 0.5, len(categories)), categories, label)
    numbers = np.concatenate([finite(values) for values in maps])
    low, high = limits or (np.percentile(numbers, (1, 99)) if len(numbers) else (0.0, 1.0))
    return Paint(colormaps.get_cmap(cmap), Normalize(low, high if high > low else low + 1), None, label)


def steps_of(cmap: str | Colormap, count: int) -> NDArray[np.float64]:
    """RGBA of `count` categories, [count, 4]: spread over the colour map, or its own ones in turn if it lists a few."""
    chosen = colormaps.get_cmap(cmap)
    places = np.arange(count) % chosen.N if chosen.N < 256 else np.linspace(0.05, 0.95, count)
    return np.asarray(chosen(places))


def finish(made: Figure, axes: Sequence[Axes], paint: Painter, title: str, note: str) -> None:
    """Say what the colours mean, right of the axes, what the figure is, above, and what it used, below."""
    paint.explain(made, axes)
    heading(made, title)
    if note:
        made.supxlabel(note, fontsize=7, color=MUTED)
