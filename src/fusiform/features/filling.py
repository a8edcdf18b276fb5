"""A job of extraction: the rows of stimuli made by a network, in memory or block by block into a store."""

from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fusiform.data import Features
from fusiform.errors import DataError, SettingsError, StoreError
from fusiform.features.blocks import Block, features_of
from fusiform.features.forward import Forward
from fusiform.features.precision import Precision, rounded
from fusiform.features.projection import PrincipalComponents, RandomProjection, check_width, fit_components
from fusiform.features.reduce import Steps
from fusiform.features.store import FeatureStore, digest_of, key_of
from fusiform.features.store.blockfiles import AGAIN
from fusiform.features.store.entry import Entry

__all__ = ["Job"]

_BLOCK_STIMULI, _BLOCK_BYTES = 256, 1 << 28  # a block is written at once, so it must fit in memory


@dataclass(frozen=True)
class Job:
    """What is to be extracted.

    Args:
        forward: from stimuli to rows; its own projection and precision are those before principal components.
        steps: of the reduction.
        dtype: of the rows.
        shard: (i, n): the i-th of n shares.
        progress: show a bar.
        verify: look for damage first.
    """

    forward: Forward
    steps: Steps
    dtype: Precision
    shard: tuple[int, int] = (0, 1)
    progress: bool = False
    verify: bool = False

    def in_memory(self) -> Features:
        """All rows, kept nowhere.

        Raises:
            SettingsError: only a share is asked for.
        """
        if self.shard != (0, 1):
            raise SettingsError(
                f"shard={self.shard} needs a store that all workers share; give store=FeatureStore(folder)"
            )
        forward = self._forward({})
        with self._bar(len(forward.stimuli)) as bar:
            block = forward.block(forward.stimuli.ids, bar.update)
        _check_some(block, len(forward.stimuli))
        if self.steps.pca is not None:
            rows = features_of([block], block.arrays, forward.rate, forward.hemodynamic)
            block = self._shortened(block, self._fitted(rows))
        return features_of([block], block.arrays, forward.rate, forward.hemodynamic)

    def stored(self, store: FeatureStore) -> Features:
        """The rows of a share, those that are not there yet made and kept in a store."""
        entry, numbers = self._from_network(store)
        if self.steps.pca is not None:
            entry = self._from_rows(store, entry, numbers)
        return entry.features(numbers)

    def _from_network(self, store: FeatureStore) -> tuple[Entry, range]:
        """The rows before principal components."""
        key, ids = self._key(self.steps.before_pca, self.forward.precision), self.forward.stimuli.ids
        known = store.find(key, ids)
        redraw = bool(known and self.verify and known.damaged_reduction())
        forward = self._forward(known.reduction() if known and not redraw else {})
        first = None if forward.rate else self._first(forward)
        entry = known or store.begin(key, ids, _block_size(first), forward.rate, forward.hemodynamic)
        numbers = self._numbers(entry)
        damaged = set(numbers) if redraw else self._damaged(entry, numbers, first)
        if first and not damaged.intersection(entry.blocks_of(first.stimuli)):
            entry.check_same(first)  # a damaged row is made anew, not taken for a changed backbone
        missing = self._missing(entry, numbers, damaged)
        self._fill(entry, missing, damaged, forward)
        return entry, numbers

    def _from_rows(self, store: FeatureStore, rows: Entry, numbers: range) -> Entry:
        """The principal components of rows that are in the store."""
        layout, training = rows.manifest, self._training_rows(rows)
        loaded = [id for id in self._training() if id not in training.skipped]  # one that is repaired counts anew
        more = {"fitted_on": {"split": "train", **digest_of(loaded)}}
        entry = store.begin(
            self._key(self.steps.name, self.dtype, more),
            self.forward.stimuli.ids,
            layout["stimuli_per_block"],
            layout["rate"],
            layout["hemodynamic"],
        )
        if len(entry) != len(rows):
            raise StoreError(f"{entry.place.address} has other blocks than {rows.place.address}; {AGAIN}")
        refit = self.verify and bool(entry.damaged_reduction())
        damaged = set(numbers) if refit else self._damaged(entry, numbers, None)
        components = PrincipalComponents({} if refit else entry.reduction())
        for number in self._missing(entry, numbers, damaged):
            if not components.arrays:
                components = self._fitted(training)
                entry.keep_reduction(components.arrays, again=refit)
                components = PrincipalComponents(entry.reduction())  # of the worker that was first to keep them
            entry.write(number, self._shortened(rows.block(number), components), again=number in damaged)
        return entry

    def _fill(self, entry: Entry, missing: list[int], damaged: Collection[int], forward: Forward) -> None:
        """Compute the missing blocks, each kept before the next is begun: a kill costs a worker one at most."""
        groups = [entry.ids(number) for number in missing]
        with self._bar(sum(map(len, groups))) as bar, closing(forward.blocks(groups, bar.update)) as blocks:
            for number in missing:
                block = next(blocks)
                if number == missing[0] and isinstance(forward.shorten, RandomProjection):
                    entry.keep_reduction(forward.shorten.arrays(), again=number in damaged)
                entry.write(number, block, again=number in damaged)
                del block  # or there would be two in memory

    def _forward(self, drawn: dict[str, NDArray[Any]]) -> Forward:
        if self.steps.project is None:
            return self.forward
        return replace(self.forward, shorten=RandomProjection(self.steps.project, self.steps.seed, drawn))

    def _first(self, forward: Forward) -> Block:
        """The rows of the first stimulus that will load."""
        tried = (forward.block([id]) for id in forward.stimuli.ids)
        skipped = next(tried)
        block = skipped if skipped.stimuli else next((block for block in tried if block.stimuli), skipped)
        _check_some(block, len(forward.stimuli))
        for layer, values in block.arrays.items() if self.steps.pca is not None else ():
            check_width(layer, int(np.prod(values.shape[1:])))
        return block

    def _damaged(self, entry: Entry, numbers: range, first: Block | None) -> set[int]:
        also = entry.blocks_of(first.stimuli) if first else []
        return set(entry.damaged(sorted({*numbers, *also}))) if self.verify else set()

    def _missing(self, entry: Entry, numbers: range, damaged: Collection[int]) -> list[int]:
        entry.sweep(numbers, within=self.verify)  # repairs are made within
        there = set(entry.present(numbers, whole=not self.forward.loader.skip)).difference(damaged)
        return [number for number in numbers if number not in there]

    def _numbers(self, entry: Entry) -> range:
        return range(self.shard[0], len(entry), self.shard[1])

    def _key(self, reduce: str | None, dtype: str, more: dict[str, Any] | None = None) -> dict[str, Any]:
        forward, views = self.forward, self.forward.loader.views
        more = {**({"views": views.key()} if views.count else {}), **(more or {})}
        return key_of(forward.stimuli, forward.backbone, forward.layers, reduce, dtype, more)

    def _training(self) -> list[str]:
        """The training stimuli.

        Raises:
            SettingsError: the table does not say which these are.
        """
        table = self.forward.stimuli.table
        ids = self.forward.stimuli.ids
        train = (
            [id for id, split in zip(ids, table["split"], strict=True) if split == "train"] if "split" in table else []
        )
        if not train:
            raise SettingsError(
                f"pca is fitted on training rows only, and stimuli {self.forward.stimuli.name!r} have no column "
                "'split' with the value 'train'; add one to their table, or use project:DIM, which is not fitted"
            )
        return train

    def _training_rows(self, rows: Entry) -> Features:
        try:
            return rows.features(rows.blocks_of(self._training()))
        except StoreError as reason:
            raise StoreError(
                f"pca is fitted on all training rows, and some are still missing ({reason}); when the other shards "
                "have ended, run this one again"
            ) from reason

    def _fitted(self, rows: Features) -> PrincipalComponents:
        assert self.steps.pca is not None
        return fit_components(rows, rows.index["stimulus"].isin(self._training()).to_numpy(), self.steps.pca)

    def _shortened(self, block: Block, components: PrincipalComponents) -> Block:
        arrays = {layer: rounded(components(layer, values), self.dtype) for layer, values in block.arrays.items()}
        if infinite := [layer for layer, values in arrays.items() if not np.isfinite(values).all()]:
            raise DataError(f"the components of layer {infinite[0]!r} are too large for {self.dtype}; try float32")
        return replace(block, arrays=arrays)

    def _bar(self, total: int) -> "tqdm[Any]":
        shown = self.progress and total > 0
        unit = f" {self.forward.stimuli.kind}s"
        return tqdm(total=total, desc=f"extract {self.forward.name}", unit=unit, disable=not shown)


def _check_some(block: Block, count: int) -> None:
    if not block.stimuli:
        id, reason = next(iter(block.skipped.items()))
        raise DataError(f"none of {count} stimuli could be loaded, e.g. {id!r} ({reason}); repair them")


def _block_size(first: Block | None) -> int:
    """Stimuli per block: one recording, or as many others as fit, a power of two so that batches fit too."""
    if first is None:
        return 1
    size = sum(array.nbytes for array in first.arrays.values())
    fitting = max(1, min(_BLOCK_STIMULI, _BLOCK_BYTES // max(1, size)))
    return 1 << (fitting.bit_length() - 1)
