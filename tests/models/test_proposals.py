from itertools import product

import numpy as np
import pytest

from fusiform.errors import SettingsError
from fusiform.models.bands import grid_candidates
from fusiform.models.proposals import Proposals, longest
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
