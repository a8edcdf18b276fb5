"""Whatever a program allows to products of float32, ridge takes all of their digits."""

import numpy as np
import pytest
import torch

from fusiform.models import fitting, solvers
from fusiform.models.precision import all_digits
from fusiform.models.ridge import Ridge, RidgeCV


@pytest.fixture(params=["high", "medium"])
def coarse(request):
    """A program that allows coarse products."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(request.param)
    yield request.param
    torch.set_float32_matmul_precision(before)


@pytest.fixture
def seen(monkeypatch):
    """The settings under which targets are read, folds made, and weights solved and carried."""
    found = []

    def spied(work):
        def watched(*args, **more):
            found.append(torch.get_float32_matmul_precision())
            return work(*args, **more)

        return watched

    for module, name in (
        (fitting, "make_targets"),
        (fitting, "make_folds"),
        (fitting, "ridge_weights"),
        (solvers, "decompose"),
        (fitting, "make_leave_one_out"),
    ):
        monkeypatch.setattr(module, name, spied(getattr(module, name)))
    return found


@pytest.mark.parametrize("settings", [{}, {"cv": "loo"}, {"alpha_per_target": False}, {"fracs": [0.3, 0.9]}])
def test_fits_take_all_digits_and_put_the_setting_back(rng, coarse, seen, settings):
    X, Y = (rng.standard_normal((40, k), dtype=np.float32) for k in (6, 3))
    RidgeCV(**settings).fit(X, Y)
    assert len(seen) >= 2
    assert set(seen) == {"highest"}
    assert torch.get_float32_matmul_precision() == coarse
    seen.clear()
    Ridge().fit(X, Y)
    assert set(seen) == {"highest"}
    assert torch.get_float32_matmul_precision() == coarse


@pytest.mark.parametrize("p", [30, 90])
def test_numbers_are_those_without_it(rng, p):
    X, Y = (rng.standard_normal((60, k), dtype=np.float32) for k in (p, 8))
    plain = RidgeCV().fit(X, Y)
    before = plain.cv_scores_, plain.coef_, plain.predict(X)
    torch.set_float32_matmul_precision("medium")
    try:
        coarse = RidgeCV().fit(X, Y)
        after = coarse.cv_scores_, coarse.coef_, coarse.predict(X)
    finally:
        torch.set_float32_matmul_precision("highest")
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_setting_is_put_back_after_an_error(rng, coarse, monkeypatch):
    def failing(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "make_targets", failing)
    with pytest.raises(KeyboardInterrupt):
        RidgeCV().fit(rng.standard_normal((40, 3), dtype=np.float32), rng.standard_normal((40, 2), dtype=np.float32))
    assert torch.get_float32_matmul_precision() == coarse


@pytest.mark.skipif(not hasattr(torch.backends, "fp32_precision"), reason="this torch sets no backend apart")
@pytest.mark.parametrize("backend", ["cuda", "mkldnn"])
def test_backends_that_were_set_apart_are_put_back(backend):
    place = getattr(torch.backends, backend).matmul
    before = place.fp32_precision
    place.fp32_precision = "tf32"
    try:
        with all_digits():
            assert place.fp32_precision == "ieee"
        assert place.fp32_precision == "tf32"
    finally:
        torch.set_float32_matmul_precision("highest")
        place.fp32_precision = before
