"""Pictures as a published network wants them: its `preprocessor_config.json`, carried out with PIL and torch alone.

The image processors of transformers resize through PIL too (before they scale to [0, 1]), so the numbers agree.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from fusiform.errors import SettingsError

__all__ = ["Processing", "processing_of"]

Size = tuple[int, int]  # height, width
Colour = tuple[float, float, float]

_IMAGENET: tuple[Colour, Colour] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP: tuple[Colour, Colour] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_HALF: tuple[Colour, Colour] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_BILINEAR, _BICUBIC = int(Image.Resampling.BILINEAR), int(Image.Resampling.BICUBIC)
_WARPED_FROM = 384  # pixels: smaller pictures of ConvNext and ResNet are cropped, larger ones are not


@dataclass(frozen=True)
class Processing:
    """A picture to a tensor [3, H, W]: resized, cropped, scaled, normalised, padded, in this order.

    Args:
        source: where these settings come from: a file's name, or the default of a family of networks.
        fit: `stretch` to `size`, or keep the aspect and make the `shortest` or the `longest` edge `size[0]` long.
        size: height and width in pixels; None resizes nothing.
        resample: PIL's number of the method (2 bilinear, 3 bicubic).
        crop: height and width of the centre that is kept; what the picture lacks is black.
        scale: of the values 0 to 255.
        mean: subtracted from each colour after scaling.
        deviation: that each colour is divided by.
        pad: height and width to which zeros are added below and on the right, after normalising.
    """

    source: str
    fit: Literal["stretch", "shortest", "longest"]
    size: Size | None
    resample: int
    crop: Size | None
    scale: float
    mean: Colour
    deviation: Colour
    pad: Size | None

    def __call__(self, picture: Image.Image) -> Tensor:
        """One PIL picture of any mode to [3, H, W] float32."""
        picture = picture.convert("RGB")
        if self.size:
            height, width = self._target(picture.height, picture.width, self.size)
            picture = picture.resize((width, height), Image.Resampling(self.resample))
        if self.crop:
            picture = _centre(picture, self.crop)
        values = np.asarray(picture).transpose(2, 0, 1).astype(np.float32, order="C")  # an innermost axis of 3 is slow
        mean, deviation = np.array((self.mean, self.deviation), dtype=np.float32)[..., None, None]
        values *= np.float32(self.scale)
        values -= mean
        values /= deviation
        return _padded(torch.from_numpy(values), self.pad)

    def _target(self, height: int, width: int, size: Size) -> Size:
        """Height and width after resizing; the edge that follows is cut (`shortest`) or rounded (`longest`)."""
        if self.fit == "stretch":
            return size
        if self.fit == "shortest":
            short, long = min(height, width), max(height, width)
            follows = int(size[0] * long / short)
            return (size[0], follows) if height <= width else (follows, size[0])
        ratio = size[0] / max(height, width)
        return int(height * ratio + 0.5), int(width * ratio + 0.5)


def processing_of(config: Mapping[str, Any] | None, model_type: str, image_size: int | None = None) -> Processing:
    """The processing that a network's own file asks for.

    What the file leaves out is as its image processor has it by default. Without a file it is all as in the family of
    the network, in pictures of the network's own size.

    Args:
        config: content of `preprocessor_config.json`, None where there is none.
        model_type: of the network, such as `"dinov2"`.
        image_size: of the network in pixels, for when there is no file.

    Raises:
        SettingsError: it asks for a step that is not known here (named).
    """
    family = _family(config or {}, model_type)
    defaults = _DEFAULTS[family]
    if config is None:
        return _made(_of_size(defaults, image_size), f"default of {family}", family)
    given = {key: value for key, value in config.items() if value is not None or key.startswith("do_")}
    _check_steps(given)
    return _made({**defaults, **given}, "preprocessor_config.json", family)


def _family(config: Mapping[str, Any], model_type: str) -> str:
    """The family of image processors, by the file or else by the network."""
    kinds = ("video_processor_type", "image_processor_type", "feature_extractor_type")
    named = next((str(config[kind]) for kind in kinds if config.get(kind)), "")
    family = re.sub(r"(VideoProcessor|ImageProcessor|FeatureExtractor)(Fast|Pil)?$", "", named)
    return family if family in _DEFAULTS else _FAMILY_OF.get(model_type, "ViT")


def _check_steps(config: Mapping[str, Any]) -> None:
    unknown = [key for key, value in config.items() if key.startswith("do_") and value is True and key not in _STEPS]
    if config.get("do_pad") and not config.get("pad_size"):
        unknown.append("do_pad without pad_size")
    if unknown:
        raise SettingsError(
            f"preprocessor_config.json asks for {', '.join(unknown)}, which is not built in; preprocess the pictures "
            "yourself and bring the network through as_backbone(..., preprocess=...)"
        )


def _of_size(defaults: Mapping[str, Any], side: int | None) -> dict[str, Any]:
    """The defaults of a family with every size set to the network's own."""
    sizes = {key: dict.fromkeys(defaults[key], side) for key in ("size", "crop_size", "pad_size") if key in defaults}
    return {**defaults, **sizes} if side else dict(defaults)


