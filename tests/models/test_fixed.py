"""Plans of fits at given alphas."""

import numpy as np
import pytest

from fusiform.errors import DataError, SettingsError
from fusiform.models.ridge import Ridge


@pytest.mark.parametrize(("p", "form"), [(8, "primal"), (200, "dual")])
def test_explain_is_the_plan_of_the_fit_and_does_nothing(rng, p, form):
    X, Y = rng.standard_normal((50, p)), rng.standard_normal((50, 30))
    model = Ridge(np.linspace(0, 3, 30))
    plan = model.explain(X, Y)
    assert not hasattr(model, "results_")
    assert f"50 samples x {p} features -> 30 targets" in str(plan)
    found = model.fit(X, Y).plan_
    assert plan.form == found.form == form
    assert plan.spectra == "float64"
    assert (plan.job, plan.batch, plan.memory) == (found.job, found.batch, found.memory)


def test_explain_leaves_a_fitted_model_as_it_is(rng):
    X, Y = rng.standard_normal((50, 8)), rng.standard_normal((50, 3))
    model = Ridge().fit(X, Y)
    before = model.predict(X)
    assert model.explain(X[:, :2], Y[:, 0]).job.targets == 1
    np.testing.assert_array_equal(model.predict(X), before)


def test_explain_refuses_what_the_fit_would(rng):
    X, Y = rng.standard_normal((50, 8)), rng.standard_normal((50, 3))
    with pytest.raises(SettingsError, match="raise memory_limit"):
        Ridge(memory_limit=1000).explain(X, Y)
    with pytest.raises(SettingsError, match="or 3 of them"):
        Ridge([1.0, 2.0]).explain(X, Y)
    with pytest.raises(DataError, match="found 1 sample"):
        Ridge().explain(X[:1], Y[:1])
