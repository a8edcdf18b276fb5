"""Fetching: the files of a data set from their public upstream, resumed where they broke off, each checked.

`upstream.csv` beside this file lists them: where each lies, at which commit, how long it is and its SHA-256.
"""

import csv
import hashlib
import time
from dataclasses import dataclass
from http.client import HTTPException
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from fusiform.datasets.base import Card, folders_of
from fusiform.errors import FetchError, UnknownNameError
from fusiform.files import data_folders
from fusiform.registry import find, names, unknown

__all__ = ["card", "check_files", "fetch", "fetchable"]

SERVER = "https://raw.githubusercontent.com"
ATTEMPTS, PAUSE, TIMEOUT = 4, 1.0, 30.0  # tries per file; seconds before the second try, doubled each time; seconds
CHUNK = 1 << 16  # bytes

COMPANIONS = {
    "fsaverage5": Card(
        "Schaefer parcels (100 to 400) on the vertices of fsaverage5",
        "BSD-3-Clause (ENIGMA Toolbox)",
        "Schaefer et al. 2018, Cerebral Cortex 28, 3095-3114; Larivière et al. 2021, Nature Methods 18, 698-700",
        300_128,
    ),
    # a cut of the published vectors at no fixed address: listed so that a copy brought by hand is checked
    "glove_twitter_25d": Card(
        "GloVe vectors of 11,925 frequent English words, 25 dimensions, learned from Twitter",
        "PDDL 1.0",
        "Pennington, Socher & Manning 2014, EMNLP, 1532-1543",
        1_160_424,
    ),
    "mobilenet_v2": Card(
        "MobileNetV2 trained on ImageNet (int8, TFLite) and its labels",
        "Apache-2.0",
        "Sandler et al. 2018, CVPR, 4510-4520",
        4_103_221,
    ),
}


@dataclass(frozen=True)
class _Source:
    """One file: where it goes in the data set's folder, what it must be, and where it is published."""

    file: str
    bytes: int
    sha256: str
    repository: str
    commit: str
    path: str

    @property
    def address(self) -> str:
        return f"{SERVER}/{self.repository}/{self.commit}/{quote(self.path)}"


def fetchable() -> list[str]:
    """Names that `fetch` knows: data sets, and what they are used with (parcels, word vectors, a network)."""
    return list(dict.fromkeys(row["dataset"] for row in _rows()))


def card(name: str) -> Card:
    """Licence, citation and size of anything that is fetchable or a registered dataset.

    Raises:
        UnknownNameError: it is neither.
    """
    if name in COMPANIONS:
        return COMPANIONS[name]
    if name not in names("dataset"):
        raise UnknownNameError(unknown("dataset", name, sorted({*names("dataset"), *COMPANIONS})))
    found: Card = find("dataset", name).card
    return found


def fetch(name: str, folder: Path | str | None = None, *, progress: bool = True) -> Path:
    """Bring the files of one data set here; those already here and right are left as they are.

    A download that broke off is resumed from its `.part` file. A file takes its name only when its length and
    SHA-256 are right, so what bears the name is whole.

    Args:
        name: one of `fetchable()`.
        folder: of data sets, into which `name/` goes; default: `$FUSIFORM_DATA`, else `data` in the cache folder.
        progress: show a bar.

    Returns:
        The folder of the data set.

    Raises:
        UnknownNameError: nothing of that name can be fetched.
        FetchError: the data are shared under an agreement, or by other means (the message says where to apply, or what
            to run), a server cannot be reached or lacks a file, a file is not what it should be, or it cannot be
            written. Whatever came stays; running again goes on from there.
    """
    from tqdm import tqdm

    _check_open(name, Path(folder or data_folders()[0]).expanduser())
    target, sources = Path(folder or data_folders()[0]).expanduser() / name, _sources(name)
    with tqdm(total=sum(s.bytes for s in sources), desc=name, unit="B", unit_scale=True, disable=not progress) as bar:
        done = 0
        for source in sources:
            if not _is_right(target / source.file, source):
                _bring(source, target / source.file, bar)
            done += source.bytes
            bar.update(done - bar.n)  # what was here already, or came twice
    return target


def check_files(name: str) -> list[tuple[str, bool]]:
    """What is to be said of the files of a dataset, and whether it is well; nothing where no checksums are published.

    Every file that is here is compared with its published length and SHA-256.
    """
    if name not in fetchable():
        return []
    folders = [folder / name for folder in folders_of(name)]
    found = {
        source.file: next((place for f in folders if (place := f / source.file).is_file()), None)
        for source in _sources(name)
    }
    wrong = [source for source in _sources(name) if (path := found[source.file]) and not _is_right(path, source)]
    said = [
        (f"{found[source.file]} has not the published SHA-256 {source.sha256}; {_DELETE.format(name=name)}", False)
        for source in wrong
    ]
    here = sum(path is not None for path in found.values())
    return [*said, (f"{here} of {len(found)} files are here, {here - len(wrong)} with the published SHA-256", True)]


