from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SlowRidge
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold

from fusiform.errors import DataError, LayoutError, SettingsError
from fusiform.models import banded, bands, planner, results
from fusiform.models.ridge import BandedRidgeCV, RidgeCV

ALPHAS = np.logspace(-1, 4, 9)
NARROW, WIDE = (10, 15, 5), (40, 60, 30)  # primal, dual with 80 samples


def problem(rng, widths, n=80, v=6):
    X = {f"band {i}": rng.standard_normal((n, p)) + 2 for i, p in enumerate(widths)}
    Y = X["band 0"] @ rng.standard_normal((widths[0], v)) + 4 * rng.standard_normal((n, v)) + 7
    return X, Y


def weighted(X, weights):
    return np.hstack([np.sqrt(weight) * band for weight, band in zip(weights, X.values(), strict=True)])


def slow_errors(X, Y, weights, alphas):
    """Held-out mean squared error [A, V] by one fit of scikit-learn's Ridge per fold and alpha."""
    A, curves = weighted(X, weights), np.zeros((len(alphas), Y.shape[1]))
    for train, test in KFold(5).split(A):
        for i, alpha in enumerate(alphas):
            pred = SlowRidge(alpha).fit(A[train], Y[train]).predict(A[test]).reshape(-1, Y.shape[1])
            curves[i] += np.mean((Y[test] - pred) ** 2, 0) / 5
    return curves


@pytest.mark.parametrize("widths", [NARROW, WIDE])
def test_search_equals_scikit_learn_candidate_by_candidate(rng, widths):
    X, Y = problem(rng, widths)
    candidates = rng.dirichlet(np.ones(3), 6)
    model = BandedRidgeCV(ALPHAS, candidates=candidates, tolerance=1e-9).fit(X, Y)
    assert model.plan_.form == ("primal" if widths == NARROW else "dual")
    curves = np.stack([slow_errors(X, Y, one, ALPHAS) for one in candidates])  # [C, A, V]
    np.testing.assert_allclose(model.cv_scores_, -curves.min(1), rtol=1e-6)
    np.testing.assert_allclose(model.best_scores_, -curves.min((0, 1)), rtol=1e-6)
    np.testing.assert_allclose(model.band_weights_, candidates[curves.min(1).argmin(0)])
    pred = model.predict(X)
    for t, weights in enumerate(model.band_weights_):
        A = weighted(X, weights)
        slow = SlowRidge(model.best_alphas_[t]).fit(A, Y[:, t])
        np.testing.assert_allclose(pred[:, t], slow.predict(A), atol=1e-8)
        coef = np.concatenate([model.coef_[band][t] for band in X])
        np.testing.assert_allclose(coef, slow.coef_ * np.sqrt(np.repeat(weights, widths)), atol=1e-8)
    np.testing.assert_allclose(
        np.hstack(list(X.values())) @ np.hstack(list(model.coef_.values())).T + model.intercept_, pred
    )


@pytest.mark.parametrize("widths", [NARROW, WIDE])
def test_gradient_goes_below_the_best_candidate_and_reports_its_error(rng, widths):
    X, Y = problem(rng, widths)
    random = BandedRidgeCV(ALPHAS, n_candidates=5).fit(X, Y)
    model = BandedRidgeCV(ALPHAS, n_candidates=5, solver="gradient", steps=25).fit(X, Y)
    assert (model.best_scores_ >= random.best_scores_ - 1e-4 * np.abs(random.best_scores_)).all()
    assert model.best_scores_.mean() > random.best_scores_.mean() * 0.98  # scores are negative
    for t in range(3):
        alpha, weights = float(model.best_alphas_[t]), model.band_weights_[t]
        np.testing.assert_allclose(-model.best_scores_[t], slow_errors(X, Y[:, [t]], weights, [alpha])[0, 0], rtol=1e-3)
        A = weighted(X, weights)
        np.testing.assert_allclose(model.predict(X)[:, t], SlowRidge(alpha).fit(A, Y[:, t]).predict(A), atol=1e-4)


