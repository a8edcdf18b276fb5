"""`dataset.yaml`: what lies in a user's folder, in words. Read strictly: a mistyped key is an error, not a default."""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from fusiform.checking import checked
from fusiform.datasets.base import choose
from fusiform.errors import SettingsError
from fusiform.registry import did_you_mean
from fusiform.yamlfile import read_yaml

__all__ = ["Atlas", "Description", "Fmriprep", "Method", "ResponseFiles", "Shown", "StimulusTable", "read_description"]

Shown = Literal["image", "text", "sound", "film"]
Method = Literal["series", "window", "lss", "lsa"]
Standardised = Literal["run", "session", "all", "no"]

# what most fMRI papers regress out: six motion parameters and the mean signals of white matter and fluid
CONFOUNDS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z", "white_matter", "csf")

SUBJECT, PLACEHOLDER = "{subject}", re.compile(r"\{[^{}/]*\}")


@dataclass(frozen=True)
class StimulusTable:
    """What was shown: a table, and the files that it names.

    Args:
        table: csv or tsv file with a row per stimulus.
        kind: image, text, sound or film.
        id: column of ids, each once.
        file: column of file names, for images, sounds and films.
        text: column of texts, for texts.
        folder: in which the files lie.
        words: csv or tsv file with the columns stimulus, text, start and stop (seconds): what is said in sounds and
            films.
        split: column of splits (train, val, test), used where samples have none.
    """

    table: str
    kind: str = "image"
    id: str = "stimulus"
    file: str = "file"
    text: str = "text"
    folder: str = "."
    words: str | None = None
    split: str = "split"


@dataclass(frozen=True)
class ResponseFiles:
    """Responses as arrays or images; `{subject}` stands for the subject's name in every path.

    Args:
        samples: csv or tsv table, or one per file: a row per row of the responses, with the column stimulus and any of
            session, run, repeat, split, time.
        files: .npy, .h5, .nii, .nii.gz, .dscalar.nii or .dtseries.nii, the rows of the next below those of the last.
        left: the same for the left hemisphere (.npy, .h5, .gii, .mgh), in place of `files`.
        right: the same for the right one.
        key: of the array in .h5 files.
        transpose: arrays are stored [targets, samples].
        tr: seconds between volumes, for time series whose samples have no column time; time then counts from 0 at the
            first volume of each stimulus in each run.
        mask: volume; voxels above zero are read (default: those that are finite and vary).
        mesh: that the vertices belong to, such as fsaverage5.
        drop_nan: leave out targets that are NaN or infinite in some sample of the subject.
        zscore: standardise each target within each run, session, over all, or no.
    """

    samples: Sequence[str]
    files: Sequence[str] = ()
    left: Sequence[str] = ()
    right: Sequence[str] = ()
    key: str | None = None
    transpose: bool = False
    tr: float | None = None
    mask: str | None = None
    mesh: str | None = None
    drop_nan: bool = False
    zscore: str = "no"


@dataclass(frozen=True)
class Fmriprep:
    """Derivatives of fMRIPrep, and the events of the BIDS folder that they came from.

    Args:
        derivatives: folder that holds sub-01/ and so on.
        events: BIDS folder with the events.tsv files.
        space: MNI152NLin2009cAsym or another volume, fsaverage5 or another surface, fsLR for CIFTI, or func for the
            grid of the run itself.
        tasks: of the runs to read (default: all).
        method: series (the volumes while something is shown), window (mean of the volumes some seconds after each
            event), lss or lsa (a beta per event from a general linear model: each event against all others, or all
            events at once).
        window: seconds after the onset, from and to; for method window.
        confounds: columns of the confounds to regress out; * stands for anything, and what it matches may differ from
            run to run.
        high_pass: Hz; slower drifts are regressed out.
        zscore: standardise each target within its run, before windows are averaged, and betas after the model.
        stimulus: column of the events that names what was shown, by id or file.
        trial_types: events to read (default: all that name a stimulus); runs without any are passed over.
        tail: seconds after a stimulus ended that still belong to it; for method series.
        mask: volume on the grid of the runs (default: where the brain masks of all runs agree).
        drop_nan: leave out targets that are NaN or infinite in some volume of the subject, such as the medial wall.
    """

    derivatives: str = "derivatives/fmriprep"
    events: str = "."
    space: str = "MNI152NLin2009cAsym"
    tasks: Sequence[str] = ()
    method: str = "window"
    window: Sequence[float] = (4.0, 8.0)
    confounds: Sequence[str] = CONFOUNDS
    high_pass: float | None = 0.01
    zscore: bool = True
    stimulus: str = "stim_file"
    trial_types: Sequence[str] = ()
    tail: float = 0.0
    mask: str | None = None
    drop_nan: bool = False


@dataclass(frozen=True)
class Atlas:
    """Names of regions for the targets.

    Args:
        file: volume of whole numbers on the grid of the responses; its names are in `labels`.
        labels: csv or tsv file with the columns index and name (as BIDS has them).
        left: GIFTI labels of the left hemisphere, which bring their names along.
        right: the same of the right one.
        table: csv or tsv file with a row per target.
        column: of that table.
    """

    file: str | None = None
    labels: str | None = None
    left: str | None = None
    right: str | None = None
    table: str | None = None
    column: str = "roi"


