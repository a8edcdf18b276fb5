"""Every option of the search against one fit of scikit-learn's Ridge per candidate, fold and alpha."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SlowRidge
from sklearn.model_selection import ShuffleSplit

from fusiform.errors import DataError, SettingsError
from fusiform.models import banded, bands
from fusiform.models.folds import ContiguousFolds, splits
from fusiform.models.ridge import BandedRidgeCV

ALPHAS = np.logspace(0, 4, 5)
NARROW, WIDE = (10, 15, 5), (40, 60, 30)  # primal, dual with 80 samples
EXACT = {"tolerance": 1e-10}


def problem(rng, widths, v=6):
    X = {f"band {i}": rng.standard_normal((80, p)) + 2 for i, p in enumerate(widths)}
    Y = X["band 0"] @ rng.standard_normal((widths[0], v)) + 4 * rng.standard_normal((80, v)) + 7
    return X, Y * np.logspace(0, 1, v)


def weighted(X, weights):
    return np.hstack([np.sqrt(weight) * band for weight, band in zip(weights, X.values(), strict=True)])


def slow_scores(X, Y, weights, folds, scoring="mse", intercept=True, sample_weight=None, alphas=ALPHAS):
    """Of one candidate, [F, A, V]."""
    A, own = weighted(X, weights), np.ones(len(Y)) if sample_weight is None else sample_weight
    return np.array(
        [
            [
                slow_score(
                    Y[test], fitted.predict(A[test]).reshape(-1, Y.shape[1]), own[test, None] / own[test].sum(), scoring
                )
                for fitted in (
                    SlowRidge(alpha, fit_intercept=intercept).fit(A[train], Y[train], sample_weight=own[train])
                    for alpha in alphas
                )
            ]
            for train, test in folds
        ]
    )


def slow_score(true, pred, share, scoring):
    error, spread = (share * (true - pred) ** 2).sum(0), (share * (true - (share * true).sum(0)) ** 2).sum(0)
    if scoring == "mse":
        return -error
    if scoring == "r2":
        return 1 - error / spread
    varied = pred - (share * pred).sum(0)
    return (share * varied * true).sum(0) / np.sqrt((share * varied**2).sum(0) * spread)


def same_as(model, X, Y, slow, intercept=True, sample_weight=None, places=None):
    """Everything that was found, against scores [C, F, A, V]; places [C, V] in the grid, or those of the best."""
    curves, every = slow.mean(1), np.arange(Y.shape[1])  # [C, A, V]
    places = curves.argmax(1) if places is None else places
    scores = np.take_along_axis(curves, places[:, None], 1)[:, 0]
    candidate = scores.argmax(0)
    place = places[candidate, every]
    np.testing.assert_allclose(model.cv_scores_, scores, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(model.best_candidates_, candidate)
    np.testing.assert_allclose(model.curves_, curves[candidate, :, every].T, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(model.fold_scores_, slow[candidate, :, place, every].T, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(model.best_scores_, scores.max(0), rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(model.best_alphas_, ALPHAS[place])
    for t in every:
        A = weighted(X, model.candidates_[candidate[t]])
        fitted = SlowRidge(ALPHAS[place[t]], fit_intercept=intercept).fit(A, Y[:, t], sample_weight=sample_weight)
        np.testing.assert_allclose(model.predict(X)[:, t], fitted.predict(A), atol=1e-7)


@pytest.mark.parametrize("scoring", ["mse", "r2", "pearson"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("by_weight", [False, True])
@pytest.mark.parametrize("widths", [NARROW, WIDE])
def test_scores_intercepts_and_weights(rng, widths, by_weight, intercept, scoring):
    X, Y = problem(rng, widths)
    weight, candidates = rng.random(80) if by_weight else None, rng.dirichlet(np.ones(3), 3)
    model = BandedRidgeCV(ALPHAS, candidates=candidates, scoring=scoring, fit_intercept=intercept, cv=4, **EXACT)
    model.fit(X, Y, sample_weight=weight)
    asked = splits(4, 80), scoring, intercept, weight
    same_as(model, X, Y, np.stack([slow_scores(X, Y, one, *asked) for one in candidates]), intercept, weight)
    assert (model.intercept_ == 0).all() != intercept


@pytest.mark.parametrize("cv", ["runs", ContiguousFolds(4, gap=3), ShuffleSplit(3, test_size=0.3, random_state=0)])
@pytest.mark.parametrize("widths", [NARROW, WIDE])
def test_folds_and_groups(rng, widths, cv):
    X, Y = problem(rng, widths)
    runs, candidates = np.repeat([2, 0, 1], [25, 15, 40]), rng.dirichlet(np.ones(3), 3)
    groups = runs if cv == "runs" else None
    model = BandedRidgeCV(ALPHAS, candidates=candidates, cv=cv, **EXACT).fit(X, Y, groups=groups)
    same_as(model, X, Y, np.stack([slow_scores(X, Y, one, splits(cv, 80, groups)) for one in candidates]))


def conservative_places(slow):
    """The largest alpha within one standard deviation (of the best one's folds) of the best, from [C, F, A, V]."""
    found = np.empty(slow[:, 0, 0].shape, dtype=int)
    for c, t in np.ndindex(found.shape):
        mean, best = slow[c, :, :, t].mean(0), slow[c, :, :, t].mean(0).argmax()
        found[c, t] = np.flatnonzero(mean >= mean[best] - slow[c, :, best, t].std()).max()
    return found


@pytest.mark.parametrize("scoring", ["mse", "r2", "pearson"])
@pytest.mark.parametrize("widths", [NARROW, WIDE])
def test_conservative_alphas(rng, widths, scoring):
    X, Y = problem(rng, widths)
    candidates = rng.dirichlet(np.ones(3), 4)
    settings = {"candidates": candidates, "scoring": scoring, **EXACT}
    model = BandedRidgeCV(ALPHAS, conservative=True, **settings).fit(X, Y)
    slow = np.stack([slow_scores(X, Y, one, splits(5, 80), scoring) for one in candidates])
    same_as(model, X, Y, slow, places=conservative_places(slow))
    plain = BandedRidgeCV(ALPHAS, **settings).fit(X, Y)
    assert (model.best_alphas_ >= plain.best_alphas_).all()
    assert (model.best_alphas_ > plain.best_alphas_).any()
    assert (model.best_scores_ <= plain.best_scores_).all()


@pytest.mark.parametrize("widths", [NARROW, WIDE])
def test_one_candidate_and_one_alpha_for_all_targets(rng, widths):
    X, Y = problem(rng, widths)
    Y[:, ::2] += 5 * X["band 2"] @ rng.standard_normal((widths[2], 3))  # half of them read another band
    candidates = rng.dirichlet(np.ones(3), 4)
    settings = {"candidates": candidates, "scoring": "r2", **EXACT}
    model = BandedRidgeCV(ALPHAS, alpha_per_target=False, **settings).fit(X, Y)
    slow = np.stack([slow_scores(X, Y, one, splits(5, 80), "r2") for one in candidates])
    mean = slow.mean((1, 3))  # [C, A]
    candidate, place = np.unravel_index(mean.argmax(), mean.shape)
    assert (model.best_candidates_ == candidate).all()
    assert (model.best_alphas_ == ALPHAS[place]).all()
    np.testing.assert_allclose(model.band_weights_, np.tile(candidates[candidate], (6, 1)))
    at_best = slow.mean(1)[np.arange(4), mean.argmax(1)]  # [C, V]
    np.testing.assert_allclose(model.cv_scores_, at_best, rtol=1e-6)
    np.testing.assert_allclose(model.best_scores_, at_best[candidate], rtol=1e-6)
    np.testing.assert_allclose(model.curves_, slow.mean(1)[candidate], rtol=1e-6)
    np.testing.assert_allclose(model.fold_scores_, slow[candidate, :, place], rtol=1e-6)
    A = weighted(X, candidates[candidate])
    np.testing.assert_allclose(model.predict(X), SlowRidge(ALPHAS[place]).fit(A, Y).predict(A), atol=1e-7)
    apart = BandedRidgeCV(ALPHAS, **settings).fit(X, Y)
    assert len(set(apart.best_candidates_)) > 1  # they would not have chosen alike
    assert len(set(apart.best_alphas_)) > 1


def test_targets_that_are_not_fitted_have_no_part_in_what_all_share(rng):
    X, Y = problem(rng, NARROW)
    whole = BandedRidgeCV(ALPHAS, alpha_per_target=False).fit(X, Y)
    more = np.hstack([np.full((80, 1), np.nan), Y])
    with pytest.warns(UserWarning, match="1 targets hold NaN"):
        model = BandedRidgeCV(ALPHAS, alpha_per_target=False).fit(X, more)
    for name in ("band_weights_", "best_alphas_", "best_scores_", "best_candidates_"):
        np.testing.assert_allclose(getattr(model, name)[1:], getattr(whole, name))
    for name in ("cv_scores_", "curves_", "fold_scores_"):
        np.testing.assert_allclose(getattr(model, name)[:, 1:], getattr(whole, name))
        assert np.isnan(getattr(model, name)[:, 0]).all()
    assert model.best_candidates_[0] == -1
    with pytest.raises(DataError, match="every target"):
        BandedRidgeCV(ALPHAS, alpha_per_target=False).fit(X, np.full((80, 2), np.nan))


@pytest.mark.parametrize(
    "more", [{}, {"alpha_per_target": False}, {"jitter_alphas": True}, {"conservative": True, "jitter_alphas": True}]
)
def test_a_stopped_search_keeps_the_curves_of_the_best(rng, tmp_path, monkeypatch, more):
    X, Y = problem(rng, NARROW)
    settings = {"n_candidates": 6, **more}
    whole = BandedRidgeCV(ALPHAS, **settings).fit(X, Y)
    made, make = [], bands.make_folds

    def stopping(*args):
        made.append(args)
        if len(made) == 4:
            raise KeyboardInterrupt
        return make(*args)

    monkeypatch.setattr(bands, "make_folds", stopping)
    with pytest.raises(KeyboardInterrupt):
        BandedRidgeCV(ALPHAS, **settings, folder=tmp_path / "fit").fit(X, Y)
    model = BandedRidgeCV(ALPHAS, **settings, folder=tmp_path / "fit").fit(X, Y)
    assert len(made) == 7  # three done, one stopped, three more
    for found in (model, BandedRidgeCV.load(tmp_path / "fit")):
        for name in ("curves_", "fold_scores_", "cv_scores_", "best_candidates_", "best_alphas_", "alphas_"):
            np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))


