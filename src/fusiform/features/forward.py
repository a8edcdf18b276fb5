"""The pass itself: stimuli loaded, batched, sent through a backbone, and their tokens made into named rows."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.data import Stimuli
from fusiform.errors import DataError, LayoutError, UnknownNameError
from fusiform.features.blocks import Block
from fusiform.features.loading import Batch, Loader
from fusiform.features.precision import Precision
from fusiform.features.reduce import Reduction
from fusiform.features.rows import Rows, first_infinite
from fusiform.features.threads import ahead, crew, made_ahead
from fusiform.features.tokens import Backbone, Tokens, checked_tokens
from fusiform.registry import did_you_mean

__all__ = ["Forward", "named_layers"]


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
        shorten: (layer, rows [M, ...]) -> what is kept of them, [M, ...]; None keeps all.
    """

    loader: Loader
    layers: Sequence[str] | None
    reduction: Reduction
    precision: Precision
    batch_size: int
    device: torch.device
    shorten: Callable[[str, NDArray[np.float32]], NDArray[np.float32]] | None = None

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
        """The rows of these stimuli, see `blocks`."""
        [block] = self.blocks([ids], done)
        return block

    def blocks(
        self, groups: Sequence[Sequence[str]], done: Callable[[int], Any] = lambda count: None
    ) -> Generator[Block, None, None]:
        """The rows of groups of stimuli, a block each, computed when it is asked for.

        Args:
            groups: ids of stimuli. No batch straddles two groups.
            done: hears the number of stimuli in every batch.

        Raises:
            DataError: a stimulus will not load, or its tokens are of the wrong shape or not finite.
        """
        one_by_one = self.rate or self._cuts
        size = 1 if one_by_one else max(1, self.batch_size // len(self.loader.views))
        cut = [[ids[start : start + size] for start in range(0, len(ids), size)] for ids in groups]
        with self._loaded([ids for group in cut for ids in group]) as batches:
            for ids, group in zip(groups, cut, strict=True):
                yield self._block(len(ids), islice(batches, len(group)), done)

    def _block(self, count: int, batches: Iterable[Batch], done: Callable[[int], Any]) -> Block:
        rows, through, lengths = Rows(count * len(self.loader.views), self.precision), list[Batch](), list[int]()
        send = self._in_pieces if self._cuts else self._at_once
        for batch in batches:
            before, sent = len(rows), send(batch, rows)
            through.append(replace(sent, x=torch.empty(0)))  # pictures are not needed any more
            lengths += [(len(rows) - before) // len(sent.ids)] * len(sent.ids) if sent.ids else []
            done(len(batch.ids) + len(batch.skipped))
        kept = [id for batch in through for id in batch.ids]
        onsets = [onset for batch in through for onset in batch.onsets]
        skipped = {id: why for batch in through for id, why in batch.skipped.items()}
        return Block(kept, lengths, onsets, rows.arrays, skipped)

    @contextmanager
    def _loaded(self, groups: Sequence[Sequence[str]]) -> Iterator[Iterator[Batch]]:
        """Batches of these stimuli: pictures by several threads at once, ahead of their turn where that costs nothing.

        Others are loaded one after another: what makes them ready, such as a tokenizer, may not bear several threads. A
        recording that is cut into pieces is loaded later, piece by piece.
        """
        if self._cuts:
            yield (Batch(ids, torch.empty(0), [0.0], {}) for ids in groups)
            return
        company: AbstractContextManager[ThreadPoolExecutor | None]
        company = crew() if self.backbone.kind == "image" else nullcontext()
        with company as threads:
            load = partial(self.loader, each=threads.map if threads else map)
            with closing(ahead(load, groups) if self.works_ahead else (load(ids) for ids in groups)) as batches:
                yield batches

    @property
    def _cuts(self) -> bool:
        """Whether the backbone cuts recordings into pieces."""
        return hasattr(self.backbone, "pieces")

    @property
    def works_ahead(self) -> bool:
        """Whether what comes next is made ready in other threads while the network runs: see `threads`."""
        return self.device.type != "cpu"

    def _at_once(self, batch: Batch, rows: Rows) -> Batch:
        """Send a batch through the network, and add its rows: [B, ...], or [T, ...] for a recording."""
        if batch.ids:
            self._add(rows, batch.x, batch.ids, partial(_moments, name=self.name) if self.rate else _as_they_are)
        return batch

    def _in_pieces(self, batch: Batch, rows: Rows) -> Batch:
        """Send a recording through the network, cut by the backbone itself, and add its rows, [T, ...]."""
        before, [id] = len(rows), batch.ids
        cut = self.loader.pieces(id, self.batch_size)
        pieces = made_ahead(cut) if self.works_ahead else cut
        while True:
            try:
                piece = next(pieces, None)
            except (DataError, LayoutError) as reason:
                rows.forget(before)
                return Batch([], batch.x, [], {id: self.loader.skipping(reason)})
            if piece is None:
                return batch
            self._add(rows, piece.x, [id], piece.rows)

    def _add(self, rows: Rows, x: Tensor, ids: Sequence[str], as_rows: Reduction) -> None:
        """Send what goes through the network at once, and add its rows."""
        with torch.inference_mode():
            tokens = checked_tokens(self.backbone.get_tokens(x.to(self.device)), len(x), self.name)
            chosen = _choose(named_layers(self.reduction(as_rows(tokens))), self.layers, self.name)
            part = {layer: self._shortened(layer, value) for layer, value in chosen.items()}
            for layer, kept in rows.add(part, ids[0]).items():
                self._check_finite(layer, kept, ids)

    def _shortened(self, layer: str, value: Tensor) -> Tensor:
        if self.shorten is None:
            return value
        return torch.from_numpy(self.shorten(layer, value.float().cpu().numpy()))

    def _check_finite(self, layer: str, values: Tensor, ids: Sequence[str]) -> None:
        place = first_infinite(values)
        if place is not None:
            id = ids[0 if self.rate else place // len(self.loader.views)]
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
