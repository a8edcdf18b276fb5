import sys

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import mean_squared_error, r2_score

from fusiform.data import Space
from fusiform.errors import DataError, UnknownNameError
from fusiform.scores import correlation_matrix, mse, pearson, r2, score


@pytest.fixture
def pair_of_matrices():
    rng = np.random.default_rng(0)
    true = rng.normal(3, 2, (50, 7))
    return true, true + rng.normal(0, 2, true.shape)


def test_pearson_equals_scipy(pair_of_matrices):
    true, pred = pair_of_matrices
    np.testing.assert_allclose(pearson(true, pred), [pearsonr(a, b)[0] for a, b in zip(true.T, pred.T, strict=True)])


@pytest.mark.parametrize("metric", [pearson, r2, mse])
def test_targets_are_scored_together_and_not_one_by_one(metric):
    """A hemisphere of vertices takes as many steps of Python as ten of them."""

    def steps(targets):
        true, pred = np.random.default_rng(0).normal(size=(2, 12, targets))
        metric(true, pred)  # the first call fills caches
        counted = []

        def count(*_):
            counted.append(1)
            return count

        before = sys.gettrace()
        sys.settrace(count)
        try:
            metric(true, pred)
        finally:
            sys.settrace(before)
        return len(counted)

    assert steps(20_000) == steps(10) > 0


def test_r2_and_mse_equal_sklearn(pair_of_matrices):
    true, pred = pair_of_matrices
    np.testing.assert_allclose(r2(true, pred), r2_score(true, pred, multioutput="raw_values"))
    np.testing.assert_allclose(mse(true, pred), mean_squared_error(true, pred, multioutput="raw_values"))


def test_float32_far_from_zero_is_scored_well(pair_of_matrices):
    true, pred = pair_of_matrices
    far = ((true + 1e4).astype(np.float32), (pred - 1e4).astype(np.float32))
    np.testing.assert_allclose(pearson(*far), pearson(true, pred), atol=1e-3)  # float32 holds 1e4 to 1e-3


def test_constant_targets_score_zero_not_nan(pair_of_matrices):
    true, pred = (values.copy() for values in pair_of_matrices)
    true[:, 0], pred[:, 1] = 0.1, -3.3
    assert pearson(true, pred)[:2].tolist() == [0, 0]
    assert r2(true, pred)[0] == 0
    assert np.isfinite(pearson(true, pred)).all()


def test_one_sample_and_one_target():
    assert pearson(np.array([[1.0]]), np.array([[2.0]])).tolist() == [0]
    assert score([1.0, 2.0, 3.0], [2.0, 4.0, 6.5]).values.shape == (1,)


def test_groups_average_the_metric_within_each():
    rng = np.random.default_rng(1)
    true, pred = rng.normal(size=(30, 3)), rng.normal(size=(30, 3))
    runs = np.repeat(["a", "b", "c"], [5, 15, 10])
    slow = np.mean([pearson(true[runs == run], pred[runs == run]) for run in "abc"], axis=0)
    np.testing.assert_allclose(score(true, pred, groups=runs).values, slow)
    offset = (runs == "b")[:, None] * 100.0  # an offset between runs is no prediction
    np.testing.assert_allclose(score(true + offset, pred + offset, groups=runs).values, slow)


def test_score_says_what_is_wrong():
    with pytest.raises(UnknownNameError, match=r"unknown metric 'pearsn' \(did you mean 'pearson'"):
        score(np.zeros((2, 2)), np.zeros((2, 2)), "pearsn")
    with pytest.raises(DataError, match=r"true has the shape \(2, 2\), pred \(3, 2\)"):
        score(np.zeros((2, 2)), np.zeros((3, 2)))
    with pytest.raises(DataError, match="pred holds 1 NaN"):
        score(np.zeros((2, 1)), [[0], [np.nan]])
    with pytest.raises(DataError, match="space 'v' has 5"):
        score(np.zeros((2, 2)), np.zeros((2, 2)), space=Space.numbered("v", 5))
    with pytest.raises(DataError, match="groups has 1 labels; wanted 2"):
        score(np.zeros((2, 2)), np.zeros((2, 2)), groups=["a"])


def test_normalised_scores_are_not_clipped():
    true = np.arange(10.0)[:, None].repeat(3, axis=1)
    scores = score(true, true, ceiling=[0.5, 1.0, 0.0], space=Space.named("rois", ["A", "B", "C"]))
    np.testing.assert_allclose(scores.normalised(), [2.0, 1.0, np.nan])
    assert scores.table().columns.tolist() == ["name", "pearson", "ceiling"]
    with pytest.raises(DataError, match="no ceiling"):
        score(true, true).normalised()


def test_correlation_matrix_equals_corrcoef():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(4, 20)), rng.normal(size=(6, 20))
    np.testing.assert_allclose(correlation_matrix(a, b), np.corrcoef(a, b)[:4, 4:])


def test_constancy_follows_the_type(pair_of_matrices):
    true, pred = pair_of_matrices
    wanted = pearson(true, pred), r2(true, pred)
    for change in (lambda x: x + 1e9, lambda x: x * 1e-200, lambda x: x * 1e200):
        np.testing.assert_allclose(pearson(change(true), change(pred)), wanted[0], atol=1e-6)
        np.testing.assert_allclose(r2(change(true), change(pred)), wanted[1], atol=1e-6)
    jitter = np.where(true > 3, np.float32(7), np.nextafter(np.float32(7), np.float32(8)))
    assert (pearson(jitter, true) == 0).all()
    assert (r2(jitter, true) == 0).all()


def test_groups_and_ceiling_fit_the_samples_and_targets():
    with pytest.raises(DataError, match="groups lack the label of 1 samples"):
        score(np.eye(3), np.eye(3), groups=[1.0, 1.0, np.nan])
    with pytest.raises(DataError, match=r"ceiling has the shape \(2,\); wanted \(3,\)"):
        score(np.eye(3), np.eye(3), ceiling=[1, 2])
