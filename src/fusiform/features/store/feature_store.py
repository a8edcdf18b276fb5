"""The feature store: what networks said of stimuli, kept in folders that say what they hold.

    STORE/planted-3f9a51c04e/               one set of features: the backbone, and a digest of the key
        manifest.json                       the key in words, and how the rows are laid out
        reduction/                          what was drawn or fitted once to make all rows, where anything was
        blocks/00000/                       the rows of some stimuli: a zarr v3 group ...
            zarr.json                       ... whose attributes name its stimuli, rows, and a checksum per file
            conv1/zarr.json, c/0/0/0/0      an array per layer ("/" in a layer's name is written %2F)

A block is there whole or not at all. In a folder it is written beside its place and renamed into it; elsewhere its
`zarr.json` is written last, and without that it is no block. Blocks depend on nothing but the key, so that any number
of workers, however often interrupted, leave the same bytes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fusiform.data import Features, Stimuli
from fusiform.errors import SettingsError, StoreError
from fusiform.features.store.blockfiles import AGAIN, canonical, sha256
from fusiform.features.store.entry import FORMAT, MANIFEST, Entry
from fusiform.features.store.places import Place, folder_of, place_of
from fusiform.features.tokens import Backbone

__all__ = ["Entry", "FeatureStore", "digest_of", "key_of"]


def key_of(
    stimuli: Stimuli,
    backbone: Backbone,
    layers: Sequence[str] | None,
    reduce: str | None,
    dtype: str,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything that decides the numbers of a set of features, and nothing else, ready for JSON.

    Args:
        stimuli: that are described.
        backbone: by what.
        layers: that are kept; None is all.
        reduce: the name of the reduction.
        dtype: of the rows.
        more: what else decides them, where it does: views, the rows that a reduction was fitted on.

    Raises:
        SettingsError: the `settings` of the backbone are no mapping.
    """
    key = {
        "backbone": backbone.name,
        "revision": str(getattr(backbone, "revision", "")),
        "settings": _settings_of(backbone),
        "stimuli": {"name": stimuli.name, **digest_of(stimuli.ids)},
        "layers": sorted(layers) if layers else "all",
        "reduce": reduce,
        "dtype": dtype,
        **(more or {}),
    }
    return dict(json.loads(json.dumps(key, default=str)))  # as a manifest gives it back: tuples are lists, paths text


def _settings_of(backbone: Backbone) -> dict[str, Any]:
    settings = getattr(backbone, "settings", {})
    if not isinstance(settings, Mapping):
        raise SettingsError(
            f"`settings` of backbone {backbone.name!r} is {settings!r}; wanted a mapping of names to values, such as "
            f"{{'window': 8}}, as they enter the key of its features"
        )
    return dict(settings)


def digest_of(ids: Sequence[str]) -> dict[str, Any]:
    """How many ids, and which, in which order: for a key."""
    return {"count": len(ids), "sha256": sha256("\n".join(ids).encode())}


class FeatureStore:
    """A place with feature sets. Making one touches nothing.

    Args:
        address: a folder, or an address that fsspec knows, such as `s3://bucket/features`.

    Raises:
        MissingExtraError: the package for that kind of address is not installed.
        SettingsError: there is no such kind of address.
    """

    def __init__(self, address: Path | str) -> None:
        self.place: Place = place_of(address)

    @property
    def address(self) -> str:
        """The folder or the address."""
        return self.place.address

    @property
    def folder(self) -> Path:
        """The folder of a store that has one.

        Raises:
            StoreError: it has none.
        """
        return folder_of(self.place)

    def names(self) -> list[str]:
        """The feature sets it holds, sorted."""
        return self.place.holding(MANIFEST)

    def entry(self, name: str) -> Entry:
        """One feature set, finished or not.

        Raises:
            StoreError: there is none of that name.
        """
        if not self.place.has(f"{name}/{MANIFEST}"):
            known = ", ".join(self.names()) or "none"
            raise StoreError(f"the store {self.address} has no features {name!r}; it has: {known}; run extract first")
        return Entry(self.place.inside(name))

    def features(self, name: str) -> Features:
        """The rows of one finished feature set, read when asked for.

        Raises:
            StoreError: it is unknown, unfinished or damaged.
        """
        entry = self.entry(name)
        return entry.features(range(len(entry)))

    def find(self, key: Mapping[str, Any], ids: Sequence[str]) -> Entry | None:
        """The feature set of a key, where there is one.

        Raises:
            StoreError: its folder holds another key.
        """
        place = self._place(key)
        if not place.has(MANIFEST):
            return None
        entry = Entry(place)
        if entry.manifest["key"] != key or entry.manifest["stimuli"] != list(ids):
            raise StoreError(f"{place.address}/{MANIFEST} has another key than the folder's name says; {AGAIN}")
        return entry

    def begin(
        self, key: Mapping[str, Any], ids: Sequence[str], block: int, rate: float | None, hemodynamic: bool
    ) -> Entry:
        """The feature set of a key; a new one appears with its first block.

        Args:
            key: see `key_of`.
            ids: the stimuli, in order.
            block: stimuli per block, if it is new.
            rate: of the rows (Hz), or None.
            hemodynamic: whether the rows went through a haemodynamic response.

        Raises:
            StoreError: its folder holds another key.
        """
        layout = {"rate": rate, "hemodynamic": hemodynamic, "stimuli_per_block": block, "stimuli": list(ids)}
        return self.find(key, ids) or Entry(self._place(key), {"format": FORMAT, "key": dict(key), **layout})

    def _place(self, key: Mapping[str, Any]) -> Place:
        return self.place.inside(f"{_slug(key['backbone'])}-{sha256(canonical(key))[:10]}")


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:244] or "features"  # a disk takes 255 bytes
