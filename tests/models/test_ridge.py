from dataclasses import replace

import numpy as np
import pytest
import zarr
from sklearn.base import clone
from sklearn.linear_model import Ridge as SlowRidge
from sklearn.linear_model import RidgeCV as SlowRidgeCV
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fusiform.errors import DataError, LayoutError, SettingsError
from fusiform.models import fitting, fixed, planner, ridge, shared
from fusiform.models.folds import ContiguousFolds, splits
from fusiform.models.ridge import BandedRidgeCV, Ridge, RidgeCV

ALPHAS = np.logspace(-1, 4, 12)


@parametrize_with_checks([RidgeCV(), Ridge()])
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


def left_out(X, Y, alphas, weight):
    """Predictions of each sample by a fit without it, [A, N, V]."""
    rows = np.arange(len(X))
    return np.stack(
        [
            [
                SlowRidge(a).fit(X[rows != i], Y[rows != i], sample_weight=weight[rows != i]).predict(X[[i]])[0]
                for i in rows
            ]
            for a in alphas
        ]
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("p", [6, 50])
def test_leave_one_out_in_closed_form(rng, p, weighted):
    X, Y = problem(rng, 25, p, 3)
    weight = 0.1 + rng.random(25) if weighted else np.ones(25)
    pred, share = left_out(X, Y, ALPHAS, weight), weight[:, None] / weight.sum()
    for scoring in ("mse", "r2", "pearson"):
        model = RidgeCV(ALPHAS, cv="loo", scoring=scoring, tolerance=1e-10).fit(X, Y, sample_weight=weight)
        curves = [slow_score(Y, one, share, scoring) for one in pred]
        np.testing.assert_allclose(model.cv_scores_, curves, rtol=1e-6, atol=1e-8)


def test_leave_one_out_equals_as_many_folds(rng):
    X, Y = problem(rng, 25, 6)
    closed, open_ = RidgeCV(ALPHAS, cv="loo", tolerance=1e-10), RidgeCV(ALPHAS, cv=25, tolerance=1e-10)
    np.testing.assert_allclose(closed.fit(X, Y).cv_scores_, open_.fit(X, Y).cv_scores_, rtol=1e-8)


@pytest.mark.parametrize("p", [8, 60])
def test_fractions_are_lengths_of_the_weights(rng, p):
    X, Y = problem(rng, 40, p)
    model = RidgeCV(fracs=[0.05, 0.2, 0.5, 0.8, 1.0]).fit(X, Y)
    free = np.linalg.pinv(X - X.mean(0), rcond=1e-10) @ (Y - Y.mean(0))
    found = np.linalg.norm(model.coef_, axis=1) / np.linalg.norm(free, axis=0)
    np.testing.assert_allclose(found, model.best_fracs_, rtol=1e-6)
    assert len(set(model.best_fracs_)) > 1
    np.testing.assert_allclose(model.coef_, SlowRidge(np.maximum(model.best_alphas_, 1e-9)).fit(X, Y).coef_, atol=1e-5)


def test_fractions_are_searched_in_each_fold(rng):
    X, Y = problem(rng, 40, 8, 3)
    model = RidgeCV(fracs=[0.3, 1.0], tolerance=1e-8).fit(X, Y)
    curves = np.zeros((2, 3))
    for train, test in KFold(5).split(X):
        free = np.linalg.lstsq(X[train] - X[train].mean(0), Y[train] - Y[train].mean(0))[0]
        for t in range(3):
            low, high = 1e-6, 1e9
            while high / low > 1 + 1e-12:
                alpha = np.sqrt(low * high)
                slow = SlowRidge(alpha).fit(X[train], Y[train, t])
                longer = np.linalg.norm(slow.coef_) > 0.3 * np.linalg.norm(free[:, t])
                low, high = (alpha, high) if longer else (low, alpha)
            curves[0, t] -= np.mean((Y[test, t] - slow.predict(X[test])) ** 2) / 5
            pred = (X[test] - X[train].mean(0)) @ free[:, t] + Y[train, t].mean()
            curves[1, t] -= np.mean((Y[test, t] - pred) ** 2) / 5
    np.testing.assert_allclose(model.cv_scores_, curves, rtol=1e-6)


def test_ridge_at_given_alphas(rng):
    for p in (10, 70):
        X, Y = problem(rng, 40, p)
        for alpha in (3.0, np.logspace(-1, 3, 7)):
            slow = SlowRidge(alpha).fit(X, Y)
            np.testing.assert_allclose(Ridge(alpha).fit(X, Y).predict(X), slow.predict(X), atol=1e-8)
    free = Ridge(0.0).fit(X[:, :5], Y)
    np.testing.assert_allclose(free.coef_.T, np.linalg.lstsq(X[:, :5] - X[:, :5].mean(0), Y - Y.mean(0))[0], atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [20, 120])
def test_targets_with_nan_are_reported_and_others_unharmed(rng, dtype, p):
    X, Y = (part.astype(dtype) for part in problem(rng, 60, p))
    whole = RidgeCV(ALPHAS).fit(X, Y)
    Y[:, 2] = np.nan
    Y[4, 5] = np.nan
    with pytest.warns(UserWarning, match="2 targets hold NaN"):
        model = RidgeCV(ALPHAS).fit(X, Y)
    others = [0, 1, 3, 4, 6]
    np.testing.assert_array_equal(model.predict(X)[:, others], whole.predict(X)[:, others])
    for found in (model.predict(X).T, model.best_alphas_, model.best_scores_, model.coef_, model.cv_scores_.T):
        assert np.isnan(found[[2, 5]]).all()
        assert np.isfinite(found[others]).all()


def test_nothing_but_nan_is_refused(rng):
    with pytest.raises(DataError, match="every target"):
        RidgeCV().fit(rng.standard_normal((10, 2)), np.full((10, 2), np.nan))


@pytest.mark.parametrize("p", [20, 120])
def test_batches_folds_and_forms_do_not_change_results(rng, p, monkeypatch):
    X, Y = problem(rng, 60, p, 50)
    whole = RidgeCV(ALPHAS).fit(X, Y)
    plan = planner.make_plan
    monkeypatch.setattr(ridge, "make_plan", lambda *args: replace(plan(*args), batch=7))
    other = RidgeCV(ALPHAS).fit(X, Y)
    assert other.plan_.batch == 7
    np.testing.assert_allclose(other.cv_scores_, whole.cv_scores_, rtol=1e-10)
    np.testing.assert_array_equal(other.best_alphas_, whole.best_alphas_)
    form = "dual" if whole.plan_.form == "primal" else "primal"
    monkeypatch.setattr(ridge, "make_plan", lambda job, frame, rank, limit: plan(job, frame, rank, limit, form))
    twin = RidgeCV(ALPHAS, tolerance=1e-10).fit(X, Y)
    assert twin.plan_.form == form
    np.testing.assert_allclose(twin.cv_scores_, RidgeCV(ALPHAS, tolerance=1e-10).fit(X, Y).cv_scores_)
    np.testing.assert_allclose(twin.predict(X), whole.predict(X), atol=1e-7)


SPLITTERS = {
    "shuffled": KFold(4, shuffle=True, random_state=0),
    "overlapping": ShuffleSplit(3, test_size=0.7, random_state=0),
    "gap": ContiguousFolds(4, gap=3),
    "many held out": [(np.arange(20), np.arange(20, 60)), (np.arange(20, 60), np.arange(20))],
    "twice": [(np.r_[np.arange(40), np.arange(10)], np.arange(40, 60))],
}


@pytest.mark.parametrize("p", [10, 90])
@pytest.mark.parametrize("name", SPLITTERS)
def test_any_splitter(rng, name, p):
    X, Y = problem(rng, 60, p)
    model = RidgeCV(ALPHAS, cv=SPLITTERS[name], tolerance=1e-10).fit(X, Y)
    folds = splits(SPLITTERS[name], 60)
    curves = slow_curves(X, Y, ALPHAS, folds, "mse", True, np.ones(60))
    np.testing.assert_allclose(model.cv_scores_, curves, rtol=1e-7)
    best = [
        slow_curves(X, Y, ALPHAS, [fold], "mse", True, np.ones(60))[model.cv_scores_.argmax(0), range(7)]
        for fold in folds
    ]
    np.testing.assert_allclose(model.fold_scores_, best, rtol=1e-7)


def test_runs_are_left_out(rng):
    X, Y = problem(rng, 60, 10)
    runs = np.repeat([2, 0, 1], [25, 15, 20])
    model = RidgeCV(ALPHAS, cv="runs", tolerance=1e-10).fit(X, Y, groups=runs)
    curves = slow_curves(X, Y, ALPHAS, splits("runs", 60, runs), "mse", True, np.ones(60))
    np.testing.assert_allclose(model.cv_scores_, curves, rtol=1e-7)


@pytest.mark.parametrize("case", ["one target", "one feature", "constant column", "constant target", "one per fold"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_degenerate_shapes(rng, case, dtype):
    X, Y = problem(rng, 30, 1 if case == "one feature" else 5, 1 if case == "one target" else 3)
    X[:, -1] = 4.0 if case == "constant column" else X[:, -1]
    Y[:, 0] = 1e4 if case == "constant target" else Y[:, 0]
    model = RidgeCV(ALPHAS, cv=30 if case == "one per fold" else 5).fit(X.astype(dtype), Y.astype(dtype))
    slow = SlowRidge(model.best_alphas_).fit(X, Y).predict(X).reshape(Y.shape)
    np.testing.assert_allclose(model.predict(X.astype(dtype)), slow, rtol=1e-3 if dtype == np.float32 else 1e-8)


def test_two_held_out_samples_are_needed_to_correlate(rng):
    X, Y = problem(rng, 10, 3)
    with pytest.raises(SettingsError, match="two held-out samples"):
        RidgeCV(cv=10, scoring="pearson").fit(X, Y)


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("scale", [1e-5, 1e5])
def test_float32_is_safe_on_collinear_and_badly_scaled_data(rng, scale, offset):
    n, p, v = 200, 40, 30
    X = rng.standard_normal((n, 4)) @ rng.standard_normal((4, p)) + 1e-3 * rng.standard_normal((n, p))
    Y = scale * (X @ rng.standard_normal((p, v)) + 5 * rng.standard_normal((n, v)) + offset)
    X, Y = X.astype(np.float32), Y.astype(np.float32)
    alphas = np.logspace(-4, 4, 20)
    curves = slow_curves(
        *(part.astype(np.float64) for part in (X, Y)), alphas, KFold(5).split(X), "mse", True, np.ones(n)
    )
    model = RidgeCV(alphas, dtype="float32").fit(X, Y)
    best = np.searchsorted(alphas, 0.999 * model.best_alphas_)
    regret = curves[best, range(v)] / curves.max(0) - 1
    assert regret.max() < 1e-4
    slow = SlowRidge(model.best_alphas_).fit(X.astype(np.float64), Y.astype(np.float64)).predict(X.astype(np.float64))
    np.testing.assert_allclose(model.predict(X) / Y.std(0), slow / Y.std(0), atol=1e-3)


def test_memory_maps_and_zarr_are_read_in_blocks(rng, tmp_path):
    for p in (12, 80):
        X, Y = problem(rng, 50, p, 9)
        plain = RidgeCV(ALPHAS).fit(X, Y)
        np.save(tmp_path / "X.npy", X)
        np.save(tmp_path / "Y.npy", Y)
        mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "XY"]
        for features, responses in (mapped, (zarr.array(X), zarr.array(Y))):
            model = RidgeCV(ALPHAS).fit(features, responses)
            np.testing.assert_allclose(model.predict(features), plain.predict(X), rtol=1e-12)
            np.testing.assert_array_equal(model.best_alphas_, plain.best_alphas_)


@pytest.mark.parametrize("p", [12, 80])
def test_a_stopped_fit_goes_on_where_it_stopped(rng, tmp_path, monkeypatch, p):
    X, Y = problem(rng, 50, p, 20)
    whole = RidgeCV(ALPHAS).fit(X, Y)
    plan = planner.make_plan
    monkeypatch.setattr(ridge, "make_plan", lambda *args: replace(plan(*args), batch=6))
    calls, make = [], fitting.make_targets

    def stopping(raw, design):
        calls.append(raw.shape[1])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return make(raw, design)

    monkeypatch.setattr(fitting, "make_targets", stopping)
    with pytest.raises(KeyboardInterrupt):
        RidgeCV(ALPHAS, folder=tmp_path / "fit").fit(X, Y)
    with pytest.raises(LayoutError, match="stopped after 12 of 20"):
        RidgeCV.load(tmp_path / "fit")
    with pytest.raises(SettingsError, match="differs in grid"):
        RidgeCV(ALPHAS[1:], folder=tmp_path / "fit").fit(X, Y)
    model = RidgeCV(ALPHAS, folder=tmp_path / "fit").fit(X, Y)
    assert calls == [6, 6, 6, 6, 2]  # two done, one stopped, two more
    for found in (model, RidgeCV.load(tmp_path / "fit")):
        np.testing.assert_allclose(found.predict(X), whole.predict(X), rtol=1e-9)
        np.testing.assert_allclose(found.coef_, whole.coef_, atol=1e-10)
        np.testing.assert_allclose(found.cv_scores_, whole.cv_scores_)
        np.testing.assert_array_equal(found.best_alphas_, whole.best_alphas_)
        np.testing.assert_array_equal(found.alphas_, ALPHAS)
        assert found.plan_ == model.plan_


@pytest.mark.parametrize("p", [12, 80])
def test_saved_models_predict_the_same(rng, tmp_path, p):
    X, Y = problem(rng, 50, p)
    model = RidgeCV(ALPHAS, scoring="r2").fit(X, Y[:, 0])
    model.save(tmp_path / "one")
    again = RidgeCV.load(tmp_path / "one")
    np.testing.assert_allclose(again.predict(X), model.predict(X))
    assert again.predict(X).shape == (50,)
    assert again.scoring == "r2"
    assert again.plan_ == model.plan_
    with pytest.raises(SettingsError, match="holds a fit already"):
        model.save(tmp_path / "one")
    with pytest.raises(LayoutError, match="no saved ridge"):
        RidgeCV.load(tmp_path)


def test_weights_need_not_be_kept(rng):
    X, Y = problem(rng, 50, 12)
    model = RidgeCV(ALPHAS, keep_weights=False).fit(X, Y)
    np.testing.assert_array_equal(model.best_alphas_, RidgeCV(ALPHAS).fit(X, Y).best_alphas_)
    with pytest.raises(SettingsError, match="keep_weights=True"):
        model.predict(X)


def test_default_alphas_follow_the_units(rng):
    X, Y = problem(rng, 50, 12)
    X = (X - X.mean(0)) / X.std(0)
    alphas = RidgeCV().fit(X, Y).alphas_
    np.testing.assert_allclose([alphas[0], alphas[16], alphas[-1]], [50e-4, 50, 50e4])
    np.testing.assert_allclose(RidgeCV().fit(10 * X, Y).alphas_, 100 * alphas)


def test_works_inside_scikit_learn(rng):
    X, Y = problem(rng, 60, 10)
    pipe = make_pipeline(StandardScaler(), RidgeCV(ALPHAS))
    assert cross_val_predict(pipe, X, Y, cv=3, n_jobs=2).shape == Y.shape
    search = GridSearchCV(pipe, {"ridgecv__scoring": ["mse", "r2"], "ridgecv__fit_intercept": [True, False]}, cv=3).fit(
        X, Y
    )
    assert search.best_params_["ridgecv__fit_intercept"] in (True, False)
    np.testing.assert_array_equal(clone(pipe).fit(X, Y).predict(X), pipe.fit(X, Y).predict(X))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"alphas": [0.0, 1.0]}, "above zero"),
        ({"alphas": []}, "above zero"),
        ({"fracs": [0.5, 1.5]}, "at most 1"),
        ({"fracs": [0.5], "alphas": [1.0]}, "both"),
        ({"fracs": [0.5], "cv": "loo"}, "closed form"),
        ({"scoring": "r"}, "'pearson'"),
        ({"dtype": "float16"}, "'float32'"),
        ({"device": "abacus"}, "'cpu'"),
        ({"memory_limit": 1000}, "raise memory_limit"),
    ],
)
def test_impossible_settings_are_refused(rng, settings, words):
    X, Y = problem(rng, 30, 4)
    with pytest.raises(SettingsError, match=words):
        RidgeCV(**settings).fit(X, Y)


