"""From the volumes of a run to samples: cleaned time series, windows after events, or betas of a linear model.

The confounds, the drifts (a discrete cosine basis up to `high_pass`, as in SPM) and a constant are regressed out in one
step: filtering first would bring drifts back with the confounds (Lindquist et al. 2019, Human Brain Mapping 40). In a
linear model they are columns beside the events'.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data.spread import spread, standardise
from fusiform.errors import LayoutError

__all__ = ["Floats", "clean", "nuisance", "single_trials", "volumes_shown", "window_means"]

Floats = NDArray[np.float64]


def nuisance(times: Floats, confounds: pd.DataFrame, high_pass: float | None) -> Floats:
    """[T, K + drifts + 1]: standardised confounds, cosine drifts below `high_pass` Hz, and a constant."""
    from nilearn.glm.first_level import make_first_level_design_matrix

    columns = confounds.to_numpy(np.float64)
    regressors = standardise(columns, columns) if columns.shape[1] else np.empty((len(times), 0))
    drifts = make_first_level_design_matrix(
        times, drift_model=None if high_pass is None else "cosine", high_pass=high_pass or 0.0
    )
    return np.hstack([regressors, drifts.to_numpy(np.float64)])  # nilearn would disturb columns that depend on others


def clean(values: Floats, regressors: Floats, zscore: bool) -> Floats:
    """What the regressors leave over of a run, [T, V], standardised if so wished; they may depend on one another."""
    if len(values) <= regressors.shape[1]:
        raise LayoutError(
            f"a run of {len(values)} volumes has {regressors.shape[1]} regressors of confounds and drifts; "
            "name fewer in fmriprep.confounds or lower fmriprep.high_pass"
        )
    directions, lengths, _ = np.linalg.svd(regressors, full_matrices=False)
    basis = directions[:, lengths > RANK * lengths[0]]
    left = np.where(
        spread(values) == 0, 0.0, values - basis @ (basis.T @ values)
    )  # rounding of a constant is no signal
    return standardise(left, left) if zscore else left


# of the largest singular value: a confound that is constant in a run, or that repeats a drift to the ten decimals that
# fMRIPrep writes, adds a direction of nothing but rounding
RANK = 1e-6


def window_means(values: Floats, times: Floats, onsets: Floats, window: tuple[float, float]) -> Floats:
    """[events, V]: the mean of the volumes taken from `window[0]` up to before `window[1]` seconds after each onset.

    Raises:
        LayoutError: a window holds no volume, or reaches past the end of the run.
    """
    means = np.empty((len(onsets), values.shape[1]))
    for row, onset in enumerate(onsets):
        inside = (times >= onset + window[0] - SLACK) & (times < onset + window[1] - SLACK)
        if not inside.any() or onset + window[0] > times[-1] + SLACK:
            raise LayoutError(
                f"no volume was taken {window[0]:g} to {window[1]:g} s after the event at {onset:g} s (the run has "
                f"{len(times)} volumes, the last at {times[-1]:g} s); widen fmriprep.window, or check events and TR"
            )
        means[row] = values[inside].mean(axis=0)
    return means


SLACK = 1e-6  # seconds: float noise of a boundary


def single_trials(values: Floats, times: Floats, events: pd.DataFrame, regressors: Floats, method: str) -> Floats:
    """A beta per event, [events, V], by ordinary least squares with SPM's haemodynamic response.

    `lsa` (least squares, all) gives every event a column of one model. `lss` (least squares, separate) fits a model per
    event, with one column for it and one for all the others, which is steadier where events follow closely (Mumford et
    al. 2012, NeuroImage 59, 2636-2643).

    Args:
        values: [T, V].
        times: [T] seconds.
        events: `onset` and `duration` in seconds.
        regressors: [T, K] beside the events', a constant among them.
        method: `"lsa"` or `"lss"`.

    Raises:
        LayoutError: there are not more volumes than columns, or an event lies after the end of the run.
    """
    late = events["onset"][events["onset"] >= times[-1]]  # nilearn would move them to the end of the run
    if len(late):
        onset = late.iloc[0]
        raise LayoutError(f"the event at {onset:g} s lies outside of the run ({times[-1]:g} s); check events and TR")
    trials = _responses_to(times, events)  # [T, events]
    columns = regressors.shape[1] + (trials.shape[1] if method == "lsa" else 2)
    if len(times) <= columns:
        raise LayoutError(
            f"a run of {len(times)} volumes cannot tell {columns} regressors apart ({trials.shape[1]} events, "
            f"{regressors.shape[1]} of confounds and drifts); take method lss or window, or fewer confounds"
        )
    if method == "lsa":
        return np.asarray(np.linalg.pinv(np.hstack([trials, regressors]), rcond=RANK)[: trials.shape[1]] @ values)
    total = trials.sum(axis=1)
    others = [total - one for one in trials.T] if trials.shape[1] > 1 else [np.empty((len(times), 0))]
    designs = [np.column_stack([one, other, regressors]) for one, other in zip(trials.T, others, strict=True)]
    return np.asarray(np.stack([np.linalg.pinv(design, rcond=RANK)[0] for design in designs]) @ values)


def _responses_to(times: Floats, events: pd.DataFrame) -> Floats:
    """[T, events] what each event alone would do, in the order of the events."""
    from nilearn.glm.first_level.hemodynamic_models import compute_regressor

    rows = zip(events["onset"], events["duration"], strict=True)
    shapes = [compute_regressor(np.array([[onset], [lasts], [1.0]]), "spm", times)[0][:, 0] for onset, lasts in rows]
    return np.column_stack(shapes)


def volumes_shown(times: Floats, events: pd.DataFrame, tail: float) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Volumes taken while something is shown (and up to `tail` seconds after): their rows, and `stimulus` and `time`.

    `time` counts from the onset of what is shown. A volume within the tail of one event and the next event belongs to
    the next.
    """
    number = np.searchsorted(events["onset"].to_numpy(), times + SLACK, side="right") - 1
    event = events.iloc[np.maximum(number, 0)]
    since = times - event["onset"].to_numpy()
    rows = np.flatnonzero((number >= 0) & (since < event["duration"].to_numpy() + tail - SLACK))
    shown = pd.DataFrame({"stimulus": event["stimulus"].to_numpy()[rows], "time": np.round(since[rows], 6)})
    return rows, shown
