"""Folds in closed form, against refits without their samples in float64."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as SlowRidge
from tests.models.graded import graded

from fusiform.models import fitting
from fusiform.models.design import Frame, make_design
from fusiform.models.folds import splits
from fusiform.models.leave_group_out import leave_group_out
from fusiform.models.ridge import RidgeCV
from fusiform.models.solvers import make_folds

ALPHAS = np.logspace(-1, 4, 20)


def problem(rng, n=60, p=300, v=7):
    X = (rng.standard_normal((n, p)) / np.arange(1, p + 1) ** 0.5 + 2).astype(np.float32)
    return X, (X @ rng.standard_normal((p, v)) / 3 + rng.standard_normal((n, v)) + 10).astype(np.float32)


def slow_errors(X, Y, folds, alphas, weight=None, intercept=True):
    """Mean squared held-out errors of scikit-learn's ridge in float64, [A, V], over the folds."""
    X, Y = X.astype(np.float64), Y.astype(np.float64)
    weight = np.ones(len(X)) if weight is None else weight
    found = np.zeros((len(alphas), Y.shape[1]))
    for train, test in folds:
        for place, alpha in enumerate(alphas):
            model = SlowRidge(alpha, fit_intercept=intercept, solver="svd").fit(X[train], Y[train], weight[train])
            found[place] += np.average(np.square(Y[test] - model.predict(X[test])), axis=0, weights=weight[test])
    return found / len(folds)


@pytest.fixture
def closed(monkeypatch):
    """How many folds came in closed form, of each fit; where it holds they always do."""
    counts = []

    def spied(*args):
        found = leave_group_out(*args)
        counts.append(len(found or []))
        return found

    monkeypatch.setattr("fusiform.models.leave_group_out.pays", lambda *args: True)
    monkeypatch.setattr(fitting, "leave_group_out", spied)
    return counts


GAPS = [(np.r_[0:20, 34:60], np.arange(24, 30)), (np.r_[0:5, 30:60], np.arange(8, 26))]
FOLDS = {
    "five": 5,
    "sixty": 60,
    "shuffled": splits(4, 60, None)
    and [(np.setdiff1d(np.arange(60), part), part) for part in np.arange(60).reshape(-1, 4).T],
    "gaps": GAPS,
    "overlapping": [(np.arange(20, 60), np.arange(20)), (np.arange(15, 60), np.arange(10))],
}


@pytest.mark.parametrize("folds", FOLDS)
@pytest.mark.parametrize("intercept", [True, False])
def test_scores_are_those_of_refits(rng, closed, folds, intercept):
    X, Y = problem(rng)
    model = RidgeCV(ALPHAS, cv=FOLDS[folds], fit_intercept=intercept, tolerance=1e-7, dtype="float64").fit(X, Y)
    slow = slow_errors(X, Y, splits(FOLDS[folds], 60, None), ALPHAS, intercept=intercept)
    assert closed == [len(splits(FOLDS[folds], 60, None))]
    np.testing.assert_allclose(-model.cv_scores_, slow, rtol=2e-4)


def test_weights_of_samples_count_also_zero(rng, closed):
    X, Y = problem(rng)
    weight = rng.uniform(0.2, 3, 60)
    weight[[3, 40]] = 0
    model = RidgeCV(ALPHAS, cv=5, tolerance=1e-7, dtype="float64").fit(X, Y, sample_weight=weight)
    assert closed == [5]
    np.testing.assert_allclose(-model.cv_scores_, slow_errors(X, Y, splits(5, 60, None), ALPHAS, weight), rtol=2e-4)


@pytest.mark.parametrize("scoring", ["mse", "r2", "pearson"])
@pytest.mark.parametrize("kind", ["repeated samples", "repeated features", "constant", "badly scaled"])
def test_scores_are_those_of_folds_that_are_decomposed(rng, closed, monkeypatch, scoring, kind):
    X, Y = problem(rng)
    if kind == "repeated samples":
        X[30:] = X[:30]
    elif kind == "repeated features":
        X = np.tile(X[:, :10], (1, 30))
    elif kind == "constant":
        X[:, 5:] = 4.0
    else:
        X *= np.logspace(-3, 3, 300, dtype=np.float32)
    Y[:, 2], Y[4, 3] = 1.0, np.nan
    with pytest.warns(UserWarning, match="NaN"):
        model = RidgeCV(ALPHAS, scoring=scoring, tolerance=1e-7, dtype="float64").fit(X, Y)
    monkeypatch.setattr(fitting, "leave_group_out", lambda *args: None)
    with pytest.warns(UserWarning, match="NaN"):
        other = RidgeCV(ALPHAS, scoring=scoring, tolerance=1e-9, dtype="float64").fit(X, Y)
    assert len(closed) == 1
    scale = 1 if scoring != "mse" else np.abs(np.nan_to_num(other.cv_scores_)).max(0) + 1e-9
    np.testing.assert_allclose(model.cv_scores_ / scale, other.cv_scores_ / scale, atol=2e-4)


