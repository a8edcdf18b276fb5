"""What is read, and when it is written."""

from dataclasses import replace

import numpy as np
import pytest
from tests.models.on_disk import OnDisk

from fusiform.errors import LayoutError
from fusiform.models import fitting, planner, ridge
from fusiform.models.ridge import Ridge, RidgeCV

ALPHAS = np.logspace(-1, 4, 6)


@pytest.fixture
def wide(rng, monkeypatch):
    """Many features of few samples, and batches of 5 targets, read in blocks of 50 columns."""
    plan = planner.make_plan
    monkeypatch.setattr(ridge, "make_plan", lambda *args: replace(plan(*args), batch=5))
    monkeypatch.setattr(fitting, "BLOCK", 20 * 50)
    X = rng.standard_normal((20, 1200))
    return X, X @ rng.standard_normal((1200, 60)) + rng.standard_normal((20, 60))


def test_weights_on_disk_wait_for_each_other_to_be_carried_to_features(wide, tmp_path):
    X, Y = OnDisk(wide[0]), wide[1]
    RidgeCV(ALPHAS, folder=tmp_path / "none", keep_weights=False).fit(X, Y)
    others = X.passes()
    model = RidgeCV(ALPHAS, folder=tmp_path / "fit").fit(X, Y)
    # one for 45 targets at a time: 5 * 1200 numbers of one batch's weights over 2 * (20 + 50) of a target that waits
    assert X.passes() == others + 2
    whole = RidgeCV(ALPHAS).fit(*wide)
    for found in (model, RidgeCV.load(tmp_path / "fit")):
        np.testing.assert_allclose(found.coef_, whole.coef_, atol=1e-12)
        np.testing.assert_allclose(found.predict(wide[0]), whole.predict(wide[0]))
        np.testing.assert_array_equal(found.best_alphas_, whole.best_alphas_)
        np.testing.assert_allclose(found.cv_scores_, whole.cv_scores_)


def test_what_waits_is_written_when_a_fit_is_stopped(wide, tmp_path, monkeypatch):
    X, Y = wide
    Y[3, 7] = np.nan
    make, seen = fitting.make_targets, []

    def stopping(raw, design):
        seen.append(raw.shape[1])
        if len(seen) == 5:
            raise KeyboardInterrupt
        return make(raw, design)

    monkeypatch.setattr(fitting, "make_targets", stopping)
    with pytest.raises(KeyboardInterrupt):
        RidgeCV(ALPHAS, folder=tmp_path / "fit").fit(X, Y)
    with pytest.raises(LayoutError, match="stopped after 20 of 60"):
        RidgeCV.load(tmp_path / "fit")
    with pytest.warns(UserWarning, match="1 targets hold NaN"):
        model = RidgeCV(ALPHAS, folder=tmp_path / "fit").fit(X, Y)
    assert len(seen) == 5 + 8
    with pytest.warns(UserWarning, match="1 targets hold NaN"):
        whole = RidgeCV(ALPHAS).fit(X, Y)
    np.testing.assert_allclose(model.coef_, whole.coef_, atol=1e-12)
    assert np.isnan(model.coef_[7]).all()


def test_weights_on_samples_are_carried_to_features_in_one_pass(wide):
    X = OnDisk(wide[0])
    model = RidgeCV(ALPHAS).fit(X, wide[1])
    X.passes()
    np.testing.assert_allclose(model.coef_, RidgeCV(ALPHAS).fit(*wide).coef_, atol=1e-12)
    assert X.passes() == 1
    model.predict(wide[0])
    assert X.passes() == 1


@pytest.mark.parametrize("model", [RidgeCV(ALPHAS), RidgeCV(ALPHAS, alpha_per_target=False), Ridge(3.0)])
def test_responses_are_read_many_batches_at_a_time(rng, monkeypatch, model):
    X, Y = rng.standard_normal((30, 4)), rng.standard_normal((30, 40))
    plan = planner.make_plan
    for module in (ridge, "fusiform.models.fixed"):
        name = module if isinstance(module, str) else module.__name__
        monkeypatch.setattr(f"{name}.make_plan", lambda *args: replace(plan(*args), batch=4))
    monkeypatch.setattr(fitting, "READ", 30 * 8 * 16)  # of 16 targets
    whole, lazy = model.fit(X, Y).coef_, OnDisk(Y)
    np.testing.assert_allclose(model.fit(X, lazy).coef_, whole)
    assert lazy.times == 3 * (2 if getattr(model, "alpha_per_target", True) is False else 1)


def test_a_fit_stopped_between_batches_writes_what_waits(wide, tmp_path, monkeypatch):
    def stopping(steps, *more):
        for count, _ in enumerate(steps):
            if count == 3:
                raise KeyboardInterrupt
            yield None

    with monkeypatch.context() as patch:
        patch.setattr(ridge, "shown", stopping)
        with pytest.raises(KeyboardInterrupt):
            RidgeCV(ALPHAS, folder=tmp_path / "fit").fit(*wide)
        with pytest.raises(LayoutError, match="stopped after 20 of 60"):
            RidgeCV.load(tmp_path / "fit")
    model = RidgeCV(ALPHAS, folder=tmp_path / "fit").fit(*wide)
    np.testing.assert_allclose(model.coef_, RidgeCV(ALPHAS).fit(*wide).coef_, atol=1e-12)
