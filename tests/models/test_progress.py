"""Bars are shown when they are asked for, and count to the end."""

from dataclasses import replace

import numpy as np
import pytest

from fusiform.models import fitting, planner, ridge
from fusiform.models.neural import NeuralEncoder
from fusiform.models.ridge import BandedRidgeCV, RidgeCV


@pytest.mark.parametrize("progress", [True, False])
@pytest.mark.parametrize("settings", [{}, {"alpha_per_target": False}, {"cv": "loo"}])
def test_ridge_counts_targets(rng, capsys, settings, progress):
    X, Y = rng.standard_normal((30, 4)), rng.standard_normal((30, 7))
    RidgeCV([1.0, 10.0], **settings, progress=progress).fit(X, Y)
    said = capsys.readouterr().err
    assert ("ridge: 100%" in said and "7/7" in said) is progress
    bars = 2 if "alpha_per_target" in settings else 1  # the search, then the weights
    assert said.count("ridge:   0%") == bars * progress


def test_ridge_counts_what_is_left_of_a_fit_that_was_stopped(rng, capsys, tmp_path, monkeypatch):
    X, Y = rng.standard_normal((30, 4)), rng.standard_normal((30, 70))
    make, seen = fitting.make_targets, []

    def stopping(raw, design):
        seen.append(raw.shape[1])
        if len(seen) == 2:
            raise KeyboardInterrupt
        return make(raw, design)

    plan = planner.make_plan
    monkeypatch.setattr(fitting, "make_targets", stopping)
    monkeypatch.setattr(ridge, "make_plan", lambda *args: replace(plan(*args), batch=30))
    with pytest.raises(KeyboardInterrupt):
        RidgeCV([1.0], folder=tmp_path / "fit").fit(X, Y)
    RidgeCV([1.0], folder=tmp_path / "fit", progress=True).fit(X, Y)
    assert "40/40" in capsys.readouterr().err


@pytest.mark.parametrize("progress", [True, False])
@pytest.mark.parametrize(("solver", "ends"), [("random", ["5/5"]), ("gradient", ["5/5", "4/4"])])
def test_banded_ridge_counts_candidates_and_steps(rng, capsys, solver, ends, progress):
    X = {"a": rng.standard_normal((30, 4)), "b": rng.standard_normal((30, 3))}
    Y = rng.standard_normal((30, 7))
    BandedRidgeCV([1.0, 10.0], n_candidates=5, solver=solver, steps=3, progress=progress).fit(X, Y)
    said = capsys.readouterr().err
    assert all((end in said) is progress for end in ends)
    assert bool(said) is progress


@pytest.mark.parametrize("progress", [True, False])
def test_networks_count_steps(rng, capsys, progress):
    X = {"low": rng.standard_normal((16, 3, 4, 4), dtype=np.float32)}
    settings = {"width": 2, "epochs": 3, "batch_size": 8, "device": "cpu", "net_args": {"hidden": 4, "octaves": 2}}
    NeuralEncoder(coordinates=rng.standard_normal((5, 3)) * 30, **settings, progress=progress).fit(
        X, rng.standard_normal((16, 5))
    )
    said = capsys.readouterr().err
    assert ("fit: 100%" in said and "6/6" in said) is progress
