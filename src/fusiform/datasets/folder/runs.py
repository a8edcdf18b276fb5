"""Runs of fMRIPrep as samples: what each sample is first, and then the values, a run at a time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data.spread import standardise
from fusiform.datasets.folder.arrays import Measured
from fusiform.datasets.folder.description import Description, Fmriprep
from fusiform.datasets.folder.fmriprep import Scan, find_scans, inside_all, open_scan
from fusiform.datasets.folder.sidefiles import (
    check_patterns,
    check_trial_types,
    read_confounds,
    read_events,
    scan_times,
)
from fusiform.datasets.folder.stored import steps
from fusiform.datasets.folder.trials import Floats, clean, nuisance, single_trials, volumes_shown, window_means
from fusiform.errors import LayoutError

__all__ = ["Run", "open_runs", "read_run"]

BLOCK = 1 << 24  # numbers of a run that are worked on at a time, in float64


@dataclass(frozen=True, eq=False)
class Run:
    """One run with events, its volumes not read yet.

    Args:
        scan: its files.
        volumes: [T, V].
        times: [T] seconds of the run.
        confounds: [T, K].
        events: `onset` and `duration` (seconds of the run) and `stimulus`, in order.
        rows: of the volumes that are samples; None where events are.
        samples: what each sample is.
    """

    scan: Scan
    volumes: Measured
    times: NDArray[np.float64]
    confounds: pd.DataFrame
    events: pd.DataFrame
    rows: NDArray[np.int64] | None
    samples: pd.DataFrame


def open_runs(description: Description, about: Fmriprep, subject: str, known: Mapping[str, Sequence[str]]) -> list[Run]:
    """All runs of one subject that have events.

    Args:
        description: of the dataset.
        about: its fMRIPrep part.
        subject: one of its subjects.
        known: what events may call a stimulus -> the ids that it may mean.

    Raises:
        LayoutError: side files are missing or do not fit, or runs have several numbers of targets.
        UnknownNameError: there is no such space, task or type of trials.
    """
    scans = find_scans(description, about, subject)
    check_trial_types(description, about, scans)
    inside = inside_all(scans, None if about.mask is None else description.path(about.mask, subject))
    events = {scan.name: read_events(description, about, scan, known) for scan in scans}
    runs = [_open(scan, about, inside, events[scan.name]) for scan in scans if len(events[scan.name])]
    check_patterns(scans, about.confounds, [str(name) for run in runs for name in run.confounds])
    size = runs[0].volumes.space.size
    for run in runs:
        if run.volumes.space.size != size:
            raise LayoutError(
                f"{run.scan.name} has {run.volumes.space.size} targets; wanted {size}, as the runs before it"
            )
    return runs


def _open(scan: Scan, about: Fmriprep, inside: NDArray[np.bool_] | None, events: pd.DataFrame) -> Run:
    volumes = open_scan(scan, about.space, inside)
    [count] = volumes.rows
    times, confounds = scan_times(scan, count), read_confounds(scan, about.confounds, count)
    rows, samples = None, events[["stimulus"]]
    if about.method == "series":
        rows, samples = volumes_shown(times, events, about.tail)
    return Run(scan, volumes, times, confounds, events, rows, samples.assign(**_labels(scan)))


def _labels(scan: Scan) -> dict[str, Any]:
    """Session, task and run of a scan, as columns of its samples."""
    named = {"ses": "session", "task": "task", "run": "run"}
    found = {column: scan.run[key] for key, column in named.items() if key in scan.run}
    return {column: int(value) if value.isdecimal() else value for column, value in found.items()}


def read_run(run: Run, about: Fmriprep, columns: NDArray[np.int64], values: NDArray[np.float32]) -> None:
    """Put the samples of one run, by the method asked for, into `values`; some targets are worked on at a time.

    Args:
        run: to read.
        about: the fMRIPrep part of the description.
        columns: positions of the targets wanted, ascending.
        values: [samples, columns].

    Raises:
        LayoutError: the events do not fit the run, or it is too short for what is regressed out.
    """
    volumes = np.asarray(run.volumes.read(columns))
    regressors = nuisance(run.times, run.confounds, about.high_pass)
    with _naming(run.scan):
        for part in steps(len(columns), max(1, BLOCK // len(volumes))):
            values[:, part] = _samples(run, about, volumes[:, part].astype(np.float64), regressors)


def _samples(run: Run, about: Fmriprep, values: Floats, regressors: Floats) -> Floats:
    """Samples of some targets, [samples, V]."""
    if about.method in ("lss", "lsa"):
        betas = single_trials(values, run.times, run.events, regressors, about.method)
        return _scaled(betas, values, about.zscore)
    cleaned = clean(values, regressors, about.zscore)
    if run.rows is not None:
        return cleaned[run.rows]
    return window_means(cleaned, run.times, run.events["onset"].to_numpy(), (about.window[0], about.window[1]))


def _scaled(betas: Floats, values: Floats, zscore: bool) -> Floats:
    """Betas of one run with zero mean and unit deviation, or in percent of the run's mean."""
    mean = values.mean(axis=0)
    return standardise(betas, betas) if zscore else 100 * betas / np.where(mean > 0, mean, 1.0)


@contextmanager
def _naming(scan: Scan) -> Iterator[None]:
    """Say which run it was when the block finds something wrong with it."""
    try:
        yield
    except LayoutError as reason:
        raise LayoutError(f"{scan.name}: {reason}") from reason
