import numpy as np
import pytest
from sklearn.linear_model import Ridge as SlowRidge
from sklearn.model_selection import KFold
from sklearn.utils.estimator_checks import parametrize_with_checks

from fusiform.models.ridge import RidgeCV

ALPHAS = np.logspace(-1, 4, 12)


@parametrize_with_checks([RidgeCV()])
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


def problem(rng, n, p, v=7):
    X = rng.standard_normal((n, p)) + 3
    return X, X @ rng.standard_normal((p, v)) + 5 * rng.standard_normal((n, v)) + 100


def slow_curves(X, Y, alphas, folds, scoring, intercept, weight):
    """Held-out score per alpha and target by one fit of scikit-learn's Ridge per fold and alpha."""
    curves = []
    for train, test in folds:
        share = weight[test, None] / weight[test].sum()
        models = [
            SlowRidge(a, fit_intercept=intercept).fit(X[train], Y[train], sample_weight=weight[train]) for a in alphas
        ]
        curves.append([slow_score(Y[test], model.predict(X[test]), share, scoring) for model in models])
    return np.mean(curves, axis=0)


def slow_score(true, pred, share, scoring):
    error, spread = (share * (true - pred) ** 2).sum(0), (share * (true - (share * true).sum(0)) ** 2).sum(0)
    if scoring == "mse":
        return -error
    if scoring == "r2":
        return 1 - error / spread
    varied = pred - (share * pred).sum(0)
    return (share * varied * true).sum(0) / np.sqrt((share * varied**2).sum(0) * spread)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("scoring", ["mse", "r2", "pearson"])
@pytest.mark.parametrize(("n", "p"), [(60, 20), (40, 90)])
def test_equals_scikit_learn_alpha_by_alpha(rng, n, p, scoring, intercept, weighted):
    X, Y = problem(rng, n, p)
    weight = rng.random(n) if weighted else np.ones(n)
    model = RidgeCV(ALPHAS, scoring=scoring, fit_intercept=intercept, tolerance=1e-10)
    model.fit(X, Y, sample_weight=weight if weighted else None)
    curves = slow_curves(X, Y, ALPHAS, KFold(5).split(X), scoring, intercept, weight)
    np.testing.assert_allclose(model.cv_scores_, curves, rtol=1e-7)
    np.testing.assert_array_equal(model.best_alphas_, ALPHAS[curves.argmax(0)])
    np.testing.assert_allclose(model.best_scores_, curves.max(0), rtol=1e-7)
    slow = SlowRidge(model.best_alphas_, fit_intercept=intercept).fit(X, Y, sample_weight=weight)
    np.testing.assert_allclose(model.coef_, slow.coef_, atol=1e-8)
    np.testing.assert_allclose(model.predict(X), slow.predict(X), atol=1e-8)
