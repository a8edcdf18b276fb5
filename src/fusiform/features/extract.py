"""Stimuli through a backbone: every layer in one pass, in batches, into memory or into a store."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import torch
from tqdm import tqdm

from fusiform.data import Features, Stimuli
from fusiform.errors import DataError, SettingsError
from fusiform.features.blocks import Block, features_of
from fusiform.features.forward import Forward
from fusiform.features.reduce import reduction
from fusiform.features.store import Entry, FeatureStore, key_of
from fusiform.features.tokens import Backbone

__all__ = ["extract"]

DType = Literal["float32", "float16"]
_DTYPES = ("float32", "float16")
_BLOCK_STIMULI, _BLOCK_BYTES = 256, 1 << 28  # a block is written at once, so it must fit in memory


def extract(
    stimuli: Stimuli,
    backbone: Backbone,
    store: FeatureStore | None = None,
    *,
    layers: Sequence[str] | None = None,
    reduce: str | None = None,
    dtype: DType = "float32",
    batch_size: int = 32,
    shard: tuple[int, int] = (0, 1),
    device: str = "auto",
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
        layers: names of those to keep; all by default.
        reduce: None, `"mean"`, `"cls"` or `"pool:HxW"`, see `reduce.reduction`.
        dtype: of the rows.
        batch_size: stimuli per forward pass; it changes no number beyond float noise. Recordings go one by one.
        shard: (i, n): fill only the i-th of n shares of the store, and return the rows of that share. Workers with
            different i may run at once; the same one must not run twice at once.
        device: `auto` (the GPU where there is one), `cpu`, `cuda`, `cuda:1`, ...
        progress: show a bar with stimuli per second.
        verify: compare everything that the store holds with its checksums first, and extract again what is damaged.

    Raises:
        DataError: a stimulus that will not load (named), or tokens of the wrong shape.
        UnknownNameError: the backbone has no such layer.
        SettingsError: a setting that cannot be used.
        StoreError: the store is damaged, or the backbone no longer says what it said.
    """
    if dtype not in _DTYPES:
        raise SettingsError(f"unknown dtype {dtype!r}; there are: {', '.join(_DTYPES)}")
    if batch_size < 1 or not 0 <= shard[0] < shard[1]:
        raise SettingsError(f"got batch_size={batch_size} and shard={shard}; wanted at least 1, and (i, n) with i < n")
    _check_kind(stimuli, backbone)
    place = _move(backbone, device)
    forward = Forward(stimuli, backbone, layers, reduction(reduce), np.dtype(dtype), batch_size, place)
    if store is None:
        return _in_memory(forward, shard, progress)
    key = key_of(stimuli, backbone, layers, reduce, dtype)
    return _into(store, key, forward, shard, progress, verify)


def _in_memory(forward: Forward, shard: tuple[int, int], progress: bool) -> Features:
    if shard != (0, 1):
        raise SettingsError(f"shard={shard} needs a store that all workers share; give store=FeatureStore(folder)")
    with _bar(forward, len(forward.stimuli), progress) as bar:
        block = forward.block(forward.stimuli.ids, bar.update)
    return features_of([block], block.arrays, forward.rate, forward.hemodynamic)


def _into(
    store: FeatureStore, key: dict[str, Any], forward: Forward, shard: tuple[int, int], progress: bool, verify: bool
) -> Features:
    first = None if forward.rate else forward.block(forward.stimuli.ids[:1])
    entry = store.begin(key, forward.stimuli.ids, _block_size(first), forward.rate, forward.hemodynamic)
    if verify:  # first of all: a damaged first row is made anew, not taken for a changed backbone
        entry.drop_damaged()
    if first is not None:
        entry.check_first(first)
    numbers = range(shard[0], len(entry), shard[1])
    for number in numbers:
        entry.sweep(number)
    _fill(entry, [number for number in numbers if not entry.has(number)], forward, progress)
    return entry.features(numbers)


def _fill(entry: Entry, missing: list[int], forward: Forward, progress: bool) -> None:
    """Compute the missing blocks, each written in a thread while the next is computed."""
    total = sum(len(entry.ids(number)) for number in missing)
    with ThreadPoolExecutor(max_workers=1) as writer, _bar(forward, total, progress and total > 0) as bar:
        written: Future[None] | None = None
        for number in missing:
            block = forward.block(entry.ids(number), bar.update)
            if written:
                written.result()  # at most two blocks in memory, and no error of the disk goes by
            written = writer.submit(entry.write, number, block)
        if written:
            written.result()


def _bar(forward: Forward, total: int, progress: bool) -> "tqdm[Any]":
    return tqdm(total=total, desc=f"extract {forward.name}", unit="stimulus", disable=not progress)


def _block_size(first: Block | None) -> int:
    """Stimuli per block: one recording, or as many others as fit, a power of two so that batches fit too."""
    if first is None:
        return 1
    size = sum(array.nbytes for array in first.arrays.values())
    fitting = max(1, min(_BLOCK_STIMULI, _BLOCK_BYTES // max(1, size)))
    return 1 << (fitting.bit_length() - 1)


def _check_kind(stimuli: Stimuli, backbone: Backbone) -> None:
    if not len(stimuli):
        raise DataError(f"stimuli {stimuli.name!r} are none; wanted at least one")
    if stimuli.kind != backbone.kind:
        raise DataError(
            f"backbone {backbone.name!r} reads stimuli of kind {backbone.kind!r}, and {stimuli.name!r} are of kind "
            f"{stimuli.kind!r}; choose another backbone"
        )


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
