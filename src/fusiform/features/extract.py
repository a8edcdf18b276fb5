"""Stimuli through a backbone: every layer in one pass, in batches, into memory or into a store."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch

from fusiform.data import Features, Stimuli
from fusiform.errors import DataError, SettingsError
from fusiform.features.filling import Job
from fusiform.features.forward import Forward
from fusiform.features.loading import Loader
from fusiform.features.precision import PRECISIONS, Precision
from fusiform.features.reduce import reduction, steps_of
from fusiform.features.store import FeatureStore
from fusiform.features.tokens import Backbone
from fusiform.features.views import Views
from fusiform.registry import unknown

__all__ = ["OnError", "extract"]

OnError = Literal["stop", "skip"]


def extract(
    stimuli: Stimuli,
    backbone: Backbone,
    store: FeatureStore | None = None,
    *,
    layers: Sequence[str] | None = None,
    reduce: str | None = None,
    dtype: Precision = "float32",
    batch_size: int = 32,
    shard: tuple[int, int] = (0, 1),
    device: str = "auto",
    views: int = 0,
    seed: int = 0,
    on_error: OnError = "stop",
    progress: bool = False,
    verify: bool = False,
) -> Features:
    """What a backbone says of stimuli, each of which goes through it once.

    A local layer keeps its name. A global one is called `layer/global`, or `layer` where no local layer of that name
    is left: so `conv1` is [M, C, H, W] and `conv1/global` [M, C], and with `reduce="cls"` `conv1` is [M, C].
    Recordings have a row [C] per moment, with its `start` and `stop` in the index.

    Args:
        stimuli: of the backbone's kind.
        backbone: any, see `tokens.Backbone`.
        store: where rows are kept, so that what was extracted before under the same key is read, not computed; an
            interrupted extraction goes on where it stopped. None keeps rows in memory.
        layers: names of those to keep, in this order; all by default, in that of the network.
        reduce: None, `"mean"`, `"cls"`, `"pool:HxW"`, `"project:DIM"`, `"pca:DIM"` or several joined by `+`, such as
            `"mean+pca:64"`: see `reduce`. Components are fitted on the stimuli whose `split` is `train`, which must
            all be in the store, or in memory; what comes before them is kept in the store as a set of its own.
        dtype: of the rows: float32, float16, or bfloat16, which is read as float32.
        batch_size: pictures or frames per forward pass; it changes no number beyond float noise. A window of sound
            counts as eight; recordings that a backbone does not cut into pieces go one by one.
        shard: (i, n): fill only the i-th of n shares of the store, and return the rows of that share. Workers with
            different i may run at once.
        device: `auto` (the GPU where there is one), `cpu`, `cuda`, `cuda:1`, ...
        views: augmented views of each picture, as rows beside its own; the index numbers them in `view`, and `pair`
            averages over them.
        seed: of the views.
        on_error: what to do with a stimulus that will not load: `stop`, or `skip` it. It then has no rows, the store
            and `Features.skipped` say why (without the folders of its path, which are nobody's business), and a warning
            names it; `stop` tries those again that were skipped before.
        progress: show a bar with stimuli per second and the time that is left.
        verify: compare what the store holds (of this share) with its checksums first, and make anew what is damaged.

    Raises:
        DataError: a stimulus that will not load (named), or tokens of the wrong shape.
        UnknownNameError: the backbone has no such layer.
        SettingsError: a setting that cannot be used.
        StoreError: the store is damaged, or the backbone no longer says what it said.
    """
    if dtype not in PRECISIONS:
        raise SettingsError(unknown("dtype", dtype, PRECISIONS))
    if on_error not in get_args(OnError):
        raise SettingsError(unknown("on_error", on_error, get_args(OnError)))
    if batch_size < 1:
        raise SettingsError(f"got batch_size={batch_size}; wanted at least 1")
    _check_shard(*shard)
    steps, loader = steps_of(reduce), Loader(stimuli, backbone, Views(views, seed), on_error == "skip")
    _check_kind(stimuli, backbone)
    _check_views(stimuli, views)
    precision: Precision = dtype if steps.pca is None else "float32"
    forward = Forward(loader, layers, reduction(steps.tokens), precision, batch_size, _move(backbone, device))
    job = Job(forward, steps, dtype, shard, progress, verify)
    found = job.in_memory() if store is None else job.stored(store)
    _tell(found.skipped, len(stimuli))
    return found.select(*(layer for layer in layers if layer in found.arrays)) if layers else found


def _tell(skipped: Mapping[str, str], count: int) -> None:
    if skipped:
        named = "; ".join(f"{id!r} ({reason})" for id, reason in list(skipped.items())[:3])
        more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
        warnings.warn(f"{len(skipped)} of {count} stimuli were skipped: {named}{more}", stacklevel=3)


def _check_shard(number: int, count: int) -> None:
    if not 0 <= number < count:
        known = f"0/{count} to {count - 1}/{count}" if count > 1 else "0/1, which is all"
        raise SettingsError(f"there is no shard {number}/{count}, as shards count from 0; give one of {known}")


def _check_kind(stimuli: Stimuli, backbone: Backbone) -> None:
    if not len(stimuli):
        raise DataError(f"stimuli {stimuli.name!r} are none; wanted at least one")
    if stimuli.kind not in _kinds(backbone):
        hint = (
            f"framewise:{backbone.name} reads the frames of films"
            if _is_framewise(stimuli, backbone)
            else "choose another backbone"
        )
        raise DataError(
            f"backbone {backbone.name!r} reads stimuli of kind {' or '.join(map(repr, _kinds(backbone)))}, and "
            f"{stimuli.name!r} are of kind {stimuli.kind!r}; {hint}"
        )


def _kinds(backbone: Backbone) -> tuple[str, ...]:
    """Of the stimuli that a backbone reads: its own, and those that bring what it reads along.

    A recording brings a video, a sound and words, of which rows are made at the rate of the backbone; a network of
    pictures and text has its text from its settings.
    """
    if getattr(backbone, "rate", None) is not None and backbone.kind in ("video", "audio", "text"):
        return backbone.kind, "recording"
    return (backbone.kind, "image") if backbone.kind == "image+text" else (backbone.kind,)


def _is_framewise(stimuli: Stimuli, backbone: Backbone) -> bool:
    return stimuli.kind in ("recording", "video") and backbone.kind == "image"


def _check_views(stimuli: Stimuli, views: int) -> None:
    if views and stimuli.kind != "image":
        raise SettingsError(f"got views={views} of stimuli of kind {stimuli.kind!r}; only images have augmented views")


def _move(backbone: Backbone, device: str) -> torch.device:
    """Where batches go: the backbone is moved there if it can be."""
    if not hasattr(backbone, "to"):
        return torch.device("cpu")
    try:
        place = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        backbone.to(place)
    except (RuntimeError, AssertionError) as reason:  # torch without CUDA asserts
        raise SettingsError(f"cannot use device={device!r} ({reason}); wanted auto, cpu, cuda or cuda:N") from reason
    return place
