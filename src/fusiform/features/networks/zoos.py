"""Vision networks of timm and of OpenCLIP, by name: every block in one pass.

Both packages need torchvision, and are imported when a network is first used.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from inspect import signature
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from fusiform.data import Kind
from fusiform.errors import FusiformError, LayoutError, MissingExtraError, SettingsError
from fusiform.features.hooks import device_of, evaluating, weights_digest
from fusiform.features.networks.processing import Processing
from fusiform.features.preprocess import describe
from fusiform.features.tokens import Tokens
from fusiform.registry import need

__all__ = ["OpenClip", "Timm"]

_WHOLE = ("hf-hub:", "local-dir:")  # OpenCLIP's names for a network together with its weights


class _State(NamedTuple):
    """What one layer gives on: local [B, C, H, W] and global [B, C]."""

    local: Tensor
    global_: Tensor


class _Zoo(ABC):
    """What both zoos share."""

    kind: Kind = "image"

    def __init__(self, source: str, name: str) -> None:
        self.source, self.name = source, name

    @property
    def network(self) -> Any:
        """The vision network, loaded when first asked for."""
        return self._loaded[0]

    @cached_property
    def revision(self) -> str:
        """Digest of the weights."""
        return weights_digest(self.network)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What else decides the numbers."""
        return {"preprocess": describe(self._loaded[1])}

    def preprocess(self, picture: Image.Image) -> Tensor:
        """One PIL picture to [3, H, W]."""
        return self._loaded[1](picture)

    def to(self, device: Any) -> None:
        """Move the network."""
        self.network.to(device)

    def get_tokens(self, x: Tensor) -> Tokens:
        """[B, 3, H, W] -> local and global tokens of every layer, in one pass."""
        with evaluating(self.network):
            states, vectors = self._run(x.to(device_of(self.network)))
        local = {layer: state.local for layer, state in states.items()}
        return Tokens(local, {**{layer: state.global_ for layer, state in states.items()}, **vectors})

    @cached_property
    def _loaded(self) -> tuple[Any, Processing]:
        try:
            network, processing = self._load()
        except FusiformError:
            raise
        except Exception as reason:  # unknown names, no connection and damaged files raise what they like
            said = " ".join(str(reason).split())[:200]
            raise LayoutError(
                f"cannot load {self.name!r} ({type(reason).__name__}: {said}); wanted the name of a network whose "
                "pretrained weights are in the cache or can be downloaded"
            ) from reason
        if not hasattr(network, "forward_intermediates"):
            raise SettingsError(
                f"{self.name!r} ({type(network).__name__}) does not give its blocks; bring it through hook_layers"
            )
        return network.float().eval(), processing

    @abstractmethod
    def _load(self) -> tuple[Any, Processing]:
        """The network with its weights, and how its pictures are made ready."""

    @abstractmethod
    def _run(self, x: Tensor) -> tuple[dict[str, _State], dict[str, Tensor]]:
        """Layers with a grid, and those that are a vector only."""


class Timm(_Zoo):
    """A network of timm with pretrained weights, such as `Timm("vit_base_patch14_dinov2.lvd142m")`.

    Layers: `block1` ... `blockN` (`stage1` ... where grid or width change), what each gives on before any final norm;
    `final`, the last state as the network norms it, where that is another than the last block's; `pooled`, the vector
    before its classifier. Global tokens are the class token, or the mean over the grid in networks without one.

    Args:
        source: a name that `timm.list_models(pretrained=True)` knows, with or without its tag; or `hf-hub:NAME`.
    """

    def __init__(self, source: str) -> None:
        super().__init__(source, f"timm:{source}")

    def _load(self) -> tuple[Any, Processing]:
        timm = _need("timm")
        network = timm.create_model(self.source, pretrained=True, num_classes=0)
        return network, _of_timm(timm.data.resolve_model_data_config(network))

    def _run(self, x: Tensor) -> tuple[dict[str, _State], dict[str, Tensor]]:
        forward = self.network.forward_intermediates
        prefixed = "return_prefix_tokens" in signature(forward).parameters  # only networks of tokens have it
        last, found = forward(x, output_fmt="NCHW", **({"return_prefix_tokens": True} if prefixed else {}))
        pairs = [pair if isinstance(pair, tuple) else (pair, None) for pair in found]
        states = _named([_state(grid, prefix, self.network) for grid, prefix in pairs])
        pooled = {"pooled": self.network.forward_head(last, pre_logits=True).flatten(1)}
        final = _final(last, pairs[-1][0], self.network)
        return states if _same(final, pairs[-1][0]) else {**states, "final": final}, pooled


