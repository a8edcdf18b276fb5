"""The pass itself: stimuli loaded ahead, batched, sent through a backbone, and their tokens made into named rows."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.data import Stimuli
from fusiform.errors import DataError, LayoutError, UnknownNameError
from fusiform.features.blocks import Block
from fusiform.features.loading import Batch, Loader
from fusiform.features.precision import Precision, rounded
from fusiform.features.reduce import Reduction
from fusiform.features.tokens import Backbone, Tokens, checked_tokens
from fusiform.registry import did_you_mean

__all__ = ["Forward", "named_layers"]

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Forward:
    """From the ids of stimuli to the rows of every layer.

    Args:
        loader: of the stimuli, for the backbone that they go through.
        layers: names of those to keep; None keeps all.
        reduction: of the tokens.
        precision: of the rows.
        batch_size: pictures (or their views) per pass; recordings go one by one.
        device: where batches go.
        shorten: (layer, rows [M, ...]) -> what is kept of them, [M, ...].
    """

    loader: Loader
    layers: Sequence[str] | None
    reduction: Reduction
    precision: Precision
    batch_size: int
    device: torch.device
    shorten: Callable[[str, NDArray[np.float32]], NDArray[np.float32]] = lambda layer, rows: rows

    @property
    def stimuli(self) -> Stimuli:
        """That are loaded."""
        return self.loader.stimuli

    @property
    def backbone(self) -> Backbone:
        """That they go through."""
        return self.loader.backbone

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
        batches: list[Batch] = []
        parts: list[dict[str, NDArray[Any]]] = []
        for batch, part in self._in_pieces(ids) if hasattr(self.backbone, "pieces") else self._in_batches(ids):
            if batch.ids:
                parts.append(part)
                _check_alike(parts[0], part, batch.ids[0])
            batches.append(replace(batch, x=torch.empty(0)))  # pictures are not needed any more
            done(len(batch.ids) + len(batch.skipped))
        kept = [id for batch in batches for id in batch.ids]
        views = len(self.loader.views)
        rows = [len(next(iter(part.values()))) for part in parts] if self.rate else [views] * len(kept)
        arrays = {layer: np.concatenate([part[layer] for part in parts]) for layer in parts[0]} if parts else {}
        onsets = [onset for batch in batches for onset in batch.onsets]
        return Block(kept, rows, onsets, arrays, {id: why for batch in batches for id, why in batch.skipped.items()})

    def _in_batches(self, ids: Sequence[str]) -> Iterator[tuple[Batch, dict[str, NDArray[Any]]]]:
        """Batches of stimuli with their rows: layer -> [B, ...], or [T, ...] for a recording."""
        size = 1 if self.rate else max(1, self.batch_size // len(self.loader.views))
        as_rows = partial(_moments, name=self.name) if self.rate else _as_they_are
        for batch in _ahead(self.loader, [ids[start : start + size] for start in range(0, len(ids), size)]):
            yield batch, self._rows(batch.x, batch.ids, as_rows) if batch.ids else {}

    def _in_pieces(self, ids: Sequence[str]) -> Iterator[tuple[Batch, dict[str, NDArray[Any]]]]:
        """Recordings, cut by the backbone itself, with their rows: layer -> [T, ...]."""
        return map(self._recording, ids)

    def _recording(self, id: str) -> tuple[Batch, dict[str, NDArray[Any]]]:
        found: list[dict[str, NDArray[Any]]] = []
        pieces = _made_ahead(self.loader.pieces(id, self.batch_size))
        while True:
            try:
                piece = next(pieces, None)
            except (DataError, LayoutError) as reason:
                return Batch([], torch.empty(0), [], {id: self.loader.skipping(reason)}), {}
            if piece is None:
                break
            found.append(self._rows(piece.x, [id], piece.rows))
        arrays = {layer: np.concatenate([part[layer] for part in found]) for layer in found[0]}
        return Batch([id], torch.empty(0), [0.0], {}), arrays

    def _rows(self, x: Tensor, ids: Sequence[str], as_rows: Reduction) -> dict[str, NDArray[Any]]:
        """What goes through the network at once, to its rows."""
        with torch.inference_mode():
            tokens = checked_tokens(self.backbone.get_tokens(x.to(self.device)), len(x), self.name)
            kept = _choose(named_layers(self.reduction(as_rows(tokens))), self.layers, self.name)
            rows = {layer: self._kept(layer, value) for layer, value in kept.items()}
        for layer, values in rows.items():
            self._check_finite(layer, values, ids)
        return rows

    def _kept(self, layer: str, value: Tensor) -> NDArray[Any]:
        return rounded(self.shorten(layer, value.float().cpu().numpy()), self.precision)

    def _check_finite(self, layer: str, values: NDArray[Any], ids: Sequence[str]) -> None:
        finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if not finite.all():
            id = ids[0 if self.rate else int(finite.argmin()) // len(self.loader.views)]
            hint = "; float16 ends at 65504, try float32" if self.precision == "float16" else ""
            raise DataError(f"layer {layer!r} of {self.name!r} is not finite for stimulus {id!r}{hint}")


def _as_they_are(tokens: Tokens) -> Tokens:
    return tokens


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
    """Local layers under their names; global ones under theirs, or as `layer/global` where that is taken.

    Raises:
        DataError: two layers would have one name.
    """
    named = dict(tokens.local)
    for layer, value in tokens.global_.items():
        name = f"{layer}/global" if layer in tokens.local else layer
        if name in named:
            raise DataError(f"two layers would be called {name!r}, as global ones are where there is a local one too")
        named[name] = value
    return named


def _choose(named: dict[str, Tensor], layers: Sequence[str] | None, name: str) -> dict[str, Tensor]:
    for layer in layers or ():
        if layer not in named:
            raise UnknownNameError(
                f"backbone {name!r} has no layer {layer!r}{did_you_mean(layer, named)}; it has: {', '.join(named)}"
            )
    return {layer: named[layer] for layer in layers} if layers else named


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


def _made_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, the next one made in a thread while the last is used."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending = pool.submit(next, items, None)
        while (made := pending.result()) is not None:
            pending = pool.submit(next, items, None)
            yield made
