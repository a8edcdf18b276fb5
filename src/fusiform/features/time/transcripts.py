"""Timed words to rows at a regular rate, for all that reads transcripts.

Two things are wanted of words. How many there are, and what they add up to: then a word is an impulse in the one row
whose onset is nearest to its own (`timing.row_at`), so that over many words nothing is early or late on average. And
what is being said: then a row has the mean of the words heard in it, by how long they are (`sampling.sample`).
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.data import Recording
from fusiform.data.timing import row_at, row_count
from fusiform.errors import DataError
from fusiform.features.time.sampling import row_edges, sample

__all__ = ["Silence", "mean_heard", "spans_of", "sum_of_impulses"]

Silence = Literal["zeros", "hold"]
_SHORTEST = 1e-3  # seconds: words of no length are heard all the same


def spans_of(recording: Recording) -> NDArray[np.float64]:
    """When every word starts and stops, [W, 2] seconds; a millisecond at least.

    Raises:
        DataError: a word lies outside of the recording.
    """
    words, duration = recording.words, recording.duration
    start, stop = (words[edge].to_numpy(np.float64) for edge in ("start", "stop"))
    if outside := np.flatnonzero(~((start >= 0) & (start <= duration))).tolist():
        word = words.iloc[outside[0]]
        raise DataError(
            f"the word {word['text']!r} starts at {word['start']:g} s, outside of a recording of {duration:g} s "
            f"({len(outside)} of {len(words)} words do); wanted seconds of the recording"
        )
    start = np.minimum(start, max(0.0, duration - _SHORTEST))
    return np.column_stack([start, np.where(stop < start + _SHORTEST, start + _SHORTEST, stop)])


def sum_of_impulses(values: Tensor, starts: NDArray[np.float64], duration: float, rate: float) -> Tensor:
    """The values of words added up in the row nearest to each word's onset: [W, C] -> [T, C].

    Rows begin at 0, 1 / rate, ... for as long as the recording lasts; a word nearest to the row after the last goes to
    the last.

    Args:
        values: [W, C].
        starts: [W] seconds.
        duration: of the recording in seconds.
        rate: rows per second (Hz).
    """
    count = row_count(duration, rate)
    rows = torch.from_numpy(np.minimum(row_at(starts, rate), count - 1))
    return torch.zeros(count, values.shape[1], dtype=values.dtype).index_add_(0, rows, values)


def mean_heard(values: Tensor, spans: NDArray[np.float64], duration: float, rate: float, silence: Silence) -> Tensor:
    """The mean of the words heard in each row, by how long they are: [W, C] -> [T, C].

    Args:
        values: [W, C].
        spans: [W, 2] seconds from start to stop.
        duration: of the recording in seconds.
        rate: rows per second (Hz).
        silence: rows without a word are `zeros`, or `hold` the last row that has one (zeros before it).
    """
    edges = row_edges(duration, rate)
    if not len(values):
        return torch.zeros(len(edges) - 1, values.shape[1])
    means = sample(values, spans[:, 0], spans[:, 1], edges, empty=0.0)
    if silence == "zeros":
        return means
    heard = sample(torch.ones(len(values), 1), spans[:, 0], spans[:, 1], edges, empty=0.0)[:, 0] > 0
    last = torch.where(heard, torch.arange(len(heard)), -1).cummax(0).values
    return means[last.clamp(min=0)] * (last >= 0)[:, None]
