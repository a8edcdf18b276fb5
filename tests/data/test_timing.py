import numpy as np
import pytest
from scipy.stats import gamma

from fusiform.data.timing import hrf, row_at, row_times


def test_row_at_takes_the_nearest_onset():
    assert row_at([0.0, 0.2, 0.3, 0.74, 0.76], rate=2.0).tolist() == [0, 0, 1, 1, 2]


def test_ties_go_to_the_later_row():
    assert row_at([0.25, 0.75, 1.25, -0.25], rate=2.0).tolist() == [1, 2, 3, 0]


def test_row_at_counts_from_the_start():
    assert row_at(21.0, rate=0.5, start=20.0).tolist() == 1
    assert row_at(20.9, rate=0.5, start=20.0).tolist() == 0


def test_row_at_inverts_row_times_over_ten_hours():
    count = int(10 * 3600 / 1.49)
    onsets = row_times(count, 1 / 1.49)
    assert np.array_equal(row_at(onsets, 1 / 1.49), np.arange(count))
    assert onsets[-1] == pytest.approx((count - 1) * 1.49, abs=1e-6)


def test_hrf_is_the_double_gamma_of_spm():
    times = np.arange(64) / 2.0
    slow = np.array([gamma.pdf(t, 6) - gamma.pdf(t, 16) / 6 for t in times])
    np.testing.assert_allclose(hrf(2.0), slow / slow.sum())
    assert hrf(10.0).argmax() / 10.0 == pytest.approx(5.0, abs=0.1)
    assert hrf(0.5).sum() == pytest.approx(1.0)
