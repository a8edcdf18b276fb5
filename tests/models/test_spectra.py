import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusiform.errors import DataError
from fusiform.models.ridge import RidgeCV
from fusiform.models.spectra import (
    filter_basis,
    filters,
    floor,
    lowest,
    pieced_basis,
    resolved,
    shares,
    spectrum,
)

GRIDS = {
    "narrow": np.logspace(1, 4, 60),
    "wide": np.logspace(-6, 9, 60),
    "one": np.array([3.0]),
    "few": np.array([1.0, 1e5]),
}
SPECTRA = {
    "flat": np.full(50, 100.0),
    "power law": 1e4 * np.arange(1, 201) ** -2.0,
    "deficient": np.append(np.zeros(30), np.geomspace(1e-3, 1e5, 40)),
    "one": np.array([7.0]),
    "badly scaled": np.geomspace(1e-12, 1e12, 80),
}


def test_spectrum_is_that_of_scipy(rng):
    half = rng.standard_normal((5, 8))
    values, vectors = spectrum(torch.tensor(half.T @ half))
    np.testing.assert_allclose(values, np.linalg.eigvalsh(half.T @ half), atol=1e-12)
    assert (values >= 0).all()
    np.testing.assert_allclose((vectors * values) @ vectors.T, half.T @ half, atol=1e-12)


def test_a_failed_float32_decomposition_is_done_again_in_float64(monkeypatch):
    eigh, seen = torch.linalg.eigh, []

    def failing(gram):
        seen.append(gram.dtype)
        if gram.dtype == torch.float32:
            raise torch.linalg.LinAlgError("did not converge")
        return eigh(gram)

    monkeypatch.setattr(torch.linalg, "eigh", failing)
    values, _ = spectrum(torch.diag(torch.tensor([1.0, 2.0])))
    assert seen == [torch.float32, torch.float64]
    assert values.tolist() == [1.0, 2.0]
    assert values.dtype == torch.float32


def test_filters_of_a_null_direction_without_penalty_are_zero():
    np.testing.assert_allclose(
        filters(np.array([0.0, 1e-18, 2.0]), np.array([0.0, 2.0])), [[0, 0, 0.5], [0.5, 0.5, 0.25]]
    )


@pytest.mark.parametrize("make", [filter_basis, pieced_basis])
@pytest.mark.parametrize("tolerance", [1e-1, 1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", SPECTRA)
def test_basis_keeps_its_bound_for_the_worst_target(rng, name, grid, tolerance, make):
    values, alphas = SPECTRA[name], GRIDS[grid]
    reach = np.sqrt(values) * rng.uniform(0.5, 2, len(values))
    found = make(values, reach, alphas, tolerance)
    error = (found.mix @ found.basis - filters(values, alphas)) * reach  # [A, Q]
    worst = np.linalg.norm(error, axis=1).max()
    assert worst <= max(tolerance, 1e-9 * np.linalg.norm(filters(values, alphas) * reach, axis=1).max())
    assert found.error <= tolerance
    share = np.linalg.norm(filters(values, alphas) * reach, axis=1)
    assert (np.linalg.norm(error, axis=1) <= (tolerance + 1e-9 * share.max()) * share / share.max() + 1e-15).all()
    assert all(rows.stop - rows.start <= len(alphas) for rows, _ in found.pieces)


def test_pieces_are_cheaper_and_zero_outside_their_stretch():
    values = 3000 * np.arange(1, 1025) ** -0.5
    asked = values, np.sqrt(values), GRIDS["narrow"], 1e-3
    whole, pieced = filter_basis(*asked), pieced_basis(*asked)
    assert len(pieced.pieces) > 1
    assert pieced.load < 0.75 * whole.load == 0.75 * whole.rank * 1024
    outside = pieced.basis.copy()
    for rows, part in pieced.pieces:
        outside[rows, part] = 0
    assert not outside.any()
    assert [part.start for _, part in pieced.pieces][1:] == [part.stop for _, part in pieced.pieces][:-1]
    few = pieced_basis(values[:3], np.sqrt(values[:3]), GRIDS["narrow"], 1e-3)
    assert len(few.pieces) == 1  # nothing to gain on a short spectrum


def test_few_filters_stand_for_many_alphas():
    values = 3000 * np.arange(1, 1025) ** -0.5
    ranks = [filter_basis(values, np.sqrt(values), GRIDS["narrow"], 10.0**-k).rank for k in (1, 2, 3, 4)]
    assert ranks == sorted(ranks)
    assert ranks[-1] <= 14


def test_projection_gives_the_mix_of_other_alphas():
    values, alphas = SPECTRA["power law"], np.logspace(-2, 5, 80)
    found = filter_basis(values, np.sqrt(values), alphas, 1e-8)
    between = np.sqrt(alphas[1:] * alphas[:-1])
    again = filters(values, between) @ found.projection @ found.basis
    np.testing.assert_allclose(again * np.sqrt(values), filters(values, between) * np.sqrt(values), atol=1e-7)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 10**6), st.sampled_from([1e-2, 1e-5]))