def test_curves_of_bands_with_grids_of_their_own(rng):
    X, Y = problem(rng, NARROW)
    grids = {"band 0": [1.0, 10.0, 100.0], "band 1": [10.0, 100.0, 1000.0], "band 2": [10.0, 100.0]}
    model = BandedRidgeCV(grids, **EXACT).fit(X, Y)
    assert np.isnan(model.alphas_).any()
    assert model.alphas_.shape[0] == len(model.candidates_)
    for t, place in enumerate(model.best_candidates_):
        alphas = model.alphas_[place]
        alphas = alphas[np.isfinite(alphas)]
        slow = slow_scores(X, Y[:, [t]], model.candidates_[place], splits(5, 80), alphas=alphas).mean(0)[:, 0]
        np.testing.assert_allclose(model.curves_[: len(alphas), t], slow, rtol=1e-6)
        assert np.isnan(model.curves_[len(alphas) :, t]).all()
        assert np.isclose(model.best_alphas_[t], alphas[slow.argmax()])


@pytest.mark.parametrize("solver", ["random", "gradient"])
def test_without_weights_nothing_is_solved(rng, tmp_path, monkeypatch, solver):
    X, Y = problem(rng, NARROW)
    settings = {"n_candidates": 3, "solver": solver, "steps": 3}
    whole = BandedRidgeCV(ALPHAS, **settings).fit(X, Y)
    monkeypatch.setattr(banded, "solve_bands", None)
    model = BandedRidgeCV(ALPHAS, **settings, keep_weights=False, folder=tmp_path / "fit").fit(X, Y)
    assert not (tmp_path / "fit" / "coef.npy").exists()
    for found in (model, BandedRidgeCV.load(tmp_path / "fit")):
        for name in ("band_weights_", "best_alphas_", "best_scores_", "curves_", "fold_scores_"):
            np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
        for use in (found.predict, lambda X, found=found: found.coef_, lambda X, found=found: found.intercept_):
            with pytest.raises(SettingsError, match="keep_weights=True"):
                use(X)


def test_gradient_scores_are_the_mean_of_its_folds(rng):
    X, Y = problem(rng, NARROW)
    model = BandedRidgeCV(ALPHAS, solver="gradient", n_candidates=3, steps=10).fit(X, Y)
    np.testing.assert_allclose(model.fold_scores_.mean(0), model.best_scores_)
    for t in range(3):
        alpha, weights = model.best_alphas_[t], model.band_weights_[t]
        slow = slow_scores(X, Y[:, [t]], weights, splits(5, 80), alphas=[alpha])[:, 0, 0]
        np.testing.assert_allclose(model.fold_scores_[:, t], slow, rtol=2e-3)


def test_numbers_are_computed_in_the_precision_asked_for(rng):
    X, Y = problem(rng, NARROW)
    half, whole = (BandedRidgeCV(ALPHAS, n_candidates=3, dtype=kind).fit(X, Y) for kind in ("float32", None))
    assert {part.dtype for part in half.coef_.values()} == {np.dtype(np.float32)}
    assert {part.dtype for part in whole.coef_.values()} == {np.dtype(np.float64)}
    np.testing.assert_allclose(half.cv_scores_, whole.cv_scores_, rtol=1e-4)
