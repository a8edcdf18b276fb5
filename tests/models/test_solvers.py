"""Weights in float32, against least squares and ridge in float64."""

import numpy as np
import pytest
import torch
from graded import free, graded, off, slow_ridge

from fusiform.models import heldout
from fusiform.models.ridge import Ridge, RidgeCV
from fusiform.models.solvers import ridge_weights


def test_without_a_penalty_every_real_direction_has_its_weights(rng):
    X, Y = graded(rng, 500, 200, 3)
    model, true = Ridge(0.0).fit(X, Y), free(X, Y)
    assert model.plan_.form == "primal"
    assert model.coef_.dtype == np.float32
    assert off(model.coef_, true) < 1e-3
    pred = (X - X.mean(0, dtype=np.float64)) @ true.T + Y.mean(0)
    np.testing.assert_allclose(model.predict(X), pred, atol=1e-3)


def test_the_whole_length_is_that_of_least_squares(rng):
    X, Y = graded(rng, 500, 200, 3)
    true = free(X, Y)
    Y = (X @ free(X, Y).T * 20 + Y).astype(np.float32)  # so that no shrinkage is best
    model, true = RidgeCV(fracs=[0.1, 1.0]).fit(X, Y), free(X, Y)
    assert (model.best_fracs_ == 1).any()
    whole = model.best_fracs_ == 1
    assert off(model.coef_[whole], true[whole]) < 1e-3


def test_without_a_penalty_wide_features_have_theirs(rng):
    X, Y = graded(rng, 200, 500, 2.5)
    model, true = Ridge(0.0).fit(X, Y), free(X, Y)
    assert model.plan_.form == "dual"
    new = graded(rng, 200, 500, 2.5)[0] + X[::-1]
    pred = (new - X.mean(0, dtype=np.float64)) @ true.T + Y.mean(0)
    np.testing.assert_allclose(model.predict(new), pred, atol=1e-2 * pred.std())


@pytest.mark.parametrize("alpha", [0.0, 1e-9])
def test_directions_beyond_float32_in_the_dual_are_left_out_and_told(rng, alpha):
    X, Y = graded(rng, 60, 200, 5)
    with pytest.warns(UserWarning, match=r"directions of X are too small .* give dtype='float64'") as warned:
        model = Ridge(alpha).fit(X, Y)
    assert warned[0].filename == __file__
    most = np.linalg.norm(free(X, Y, rcond=3e-4), axis=1)
    assert (np.linalg.norm(model.coef_, axis=1) < 1.2 * most).all()
    exact = Ridge(alpha, dtype="float64").fit(X, Y)
    assert off(exact.coef_, slow_ridge(X, Y, alpha)) < 1e-4
    with pytest.warns(UserWarning, match="too small") as warned:
        RidgeCV([1e-10, 1e-2]).fit(X, Y)
    assert warned[0].filename == __file__


@pytest.mark.parametrize("decades", [4, 5])
def test_small_penalties_on_steep_spectra_take_covariates_in_float64(rng, monkeypatch, decades):
    X, Y = graded(rng, 2000, 40, decades)
    Y = Y + 30  # and every target has much on the largest direction
    Y = (Y + 3e3 * X[:, :1] / np.abs(X[:, 0]).max()).astype(np.float32)
    alpha = 10.0 ** (-2 * decades)
    alphas = np.array([alpha, 1e-2, alpha, 1e-2, 1e-2, alpha])
    model, true = Ridge(alphas).fit(X, Y), np.stack([slow_ridge(X, Y[:, [t]], a)[0] for t, a in enumerate(alphas)])
    fine = off(model.coef_, true)
    assert fine < 3e-7 * 10**decades
    seen = []
    exact = heldout.exact_product
    monkeypatch.setattr(
        "fusiform.models.fitting.exact_product", lambda *args: seen.append(len(args[0])) or exact(*args)
    )
    Ridge(alphas).fit(X, Y)
    assert seen == [3]  # those that need it
    seen.clear()
    Ridge(1e-2).fit(X, Y)
    assert seen == []


def test_weights_solve_the_normal_equations(rng):
    half, covariates = rng.standard_normal((9, 6)), torch.tensor(rng.standard_normal((4, 6)))
    gram, alphas = half.T @ half, np.array([0.0, 1e-3, 1.0, 10.0])
    values, vectors = torch.linalg.eigh(torch.tensor(gram))
    found = ridge_weights(covariates, values, vectors, torch.tensor(alphas), 0.0)
    for weights, alpha, right in zip(found, alphas, covariates, strict=True):
        np.testing.assert_allclose((gram + alpha * np.eye(6)) @ weights.numpy(), right, atol=1e-10)
    none = ridge_weights(covariates, values, vectors, torch.tensor(alphas), 1e6)
    assert not none.any()
