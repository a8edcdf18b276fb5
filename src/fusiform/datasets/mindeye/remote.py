"""Shards on the disk or at an address; what comes from an address is kept in the cache folder.

An address may be a folder of http(s) whose files are named as published. A file takes its name in the cache only when
all of it has come.
"""

import hashlib
import re
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

from fusiform.datasets.base import is_remote
from fusiform.errors import FetchError, LayoutError, MissingDataError, SettingsError
from fusiform.files import atomic, cache_folder, write_text

__all__ = ["Folder", "LocalFolder", "RemoteFolder", "folder_at"]

TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 20  # bytes
DAY = 86_400.0  # seconds


@dataclass(frozen=True)
class Folder(ABC):
    """Where published files lie."""

    address: str

    @abstractmethod
    def file(self, name: str) -> Path | None:
        """A file of the folder, on the disk; None where there is none."""

    def require(self, name: str) -> Path:
        """A file that must be there.

        Raises:
            MissingDataError: it is not.
        """
        path = self.file(name)
        if path is None:
            self.doubt()
            raise MissingDataError(
                f"{name} was not found at {self.address}; copy it there, or run it again once the server has it"
            )
        return path

    def shards(self, pattern: str) -> Iterator[Path]:
        """The files `pattern.format(0)`, `pattern.format(1)` and so on, up to the first that is not there.

        Raises:
            LayoutError: later ones are there, so that one is missing.
        """
        number = 0
        while (path := self.file(pattern.format(number))) is not None:
            yield path
            number += 1
        self.check_end(pattern, number)

    @abstractmethod
    def check_end(self, pattern: str, number: int) -> None:
        """Refuse a hole in the numbers, where that can be seen."""

    @abstractmethod
    def doubt(self) -> None:
        """Look anew for what was not there: nothing says that all has come, or something says that it has not."""


@dataclass(frozen=True)
class LocalFolder(Folder):
    """A folder of the disk."""

    def file(self, name: str) -> Path | None:
        """The file itself."""
        path = Path(self.address) / name
        return path if path.is_file() else None

    def check_end(self, pattern: str, number: int) -> None:
        """The folder can be listed, so a hole shows."""
        place = Path(self.address) / pattern
        form = re.compile(re.escape(place.name).replace(r"\{\}", r"(\d+)"))
        known = [int(match[1]) for path in place.parent.glob("*.tar") if (match := form.fullmatch(path.name))]
        if known and max(known) >= number:
            raise LayoutError(
                f"{pattern.format(number)} is missing in {self.address}, though {pattern.format(max(known))} is there; "
                "copy it too"
            )

    def doubt(self) -> None:
        """A disk is always looked at anew."""


@dataclass(frozen=True)
class RemoteFolder(Folder):
    """A folder at an address, whose files are fetched once."""

    def file(self, name: str) -> Path | None:
        """The copy in the cache, fetched now if need be.

        What the server does not have is remembered as `NAME.absent`, for a day or until `doubt`, so that a copy that
        is whole is read without it.

        Raises:
            FetchError: the server cannot be reached, or does not give it.
        """
        target = self._cache() / name
        absent = target.with_name(f"{target.name}.absent")
        if target.is_file() or _is_recent(absent):
            return target if target.is_file() else None
        try:
            _fetch(f"{self.address.rstrip('/')}/{quote(name)}", target)
        except FileNotFoundError:
            if self._cache().is_dir():  # a mistyped address should leave nothing
                write_text(absent, "")
            return None
        return target

    def check_end(self, pattern: str, number: int) -> None:
        """A server cannot be listed: `metadata_subj01.json` says how many samples there must be."""

    def doubt(self) -> None:
        """Ask the server again for what it did not have: it may lack a file for a while only."""
        for absent in self._cache().rglob("*.absent"):
            absent.unlink(missing_ok=True)

    def _cache(self) -> Path:
        host = urlsplit(self.address).netloc.replace(":", "_")
        digest = hashlib.sha256(self.address.rstrip("/").encode()).hexdigest()[:12]
        return cache_folder() / "mindeye" / f"{host}-{digest}"


def _is_recent(path: Path) -> bool:
    return path.exists() and time.time() - path.stat().st_mtime < DAY


def _clear(target: Path) -> None:
    """Remove what killed processes left of a file: scratch that nothing was written to for a day.

    A day and not `files.sweep`, as its owner may be alive on another machine that shares the cache, and slow.
    """
    for scratch in target.parent.glob(f".{target.name}.*"):
        with suppress(FileNotFoundError):  # its owner was done with it a moment ago
            if not any(map(_is_recent, [scratch, *scratch.iterdir()])):
                shutil.rmtree(scratch, ignore_errors=True)


def _fetch(address: str, target: Path) -> None:
    """Bring one file here, whole or not at all; FileNotFoundError where the server has none."""
    _clear(target)
    try:
        with urlopen(Request(address), timeout=TIMEOUT) as reply, atomic(target) as new, open(new, "wb") as out:
            _copy(reply, out, target.name)
    except HTTPError as reason:
        if reason.code == 404:
            raise FileNotFoundError(address) from reason
        raise FetchError(f"{address} could not be fetched ({reason}); check the address and your access") from reason
    except (URLError, HTTPException, ConnectionError, TimeoutError) as reason:
        raise FetchError(
            f"{address} could not be fetched ({reason}); check the connection and run it again"
        ) from reason


def _copy(reply: Any, out: IO[bytes], name: str) -> None:
    """Write all that a server sends, behind a bar where somebody looks on."""
    from tqdm import tqdm

    length = reply.headers.get("Content-Length")
    wanted = None if length is None else int(length)
    with tqdm(total=wanted, desc=name, unit="B", unit_scale=True, disable=None) as bar:
        while chunk := reply.read(CHUNK):
            bar.update(out.write(chunk))
    if wanted is not None and out.tell() != wanted:
        raise ConnectionError(f"the transfer broke off after {out.tell()} of {wanted} bytes")


def folder_at(address: str | Path) -> Folder:
    """The folder of the disk, or at an http(s) address.

    Raises:
        SettingsError: an address of another kind.
    """
    if not is_remote(address):
        return LocalFolder(str(Path(address).expanduser()))
    if urlsplit(str(address)).scheme not in ("http", "https"):
        raise SettingsError(f"{address} is no address that can be read; give one of http(s), or a folder")
    return RemoteFolder(str(address))
