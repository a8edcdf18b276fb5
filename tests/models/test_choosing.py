"""Conservative choices against plain loops over targets, folds and alphas."""

import numpy as np
import pytest
import torch

from fusiform.errors import SettingsError
from fusiform.models.choosing import at_places, places
from fusiform.models.ridge import BandedRidgeCV


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
