"""Predicting and scoring."""

import tracemalloc

import numpy as np
import pytest
import zarr
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV

from fusiform.errors import DataError
from fusiform.models import shells
from fusiform.models.ridge import Ridge, RidgeCV

ALPHAS = np.logspace(-1, 4, 6)


def problem(rng, n, p, v=4):
    X = rng.standard_normal((n, p)) + 3
    return X, X @ rng.standard_normal((p, v)) + 5 * rng.standard_normal((n, v)) + 100


def test_score_leaves_targets_with_nan_out_and_says_so(rng):
    X, Y = problem(rng, 60, 8)
    model = RidgeCV(ALPHAS).fit(X, Y)
    assert np.isclose(model.score(X, Y), r2_score(Y, model.predict(X)))
    gaps = Y.copy()
    gaps[5, 2] = np.nan
    kept = [0, 1, 3]
    with pytest.warns(UserWarning, match="1 targets hold NaN and were left out of the score") as warned:
        found = model.score(X, gaps)
    assert warned[0].filename == __file__
    assert np.isclose(found, r2_score(Y[:, kept], model.predict(X)[:, kept]))
    with pytest.warns(UserWarning, match="not fitted"):
        model.fit(X, gaps)
    with pytest.warns(UserWarning, match="left out of the score"):
        assert np.isclose(model.score(X, Y), r2_score(Y[:, kept], model.predict(X)[:, kept]))
    with pytest.raises(DataError, match="every target"):
        model.score(X, np.where(np.arange(60)[:, None] == 3, np.nan, gaps))


@pytest.mark.parametrize("model", [RidgeCV(ALPHAS), Ridge()])
def test_score_weighs_samples_and_refuses_other_shapes(rng, model):
    X, Y = problem(rng, 60, 8)
    weight = rng.random(60)
    model.fit(X, Y)
    known = r2_score(Y, model.predict(X), sample_weight=weight)
    assert np.isclose(model.score(X, Y, sample_weight=weight), known)
    assert not np.isclose(model.score(X, Y), known)
    with pytest.raises(DataError, match=r"y has the shape \(60, 3\); wanted that of the prediction, \(60, 4\)"):
        model.score(X, Y[:, :3])
    assert np.isclose(model.fit(X, Y[:, 0]).score(X, Y[:, 0]), r2_score(Y[:, 0], model.predict(X)))


def test_a_grid_search_outlives_a_bad_target(rng):
    X, Y = problem(rng, 60, 8)
    Y[5, 2] = np.nan
    with pytest.warns(UserWarning, match="1 targets hold NaN"):
        search = GridSearchCV(RidgeCV(ALPHAS), {"fit_intercept": [True, False]}, cv=3).fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_ == {"fit_intercept": True}


@pytest.mark.parametrize("p", [40, 700])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_do_not_depend_on_what_is_read_at_once(rng, monkeypatch, p, dtype):
    X, Y = (part.astype(dtype) for part in problem(rng, 100, p))
    model = RidgeCV(ALPHAS).fit(X, Y)
    whole = model.predict(X)
    assert whole.dtype == dtype
    for name in ("TOGETHER", "DUAL_TOGETHER"):
        monkeypatch.setattr(shells, name, 7 * p)
    np.testing.assert_allclose(model.predict(X), whole, rtol=1e-4 if dtype == np.float32 else 1e-11)
    np.testing.assert_allclose(model.predict(zarr.array(X)), whole, rtol=1e-4 if dtype == np.float32 else 1e-11)


@pytest.mark.parametrize(("n", "p"), [(200, 50), (40, 100)])
def test_features_on_disk_are_never_held_whole(rng, monkeypatch, n, p):
    X, Y = problem(rng, n, p, 3)
    model = RidgeCV(ALPHAS).fit(X, Y)
    new = zarr.array(rng.standard_normal((20_000, p)), chunks=(500, p))
    for name in ("TOGETHER", "DUAL_TOGETHER"):
        monkeypatch.setattr(shells, name, 500 * p)
    model.predict(new[:100])
    tracemalloc.start()
    pred = model.predict(new)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pred.shape == (20_000, 3)
    assert peak < 0.25 * 8 * 20_000 * p


def test_no_samples_have_no_predictions(rng):
    X, Y = problem(rng, 60, 8)
    assert RidgeCV(ALPHAS).fit(X, Y).predict(zarr.array(X[:0])).shape == (0, 4)
