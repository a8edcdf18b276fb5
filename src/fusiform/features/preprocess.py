"""From one stimulus to one tensor, by settings that can be read in a store's manifest."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fusiform.errors import SettingsError

__all__ = ["Picture", "Preprocess", "describe"]

Preprocess = Callable[[Any], Tensor]

_STATISTICS = {  # mean and standard deviation of each colour, as published with the networks
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
_METHODS = {"bilinear": Image.Resampling.BILINEAR, "box": Image.Resampling.BOX}


@dataclass(frozen=True)
class Picture:
    """A picture to a tensor [C, size, size]: resized (not cropped), scaled to [0, 1], normalised.

    Args:
        size: side in pixels; None keeps the picture's own size.
        colour: three channels, or one of luminance.
        normalise: subtract the mean and divide by the deviation of these statistics, colour by colour.
        resample: `bilinear` (with the antialiasing that networks were trained on) or `box` (the mean over the area
            that a new pixel covers).
    """

    size: int | None = 224
    colour: bool = True
    normalise: Literal["imagenet", "clip", "none"] = "imagenet"
    resample: Literal["bilinear", "box"] = "bilinear"

    def __post_init__(self) -> None:
        if self.normalise not in _STATISTICS:
            raise SettingsError(f"unknown normalise {self.normalise!r}; there are: {', '.join(_STATISTICS)}")
        if self.resample not in _METHODS:
            raise SettingsError(f"unknown resample {self.resample!r}; there are: {', '.join(_METHODS)}")
        if self.size is not None and self.size < 1:
            raise SettingsError(f"the size of pictures is {self.size}; wanted pixels, 1 or more")
        if not self.colour and self.normalise != "none":
            raise SettingsError(f"{self.normalise!r} normalises three colours; a grey picture wants normalise='none'")

    def __call__(self, picture: Image.Image) -> Tensor:
        """One PIL picture to [C, H, W] float32."""
        picture = picture.convert("RGB" if self.colour else "L")
        if self.size is not None:
            picture = picture.resize((self.size, self.size), _METHODS[self.resample])
        pixels = np.asarray(picture).reshape(picture.height, picture.width, -1)
        values = pixels.transpose(2, 0, 1).astype(np.float32, order="C")  # an innermost axis of 3 would be slow
        mean, deviation = np.array(_STATISTICS[self.normalise], dtype=np.float32)[:, : len(values), None, None]
        values /= 255
        values -= mean
        values /= deviation
        return torch.from_numpy(values)


def describe(preprocess: Preprocess) -> Any:
    """What a manifest says of a preprocessing: the fields of a dataclass, the name of a function or a class."""
    if is_dataclass(preprocess) and not isinstance(preprocess, type):
        return {"class": type(preprocess).__qualname__, **asdict(preprocess)}
    named = preprocess if hasattr(preprocess, "__qualname__") else type(preprocess)
    return f"{named.__module__}.{named.__qualname__}"