@pytest.mark.parametrize("weight", [[1.0, 2.0], -np.ones(30), np.full(30, np.nan), np.zeros(30)])
def test_bad_sample_weights_are_refused(rng, weight):
    X, Y = problem(rng, 30, 4)
    with pytest.raises(DataError, match="30 finite weights"):
        RidgeCV().fit(X, Y, sample_weight=weight)


def test_nothing_handed_in_is_changed(rng):
    X, Y = problem(rng, 30, 4)
    before = X.copy(), Y.copy()
    X.flags.writeable = Y.flags.writeable = False
    RidgeCV(ALPHAS).fit(X, Y).predict(X)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(Y, before[1])


def mixed_problem(rng, p):
    """Targets of very different noise, so that their own alphas differ."""
    X, Y = problem(rng, 60, p)
    return X, Y + rng.standard_normal(Y.shape) * np.logspace(-1, 2, Y.shape[1])


@pytest.mark.parametrize("scoring", ["mse", "r2", "pearson"])
@pytest.mark.parametrize("p", [12, 90])
def test_one_alpha_for_all_targets(rng, p, scoring):
    X, Y = mixed_problem(rng, p)
    model = RidgeCV(ALPHAS, alpha_per_target=False, scoring=scoring, tolerance=1e-10).fit(X, Y)
    curves = slow_curves(X, Y, ALPHAS, KFold(5).split(X), scoring, True, np.ones(60))
    best = curves.mean(1).argmax()
    np.testing.assert_array_equal(model.best_alphas_, np.full(7, ALPHAS[best]))
    np.testing.assert_allclose(model.cv_scores_, curves, rtol=1e-7)
    np.testing.assert_allclose(model.best_scores_, curves[best], rtol=1e-7)
    np.testing.assert_allclose(model.fold_scores_.mean(0), curves[best], rtol=1e-7)
    np.testing.assert_allclose(model.coef_, SlowRidge(ALPHAS[best]).fit(X, Y).coef_, atol=1e-8)
    assert (RidgeCV(ALPHAS, scoring=scoring).fit(X, Y).best_alphas_ != model.best_alphas_).any()


