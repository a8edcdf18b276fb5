"""A first `dataset.yaml`, from what lies in a folder."""

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from fusiform.datasets.folder.description import CONFOUNDS
from fusiform.datasets.folder.fmriprep import SUFFIXES, entities
from fusiform.datasets.folder.tables import read_table
from fusiform.errors import LayoutError

__all__ = ["Guess", "guess"]

MEDIA = {
    "image": (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"),
    "film": (".mp4", ".mkv", ".avi", ".mov", ".webm"),
    "sound": (".wav", ".flac", ".mp3", ".ogg", ".m4a"),
}
ARRAYS = (".npy", ".h5", ".hdf5", ".nii", ".nii.gz", ".gii", ".mgh")
SUBJECT = re.compile(r"(?<![A-Za-z0-9])(sub-[A-Za-z0-9]+|subj?-?\d+|[sS]\d+)(?![A-Za-z0-9])")
IDS = ("stimulus", "id", "stimulus_id", "name", "image")
TEXTS = ("text", "sentence", "caption")
MOST = 20_000  # files that are looked at
TABLES = ("timeseries.tsv", "regressors.tsv")  # of confounds; the columns of the first few are looked at
FEW = 20


@dataclass
class Guess:
    """What was found; empty where nothing was.

    Args:
        name: of the dataset.
        subjects: their names.
        table: of stimuli, relative to the folder.
        columns: role (`id`, `file`, `text`) -> column of that table.
        kind: of stimuli.
        media: folder that the stimuli lie in.
        samples: table of samples, with `{subject}`.
        files: of responses, with `{subject}`; the left hemisphere's and the right one's are apart.
        left: as `files`.
        right: as `files`.
        derivatives: folder of fMRIPrep.
        spaces: that it has.
        tasks: that it has.
        confounds: the usual ones that its tables have.
    """

    name: str
    subjects: list[str] = field(default_factory=list)
    table: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    kind: str = ""
    media: str = ""
    samples: str = ""
    files: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    right: list[str] = field(default_factory=list)
    derivatives: str = ""
    spaces: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    confounds: list[str] = field(default_factory=list)

    @property
    def open(self) -> list[str]:
        """Keys that the user must still fill in."""
        found = {
            "subjects": self.subjects,
            "stimuli.table": self.table,
            "responses or fmriprep": self.derivatives or self.files or self.left or self.right,
            "responses.samples": self.derivatives or self.samples,
        }
        return [key for key, value in found.items() if not value]


def guess(folder: Path) -> Guess:
    """Look at the names of files, and into tables."""
    files = sorted(_files(folder))
    found = Guess(re.sub(r"[^\w-]+", "-", folder.resolve().name).strip("-") or "mine")
    _guess_fmriprep(found, files)
    found.confounds = _confounds(folder, files) if found.derivatives else []
    _guess_media(found, files)
    tables = {name: _table(folder / name) for name in files if _is_table(name)}
    _guess_stimuli(found, tables, {_last(name) for name in files})
    if not found.derivatives:
        _guess_responses(found, files, tables)
    return found


def _files(folder: Path) -> Iterable[str]:
    """Files of a folder, relative to it, with forward slashes; hidden ones are passed over."""
    for number, path in enumerate(folder.rglob("*")):
        if number > MOST:
            return
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not any(part.startswith(".") for part in name.split("/")):
            yield name


def _is_table(name: str) -> bool:
    return name.endswith((".csv", ".tsv")) and not name.endswith(("_events.tsv", *TABLES))


def _table(path: Path) -> pd.DataFrame:
    try:
        return read_table(path)
    except LayoutError:
        return pd.DataFrame()


def _guess_fmriprep(found: Guess, files: Sequence[str]) -> None:
    scans = [
        name for name in files if name.endswith(SUFFIXES) and "_bold." in name and "space" in entities(_last(name))
    ]
    if not scans:
        return
    first = scans[0].split("/")
    place = next((number for number, part in enumerate(first) if part.startswith("sub-")), 0)
    found.derivatives = "/".join(first[:place]) or "."
    facts = [entities(_last(name)) for name in scans]
    found.subjects = _once(f"sub-{fact['sub']}" for fact in facts if "sub" in fact)
    found.spaces = _once(fact["space"] for fact in facts)
    found.tasks = _once(fact["task"] for fact in facts if "task" in fact)


def _confounds(folder: Path, files: Sequence[str]) -> list[str]:
    """Those of the usual confounds that hold something in every table of them."""
    tables = [_table(folder / name) for name in [name for name in files if name.endswith(TABLES)][:FEW]]
    held = [set(table.columns[~table.isin(("n/a", "")).all()]) for table in tables]
    return [name for name in CONFOUNDS if held and name in set.intersection(*held)]


def _guess_media(found: Guess, files: Sequence[str]) -> None:
    for kind, endings in MEDIA.items():
        shown = [name for name in files if name.lower().endswith(endings)]
        if shown:
            found.kind, found.media = kind, posixpath.commonpath([name.rpartition("/")[0] for name in shown]) or "."
            return


def _guess_stimuli(found: Guess, tables: dict[str, pd.DataFrame], files: set[str]) -> None:
    """The table with a column of ids and one of files that are here, or of texts; `stimuli` in its name comes first."""
    order = sorted(tables, key=lambda name: ("stim" not in _last(name).lower(), SUBJECT.search(name) is not None, name))
    for name in order:
        table, columns = tables[name], list(map(str, tables[name].columns))
        role, content = "file", next((column for column in columns if _are_files(table[column], files)), "")
        if not content and not found.media:
            role, content = "text", next((column for column in TEXTS if column in columns), "")
        ids = [column for column in columns if column != content and table[column].is_unique]
        id = next((column for column in IDS if column in ids), ids[0] if ids else content)
        if content and table[id].is_unique:
            found.table, found.kind, found.columns = name, found.kind or "text", {"id": id, role: content}
            return


def _are_files(column: "pd.Series[str]", files: set[str]) -> bool:
    return bool(len(column)) and all(_last(cell) in files for cell in column)


def _guess_responses(found: Guess, files: Sequence[str], tables: dict[str, pd.DataFrame]) -> None:
    arrays = [name for name in files if name.endswith(ARRAYS) and not _of_stimuli(found, name)]
    patterns = {SUBJECT.sub("{subject}", name): None for name in arrays if SUBJECT.search(name)}
    found.subjects = _once(match.group(1) for name in arrays if (match := SUBJECT.search(name)))
    if not patterns:
        patterns, found.subjects = dict.fromkeys(arrays), ["s1"] if arrays else []
    left, right = ([name for name in patterns if re.search(side, _last(name))] for side in (LEFT, RIGHT))
    if left and len(left) == len(right):
        found.left, found.right = left, right
    else:
        ending = next((ending for ending in ARRAYS for name in patterns if name.endswith(ending)), "")
        found.files = [name for name in patterns if name.endswith(ending)] if ending else []
    samples = [name for name in tables if name != found.table and "stimulus" in tables[name]]
    found.samples = next(iter(_once(SUBJECT.sub("{subject}", name) for name in samples)), "")


LEFT, RIGHT = r"(?i)(?:^|[._-])(lh|left|hemi-l)(?=[._-])", r"(?i)(?:^|[._-])(rh|right|hemi-r)(?=[._-])"


def _of_stimuli(found: Guess, name: str) -> bool:
    return found.media not in ("", ".") and name.startswith(f"{found.media}/")


def _once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _last(name: str) -> str:
    return name.rpartition("/")[2]