def test_gradient_is_that_of_the_held_out_error(rng):
    import torch

    from fusiform.models.gradient import Kernels, held_out_error

    def gram(a, b):
        return torch.tensor(np.stack([x @ y.T for x, y in zip(a, b, strict=True)]))

    train, test = ([rng.standard_normal((n, p)) for p in (4, 9)] for n in (20, 8))
    y, held = torch.tensor(rng.standard_normal((3, 20))), torch.tensor(rng.standard_normal((3, 8)))
    fold = Kernels(gram(train, train), gram(test, train), y, held)
    logs = torch.tensor(rng.standard_normal((3, 2)) - 2)
    start = (torch.zeros_like(y), torch.zeros_like(y))
    _, gradient, _ = held_out_error(fold, logs, start, 300)
    for b in range(2):
        step = torch.zeros(3, 2, dtype=torch.float64)
        step[:, b] = 1e-3
        up, down = (held_out_error(fold, logs + sign * step, start, 300)[0] for sign in (1, -1))
        np.testing.assert_allclose(gradient[:, b], (up - down) / 2e-3, rtol=2e-2, atol=1e-4)


def test_bands_may_have_grids_of_their_own(rng):
    X, Y = problem(rng, NARROW)
    grids = {"band 0": [1.0, 10.0], "band 1": [10.0, 100.0, 1000.0], "band 2": [10.0]}
    model = BandedRidgeCV(grids, tolerance=1e-9).fit(X, Y)
    penalties = model.best_alphas_[:, None] / model.band_weights_  # [V, B]
    for band, found in zip(X, penalties.T, strict=True):
        assert np.isclose(found[:, None], np.array(grids[band])).any(1).all()
    errors = [
        slow_errors(X, Y, 1 / np.array(combination), [1.0])[0]
        for combination in np.stack(np.meshgrid(*grids.values()), -1).reshape(-1, 3)
    ]
    np.testing.assert_allclose(model.best_scores_, -np.min(errors, axis=0), rtol=1e-6)


def test_variance_by_band_adds_up_to_r2_and_finds_the_band(rng):
    X, Y = problem(rng, NARROW, n=200)
    model = BandedRidgeCV().fit(X, Y)
    parts = model.variance_by_band(X, Y)
    np.testing.assert_allclose(np.sum(list(parts.values()), 0), r2_score(Y, model.predict(X), multioutput="raw_values"))
    assert (parts["band 0"] > 5 * np.abs(parts["band 1"])).all()


def test_one_band_is_plain_ridge(rng):
    X, Y = problem(rng, (10,))
    banded, plain = BandedRidgeCV(ALPHAS).fit(X, Y), RidgeCV(ALPHAS).fit(X["band 0"], Y)
    np.testing.assert_allclose(banded.predict(X), plain.predict(X["band 0"]))
    np.testing.assert_allclose(banded.best_scores_, plain.best_scores_)


def test_a_single_target_and_seeds(rng):
    X, Y = problem(rng, NARROW)
    one = BandedRidgeCV(ALPHAS, seed=3).fit(X, Y[:, 0])
    assert one.predict(X).shape == (80,)
    np.testing.assert_array_equal(one.candidates_, BandedRidgeCV(ALPHAS, seed=3).fit(X, Y[:, 0]).candidates_)
    assert (one.candidates_ != BandedRidgeCV(ALPHAS, seed=4).fit(X, Y[:, 0]).candidates_).any()
    np.testing.assert_allclose(one.candidates_.sum(1), 1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"solver": "guess"}, "'gradient'"),
        ({"solver": "gradient", "scoring": "pearson"}, "squared error"),
        ({"candidates": [[1.0, 2.0]]}, r"\[C, 3\]"),
        ({"alphas": {"band 0": [1.0]}}, "one per band"),
        ({"n_candidates": 0}, "above zero"),
        ({"memory_limit": 1000}, "raise memory_limit"),
    ],
)
def test_impossible_settings_are_refused(rng, settings, words):
    X, Y = problem(rng, NARROW)
    with pytest.raises(SettingsError, match=words):
        BandedRidgeCV(**settings).fit(X, Y)


def test_bad_bands_are_refused(rng):
    X, Y = problem(rng, NARROW)
    with pytest.raises(DataError, match="mapping"):
        BandedRidgeCV().fit(X["band 0"], Y)
    with pytest.raises(DataError, match="differ in their samples"):
        BandedRidgeCV().fit({**X, "band 1": X["band 1"][1:]}, Y)
    with pytest.raises(DataError, match="wanted those of the fit"):
        BandedRidgeCV(ALPHAS).fit(X, Y).predict({"band 0": X["band 0"]})