@pytest.mark.parametrize("p", [12, 90])
def test_one_alpha_left_out_sample_by_sample_is_that_of_scikit_learn(rng, p):
    X, Y = mixed_problem(rng, p)
    alphas = ALPHAS[3:]
    slow = SlowRidgeCV(alphas, alpha_per_target=False, cv=KFold(60), scoring="neg_mean_squared_error").fit(X, Y)
    model = RidgeCV(alphas, alpha_per_target=False, cv="loo", tolerance=1e-10).fit(X, Y)
    np.testing.assert_array_equal(model.best_alphas_, np.full(7, slow.alpha_))
    np.testing.assert_allclose(model.coef_, slow.coef_, atol=1e-8)


def test_one_fraction_for_all_targets(rng):
    X, Y = mixed_problem(rng, 12)
    fracs = [0.1, 0.3, 0.6, 0.9]
    own, model = (RidgeCV(fracs=fracs, alpha_per_target=one).fit(X, Y) for one in (True, False))
    np.testing.assert_array_equal(model.best_fracs_, np.full(7, fracs[own.cv_scores_.mean(1).argmax()]))
    assert len(set(own.best_fracs_)) > 1
    np.testing.assert_allclose(model.coef_, SlowRidge(model.best_alphas_).fit(X, Y).coef_, atol=1e-7)


