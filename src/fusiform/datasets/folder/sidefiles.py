"""What lies beside fMRIPrep's images: times, confounds and, in the BIDS folder, events."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data.timing import row_times
from fusiform.datasets.base import reading
from fusiform.datasets.folder.description import Description, Fmriprep
from fusiform.datasets.folder.fmriprep import CIFTI, Scan, entities, suffix
from fusiform.datasets.folder.stored import THEN, load_image
from fusiform.datasets.folder.tables import check_columns, numeric, read_table
from fusiform.errors import LayoutError, MissingDataError, UnknownNameError
from fusiform.files import read_json
from fusiform.registry import did_you_mean, unknown

__all__ = ["check_patterns", "check_trial_types", "read_confounds", "read_events", "scan_times"]

CONFOUNDS = ("timeseries", "regressors")  # as fMRIPrep calls them since 20.2, and before
WILD = "*?["  # what makes a name a pattern
OUTLIERS = ("motion_outlier00", "non_steady_state_outlier00")  # fMRIPrep's columns of a volume each


def scan_times(scan: Scan, count: int) -> NDArray[np.float64]:
    """Seconds of the run at which each of `count` volumes was taken.

    fMRIPrep writes `RepetitionTime` and `StartTime` (half a TR when slices were brought to the middle one) beside the
    image; without that file the TR is the image's.

    Raises:
        LayoutError: neither gives a TR.
    """
    facts = _sidecar(scan.files[0])
    tr = facts.get("RepetitionTime") or _header_tr(scan.files[0])
    if not isinstance(tr, int | float) or not 0 < tr < 100:
        raise LayoutError(
            f"{scan.files[0].name} has the TR {tr!r}; wanted seconds, as RepetitionTime in the .json beside it"
        )
    return row_times(count, 1 / tr, float(facts.get("StartTime", 0.0)))


def _sidecar(path: Path) -> dict[str, Any]:
    side = path.with_name(f"{path.name.removesuffix(suffix(path))}.json")
    if not side.is_file():
        return {}
    with reading(side, THEN):
        return dict(read_json(side))


def _header_tr(path: Path) -> float | None:
    image = load_image(path)
    if path.name.endswith(CIFTI):
        return float(image.header.get_axis(0).step)
    if path.name.endswith(".gii"):  # fMRIPrep writes it in milliseconds, other programs in seconds
        step = image.darrays[0].metadata.get("TimeStep")
        return None if step is None else float(step) / (1000 if float(step) > 100 else 1)
    zooms, unit = image.header.get_zooms(), image.header.get_xyzt_units()[1]
    return float(zooms[3]) / (1000 if unit == "msec" else 1) if len(zooms) > 3 else None


def read_confounds(scan: Scan, wanted: Sequence[str], count: int) -> pd.DataFrame:
    """The confounds asked for, [T, K]; what fMRIPrep leaves out (n/a, such as a first difference) is the column's mean.

    Args:
        scan: one run.
        wanted: columns; `*` stands for anything, as in `motion_outlier*`, and may match nothing in this run.
        count: volumes of the run.

    Raises:
        MissingDataError: the run has no table of confounds.
        LayoutError: it lacks a column or holds nothing in one, or has not as many rows as the run has volumes.
    """
    if not wanted:
        return pd.DataFrame(index=range(count))
    path = _confounds_file(scan)
    table = read_table(path, *(name for name in wanted if not set(WILD) & set(name)))
    names = dict.fromkeys(name for pattern in wanted for name in table.columns if fnmatchcase(name, pattern))
    if len(table) != count:
        raise LayoutError(f"{path} has {len(table)} rows; wanted {count}, one for each volume of {scan.name}")
    columns = {name: numeric(table[name], path).astype(float) for name in names}
    values = pd.DataFrame(columns, index=table.index)
    if empty := values.columns[values.isna().all()].tolist():
        raise LayoutError(f"{path} holds no number in column {empty[0]!r}; leave it out of fmriprep.confounds")
    return values.fillna(values.mean())


def _confounds_file(scan: Scan) -> Path:
    files = [scan.folder / f"{scan.name}_desc-confounds_{ending}.tsv" for ending in CONFOUNDS]
    path = next((file for file in files if file.is_file()), None)
    if path is None:
        raise MissingDataError(
            f"{scan.name} has no {files[0].name}; put it beside the run, or set fmriprep.confounds to []"
        )
    return path


def check_patterns(scans: Sequence[Scan], wanted: Sequence[str], found: Sequence[str]) -> None:
    """Raise LayoutError where a pattern of confounds matches no column of any run, nor outliers: a good scan has none.

    Args:
        scans: all runs.
        wanted: columns and patterns.
        found: columns that were read of any run.
    """
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in (*found, *OUTLIERS)):
            path = _confounds_file(scans[0])
            check_columns(read_table(path), path, pattern)


def read_events(
    description: Description, about: Fmriprep, scan: Scan, known: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Events of a run that show a stimulus: `onset`, `duration` (seconds of the run) and `stimulus` (an id), in order.

    There is none where the run has none of the trial types asked for.

    Args:
        description: of the dataset.
        about: its fMRIPrep part.
        scan: one run.
        known: what events may call a stimulus -> the ids that it may mean.

    Raises:
        MissingDataError: the run has no events.
        LayoutError: a column is missing, or an event names what is no stimulus, or several.
    """
    path = _events_file(description.path(about.events), scan)
    table = read_table(path, "onset", "duration", about.stimulus)
    if about.trial_types:
        check_columns(table, path, "trial_type")
        table = table[table["trial_type"].isin(about.trial_types)]
    showing = table[~table[about.stimulus].isin(("", "n/a"))]
    if not len(showing) and (len(table) or not about.trial_types):
        raise LayoutError(
            f"{path} has no event that names a stimulus in column {about.stimulus!r}; check fmriprep.stimulus"
        )
    shown = pd.DataFrame({name: numeric(showing[name], path).astype(float) for name in ("onset", "duration")})
    shown["stimulus"] = [_stimulus(name, known, path) for name in showing[about.stimulus]]
    return shown.fillna({"duration": 0.0}).sort_values("onset", kind="stable").reset_index(drop=True)


