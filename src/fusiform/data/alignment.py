"""Alignment: which rows of features belong to each sample, by stimulus and, where there is one, by time."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data.features import Features
from fusiform.data.timing import row_at
from fusiform.errors import AlignmentError, DataError

__all__ = ["Reach"]


@dataclass(frozen=True)
class Reach:
    """How far from its own time a sample reads.

    Args:
        lags: seconds by which the response follows the stimulus.
        window: seconds to average over from each lagged time on; None reads one row.
        patience: seconds by which features may begin late or end early.

    Raises:
        AlignmentError: a value is no finite number of seconds, or there is no lag.
    """

    lags: Sequence[float]
    window: float | None
    patience: float

    def __post_init__(self) -> None:
        lags = np.asarray(self.lags)
        if lags.ndim != 1 or not lags.size or lags.dtype.kind not in "iuf" or not np.isfinite(lags).all():
            raise AlignmentError(
                f"got lags {self.lags!r}; give at least one lag, a list of finite seconds such as [4.0]"
            )
        if self.window is not None and not (_is_seconds(self.window) and self.window > 0):
            raise AlignmentError(f"got window {self.window!r}; wanted a finite number of seconds above 0, or None")
        if not (_is_seconds(self.patience) and self.patience >= 0):
            raise AlignmentError(f"got patience {self.patience!r}; wanted a finite number of seconds, 0 or more")

    def rows(self, features: Features, samples: pd.DataFrame) -> NDArray[np.int64]:
        """[N, lags, window] feature rows of every sample; -1 is a moment of a window that does not exist.

        Raises:
            AlignmentError: samples without features (named), features that begin late or end early, lags without time.
            DataError: a sample's time is not finite.
        """
        if features.rate is None:
            return self._by_stimulus(features, samples)
        return self._by_time(features, features.rate, samples)

    def _by_stimulus(self, features: Features, samples: pd.DataFrame) -> NDArray[np.int64]:
        if tuple(self.lags) != (0.0,) or self.window is not None:
            raise AlignmentError(
                f"lags {tuple(self.lags)} and window {self.window} need features with a rate; these have no time"
            )
        known = pd.Index(_ids(features.index))[:: _views(features)]
        if not known.is_unique:
            raise AlignmentError(f"stimulus {known[known.duplicated()][0]!r} has several feature rows but no rate")
        index = known.get_indexer(pd.Index(_ids(samples)))
        _check_found(index >= 0, samples, features)
        views = np.arange(_views(features))  # all of a picture: their mean is taken, as over a window
        return np.asarray(index[:, None, None] * len(views) + views, dtype=np.int64)

    def _by_time(self, features: Features, rate: float, samples: pd.DataFrame) -> NDArray[np.int64]:
        own = _times(samples)  # [N, 1, 1]
        first, last, onset = _extents(features, samples)
        steps = 1 if self.window is None else max(1, int(row_at(self.window, rate)))
        times = own - np.asarray(self.lags)[:, None] + np.arange(steps) / rate  # [N, lags, window]
        rows = first + row_at(times - onset, rate)
        self._check("begin", "after", "first", onset - own, samples)
        self._check("end", "before", "last", (rows - last) / rate, samples)
        held = np.clip(rows, first, last)
        inside = held == rows
        return np.where(inside | ~inside.any(axis=-1, keepdims=True), held, -1)

    def _check(self, what: str, side: str, end: str, gap: NDArray[np.float64], samples: pd.DataFrame) -> None:
        """Refuse samples that lie further than `patience` outside of their features; gap [N, ...] in seconds."""
        gaps = gap.reshape(len(samples), -1).max(axis=1)
        worst = int(gaps.argmax())
        if gaps[worst] > self.patience:
            raise AlignmentError(
                f"features of {str(samples['stimulus'].iloc[worst])!r} {what} {gaps[worst]:.2f} s {side} they are "
                f"{end} needed ({int((gaps > self.patience).sum())} samples lie outside; at most {self.patience:g} s "
                "is bridged); extract the whole stimulus, or raise `patience`"
            )


def _is_seconds(value: object) -> bool:
    return isinstance(value, Real) and bool(np.isfinite(float(value)))


def _views(features: Features) -> int:
    """Rows of a stimulus without time: 1, or the number of its views."""
    if "view" not in features.index or not len(features):
        return 1
    views, ids = int(features.index["view"].max()) + 1, _ids(features.index).to_numpy()
    counted = np.array_equal(features.index["view"], np.arange(len(features)) % views)
    if not counted or not np.array_equal(ids, np.repeat(ids[::views], views)):
        raise AlignmentError(f"the views of pictures are not 0 to {views - 1} for each, one after another")
    return views


def _ids(table: pd.DataFrame) -> "pd.Series[str]":
    """The id 7 and the id "7" are one."""
    return table["stimulus"].astype(str)


def _times(samples: pd.DataFrame) -> NDArray[np.float64]:
    """The samples' own times in seconds, [N, 1, 1]."""
    if "time" not in samples:
        raise AlignmentError("features have a rate but samples have no column 'time' (volume onset in seconds)")
    times = pd.to_numeric(samples["time"], errors="coerce").to_numpy(np.float64)
    if not np.isfinite(times).all():
        row = int(np.flatnonzero(~np.isfinite(times))[0])
        raise DataError(f"sample {row} has the time {str(samples['time'].iloc[row])!r}; wanted finite seconds for each")
    return times[:, None, None]


def _extents(
    features: Features, samples: pd.DataFrame
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """First and last feature row and the onset of the first, of the stimulus of each sample, [N, 1, 1] each."""
    table = features.index.assign(row=np.arange(len(features))).groupby(_ids(features.index), sort=False)
    extent = table.agg(first=("row", "min"), last=("row", "max"), onset=("start", "min")).reindex(_ids(samples))
    _check_found(extent["first"].notna().to_numpy(), samples, features)
    first, last = (extent[name].to_numpy().astype(np.int64)[:, None, None] for name in ("first", "last"))
    return first, last, extent["onset"].to_numpy(np.float64)[:, None, None]


def _check_found(found: NDArray[np.bool_], samples: pd.DataFrame, features: Features) -> None:
    if found.all():
        return
    missing = samples["stimulus"].to_numpy()[~found]
    names = list(dict.fromkeys(map(str, missing)))
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    skipped = [name for name in names if name in features.skipped]
    why = f"{len(skipped)} of them would not load, {skipped[0]}: {features.skipped[skipped[0]]}; " if skipped else ""
    raise AlignmentError(
        f"{len(missing)} of {len(samples)} samples have no features ({len(names)} stimuli: {shown}); {why}"
        "extract features for them, or select the samples that have some"
    )