class OpenClip(_Zoo):
    """The vision part of a network of OpenCLIP, such as `OpenClip("ViT-B-32/laion2b_s34b_b79k")`.

    Layers: `block1` ... `blockN` (`stage1` ... where grid or width change), what each gives on before any final norm;
    `embedding`, the vector in the space that pictures and words share, as it is before its length is made one. Global
    tokens are the class token, or the mean over the grid in networks without one.

    Args:
        source: `NAME/PRETRAINED`, a pair that `open_clip.list_pretrained()` knows (or a file of weights as PRETRAINED);
            or `hf-hub:ORGANISATION/NAME`.

    Raises:
        SettingsError: the weights are not named.
    """

    def __init__(self, source: str) -> None:
        super().__init__(source, f"open_clip:{source}")
        whole = source.startswith(_WHOLE)
        self.architecture, slash, self.weights = (source, "/", "") if whole else source.partition("/")
        if not slash or not (whole or self.weights):
            raise SettingsError(
                f"open_clip:{source} names no weights; wanted open_clip:NAME/PRETRAINED, such as "
                "open_clip:ViT-B-32/laion2b_s34b_b79k"
            )

    def _load(self) -> tuple[Any, Processing]:
        open_clip = _need("open_clip")
        model = open_clip.create_model(self.architecture, pretrained=self.weights or None)
        return model.visual, _of_open_clip(open_clip.get_model_preprocess_cfg(model))

    def _run(self, x: Tensor) -> tuple[dict[str, _State], dict[str, Tensor]]:
        trunk = getattr(self.network, "trunk", self.network)  # networks of timm sit inside
        prefixed = {"return_prefix_tokens", "output_extra_tokens"} & {
            *signature(trunk.forward_intermediates).parameters
        }
        found = self.network.forward_intermediates(x, output_fmt="NCHW", output_extra_tokens=bool(prefixed))
        grids = found["image_intermediates"]
        prefixes = found.get("image_intermediates_prefix") or [None] * len(grids)
        states = [_state(grid, prefix, trunk) for grid, prefix in zip(grids, prefixes, strict=True)]
        return _named(states), {"embedding": found["image_features"]}


def _need(package: str) -> Any:
    try:
        return need(package, extra="zoos")
    except MissingExtraError as reason:
        raise MissingExtraError(
            f"{reason}; {package} imports torchvision, which must be the one made for torch {torch.__version__}"
        ) from reason


def _named(states: list[_State]) -> dict[str, _State]:
    """Blocks where all states are alike in shape, stages where they are not."""
    unit = "block" if len({state.local.shape for state in states}) == 1 else "stage"
    return {f"{unit}{number}": state for number, state in enumerate(states, 1)}


def _state(grid: Tensor, prefix: Tensor | None, network: Any) -> _State:
    """A grid [B, C, H, W] and the tokens before it [B, P, C]: a class token first if there is one, then registers."""
    classed = any(getattr(network, name, None) is not None for name in ("cls_token", "class_embedding"))
    return _State(grid, prefix[:, 0] if prefix is not None and classed else grid.mean((2, 3)))


def _final(last: Tensor, grid: Tensor, network: Any) -> _State:
    """The last state, as tokens [B, P + HW, C], [B, C, H, W] or [B, H, W, C]; `grid` is that of the last block."""
    if last.ndim == 3:
        before = last.shape[1] - grid.shape[2] * grid.shape[3]
        tokens = last[:, before:].transpose(1, 2).reshape(len(last), -1, *grid.shape[2:])
        return _state(tokens, last[:, :before] if before else None, network)
    if last.shape[1:] != grid.shape[1:] and last.movedim(3, 1).shape[2:] == grid.shape[2:]:
        last = last.movedim(3, 1)
    return _state(last, None, network)


def _same(state: _State, grid: Tensor) -> bool:
    return state.local.shape == grid.shape and torch.equal(state.local, grid)


def _of_timm(config: Mapping[str, Any]) -> Processing:
    """The processing of timm's evaluation: the picture is fitted to size / crop_pct, and its middle is kept."""
    _, height, width = config["input_size"]
    mode = config.get("crop_mode", "center")
    if height != width or mode not in _FITS:
        raise SettingsError(
            f"timm asks for pictures of {height} x {width} with crop_mode={mode!r}; wanted square ones with one of "
            f"{', '.join(_FITS)}: preprocess them yourself and bring the network through as_backbone"
        )
    edge = math.floor(height / config["crop_pct"])
    return _processing("timm", _FITS[mode], edge, (height, width), config)


def _of_open_clip(config: Mapping[str, Any]) -> Processing:
    size, mode = config["size"], config.get("resize_mode", "shortest")
    height, width = (size, size) if isinstance(size, int) else size
    if height != width or mode not in ("shortest", "squash"):
        raise SettingsError(
            f"open_clip asks for pictures of {height} x {width} with resize_mode={mode!r}; wanted square ones with "
            "shortest or squash: preprocess them yourself and bring the network through as_backbone"
        )
    return _processing("open_clip", _FITS[mode], height, (height, width), config)


def _processing(source: str, fit: Any, edge: int, crop: tuple[int, int], config: Mapping[str, Any]) -> Processing:
    method = str(config["interpolation"]).upper()
    if method not in Image.Resampling.__members__:
        raise SettingsError(f"{source} asks for interpolation={config['interpolation']!r}, which PIL does not have")
    mean, deviation = tuple(config["mean"]), tuple(config["std"])
    resample = int(Image.Resampling[method])
    return Processing(f"{source}'s data config", fit, (edge, edge), resample, crop, 1 / 255, mean, deviation, None)


# what timm and OpenCLIP call a way of fitting a picture, and what it is called here
_FITS = {"center": "shortest", "shortest": "shortest", "squash": "stretch"}