def test_one_alpha_leaves_targets_with_nan_out(rng):
    X, Y = mixed_problem(rng, 12)
    whole = RidgeCV(ALPHAS, alpha_per_target=False, keep_weights=False).fit(X, Y[:, :6])
    Y[3, 6] = np.nan
    with pytest.warns(UserWarning, match="1 targets hold NaN"):
        model = RidgeCV(ALPHAS, alpha_per_target=False, keep_weights=False).fit(X, Y)
    np.testing.assert_array_equal(model.best_alphas_, [*whole.best_alphas_, np.nan])
    assert np.isnan(model.best_scores_[6])
    with pytest.raises(DataError, match="every target"):
        RidgeCV(alpha_per_target=False).fit(X, np.full((60, 2), np.nan))


@pytest.mark.parametrize("stop", [2, 5])  # in the search, in the solution
def test_one_alpha_streamed_and_stopped(rng, tmp_path, monkeypatch, stop):
    X, Y = mixed_problem(rng, 12)
    whole = RidgeCV(ALPHAS, alpha_per_target=False).fit(X, Y)
    plan, calls = planner.make_plan, []
    monkeypatch.setattr(ridge, "make_plan", lambda *args: replace(plan(*args), batch=3))
    for module in (fitting, shared):

        def stopping(raw, design, make=module.make_targets):
            calls.append(raw.shape[1])
            if len(calls) == stop:
                raise KeyboardInterrupt
            return make(raw, design)

        monkeypatch.setattr(module, "make_targets", stopping)
    model = RidgeCV(ALPHAS, alpha_per_target=False, folder=tmp_path / "fit")
    with pytest.raises(KeyboardInterrupt):
        model.fit(zarr.array(X), zarr.array(Y))
    model.fit(zarr.array(X), zarr.array(Y))
    assert len(calls) == 7  # three batches twice, and the one that was stopped
    model.save(tmp_path / "copy")
    for found in (model, RidgeCV.load(tmp_path / "fit"), RidgeCV.load(tmp_path / "copy")):
        np.testing.assert_allclose(found.predict(X), whole.predict(X), rtol=1e-9)
        np.testing.assert_allclose(found.cv_scores_, whole.cv_scores_)
        np.testing.assert_array_equal(found.best_alphas_, whole.best_alphas_)
        np.testing.assert_allclose(found.best_scores_, whole.best_scores_)


