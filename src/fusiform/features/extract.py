"""Stimuli through a backbone: every layer in one pass, in batches, into memory or into a store."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from fusiform.data import Features, Stimuli
from fusiform.errors import DataError, SettingsError, UnknownNameError
from fusiform.features.blocks import Block, features_of
from fusiform.features.reduce import Reduction, reduction
from fusiform.features.store import Entry, FeatureStore, key_of
from fusiform.features.tokens import Backbone, Tokens, checked_tokens
from fusiform.registry import did_you_mean

__all__ = ["extract"]

DType = Literal["float32", "float16"]
_DTYPES = ("float32", "float16")
_BLOCK_STIMULI, _BLOCK_BYTES = 256, 1 << 28  # a block is written at once, so it must fit in memory

Item = TypeVar("Item")
Made = TypeVar("Made")


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
    forward = _Forward(stimuli, backbone, layers, reduction(reduce), np.dtype(dtype), batch_size, place)
    if store is None:
        return _in_memory(forward, shard, progress)
    key = key_of(stimuli, backbone, layers, reduce, dtype)
    return _into(store, key, forward, shard, progress, verify)


def _in_memory(forward: "_Forward", shard: tuple[int, int], progress: bool) -> Features:
    if shard != (0, 1):
        raise SettingsError(f"shard={shard} needs a store that all workers share; give store=FeatureStore(folder)")
    with _bar(forward, len(forward.stimuli), progress) as bar:
        block = forward.block(forward.stimuli.ids, bar.update)
    return features_of([block], block.arrays, forward.rate, forward.hemodynamic)


def _into(
    store: FeatureStore, key: dict[str, Any], forward: "_Forward", shard: tuple[int, int], progress: bool, verify: bool
) -> Features:
    first = None if forward.rate else forward.block(forward.stimuli.ids[:1])
    entry = store.begin(key, forward.stimuli.ids, _block_size(first), forward.rate, forward.hemodynamic)
    if first is not None:
        entry.check_first(first)
    if verify:
        entry.drop_damaged()
    numbers = range(shard[0], len(entry), shard[1])
    _fill(entry, [number for number in numbers if not entry.has(number)], forward, progress)
    return entry.features(numbers)


def _fill(entry: Entry, missing: list[int], forward: "_Forward", progress: bool) -> None:
    with _bar(forward, sum(len(entry.ids(number)) for number in missing), progress) as bar:
        for number in missing:
            entry.write(number, forward.block(entry.ids(number), bar.update))


def _bar(forward: "_Forward", total: int, progress: bool) -> "tqdm[Any]":
    return tqdm(total=total, desc=f"extract {forward.backbone.name}", unit="stimulus", disable=not progress)


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


@dataclass(frozen=True)
class _Batch:
    """Stimuli ready for the network: ids, tensor [B, ...], and when each one's first row begins."""

    ids: Sequence[str]
    x: Tensor
    onsets: list[float]


