"""Pictures for networks that take them at about their own resolution: rounded to whole patches, or cut into tiles.

As in `processing`, a network's `preprocessor_config.json` is carried out with PIL and torch alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from fusiform.errors import DataError
from fusiform.features.networks.processing import Processing, processing_of

__all__ = ["Bounded", "Patched", "Tiled", "bounded_of", "patched_of", "tiled_of"]

_ASPECT = 200  # longer pictures have no sensible grid of patches
_LARGEST = 4096  # pixels of the longest edge before tiling
_CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
_HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}


@dataclass(frozen=True)
class Patched:
    """A picture to [3, H, W] with edges that are multiples of a patch, and about its own aspect (Qwen2-VL).

    Args:
        values: scaling and normalisation.
        multiple: of both edges in pixels.
        least: area in pixels.
        most: area in pixels.
    """

    values: Processing
    multiple: int
    least: int
    most: int

    def __call__(self, picture: Image.Image) -> Tensor:
        """One PIL picture of any mode to [3, H, W] float32.

        Raises:
            DataError: it is too long for its width.
        """
        return replace(self.values, size=self._target(picture.height, picture.width))(picture)

    def _target(self, height: int, width: int) -> tuple[int, int]:
        if max(height, width) > _ASPECT * min(height, width):
            raise DataError(f"the picture has {width} x {height} pixels; wanted edges within a factor of {_ASPECT}")
        rounded = (round(height / self.multiple), round(width / self.multiple))
        area, fitted = height * width, rounded[0] * rounded[1] * self.multiple**2
        if fitted > self.most:
            shrink = math.sqrt(area / self.most) * self.multiple
            rounded = (max(1, math.floor(height / shrink)), max(1, math.floor(width / shrink)))
        elif fitted < self.least:
            grow = math.sqrt(self.least / area) / self.multiple
            rounded = (math.ceil(height * grow), math.ceil(width * grow))
        return rounded[0] * self.multiple, rounded[1] * self.multiple


@dataclass(frozen=True)
class Bounded:
    """A picture to [3, H, W] whose edges lie between two lengths, the longer one cut first (Idefics2).

    Args:
        values: scaling and normalisation.
        least: length of an edge in pixels.
        most: length of an edge in pixels.
    """

    values: Processing
    least: int
    most: int

    def __call__(self, picture: Image.Image) -> Tensor:
        """One PIL picture of any mode to [3, H, W] float32."""
        height, width, aspect = picture.height, picture.width, picture.width / picture.height
        if width >= height and width > self.most:
            height, width = int(self.most / aspect), self.most
        elif height > width and height > self.most:
            height, width = self.most, int(self.most * aspect)
        return replace(self.values, size=(max(height, self.least), max(width, self.least)))(picture)


@dataclass(frozen=True)
class Tiled:
    """A picture to [rows + 1, columns, 3, side, side]: its tiles, and below them the whole picture, then zeros.

    The shape alone tells how it was cut. A picture that is not cut is [1, 1, 3, side, side] (Idefics3, SmolVLM).

    Args:
        values: scaling and normalisation.
        side: of a tile in pixels.
        longest: edge of the picture before it is cut, in pixels.
        split: cut it at all.
    """

    values: Processing
    side: int
    longest: int
    split: bool

    def __call__(self, picture: Image.Image) -> Tensor:
        """One PIL picture of any mode."""
        side, picture = self.side, self._resized(picture.convert("RGB"), *self._fitted(picture.height, picture.width))
        if self.split:
            picture = self._resized(picture, *self._whole_tiles(picture.height, picture.width))
        rows, columns = picture.height // side, picture.width // side
        if not self.split or (picture.height <= side and picture.width <= side):
            rows, columns = 0, 1
        found = torch.zeros(rows + 1, columns, 3, side, side)
        for row in range(rows):
            for column in range(columns):
                corner = (column * side, row * side)
                found[row, column] = self.values(picture.crop((*corner, corner[0] + side, corner[1] + side)))
        found[rows, 0] = self.values(self._resized(picture, side, side))
        return found

    def _resized(self, picture: Image.Image, height: int, width: int) -> Image.Image:
        return picture.resize((width, height), Image.Resampling(self.values.resample))

    def _fitted(self, height: int, width: int) -> tuple[int, int]:
        """Height and width with the longest edge as it should be; the other is even."""
        height, width = _along(height, width, self.longest, lambda edge: edge + edge % 2)
        if max(height, width) > _LARGEST:
            height, width = _along(height, width, _LARGEST, lambda edge: edge)
        return max(height, 1), max(width, 1)

    def _whole_tiles(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that are multiples of the side: the longer edge rounded up, then the other."""
        longest = math.ceil(max(height, width) / self.side) * self.side
        return _along(height, width, longest, lambda edge: math.ceil(edge / self.side) * self.side)


def _along(height: int, width: int, longest: int, rounded: Any) -> tuple[int, int]:
    """Height and width with the longer edge `longest` pixels and the other by the aspect, cut and `rounded`."""
    aspect = width / height
    if width >= height:
        return rounded(int(longest / aspect)), longest
    return longest, rounded(int(longest * aspect))


def patched_of(file: Mapping[str, Any], patch: int, merge: int) -> Patched:
    """The processing of a Qwen2-VL file; `patch` pixels an edge, and `merge` patches an edge become one token."""
    size = {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 1280, **(file.get("size") or {})}
    least, most = file.get("min_pixels") or size["shortest_edge"], file.get("max_pixels") or size["longest_edge"]
    return Patched(_values(file, _CLIP, Image.Resampling.BICUBIC), patch * merge, int(least), int(most))


def bounded_of(file: Mapping[str, Any]) -> Bounded:
    """The processing of an Idefics2 file."""
    size = {"shortest_edge": 378, "longest_edge": 980, **(file.get("size") or {})}
    values = _values(file, _HALF, Image.Resampling.BILINEAR)
    return Bounded(values, int(size["shortest_edge"]), int(size["longest_edge"]))


def tiled_of(file: Mapping[str, Any], split: bool | None) -> Tiled:
    """The processing of an Idefics3 or SmolVLM file; `split` overrules it."""
    side = int((file.get("max_image_size") or {"longest_edge": 364})["longest_edge"])
    longest = int((file.get("size") or {"longest_edge": 4 * side})["longest_edge"])
    cut = file.get("do_image_splitting", True) if split is None else split
    return Tiled(_values(file, _HALF, Image.Resampling.LANCZOS), side, longest, bool(cut))


def _values(file: Mapping[str, Any], colours: Mapping[str, Any], resample: int) -> Processing:
    """What a file says of numbers, not of sizes."""
    known = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std", "resample")
    given = {key: file[key] for key in known if file.get(key) is not None}
    values = processing_of({**colours, "resample": int(resample), **given, "do_resize": False}, "vit")
    return replace(values, source="preprocessor_config.json" if file else "default")