def _made(config: Mapping[str, Any], source: str, family: str) -> Processing:
    fit, size, crop = _geometry(config, family)
    normalised = bool(config["do_normalize"])
    return Processing(
        source=source,
        fit=fit,
        size=size if config["do_resize"] else None,
        resample=int(config["resample"]),
        crop=crop,
        scale=float(config["rescale_factor"]) if config["do_rescale"] else 1.0,
        mean=_colour(config["image_mean"]) if normalised else (0.0, 0.0, 0.0),
        deviation=_colour(config["image_std"]) if normalised else (1.0, 1.0, 1.0),
        pad=_pair(config["pad_size"]) if config["do_pad"] else None,
    )


def _geometry(config: Mapping[str, Any], family: str) -> tuple[Literal["stretch", "shortest", "longest"], Size, Any]:
    """How pictures are fitted, to which size, and the crop."""
    size, crop = config["size"], _pair(config["crop_size"]) if config["do_center_crop"] else None
    if family == "VJEPA2":  # its class derives the size from the crop, whatever the file says
        size = {"shortest_edge": int(_pair(config["crop_size"])[0] * 256 / 224)}
    if isinstance(size, int):  # old files: a number is an edge or a square, as the family has it
        size = dict.fromkeys(_DEFAULTS[family]["size"], size)
    if "shortest_edge" not in size:
        return ("longest" if "longest_edge" in size else "stretch"), _pair(size), crop
    edge = int(size["shortest_edge"])
    if family != "ConvNext" or not config["do_resize"]:
        return "shortest", (edge, edge), crop
    if edge >= _WARPED_FROM:
        return "stretch", (edge, edge), crop
    return "shortest", (int(edge / config["crop_pct"]),) * 2, crop or (edge, edge)


def _pair(size: Any) -> Size:
    """Height and width, however a file writes them."""
    if isinstance(size, int):
        return size, size
    try:
        edge = size.get("longest_edge") or size.get("shortest_edge")
        return (int(edge), int(edge)) if edge else (int(size["height"]), int(size["width"]))
    except (KeyError, TypeError, AttributeError) as reason:
        raise SettingsError(
            f"preprocessor_config.json has the size {size!r}; wanted a number, height and width, or an edge"
        ) from reason


def _colour(value: Any) -> Colour:
    red, green, blue = np.broadcast_to(np.asarray(value, dtype=float), 3).tolist()
    return red, green, blue


def _centre(picture: Image.Image, size: Size) -> Image.Image:
    """The middle [height, width]; PIL fills with black what lies outside."""
    top, left = (picture.height - size[0]) // 2, (picture.width - size[1]) // 2
    return picture.crop((left, top, left + size[1], top + size[0]))


def _padded(x: Tensor, size: Size | None) -> Tensor:
    """[3, H, W] with zeros below and on the right."""
    if size is None:
        return x
    return functional.pad(x, (0, size[1] - x.shape[2], 0, size[0] - x.shape[1]))


def _default(size: Mapping[str, int], resample: int, colours: tuple[Colour, Colour], **more: Any) -> dict[str, Any]:
    steps = {"do_resize": True, "do_center_crop": False, "do_rescale": True, "do_normalize": True, "do_pad": False}
    colour = {"rescale_factor": 1 / 255, "image_mean": colours[0], "image_std": colours[1]}
    return {**steps, **colour, "size": size, "resample": resample, **more}


# do_convert_rgb is always done; labels and frames are none of ours
_STEPS = {
    *("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_pad"),
    *("do_convert_rgb", "do_reduce_labels", "do_sample_frames"),
}
_SQUARE = {"height": 224, "width": 224}
_CROPPED = {"do_center_crop": True, "crop_size": _SQUARE}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "CLIP": _default({"shortest_edge": 224}, _BICUBIC, _CLIP, **_CROPPED),
    "Blip": _default({"height": 384, "width": 384}, _BICUBIC, _CLIP),
    "Bit": _default({"shortest_edge": 224}, _BICUBIC, _CLIP, **_CROPPED),
    "ViT": _default(_SQUARE, _BILINEAR, _HALF),
    "DeiT": _default({"height": 256, "width": 256}, _BICUBIC, _HALF, **_CROPPED),
    "Siglip": _default(_SQUARE, _BICUBIC, _HALF),
    "DINOv3ViT": _default(_SQUARE, _BILINEAR, _IMAGENET),
    "ConvNext": _default({"shortest_edge": 384}, _BICUBIC, _HALF, crop_pct=224 / 256),
    "VideoMAE": _default({"shortest_edge": 224}, _BILINEAR, _HALF, **_CROPPED),
    "VJEPA2": _default(
        {"shortest_edge": 292}, _BILINEAR, _IMAGENET, do_center_crop=True, crop_size={"height": 256, "width": 256}
    ),
    "Sam": _default(
        {"longest_edge": 1024}, _BILINEAR, _IMAGENET, do_pad=True, pad_size={"height": 1024, "width": 1024}
    ),
}
_FAMILY_OF = {
    "blip_2_vision_model": "Blip",
    "clip": "CLIP",
    "clip_vision_model": "CLIP",
    "convnext": "ConvNext",
    "deit": "DeiT",
    "dinov2": "Bit",
    "dinov2_with_registers": "Bit",
    "dinov3_vit": "DINOv3ViT",
    "instructblip_vision_model": "Blip",
    "resnet": "ConvNext",
    "sam": "Sam",
    "sam_vision_model": "Sam",
    "siglip": "Siglip",
    "siglip_vision_model": "Siglip",
    "videomae": "VideoMAE",
    "vit": "ViT",
    "vit_mae": "ViT",
    "vjepa2": "VJEPA2",
}