def test_the_folder_of_another_fit_is_left_as_it_is(rng, tmp_path):
    X, Y = problem(rng, 50, 12)
    model = RidgeCV(ALPHAS, folder=tmp_path / "fit").fit(X, Y)
    with pytest.raises(SettingsError, match="differs in alpha_per_target"):
        RidgeCV(ALPHAS, alpha_per_target=False, folder=tmp_path / "fit").fit(X, Y)
    np.testing.assert_array_equal(RidgeCV.load(tmp_path / "fit").cv_scores_, model.cv_scores_)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"alphas": "abc"}, "alphas is 'abc'; wanted a list of finite numbers"),
        ({"cv": 1}, "cv=1 cannot split"),
        ({"cv": "folds"}, "cv is 'folds'; wanted"),
        ({"tolerance": "fine"}, "tolerance is 'fine'; wanted a number above zero"),
        ({"tolerance": -1}, "tolerance is -1; wanted a number above zero"),
        ({"memory_limit": np.inf}, "memory_limit is inf; wanted a number above zero"),
        ({"dtype": "float31"}, "dtype is 'float31'"),
    ],
)
def test_settings_that_cannot_be_are_named(rng, settings, said):
    with pytest.raises(SettingsError, match=said):
        RidgeCV(**{"alphas": [1.0], **settings}).fit(rng.standard_normal((20, 3)), rng.standard_normal((20, 2)))


