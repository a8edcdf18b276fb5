"""Webdataset tars: the members of a sample stand together and share a name up to its first dot.

Nothing is ever extracted to the disk: members are found once and then read from their place in the file. What could do
harm is refused: paths that escape, links and devices, members that are too large, and arrays that are pickles.
"""

import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from fusiform.datasets.base import reading
from fusiform.datasets.npy import read_array_of
from fusiform.errors import LayoutError

__all__ = ["Member", "read_array", "read_picture", "tar_samples"]

LARGEST = 1 << 26  # bytes of a member; the largest published, a whole volume, has 5.6 MB
PIXELS = 1 << 24  # of a picture
BLOCK, PADDING = 512, 1 << 20  # bytes: of a header, and the most that writers put behind the last member


@dataclass(frozen=True)
class Member:
    """One file within a tar.

    Args:
        tar: it is in.
        name: its own.
        offset: of its first byte.
        size: in bytes.
    """

    tar: Path
    name: str
    offset: int
    size: int

    def read(self) -> bytes:
        """All of it.

        Raises:
            LayoutError: the tar ends before it does.
        """
        with reading(self.tar), open(self.tar, "rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
            if len(content) < self.size:
                raise LayoutError(f"{self.tar} ends within {self.name!r}; copy it again")
        return content


def tar_samples(path: Path) -> Iterator[tuple[str, Mapping[str, Member]]]:
    """Samples of a tar in its order: key, and suffix -> member (`"sample000000300"`, `"nsdgeneral.npy"`).

    Raises:
        LayoutError: the tar is truncated or damaged, or holds what could do harm.
    """
    with reading(path):
        for key, members in groupby(_members(path), key=lambda member: _split(member.name)[0]):
            yield key, {_split(member.name)[1]: member for member in members}


def read_array(member: Member) -> NDArray[Any]:
    """An array of a `.npy` member.

    Raises:
        LayoutError: it is damaged, or a pickle.
    """
    return read_array_of(io.BytesIO(member.read()), f"{member.name!r} of {member.tar}")


def read_picture(member: Member) -> Image.Image:
    """A picture (PIL, RGB).

    Raises:
        LayoutError: it is damaged, or absurdly large.
    """
    content = member.read()
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG", "PNG"]) as picture:
            if picture.width * picture.height > PIXELS:
                raise LayoutError(
                    f"{member.name!r} of {member.tar} has {picture.size} pixels; wanted {PIXELS} at most; "
                    "get the tar from its publisher again"
                )
            return picture.convert("RGB")
    except LayoutError:
        raise
    except Exception as reason:
        raise LayoutError(f"{member.name!r} of {member.tar} is no picture ({reason}); copy the tar again") from reason


def _members(path: Path) -> Iterator[Member]:
    end = path.stat().st_size
    with tarfile.open(path, "r:") as tar:  # uncompressed, as published
        for info in tar:
            _check(info, path)
            if info.offset_data + info.size > end:
                raise LayoutError(f"{path} ends within {info.name!r}; copy it again")
            if info.isfile():
                yield Member(path, info.name, info.offset_data, info.size)
        _check_end(tar, path)


def _check_end(tar: tarfile.TarFile, path: Path) -> None:
    """Refuse a tar that does not end in empty blocks.

    `tarfile` takes whatever is no header for the end: also where a copy was cut between two members, or is damaged.
    """
    with open(path, "rb") as file:
        file.seek(tar.offset)
        rest = file.read(PADDING + 1)
    if not BLOCK <= len(rest) <= PADDING or rest.strip(b"\0"):
        found = tar.getnames()
        last = repr(found[-1]) if found else "its beginning"
        raise LayoutError(f"{path} is cut short or damaged after {last} (wanted empty blocks there); copy it again")


def _check(info: tarfile.TarInfo, path: Path) -> None:
    place = PurePosixPath(info.name)
    wrong = {
        "whose path leads out of the tar": place.is_absolute() or ".." in place.parts or "\\" in info.name,
        "that is neither a file nor a folder": not (info.isfile() or info.isdir()),
        f"of {info.size} bytes (wanted {LARGEST} at most)": info.size > LARGEST,
    }
    said = next((what for what, is_wrong in wrong.items() if is_wrong), None)
    if said is not None:
        raise LayoutError(f"{path} holds {info.name!r}, {said}, so it is not read; get it from its publisher again")


def _split(name: str) -> tuple[str, str]:
    """Key and suffix: `"train/sample07.nsdgeneral.npy"` to `"train/sample07"` and `"nsdgeneral.npy"`."""
    folder, slash, file = name.rpartition("/")
    key, _, suffix = file.partition(".")
    return f"{folder}{slash}{key}", suffix
