import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, LeaveOneGroupOut, cross_val_predict

from fusiform.errors import DataError, SettingsError
from fusiform.models.folds import ContiguousFolds, cross_predict, splits


def test_blocks_are_contiguous_and_keep_their_gap():
    folds = list(ContiguousFolds(3, gap=2).split(np.zeros((11, 1))))
    assert [test.tolist() for _, test in folds] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert [train.tolist() for train, _ in folds] == [[6, 7, 8, 9, 10], [0, 1, 10], [0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize(
    ("n_splits", "gap", "words"), [(1, 0, "at least 2"), (2, -1, "gap"), (30, 0, "got 20"), (2, 10, "smaller gap")]
)
def test_impossible_blocks_are_refused(n_splits, gap, words):
    with pytest.raises(SettingsError, match=words):
        list(ContiguousFolds(n_splits, gap).split(np.zeros((20, 1))))


def test_a_number_means_contiguous_unshuffled_folds():
    expected = list(KFold(3).split(np.zeros((10, 1))))
    for (train, test), (want_train, want_test) in zip(splits(3, 10), expected, strict=True):
        np.testing.assert_array_equal(train, want_train)
        np.testing.assert_array_equal(test, want_test)


def test_runs_are_left_out_one_at_a_time():
    runs = np.repeat([3, 1, 2], 4)
    found = splits("runs", 12, runs)
    assert [np.unique(runs[test]).tolist() for _, test in found] == [[1], [2], [3]]
    assert all(not set(runs[train]) & set(runs[test]) for train, test in found)


def test_masks_are_folds_too():
    mask = np.arange(6) < 2
    [(train, test)] = splits([(~mask, mask)], 6)
    assert train.tolist() == [2, 3, 4, 5]
    assert test.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("cv", "groups", "words"),
    [
        ("days", None, "'days'"),
        ("runs", None, "groups"),
        (7, None, "7"),
        ([(np.arange(6), np.arange(0))], None, "nothing"),
        ([(np.arange(4), np.arange(4, 8))], None, "cannot split 6"),
    ],
)
def test_folds_that_cannot_be_are_refused(cv, groups, words):
    with pytest.raises(SettingsError, match=words):
        splits(cv, 6, groups)


def test_groups_must_be_one_per_sample():
    with pytest.raises(DataError, match="5 labels"):
        splits("runs", 6, np.zeros(5))


def test_cross_predict_equals_scikit_learn(rng):
    X, Y = rng.standard_normal((30, 4)), rng.standard_normal((30, 3))
    cv = KFold(4, shuffle=True, random_state=0)
    np.testing.assert_allclose(cross_predict(Ridge(2.0), X, Y, cv), cross_val_predict(Ridge(2.0), X, Y, cv=cv))


def test_cross_predict_hands_groups_on(rng):
    seen = []

    class Model(Ridge):
        def fit(self, X, y, groups=None):
            seen.append(groups)
            return super().fit(X, y)

    runs = np.repeat([0, 1, 2], 4)
    cross_predict(Model(), rng.standard_normal((12, 2)), rng.standard_normal(12), LeaveOneGroupOut(), runs)
    assert [sorted(set(groups)) for groups in seen] == [[1, 2], [0, 2], [0, 1]]


def test_cross_predict_wants_every_sample_once(rng):
    X, y = rng.standard_normal((6, 2)), rng.standard_normal(6)
    first, last = np.arange(3), np.arange(3, 6)
    with pytest.raises(SettingsError, match="2 samples never and 1 more than once"):
        cross_predict(Ridge(), X, y, [(last, first), (first, last[:1]), (last, first[:1])])
    with pytest.raises(SettingsError, match="1 more than once"):
        cross_predict(Ridge(), X, y, [(first, last), (last, np.arange(4))])
