import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from fusiform.errors import DataError
from fusiform.scores import bootstrap_mean, circular_shifts, p_values, pearson, shift_null


def test_shifts_are_distinct_and_far_from_zero():
    shifts = circular_shifts(100, 1000, least=20)
    assert sorted(shifts) == list(range(20, 81))
    assert len(circular_shifts(100, 7, least=20)) == 7
    assert not np.array_equal(circular_shifts(100, 7, least=20), circular_shifts(100, 7, least=20, seed=1))
    with pytest.raises(DataError, match="no circular shift of at least 6"):
        circular_shifts(10, 5, least=6)


def test_p_values_count_the_observed_one():
    null = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])
    np.testing.assert_allclose(p_values([0.25, 1.0], null), [2 / 4, 1 / 4])


def test_the_null_of_smooth_series_is_calibrated():
    rng = np.random.default_rng(0)
    smooth = gaussian_filter1d(rng.normal(size=(300, 400)), 4, axis=0, mode="wrap")
    stimulus, responses = smooth[:, :200], smooth[:, 200:]
    null = shift_null(lambda rolled: pearson(rolled, stimulus), responses, circular_shifts(300, 99, least=30))
    p = p_values(pearson(responses, stimulus), null)
    assert 0.01 < (p <= 0.05).mean() < 0.1  # unrelated series are called significant at the stated rate
    related = p_values(pearson(responses + stimulus, stimulus), null)
    assert (related <= 0.05).mean() > 0.95


@pytest.mark.parametrize(
    ("observed", "null", "said"),
    [([np.nan], np.zeros((5, 1)), "NaN"), ([0.1], np.full((5, 1), np.nan), "NaN"), ([0.1], np.zeros((5, 2)), "wanted")],
)
def test_p_values_of_nothing_are_refused(observed, null, said):
    with pytest.raises(DataError, match=said):
        p_values(observed, null)


def test_the_interval_of_a_mean_is_that_of_theory():
    values = np.random.default_rng(0).normal(2.0, 1.0, 400)
    low, high = bootstrap_mean(values)
    half = 1.96 * values.std(ddof=1) / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.02)
    assert high == pytest.approx(values.mean() + half, abs=0.02)
    assert bootstrap_mean(values) == (low, high) != bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, draws=20) != (low, high)


def test_values_that_vary_together_are_drawn_together():
    blocks = np.repeat(np.arange(25), 16)
    means = np.random.default_rng(1).normal(size=25)
    together, alone = bootstrap_mean(means[blocks], blocks), bootstrap_mean(means)
    assert together == pytest.approx(alone)  # sixteen copies of a value know no more than one
    assert np.ptp(bootstrap_mean(means[blocks])) < 0.4 * np.ptp(together)
    uneven = np.array([0.0, 0.0, 0.0, 4.0])
    assert bootstrap_mean(uneven, np.array(["a", "a", "a", "b"])) == (0.0, 4.0)


@pytest.mark.parametrize(
    ("values", "blocks"), [([], None), ([1.0, np.nan], None), ([1.0, 2.0], [0]), ([[1.0, 2.0]], None)]
)
def test_intervals_of_nothing_are_refused(values, blocks):
    with pytest.raises(DataError, match=r"wanted \[N\] finite values"):
        bootstrap_mean(values, blocks)
