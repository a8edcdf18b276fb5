"""Scores of what does not vary, or hardly."""

import numpy as np
import pytest

from fusiform.models.ridge import RidgeCV

ALPHAS = np.logspace(-1, 3, 5)


def fits(X, Y, scoring):
    return (RidgeCV(ALPHAS, scoring=scoring, tolerance=1e-5, dtype=dtype).fit(X, Y) for dtype in (None, "float64"))


@pytest.mark.parametrize("scoring", ["r2", "pearson"])
@pytest.mark.parametrize("p", [5, 90])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_fold_in_which_a_target_is_constant_has_no_say(rng, dtype, p, scoring):
    X, Y = (rng.standard_normal((60, k)).astype(dtype) for k in (p, 3))
    Y = Y + X[:, :1]
    Y[:12, 0], Y[12:24, 1] = 7.3, -30.0
    model, exact = fits(X, Y, scoring)
    assert model.fold_scores_[0, 0] == model.fold_scores_[1, 1] == 0
    assert (model.fold_scores_[2:] != 0).all()
    np.testing.assert_allclose(model.cv_scores_, exact.cv_scores_, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("p", [5, 90])
def test_r2_is_exact_where_a_fold_lies_far_from_the_others(rng, p):
    X, Y = (rng.standard_normal((60, k)).astype(np.float32) for k in (p, 3))
    Y[12:24, 1] += 3e3
    model, exact = fits(X, Y, "r2")
    np.testing.assert_allclose(model.cv_scores_, exact.cv_scores_, rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_fold_in_which_the_features_are_constant_correlates_with_nothing(rng, dtype):
    X, Y = (rng.standard_normal((60, k)).astype(dtype) for k in (5, 3))
    X[:12] = rng.standard_normal(5)
    model = RidgeCV(ALPHAS, scoring="pearson").fit(X, Y)
    np.testing.assert_array_equal(model.fold_scores_[0], 0)
    assert (model.fold_scores_[1:] != 0).all()
