"""A first `dataset.yaml`, from what lies in a folder."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from fusiform.datasets.folder.description import CONFOUNDS
from fusiform.datasets.folder.fmriprep import SUFFIXES, entities
from fusiform.datasets.folder.tables import read_table
from fusiform.errors import LayoutError, SettingsError
from fusiform.files import write_text

__all__ = ["Guess", "guess", "init_folder"]

MEDIA = {
    "image": (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"),
    "film": (".mp4", ".mkv", ".avi", ".mov", ".webm"),
    "sound": (".wav", ".flac", ".mp3", ".ogg", ".m4a"),
}
ARRAYS = (".npy", ".h5", ".hdf5", ".nii", ".nii.gz", ".gii", ".mgh")
SUBJECT = re.compile(r"(?<![A-Za-z0-9])(sub-[A-Za-z0-9]+|subj?-?\d+|[sS]\d+)(?![A-Za-z0-9])")
IDS = ("stimulus", "id", "stimulus_id", "name", "image")
FILES = ("file", "filename", "path", "stim_file", "image_file")
TEXTS = ("text", "sentence", "caption")
MOST = 20_000  # files that are looked at


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


def init_folder(folder: Path | str) -> tuple[Path, Guess]:
    """Write `dataset.yaml` into a folder, and `stimuli.tsv` where it has media but no table of them.

    Returns:
        The file, and what was found: `Guess.open` is what the user must still fill in.

    Raises:
        LayoutError: there is no such folder.
        SettingsError: it has a `dataset.yaml` already.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise LayoutError(f"there is no folder {folder}; give the one that holds your stimuli and responses")
    path = folder / "dataset.yaml"
    if path.exists():
        raise SettingsError(
            f"{path} exists and is left as it is; check it with: fusiform doctor {path}, or move it away"
        )
    found = guess(folder)
    if not found.table and found.media:
        _write_table(folder, found)
    write_text(path, _yaml(found))
    return path, found


def guess(folder: Path) -> Guess:
    """Look at the names of files, and into tables."""
    files = sorted(_files(folder))
    found = Guess(re.sub(r"[^\w-]+", "-", folder.resolve().name).strip("-") or "mine")
    _guess_fmriprep(found, files)
    _guess_media(found, files)
    tables = {name: _columns(folder / name) for name in files if _is_table(name)}
    _guess_stimuli(found, tables)
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
    return name.endswith((".csv", ".tsv")) and not name.endswith(("_events.tsv", "timeseries.tsv", "regressors.tsv"))


def _columns(path: Path) -> list[str]:
    try:
        return list(read_table(path).columns)
    except LayoutError:
        return []


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


def _guess_media(found: Guess, files: Sequence[str]) -> None:
    for kind, endings in MEDIA.items():
        shown = [name for name in files if name.lower().endswith(endings)]
        if shown:
            found.kind, found.media = kind, shown[0].rpartition("/")[0] or "."
            return


def _guess_stimuli(found: Guess, tables: dict[str, list[str]]) -> None:
    """The table that says `stimuli` in its name, or has a column of ids and one of files or texts."""
    order = sorted(tables, key=lambda name: ("stim" not in _last(name).lower(), SUBJECT.search(name) is not None, name))
    for name in order:
        roles = {"id": IDS, "file": FILES, "text": TEXTS}
        columns = {role: _first(tables[name], known) for role, known in roles.items()}
        content = "file" if found.media else "text"
        if columns["id"] and columns[content] and columns["id"] != columns[content]:
            found.table, found.kind = name, found.kind or "text"
            found.columns = {"id": columns["id"], content: columns[content]}
            return


def _guess_responses(found: Guess, files: Sequence[str], tables: dict[str, list[str]]) -> None:
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


def _write_table(folder: Path, found: Guess) -> None:
    """`stimuli.tsv`: the media files with their names, without folder and ending, as ids."""
    root = folder / found.media
    names = sorted(path.name for path in root.iterdir() if path.name.lower().endswith(MEDIA[found.kind]))
    table = pd.DataFrame({"stimulus": [Path(name).stem for name in names], "file": names})
    table = table.drop_duplicates("stimulus")
    write_text(folder / "stimuli.tsv", table.to_csv(sep="\t", index=False))
    found.table, found.columns = "stimuli.tsv", {"id": "stimulus", "file": "file"}


def _once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _first(columns: Sequence[str], known: Sequence[str]) -> str:
    return next((name for name in known if name in columns), "")


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _line(key: str, value: object, comment: str = "", *, known: object = True) -> str:
    """A line of YAML; commented out where the value is not known."""
    shown = "[" + ", ".join(map(str, value)) + "]" if isinstance(value, list | tuple) else value
    text = f"{key}: {_quoted(shown)}"
    mark = "" if known else "# "
    indent = re.match(r" *", text).group()  # type: ignore[union-attr]
    return f"{indent}{mark}{text.strip()}".ljust(44) + (f" # {comment}" if comment else "")


