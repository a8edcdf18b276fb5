from itertools import product

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SlowRidge
from sklearn.model_selection import KFold

from fusiform.errors import SettingsError
from fusiform.models.proposals import Proposals, grid_candidates, longest
from fusiform.models.ridge import BandedRidgeCV

BANDS = ["a", "b", "c"]


def drawn(count=401, seed=0, concentration=(1.0, 0.1)):
    found = Proposals([1.0], None, count, concentration, seed).of(BANDS)
    return np.stack([one.weights for one in found])


def test_equal_weights_come_first_and_all_lie_on_the_simplex():
    weights = drawn()
    np.testing.assert_allclose(weights[0], 1 / 3)
    np.testing.assert_allclose(weights.sum(1), 1)
    assert (weights >= 0).all()
    assert len(np.unique(weights, axis=0)) == 401


@pytest.mark.parametrize("concentration", [0.05, 1.0, 50.0])
def test_draws_have_the_spread_of_their_concentration(concentration):
    weights = drawn(4001, concentration=concentration)[1:]
    spread = (1 / 3) * (2 / 3) / (3 * concentration + 1)  # variance of each weight, of a Dirichlet distribution
    np.testing.assert_allclose(weights.var(0), spread, rtol=0.1)


def test_several_concentrations_take_turns():
    weights = drawn(concentration=[1e6, 1e-3, 1.0])[1:]
    np.testing.assert_allclose(weights[::3], 1 / 3, atol=0.01)
    assert weights[1::3].max(1).mean() > 0.99
    assert 0.5 < weights[2::3].max(1).mean() < 0.75


def test_seeds_and_their_number():
    assert (drawn(seed=1)[1:] != drawn(seed=2)[1:]).any()
    np.testing.assert_array_equal(drawn(20), drawn(20))
    np.testing.assert_array_equal(drawn(20)[:10], drawn(10))


@pytest.mark.parametrize("concentration", [0.0, -1.0, "even", [], [1.0, np.nan]])
def test_concentrations_are_above_zero(concentration):
    with pytest.raises(SettingsError, match=r"concentration is .*above zero"):
        drawn(concentration=concentration)


def test_the_estimator_draws_with_its_concentration(rng):
    X, Y = {name: rng.standard_normal((30, 4)) for name in BANDS}, rng.standard_normal((30, 2))
    model = BandedRidgeCV([1.0], n_candidates=9, concentration=[1e6], seed=3).fit(X, Y)
    np.testing.assert_array_equal(model.candidates_, drawn(9, seed=3, concentration=1e6))
    np.testing.assert_allclose(model.candidates_, 1 / 3, atol=0.01)


def log_factors(alphas, count=4001, seed=0):
    """Of each candidate's grid over the one that was given, in decades."""
    found = Proposals(alphas, None, count, 1.0, seed, jitter=True).of(BANDS)
    factors = np.log10(np.stack([one.alphas for one in found]) / np.atleast_1d(alphas))
    np.testing.assert_allclose(factors, factors[:, :1].repeat(factors.shape[1], 1), atol=1e-12)  # one for all
    return factors[:, 0]


@pytest.mark.parametrize(
    ("alphas", "step"), [(np.logspace(0, 3, 4), 1), (np.logspace(0, 1, 6), 0.2), ([1e4, 1.0, 10.0], 3), ([7.0], 1)]
)
def test_grids_are_shifted_evenly_within_their_widest_step(alphas, step):
    shifts = log_factors(alphas)
    assert np.abs(shifts).max() <= step / 2
    quantiles = np.linspace(0, 1, 11)
    np.testing.assert_allclose(np.quantile(shifts, quantiles), step * (quantiles - 0.5), atol=0.03 * step)


def test_shifts_leave_the_weights_as_they_are_and_follow_the_seed():
    plain, shifted = (Proposals([1.0, 10.0], None, 50, 1.0, 3, jitter).of(BANDS) for jitter in (False, True))
    for one, other in zip(plain, shifted, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)
    np.testing.assert_array_equal(log_factors([1.0, 10.0], 20), log_factors([1.0, 10.0], 50)[:20])
    assert (log_factors([1.0, 10.0], 20, seed=1) != log_factors([1.0, 10.0], 20, seed=2)).all()
    weights = np.stack([one.weights for one in shifted])
    assert np.abs(np.corrcoef(log_factors([1.0, 10.0], 4001)[1:], drawn(4001)[1:, 0])[0, 1]) < 0.05
    assert len(np.unique(weights, axis=0)) == 50


