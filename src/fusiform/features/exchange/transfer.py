"""The two doors: features of a store to files of another layout, and such files into a store."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fusiform.data import Features
from fusiform.errors import LayoutError, SettingsError
from fusiform.features.exchange import h5, npy, tree
from fusiform.features.exchange.source import Source
from fusiform.features.precision import PRECISIONS, Precision
from fusiform.features.store import FeatureStore, digest_of
from fusiform.features.store.blockfiles import sha256
from fusiform.files import atomic
from fusiform.registry import unknown

__all__ = ["LAYOUTS", "export_features", "import_features"]

LAYOUTS: dict[str, Callable[[Path, Sequence[str] | None, float | None], Source]] = {
    "npy": npy.Npy,
    "h5": h5.Episodes,
    "tree": tree.Tree,
}
_STIMULI_PER_BLOCK = 256


def export_features(features: Features, folder: Path, layout: str, *, group: str = "Visual", run: str = "run") -> None:
    """Write features in another layout, into a folder that is not there yet.

    Args:
        features: that are written.
        folder: where to.
        layout: `npy`, `h5` or `tree`: see the modules of that name.
        group: of the tree: `Audio`, `Emotional`, `Omni`, `Text` or `Visual`.
        run: of the tree: the name of the folder within the group.

    Raises:
        SettingsError: there is no such layout or group, the folder is there, or the layout cannot hold such features.
        LayoutError: the disk refuses.
    """
    _check_layout(layout)
    if folder.exists():
        raise SettingsError(f"{folder} is there already; give another folder, or move it away")
    if features.convolved and features.convolved != frozenset(features.arrays):
        raise SettingsError("only some layers went through a haemodynamic response; export these apart, with layers")
    try:
        with atomic(folder, replace=False) as new:
            new.mkdir()
            if layout == "tree":
                tree.write(features, new, group, run)
            else:
                {"npy": npy, "h5": h5}[layout].write(features, new)
    except LayoutError:
        raise
    except OSError as reason:
        raise LayoutError(
            f"cannot write {folder} ({reason.strerror or reason}); see that the folder above can be written to and the "
            "disk has room; where the name of a layer is too long for a file, use the layout h5"
        ) from reason


def import_features(
    folder: Path,
    layout: str,
    store: FeatureStore,
    *,
    name: str,
    layers: Sequence[str] | None = None,
    rate: float | None = None,
    dtype: Precision | None = None,
    progress: bool = False,
) -> Features:
    """Take features of another layout into a store, where they are an ordinary set of features.

    Layout, checksum of all files and rate are in the key: other files, other rows. An interrupted import goes on.

    Args:
        folder: with the files.
        layout: `npy`, `h5` or `tree`.
        store: where they go.
        name: what the features are called there.
        layers: to take; all by default.
        rate: of rows in time (Hz) where the files do not say.
        dtype: of the rows; float16 if all files are, else float32.
        progress: show a bar.

    Raises:
        LayoutError: a file is missing, cannot be read, or is not of that layout.
        DataError: shapes or rows do not fit together, episodes are missing, or values are not finite.
        SettingsError: there is no such layout or dtype.
    """
    _check_layout(layout)
    if dtype is not None and dtype not in PRECISIONS:
        raise SettingsError(unknown("dtype", dtype, PRECISIONS))
    if not folder.is_dir():
        raise LayoutError(f"there is no folder {folder}; give the one that holds the features")
    source = LAYOUTS[layout](folder, layers, rate)
    found = source.check()
    timing, key = source.timing, _key_of(source, layout, folder, name, dtype or found)
    block = 1 if timing.rate else _STIMULI_PER_BLOCK
    entry = store.begin(key, source.ids, block, timing.rate, timing.hemodynamic)
    missing = sorted(set(range(len(entry))).difference(entry.present(range(len(entry)))))
    for number in tqdm(missing, desc=f"import {name}", unit=" blocks", disable=not progress):
        entry.write(number, source.block(entry.ids(number), dtype or found))
    return entry.features(range(len(entry)))


def _key_of(source: Source, layout: str, folder: Path, name: str, dtype: str) -> dict[str, Any]:
    origin = {"layout": layout, "sha256": _checksum(source.files, folder), "rate": source.timing.rate}
    return {
        "backbone": name,
        "revision": "",
        "settings": {},
        "origin": origin,
        "stimuli": {"name": name, **digest_of(source.ids)},
        "layers": sorted(source.layers),
        "reduce": None,
        "dtype": dtype,
    }


def _checksum(files: Sequence[Path], folder: Path) -> str:
    """Of the names and contents of files."""
    lines = []
    for file in files:
        with file.open("rb") as content:
            lines.append(f"{file.relative_to(folder).as_posix()} {hashlib.file_digest(content, 'sha256').hexdigest()}")
    return sha256("\n".join(lines).encode())


def _check_layout(layout: str) -> None:
    if layout not in LAYOUTS:
        raise SettingsError(unknown("layout", layout, LAYOUTS))
