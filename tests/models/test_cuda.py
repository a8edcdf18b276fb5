"""On a GPU the ridges find what they find on the CPU."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import zarr

from fusiform.models import planner, ridge
from fusiform.models.ridge import BandedRidgeCV, Ridge, RidgeCV

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

ALPHAS = np.logspace(-1, 5, 20)
FITS = {
    "primal": (80, {}),
    "dual": (700, {}),
    "no intercept": (80, {"fit_intercept": False}),
    "r2": (80, {"scoring": "r2"}),
    "pearson": (700, {"scoring": "pearson"}),
    "one alpha": (80, {"alpha_per_target": False}),
    "loo, primal": (80, {"cv": "loo"}),
    "loo, dual": (700, {"cv": "loo"}),
    "fracs, primal": (80, {"alphas": None, "fracs": [0.1, 0.3, 0.6, 0.9]}),
    "fracs, dual": (700, {"alphas": None, "fracs": [0.1, 0.3, 0.6, 0.9]}),
    "few alphas": (80, {"alphas": [1e-6, 1.0, 1e6], "tolerance": 1e-5}),
}


def problem(rng, p, dtype, n=240, v=90):
    X = rng.standard_normal((n, p)) * np.linspace(0.3, 2, p) + 3
    Y = X @ rng.standard_normal((p, v)) / np.sqrt(p) + rng.standard_normal((n, v)) * np.linspace(0.3, 3, v) + 100
    return X.astype(dtype), Y.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FITS)
def test_ridge_finds_the_same(rng, name, dtype):
    p, settings = FITS[name]
    X, Y = problem(rng, p, dtype)
    found, known = (RidgeCV(**{"alphas": ALPHAS, **settings}, device=device).fit(X, Y) for device in ("cuda", "cpu"))
    assert found.plan_.device.startswith("cuda")
    assert found.plan_.form == known.plan_.form
    close = 1e-7 if dtype == np.float64 else 2e-3
    np.testing.assert_allclose(
        found.cv_scores_, known.cv_scores_, rtol=close, atol=close * np.abs(known.cv_scores_).max()
    )
    np.testing.assert_allclose(found.best_scores_, known.best_scores_, rtol=close, atol=close)
    alike = np.isclose(found.best_alphas_, known.best_alphas_, rtol=1e-6 if dtype == np.float64 else 1e-2)
    assert alike.mean() > 0.95
    np.testing.assert_allclose(found.predict(X)[:, alike], known.predict(X)[:, alike], atol=100 * close)
    np.testing.assert_allclose(found.coef_[alike], known.coef_[alike], atol=10 * close)


@pytest.mark.parametrize("p", [80, 700])
def test_ridge_at_given_alphas_finds_the_same(rng, p):
    X, Y = problem(rng, p, np.float64)
    weight = rng.random(240)
    for alpha in (0.0, 3.0, np.linspace(0, 9, 90)):
        found, known = (Ridge(alpha, device=device).fit(X, Y, sample_weight=weight) for device in ("cuda", "cpu"))
        np.testing.assert_allclose(found.predict(X), known.predict(X), atol=1e-6)


@pytest.mark.parametrize("widths", [(20, 30), (300, 400)])
@pytest.mark.parametrize("solver", ["random", "gradient"])
def test_banded_ridge_finds_the_same(rng, widths, solver):
    X, Y = problem(rng, sum(widths), np.float64, v=20)
    bands = {"a": X[:, : widths[0]], "b": X[:, widths[0] :]}
    settings = {"n_candidates": 5, "jitter_alphas": True, "solver": solver, "steps": 5}
    settings["conservative"] = solver == "random"
    found, known = (BandedRidgeCV(ALPHAS, **settings, device=device).fit(bands, Y) for device in ("cuda", "cpu"))
    np.testing.assert_allclose(found.cv_scores_, known.cv_scores_, rtol=1e-7)
    np.testing.assert_allclose(found.best_scores_, known.best_scores_, rtol=1e-3 if solver == "gradient" else 1e-7)
    np.testing.assert_allclose(found.band_weights_, known.band_weights_, atol=1e-2 if solver == "gradient" else 1e-9)
    np.testing.assert_allclose(found.predict(bands), known.predict(bands), atol=5e-2 if solver == "gradient" else 1e-6)


@pytest.mark.parametrize("p", [80, 700])
def test_streamed_fits_go_on_and_find_the_same(rng, tmp_path, monkeypatch, p):
    X, Y = problem(rng, p, np.float32)
    plan = planner.make_plan
    monkeypatch.setattr(ridge, "make_plan", lambda *args: replace(plan(*args), batch=40))
    found = RidgeCV(ALPHAS, device="cuda", folder=tmp_path / "fit").fit(zarr.array(X), zarr.array(Y))
    known = RidgeCV(ALPHAS, device="cpu").fit(X, Y)
    for model in (found, RidgeCV.load(tmp_path / "fit")):
        alike = model.best_alphas_ == known.best_alphas_
        assert alike.mean() > 0.95
        np.testing.assert_allclose(model.predict(zarr.array(X))[:, alike], known.predict(X)[:, alike], atol=2e-2)
        np.testing.assert_allclose(model.coef_[alike], known.coef_[alike], atol=1e-2)


@pytest.mark.parametrize("allowed", ["high", "medium"])
def test_tf32_is_kept_out(rng, allowed):
    X, Y = problem(rng, 80, np.float32)
    plain = RidgeCV(ALPHAS, device="cuda").fit(X, Y)
    torch.set_float32_matmul_precision(allowed)
    try:
        found = RidgeCV(ALPHAS, device="cuda").fit(X, Y)
    finally:
        torch.set_float32_matmul_precision("highest")
    np.testing.assert_allclose(found.cv_scores_, plain.cv_scores_, rtol=1e-5)
    np.testing.assert_allclose(found.coef_, plain.coef_, atol=1e-5)


def test_targets_with_nan_and_steep_spectra(rng):
    X, Y = problem(rng, 80, np.float32)
    X[:, :40] = X[:, 40:] + 1e-3 * X[:, :40]
    Y[3, 5] = np.nan
    with pytest.warns(UserWarning, match="1 targets hold NaN"):
        found = RidgeCV(np.logspace(-6, 2, 9), device="cuda").fit(X, Y)
    with pytest.warns(UserWarning, match="1 targets hold NaN"):
        known = RidgeCV(np.logspace(-6, 2, 9), device="cpu", dtype="float64").fit(X, Y)
    assert np.isnan(found.best_alphas_[5])
    others = np.arange(90) != 5
    regret = known.cv_scores_[:, others].max(0) - np.take_along_axis(
        known.cv_scores_[:, others], np.nan_to_num(found.cv_scores_[:, others]).argmax(0)[None], 0
    )
    assert (regret / np.abs(known.best_scores_[others])).max() < 1e-3
