"""The inflated cortex turning around, as a moving picture (GIF) with its legend."""

import io
from functools import lru_cache

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from fusiform.checking import at_least
from fusiform.data import Space
from fusiform.plots.camera import Shot, look, together
from fusiform.plots.filling import fill
from fusiform.plots.meshes import HEMISPHERES
from fusiform.plots.paint import Tints

__all__ = ["spin"]

STEP = 0.55  # mm of a pixel
MARGIN = 4.0  # mm around the brain
SECONDS = 6.0  # of a turn
COLOURS = 256  # of the palette that all frames share
WEIGHT = 20  # of the legend's pixels in it: it is small, and has all colours
DPI, AROUND = 100, 0.1  # of the legend, and white inches around it

Pixels = NDArray[np.uint8]


def spin(tints: Tints, space: Space, *, frames: int = 30) -> bytes:
    """Both inflated hemispheres on fsaverage5, turning once around to the left and over again, as a GIF.

    It begins behind the brain: the left hemisphere is on the left.

    Args:
        tints: the colour of each of the V targets, and the legend.
        space: where they live; it must name vertices of an fsaverage mesh.
        frames: of one turn.

    Raises:
        DataError: the space has no mesh, another one, or not V targets.
        SettingsError: there is no frame.
    """
    at_least(1, frames=frames)
    filled, _ = fill(tints.targets, space)
    colours = tints(np.concatenate([filled[hemisphere] for hemisphere in HEMISPHERES]))
    beside = _legend(tints)
    turn = [_frame(shot, colours, beside) for shot in _turn(frames)]
    palette = _palette([*turn[:: max(1, frames // 6)], *[beside] * WEIGHT])
    return _gif([_indexed(frame, palette) for frame in turn], round(1000 * SECONDS / frames))


@lru_cache(maxsize=1)
def _turn(frames: int) -> tuple[Shot, ...]:
    """Taken from all around, evenly apart; they are the same for every map."""
    mesh = together()
    reach = np.hypot(mesh.points[:, 0], mesh.points[:, 1]).max() + MARGIN
    height = np.abs(mesh.points[:, 2]).max() + MARGIN
    extent = (-reach, reach, -height, height)
    return tuple(look(mesh, 360 * number / frames, extent, STEP) for number in range(frames))


def _frame(shot: Shot, colours: NDArray[np.float64], beside: Pixels) -> Pixels:
    """The brain on white, and the legend right of it, [H, W, 3]."""
    image = shot.coloured(colours)[::-1]
    image = image[..., :3] * image[..., 3:] + 1 - image[..., 3:]
    brain = np.round(255 * image).astype(np.uint8)
    height = max(len(brain), len(beside))
    return np.concatenate([_padded(brain, height), _padded(beside, height)], axis=1)


def _padded(image: Pixels, height: int) -> Pixels:
    """White above and below."""
    above = (height - len(image)) // 2
    return np.pad(image, ((above, height - len(image) - above), (0, 0), (0, 0)), constant_values=255)


def _legend(tints: Tints) -> Pixels:
    """The legend alone, as wide as its names are long, [H, W, 3]."""
    made = Figure(figsize=tints.size, facecolor="white")
    ax = made.add_axes((0, 0, 1, 1))  # words stand around the figure, and are cut out with it
    ax.tick_params(labelsize=8, length=0)
    ax.spines[:].set_visible(False)
    tints.legend(ax)
    buffer = io.BytesIO()
    made.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight", pad_inches=AROUND)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"))


def _palette(images: list[Pixels]) -> Image.Image:
    """The colours that stand for all of these: one palette, so that colours do not flicker; the first is white."""
    pixels = np.concatenate([image.reshape(-1, 1, 3) for image in images])
    mixed = Image.fromarray(pixels).quantize(COLOURS - 1, method=Image.Quantize.MEDIANCUT)
    palette = Image.new("P", (1, 1))
    palette.putpalette([255, 255, 255, *(mixed.getpalette() or [])])
    return palette


def _indexed(frame: Pixels, palette: Image.Image) -> Image.Image:
    """Each pixel as the nearest colour; Pillow looks nearly white ones up as if they were white, and the reverse."""
    found = Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
    found.paste(0, mask=Image.fromarray(255 * (frame == 255).all(axis=2).astype(np.uint8)))
    return found


def _gif(frames: list[Image.Image], pause: int) -> bytes:
    """A moving picture that begins anew at its end; `pause` in milliseconds."""
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=pause, loop=0, optimize=False)
    return buffer.getvalue()
