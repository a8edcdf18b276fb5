"""Samples to rows: overlap, drift, gaps, ends."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from fusiform.data.timing import row_count
from fusiform.errors import DataError
from fusiform.features.time.sampling import row_edges, sample


def slowly(values, starts, stops, edges):
    """The definition, pair by pair."""
    means = []
    for begin, end in pairwise(edges):
        seconds = [max(0.0, min(stop, end) - max(start, begin)) for start, stop in zip(starts, stops, strict=True)]
        means.append(sum(s * value for s, value in zip(seconds, values, strict=True)) / sum(seconds))
    return np.stack(means)


@pytest.mark.parametrize("seed", range(5))
def test_is_the_mean_weighted_by_overlap(seed):
    random = np.random.default_rng(seed)
    starts = random.uniform(-1, 9, 80)  # in any order, overlapping, beyond both ends
    stops = starts + random.uniform(0, 2, 80)
    edges = np.r_[0.0, np.sort(random.uniform(0, 9, 9)), 9.0]
    values = random.normal(size=(80, 3, 2)).astype(np.float32)
    found = sample(torch.from_numpy(values), starts, stops, edges)
    np.testing.assert_allclose(found, slowly(values, starts, stops, edges), atol=1e-5)


def test_rows_of_the_samples_own_rate_are_the_samples():
    values = torch.randn(50, 4)
    edges = np.arange(51) * 1.49
    torch.testing.assert_close(sample(values, edges[:-1], edges[1:], edges), values)


def test_finer_rows_hold_the_sample_that_they_lie_in():
    found = sample(torch.tensor([[1.0], [5.0]]), [0, 1], [1, 2], np.arange(9) / 4)
    assert found[:, 0].tolist() == [1, 1, 1, 1, 5, 5, 5, 5]


@pytest.mark.parametrize("step", [1.49, 0.5])
def test_nothing_drifts_over_ten_hours(step):
    """Samples every 20 ms that tell their own middle: every row tells its own, the last as well as the first."""
    duration = 10 * 3600.0
    edges = row_edges(duration, 1 / step)
    assert len(edges) == np.ceil(duration / step) + 1
    np.testing.assert_allclose(edges[:-1], [k * step for k in range(len(edges) - 1)], rtol=0, atol=1e-9)
    count = 50 * 36000
    starts = np.arange(count) / 50
    middles = (np.arange(count) + 0.5) / 50 - 18000  # centred: float32 holds it to 2 ms
    found = sample(torch.from_numpy(middles), starts, (np.arange(count) + 1) / 50, edges)
    wanted = (edges[:-1] + edges[1:]) / 2 - 18000
    np.testing.assert_allclose(found, wanted, rtol=0, atol=0.003)


def test_the_last_row_ends_with_the_recording():
    assert row_edges(10.3, 2.0)[-2:].tolist() == [10.0, 10.3]
    assert row_edges(10.0, 2.0)[-2:].tolist() == [9.5, 10.0]
    assert row_edges(0.2, 2.0).tolist() == [0.0, 0.2]
    assert len(row_edges(480 * 1.49, 1 / 1.49)) == 481  # float noise adds no row
    assert row_count(0.1, 2.0) == 1
    values = torch.arange(103.0)[:, None]
    starts = np.arange(103) / 10
    ragged = sample(values, starts, starts + 0.1, row_edges(10.3, 2.0))
    assert ragged[-1].item() == pytest.approx(101.0)  # the mean of 100, 101 and 102


def test_rows_without_a_sample_are_never_silently_zero():
    values, starts, stops, edges = torch.ones(2, 1), [0.0, 2.0], [1.0, 3.0], np.arange(5.0)
    with pytest.raises(DataError, match=r"no sample lies in row 1, from 1 to 2 s \(they cover 0 to 3 s\)"):
        sample(values, starts, stops, edges)
    assert torch.isnan(sample(values, starts, stops, edges, empty=float("nan"))[:, 0]).tolist() == [0, 1, 0, 1]
    assert sample(values, starts, stops, edges, empty=-1.0)[:, 0].tolist() == [1, -1, 1, -1]
    with pytest.raises(DataError, match=r"row 0, from 0 to 1 s .there is none"):
        sample(torch.ones(0, 1), [], [], edges)


def test_a_sample_that_only_touches_a_row_is_not_in_it():
    edges = np.array([0.0, 1.0, 2.0])
    with pytest.raises(DataError, match="no sample lies in row 1"):
        sample(torch.ones(1, 1), [0.0], [1.0 + 1e-12], edges)


def test_half_precision_is_averaged_in_single():
    values = torch.full((10000, 1), 1.0, dtype=torch.float16)
    assert sample(values, np.arange(10000), np.arange(10000) + 1, [0, 10000]).item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("starts", "stops", "edges", "said"),
    [
        ([0], [1, 2], [0, 1], "2 samples have 1 starts and 2 stops"),
        ([0, 1], [1, 0.5], [0, 1], "in this order"),
        ([0, np.nan], [1, 2], [0, 1], "finite seconds"),
        ([0, 1], [1, 2], [0], "two at least"),
        ([0, 1], [1, 2], [0, 1, 1], "must rise"),
    ],
)
def test_what_is_refused(starts, stops, edges, said):
    with pytest.raises(DataError, match=said):
        sample(torch.ones(2, 1), starts, stops, edges)
