"""Where a store keeps its files: a folder, or any address that fsspec knows (`s3://bucket/features`, `memory://x`).

Names are relative, with `/` between their parts. A commit is a set of files of which the last one counts: in a folder
they are written beside it and renamed into place at once; elsewhere the last one is written last.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from fusiform.errors import MissingExtraError, SettingsError, StoreError
from fusiform.files import atomic, sweep

__all__ = ["Folder", "Objects", "Parts", "Place", "folder_of", "place_of"]

Parts = Sequence[bytes | memoryview]  # of a file, one after another: what is large need not be copied to be written


class Place(ABC):
    """Files under one address."""

    address: str

    @abstractmethod
    def inside(self, name: str) -> "Place":
        """A place within."""

    @abstractmethod
    def holding(self, file: str) -> list[str]:
        """The names of the folders in it that have this file, sorted."""

    @abstractmethod
    def read(self, names: Sequence[str]) -> dict[str, bytes]:
        """What these files hold; those that are not there are left out."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether there is a file or a folder of that name."""

    @abstractmethod
    def sizes(self, folder: str, names: Iterable[str]) -> dict[str, int]:
        """Bytes of these files, all within a folder; those that are not there are left out."""

    @abstractmethod
    def ranges(self, name: str, spans: Sequence[tuple[int, int]]) -> Iterable[bytes]:
        """Parts of a file, bytes [start, stop) each, one after another.

        Raises:
            OSError: it is not there.
        """

    @abstractmethod
    def put(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all."""

    @abstractmethod
    def commit(self, folder: str, files: Iterable[tuple[str, Parts]]) -> None:
        """Write the files of a folder, of which the last one counts.

        Files of a folder that is there are replaced one by one: whoever reads them meanwhile sees the old or the new.

        Raises:
            OSError: the disk refuses, or another process has just written that folder.
        """

    def sweep(self, folder: str, names: Collection[str]) -> None:  # noqa: B027  # an address without scratch has none
        """Remove what interrupted commits of folders of these names, all in one folder, left beside them."""

    def sweep_within(self, folder: str) -> None:  # noqa: B027  # as above
        """Remove what interrupted replacements of files left anywhere in a folder."""


class Folder(Place):
    """A folder on a disk.

    Args:
        path: where it is or will be.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.address = path, str(path)

    def inside(self, name: str) -> "Folder":
        """A folder within."""
        return Folder(self.path / name)

    def holding(self, file: str) -> list[str]:
        """See `Place.holding`."""
        return sorted(found.parent.name for found in self.path.glob(f"*/{file}") if found.parent.name[0] != ".")

    def read(self, names: Sequence[str]) -> dict[str, bytes]:
        """See `Place.read`."""
        found: dict[str, bytes] = {}
        for name in names:
            try:
                found[name] = (self.path / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
        return found

    def has(self, name: str) -> bool:
        """See `Place.has`."""
        return (self.path / name).exists()

    def sizes(self, folder: str, names: Iterable[str]) -> dict[str, int]:
        """See `Place.sizes`."""
        found: dict[str, int] = {}
        for name in names:
            try:
                found[name] = os.stat(f"{self.address}/{name}").st_size  # a path object would cost more than the call
            except (FileNotFoundError, NotADirectoryError):
                continue
        return found

    def ranges(self, name: str, spans: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """See `Place.ranges`."""
        with open(f"{self.address}/{name}", "rb", buffering=0) as file:
            for start, stop in spans:
                yield os.pread(file.fileno(), stop - start, start)

    def put(self, name: str, data: bytes) -> None:
        """See `Place.put`."""
        with atomic(self.path / name) as new:
            new.write_bytes(data)

    def commit(self, folder: str, files: Iterable[tuple[str, Parts]]) -> None:
        """See `Place.commit`."""
        if (self.path / folder).exists():
            return self._replace(folder, files)
        with atomic(self.path / folder, replace=False) as new, ThreadPoolExecutor() as threads:
            list(threads.map(partial(_write, new), files))  # what each raises, it raises

    def sweep(self, folder: str, names: Collection[str]) -> None:
        """See `Place.sweep`."""
        hidden = (name for name in _listed(self.path / folder) if name.startswith("."))
        for name in {name[1:].partition(".")[0] for name in hidden}.intersection(names):
            sweep(self.path / folder / name)

    def sweep_within(self, folder: str) -> None:
        """See `Place.sweep_within`."""
        for scratch in sorted((self.path / folder).rglob(".*")):
            sweep(scratch.parent / scratch.name[1:].rsplit(".", 2)[0])

    def _replace(self, folder: str, files: Iterable[tuple[str, Parts]]) -> None:
        root, written = self.path / folder, set[str]()
        for name, parts in files:
            sweep(root / name)
            self.put(f"{folder}/{name}", b"".join(parts))
            written.add(name)
        for file in _files(root).difference(written):
            (root / file).unlink(missing_ok=True)


class Objects(Place):
    """An address of any filesystem that fsspec knows.

    Args:
        system: the filesystem.
        root: the path in it.
        address: as the user wrote it.
    """

    def __init__(self, system: Any, root: str, address: str) -> None:
        self.system, self.root, self.address = system, root.rstrip("/"), address.rstrip("/")

    def inside(self, name: str) -> "Objects":
        """An address within."""
        return Objects(self.system, self._path(name), f"{self.address}/{name}")

    def holding(self, file: str) -> list[str]:
        """See `Place.holding`."""
        self.system.invalidate_cache()
        return sorted(str(path).rsplit("/", 2)[-2] for path in self.system.glob(self._path(f"*/{file}")))

    def read(self, names: Sequence[str]) -> dict[str, bytes]:
        """See `Place.read`."""
        if not names:
            return {}
        found: Mapping[str, bytes] = self.system.cat([self._path(name) for name in names], on_error="omit")
        data = {_bare(path): content for path, content in found.items()}
        return {name: data[path] for name in names if (path := _bare(self._path(name))) in data}

    def has(self, name: str) -> bool:
        """See `Place.has`."""
        self.system.invalidate_cache()
        return bool(self.system.exists(self._path(name)))

    def sizes(self, folder: str, names: Iterable[str]) -> dict[str, int]:
        """See `Place.sizes`."""
        self.system.invalidate_cache()  # listings may be remembered, and other workers write
        listed = self.system.find(self._path(folder), detail=True)
        sizes = {_bare(path): int(about["size"]) for path, about in listed.items()}
        return {name: sizes[path] for name in names if (path := _bare(self._path(name))) in sizes}

    def ranges(self, name: str, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """See `Place.ranges`."""
        starts, stops = [start for start, _ in spans], [stop for _, stop in spans]
        return list(self.system.cat_ranges([self._path(name)] * len(spans), starts, stops, on_error="raise"))

    def put(self, name: str, data: bytes) -> None:
        """See `Place.put`."""
        path = self._path(name)
        self.system.makedirs(path.rpartition("/")[0], exist_ok=True)
        self.system.pipe_file(path, data)

    def commit(self, folder: str, files: Iterable[tuple[str, Parts]]) -> None:
        """See `Place.commit`."""
        for name, parts in files:
            self.put(f"{folder}/{name}", b"".join(parts))

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"


def _write(root: Path, file: tuple[str, Parts]) -> None:
    name, parts = file
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    with (root / name).open("wb") as out:
        out.writelines(parts)


def _files(root: Path) -> set[str]:
    """The files within a folder, without those in scratch: another process may be at work there."""
    found: set[str] = set()
    for folder, folders, files in os.walk(root):  # unlike a glob, it bears folders that vanish meanwhile
        folders[:] = [name for name in folders if not name.startswith(".")]
        found.update((Path(folder) / name).relative_to(root).as_posix() for name in files)
    return found


def _listed(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []


def _bare(path: str) -> str:
    return str(path).strip("/")


def place_of(address: Path | str) -> Place:
    """The place of an address: a path, or anything with `://` that fsspec knows.

    Raises:
        MissingExtraError: the package for that kind of address is not installed.
        SettingsError: fsspec knows no such kind of address.
    """
    text = str(address)
    if isinstance(address, Path) or "://" not in text:
        return Folder(Path(text).expanduser())
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    try:
        system, root = fsspec.core.url_to_fs(text)
    except ImportError as reason:
        raise MissingExtraError(f"{text} needs a package that is not installed ({reason})") from reason
    except ValueError as reason:
        raise SettingsError(
            f"{text} is no address that can be used ({reason}); give a folder or, e.g., s3://"
        ) from reason
    return Folder(Path(root)) if isinstance(system, LocalFileSystem) else Objects(system, root, text)


def folder_of(place: Place) -> Path:
    """The path of a place that is a folder.

    Raises:
        StoreError: it is none.
    """
    if isinstance(place, Folder):
        return place.path
    raise StoreError(f"{place.address} is no folder on a disk; read it through FeatureStore")
