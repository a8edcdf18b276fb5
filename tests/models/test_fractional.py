"""Fractional ridge in float32 on steep spectra, against lengths of the weights in float64."""

import numpy as np
import pytest
from graded import free, graded

from fusiform.models.ridge import RidgeCV


def steep(rng, n, p):
    """Targets that have nearly all on the largest directions, but some on the smallest."""
    X, Y = graded(rng, n, p, 5)
    return X, (Y + 3e3 * X[:, :1] / np.abs(X[:, 0]).max()).astype(np.float32)


@pytest.mark.parametrize("frac", [0.2, 0.9, 1.0])
def test_lengths_are_fractions_of_the_unpenalised_one_in_float32_too(rng, frac):
    X, Y = steep(rng, 1000, 40)
    model = RidgeCV(fracs=[frac]).fit(X, Y)
    assert model.coef_.dtype == np.float32
    lengths = np.linalg.norm(model.coef_, axis=1) / np.linalg.norm(free(X, Y), axis=1)
    np.testing.assert_allclose(lengths, frac, rtol=3e-2)


@pytest.mark.parametrize("frac", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(("n", "p", "decades"), [(1000, 40, 5), (60, 150, 3)])
def test_alphas_and_scores_are_those_of_float64(rng, n, p, decades, frac):
    X, Y = steep(rng, n, p) if n > p else graded(rng, n, p, decades)
    model, exact = (RidgeCV(fracs=[frac], dtype=dtype).fit(X, Y) for dtype in ("float32", "float64"))
    np.testing.assert_allclose(model.best_alphas_, exact.best_alphas_, rtol=0.1)
    np.testing.assert_allclose(model.cv_scores_, exact.cv_scores_, rtol=1e-3, atol=1e-4 * Y.var())
