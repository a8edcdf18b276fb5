"""Tokens and backbones: the one contract between fusiform and any network, and three ways to keep it.

An object of one's own through `as_backbone`, any torch module through `hook_layers`, a name through `load_backbone`.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from fusiform.data import Kind
from fusiform.errors import DataError, FusiformError, SettingsError, UnknownNameError
from fusiform.features.hooks import Hooks, device_of, evaluating, modules_of, weights_digest
from fusiform.features.preprocess import Picture, Preprocess, describe
from fusiform.registry import did_you_mean, find, names

__all__ = ["Backbone", "Tokens", "as_backbone", "checked_tokens", "hook_layers", "load_backbone"]

_NO_FOLDERS = ("", ".", "..", "zarr.json")  # a layer is a folder of this name beside a file of that one


class Tokens(NamedTuple):
    """What a network says of a batch; unpacks as the 2-tuple `(local, global_)`.

    Args:
        local: layer -> [B, C, *grid]; the grid is (H, W), (T, H, W), (T,) or nothing.
        global_: layer -> [B, C].
    """

    local: dict[str, Tensor]
    global_: dict[str, Tensor]


@runtime_checkable
class Backbone(Protocol):
    """Any network (or plain description) of stimuli.

    What else a backbone may have, and what is assumed where it has not:

    - `revision` (str, default `""`): of its weights, and `settings` (a mapping, default empty): whatever else changes
      its numbers. Both are in the key of its stored features: other settings, other rows.
    - `to(device)`: extraction moves it to the device; without it, batches stay on the CPU.
    - For recordings, `rate` (Hz): its local tokens are [1, C, T, *grid], without global ones, and row t begins at
      `onset(recording) + t / rate` seconds; `onset` (default 0) is a method. `hemodynamic` (default False) says that
      the rows already went through a haemodynamic response.
    - For recordings that are too long for one tensor, `pieces(recording, batch_size)`: yields `windows.Piece`s, what
      `get_tokens` takes at once and how its tokens become rows, in the order of time from 0 seconds on. `preprocess` is
      then only called by `pieces` itself.

    With a `rate`, a backbone of kind `video`, `audio` or `text` reads recordings that have that stream; one of kind
    `image+text`, which has its text from its settings, reads images.
    """

    name: str
    kind: Kind

    def preprocess(self, stimulus: Any) -> Tensor:
        """One stimulus, as loaded, to one item of a batch.

        Of pictures, several threads may ask at once; of anything, another thread than that in which the network runs.
        """

    def get_tokens(self, x: Tensor) -> Tokens:
        """A batch [B, ...] to its tokens, every layer in one pass."""


class _Adapter:
    """A backbone around something that only has `get_tokens(x)`."""

    def __init__(self, inner: Any, name: str, kind: Kind, preprocess: Preprocess, settings: Mapping[str, Any]) -> None:
        self.name, self.kind, self.preprocess = name, kind, preprocess
        self.settings = {**settings, "preprocess": describe(preprocess)}
        self._inner = inner

    @property
    def revision(self) -> str:
        return str(getattr(self._inner, "revision", "")) or weights_digest(self._inner)

    def get_tokens(self, x: Tensor) -> Tokens:
        with evaluating(self._inner):
            return _two_mappings(self._inner.get_tokens(x.to(device_of(self._inner))), self.name)

    def to(self, device: Any) -> None:
        for module in modules_of(self._inner):
            module.to(device)


def as_backbone(
    object: Any,
    *,
    name: str,
    kind: Kind = "image",
    preprocess: Preprocess | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Backbone:
    """A backbone of any object with the published `get_tokens(x) -> (local, global)`.

        as_backbone(MyNet(), name="mynet", preprocess=Picture(224, normalise="clip"))

    Args:
        object: has `get_tokens([B, ...])`, which returns two mappings: layer -> [B, C, *grid] and layer -> [B, C]. A
            torch module among its attributes is put in evaluation mode for each pass.
        name: what its features are called.
        kind: of stimuli that it takes.
        preprocess: one stimulus to one item of a batch; for images, `Picture(224, normalise="imagenet")` by default.
        settings: of the object, such as `{"window": 8}`: whatever changes its numbers beyond the weights.

    Raises:
        SettingsError: there is no `get_tokens`, no way from a stimulus to a tensor, or settings that are no mapping.
    """
    if not callable(getattr(object, "get_tokens", None)):
        raise SettingsError(f"{name!r} ({type(object).__name__}) has no method get_tokens(x); see fusiform's Backbone")
    if not isinstance(settings or {}, Mapping):
        raise SettingsError(f"settings of {name!r} are {settings!r}; wanted a mapping, such as {{'window': 8}}")
    return _Adapter(object, name, kind, _preprocess(object, name, kind, preprocess), settings or {})


def _preprocess(object: Any, name: str, kind: Kind, given: Preprocess | None) -> Preprocess:
    own: Preprocess | None = given or getattr(object, "preprocess", None) or (Picture() if kind == "image" else None)
    if own is None:
        raise SettingsError(f"backbone {name!r} of kind {kind!r} needs preprocess=, from one stimulus to a tensor")
    return own


def hook_layers(
    model: Any,
    layers: list[str],
    *,
    name: str,
    kind: Kind = "image",
    preprocess: Preprocess | None = None,
    prefix: int = 0,
) -> Backbone:
    """A backbone of any torch module: the outputs of some of its submodules, caught during one forward pass.

        hook_layers(vit, ["blocks.3", "blocks.7"], name="my-vit", prefix=1)

    Outputs [B, C, H, W] and [B, C, T, H, W] are local tokens as they are; [B, T, C] are local tokens [B, C, T], or
    [B, C, H, W] where `prefix` is given, T is a square and the kind is `image`; [B, C] are global tokens.

    Args:
        model: a torch module, called as `model(x)`.
        layers: names of submodules, as in `model.named_modules()`.
        name: what its features are called.
        kind: of stimuli that it takes.
        preprocess: as in `as_backbone`.
        prefix: tokens that stand before the patches in [B, T, C]: the class token, which becomes the global token of
            its layer, and registers, which are dropped.

    Raises:
        UnknownNameError: the model has no such submodule; the nearest is named.
    """
    modules = dict(model.named_modules())
    for layer in layers:
        if layer not in modules:
            raise UnknownNameError(f"{name!r} has no submodule {layer!r}{did_you_mean(layer, modules)}")
    settings = {"hooks": list(layers), "prefix": prefix}
    hooks = Hooks(model, tuple(layers), prefix, square=kind == "image")
    return _Adapter(hooks, name, kind, _preprocess(hooks, name, kind, preprocess), settings)


def load_backbone(name: str, *, picture: Picture | None = None, **arguments: Any) -> Backbone:
    """A backbone by name.

    - `"pixels"`: a registered one;
    - `"hf:facebook/dinov2-base"`: a registered source, and what it is to load;
    - `"models/my-vit"`: a folder that `save_pretrained` of transformers wrote;
    - `"my_module:MyNet"`: a class of one's own.

    A class whose objects are no whole backbone, because they have `get_tokens` and little else, goes through
    `as_backbone` as an image backbone of that name.

    Args:
        name: of it.
        picture: how pictures are made ready for a class that does not say so itself (default: `Picture()`).
        arguments: handed to its constructor.

    Raises:
        UnknownNameError: nothing has that name.
        SettingsError: it does not take these arguments, or prepares pictures itself.
    """
    kind, given = _find(name)
    try:
        backbone = kind(*given, **arguments)
    except (TypeError, ValueError) as reason:
        if isinstance(reason, FusiformError):
            raise
        raise SettingsError(f"backbone {name!r} cannot be made with {arguments} ({reason})") from reason
    if picture is not None and hasattr(backbone, "preprocess"):
        raise SettingsError(
            f"backbone {name!r} says itself how pictures are made ready; leave out --image-size and --normalise"
        )
    if isinstance(backbone, Backbone):
        return backbone
    called = getattr(backbone, "name", name)
    return as_backbone(backbone, name=called, preprocess=picture, settings={"arguments": arguments})


def _find(name: str) -> tuple[Any, tuple[str, ...]]:
    """What makes the backbone of that name, and its first argument where the name holds it."""
    source, colon, what = name.partition(":")
    if source in names("backbone"):
        return find("backbone", source), (what,) * bool(colon)
    if Path(name).is_dir():
        return find("backbone", "hf"), (name,)
    return (_import(name) if colon else find("backbone", name)), ()


def _import(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as reason:
        raise UnknownNameError(
            f"cannot import {attribute!r} from the module {module!r} ({reason}); wanted module:Class, of a module that "
            "is installed or whose folder is in PYTHONPATH"
        ) from reason


def checked_tokens(found: Any, size: int, name: str) -> Tokens:
    """The tokens of a batch of `size` stimuli, once their shapes are right.

    Raises:
        DataError: they are not two mappings of [B, C, *grid] and [B, C] tensors of real numbers, or a layer's name
            cannot name a folder; says which layer, and its shape.
    """
    tokens = _two_mappings(found, name)
    for layer, value in tokens.local.items():
        _check_layer(layer, value, size, f"local[{layer!r}] of {name!r}", grid=True)
    for layer, value in tokens.global_.items():
        _check_layer(layer, value, size, f"global[{layer!r}] of {name!r}", grid=False)
    if not tokens.local and not tokens.global_:
        raise DataError(f"get_tokens of {name!r} gave no layer at all")
    return tokens


def _two_mappings(found: Any, name: str) -> Tokens:
    if isinstance(found, tuple | list) and len(found) == 2 and all(isinstance(part, Mapping) for part in found):
        return Tokens(*found)
    inside = f" of {len(found)}" if isinstance(found, tuple | list) else ""
    raise DataError(
        f"get_tokens of {name!r} must return two mappings (local, global); got a {type(found).__name__}{inside}"
    )


def _check_layer(layer: Any, value: Any, size: int, what: str, *, grid: bool) -> None:
    wanted = f"wanted a tensor [{size}, {'C, *grid' if grid else 'C'}]"
    if not isinstance(layer, str) or layer in _NO_FOLDERS:
        raise DataError(f"{what} has a name that cannot be kept; wanted text such as 'block3'")
    if not isinstance(value, Tensor):
        raise DataError(f"{what} is a {type(value).__name__}; {wanted}")
    shape = tuple(value.shape)
    if len(shape) < 2 or shape[0] != size or 0 in shape or (len(shape) > 2 and not grid):
        raise DataError(f"{what} has the shape {shape}; {wanted}, none of them 0")
    if value.is_complex():
        raise DataError(f"{what} holds complex numbers; wanted real ones, e.g. their size")