@dataclass(frozen=True)
class Description:
    """A whole `dataset.yaml`; `responses` or `fmriprep`, not both.

    Args:
        folder: that relative paths start from.
        name: of the dataset; it enters the names of features extracted from it.
        subjects: their names, which fill `{subject}`; for fMRIPrep with or without sub-.
        stimuli: what was shown.
        responses: where responses lie as arrays or images.
        fmriprep: where fMRIPrep left them.
        atlases: name -> where the regions come from; the first fills the column roi.
        title: one line.
        licence: of the data.
        cite: papers.
    """

    folder: Path
    name: str
    subjects: Sequence[str]
    stimuli: StimulusTable
    responses: ResponseFiles | None = None
    fmriprep: Fmriprep | None = None
    atlases: Mapping[str, Atlas] = field(default_factory=dict)
    title: str = "a folder of one's own"
    licence: str = "not stated"
    cite: str = "not stated"

    def path(self, name: str, subject: str | None = None) -> Path:
        """A path of the description, with `{subject}` filled in where there is a subject.

        Raises:
            SettingsError: it has another placeholder.
        """
        filled = name if subject is None else name.replace(SUBJECT, subject)
        if strange := PLACEHOLDER.search(filled):
            hint = f"{did_you_mean(strange.group(), [SUBJECT])}; there is: {SUBJECT}"
            hint = "; wanted a path that is the same for all subjects" if subject is None else hint
            raise SettingsError(f"the path {name!r} of the description has the unknown {strange.group()!r}{hint}")
        return self.folder / Path(filled).expanduser()


def read_description(path: Path | str) -> Description:
    """Read `dataset.yaml`, or the one in a folder.

    Raises:
        LayoutError: there is no such file, or it cannot be read.
        SettingsError: a key is unknown (with the nearest known one) or missing, or a value of the wrong type.
    """
    path = Path(path).expanduser()
    path = path / "dataset.yaml" if path.is_dir() else path
    given = read_yaml(
        path,
        wanted="'key: value', such as 'name: mine'",
        otherwise=f"write one with: fusiform init-dataset {shlex.quote(str(path.parent))}",
    )
    where = str(path)
    parts: dict[str, Callable[[Any], Any]] = {
        "stimuli": lambda value: _parse(StimulusTable, value, "stimuli", where),
        "responses": lambda value: _parse(ResponseFiles, value, "responses", where),
        "fmriprep": lambda value: _parse(Fmriprep, {} if value is None else value, "fmriprep", where),
        "atlases": lambda value: _atlases(value, where),
    }
    given = {key: parts[key](value) if key in parts else value for key, value in given.items()}
    found = _parse(Description, {**given, "folder": path.parent}, "", where)
    _check(found, where)
    return found


def _atlases(value: Any, where: str) -> dict[str, Atlas]:
    if not isinstance(value, Mapping):
        raise SettingsError(f"'atlases' of {where} is {value!r}; wanted a mapping name -> {{file: ..., labels: ...}}")
    return {str(name): _parse(Atlas, atlas, f"atlases.{name}", where) for name, atlas in value.items()}


T = TypeVar("T")


def _parse(kind: type[T], given: Any, place: str, where: str) -> T:
    """A mapping as one of the classes above."""
    if not isinstance(given, Mapping):
        raise SettingsError(f"{place!r} of {where} is {given!r}; wanted lines of 'key: value' below it")
    known: dict[str, Field[Any]] = {one.name: one for one in fields(kind)}  # type: ignore[arg-type]
    dot = f"{place}." if place else ""
    for key in given:
        if key not in known:
            listed = ", ".join(name for name in known if name != "folder" or place)
            raise SettingsError(
                f"{where} has the unknown key '{dot}{key}'{did_you_mean(str(key), known)}; there are: {listed}"
            )
    for name, one in known.items():
        if name not in given and one.default is MISSING and one.default_factory is MISSING:
            raise SettingsError(f"{where} lacks the key '{dot}{name}'; see: fusiform init-dataset --help")
    hints = get_type_hints(kind)
    return kind(**{str(key): _value(f"{dot}{key} of {where}", value, hints[key]) for key, value in given.items()})


def _value(name: str, value: Any, hint: Any) -> Any:
    """Values that were parsed already are as they should be."""
    kinds = (Path, StimulusTable, ResponseFiles, Fmriprep)
    return value if isinstance(value, kinds) or name.startswith("atlases of") else checked(name, value, hint)


def _check(found: Description, where: str) -> None:
    if (found.responses is None) == (found.fmriprep is None):
        raise SettingsError(f"{where} has neither or both of 'responses' and 'fmriprep'; wanted one of them")
    if not found.subjects or len(set(found.subjects)) < len(found.subjects):
        raise SettingsError(f"'subjects' of {where} are {list(found.subjects)}; wanted different names, one at least")
    choose("stimuli.kind", found.stimuli.kind, get_args(Shown))
    if found.responses is not None:
        _check_files(found.responses, where)
    if found.fmriprep is not None:
        choose("fmriprep.method", found.fmriprep.method, get_args(Method))
        window = found.fmriprep.window
        if len(window) != 2 or not window[0] < window[1]:
            raise SettingsError(f"'fmriprep.window' of {where} is {list(window)}; wanted two rising numbers of seconds")


def _check_files(found: ResponseFiles, where: str) -> None:
    choose("responses.zscore", found.zscore, get_args(Standardised))
    if bool(found.files) == bool(found.left or found.right):
        raise SettingsError(f"'responses' of {where} has neither or both of 'files' and 'left'/'right'; wanted one")
    counts = {len(side) for side in (found.files, found.left, found.right) if side}
    if len(counts) > 1 or len(found.samples) not in {1, *counts}:
        raise SettingsError(
            f"'responses' of {where} names {len(found.samples)} tables of samples for {sorted(counts)} files a side; "
            "wanted as many files left as right, and one table for all or one for each"
        )
