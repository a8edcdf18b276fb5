"""What the simulated pictures show: scenes of named things, drawn at random from the seed and the picture's number.

A scene is a description: cheap to make, so that the table of all pictures costs no drawing. `pictures` paints it.
Places are in [-1, 1], x to the right and y downwards, the way torch's `grid_sample` counts.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

__all__ = ["COLOURS", "CONTENTS", "DIRECTIONS", "Scene", "Thing", "scene"]

CONTENTS = ("grating", "texture", "shape", "object")
COLOURS = {"red": 0.0, "orange": 0.08, "yellow": 0.15, "green": 0.36, "cyan": 0.5, "blue": 0.62, "purple": 0.8}  # hues
STRIPES = {"vertical": 0.0, "horizontal": 90.0, "oblique": 45.0}  # degrees by which the stripes' normal is turned
ROUND = ("disc", "ring", "rosette")
POINTED = ("triangle", "square", "star", "diamond")
TEXTURES = ("checked", "speckled", "wavy")


@dataclass(frozen=True)
class Thing:
    """Something painted: an outline, its place, and a filling.

    Args:
        outline: a name of `pictures.OUTLINES`, or `"everywhere"`.
        x, y: centre.
        width, height: half axes.
        tilt: clockwise, radians.
        fill: `"plain"`, `"stripes"`, `"checked"`, `"speckled"` or `"wavy"`.
        hue: a name of `COLOURS` or `"grey"`.
        colour: RGB in [0, 1].
        second: RGB of the other half of a pattern.
        angle: of the pattern, radians; 0 has upright stripes.
        cycles: of the pattern, per picture side.
        phase: of the pattern, radians.
    """

    outline: str
    x: float
    y: float
    width: float
    height: float
    tilt: float = 0.0
    fill: str = "plain"
    hue: str = "grey"
    colour: tuple[float, float, float] = (0.5, 0.5, 0.5)
    second: tuple[float, float, float] = (0.1, 0.1, 0.1)
    angle: float = 0.0
    cycles: float = 4.0
    phase: float = 0.0

    @property
    def area(self) -> float:
        """Share of the picture that it covers, about, if nothing stands before it."""
        return 1.0 if self.outline == "everywhere" else min(1.0, float(np.pi * self.width * self.height / 4))


@dataclass(frozen=True)
class Scene:
    """One picture in words.

    Args:
        content: one of `CONTENTS`.
        label: the main thing's name (`"vertical"`, `"checked"`, `"star"`, `"house"`, ...).
        colour: the main thing's colour name.
        things: painted in this order.
    """

    content: str
    label: str
    colour: str
    things: tuple[Thing, ...]

    def amounts(self) -> dict[str, float]:
        """How much of the picture shows each of `DIRECTIONS`."""
        return {name: amount(self) for name, amount in DIRECTIONS.items()}

    @property
    def caption(self) -> str:
        """The picture in one phrase, such as "an orange star and 2 more shapes on a cloudy background"."""
        kind = f" {self.content}" if self.content in ("grating", "texture") else ""
        more = len(self.things) - 1 if self.content == "shape" else 0
        others = f" and {more} more shape{'s' * (more > 1)}" if more else ""
        place = "filling the picture" if self.things[0].outline == "everywhere" else "on a cloudy background"
        return f"a{'n' * (self.colour[0] in 'aeiou')} {self.colour} {self.label}{kind}{others} {place}"


def _hue_share(hue: str, scene: Scene) -> float:
    return sum(thing.area for thing in scene.things if thing.hue == hue)


def _fill_share(fill: str, scene: Scene) -> float:
    return sum(thing.area for thing in scene.things if thing.fill == fill)


def _stripe_share(stripes: str, scene: Scene) -> float:
    off = [abs(np.sin(thing.angle - np.deg2rad(STRIPES[stripes]))) for thing in scene.things]
    pairs = zip(scene.things, off, strict=True)
    return sum(thing.area for thing, sine in pairs if thing.fill == "stripes" and sine < np.sin(np.deg2rad(15)))


# Image directions that a prompt can name, and how much of a picture shows them: the share of its area, about.
DIRECTIONS: dict[str, Callable[[Scene], float]] = {
    **{hue: partial(_hue_share, hue) for hue in ("red", "green", "blue")},
    **{f"{name} grating": partial(_stripe_share, name) for name in ("vertical", "horizontal")},
    "checked texture": partial(_fill_share, "checked"),
    "cloudy background": lambda scene: max(0.0, 1 - sum(thing.area for thing in scene.things)),
}


def scene(random: np.random.Generator) -> Scene:
    """A random scene."""
    make = {"grating": _grating, "texture": _texture, "shape": _shapes, "object": _object}
    return make[str(random.choice(CONTENTS))](random)


def _grating(random: np.random.Generator) -> Scene:
    label = str(random.choice(list(STRIPES)))
    thing = _filled(random, _large(random), "stripes", label)
    return Scene("grating", label, thing.hue, (thing,))


def _texture(random: np.random.Generator) -> Scene:
    label = str(random.choice(TEXTURES))
    thing = _filled(random, _large(random), label)
    return Scene("texture", label, thing.hue, (thing,))


def _shapes(random: np.random.Generator) -> Scene:
    """One to four shapes of one family, so that "round" and "pointed" are properties of a picture."""
    family = ROUND if random.random() < 0.5 else POINTED
    things = []
    for _ in range(int(random.integers(1, 5))):
        place = _placed(random, str(random.choice(family)), 0.6, float(random.uniform(0.2, 0.5)))
        fill = str(random.choice(["plain", "plain", "stripes", *TEXTURES]))
        things.append(_filled(random, place, fill))
    main = max(things, key=lambda thing: thing.area)
    return Scene("shape", main.outline, main.hue, tuple(sorted(things, key=lambda thing: -thing.area)))


def _object(random: np.random.Generator) -> Scene:
    """A thing made of parts: a template, with its parts' sizes jittered, placed, scaled, leaned and mirrored."""
    label = str(random.choice(list(OBJECTS)))
    main, other = _filled(random, _EVERYWHERE, "plain"), _filled(random, _EVERYWHERE, "plain")
    x, y = random.uniform(-0.3, 0.3, 2)
    scale, lean, mirror = random.uniform(0.5, 0.85), random.normal(0, 0.1), random.choice([-1, 1])
    turn = scale * np.array([[np.cos(lean), -np.sin(lean)], [np.sin(lean), np.cos(lean)]])
    parts = []
    for outline, px, py, width, height, tilt, paint in OBJECTS[label]:
        place = np.array([x, y]) + turn @ np.array([mirror * px, py])
        sizes = scale * np.array([width, height]) * random.uniform(0.85, 1.15, 2)
        painted = {"main": main, "other": other}.get(paint) or replace(main, hue="grey", colour=PAINTS[paint])
        tilt = lean + mirror * np.deg2rad(tilt)
        parts.append(
            replace(painted, outline=outline, x=place[0], y=place[1], width=sizes[0], height=sizes[1], tilt=tilt)
        )
    return Scene("object", label, main.hue, tuple(parts))