_DELETE = "delete it and run: fusiform fetch {name}"


def _check_open(name: str, folder: Path) -> None:
    """Refuse what is not to be fetched: nothing is known of it, others bring it, or it is under an agreement."""
    if name in fetchable():
        return
    if name not in names("dataset"):
        raise UnknownNameError(unknown("dataset to fetch", name, fetchable()))
    about = card(name)
    if about.obtain:
        raise FetchError(
            f"{name!r} is not fetched for you, as its publisher has a tool for it (licence: {about.licence}): run, in "
            f"{folder}, '{about.obtain}', and check the files with: fusiform doctor {name}"
        )
    if not about.agreement:
        raise FetchError(f"there is nothing to fetch for dataset {name!r}; use it as it is")
    raise FetchError(
        f"{name!r} is shared under an agreement, so it is not fetched for you: apply at {about.agreement}, put the "
        f"files into {folder / name} as docs/datasets.md says they lie, and check them with: fusiform doctor {name}"
    )


def _rows() -> list[dict[str, str]]:
    table = files("fusiform.datasets").joinpath("upstream.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(table.splitlines()))


def _sources(name: str) -> list[_Source]:
    rows = [row for row in _rows() if row["dataset"] == name]
    keys = ("file", "sha256", "repository", "commit", "path")
    return [_Source(bytes=int(row["bytes"]), **{key: row[key] for key in keys}) for row in rows]


def _bring(source: _Source, target: Path, bar: Any) -> None:
    """Download one file, check it, and only then give it its name."""
    if not source.repository:
        raise FetchError(
            f"{target.name} is published at no fixed public address, so it cannot be fetched; "
            f"copy it by hand to {target} ({source.bytes} bytes, SHA-256 {source.sha256})"
        )
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _download(source, part, bar)
        _check(source, part)
        part.replace(target)
    except FetchError:
        raise
    except OSError as reason:
        raise FetchError(f"cannot write {target} ({reason}); give another folder, or set FUSIFORM_DATA") from reason


def _download(source: _Source, part: Path, bar: Any) -> None:
    """Fill `part` from where it ends, in a few tries."""
    for wait in [*(PAUSE * 2**attempt for attempt in range(ATTEMPTS - 1)), None]:
        try:
            return _continue(source, part, bar)
        except (URLError, HTTPException, ConnectionError, TimeoutError) as reason:
            if wait is None or _is_final(reason):
                raise FetchError(
                    f"{source.address} could not be fetched ({reason}); wanted {source.bytes} bytes; "
                    "check the connection or proxy and run the same again, which goes on where this stopped"
                ) from reason
            time.sleep(wait)


def _continue(source: _Source, part: Path, bar: Any) -> None:
    """Append what is still missing; a server that does not know ranges sends all of it, which replaces the part."""
    have = part.stat().st_size if part.exists() else 0
    if have >= source.bytes:
        return
    request = Request(source.address, headers={"Range": f"bytes={have}-"} if have else {})
    with urlopen(request, timeout=TIMEOUT) as reply, open(part, "ab" if reply.status == 206 else "wb") as out:
        while out.tell() <= source.bytes and (chunk := reply.read(CHUNK)):
            bar.update(out.write(chunk))
    if (have := part.stat().st_size) < source.bytes:
        raise ConnectionError(f"the transfer broke off after {have} bytes")


def _is_final(reason: Exception) -> bool:
    """Whether trying again is pointless: the server says that this is not to be had (4xx), not that it is busy."""
    return isinstance(reason, HTTPError) and 400 <= reason.code < 500 and reason.code not in (408, 429)


def _check(source: _Source, part: Path) -> None:
    """Delete a download that is not what it should be, and say so."""
    if _is_right(part, source):
        return
    size, digest = part.stat().st_size, _sha256(part)
    part.unlink()
    raise FetchError(
        f"{source.address} sent {size} bytes with SHA-256 {digest}; wanted {source.bytes} bytes with {source.sha256}; "
        "what came was deleted, so run the same again"
    )


def _is_right(path: Path, source: _Source) -> bool:
    return path.is_file() and path.stat().st_size == source.bytes and _sha256(path) == source.sha256


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