def test_the_estimator_tries_penalties_between_those_of_the_grid(rng):
    X, Y = {name: rng.standard_normal((60, 4)) for name in BANDS}, rng.standard_normal((60, 5))
    Y += X["a"] @ rng.standard_normal((4, 5)) / 2
    alphas, weights = np.logspace(0, 4, 5), np.full((12, 3), 1 / 3)
    settings = {"candidates": weights, "tolerance": 1e-10, "seed": 2}
    model = BandedRidgeCV(alphas, jitter_alphas=True, **settings).fit(X, Y)
    found = Proposals(alphas, weights, 20, 1.0, 2, jitter=True).of(BANDS)
    np.testing.assert_array_equal(model.alphas_, np.stack([one.alphas for one in found]))
    A = np.hstack([X[name] for name in BANDS]) / 3**0.5
    slow = [-slow_errors(A, Y, tried) for tried in model.alphas_]
    np.testing.assert_allclose(model.cv_scores_, np.max(slow, 1), rtol=1e-7)
    for t in range(5):
        tried = model.alphas_[model.best_candidates_[t]]
        assert model.best_alphas_[t] in tried  # to the last digit
        fitted = SlowRidge(model.best_alphas_[t]).fit(A, Y[:, t])
        np.testing.assert_allclose(model.predict(X)[:, t], fitted.predict(A), atol=1e-9)
    plain = BandedRidgeCV(alphas, **settings).fit(X, Y)
    assert (plain.alphas_ == alphas).all()
    assert (model.best_scores_ > plain.best_scores_).all()  # one of twelve shifts comes nearer to the optimum


def slow_errors(X, Y, alphas):
    """Held-out mean squared error, [A, V], in five folds."""
    folds = list(KFold(5).split(X))
    fitted = [[SlowRidge(alpha).fit(X[train], Y[train]) for train, _ in folds] for alpha in alphas]
    errors = [
        [np.mean((Y[test] - one.predict(X[test])) ** 2, 0) for one, (_, test) in zip(ones, folds, strict=True)]
        for ones in fitted
    ]
    return np.mean(errors, 1)


@pytest.mark.parametrize("solver", ["random", "gradient"])
def test_shifts_of_the_default_grid_are_repeated(rng, solver):
    X, Y = {name: rng.standard_normal((40, 3)) for name in BANDS}, rng.standard_normal((40, 2))
    settings = {"jitter_alphas": True, "n_candidates": 4, "solver": solver, "steps": 2}
    one, same, other = (BandedRidgeCV(**settings, seed=seed).fit(X, Y) for seed in (5, 5, 6))
    assert len(np.unique(one.alphas_)) == 4 * 33
    for name in ("alphas_", "best_alphas_", "best_scores_", "intercept_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert (one.alphas_ != other.alphas_).all()
    np.testing.assert_array_equal(one.candidates_, BandedRidgeCV(n_candidates=4, seed=5).fit(X, Y).candidates_)


def test_bands_with_grids_of_their_own_are_not_shifted(rng):
    X, Y = {name: rng.standard_normal((40, 3)) for name in BANDS}, rng.standard_normal((40, 2))
    with pytest.raises(SettingsError, match="jitter_alphas=True shifts one grid for all bands"):
        BandedRidgeCV({name: [1.0, 10.0] for name in BANDS}, jitter_alphas=True).fit(X, Y)


def test_combinations_in_equal_ratios_are_one_candidate():
    grids = [np.logspace(0, 5, 20)] * 3
    found = grid_candidates(grids)
    assert len(found) == 20**3 - 19**3  # those with the least penalty somewhere; all others are multiples of them
    penalties = np.concatenate([one.alphas[:, None] / one.weights for one in found])
    every = np.array(list(product(*grids)))
    order = [np.lexsort(np.log(one).round(6).T) for one in (penalties, every)]
    np.testing.assert_allclose(penalties[order[0]], every[order[1]])
    assert len(longest(found)) == 20


def test_the_longest_of_equals_is_the_widest():
    found = grid_candidates([np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 8.0])])
    assert max(len(one.alphas) for one in found) == 2
    assert np.isclose(longest(found)[1] / longest(found)[0], 4)  # (1, 2) and (4, 8)


def test_plans_are_for_the_candidates_that_are_searched(rng):
    X, Y = {name: rng.standard_normal((40, 4)) for name in BANDS}, rng.standard_normal((40, 2))
    grids = {name: np.logspace(0, 3, 4) for name in BANDS}
    model = BandedRidgeCV(grids, memory_limit=2**30)
    planned, fitted = model.explain(X, Y), model.fit(X, Y)
    assert planned == fitted.plan_
    assert planned.job.candidates == len(fitted.candidates_) == 4**3 - 3**3
    assert planned.job.alphas == fitted.alphas_.shape[1] == 4
    assert BandedRidgeCV([1.0, 2.0], n_candidates=7).explain(X, Y).job.candidates == 7
    assert BandedRidgeCV([1.0, 2.0], candidates=np.eye(3)).explain(X, Y).job.candidates == 3
    assert BandedRidgeCV().explain(X, Y).job.alphas == 33
    with pytest.raises(SettingsError, match="one per band"):
        BandedRidgeCV({"a": [1.0]}).explain(X, Y)