def test_bound_on_random_spectra(size, count, seed, tolerance):
    rng = np.random.default_rng(seed)
    values, alphas = 10 ** rng.uniform(-6, 6, size), 10 ** rng.uniform(-4, 6, count)
    reach = np.sqrt(values)
    found = filter_basis(values, reach, alphas, tolerance)
    error = np.linalg.norm((found.mix @ found.basis - filters(values, alphas)) * reach, axis=1).max()
    assert error <= tolerance + 1e-9 * np.linalg.norm(filters(values, alphas) * reach, axis=1).max()


@pytest.mark.parametrize("make", [filter_basis, pieced_basis])
def test_directions_without_reach_do_not_take_the_tolerance(make):
    values = np.append(np.zeros(40), np.geomspace(1e17, 1e20, 160))
    asked = values, np.sqrt(values), np.logspace(-12, 20, 30)
    size = np.linalg.norm(filters(values, asked[2]) * asked[1], axis=1).max()
    found = make(*asked, 1e-4 * size)
    error = np.linalg.norm((found.mix @ found.basis - filters(values, asked[2])) * asked[1], axis=1)
    assert error.max() <= 1e-4 * size


def test_rounding_of_zero_is_no_direction():
    half = torch.tensor(np.random.default_rng(0).standard_normal((3, 8)))
    values, vectors = spectrum(half.T @ half)
    kept = resolved(values, vectors)
    assert (kept[:, :5] == 0).all()
    np.testing.assert_array_equal(kept[:, 5:], vectors[:, 5:])


def failing(*args):
    raise torch.linalg.LinAlgError("did not converge")


@pytest.fixture
def no_eigh(monkeypatch):
    """A torch that decomposes no Gram matrix; stacks of small matrices it does."""
    eigh = torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda gram: failing() if gram.ndim == 2 else eigh(gram))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_where_eigh_fails_in_float64_too_another_algorithm_takes_over(rng, no_eigh, dtype, scale):
    half = torch.tensor(rng.standard_normal((5, 8)), dtype=dtype) * scale
    gram = half.T @ half  # of rank 5
    known = np.linalg.eigvalsh(gram.double().numpy())
    values, vectors = spectrum(gram)
    assert values.dtype == vectors.dtype == dtype
    close = (1e-5 if dtype == torch.float32 else 1e-12) * scale**2 * 20
    np.testing.assert_allclose(values.double(), known, atol=close)
    assert (values.diff() >= 0).all()
    np.testing.assert_allclose((vectors * values) @ vectors.T, gram, atol=close)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(8), atol=1e-5)


def test_a_gram_matrix_that_nothing_decomposes_is_told_in_a_sentence(no_eigh, monkeypatch):
    monkeypatch.setattr(torch.linalg, "svd", failing)
    with pytest.raises(DataError, match=r"the 4 x 4 Gram matrix .* standardise the features"):
        spectrum(torch.eye(4))


def test_a_fit_outlives_eigh(rng, request):
    X, Y = rng.standard_normal((40, 6)), rng.standard_normal((40, 3))
    known = RidgeCV([0.1, 10.0]).fit(X, Y)
    request.getfixturevalue("no_eigh")
    found = RidgeCV([0.1, 10.0]).fit(X, Y)
    np.testing.assert_allclose(found.cv_scores_, known.cv_scores_)
    np.testing.assert_allclose(found.predict(X), known.predict(X))


def test_what_each_alpha_may_err_can_be_given():
    values, alphas = SPECTRA["power law"], GRIDS["narrow"]
    reach, allowed = np.sqrt(values), np.geomspace(1, 1e-4, 60)
    found = filter_basis(values, reach, alphas, 1e-2, allowed)
    error = np.linalg.norm((found.mix @ found.basis - filters(values, alphas)) * reach, axis=1)
    assert (error <= 1e-2 * allowed).all()
    loose = filter_basis(values, reach, alphas, 1e-2, np.ones(60))
    assert loose.rank < found.rank
    size = np.linalg.norm(filters(values, alphas) * reach, axis=1)
    np.testing.assert_allclose(shares(values, reach, alphas), size / size.max())


def test_a_grid_that_needs_all_its_filters_is_plain():
    values = SPECTRA["power law"]
    for make in (filter_basis, pieced_basis):
        assert not make(values, np.sqrt(values), GRIDS["narrow"], 1e-2).plain
        assert make(values, np.sqrt(values), GRIDS["few"], 1e-12).plain


def test_the_least_eigenvalue_that_is_not_zero():
    values = torch.tensor([0.0, 1e-17, 0.5, 2.0], dtype=torch.float64)
    assert 1e-17 < floor(values) < 1e-14
    assert lowest(values) == 0.5
    assert lowest(torch.zeros(3)) == 0.0
