"""Augmented views of a picture: a random part of it at another size, perhaps mirrored."""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from fusiform.errors import SettingsError

__all__ = ["Views"]


@dataclass(frozen=True)
class Views:
    """A picture as it is, and `count` augmented views of it.

    A view is a random part of the picture made square, and mirrored half of the time. The part has an area and a ratio
    of width to height drawn from the ranges of Szegedy et al. (2015), "Going deeper with convolutions", which networks
    are commonly trained with. A view depends on the seed, the picture's id and the number of the view alone.

    Args:
        count: of the augmented views; 0 leaves the picture only.
        seed: of what is drawn.
        area: least and largest share of the picture's area.
        ratio: least and largest width over height, drawn evenly in its logarithm.
        mirror: probability of being mirrored left to right.

    Raises:
        SettingsError: the count or the seed is below zero.
    """

    count: int = 0
    seed: int = 0
    area: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    mirror: float = 0.5

    def __post_init__(self) -> None:
        if self.count < 0 or self.seed < 0:
            raise SettingsError(f"got views={self.count} and seed={self.seed}; wanted 0 or more of both")

    def __len__(self) -> int:
        """Number of rows of a picture."""
        return 1 + self.count

    def of(self, picture: Image.Image, id: str) -> list[Image.Image]:
        """The picture, and its augmented views."""
        return [picture, *(self._view(picture, self._random(id, number)) for number in range(1, len(self)))]

    def _random(self, id: str, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(id.encode()), number])

    def _view(self, picture: Image.Image, random: np.random.Generator) -> Image.Image:
        left, top, width, height = self._part(picture.size, random)
        side = min(picture.size)
        view = picture.convert("RGB").resize(
            (side, side), Image.Resampling.BICUBIC, box=(left, top, left + width, top + height)
        )
        return view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < self.mirror else view

    def _part(self, size: tuple[int, int], random: np.random.Generator) -> tuple[int, int, int, int]:
        """Left, top, width, height in pixels; the largest that fits in the middle where ten draws do not fit."""
        for _ in range(10):
            area = size[0] * size[1] * random.uniform(*self.area)
            ratio = np.exp(random.uniform(*np.log(self.ratio)))
            width, height = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
            if 0 < width <= size[0] and 0 < height <= size[1]:
                left, top = random.integers(0, [size[0] - width + 1, size[1] - height + 1]).tolist()
                return left, top, width, height
        width = min(size[0], round(size[1] * self.ratio[1]))
        height = min(size[1], round(size[0] / self.ratio[0]))
        return (size[0] - width) // 2, (size[1] - height) // 2, width, height

    def key(self) -> dict[str, Any]:
        """What of them decides the numbers."""
        return {"count": self.count, "seed": self.seed, "area": self.area, "ratio": self.ratio, "mirror": self.mirror}