@pytest.mark.parametrize("solver", ["random", "gradient"])
@pytest.mark.parametrize("widths", [NARROW, WIDE])
def test_targets_with_nan_are_reported_and_others_unharmed(rng, widths, solver):
    X, Y = problem(rng, widths)
    settings = {"n_candidates": 4, "solver": solver, "steps": 3}
    others = [0, 1, 3, 4]
    whole = BandedRidgeCV(ALPHAS, **settings).fit(X, Y)
    Y[4, 2] = Y[:, 5] = np.nan
    with pytest.warns(UserWarning, match="2 targets hold NaN"):
        model = BandedRidgeCV(ALPHAS, **settings).fit(X, Y)
    np.testing.assert_allclose(model.predict(X)[:, others], whole.predict(X)[:, others], rtol=1e-5)
    np.testing.assert_allclose(model.cv_scores_[:, others], whole.cv_scores_[:, others])
    for found in (model.predict(X).T, model.best_alphas_, model.best_scores_, model.cv_scores_.T, model.band_weights_):
        assert np.isnan(found[[2, 5]]).all()
        assert np.isfinite(found[others]).all()
    assert np.isclose(model.score(X, Y), r2_score(Y[:, others], model.predict(X)[:, others]))
    with pytest.raises(DataError, match="every target"):
        BandedRidgeCV(ALPHAS).fit(X, np.full((80, 2), np.nan))


@pytest.mark.parametrize("widths", [NARROW, WIDE])
def test_saved_models_are_the_same(rng, tmp_path, widths):
    X, Y = problem(rng, widths)
    model = BandedRidgeCV(seed=7, n_candidates=4).fit(X, Y)
    model.save(tmp_path / "fit")
    again = BandedRidgeCV.load(tmp_path / "fit")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    for name in ("intercept_", "band_weights_", "best_alphas_", "best_scores_", "cv_scores_", "candidates_"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    assert {name: part.shape for name, part in again.coef_.items()} == {name: (6, X[name].shape[1]) for name in X}
    assert again.seed == 7
    assert again.plan_ == model.plan_
    with pytest.raises(SettingsError, match="holds a fit already"):
        model.save(tmp_path / "fit")
    with pytest.raises(LayoutError, match="no saved ridge"):
        BandedRidgeCV.load(tmp_path)


@pytest.mark.parametrize("widths", [NARROW, WIDE])
def test_a_stopped_search_goes_on_and_another_fit_is_refused(rng, tmp_path, monkeypatch, widths):
    X, Y = problem(rng, widths)
    settings = {"n_candidates": 5, "seed": 3}
    whole = BandedRidgeCV(ALPHAS, **settings).fit(X, Y)
    made, make = [], bands.make_folds

    def stopping(*args):
        made.append(args)
        if len(made) == 3:
            raise KeyboardInterrupt
        return make(*args)

    monkeypatch.setattr(bands, "make_folds", stopping)
    with pytest.raises(KeyboardInterrupt):
        BandedRidgeCV(ALPHAS, **settings, folder=tmp_path / "fit").fit(X, Y)
    with pytest.raises(LayoutError, match="no saved ridge"):
        BandedRidgeCV.load(tmp_path / "fit")
    with pytest.raises(SettingsError, match="differs in candidates"):
        BandedRidgeCV(ALPHAS, n_candidates=5, seed=4, folder=tmp_path / "fit").fit(X, Y)
    model = BandedRidgeCV(ALPHAS, **settings, folder=tmp_path / "fit").fit(X, Y)
    assert len(made) == 6  # two done, one stopped, three more
    finished = BandedRidgeCV(ALPHAS, **settings, folder=tmp_path / "fit").fit(X, Y)
    assert len(made) == 6
    for found in (model, finished, BandedRidgeCV.load(tmp_path / "fit")):
        for name in ("band_weights_", "best_alphas_", "cv_scores_"):
            np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
        np.testing.assert_array_equal(found.predict(X), whole.predict(X))


@pytest.mark.parametrize("solver", ["random", "gradient"])
def test_responses_on_disk_are_read_in_batches(rng, tmp_path, monkeypatch, solver):
    X, Y = problem(rng, WIDE)
    np.save(tmp_path / "y.npy", Y)
    lazy = np.load(tmp_path / "y.npy", mmap_mode="r")
    whole = BandedRidgeCV(ALPHAS, solver=solver, steps=2, n_candidates=3).fit(X, Y)
    plan = planner.make_plan
    monkeypatch.setattr(banded, "make_plan", lambda *args: replace(plan(*args), batch=4))
    model = BandedRidgeCV(ALPHAS, solver=solver, steps=2, n_candidates=3).fit(X, lazy)
    close = 1e-9 if solver == "random" else 1e-5  # where conjugate gradients stop
    np.testing.assert_allclose(model.predict(X), whole.predict(X), rtol=close, atol=close)
    np.testing.assert_allclose(model.band_weights_, whole.band_weights_, rtol=close)
    np.testing.assert_allclose(model.cv_scores_, whole.cv_scores_, rtol=1e-9)


def test_grids_of_bands_that_hardly_count_are_kept_apart(rng):
    X, Y = problem(rng, NARROW)
    X = {"a": X["band 0"], "b": 1e7 * X["band 1"]}
    grids = {"a": [1.0, 10.0], "b": [1e14, 1e15, 1e16]}
    model = BandedRidgeCV(grids, tolerance=1e-9).fit(X, Y)
    assert len(model.candidates_) == 4  # ratios of the penalties
    errors = [slow_errors(X, Y, (1 / a, 1 / b), [1.0])[0] for a in grids["a"] for b in grids["b"]]
    np.testing.assert_allclose(model.best_scores_, -np.min(errors, axis=0), rtol=1e-6)


@pytest.mark.parametrize("name", ["weights.npy", "model.json", "manifest.json"])
def test_a_fit_stopped_while_it_was_saved_is_finished(rng, tmp_path, monkeypatch, name):
    X, Y = problem(rng, NARROW)
    model = BandedRidgeCV(ALPHAS, n_candidates=3, folder=tmp_path / "fit")
    write_json, save = results.write_json, np.save

    def stopping(write):
        def stop(path, *args):
            if path.name == name and path.parent.name == "fit":
                raise KeyboardInterrupt
            write(path, *args)

        return stop

    with monkeypatch.context() as patch:
        patch.setattr(results, "write_json", stopping(write_json))
        patch.setattr(np, "save", stopping(save))
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y)
    with pytest.raises(LayoutError, match="no saved ridge"):
        BandedRidgeCV.load(tmp_path / "fit")
    model.fit(X, Y)
    np.testing.assert_array_equal(BandedRidgeCV.load(tmp_path / "fit").predict(X), model.predict(X))


