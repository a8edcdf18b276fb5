"""What is on the shelf: the features in a store, listed, handed out in other layouts, and taken in."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusiform.errors import StoreError
from fusiform.recipes.steps import shapes_of, store_folder

if TYPE_CHECKING:
    from fusiform.features.store import FeatureStore

__all__ = ["export_set", "import_set", "stored"]


def stored(store: str | None) -> dict[str, Any]:
    """Every set of features in a store: what it holds, its size on disk, and how far its extraction got."""
    from fusiform.features.store import FeatureStore

    found = FeatureStore(store or store_folder())
    return {"store": found.address, "features": [_line(found, name) for name in found.names()]}


def export_set(
    name: str,
    folder: Path,
    /,
    *,
    layout: str = "npy",
    layers: tuple[str, ...] | None = None,
    group: str = "Visual",
    run: str | None = None,
    store: str | None = None,
) -> dict[str, Any]:
    """Write stored features in another layout, for other programs.

    Parameters
    ----------
    name
        of the features, as 'fusiform list features' says it
    folder
        where to; it must not be there yet
    layout
        npy (an array per layer), h5 (a file per episode) or tree (Audio, Emotional, Omni, Text, Visual)
    layers
        write these only
    group
        of the tree: Audio, Emotional, Omni, Text or Visual
    run
        of the tree: name of the folder within the group (default: the name of the features)
    store
        folder or address of the feature store (default: features in the cache folder)
    """
    from fusiform.features.exchange.transfer import export_features
    from fusiform.features.store import FeatureStore

    features = FeatureStore(store or store_folder()).features(name)
    features = features.select(*layers) if layers else features
    export_features(features, folder, layout, group=group, run=run or name)
    return {"folder": str(folder), "rows": len(features), "layers": shapes_of(features)}


def import_set(
    folder: Path,
    /,
    *,
    name: str,
    layout: str = "npy",
    layers: tuple[str, ...] | None = None,
    rate: float | None = None,
    dtype: str | None = None,
    store: str | None = None,
) -> dict[str, Any]:
    """Take features that another program wrote into the store.

    Parameters
    ----------
    folder
        that holds them
    name
        what they are called in the store
    layout
        npy (an array per layer), h5 (a file per episode) or tree (Audio, Emotional, Omni, Text, Visual)
    layers
        take these only
    rate
        of rows in time, per second, where the files do not say (default of h5 and tree: one per 1.49 s)
    dtype
        of the stored numbers: float32, float16, bfloat16 (default: float16 if all files are, else float32)
    store
        folder or address of the feature store (default: features in the cache folder)
    """
    from fusiform.features.exchange.transfer import import_features
    from fusiform.features.store import FeatureStore

    place = FeatureStore(store or store_folder())
    found = import_features(
        folder,
        layout,
        place,
        name=name,
        layers=layers,
        rate=rate,
        dtype=dtype,  # type: ignore[arg-type]  # checked there
        progress=True,
    )
    return {"store": place.address, "rows": len(found), "layers": shapes_of(found)}


def _line(store: "FeatureStore", name: str) -> dict[str, Any]:
    """One set of features for a list."""
    line = dict.fromkeys(("name", "backbone", "layers", "reduce", "rows", "dtype", "size"), "")
    try:
        about = store.entry(name).summary()
    except StoreError:  # of one set, which should not hide the others
        return {**line, "name": name, "state": "damaged: its manifest cannot be read"}
    layers = about["layers"]
    return {
        "name": name,
        "backbone": about["backbone"],
        "layers": ", ".join(layers) if len(layers) < 4 else f"{len(layers)} layers",
        "reduce": about["reduce"] or "none",
        "rows": about["rows"],
        "dtype": about["dtype"],
        "size": _size(about["bytes"]),
        "state": _state(about),
    }


def _state(about: Mapping[str, Any]) -> str:
    done, total, skipped = about["blocks"], about["of"], about["skipped"]
    return ("finished" if done == total else f"{done}/{total} blocks") + (f", {skipped} skipped" if skipped else "")


def _size(count: int) -> str:
    """Bytes in words: 1536 is 1.5 KiB."""
    size, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:.0f} {units[0]}" if units[0] == "B" else f"{size:.1f} {units[0]}"
