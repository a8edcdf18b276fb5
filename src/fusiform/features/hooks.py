"""Torch modules watched from outside: hooks on submodules, evaluation mode for one pass, a digest of the weights."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fusiform.errors import DataError

__all__ = ["Hooks", "device_of", "evaluating", "modules_of", "weights_digest"]


class Hooks:
    """`get_tokens` for a torch module; see `tokens.hook_layers`.

    Args:
        model: any torch module.
        layers: names of submodules to catch.
        prefix: tokens before the patches in [B, T, C] outputs.
        square: fold patches into a square grid where their number allows.
    """

    def __init__(self, model: nn.Module, layers: tuple[str, ...], prefix: int, *, square: bool) -> None:
        self.model, self.layers, self.prefix, self.square = model, layers, prefix, square

    def get_tokens(self, x: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One forward pass: (local, global) tokens of the hooked layers."""
        local: dict[str, Tensor] = {}
        global_: dict[str, Tensor] = {}
        for layer, output in self._catch(x).items():
            if output.ndim == 2:
                global_[layer] = output
            elif output.ndim == 3:
                local[layer] = self._patches(output[:, self.prefix :])
                if self.prefix:
                    global_[layer] = output[:, 0]
            else:
                local[layer] = output
        return local, global_

    def _catch(self, x: Tensor) -> dict[str, Tensor]:
        caught: dict[str, Tensor] = {}
        with ExitStack() as hooks:
            for layer in self.layers:
                module = self.model.get_submodule(layer)
                handle = module.register_forward_hook(lambda _, __, output, layer=layer: caught.update({layer: output}))
                hooks.callback(handle.remove)
            self.model(x)
        return {layer: _tensor(caught.get(layer), layer) for layer in self.layers}

    def _patches(self, tokens: Tensor) -> Tensor:
        """[B, T, C] -> [B, C, T] or [B, C, H, W]."""
        side = round(tokens.shape[1] ** 0.5)
        channels_first = tokens.transpose(1, 2)
        if self.prefix and self.square and side * side == tokens.shape[1]:
            return channels_first.reshape(*channels_first.shape[:2], side, side)
        return channels_first


def _tensor(output: Any, layer: str) -> Tensor:
    if isinstance(output, tuple | list) and output:
        output = output[0]  # transformer blocks return (hidden states, ...)
    if not isinstance(output, Tensor):
        got = "was not called in the forward pass" if output is None else f"gave a {type(output).__name__}"
        raise DataError(f"the hooked layer {layer!r} {got}; wanted a tensor")
    if output.ndim < 2:
        raise DataError(f"the hooked layer {layer!r} gave the shape {tuple(output.shape)}; wanted [B, C, ...]")
    return output


def modules_of(thing: Any) -> list[nn.Module]:
    """The torch modules that an object is, or holds: as attributes, in lists and mappings, and in wrapped networks."""
    if isinstance(thing, nn.Module):
        return [thing]
    if isinstance(thing, Mapping):
        thing = list(thing.values())
    if isinstance(thing, list | tuple):
        return [module for item in thing for module in modules_of(item)]
    if not hasattr(thing, "get_tokens"):
        return []
    return modules_of(getattr(thing, "__dict__", {}))


def device_of(thing: Any) -> torch.device:
    """Where the weights of an object are; the CPU where it has none."""
    weights = (weight for module in modules_of(thing) for weight in module.parameters())
    return next((weight.device for weight in weights), torch.device("cpu"))


@contextmanager
def evaluating(thing: Any) -> Iterator[None]:
    """Put the modules of an object in evaluation mode, and every submodule back afterwards."""
    training = [module for root in modules_of(thing) for module in root.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def weights_digest(thing: Any) -> str:
    """A digest of all weights and buffers of an object, or `""` where it holds none."""
    digest = hashlib.sha256()
    tensors = [item for module in modules_of(thing) for item in module.state_dict().items()]
    for name, value in tensors:
        if isinstance(value, Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16] if tensors else ""