_EVERYWHERE = Thing("everywhere", 0.0, 0.0, 1.0, 1.0)


def _large(random: np.random.Generator) -> Thing:
    """Half of the time the whole picture, else a window on most of it."""
    if random.random() < 0.5:
        return _EVERYWHERE
    return _placed(random, "soft", 0.3, float(random.uniform(0.6, 1.0)))


def _placed(random: np.random.Generator, outline: str, spread: float, size: float) -> Thing:
    x, y = random.uniform(-spread, spread, 2)
    width, height = size * random.uniform(0.8, 1.25, 2)
    return Thing(outline, float(x), float(y), float(width), float(height), float(random.normal(0, 0.25)))


def _filled(random: np.random.Generator, thing: Thing, fill: str, stripes: str | None = None) -> Thing:
    """The thing with a random colour and pattern; stripes keep within 8 degrees or so of a named orientation."""
    from colorsys import hsv_to_rgb

    hue = str(random.choice(["grey", *COLOURS]))
    tone = (COLOURS.get(hue, 0.0) + random.normal(0, 0.012)) % 1
    saturation = 0.0 if hue == "grey" else random.uniform(0.65, 1.0)
    value, contrast = random.uniform(0.55, 1.0), random.uniform(0.1, 0.5)
    stripes = stripes or str(random.choice(list(STRIPES)))
    turned = STRIPES[stripes] * (random.choice([-1, 1]) if stripes == "oblique" else 1)
    return replace(
        thing,
        fill=fill,
        hue=hue,
        colour=hsv_to_rgb(tone, saturation, value),
        second=hsv_to_rgb(tone, saturation * random.uniform(0.2, 1), value * contrast),
        angle=float(np.deg2rad(turned + random.normal(0, 4))),
        cycles=float(np.exp(random.uniform(np.log(3), np.log(11)))),
        phase=float(random.uniform(0, 2 * np.pi)),
    )