@pytest.mark.filterwarnings("ignore:.*directions of X are too small")
@pytest.mark.parametrize("decades", [1, 3, 6, 9])
def test_float32_is_safe_on_steep_spectra(rng, closed, decades):
    X, Y = graded(rng, 80, 400, decades, v=30)
    alphas = np.logspace(-12, 1, 30)
    model = RidgeCV(alphas).fit(X, Y)
    slow = slow_errors(X, Y, splits(5, 80, None), alphas)
    chosen = np.searchsorted(alphas, 0.999 * model.best_alphas_)
    assert len(closed) == 1
    assert (slow[chosen, range(30)] / slow.min(0) - 1).max() < 1e-4


@pytest.mark.filterwarnings("ignore:.*directions of X are too small")
def test_it_stands_back_where_one_sample_alone_knows_of_a_direction(rng, closed):
    X, Y = problem(rng)
    X[7] *= 1e4
    model = RidgeCV(ALPHAS).fit(X, Y)
    assert closed == [0]
    slow = slow_errors(X, Y, splits(5, 60, None), ALPHAS)
    np.testing.assert_allclose(-model.cv_scores_, slow, rtol=2e-2)


def test_mixing_keeps_the_tolerance(rng, closed):
    X, Y = problem(rng, v=40)
    exact = RidgeCV(ALPHAS, tolerance=1e-9, dtype="float64").fit(X, Y)
    for tolerance in (1e-1, 1e-2, 1e-3):
        found = RidgeCV(ALPHAS, tolerance=tolerance, dtype="float64").fit(X, Y)
        errors = np.abs(found.cv_scores_ - exact.cv_scores_) / Y.var(0)
        assert errors.max() < 4 * tolerance
        assert found.plan_.rank < 20
    assert closed == [5] * 4


def test_all_targets_may_share_what_is_best(rng, closed):
    X, Y = problem(rng)
    model = RidgeCV(ALPHAS, alpha_per_target=False, tolerance=1e-7, dtype="float64").fit(X, Y)
    slow = slow_errors(X, Y, splits(5, 60, None), ALPHAS)
    assert closed == [5]
    assert model.best_alphas_[0] == ALPHAS[slow.mean(1).argmin()]


@pytest.mark.parametrize(
    "folds",
    [
        [(np.r_[0:40, 0:5], np.arange(40, 60))],  # some are trained on twice
        [(np.arange(45), np.arange(40, 60))],  # some are trained on and held out
    ],
)
def test_other_folds_are_decomposed(rng, folds):
    X, _ = problem(rng)
    design = make_design(X, None, centred=True, dual=True, frame=Frame(torch.device("cpu"), torch.float64))
    values, vectors = torch.linalg.eigh(design.gram)
    assert leave_group_out(design, folds, ALPHAS, 1e-2, 1, values.clamp(min=0), vectors) is None
    assert len(make_folds(design, folds, ALPHAS, 1e-2)) == 1


def test_no_closed_form_without_a_penalty_in_the_primal_or_where_it_does_not_pay(rng):
    X, _ = problem(rng)
    frame, folds = Frame(torch.device("cpu"), torch.float32), splits(12, 60, None)

    def tried(alphas=ALPHAS, targets=1, folds=folds, dual=True):
        design = make_design(X[:, : 300 if dual else 30], None, centred=True, dual=dual, frame=frame)
        values, vectors = torch.linalg.eigh(design.gram)
        return leave_group_out(design, folds, alphas, 1e-2, targets, values.clamp(min=0), vectors.float())

    assert len(tried()) == 12
    assert tried(np.append(0.0, ALPHAS)) is None
    assert tried(dual=False) is None
    assert tried(targets=10**6, folds=splits(2, 60, None)) is None
