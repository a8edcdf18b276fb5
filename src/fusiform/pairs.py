"""The waist: features and responses joined, one row of each per sample.

Datasets, backbones, models and metrics meet only here. Encoding reads pairs from features to responses, decoding
from responses to features; nothing else differs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fusiform.data import Array, Features, Responses, Space
from fusiform.data.timing import row_at
from fusiform.errors import AlignmentError, DataError

__all__ = ["Direction", "Pairs", "Rows", "pair"]

Direction = Literal["encode", "decode"]


@dataclass(frozen=True)
class Rows:
    """A view of feature rows, one or several per sample, read from their source when asked for.

    Args:
        source: [M, ...] array, in memory or on disk.
        index: [N, lags, window] rows of the source for every sample. Lags stand side by side, and a window is averaged
            over its rows that are not -1 (there is nothing there).
    """

    source: Array
    index: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """[N, ...] where there is one lag, else [N, lags, ...]."""
        samples, lags, _ = self.index.shape
        return (samples, *([lags] if lags > 1 else []), *self.source.shape[1:])

    @property
    def dtype(self) -> Any:
        """Type of one element."""
        return self.source.dtype

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: Any, /) -> NDArray[Any]:
        """The features of some samples: an integer, a slice, positions or a mask. Every source row is read once."""
        wanted = self.index[rows]  # [..., lags, window]
        unique, place = np.unique(np.maximum(wanted, 0), return_inverse=True)
        values = _window_mean(_read(self.source, unique)[place.reshape(wanted.shape)], wanted >= 0)
        return values.squeeze(wanted.ndim - 2) if wanted.shape[-2] == 1 else values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    def select(self, rows: ArrayLike) -> "Rows":
        """The view of some samples; nothing is read."""
        return replace(self, index=self.index[np.asarray(rows)])


@dataclass(frozen=True)
class Pairs:
    """One subject's features and responses, row by row.

    Args:
        features: name -> view [N, ...]. Names are layers, or `source/layer` where several sources were paired.
        responses: [N, V].
        samples: N rows, as in `Responses`.
        space: where the V targets live.
    """

    features: Mapping[str, Rows]
    responses: Array
    samples: pd.DataFrame
    space: Space

    def __len__(self) -> int:
        return len(self.samples)

    def select(self, rows: ArrayLike) -> "Pairs":
        """Some samples: positions or a mask [N]. Features are not read."""
        chosen = np.arange(len(self))[np.asarray(rows)]
        features = {name: view.select(chosen) for name, view in self.features.items()}
        samples = self.samples.iloc[chosen].reset_index(drop=True)
        return replace(self, features=features, responses=self.responses[chosen], samples=samples)

    def split(self, name: str) -> "Pairs":
        """The samples whose `split` is `name` (`"train"`, `"val"`, `"test"`).

        Raises:
            DataError: the samples have no such split.
        """
        known = [str(split) for split in self.samples.get("split", pd.Series(dtype=str)).unique()]
        if name not in known:
            raise DataError(f"these pairs have no split {name!r}; they have: {', '.join(known) or 'none'}")
        return self.select(np.flatnonzero(self.samples["split"] == name))

    def design(self, *names: str) -> NDArray[np.floating]:
        """Features of the given names (default: all) side by side as one matrix, [N, P]."""
        if unknown := [name for name in names if name not in self.features]:
            raise DataError(f"no features {unknown[0]!r}; there are: {', '.join(self.features)}")
        columns = [np.asarray(self.features[name][:]).reshape(len(self), -1) for name in names or self.features]
        return np.concatenate(columns, axis=1)

    def problem(self, direction: Direction, *names: str) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """What a model learns from and what it predicts, (X [N, P], Y [N, Q]).

        Encoding predicts the responses from the named features (default: all); decoding predicts those features from
        the responses.
        """
        features, responses = self.design(*names), np.asarray(self.responses)
        return (features, responses) if direction == "encode" else (responses, features)


def pair(
    features: Features | Mapping[str, Features],
    responses: Responses,
    *,
    lags: Sequence[float] = (0.0,),
    window: float | None = None,
    patience: float = 5.0,
) -> Pairs:
    """Give every sample the features of what was shown then.

    Stimuli without time are matched by id, and repeats share a row. In a time series the sample at `time` t reads, for
    each lag L, the feature row nearest to t - L seconds of the same stimulus (`timing.row_at`); with a window W, the
    mean of the rows from there up to W seconds later. A row before the stimulus began is its first row.

    Args:
        features: of one source, or a mapping source -> features (each at its own rate).
        responses: what they are paired with.
        lags: seconds by which the response follows the stimulus; the views are [N, len(lags), ...] if there is more
            than one, else [N, ...]. Only for time series.
        window: seconds to average over from each lagged time on; None reads one row.
        patience: features may end this many seconds before they are last needed; their last row then stands in.

    Returns:
        N pairs, in the order of the samples.

    Raises:
        AlignmentError: samples without features (named), features that end early, lags for stimuli without time.
        DataError: NaN or infinite responses.
    """
    _check_finite(responses)
    sources = {"": features} if isinstance(features, Features) else features
    views: dict[str, Rows] = {}
    for source, found in sources.items():
        index = _timeless(found, responses, lags, window)
        if index is None:
            index = _timed(found, responses, tuple(lags), window, patience)
        for layer, array in found.arrays.items():
            views[_name(source, layer, found)] = Rows(array, index)
    return Pairs(views, responses.values, responses.samples, responses.space)


def _name(source: str, layer: str, features: Features) -> str:
    if not source:
        return layer
    return source if len(features.arrays) == 1 else f"{source}/{layer}"


def _timeless(
    features: Features, responses: Responses, lags: Sequence[float], window: float | None
) -> NDArray[np.int64] | None:
    """[N, 1, 1] rows by stimulus id, or None where the features have time."""
    if features.rate is not None:
        return None
    if tuple(lags) != (0.0,) or window is not None:
        raise AlignmentError(f"lags {tuple(lags)} and window {window} need features with a rate; these have no time")
    known = pd.Index(features.index["stimulus"].astype(str))
    if not known.is_unique:
        raise AlignmentError(f"stimulus {known[known.duplicated()][0]!r} has several feature rows but no rate")
    index = known.get_indexer(pd.Index(responses.samples["stimulus"].astype(str)))
    _check_found(index >= 0, responses.samples)
    return np.asarray(index, dtype=np.int64)[:, None, None]


def _timed(
    features: Features, responses: Responses, lags: tuple[float, ...], window: float | None, patience: float
) -> NDArray[np.int64]:
    """[N, lags, window] rows by stimulus and time."""
    if not responses.timed:
        raise AlignmentError("features have a rate but samples have no column 'time' (volume onset in seconds)")
    if not lags or (window is not None and window <= 0):
        raise AlignmentError(f"got lags {lags} and window {window}; give at least one lag and a window above 0 s")
    assert features.rate is not None
    first, last, onset = _extents(features, responses.samples)
    times = responses.samples["time"].to_numpy(np.float64)[:, None] - np.asarray(lags)  # [N, lags]
    steps = 1 if window is None else max(1, int(row_at(window, features.rate)))
    times = times[:, :, None] + np.arange(steps) / features.rate  # [N, lags, window]
    rows = first + row_at(times - onset, features.rate)
    _check_reach(rows, last, features.rate, patience, responses.samples)
    held = np.clip(rows, first, last)
    inside = held == rows
    return np.where(inside | ~inside.any(axis=-1, keepdims=True), held, -1)


def _extents(
    features: Features, samples: pd.DataFrame
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """First and last feature row and the onset of the first, of the stimulus of each sample, [N, 1, 1] each."""
    table = features.index.assign(row=np.arange(len(features))).groupby("stimulus", sort=False)
    extent = table.agg(first=("row", "min"), last=("row", "max"), onset=("start", "min"))
    extent = extent.reindex(samples["stimulus"])
    _check_found(extent["first"].notna().to_numpy(), samples)
    first, last = (extent[name].to_numpy().astype(np.int64)[:, None, None] for name in ("first", "last"))
    return first, last, extent["onset"].to_numpy(np.float64)[:, None, None]


def _check_found(found: NDArray[np.bool_], samples: pd.DataFrame) -> None:
    if found.all():
        return
    missing = samples["stimulus"].to_numpy()[~found]
    names = list(dict.fromkeys(map(str, missing)))
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    raise AlignmentError(
        f"{len(missing)} of {len(samples)} samples have no features ({len(names)} stimuli: {shown}); "
        "extract features for them, or select the samples that have some"
    )


def _check_reach(
    rows: NDArray[np.int64], last: NDArray[np.int64], rate: float, patience: float, samples: pd.DataFrame
) -> None:
    late = ((rows - last) / rate).reshape(len(rows), -1).max(axis=1)  # [N], seconds past the end
    worst = int(late.argmax())
    if late[worst] > patience:
        raise AlignmentError(
            f"features of {samples['stimulus'].iloc[worst]!r} end {late[worst]:.2f} s before they are last needed "
            f"({int((late > patience).sum())} samples are past the end; at most {patience:g} s is bridged); "
            "extract the whole stimulus, or raise `patience`"
        )


def _check_finite(responses: Responses, block: int = 1 << 24) -> None:
    """Read the responses in blocks of about `block` numbers and name the first that is not finite."""
    step = max(1, block // max(1, responses.space.size))
    for start in range(0, len(responses), step):
        finite = np.isfinite(responses.values[start : start + step])
        if not finite.all():
            row, target = np.argwhere(~finite)[0]
            raise DataError(
                f"responses hold NaN or infinite values ({int((~finite).sum())} among samples {start} to "
                f"{start + len(finite) - 1}, first at sample {start + row}, target "
                f"{responses.space.names[target]!r}); drop those with Responses.select or Responses.select_targets"
            )


def _window_mean(values: NDArray[Any], present: NDArray[np.bool_]) -> NDArray[Any]:
    """Mean over the window, the last axis of `present`, of what is there: absent rows weigh nothing."""
    axis = present.ndim - 1
    if present.shape[axis] == 1:
        return values.squeeze(axis)
    weight = present.reshape(*present.shape, *[1] * (values.ndim - present.ndim))
    return np.asarray(values.sum(axis, where=weight) / weight.sum(axis), dtype=values.dtype)


def _read(source: Array, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Sorted unique rows of an array; a run of neighbours is read as one slice, which every format does fast."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return np.asarray(source[int(rows[0]) : int(rows[-1]) + 1])
    if hasattr(source, "oindex"):  # zarr reads scattered rows this way
        return np.asarray(source.oindex[rows])
    return np.asarray(source[rows])