@pytest.mark.parametrize("p", [12, 200])
def test_tiny_alphas_are_safe_in_float32(rng, p):
    X, Y = (part.astype(np.float32) for part in problem(rng, 50, p))
    exact, alphas = (X.astype(np.float64), Y.astype(np.float64)), np.logspace(-12, 0, 7)
    model = RidgeCV(alphas, tolerance=1e-6).fit(X, Y)
    curves = slow_curves(*exact, alphas, KFold(5).split(X), "mse", True, np.ones(50))
    np.testing.assert_allclose(model.cv_scores_, curves, rtol=1e-4)
    for alpha in alphas:
        pred = SlowRidge(alpha, solver="svd").fit(*exact).predict(exact[0])
        np.testing.assert_allclose(Ridge(alpha).fit(X, Y).predict(X), pred, atol=1e-5 * Y.std())


@pytest.mark.parametrize("scale", [1e-12, 1e12])
@pytest.mark.parametrize("p", [12, 200])
def test_float32_takes_features_of_any_units(rng, p, scale):
    X, Y = problem(rng, 50, p)
    plain, model = RidgeCV().fit(X, Y), RidgeCV().fit((scale * X).astype(np.float32), (Y / scale).astype(np.float32))
    np.testing.assert_allclose(model.best_alphas_ / scale**2, plain.best_alphas_, rtol=1e-5)
    np.testing.assert_allclose(model.cv_scores_ * scale**2, plain.cv_scores_, rtol=1e-2)


