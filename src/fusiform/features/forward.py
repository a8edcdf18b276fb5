"""The pass itself: stimuli loaded ahead, batched, sent through a backbone, and their tokens made into named rows."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.data import Stimuli
from fusiform.errors import DataError, FusiformError, UnknownNameError
from fusiform.features.blocks import Block
from fusiform.features.reduce import Reduction
from fusiform.features.tokens import Backbone, Tokens, checked_tokens
from fusiform.registry import did_you_mean

__all__ = ["Forward", "named_layers"]

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class _Batch:
    """Stimuli ready for the network: ids, tensor [B, ...], and when each one's first row begins."""

    ids: Sequence[str]
    x: Tensor
    onsets: list[float]


@dataclass(frozen=True)
class Forward:
    """From the ids of stimuli to the rows of every layer.

    Args:
        stimuli: that are loaded.
        backbone: that they go through.
        layers: names of those to keep; None keeps all.
        reduction: of the tokens.
        dtype: of the rows.
        batch_size: stimuli per pass; recordings go one by one.
        device: where batches go.
    """

    stimuli: Stimuli
    backbone: Backbone
    layers: Sequence[str] | None
    reduction: Reduction
    dtype: np.dtype[Any]
    batch_size: int
    device: torch.device

    @property
    def name(self) -> str:
        """Of the backbone."""
        return self.backbone.name

    @property
    def rate(self) -> float | None:
        """Rows per second (Hz), or None where stimuli do not unfold in time."""
        rate: float | None = getattr(self.backbone, "rate", None)
        return rate

    @property
    def hemodynamic(self) -> bool:
        """Whether the rows went through a haemodynamic response."""
        return bool(getattr(self.backbone, "hemodynamic", False))

    def block(self, ids: Sequence[str], done: Callable[[int], Any] = lambda count: None) -> Block:
        """The rows of these stimuli; `done` hears the size of every batch.

        Raises:
            DataError: a stimulus will not load, or its tokens are of the wrong shape or not finite.
        """
        size = 1 if self.rate else self.batch_size
        onsets: list[float] = []
        parts: list[dict[str, NDArray[Any]]] = []
        for batch in _ahead(self._load, [ids[start : start + size] for start in range(0, len(ids), size)]):
            parts.append(self._rows(batch))
            onsets.extend(batch.onsets)
            _check_alike(parts[0], parts[-1], batch.ids[0])
            done(len(batch.ids))
        rows = [len(next(iter(part.values()))) for part in parts] if self.rate else [1] * len(ids)
        arrays = {layer: np.concatenate([part[layer] for part in parts]) for layer in parts[0]}
        return Block(list(ids), rows, onsets, arrays)

    def _load(self, ids: Sequence[str]) -> _Batch:
        items, onsets = zip(*[self._load_one(id) for id in ids], strict=True)
        if odd := [place for place, item in enumerate(items) if item.shape != items[0].shape]:
            raise DataError(
                f"stimulus {ids[odd[0]]!r} becomes a tensor of shape {tuple(items[odd[0]].shape)}, {ids[0]!r} one of "
                f"{tuple(items[0].shape)}; a batch needs one shape: let preprocess resize them"
            )
        return _Batch(ids, torch.stack(items), list(onsets))

    def _load_one(self, id: str) -> tuple[Tensor, float]:
        onset: Callable[[Any], float] | None = getattr(self.backbone, "onset", None)
        try:
            stimulus = self.stimuli.load(id)
            return self.backbone.preprocess(stimulus), float(onset(stimulus)) if onset else 0.0
        except FusiformError as reason:
            raise type(reason)(f"stimulus {id!r} of {self.stimuli.name!r}: {reason}") from reason
        except Exception as reason:  # whatever a decoder or somebody's preprocess raises, the user needs the name
            raise DataError(
                f"stimulus {id!r} of {self.stimuli.name!r} could not be loaded ({type(reason).__name__}: {reason}); "
                "repair it, or leave it out with Stimuli.select"
            ) from reason

    def _rows(self, batch: _Batch) -> dict[str, NDArray[Any]]:
        """layer -> [B, ...], or [T, ...] for a recording."""
        with torch.inference_mode():
            found = self.backbone.get_tokens(batch.x.to(self.device))
            tokens = checked_tokens(found, len(batch.ids), self.name)
            named = named_layers(self.reduction(_moments(tokens, self.name) if self.rate else tokens))
            kept = _choose(named, self.layers, self.name)
            rows = {layer: _cast(value, self.dtype) for layer, value in kept.items()}
        for layer, values in rows.items():
            self._check_finite(layer, values, batch.ids)
        return rows

    def _check_finite(self, layer: str, values: NDArray[Any], ids: Sequence[str]) -> None:
        finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if not finite.all():
            id = ids[0 if self.rate else int(finite.argmin())]
            hint = "; float16 ends at 65504, try float32" if self.dtype == np.float16 else ""
            raise DataError(f"layer {layer!r} of {self.name!r} is not finite for stimulus {id!r}{hint}")


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


def named_layers(tokens: Tokens) -> dict[str, Tensor]:
    """Local layers under their names; global ones under theirs, or as `layer/global` where that is taken."""
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


def _check_alike(first: Mapping[str, NDArray[Any]], rows: Mapping[str, NDArray[Any]], id: str) -> None:
    wanted, got = ({layer: values.shape[1:] for layer, values in part.items()} for part in (first, rows))
    if got != wanted:
        raise DataError(f"from stimulus {id!r} on, the layers have the shapes {got}; before they had {wanted}")


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
