"""Bands in float32 against float64: steep spectra, tiny penalties, any units, and all digits of every product."""

import warnings

import numpy as np
import pytest
import torch
from tests.models.graded import graded, off

from fusiform.models import banded, bands, batches, fitting, refine
from fusiform.models.ridge import BandedRidgeCV

SHARES = np.array([0.9, 0.1])


def halves(X):
    half = X.shape[1] // 2
    return {"a": X[:, :half], "b": X[:, half:]}


def slow_weights(X, Y, shares, alphas):
    """Of each target's own band weights [V, 2] and alpha [V]: weights on both halves of the features, [V, P]."""
    X, Y = (part.astype(np.float64) - part.astype(np.float64).mean(0) for part in (X, Y))
    found = []
    for y, share, alpha in zip(Y.T, shares, alphas, strict=True):
        root = np.sqrt(np.repeat(share, X.shape[1] // 2))
        left, size, right = np.linalg.svd(X * root, full_matrices=False)
        kept = size > 1e-11 * size[0]  # the mean has been taken off: one less than there are samples
        found.append(root * (right.T @ (kept * size / (size**2 + alpha) * (left.T @ y))))
    return np.array(found)


@pytest.mark.parametrize("alpha", [1e-14, 1e-11, 1e-8])
@pytest.mark.parametrize("decades", [4, 5])
def test_weights_of_steep_spectra_are_made_in_float64(rng, decades, alpha):
    X, Y = graded(rng, 300, 40, decades)
    model = BandedRidgeCV([alpha], candidates=[SHARES]).fit(halves(X), Y)
    found = np.hstack(list(model.coef_.values()))
    assert found.dtype == np.float32
    assert off(found, slow_weights(X, Y, np.tile(SHARES, (6, 1)), np.full(6, alpha))) < 3e-5


def test_each_target_gets_as_fine_weights_as_its_own_alpha_needs(rng):
    X, Y = graded(rng, 300, 40, 4, v=30)
    Y[:, ::2] = X @ rng.standard_normal((40, 15)) * 1e3  # no noise: the smallest alpha
    model = BandedRidgeCV([1e-11, 1.0], candidates=[SHARES]).fit(halves(X), Y)
    assert set(model.best_alphas_) == {1e-11, 1.0}
    slow = slow_weights(X, Y, model.band_weights_, model.best_alphas_)
    assert off(np.hstack(list(model.coef_.values())), slow) < 3e-5


@pytest.mark.parametrize(("n", "p"), [(120, 40), (60, 200)])
@pytest.mark.parametrize("alpha", [1e-9, 1e-6])
def test_weights_that_the_gradient_solver_finds_are_made_in_float64(rng, n, p, alpha):
    X, Y = graded(rng, n, p, 2)
    settings = {"candidates": [SHARES], "tolerance": 1e-4}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = BandedRidgeCV([alpha], solver="gradient", steps=3, **settings).fit(halves(X), Y)
    start = BandedRidgeCV([alpha], **settings).fit(halves(X), Y)
    assert (model.best_scores_ >= start.best_scores_ * (1 + 1e-5)).all()  # but for rounding: they are below zero
    assert (model.band_weights_ != SHARES).any() or alpha < 1e-8  # where float32 sees no way down
    slow = slow_weights(X, Y, model.band_weights_, model.best_alphas_)
    assert off(np.hstack(list(model.coef_.values())), slow) < 1e-4


def test_where_the_gradient_leads_to_nothing_better_the_candidate_stays(rng, monkeypatch):
    X, Y = graded(rng, 60, 40, 1)

    def useless(kernels, logs, steps, rate, inner):
        for _ in range(steps + 1):
            yield torch.full((len(kernels), len(logs)), torch.nan), logs + 1

    settings = {"alphas": [0.1, 1.0], "candidates": [SHARES, SHARES[::-1]]}
    start = BandedRidgeCV(**settings).fit(halves(X), Y)
    monkeypatch.setattr(refine, "descend", useless)
    model = BandedRidgeCV(**settings, solver="gradient", steps=2).fit(halves(X), Y)
    for name in ("best_scores_", "fold_scores_", "best_alphas_", "band_weights_"):
        np.testing.assert_allclose(getattr(model, name), getattr(start, name), rtol=1e-5)
    np.testing.assert_allclose(model.predict(halves(X)), start.predict(halves(X)), atol=1e-4)


@pytest.mark.parametrize("scale", [1e-12, 1e10])
@pytest.mark.parametrize("solver", ["random", "gradient"])
def test_features_of_any_units(rng, scale, solver):
    X = {name: rng.standard_normal((60, 10)) for name in "ab"}
    Y = X["a"] @ rng.standard_normal((10, 5)) + rng.standard_normal((60, 5))
    X, scaled = ({name: (unit * part).astype(np.float32) for name, part in X.items()} for unit in (1, scale))
    settings = {"n_candidates": 4, "solver": solver, "steps": 10}
    plain, model = BandedRidgeCV(**settings).fit(X, Y), BandedRidgeCV(**settings).fit(scaled, Y)
    np.testing.assert_allclose(model.best_scores_, plain.best_scores_, rtol=1e-2 if solver == "gradient" else 1e-4)
    np.testing.assert_allclose(model.predict(scaled), plain.predict(X), atol=0.2 if solver == "gradient" else 1e-3)
    if solver == "gradient":
        assert (model.best_scores_ > BandedRidgeCV(n_candidates=4).fit(scaled, Y).best_scores_).all()


@pytest.mark.parametrize("solver", ["random", "gradient"])
@pytest.mark.parametrize("p", [6, 90])
def test_fits_take_all_digits_and_put_the_setting_back(rng, monkeypatch, solver, p):
    seen = set()

    def spied(name, work):
        def watched(*args, **more):
            seen.add((name, torch.get_float32_matmul_precision()))
            return work(*args, **more)

        return watched

    places = [(banded, "make_design"), (bands, "make_folds"), (bands, "solved"), (batches, "make_targets")]
    places += [(fitting, "ridge_weights"), (refine, "descend"), (refine, "_solved")]
    for module, name in places:
        monkeypatch.setattr(module, name, spied(name, getattr(module, name)))
    torch.set_float32_matmul_precision("medium")
    try:
        X, Y = (rng.standard_normal((40, k), dtype=np.float32) for k in (p, 3))
        BandedRidgeCV(solver=solver, n_candidates=3, steps=2).fit(halves(X), Y)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    called = {name for _, name in (places if solver == "gradient" else places[:5])}
    assert seen == {(name, "highest") for name in called}


@pytest.mark.parametrize("decomposed", [False, True])
def test_weights_on_samples_solve_their_system_however_steep(rng, monkeypatch, decomposed):
    made, make = [], torch.linalg.cholesky
    monkeypatch.setattr(torch.linalg, "cholesky", lambda kernels: made.append(len(kernels)) or make(kernels))
    X = [rng.standard_normal((400, p)) / 20 for p in (6, 200)]
    grams, rows = np.stack([part @ part.T for part in X]), rng.standard_normal((3, 400))
    gains = np.array([[1.0, 0.5], [0.0, 2.0], [3.0, 1e9 if decomposed else 1e-3]])
    found = refine._solved(*map(torch.tensor, (grams, gains, rows)))
    for one, gain, row in zip(found.numpy(), gains, rows, strict=True):
        system = np.tensordot(gain, grams, 1) + np.eye(400)
        np.testing.assert_allclose(one, np.linalg.solve(system, row), atol=1e-15 * np.linalg.cond(system) + 1e-7)
    assert sum(made) == decomposed  # of one target only