def _quoted(value: object) -> str:
    text = str(value)
    return f'"{text}"' if "{" in text and not text.startswith("[") else text.replace("{subject}", "{subject}")


def _yaml(found: Guess) -> str:
    return (
        "\n".join(line.rstrip() for line in [*_head(found), "", *_stimuli(found), "", *_sources(found), "", *REGIONS])
        + "\n"
    )


def _head(found: Guess) -> list[str]:
    return [
        "# What lies in this folder. Lines that begin with # are off; what they show are the defaults or examples.",
        "# Check it with: fusiform doctor dataset.yaml",
        _line("name", found.name, "enters the names of features that are kept"),
        _line("subjects", found.subjects or ["sub-01", "sub-02"], "they fill {subject} below", known=found.subjects),
        _line("title", "one line about the data", known=False),
        _line("licence", "of the data", known=False),
        _line("cite", "papers", known=False),
    ]


def _stimuli(found: Guess) -> list[str]:
    columns = found.columns
    return [
        "stimuli:",
        _line("  table", found.table or "stimuli.tsv", "csv or tsv, a row per stimulus", known=found.table),
        _line("  kind", found.kind or "image", "image, text, sound or film", known=found.kind),
        _line("  id", columns.get("id", "stimulus"), "column of ids, each once", known="id" in columns),
        _line("  file", columns.get("file", "file"), "column of file names", known="file" in columns),
        _line("  text", columns.get("text", "text"), "column of texts, for kind text", known="text" in columns),
        _line("  folder", found.media or ".", "in which the files lie", known=found.media),
        _line("  words", "words.tsv", "what is said: stimulus, text, start, stop (seconds)", known=False),
        _line("  split", "split", "column with train, val or test, where there is one", known=False),
    ]


def _sources(found: Guess) -> list[str]:
    arrays = found.files or found.left or found.right
    used = bool(arrays) and not found.derivatives
    lines = [
        "responses:",
        _line("  samples", found.samples or "{subject}/samples.tsv", SAMPLES, known=found.samples),
        _line(
            "  files",
            _patterns(found.files or ["{subject}/betas.npy"]),
            ".npy, .h5, .nii.gz, .dscalar.nii",
            known=found.files,
        ),
        _line(
            "  left",
            _patterns(found.left or ["lh.gii"]),
            "or a file per hemisphere: .gii, .mgh, .npy",
            known=found.left,
        ),
        _line("  right", _patterns(found.right or ["rh.gii"]), known=found.right),
        _line("  key", "betas", "of the array in .h5 files that hold several", known=False),
        _line("  transpose", "true", "arrays are stored [targets, samples]", known=False),
        _line("  tr", 2.0, "seconds, for time series whose samples have no column time", known=False),
        _line("  mask", "mask.nii.gz", "voxels above zero are read", known=False),
        _line("  mesh", "fsaverage5", "that vertices belong to", known=False),
        _line("  zscore", "run", "run, session, all or no", known=False),
    ]
    scans = [
        "fmriprep:",
        _line("  derivatives", found.derivatives or "derivatives/fmriprep"),
        _line("  events", ".", "BIDS folder with the events.tsv"),
        _line("  space", (found.spaces or ["MNI152NLin2009cAsym"])[0], f"there are: {', '.join(found.spaces)}"),
        _line("  tasks", found.tasks, "default: all", known=found.tasks),
        _line("  method", "window", "series, window, lss or lsa"),
        _line("  window", [4.0, 8.0], "seconds after the onset that are averaged; for window"),
        _line("  confounds", list(CONFOUNDS)),
        _line("  high_pass", 0.01, "Hz"),
        _line("  zscore", "true", "within each run"),
        _line("  stimulus", "stim_file", "column of events that names what was shown"),
        _line("  trial_types", ["picture"], "events to read (default: all that name a stimulus)", known=False),
        _line("  tail", 6.0, "seconds after a stimulus that still belong to it; for series", known=False),
        _line("  mask", "mask.nii.gz", "default: where the brain masks of all runs agree", known=False),
    ]
    lines = lines if used or not found.derivatives else [_off(line) for line in lines]
    return [
        *(lines if used else [_off(line) for line in lines]),
        "",
        *(scans if found.derivatives else map(_off, scans)),
    ]


SAMPLES = "a row per row of the responses: stimulus[, session, run, repeat, split, time]"


def _patterns(names: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def _off(line: str) -> str:
    return line if line.lstrip().startswith("#") else f"# {line}"


REGIONS = [
    "# atlases:                                  # names of regions; the first fills the column roi",
    "#   visual: {file: rois.nii.gz, labels: rois.tsv}       # a volume on the same grid; columns index and name",
    "#   parcels: {left: lh.label.gii, right: rh.label.gii}  # GIFTI labels",
    "#   mine: {table: rois.csv, column: roi}                # a row per target",
]
