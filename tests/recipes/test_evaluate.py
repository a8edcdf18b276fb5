from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fusiform.data import Features, Responses, Space
from fusiform.models.folds import ContiguousFolds
from fusiform.models.ridge import RidgeCV
from fusiform.pairs import pair
from fusiform.recipes.evaluate import evaluate, layers_of, splits_of


def joined(split=None, repeats=1, targets=6, stimuli=60):
    """Layer `good` drives even targets, `other` odd ones; each stimulus is shown `repeats` times."""
    rng = np.random.default_rng(0)
    names = [f"im{n}" for n in range(stimuli)]
    arrays = {
        "good": rng.normal(size=(stimuli, 2, 2)),
        "good/global": rng.normal(size=(stimuli, 3)),
        "other": rng.normal(size=(stimuli, 5)),
    }
    drive = [
        arrays["good"].reshape(stimuli, -1) @ rng.normal(size=(4, targets)),
        arrays["other"] @ rng.normal(size=(5, targets)),
    ]
    signal = np.where(np.arange(targets) % 2, drive[1], drive[0])
    order = np.tile(np.arange(stimuli), repeats)
    samples = pd.DataFrame({"stimulus": np.array(names)[order]})
    if split is not None:
        samples["split"] = split
    values = signal[order] + 0.3 * rng.normal(size=(len(order), targets))
    return pair(
        Features(pd.DataFrame({"stimulus": names}), arrays), Responses(values, samples, Space.numbered("v", targets))
    )


MODEL = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-2, 3, 6)))


def test_local_and_global_tokens_of_a_layer_are_read_together():
    assert layers_of(joined()) == {"good": ["good", "good/global"], "other": ["other"]}


def test_the_test_split_is_held_out_and_nothing_else():
    pairs = joined(split=["train"] * 30 + ["test"] * 20 + ["val"] * 10)
    [(train, test)] = splits_of(pairs, 5)
    assert test.tolist() == list(range(30, 50))
    assert sorted([*train, *test]) == list(range(60))


def test_without_a_split_folds_keep_a_stimulus_together():
    pairs = joined(repeats=3)
    for train, test in splits_of(pairs, GroupKFold(5)):
        stimulus = pairs.samples["stimulus"]
        assert not set(stimulus[train]) & set(stimulus[test])


def test_predictions_equal_plain_ridge_at_the_chosen_alpha():
    pairs = joined(split=["train"] * 45 + ["test"] * 15)
    found = evaluate(pairs, "encode", MODEL, splits_of(pairs, 5))
    X, Y = pairs.problem("encode", "good", "good/global")
    scaler = StandardScaler().fit(X[:45])
    alphas = RidgeCV(alphas=np.logspace(-2, 3, 6)).fit(scaler.transform(X[:45]), Y[:45]).best_alphas_
    plain = Ridge(alpha=alphas).fit(scaler.transform(X[:45]), Y[:45]).predict(scaler.transform(X[45:]))
    np.testing.assert_allclose(found.pred["good"], plain, atol=1e-8)
    assert np.array_equal(found.true, Y[45:])
    assert found.rows.tolist() == list(range(45, 60))


def test_each_target_gets_its_layer():
    found = evaluate(joined(), "encode", MODEL, splits_of(joined(), ContiguousFolds(4)))
    assert found.chosen.tolist() == ["good", "other"] * 3
    for target, layer in enumerate(found.chosen):
        np.testing.assert_array_equal(found.best[:, target], found.pred[layer][:, target])
    assert found.fold.tolist() == np.repeat(range(4), 15).tolist()


def test_the_held_out_rows_never_reach_the_fit():
    pairs = joined(split=["train"] * 45 + ["test"] * 15)
    found = evaluate(pairs, "encode", MODEL, splits_of(pairs, 5))
    values = np.array(pairs.responses)
    values[45:] = 1e6  # whatever the test rows hold
    spoiled = evaluate(replace(pairs, responses=values), "encode", MODEL, splits_of(pairs, 5))
    for layer in found.pred:
        np.testing.assert_array_equal(found.pred[layer], spoiled.pred[layer])
        np.testing.assert_array_equal(found.fit[layer], spoiled.fit[layer])


def test_decoding_is_the_same_path_read_backwards():
    pairs = joined(split=["train"] * 45 + ["test"] * 15, targets=40)
    one = replace(pairs, features={"other": pairs.features["other"]})
    found = evaluate(one, "decode", MODEL, splits_of(one, 5))
    assert found.true.shape == (15, 5)
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(found.true.T, found.best.T, strict=True)]
    assert np.mean(r) > 0.8


def test_groups_reach_the_models_own_folds():
    pairs = joined(repeats=2)
    stimulus = pairs.samples["stimulus"]
    model = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-2, 3, 6), cv="runs"))
    folds = [(np.flatnonzero(stimulus != "im0"), np.flatnonzero(stimulus == "im0"))]
    assert evaluate(pairs, "encode", model, folds, groups=stimulus).best.shape == (2, 6)
    with pytest.raises(ValueError, match="groups"):
        evaluate(pairs, "encode", model, folds)
