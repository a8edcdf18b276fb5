"""Paint scenes: [64, 64, 3] pictures of 8 bits on 1/f backgrounds."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiform.datasets.simulated.scenes import Scene, Thing

__all__ = ["OUTLINES", "SIZE", "paint"]

SIZE = 64  # pixels of a side

Plane = NDArray[np.floating]  # [rows, columns], or what broadcasts to it


def paint(scene: Scene, random: np.random.Generator) -> NDArray[np.uint8]:
    """One picture, [SIZE, SIZE, 3].

    Args:
        scene: what it shows.
        random: draws the background and the grain of the things.
    """
    clouds = _clouds(random)  # [3, SIZE, SIZE], zero mean and unit deviation
    tint = random.uniform(0.32, 0.68, 3)
    mix = random.normal(0, 0.035, (3, 3)) + 0.075  # shared light, and colours that drift apart
    canvas = (tint[:, None, None] + np.tensordot(mix, clouds, 1)).astype(np.float32)
    for thing in scene.things:
        _add(canvas, thing, clouds[0])
    return np.asarray((canvas.clip(0, 1) * 255).round().transpose(1, 2, 0), dtype=np.uint8)


def _clouds(random: np.random.Generator) -> NDArray[np.float32]:
    """Three fields of noise with an amplitude of 1 / frequency, [3, SIZE, SIZE]."""
    white = random.standard_normal((2, 3, SIZE, SIZE // 2 + 1), dtype=np.float32)
    fields = np.fft.irfft2((white[0] + 1j * white[1]) * _PINK, s=(SIZE, SIZE))
    return np.asarray(fields / fields.std((1, 2), keepdims=True), dtype=np.float32)


def _pink() -> Plane:
    frequency = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE))
    frequency[0, 0] = np.inf  # no power at zero frequency: the fields have zero mean
    return np.asarray(1 / frequency, dtype=np.float32)


_PINK = _pink()
_AXIS = ((np.arange(SIZE, dtype=np.float32) + 0.5) / SIZE * 2 - 1).astype(np.float32)


def _add(canvas: NDArray[np.float32], thing: Thing, grain: Plane) -> None:
    """Paint one thing over the canvas, in its bounding box."""
    rows, columns = _span(thing.y, thing), _span(thing.x, thing)
    x, y = _AXIS[columns] - thing.x, (_AXIS[rows] - thing.y)[:, None]
    across = (x * np.cos(thing.tilt) + y * np.sin(thing.tilt)) / thing.width
    down = (y * np.cos(thing.tilt) - x * np.sin(thing.tilt)) / thing.height
    cover = _cover(thing, across, down)
    light = 1 + 0.1 * grain[rows, columns]
    if thing.outline != "everywhere":  # lit from the upper left, so that it looks solid
        light = light - 0.16 * (across + down).clip(-1.5, 1.5)
    amount = _FILLS[thing.fill](_AXIS[columns], _AXIS[rows][:, None], thing)
    first, second = np.asarray(thing.colour)[:, None, None], np.asarray(thing.second)[:, None, None]
    below = canvas[:, rows, columns]
    below += cover * (light * (second + (first - second) * amount) - below)


def _span(centre: float, thing: Thing) -> slice:
    """Pixels within reach of the outline along one axis."""
    if thing.outline == "everywhere":
        return slice(0, SIZE)
    reach = 1.5 * max(thing.width, thing.height)  # a square's corner is at sqrt(2)
    first, last = ((np.array([centre - reach, centre + reach]) + 1) / 2 * SIZE).clip(0, SIZE).astype(int)
    return slice(int(first), int(last) + 1)


def _cover(thing: Thing, across: Plane, down: Plane) -> Plane:
    """How much of each pixel the thing covers, 0 to 1, with an edge about a pixel wide."""
    if thing.outline == "everywhere":
        return np.ones((1, 1))
    inside = OUTLINES[thing.outline](across, down)
    pixels = min(thing.width, thing.height) * SIZE / 2
    edge = 0.35 if thing.outline == "soft" else 1 / pixels
    return np.asarray((inside / edge + 0.5).clip(0, 1), dtype=np.float32)


def _star(x: Plane, y: Plane, points: int = 5) -> Plane:
    wave = np.arccos(np.cos(points * (np.arctan2(x, -y)))) / np.pi  # 0 at a point, 1 between two
    return np.asarray(1 - 0.55 * wave - np.hypot(x, y))


def _rosette(x: Plane, y: Plane, petals: int = 6) -> Plane:
    return np.asarray(0.85 + 0.15 * np.cos(petals * np.arctan2(x, -y)) - np.hypot(x, y))


# How far inside its outline a point (x, y) of the unit frame lies; negative outside
OUTLINES: dict[str, Callable[[Plane, Plane], Any]] = {
    "disc": lambda x, y: 1 - np.hypot(x, y),
    "soft": lambda x, y: 0.85 - np.hypot(x, y),
    "ring": lambda x, y: 0.25 - np.abs(0.75 - np.hypot(x, y)),
    "rosette": _rosette,
    "square": lambda x, y: 1 - np.maximum(np.abs(x), np.abs(y)),
    "diamond": lambda x, y: (1.2 - np.abs(x) - np.abs(y)) / np.sqrt(2),
    "triangle": lambda x, y: np.minimum(1 - y, (1 + y - 2 * np.abs(x)) / np.sqrt(5)),
    "star": _star,
}


def _wave(x: Plane, y: Plane, thing: Thing, turn: float = 0.0) -> Plane:
    angle = thing.angle + turn
    return np.asarray(np.pi * thing.cycles * (x * np.cos(angle) + y * np.sin(angle)) + thing.phase * (1 + turn))


def _speckles(x: Plane, y: Plane, thing: Thing) -> Plane:
    waves = [np.sin(_wave(x, y, thing, turn)) for turn in (0.0, 0.9, 1.7, 2.5)]
    return np.asarray(0.5 + 0.5 * np.tanh(1.6 * sum(waves)))


# How much of the first colour a point has, 0 to 1
_FILLS: dict[str, Callable[[Plane, Plane, Thing], Any]] = {
    "plain": lambda x, y, thing: 1.0,
    "stripes": lambda x, y, thing: 0.5 + 0.5 * np.tanh(2 * np.sin(_wave(x, y, thing))),
    "checked": lambda x, y, t: 0.5 + 0.5 * np.tanh(6 * np.sin(_wave(x, y, t)) * np.sin(_wave(x, y, t, np.pi / 2))),
    "speckled": _speckles,
    "wavy": lambda x, y, t: 0.5 + 0.5 * np.sin(_wave(x, y, t) + 1.2 * np.sin(_wave(x, y, t, np.pi / 2) / 2)),
}
