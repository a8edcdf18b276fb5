"""`dataset.yaml` as text: what was guessed, and all other keys with what they are for, commented out."""

import json
from collections.abc import Sequence
from typing import Any

import yaml

from fusiform.datasets.folder.description import CONFOUNDS
from fusiform.datasets.folder.guess import Guess

__all__ = ["described"]


def described(found: Guess) -> str:
    """The description of a folder; what was not found is commented out."""
    sections = [_head(found), _stimuli(found), _responses(found), _fmriprep(found), REGIONS]
    return "\n\n".join("\n".join(line.rstrip() for line in section) for section in sections) + "\n"


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


def _responses(found: Guess) -> list[str]:
    lines = [
        "responses:",
        _line("  samples", found.samples or "{subject}/samples.tsv", SAMPLES, known=found.samples),
        _line("  files", found.files or ["{subject}/betas.npy"], FILES, known=found.files),
        _line("  left", found.left or ["lh.gii"], "or files per hemisphere: .gii, .mgh, .npy", known=found.left),
        _line("  right", found.right or ["rh.gii"], known=found.right),
        _line("  key", "betas", "of the array in .h5 files that hold several", known=False),
        _line("  transpose", True, "arrays are stored [targets, samples]", known=False),
        _line("  tr", 2.0, "seconds, for time series whose samples have no column time", known=False),
        _line("  mask", "mask.nii.gz", "voxels above zero are read", known=False),
        _line("  mesh", "fsaverage5", "that vertices belong to", known=False),
        _line("  drop_nan", True, "leave out targets that are NaN in some sample", known=False),
        _line("  zscore", "run", "run, session, all or no", known=False),
    ]
    return lines if not found.derivatives and (found.files or found.left or found.right) else _off(lines)


def _fmriprep(found: Guess) -> list[str]:
    spaces = f"there are: {', '.join(found.spaces)}" if found.spaces else "or a surface, or fsLR for CIFTI"
    lines = [
        "fmriprep:",
        _line("  derivatives", found.derivatives or "derivatives/fmriprep"),
        _line("  events", ".", "BIDS folder with the events.tsv"),
        _line("  space", (found.spaces or ["MNI152NLin2009cAsym"])[0], spaces),
        _line("  tasks", found.tasks, "default: all", known=found.tasks),
        _line("  method", "window", "series, window, lss or lsa"),
        _line("  window", [4.0, 8.0], "seconds after the onset that are averaged; for window"),
        _line("  confounds", found.confounds if found.derivatives else CONFOUNDS),
        _line("  high_pass", 0.01, "Hz"),
        _line("  zscore", True, "within each run"),
        _line("  stimulus", "stim_file", "column of events that names what was shown"),
        _line("  trial_types", ["picture"], "events to read (default: all that name a stimulus)", known=False),
        _line("  tail", 6.0, "seconds after a stimulus that still belong to it; for series", known=False),
        _line("  mask", "mask.nii.gz", "default: where the brain masks of all runs agree", known=False),
        _line("  drop_nan", True, "leave out targets that are NaN, such as the medial wall", known=False),
    ]
    return lines if found.derivatives else _off(lines)


SAMPLES = "a row per row of responses: stimulus and, where known, session, run, repeat, split, time"
FILES = ".npy, .h5, .nii.gz, .dscalar.nii, .dtseries.nii"


def _line(key: str, value: object, comment: str = "", *, known: object = True) -> str:
    """A line of YAML; commented out where the value is not known."""
    indent = key[: len(key) - len(key.lstrip())]
    text = f"{indent}{'' if known else '# '}{key.lstrip()}: {_value(value)}"
    return f"{text.ljust(WIDTH)} # {comment}" if comment else text


WIDTH = 42  # of keys and values, before comments


def _off(lines: Sequence[str]) -> list[str]:
    """A section that is commented out as a whole, its keys in line."""
    return [f"# {line.replace('# ', '', 1) if line.lstrip().startswith('#') else line}" for line in lines]


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return value if _plain(value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def _plain(text: str) -> bool:
    """Whether YAML reads a text back as it stands, in a line with a comment and in a list: `2024-05-01` is a date."""
    read: list[Any] = []
    for line in (f"key: {text} # a comment", f"key: [{text}]"):
        try:
            read.append(yaml.safe_load(line))
        except (yaml.YAMLError, ValueError):  # the 99th of a month is no date, and no text either
            return False
    return read == [{"key": text}, {"key": [text]}]


REGIONS = [
    "# atlases:                                  # names of regions; the first fills the column roi",
    "#   visual: {file: rois.nii.gz, labels: rois.tsv}       # a volume on the same grid; columns index and name",
    "#   parcels: {left: lh.label.gii, right: rh.label.gii}  # GIFTI labels",
    "#   mine: {table: rois.csv, column: roi}                # a row per target",
]
