"""Two numbers as one colour: a place in the picture as hue and light, a layer as hue that fades where it is undecided.

Hues lie around the circle of OKLCh, in which equal steps look equal and no hue is lighter than another (Ottosson 2020,
"A perceptual color space for image processing").
"""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from numpy.typing import ArrayLike, NDArray

from fusiform.plots.numbers import aligned
from fusiform.plots.paint import MOST_NAMES, Tints
from fusiform.plots.style import INK, LINE

__all__ = ["layered", "oklch", "polar", "retinotopy"]

Floats = NDArray[np.float64]
DARK, BRIGHT = 0.42, 0.76  # lightness in the middle of the picture, and at its edges
VIVID = 0.17  # chroma at the edges
PLAIN = np.array([0.62, 0.64, 0.66])  # where no layer stands out: darker than where there is no value
FINE = 101  # pixels of a legend's side


def retinotopy(x: ArrayLike, y: ArrayLike) -> Tints:
    """Places in a picture: the hue is the polar angle, light and colourful is far from the middle, dark is near.

    Light and colour grow with the root of the distance, for much of what cortex reads is near the middle.

    Args:
        x: [V] from the left edge (-1) to the right one (1).
        y: [V] from the upper edge (-1) to the lower one (1).
    """
    return Tints(_at(*aligned(x=x, y=y)), _draw_field)


def polar(x: ArrayLike, y: ArrayLike) -> Tints:
    """The hues of `retinotopy` alone, as bright near the middle as far from it."""
    across, down = aligned(x=x, y=y)
    return Tints(_hue(across, down), _draw_wheel)


def layered(place: ArrayLike, confidence: ArrayLike, layers: Sequence[str]) -> Tints:
    """Places among layers, in the colours of `viridis`, that fade to grey where the choice is undecided.

    Args:
        place: [V] from 0, the first layer, to the number of layers less one.
        confidence: [V] from 0, undecided, to 1.
        layers: their names, in order.
    """
    last = max(1, len(layers) - 1)
    colours = _faded(*aligned(place=np.asarray(place, dtype=float) / last, confidence=confidence))
    tall = min(2.7, max(1.15, LINE * len(layers)))  # inches
    return Tints(colours, lambda ax: _draw_layers(ax, layers), (0.75, tall))


def oklch(lightness: ArrayLike, chroma: ArrayLike, angle: ArrayLike) -> Floats:
    """Colours of OKLCh as sRGB, [..., 3] in [0, 1]; what a screen cannot show is cut off.

    Args:
        lightness: [...] from 0, black, to 1, white.
        chroma: [...] from 0, grey, to about .3.
        angle: [...] of the hue, in radians.
    """
    chroma, angle = np.asarray(chroma), np.asarray(angle)
    lab = np.stack(np.broadcast_arrays(lightness, chroma * np.cos(angle), chroma * np.sin(angle)), axis=-1)
    linear = (lab @ _CONES.T) ** 3 @ _SCREEN.T
    bright = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return np.asarray(np.where(linear > 0.0031308, bright, 12.92 * linear).clip(0, 1))


# from OKLab to the cube roots of cone responses, and from cone responses to linear sRGB
_CONES = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
)
_SCREEN = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def _at(x: Floats, y: Floats) -> Floats:
    far = np.sqrt(np.minimum(np.hypot(x, y), 1.0))  # NaN stays NaN
    return oklch(DARK + (BRIGHT - DARK) * far, VIVID * far, np.arctan2(-y, x))


def _hue(x: Floats, y: Floats) -> Floats:
    return oklch(BRIGHT, np.where(np.isnan(x + y), np.nan, VIVID), np.arctan2(-y, x))


def _faded(place: Floats, confidence: Floats) -> Floats:
    """`place` from 0 to 1."""
    colours = np.asarray(colormaps["viridis"](np.nan_to_num(place)))[..., :3]
    share = np.clip(confidence, 0, 1)[..., None]
    mixed = share * colours + (1 - share) * PLAIN
    return np.asarray(np.where(np.isnan(place)[..., None], np.nan, mixed))


def _draw_field(ax: Axes) -> None:
    """The picture's own square, up as in the picture, with circles at half and at full eccentricity."""
    ax.imshow(_at(*_SQUARE), extent=(-1, 1, 1, -1), interpolation="bilinear")
    for radius in (0.5, 1.0):
        ax.add_patch(Circle((0, 0), radius, fill=False, edgecolor="white", linewidth=0.6, alpha=0.8))
    _name_directions(ax, "place in the picture")


def _draw_wheel(ax: Axes) -> None:
    """Directions from the middle of the picture, up as in the picture."""
    disc = ax.imshow(_hue(*_SQUARE), extent=(-1, 1, 1, -1), interpolation="bilinear")
    disc.set_clip_path(Circle((0, 0), 1.0, transform=ax.transData))
    _name_directions(ax, "polar angle")


def _name_directions(ax: Axes, title: str) -> None:
    ax.set_xticks([-0.75, 0.75], ["left", "right"])
    ax.set_yticks([-0.75, 0.75], ["up", "down"])
    ax.set_title(title, fontsize=8, color=INK)


_SQUARE = np.meshgrid(np.linspace(-1, 1, FINE), np.linspace(-1, 1, FINE))


def _draw_layers(ax: Axes, layers: Sequence[str]) -> None:
    """Layers from below to above, from undecided on the left to decided on the right."""
    confidence, place = np.meshgrid(np.linspace(0, 1, FINE), np.linspace(0, 1, FINE))
    top = len(layers) - 1
    half = 0.0 if top else 0.5  # one layer has no extent of its own
    ax.imshow(
        _faded(place * (top > 0), confidence),
        origin="lower",
        extent=(0, 1, -half, top + half),
        aspect="auto",
        interpolation="bilinear",
    )
    step = -(-len(layers) // MOST_NAMES)
    ax.set_yticks(range(0, len(layers), step), layers[::step])
    ax.yaxis.tick_right()
    ax.set_xticks([0, 1], ["0", "1"])
    ax.set_xlabel("confidence", fontsize=8, color=INK)
    ax.set_title("mean layer", fontsize=8, color=INK)