def test_float32_is_safe_where_a_run_has_a_mean_of_its_own(rng):
    X, Y = problem(rng, 60, 8)
    X[:12] += 1e4
    X, Y = X.astype(np.float32), Y.astype(np.float32)
    exact = X.astype(np.float64), Y.astype(np.float64)
    alphas = np.logspace(-4, 1, 6)
    curves = slow_curves(*exact, alphas, KFold(5).split(X), "mse", True, np.ones(60))
    np.testing.assert_allclose(RidgeCV(alphas, tolerance=1e-6).fit(X, Y).cv_scores_, curves, rtol=1e-2)


def test_leave_one_out_is_within_the_tolerance_where_samples_are_all_but_interpolated(rng):
    X, Y = problem(rng, 30, 120, 5)
    alphas = np.logspace(-4, 3, 15)
    error = (left_out(X, Y, alphas, np.ones(30)) - Y) / Y.std(0)  # [A, N, V]
    found = -RidgeCV(alphas, cv="loo").fit(X, Y).cv_scores_ / Y.var(0)
    assert np.abs(np.sqrt(found) - np.sqrt(np.square(error).mean(1))).max() < 1e-2


def test_the_order_of_bytes_and_axes_does_not_matter(rng):
    for p in (6, 90):
        X, Y = problem(rng, 40, p)
        plain = RidgeCV(ALPHAS).fit(X, Y)
        for features, responses in (
            (np.flipud(X[::-1].copy()), np.flipud(Y[::-1].copy())),
            (np.asfortranarray(X), np.fliplr(Y[:, ::-1].copy())),
            (zarr.array(X.astype(">f8")), zarr.array(Y.astype(">f8"))),
            (X.astype(">f8"), Y.astype(">f8")),
        ):
            np.testing.assert_allclose(RidgeCV(ALPHAS).fit(features, responses).predict(X), plain.predict(X))


def test_half_precision_is_computed_in_float32(rng):
    X, Y = problem(rng, 40, 6)
    half = X.astype(np.float16)
    assert RidgeCV(ALPHAS).fit(half, Y).coef_.dtype == np.float32
    np.testing.assert_allclose(
        RidgeCV(ALPHAS).fit(half, Y).predict(half), RidgeCV(ALPHAS).fit(half.astype(float), Y).predict(half), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("rows", "said"), [(slice(0, 6), "held out in fold 0"), (slice(6, 30), "trained on in fold 0")]
)
def test_folds_without_any_weight_are_refused(rng, rows, said):
    X, Y = problem(rng, 30, 4)
    weight = np.ones(30)
    weight[rows] = 0.0
    with pytest.raises(DataError, match=said):
        RidgeCV(ALPHAS).fit(X, Y, sample_weight=weight)
    with pytest.raises(DataError, match=said):
        BandedRidgeCV(ALPHAS).fit({"all": X}, Y, sample_weight=weight)
    half = (np.arange(30) % 2).astype(float)
    some = RidgeCV(ALPHAS, cv=3).fit(X, Y, sample_weight=half)
    np.testing.assert_allclose(some.cv_scores_, RidgeCV(ALPHAS, cv=3).fit(X[1::2], Y[1::2]).cv_scores_, rtol=1e-2)


def test_bad_arrays_on_disk_are_refused(rng):
    for p in (5, 80):
        X, Y = problem(rng, 40, p)
        X[3, 2] = np.nan
        for model in (RidgeCV(ALPHAS), Ridge()):
            with pytest.raises(DataError, match="X holds NaN"):
                model.fit(zarr.array(X), Y)
    with pytest.raises(DataError, match="N samples, P features"):
        RidgeCV(ALPHAS).fit(zarr.array(X[:, 0]), Y)
    with pytest.raises(DataError, match="V targets"):
        RidgeCV(ALPHAS).fit(zarr.array(Y), zarr.array(Y[:, :0]))


