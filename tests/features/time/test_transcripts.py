"""Timed words to rows: impulses add up, states are averaged over the words heard."""

import numpy as np
import pandas as pd
import pytest
import torch

from fusiform.data import Recording
from fusiform.errors import DataError
from fusiform.features.time.transcripts import mean_heard, spans_of, sum_of_impulses

VALUES = torch.tensor([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])


def heard(*spans: tuple[float, float], duration: float = 3.0) -> Recording:
    starts, stops = zip(*spans, strict=True) if spans else ((), ())
    return Recording(duration, words=pd.DataFrame({"text": ["w"] * len(spans), "start": starts, "stop": stops}))


def test_impulses_add_up_in_the_nearest_row() -> None:
    found = sum_of_impulses(VALUES, np.array([0.1, 0.74, 2.9]), 3.0, 2.0)
    assert found.tolist() == [[1, 10], [2, 20], [0, 0], [0, 0], [0, 0], [4, 40]]


def test_a_row_has_the_mean_of_its_words_by_how_long_they_are() -> None:
    spans = np.array([[0.0, 0.3], [0.4, 0.6], [1.6, 1.9]])
    found = mean_heard(VALUES, spans, 3.0, 2.0, "zeros")
    wanted = [(0.3 * 1 + 0.1 * 2) / 0.4, 2, 0, 4, 0, 0]  # the second word is half in each of two rows
    np.testing.assert_allclose(found, np.outer(wanted, [1, 10]), rtol=1e-6)


def test_silence_holds_the_last_row_with_a_word() -> None:
    spans = np.array([[0.6, 0.7], [0.8, 0.9], [1.6, 1.9]])
    found = mean_heard(VALUES, spans, 3.0, 2.0, "hold")
    np.testing.assert_allclose(found[:, 0], [0, 1.5, 1.5, 4, 4, 4], rtol=1e-6)


def test_words_of_no_length_are_heard() -> None:
    spans = spans_of(heard((0.2, 0.2), (1.0, 1.0), (3.0, 3.0)))
    found = mean_heard(VALUES, spans, 3.0, 2.0, "zeros")
    np.testing.assert_allclose(found[:, 0], [1, 0, 2, 0, 0, 4], rtol=1e-6)


@pytest.mark.parametrize("silence", ["zeros", "hold"])
def test_nobody_speaks(silence: str) -> None:
    assert spans_of(heard()).shape == (0, 2)
    found = mean_heard(VALUES[:0], np.empty((0, 2)), 3.0, 2.0, silence)  # type: ignore[arg-type]
    assert found.tolist() == [[0, 0]] * 6


def test_nothing_drifts_in_ten_hours() -> None:
    starts = 1.49 * np.arange(24_000)
    spans, values = np.column_stack([starts, starts + 1.49]), torch.arange(24_000.0)[:, None]
    found = mean_heard(values, spans, 24_000 * 1.49, 1 / 1.49, "zeros")
    np.testing.assert_allclose(found, values, atol=0.02)  # float32 shares of numbers up to 24,000


@pytest.mark.parametrize("start", [-0.5, 30.0, float("nan")])
def test_a_word_outside_of_the_recording(start: float) -> None:
    with pytest.raises(DataError, match=r"the word 'w' starts at .* s, outside of a recording of 3 s"):
        spans_of(heard((0.1, 0.2), (start, start)))
