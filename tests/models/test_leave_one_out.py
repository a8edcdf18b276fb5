"""Leave-one-out in closed form, against refits without each sample in float64."""

import numpy as np
import pytest
import torch

from fusiform.models import leave_one_out, planner, ridge
from fusiform.models.design import Frame, make_design
from fusiform.models.leave_one_out import make_leave_one_out
from fusiform.models.ridge import RidgeCV


def problem(rng, n, p, v=5):
    X = rng.standard_normal((n, p)) + 3
    return X, X @ rng.standard_normal((p, v)) / np.sqrt(p) + rng.standard_normal((n, v)) + 10


def left_out(X, Y, alphas, weight=None, intercept=True):
    """Predictions of each sample by a fit without it in float64, [A, N, V]."""
    X, Y = (part.astype(np.float64) for part in (X, Y))
    root = np.sqrt(np.ones(len(X)) if weight is None else weight)
    pred = np.empty((len(alphas), *Y.shape))
    for i in range(len(X)):
        rows = np.arange(len(X)) != i
        share = root[rows] ** 2 / (root[rows] ** 2).sum() * intercept
        level, mean = share @ X[rows], share @ Y[rows]
        A, b = root[rows, None] * (X[rows] - level), root[rows, None] * (Y[rows] - mean)
        left, size, right = np.linalg.svd(A, full_matrices=False)
        along, new = left.T @ b, (X[i] - level) @ right.T
        kept = size > 1e-13 * size[0]
        for a, alpha in enumerate(alphas):
            pred[a, i] = (new * kept * size / (size**2 + alpha)) @ along + mean
    return pred


def errors(X, Y, alphas):
    """Root mean squared left-out errors in the target's sd, [A, V]."""
    return np.sqrt(np.square(left_out(X, Y, alphas) - Y).mean(1)) / Y.std(0)


def found(model, Y):
    return np.sqrt(-model.cv_scores_) / Y.std(0)


@pytest.mark.parametrize("alphas", [np.logspace(-3, 3, 7), None])
def test_float32_is_safe_where_wide_features_all_but_interpolate(rng, alphas):
    X, Y = problem(rng, 100, 2000)
    X = ((X - X.mean(0)) / X.std(0)).astype(np.float32)
    Y = Y.astype(np.float32)
    model = RidgeCV(alphas, cv="loo").fit(X, Y)
    slow = errors(X, Y, model.alphas_)
    np.testing.assert_allclose(found(model, Y), slow, atol=1e-3)
    best = np.searchsorted(model.alphas_, 0.999 * model.best_alphas_)
    assert (slow[best, range(5)] / slow.min(0) - 1).max() < 1e-4


def test_float32_is_safe_where_one_sample_has_all_the_leverage(rng):
    X, Y = problem(rng, 60, 20)
    X[7] *= 1e4
    X, Y = X.astype(np.float32), Y.astype(np.float32)
    alphas = np.logspace(-2, 2, 5)
    model = RidgeCV(alphas, cv="loo").fit(X, Y)
    slow = errors(X, Y, alphas)
    assert slow.max() > 100  # of a sample that is predicted from all others
    np.testing.assert_allclose(found(model, Y), slow, rtol=1e-2)


def test_float32_is_safe_on_collinear_features(rng):
    X, Y = problem(rng, 80, 5)
    X = np.hstack([X, X @ rng.standard_normal((5, 55)) + 1e-4 * rng.standard_normal((80, 55))])
    X, Y = X.astype(np.float32), Y.astype(np.float32)
    alphas = np.logspace(-8, 0, 5)
    model = RidgeCV(alphas, cv="loo").fit(X, Y)
    np.testing.assert_allclose(found(model, Y), errors(X, Y, alphas), atol=1e-2)


@pytest.mark.parametrize(("n", "p"), [(60, 20), (40, 200)])
def test_the_usual_case_stays_in_float32(rng, n, p):
    X, _ = problem(rng, n, p)
    frame = Frame(torch.device("cpu"), torch.float32)
    design = make_design(X.astype(np.float32), None, centred=True, dual=p > n, frame=frame)
    alphas = np.logspace(-1, 4, 20)
    assert make_leave_one_out(design, alphas, 1e-2).rows.dtype == torch.float32
    assert make_leave_one_out(design, alphas, 1e-9).rows.dtype == torch.float64


@pytest.mark.parametrize("scoring", ["mse", "r2", "pearson"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("p", [6, 50])
@pytest.mark.parametrize("form", ["primal", "dual"])
def test_both_forms_equal_refits_whatever_the_shape(rng, monkeypatch, form, p, intercept, weighted, scoring):
    plan = planner.make_plan
    monkeypatch.setattr(ridge, "make_plan", lambda *args: plan(*args, form=form))
    X, Y = problem(rng, 25, p, 3)
    alphas = np.logspace(-3, 4, 9)
    weight = np.where(np.arange(25) == 4, 0.0, 0.1 + rng.random(25)) if weighted else np.ones(25)
    model = RidgeCV(alphas, cv="loo", scoring=scoring, fit_intercept=intercept, tolerance=1e-10)
    model.fit(X, Y, sample_weight=weight)
    assert model.plan_.form == form
    pred, share = left_out(X, Y, alphas, weight, intercept), weight[:, None] / weight.sum()
    error = (share * (pred - Y) ** 2).sum(1)
    level, mean = (share * Y).sum(0), (share * pred).sum(1, keepdims=True)
    spread = (share * (Y - level) ** 2).sum(0)
    slow = {
        "mse": lambda: -error,
        "r2": lambda: 1 - error / spread,
        "pearson": lambda: (
            (share * (pred - mean) * (Y - level)).sum(1) / np.sqrt((share * (pred - mean) ** 2).sum(1) * spread)
        ),
    }
    np.testing.assert_allclose(model.cv_scores_, slow[scoring](), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("p", [6, 50])
def test_what_is_held_at_once_changes_nothing(rng, monkeypatch, p):
    X, Y = problem(rng, 25, p, 9)
    alphas = np.logspace(-1, 3, 20)
    whole = RidgeCV(alphas, cv="loo").fit(X, Y)
    monkeypatch.setattr(leave_one_out, "TOGETHER", 1)
    monkeypatch.setattr(leave_one_out, "ALPHAS", 3)
    np.testing.assert_allclose(RidgeCV(alphas, cv="loo").fit(X, Y).cv_scores_, whole.cv_scores_, rtol=1e-10)


def test_alphas_far_above_all_eigenvalues_are_told_apart(rng):
    X, Y = problem(rng, 30, 90)
    alphas = np.logspace(2, 7, 20)
    model = RidgeCV(alphas, cv="loo").fit(X, Y)
    slow = np.square(left_out(X, Y, alphas) - Y).mean(1)
    best = np.searchsorted(alphas, 0.999 * model.best_alphas_)
    assert (slow[best, range(5)] / slow.min(0) - 1).max() < 1e-4
    assert (np.diff(-model.cv_scores_[-4:], axis=0) * np.diff(slow[-4:], axis=0) > 0).all()


def test_one_alpha_for_all_is_that_of_the_whole_grid(rng):
    X, Y = problem(rng, 30, 90)
    alphas = np.logspace(-2, 5, 15)
    own, model = (RidgeCV(alphas, cv="loo", alpha_per_target=one).fit(X, Y) for one in (True, False))
    place = own.cv_scores_.mean(1).argmax()
    np.testing.assert_array_equal(model.best_alphas_, np.full(5, alphas[place]))
    np.testing.assert_allclose(model.fold_scores_[0], own.cv_scores_[place], rtol=1e-8)
