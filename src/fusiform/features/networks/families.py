"""Vision-language families: how each takes a picture, and what stands for the picture in the text.

Networks of one family differ in sizes, which their configuration holds; families differ in kind, which it does not.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from fusiform.errors import SettingsError
from fusiform.features.networks.processing import processing_of
from fusiform.features.networks.resolutions import bounded_of, patched_of, tiled_of

__all__ = ["FAMILIES", "Family", "family_of"]

Shape = Sequence[int]


@dataclass(frozen=True)
class Family:
    """What sets a family apart.

    Args:
        processing: file, configuration and `split` to a function of a PIL picture.
        tokens: shape of that function's tensor, and the network, to the number of picture tokens (of one tile).
        inputs: pixels [B, ...] and ids [B, L] to what the network takes besides the ids.
        write: text, picture token, number of tokens and shape to the text with the picture's tokens in place.
        template: around `{image}` and `{prompt}`, for networks without a chat template; None where they all have one.
        leading: the picture's tokens stand before the text and its beginning.
    """

    processing: Callable[[Mapping[str, Any] | None, Any, bool | None], Callable[[Image.Image], Tensor]]
    tokens: Callable[[Shape, Any], int]
    inputs: Callable[[Tensor, Tensor, Any], dict[str, Tensor]]
    write: Callable[[str, str, int, Shape], str]
    template: str | None = None
    leading: bool = False


def family_of(model_type: str, source: str) -> Family:
    """The family of a network.

    Raises:
        SettingsError: it is of none that is known here.
    """
    if model_type not in FAMILIES:
        raise SettingsError(
            f"{source!r} is of the type {model_type!r}; vision-language networks that are built in: "
            f"{', '.join(FAMILIES)}; bring others through as_backbone"
        )
    return FAMILIES[model_type]


def _fixed(file: Mapping[str, Any] | None, config: Any, split: bool | None) -> Callable[[Image.Image], Tensor]:
    """Pictures of one size."""
    _refuse(split, config)
    size = getattr(config.vision_config, "image_size", None)
    return processing_of(file, config.vision_config.model_type, size)


def _patched(file: Mapping[str, Any] | None, config: Any, split: bool | None) -> Callable[[Image.Image], Tensor]:
    _refuse(split, config)
    return patched_of(file or {}, config.vision_config.patch_size, config.vision_config.spatial_merge_size)


def _bounded(file: Mapping[str, Any] | None, config: Any, split: bool | None) -> Callable[[Image.Image], Tensor]:
    if (file or {}).get("do_image_splitting") if split is None else split:
        raise SettingsError("Idefics2 with its pictures split is not built in; give split=False for whole ones")
    return bounded_of(file or {})


def _tiled(file: Mapping[str, Any] | None, _: Any, split: bool | None) -> Callable[[Image.Image], Tensor]:
    return tiled_of(file or {}, split)


def _refuse(split: bool | None, config: Any) -> None:
    if split is not None:
        raise SettingsError(f"split={split} does nothing in networks of the type {config.model_type!r}; leave it out")


def _patches(shape: Shape, network: Any) -> int:
    """Patches of a picture of [..., H, W]."""
    size = network.config.vision_config.patch_size
    return int(shape[-2] // size) * int(shape[-1] // size)


def _selected(shape: Shape, network: Any) -> int:
    """LLaVA: all that its vision tower gives, or all but the class token."""
    names = [name for name, _ in network.vision_tower.named_parameters()]
    before = any(name.endswith(("class_embedding", "cls_token")) for name in names)
    return _patches(shape, network) + before - int(network.config.vision_feature_select_strategy == "default")


def _queried(_: Shape, network: Any) -> int:
    return int(network.config.num_query_tokens)


def _merged(shape: Shape, network: Any) -> int:
    return _patches(shape, network) // int(network.config.vision_config.spatial_merge_size) ** 2


def _shuffled(shape: Shape, network: Any) -> int:
    """Idefics3: of one tile."""
    return _patches(shape, network) // int(network.config.scale_factor) ** 2


def _resampled(_: Shape, network: Any) -> int:
    return int(network.config.perceiver_config.resampler_n_latents)


def _plain(x: Tensor, _: Tensor, __: Any) -> dict[str, Tensor]:
    return {"pixel_values": x}


def _prefixed(x: Tensor, ids: Tensor, _: Any) -> dict[str, Tensor]:
    """PaliGemma: everything is prefix, within which attention goes both ways."""
    return {"pixel_values": x, "token_type_ids": torch.zeros_like(ids)}


def _flattened(x: Tensor, ids: Tensor, network: Any) -> dict[str, Tensor]:
    """Qwen2-VL: all patches in one list, those that become one token together; each picture is a film of one step."""
    config = network.config.vision_config
    size, merge = config.patch_size, config.spatial_merge_size
    down, across = x.shape[-2] // size, x.shape[-1] // size
    patches = x.reshape(len(x), 3, down // merge, merge, size, across // merge, merge, size)
    patches = patches.permute(0, 2, 5, 3, 6, 1, 4, 7)  # [B, rows, columns, merge, merge, 3, size, size]
    still = patches.unsqueeze(6).expand(*patches.shape[:6], config.temporal_patch_size, size, size)
    found = {"pixel_values": still.reshape(len(x) * down * across, -1)}
    found["image_grid_thw"] = torch.tensor([[1, down, across]] * len(x), device=x.device)
    if "mm_token_type_ids" in signature(network.forward).parameters:
        found["mm_token_type_ids"] = (ids == network.config.image_token_id).int()
    return found


def _single(x: Tensor, _: Tensor, __: Any) -> dict[str, Tensor]:
    return {"pixel_values": x[:, None]}


def _listed(x: Tensor, _: Tensor, __: Any) -> dict[str, Tensor]:
    """Idefics3: the tiles row by row, then the whole picture; [B, rows + 1, columns, ...] -> [B, tiles, ...]."""
    return {"pixel_values": torch.cat([x[:, :-1].flatten(1, 2), x[:, -1, :1]], dim=1)}


def _repeated(text: str, token: str, count: int, _: Shape) -> str:
    return text.replace(token, token * count)


def _fenced(text: str, token: str, count: int, _: Shape) -> str:
    """Idefics2: between two fences, and a space before a word that follows."""
    text = text.replace(token, f"{_FENCE}{token * count}{_FENCE}")
    return re.sub(rf"{_FENCE}(?=[^\s<])", f"{_FENCE} ", text)


def _tagged(text: str, token: str, count: int, shape: Shape) -> str:
    """Idefics3: every tile behind a fence and its place, then the whole picture."""
    rows, columns = shape[0] - 1, shape[1]
    tiles = ""
    for row in range(1, rows + 1):
        tiles += "".join(f"{_FENCE}<row_{row}_col_{column}>{token * count}" for column in range(1, columns + 1)) + "\n"
    whole = f"{_FENCE}<global-img>{token * count}{_FENCE}"
    return text.replace(token, f"{tiles}\n{whole}" if rows else whole)


_FENCE = "<fake_token_around_image>"
_QWEN = Family(_patched, _merged, _flattened, _repeated)
_BLIP = Family(_fixed, _queried, _plain, _repeated, "{prompt}", leading=True)
_IDEFICS3 = Family(_tiled, _shuffled, _listed, _tagged)
FAMILIES: Mapping[str, Family] = {
    "blip-2": _BLIP,
    "instructblip": _BLIP,
    "idefics2": Family(_bounded, _resampled, _single, _fenced),
    "idefics3": _IDEFICS3,
    "llava": Family(_fixed, _selected, _plain, _repeated, "USER: {image}\n{prompt} ASSISTANT:"),
    "paligemma": Family(_fixed, _patches, _prefixed, _repeated, "{bos}{prompt}\n", leading=True),
    "qwen2_vl": _QWEN,
    "qwen2_5_vl": _QWEN,
    "qwen3_vl": _QWEN,
    "smolvlm": _IDEFICS3,
}