def test_the_folder_of_another_fit_is_refused_before_any_work(rng, tmp_path, monkeypatch):
    X, Y = problem(rng, NARROW)
    plain = RidgeCV(ALPHAS, folder=tmp_path / "fit").fit(X["band 0"], Y)
    monkeypatch.setattr(banded, "search", None)
    with pytest.raises(SettingsError, match="holds a fit already"):
        BandedRidgeCV(ALPHAS, folder=tmp_path / "fit").fit(X, Y)
    np.testing.assert_array_equal(RidgeCV.load(tmp_path / "fit").predict(X["band 0"]), plain.predict(X["band 0"]))


@pytest.mark.parametrize("scoring", ["mse", "r2"])
def test_gradient_reports_the_score_asked_for_of_weighed_samples(rng, scoring):
    X, Y = problem(rng, NARROW)
    weight = np.where(np.arange(80) % 4, 3 * rng.random(80), 0)
    settings = {"solver": "gradient", "steps": 10, "n_candidates": 3, "scoring": scoring}
    model = BandedRidgeCV(ALPHAS, **settings).fit(X, Y, sample_weight=weight)
    for t in range(3):
        again = BandedRidgeCV(
            [model.best_alphas_[t]], candidates=model.band_weights_[[t]], scoring=scoring, tolerance=1e-9
        )
        slow = again.fit(X, Y[:, t], sample_weight=weight).best_scores_
        np.testing.assert_allclose(model.best_scores_[t], slow, rtol=1e-3)


def test_settings_come_back_where_json_can_hold_them(rng, tmp_path):
    X, Y = problem(rng, NARROW)
    folds = [(np.arange(40), np.arange(40, 80)), (np.arange(40, 80), np.arange(40))]
    settings = {"cv": folds, "n_candidates": 3, "concentration": (2.0, 0.5), "alpha_per_target": False}
    model = BandedRidgeCV(ALPHAS, **settings, folder=tmp_path / "fit").fit(X, Y)
    again = BandedRidgeCV.load(tmp_path / "fit")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.concentration == [2.0, 0.5]
    assert not again.alpha_per_target
    assert again.cv == 5  # arrays of positions are not kept
