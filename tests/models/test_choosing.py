"""Conservative choices against plain loops over targets, folds and alphas."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as SlowRidge
from sklearn.model_selection import KFold, ShuffleSplit

from fusiform.errors import SettingsError
from fusiform.models.choosing import at_places, places
from fusiform.models.ridge import BandedRidgeCV, RidgeCV


def slow_place(scores, shrinkage):
    """Of one target's scores [F, A]."""
    mean = scores.mean(0)
    best = max(range(len(mean)), key=lambda i: mean[i])
    spread = np.sqrt(np.mean((scores[:, best] - mean[best]) ** 2))
    near = [i for i in range(len(mean)) if mean[i] >= mean[best] - spread]
    return max(near, key=lambda i: shrinkage[i])


def test_the_largest_penalty_within_one_deviation_of_the_best(rng):
    found, grid = rng.standard_normal((5, 200, 12)), rng.permutation(np.logspace(-2, 3, 12))
    chosen = places(torch.tensor(found), grid).numpy()
    np.testing.assert_array_equal(chosen, [slow_place(found[:, t], grid) for t in range(200)])
    assert (chosen != found.mean(0).argmax(1)).mean() > 0.5  # or nothing was conservative
    np.testing.assert_array_equal(places(torch.tensor(found)), found.mean(0).argmax(1))


def test_folds_that_agree_leave_the_best_and_no_difference_the_largest():
    curve = np.array([1.0, 3.0, 2.0])
    same = torch.tensor(np.broadcast_to(curve, (4, 2, 3)).copy())
    np.testing.assert_array_equal(places(same, np.array([1.0, 2.0, 3.0])), [1, 1])
    np.testing.assert_array_equal(places(torch.zeros(4, 2, 3), np.array([1.0, 30.0, 2.0])), [1, 1])


def test_scores_at_places(rng):
    found, place = rng.standard_normal((3, 4, 5)), np.array([4, 0, 2, 1])
    np.testing.assert_array_equal(at_places(torch.tensor(found), torch.tensor(place)), found[:, np.arange(4), place])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"alpha_per_target": False}, "chooses for each target"),
        ({"cv": [(np.arange(20), np.arange(20, 30))]}, "two folds or more"),
    ],
)
@pytest.mark.parametrize("use", ["fit", "explain"])
def test_where_it_makes_no_sense_it_is_refused(rng, settings, said, use):
    X, Y = rng.standard_normal((30, 4)), rng.standard_normal((30, 2))
    with pytest.raises(SettingsError, match=said):
        getattr(BandedRidgeCV([1.0, 2.0], conservative=True, **settings), use)({"a": X}, Y)


def test_the_gradient_solver_has_no_use_for_it(rng):
    X, Y = {"a": rng.standard_normal((30, 4))}, rng.standard_normal((30, 2))
    with pytest.raises(SettingsError, match="conservative=False, or 'random'"):
        BandedRidgeCV([1.0], conservative=True, solver="gradient").fit(X, Y)


def held_out(X, Y, alphas):
    """Negated mean squared error, [F, V, A], in five folds."""
    found = [
        [-np.mean((Y[test] - SlowRidge(alpha).fit(X[train], Y[train]).predict(X[test])) ** 2, 0) for alpha in alphas]
        for train, test in KFold(5).split(X)
    ]
    return np.moveaxis(np.array(found), 1, 2)


@pytest.mark.parametrize("p", [10, 120])
def test_plain_ridge_is_conservative(rng, p):
    X, Y = rng.standard_normal((80, p)), rng.standard_normal((80, 9))
    Y += X[:, :5] @ rng.standard_normal((5, 9))
    alphas = rng.permutation(np.logspace(-1, 4, 11))
    found = held_out(X, Y, alphas)
    place = [slow_place(found[:, t], alphas) for t in range(9)]
    model = RidgeCV(alphas, conservative=True, tolerance=1e-9).fit(X, Y)
    plain = RidgeCV(alphas, tolerance=1e-9).fit(X, Y)
    np.testing.assert_array_equal(model.best_alphas_, alphas[place])
    assert (model.best_alphas_ >= plain.best_alphas_).all()
    assert (model.best_alphas_ > plain.best_alphas_).any()
    np.testing.assert_allclose(model.fold_scores_, found[:, np.arange(9), place], rtol=1e-6)
    np.testing.assert_allclose(model.best_scores_, found.mean(0)[np.arange(9), place], rtol=1e-6)
    np.testing.assert_allclose(model.cv_scores_, plain.cv_scores_)
    for t in range(9):
        slow = SlowRidge(alphas[place[t]]).fit(X, Y[:, t])
        np.testing.assert_allclose(model.coef_[t], slow.coef_, atol=1e-9)


def test_of_fractions_the_smallest_within_one_deviation_is_chosen(rng, tmp_path):
    X, Y = rng.standard_normal((80, 10)), rng.standard_normal((80, 9))
    Y += X[:, :5] @ rng.standard_normal((5, 9))
    fracs = np.linspace(0.1, 1, 10)  # given as a list, which is kept when a model is saved
    one_by_one = np.stack([RidgeCV(fracs=[frac]).fit(X, Y).fold_scores_ for frac in fracs], axis=2)  # [F, V, A]
    place = [slow_place(one_by_one[:, t], -fracs) for t in range(9)]
    model = RidgeCV(fracs=fracs.tolist(), conservative=True, folder=tmp_path / "fit").fit(X, Y)
    for found in (model, RidgeCV.load(tmp_path / "fit")):
        np.testing.assert_allclose(found.best_fracs_, fracs[place])
    assert (model.best_fracs_ < RidgeCV(fracs=fracs).fit(X, Y).best_fracs_).any()


@pytest.mark.parametrize("settings", [{"cv": "loo"}, {"cv": ShuffleSplit(1, random_state=0)}])
def test_one_score_of_all_samples_has_no_spread(rng, settings):
    X, Y = rng.standard_normal((30, 4)), rng.standard_normal((30, 2))
    with pytest.raises(SettingsError, match="two folds or more"):
        RidgeCV([1.0, 10.0], conservative=True, **settings).fit(X, Y)
    with pytest.raises(SettingsError, match="chooses for each target"):
        RidgeCV([1.0, 10.0], conservative=True, alpha_per_target=False).fit(X, Y)


@pytest.mark.parametrize("name", ["plain", "bands"])
def test_a_fit_that_chooses_in_another_way_is_refused(rng, tmp_path, name):
    X, Y = rng.standard_normal((40, 4)), rng.standard_normal((40, 2))
    kind, X = (RidgeCV, X) if name == "plain" else (BandedRidgeCV, {"a": X})
    kind([1.0, 100.0], folder=tmp_path / "fit").fit(X, Y)
    with pytest.raises(SettingsError, match="differs in conservative"):
        kind([1.0, 100.0], folder=tmp_path / "fit", conservative=True).fit(X, Y)
