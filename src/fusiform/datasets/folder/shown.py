"""What a user's stimuli are: files and texts of a table."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from fusiform.data import FileSound, FileVideo, Kind, Recording, Stimuli
from fusiform.datasets.base import reading
from fusiform.datasets.folder.description import Description, StimulusTable
from fusiform.datasets.folder.tables import read_table
from fusiform.errors import LayoutError, MissingDataError
from fusiform.registry import did_you_mean

__all__ = ["PARTS", "read_stimuli", "stimulus_ids"]

PARTS = {"image": "images", "text": "texts", "sound": "sounds", "film": "films"}
KINDS: dict[str, Kind] = {"image": "image", "text": "text", "sound": "recording", "film": "recording"}


def read_stimuli(description: Description) -> Stimuli:
    """The stimuli of a description; further columns of the table are kept.

    Their name ends in a digest of the table's ids and texts, and of size and time of every file, so that features of
    other pictures under the same ids are never taken for theirs.

    Raises:
        LayoutError: the table lacks a column, holds an id twice, or names a file that is not there.
    """
    about = description.stimuli
    path = description.path(about.table)
    wanted = about.text if about.kind == "text" else about.file
    table = read_table(path, about.id, wanted)
    if table[about.id].duplicated().any():
        row = int(table[about.id].duplicated().to_numpy().argmax())
        raise LayoutError(
            f"{path} has the id {table[about.id].iloc[row]!r} again in line {row + 2}; ids must be unique"
        )
    table = table.set_index(about.id).rename_axis(None)
    if about.kind == "text":
        return Stimuli(_name(description, table[about.text]), "text", table, _Texts(dict(table[about.text])))
    files = {str(id): description.path(about.folder) / name for id, name in table[about.file].items()}
    _check_files(files, path)
    words = _words(description)
    facts = [(id, one.st_size, one.st_mtime_ns) for id, one in ((id, file.stat()) for id, file in files.items())]
    name = _name(description, facts, [] if words is None else words.to_numpy().tolist())
    return Stimuli(name, KINDS[about.kind], table, _loader(about, files, words))


def stimulus_ids(description: Description, stimuli: Stimuli) -> dict[str, list[str]]:
    """Whatever an events table may call a stimulus -> the ids that it may mean: several where files share the name.

    An id goes before a file that is called so, and a file of the table, with or without `stimuli/` before it (where
    BIDS keeps them), before one in another folder.
    """
    names = {id: [id] for id in stimuli.ids}
    if description.stimuli.kind == "text":
        return names
    files = {str(id): _plain(file) for id, file in stimuli.table[description.stimuli.file].items()}
    calls: list[Callable[[PurePosixPath], str]] = [str, "stimuli/{}".format, lambda file: file.name]
    for called in calls:
        found: dict[str, list[str]] = {}
        for id, file in files.items():
            found.setdefault(called(file), []).append(id)
        names = found | names
    return names


def _plain(file: object) -> PurePosixPath:
    return PurePosixPath(str(file).replace("\\", "/"))


def _name(description: Description, *facts: Iterable[object]) -> str:
    said = repr([description.stimuli.kind, *map(list, facts)])
    return f"{description.name}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"


def _check_files(files: dict[str, Path], table: Path) -> None:
    missing = [path for path in files.values() if not path.is_file()]
    if missing:
        near = [one.name for one in missing[0].parent.glob("*")] if missing[0].parent.is_dir() else []
        raise MissingDataError(
            f"{len(missing)} of {len(files)} files that {table} names are missing, such as {missing[0]}"
            f"{did_you_mean(missing[0].name, near)}; set stimuli.folder to the folder that they lie in"
        )


def _words(description: Description) -> pd.DataFrame | None:
    """Words of all recordings: `stimulus`, `text`, `start`, `stop`."""
    if description.stimuli.words is None:
        return None
    path = description.path(description.stimuli.words)
    columns = ["stimulus", "text", "start", "stop"]
    words = read_table(path, *columns, numbers=("start", "stop"))[columns]
    if wrong := words.index[~(words["stop"] >= words["start"])].tolist():
        raise LayoutError(f"{path} has a word in line {wrong[0] + 2} that stops before it starts, or has no time")
    return words


def _loader(about: StimulusTable, files: dict[str, Path], words: pd.DataFrame | None) -> Any:
    return _Images(files) if about.kind == "image" else _Recordings(files, about.kind == "film", words)


@dataclass(frozen=True)
class _Texts:
    texts: dict[str, str]

    def __call__(self, id: str) -> str:
        return self.texts[id]


@dataclass(frozen=True)
class _Images:
    files: dict[str, Path]

    def __call__(self, id: str) -> Any:
        from PIL import Image, ImageOps

        with reading(self.files[id], "save it anew as PNG or JPEG"), Image.open(self.files[id]) as image:
            turned = ImageOps.exif_transpose(image)  # cameras store pictures lying and say so
            return turned.copy() if turned.mode in ("L", "RGB") else turned.convert("RGB")


@dataclass(frozen=True)
class _Recordings:
    """Sounds, or films with their sound; either with its words."""

    files: dict[str, Path]
    film: bool
    words: pd.DataFrame | None

    def __call__(self, id: str) -> Recording:
        path = self.files[id]
        sound, video = FileSound(path), FileVideo(path) if self.film else None
        duration = sound.duration if video is None else video.duration
        return Recording(duration, words=self._said(id), video=video, sound=sound)

    def _said(self, id: str) -> pd.DataFrame:
        if self.words is None:
            return Recording(0.0).words
        return self.words[self.words["stimulus"] == id].drop(columns="stimulus").reset_index(drop=True)
