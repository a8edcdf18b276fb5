"""Any vision network of Hugging Face, by its name on the hub or from a local folder: every layer in one pass."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from fusiform.data import Kind
from fusiform.errors import DataError, UnknownNameError
from fusiform.features.hooks import device_of, evaluating
from fusiform.features.networks.checkpoints import check_folder, load_processing_config, load_vision, revision_of
from fusiform.features.networks.processing import Processing, processing_of
from fusiform.features.preprocess import describe
from fusiform.features.tokens import Tokens
from fusiform.registry import did_you_mean

__all__ = ["HuggingFace"]

_PROJECTIONS = {"query": ("q_proj", "query"), "key": ("k_proj", "key"), "value": ("v_proj", "value")}


class HuggingFace:
    """A vision network, such as `HuggingFace("facebook/dinov2-base")` or `HuggingFace("models/my-vit")`.

    Layers:

    - `embeddings` and `block1` ... `blockN` (`stage1` ... where the network has stages): what each block gives on, as
      it is, before any final norm; local [B, C, H, W], global [B, C];
    - `final`: the network's own last state, with its final norm or neck, where that is another than the last block's;
    - `pooled`: its pooled vector, global only, where the checkpoint holds the weights for one;
    - `block3.query`, `block3.key`, `block3.value`: what the attention of a block projects to, all heads side by side,
      before any rotation by place; given only if asked for by `layers`.

    The global token of a layer is its class token, or the mean over the grid in networks without one. Registers are
    dropped. Making one loads nothing; the network is loaded when first used.

    Args:
        source: name on the hub, or a local folder that `save_pretrained` wrote.
        layers: those to give; all but projections by default.
        commit: hash, tag or branch on the hub; the latest by default.
    """

    kind: Kind = "image"

    def __init__(self, source: str, layers: str | Sequence[str] | None = None, commit: str | None = None) -> None:
        check_folder(source)
        self.source, self.commit = source, commit
        self.layers = (layers,) if isinstance(layers, str) else None if layers is None else tuple(layers)
        self.name = Path(source).resolve().name if Path(source).is_dir() else source

    @cached_property
    def network(self) -> Any:
        """The vision part, loaded when first asked for."""
        return load_vision(self.source, self.commit)

    @cached_property
    def processing(self) -> Processing:
        """How pictures are made ready, as the network's own file says."""
        config = self.network.config
        size = getattr(config, "image_size", None)
        file = load_processing_config(self.source, self.commit)
        return processing_of(file, config.model_type, size if isinstance(size, int) else None)

    @cached_property
    def revision(self) -> str:
        """Commit on the hub, or digest of weights and configuration."""
        return revision_of(self.network, self.source)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What else decides the numbers."""
        return {"layers": list(self.layers) if self.layers else "all", "preprocess": describe(self.processing)}

    def preprocess(self, picture: Image.Image) -> Tensor:
        """One PIL picture to [3, H, W]."""
        return self.processing(picture)

    def to(self, device: Any) -> None:
        """Move the network."""
        self.network.to(device)

    def get_tokens(self, x: Tensor) -> Tokens:
        """[B, 3, H, W] -> local and global tokens of every layer, in one pass."""
        x = x.to(device_of(self.network))
        modules = self._projections
        with evaluating(self.network), _caught(modules) as caught:
            output = self.network(x, output_hidden_states=True, **_order_of_patches(self.network.config, x))
        found = _tokens({**_states(output, self.network.config), **caught}, output, self.network.config, x)
        return found if self.layers is None else _chosen(found, self.layers, self.name)

    @cached_property
    def _projections(self) -> dict[str, nn.Module]:
        """The submodules behind the layers called `block3.query` and the like."""
        wanted = [re.fullmatch(r"block(\d+)\.(query|key|value)", layer) for layer in self.layers or ()]
        return {match[0]: self._projection(int(match[1]), match[2]) for match in wanted if match}

    def _projection(self, number: int, part: str) -> nn.Module:
        blocks = _blocks(self.network)
        named = blocks[number - 1].named_modules() if 0 < number <= len(blocks) else ()
        for name, module in named:
            if name.rpartition(".")[2] in _PROJECTIONS[part] and isinstance(module, nn.Linear):
                return module
        raise UnknownNameError(
            f"block {number} of {self.name!r} has no {part} of its own; the network has {len(blocks)} blocks of the "
            f"class {type(blocks[0]).__name__ if len(blocks) else None}"
        )


def _blocks(network: Any) -> Sequence[nn.Module]:
    """The blocks of a transformer: the outermost list of as many modules as its configuration has layers."""
    count = getattr(network.config, "num_hidden_layers", 0)
    lists = [module for module in network.modules() if isinstance(module, nn.ModuleList)]
    return next((list(module) for module in lists if len(module) == count), [])


@contextmanager
def _caught(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """The outputs of submodules in a forward pass, by the names given to them."""
    caught: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for layer, module in modules.items():
            handle = module.register_forward_hook(lambda _, __, output, layer=layer: caught.update({layer: output}))
            hooks.callback(handle.remove)
        yield caught


def _order_of_patches(config: Any, x: Tensor) -> dict[str, Tensor]:
    """Masked autoencoders shuffle patches, even if they hide none: noise that rises keeps their order."""
    if not hasattr(config, "mask_ratio"):
        return {}
    height, width = _patch_grid(config, x)
    return {"noise": torch.arange(height * width, device=x.device).expand(len(x), -1)}


def _states(output: Any, config: Any) -> dict[str, Tensor]:
    """What the embedding and every block give on, and the network's last state where it is another."""
    states = output.get("reshaped_hidden_states") or output.hidden_states  # Swin gives its grids only there
    unit = "stage" if hasattr(config, "depths") else "block"
    named = {f"{unit}{number}" if number else "embeddings": state for number, state in enumerate(states)}
    last = output.last_hidden_state
    if last.ndim == 3 and states[-1].ndim == 4:  # [B, T, C] of a network with grids
        last = last.transpose(1, 2).reshape(states[-1].shape)
    return named if torch.equal(last, states[-1]) else {**named, "final": last}