@pytest.mark.parametrize("p", [3, 80])
def test_features_that_explain_nothing(rng, p):
    Y = problem(rng, 40, 2)[1]
    for model in (RidgeCV(), RidgeCV(ALPHAS), RidgeCV(fracs=[0.5, 1.0]), RidgeCV(ALPHAS, cv="loo"), Ridge(0.0)):
        pred = model.fit(np.full((40, p), 3.0), Y).predict(np.full((40, p), 3.0))
        np.testing.assert_allclose(pred, np.tile(Y.mean(0), (40, 1)))


def test_explaining_leaves_a_fitted_model_as_it_is(rng):
    X, Y = problem(rng, 40, 6)
    model = RidgeCV(ALPHAS).fit(X, Y)
    before = model.predict(X)
    assert model.explain(X[:, :3], Y[:, 0]).job.features == 3
    np.testing.assert_array_equal(model.predict(X), before)
    banded = BandedRidgeCV(ALPHAS).fit({"a": X, "b": X}, Y)
    banded.explain({"a": X}, Y)
    assert list(banded.coef_) == ["a", "b"]


def test_a_fit_stopped_at_its_very_end_is_finished(rng, tmp_path, monkeypatch):
    X, Y = problem(rng, 40, 6)
    whole, model = RidgeCV(ALPHAS).fit(X, Y), RidgeCV(ALPHAS, folder=tmp_path / "fit")
    with monkeypatch.context() as patch:
        patch.setattr(RidgeCV, "_saved", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y)
    with pytest.raises(LayoutError, match="run the same fit"):
        RidgeCV.load(tmp_path / "fit")
    model.fit(X, Y)
    np.testing.assert_array_equal(RidgeCV.load(tmp_path / "fit").predict(X), whole.predict(X))


def test_a_fit_at_given_alphas_goes_on_where_it_stopped(rng, tmp_path, monkeypatch):
    X, Y = problem(rng, 40, 6, 20)
    alphas = np.logspace(-1, 3, 20)
    plan, make, calls = planner.make_plan, fitting.make_targets, []
    monkeypatch.setattr(fixed, "make_plan", lambda *args: replace(plan(*args), batch=6))

    def stopping(raw, design):
        calls.append(raw.shape[1])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return make(raw, design)

    monkeypatch.setattr(fitting, "make_targets", stopping)
    with pytest.raises(KeyboardInterrupt):
        Ridge(alphas, folder=tmp_path / "fit").fit(X, Y)
    (tmp_path / "fit" / ".manifest.json.4194305.left").mkdir()  # by a process that was killed as it wrote
    for other in (alphas[::-1], 1.0):
        with pytest.raises(SettingsError, match="differs in alpha"):
            Ridge(other, folder=tmp_path / "fit").fit(X, Y)
    model = Ridge(alphas, folder=tmp_path / "fit").fit(X, Y)
    assert calls == [6, 6, 6, 6, 2]
    assert not list((tmp_path / "fit").glob(".manifest*"))
    for found in (model, Ridge.load(tmp_path / "fit")):
        np.testing.assert_allclose(found.predict(X), SlowRidge(alphas).fit(X, Y).predict(X))


@pytest.mark.parametrize(
    ("dtype", "said"), [("float32", "or dtype='float64'"), ("float64", "give a larger tolerance$")]
)
def test_a_tolerance_that_no_search_can_keep_is_told(rng, dtype, said):
    X, Y = problem(rng, 40, 6)
    least = 1e-6 if dtype == "float32" else 2e-15
    RidgeCV(ALPHAS, dtype=dtype, tolerance=least).fit(X, Y)
    with pytest.warns(UserWarning, match=f"tolerance is .* in {dtype} err by about .*{said}") as warned:
        RidgeCV(ALPHAS, dtype=dtype, tolerance=least / 3).fit(X, Y)
    assert warned[0].filename == __file__