PAINTS = {"dark": (0.08, 0.08, 0.1), "pale": (0.95, 0.93, 0.88), "leaf": (0.2, 0.55, 0.2), "wood": (0.45, 0.3, 0.18)}

# outline, x, y, half width, half height, tilt in degrees, paint; in a frame of [-1, 1], y downwards
OBJECTS: dict[str, tuple[tuple[str, float, float, float, float, float, str], ...]] = {
    "house": (
        ("square", 0, 0.35, 0.7, 0.5, 0, "main"),
        ("triangle", 0, -0.45, 1.05, 0.62, 0, "other"),
        ("square", -0.3, 0.55, 0.15, 0.3, 0, "wood"),
        ("square", 0.3, 0.25, 0.17, 0.17, 0, "pale"),
    ),
    "car": (
        ("square", 0.05, -0.2, 0.5, 0.28, 0, "main"),
        ("square", 0.05, -0.2, 0.38, 0.17, 0, "pale"),
        ("square", 0, 0.2, 0.95, 0.25, 0, "main"),
        ("disc", -0.5, 0.45, 0.24, 0.24, 0, "dark"),
        ("disc", 0.5, 0.45, 0.24, 0.24, 0, "dark"),
        ("disc", -0.5, 0.45, 0.1, 0.1, 0, "pale"),
        ("disc", 0.5, 0.45, 0.1, 0.1, 0, "pale"),
    ),
    "face": (
        ("disc", 0, -0.1, 0.78, 0.95, 0, "other"),
        ("disc", 0, 0.05, 0.68, 0.85, 0, "main"),
        ("disc", -0.27, -0.12, 0.16, 0.11, 0, "pale"),
        ("disc", 0.27, -0.12, 0.16, 0.11, 0, "pale"),
        ("disc", -0.27, -0.12, 0.07, 0.08, 0, "dark"),
        ("disc", 0.27, -0.12, 0.07, 0.08, 0, "dark"),
        ("triangle", 0, 0.15, 0.1, 0.2, 0, "other"),
        ("disc", 0, 0.52, 0.27, 0.08, 0, "dark"),
    ),
    "flower": (
        ("square", 0, 0.5, 0.05, 0.55, 0, "leaf"),
        ("disc", -0.25, 0.6, 0.28, 0.1, 30, "leaf"),
        ("disc", 0.25, 0.45, 0.28, 0.1, -30, "leaf"),
        ("rosette", 0, -0.3, 0.6, 0.6, 0, "main"),
        ("disc", 0, -0.3, 0.2, 0.2, 0, "other"),
    ),
    "fish": (
        ("triangle", 0.75, 0, 0.45, 0.4, -90, "other"),
        ("triangle", 0.05, -0.4, 0.3, 0.25, 0, "other"),
        ("disc", 0, 0, 0.75, 0.42, 0, "main"),
        ("disc", -0.45, -0.08, 0.11, 0.11, 0, "pale"),
        ("disc", -0.47, -0.08, 0.05, 0.05, 0, "dark"),
    ),
    "animal": (
        ("square", -0.4, 0.6, 0.09, 0.3, 0, "main"),
        ("square", 0.4, 0.6, 0.09, 0.3, 0, "main"),
        ("disc", 0.72, 0, 0.3, 0.07, -40, "main"),
        ("disc", 0, 0.2, 0.65, 0.37, 0, "main"),
        ("triangle", -0.75, -0.5, 0.12, 0.25, -15, "other"),
        ("triangle", -0.42, -0.5, 0.12, 0.25, 15, "other"),
        ("disc", -0.58, -0.15, 0.33, 0.3, 0, "main"),
        ("disc", -0.7, -0.2, 0.06, 0.06, 0, "dark"),
    ),
    "tree": (
        ("square", 0, 0.6, 0.11, 0.4, 0, "wood"),
        ("rosette", 0, -0.2, 0.65, 0.62, 10, "leaf"),
        ("disc", -0.2, -0.3, 0.1, 0.1, 0, "main"),
        ("disc", 0.25, -0.1, 0.1, 0.1, 0, "main"),
        ("disc", 0.05, -0.5, 0.1, 0.1, 0, "main"),
    ),
    "boat": (
        ("square", 0.02, -0.25, 0.035, 0.65, 0, "wood"),
        ("triangle", -0.35, -0.2, 0.38, 0.55, 0, "pale"),
        ("triangle", 0.35, -0.15, 0.33, 0.48, 0, "other"),
        ("disc", 0, 0.45, 0.85, 0.25, 0, "main"),
    ),
}
