"""Targets that are read many batches at a time, and weights that are carried to features many at a time."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.models.on_disk import OnDisk

from fusiform.models import banded, carrying, fitting, planner
from fusiform.models.batches import TargetBatches
from fusiform.models.carrying import Carrier
from fusiform.models.design import Frame, make_design, make_targets
from fusiform.models.ridge import BandedRidgeCV

FRAME = Frame(torch.device("cpu"), torch.float64)


@pytest.fixture
def targets(rng, monkeypatch):
    """Twenty targets on disk, of which eight are read at a time, in batches of two."""
    X, Y = rng.standard_normal((30, 4)), OnDisk(rng.standard_normal((30, 20)))
    monkeypatch.setattr(fitting, "READ", 30 * 8 * 8)
    return TargetBatches(Y, make_design(X, None, centred=True, dual=False, frame=FRAME), 2)


def test_batches_are_read_many_at_a_time(targets):
    places, found = zip(*targets, strict=True)
    assert targets.source.times == 3
    assert [(place.start, place.stop) for place in places] == [(start, start + 2) for start in range(0, 20, 2)]
    whole = make_targets(targets.source.values, targets.design)
    np.testing.assert_allclose(torch.cat([one.rows for one in found]), whole.rows)
    np.testing.assert_allclose(torch.cat([one.scale for one in found]), whole.scale)
    assert len(targets) == 20


def test_some_targets_are_made_alone(targets):
    chosen = np.isin(np.arange(20), [0, 1, 7, 16])
    found = list(targets.some(chosen))
    assert targets.source.times == 3
    assert [own.tolist() for own, _ in found] == [[0, 1], [7], [16]]
    whole = make_targets(targets.source.values, targets.design)
    np.testing.assert_allclose(torch.cat([one.rows for _, one in found]), whole.rows[chosen])


@pytest.mark.parametrize("solver", ["random", "gradient"])
def test_a_fit_reads_each_response_once_a_candidate(rng, monkeypatch, solver):
    X, Y = {"a": rng.standard_normal((30, 4)), "b": rng.standard_normal((30, 3))}, rng.standard_normal((30, 20))
    settings = {"n_candidates": 3, "alpha_per_target": solver == "gradient", "solver": solver, "steps": 1}
    plan, lazy = planner.make_plan, OnDisk(Y)
    whole = BandedRidgeCV([1.0, 10.0], **settings).fit(X, Y)
    monkeypatch.setattr(banded, "make_plan", lambda *args: replace(plan(*args), batch=2))
    monkeypatch.setattr(fitting, "READ", 30 * 8 * 8)
    model = BandedRidgeCV([1.0, 10.0], **settings).fit(X, lazy)
    np.testing.assert_allclose(model.predict(X), whole.predict(X), atol=1e-4 if solver == "gradient" else 1e-12)
    solved = len(np.unique(model.best_candidates_))
    passes = 3 + solved + (solver == "gradient") + 1  # the search, the weights, the descent, the means
    assert lazy.times == 3 * passes


def test_what_is_read_at_once_is_planned_for(rng):
    X, Y = {"a": rng.standard_normal((30, 4))}, rng.standard_normal((30, 2000))
    few, many = (BandedRidgeCV([1.0]).explain(X, one) for one in (Y, OnDisk(Y)))
    assert many.memory["batch"] - few.memory["batch"] == 30 * 2000 * 8


@pytest.mark.parametrize("gathered", [1, 60 * 8 * 7, 1 << 20])
def test_weights_on_samples_are_carried_in_few_passes(rng, monkeypatch, gathered):
    X, bands = OnDisk(rng.standard_normal((60, 90))), [slice(0, 20), slice(20, 90)]
    design = make_design(X, None, centred=True, dual=True, frame=FRAME)
    weights, factors, order = rng.standard_normal((12, 60)), rng.random((12, 2)), rng.permutation(12)
    coef = np.full((12, 90), np.nan, np.float32)
    X.passes()
    monkeypatch.setattr(carrying, "GATHERED", gathered)
    carrier = Carrier(design, bands, coef)
    for own in np.split(order, 4):
        carrier.add(own, torch.tensor(weights[own]), torch.tensor(factors[own]))
    carrier.write()
    centred = X.values - X.values.mean(0)
    np.testing.assert_allclose(coef, weights @ centred * np.repeat(factors, [20, 70], axis=1), rtol=1e-5, atol=1e-5)
    assert X.passes() == {1: 4, 60 * 8 * 7: 2, 1 << 20: 1}[gathered]


def test_wide_bands_are_read_once_for_the_weights_of_all_candidates(rng, monkeypatch):
    bands, Y = {name: OnDisk(rng.standard_normal((40, 60))) for name in "ab"}, rng.standard_normal((40, 30))
    plan = planner.make_plan
    monkeypatch.setattr(banded, "make_plan", lambda *args: replace(plan(*args), batch=4))
    model = BandedRidgeCV(candidates=rng.dirichlet(np.ones(2), 6)).fit(bands, Y)
    assert model.plan_.form == "dual"
    assert len(np.unique(model.best_candidates_)) > 2
    assert bands["a"].passes() == 3  # for all bands' matrix, for their own, and for the weights