def _stimulus(name: str, known: Mapping[str, Sequence[str]], path: Path) -> str:
    """The id of what an event shows."""
    ids = known.get(name, ())
    if not ids:
        raise LayoutError(
            f"{path} shows {name!r}, which is neither an id nor a file of the table of stimuli"
            f"{did_you_mean(name, known)}; add it there, or choose events with fmriprep.trial_types"
        )
    if len(ids) > 1:
        raise LayoutError(
            f"{path} shows {name!r}, which may be {ids[0]!r} or {ids[1]!r}; wanted an id, or the file as the table of "
            "stimuli has it: write these into the events"
        )
    return ids[0]


def check_trial_types(description: Description, about: Fmriprep, scans: Sequence[Scan]) -> None:
    """Raise UnknownNameError where no run has events of a trial type asked for: one run may lack them."""
    if not about.trial_types:
        return
    paths = dict.fromkeys(_events_file(description.path(about.events), scan) for scan in scans)
    known = {name for path in paths for name in read_table(path, "trial_type")["trial_type"]}
    for name in about.trial_types:
        if name not in known:
            raise UnknownNameError(unknown("trial_type of the events", name, sorted(known)))


def _events_file(root: Path, scan: Scan) -> Path:
    """The file nearest to the run, as BIDS inherits: that of the run, else of its task."""
    sub = root / f"sub-{scan.run['sub']}"
    candidates = [*root.glob("*_events.tsv"), *sub.rglob("*_events.tsv")]
    fitting = [path for path in candidates if entities(path.name).items() <= scan.run.items()]
    if not fitting:
        raise MissingDataError(
            f"{scan.name} has no events: no {scan.name}_events.tsv below {sub}; set fmriprep.events to the BIDS folder"
        )
    return max(fitting, key=lambda path: len(entities(path.name)))