@dataclass(frozen=True)
class _Forward:
    """From ids to the rows of every layer."""

    stimuli: Stimuli
    backbone: Backbone
    layers: Sequence[str] | None
    reduction: Reduction
    dtype: np.dtype[Any]
    batch_size: int
    device: torch.device

    @property
    def rate(self) -> float | None:
        rate: float | None = getattr(self.backbone, "rate", None)
        return rate

    @property
    def hemodynamic(self) -> bool:
        return bool(getattr(self.backbone, "hemodynamic", False))

    def block(self, ids: Sequence[str], done: Callable[[int], Any] = lambda count: None) -> Block:
        """The rows of these stimuli; `done` hears of every batch."""
        size = 1 if self.rate else self.batch_size
        batches, parts = [], []
        for batch in _ahead(self._load, [ids[start : start + size] for start in range(0, len(ids), size)]):
            parts.append(self._rows(batch))
            batches.append(batch)
            done(len(batch.ids))
        _check_alike(parts, batches)
        return Block(
            stimuli=list(ids),
            rows=[len(next(iter(part.values()))) for part in parts] if self.rate else [1] * len(ids),
            onsets=[onset for batch in batches for onset in batch.onsets],
            arrays={layer: np.concatenate([part[layer] for part in parts]) for layer in parts[0]},
        )

    def _load(self, ids: Sequence[str]) -> _Batch:
        items, onsets = zip(*[self._load_one(id) for id in ids], strict=True)
        if odd := [place for place, item in enumerate(items) if item.shape != items[0].shape]:
            raise DataError(
                f"stimulus {ids[odd[0]]!r} becomes a tensor of shape {tuple(items[odd[0]].shape)}, {ids[0]!r} one of "
                f"{tuple(items[0].shape)}; a batch needs one shape: let preprocess resize them"
            )
        return _Batch(ids, torch.stack(items), list(onsets))

    def _load_one(self, id: str) -> tuple[Tensor, float]:
        onset: Callable[[Any], float] = getattr(self.backbone, "onset", lambda stimulus: 0.0)
        try:
            stimulus = self.stimuli.load(id)
            return self.backbone.preprocess(stimulus), float(onset(stimulus))
        except Exception as reason:  # whatever a decoder or somebody's preprocess raises, the user needs the name
            raise DataError(
                f"stimulus {id!r} of {self.stimuli.name!r} could not be loaded ({type(reason).__name__}: {reason}); "
                "repair it, or leave it out with Stimuli.select"
            ) from reason

    def _rows(self, batch: _Batch) -> dict[str, NDArray[Any]]:
        """layer -> [B, ...], or [T, ...] for a recording."""
        with torch.inference_mode():
            found = self.backbone.get_tokens(batch.x.to(self.device))
            tokens = checked_tokens(found, len(batch.ids), self.backbone.name)
            named = _named(self.reduction(_moments(tokens, self.backbone.name) if self.rate else tokens))
            kept = _choose(named, self.layers, self.backbone.name)
            rows = {layer: _cast(value, self.dtype) for layer, value in kept.items()}
        for layer, values in rows.items():
            self._check_finite(layer, values, batch.ids)
        return rows

    def _check_finite(self, layer: str, values: NDArray[Any], ids: Sequence[str]) -> None:
        finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if not finite.all():
            id = ids[0 if self.rate else int(finite.argmin())]
            hint = "; float16 ends at 65504, try float32" if self.dtype == np.float16 else ""
            raise DataError(f"layer {layer!r} of {self.backbone.name!r} is not finite for stimulus {id!r}{hint}")


def _moments(tokens: Tokens, name: str) -> Tokens:
    """Tokens of one recording, [1, C, T, *grid], to one per moment, [T, C, *grid]."""
    for layer, value in tokens.local.items():
        if value.ndim < 3 or value.shape[2] != next(iter(tokens.local.values())).shape[2]:
            raise DataError(
                f"local[{layer!r}] of {name!r} has the shape {tuple(value.shape)}; wanted [1, C, T, ...], one T for all"
            )
    if tokens.global_:
        raise DataError(f"{name!r} has a rate and global tokens ({', '.join(tokens.global_)}); these have no time")
    return Tokens({layer: value[0].movedim(1, 0) for layer, value in tokens.local.items()}, {})


def _named(tokens: Tokens) -> dict[str, Tensor]:
    """Local layers under their names, global ones as `layer/global` where the name is taken."""
    named = dict(tokens.local)
    for layer, value in tokens.global_.items():
        named[f"{layer}/global" if layer in tokens.local else layer] = value
    return named


def _choose(named: dict[str, Tensor], layers: Sequence[str] | None, name: str) -> dict[str, Tensor]:
    for layer in layers or ():
        if layer not in named:
            raise UnknownNameError(
                f"backbone {name!r} has no layer {layer!r}{did_you_mean(layer, named)}; it has: {', '.join(named)}"
            )
    return {layer: named[layer] for layer in layers} if layers else named


def _cast(value: Tensor, dtype: np.dtype[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):  # infinite rows are reported by name
        return value.float().cpu().numpy().astype(dtype)


def _check_alike(parts: list[dict[str, NDArray[Any]]], batches: list[_Batch]) -> None:
    shapes = [{layer: values.shape[1:] for layer, values in part.items()} for part in parts]
    for shape, batch in zip(shapes, batches, strict=True):
        if shape != shapes[0]:
            raise DataError(f"the layers of stimulus {batch.ids[0]!r} are {shape}; of the first they were {shapes[0]}")


def _ahead(function: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """`function(item)` for each item in turn, the next one made in a thread while the last is used."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending: deque[Future[Made]] = deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
