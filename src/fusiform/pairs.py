"""The waist: features and responses joined, one row of each per sample.

Datasets, backbones, models and metrics meet only here. Encoding reads pairs from features to responses, decoding
from responses to features; nothing else differs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fusiform.data import Array, Features, Responses, Space
from fusiform.data.alignment import Reach
from fusiform.errors import DataError, UnknownNameError
from fusiform.registry import unknown

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
        wanted = self.index[np.arange(len(self))[rows]]  # [..., lags, window]; numpy refuses a second axis
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

        Raises:
            UnknownNameError: the direction is neither.
        """
        if direction not in get_args(Direction):
            raise UnknownNameError(unknown("direction", direction, get_args(Direction)))
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

    Stimuli without time are matched by id, and repeats share a row; of pictures with several views, the mean over these
    is read. In a time series the sample at `time` t reads, for each lag L, the feature row nearest to t - L seconds of
    the same stimulus (`timing.row_at`); with a window W, the mean of the rows from there up to W seconds later. A row
    before the stimulus began is its first row.

    Args:
        features: of one source, or a mapping source -> features (each at its own rate).
        responses: what they are paired with.
        lags: seconds by which the response follows the stimulus; the views are [N, len(lags), ...] if there is more
            than one, else [N, ...]. Only for time series.
        window: seconds to average over from each lagged time on; None reads one row.
        patience: features may begin this many seconds after the time of a sample, or end as long before they are last
            needed; their first or last row then stands in.

    Returns:
        N pairs, in the order of the samples.

    Raises:
        AlignmentError: samples without features (named), features that begin late or end early, lags for stimuli
            without time, or lags, window or patience that are no finite seconds.
        DataError: NaN or infinite responses or times, no sample, no source or no layer.
    """
    reach = Reach(lags, window, patience)
    sources = {"": features} if isinstance(features, Features) else features
    _check_some(sources, responses)
    _check_finite(responses)
    views: dict[str, Rows] = {}
    for source, found in sources.items():
        index = reach.rows(found, responses.samples)
        for layer, array in found.arrays.items():
            views[_name(source, layer, found)] = Rows(array, index)
    return Pairs(views, responses.values, responses.samples, responses.space)


def _name(source: str, layer: str, features: Features) -> str:
    if not source:
        return layer
    return source if len(features.arrays) == 1 else f"{source}/{layer}"


def _check_some(sources: Mapping[str, Features], responses: Responses) -> None:
    if not sources or not len(responses):
        raise DataError(
            f"got {len(sources)} sources of features and {len(responses)} samples; wanted one or more of both"
        )
    if empty := [source for source, found in sources.items() if not found.arrays]:
        raise DataError(f"the features{f' of {empty[0]!r}' if empty[0] else ''} have no layers; wanted at least one")


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