def _tokens(states: Mapping[str, Tensor], output: Any, config: Any, x: Tensor) -> Tokens:
    local: dict[str, Tensor] = {}
    global_: dict[str, Tensor] = {}
    for layer, state in states.items():
        local[layer], global_[layer] = _split(layer, state, config, x)
    pooled = output.get("pooler_output")
    return Tokens(local, global_ if pooled is None else {**global_, "pooled": pooled.flatten(1)})


def _split(layer: str, state: Tensor, config: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """One state to its local [B, C, H, W] and global [B, C] tokens."""
    if state.ndim == 4:
        local = state.movedim(3, 1) if _channels_last(state, config, x) else state
        return local, local.mean((2, 3))
    height, width = _patch_grid(config, x)
    before = state.shape[1] - height * width  # the class token, then registers
    if before < 0:
        raise DataError(
            f"layer {layer!r} has {state.shape[1]} tokens for a grid of {height} x {width} patches; bring this network "
            "through hook_layers"
        )
    local = state[:, before:].transpose(1, 2).reshape(len(state), -1, height, width)
    return local, state[:, 0] if before else local.mean((2, 3))


def _channels_last(state: Tensor, config: Any, x: Tensor) -> bool:
    """Whether a state is [B, H, W, C], as SAM's blocks give it."""
    width = getattr(config, "hidden_size", None)
    return isinstance(width, int) and tuple(state.shape[1:]) == (*_patch_grid(config, x), width)


def _patch_grid(config: Any, x: Tensor) -> tuple[int, int]:
    """Patches down and across."""
    size = getattr(config, "patch_size", 1)
    down, across = (size, size) if isinstance(size, int) else size
    return x.shape[2] // down, x.shape[3] // across


def _chosen(tokens: Tokens, layers: Sequence[str], name: str) -> Tokens:
    known = {**tokens.local, **tokens.global_}
    for layer in layers:
        if layer not in known:
            raise UnknownNameError(
                f"backbone {name!r} has no layer {layer!r}{did_you_mean(layer, known)}; it has: {', '.join(known)}"
            )
    local = {layer: tokens.local[layer] for layer in layers if layer in tokens.local}
    return Tokens(local, {layer: tokens.global_[layer] for layer in layers if layer in tokens.global_})
