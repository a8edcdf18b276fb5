"""A few alphas that stand for a grid."""

import numpy as np
import pytest
import torch

from fusiform.models.nodes import make_nodes
from fusiform.models.spectra import filters

SPECTRA = {
    "flat": np.full(200, 50.0),
    "power": np.sort(1e6 / np.arange(1, 201.0)),
    "steep": np.logspace(-6, 6, 200),
    "low rank": np.concatenate([np.zeros(150), np.logspace(1, 4, 50)]),
    "one": np.array([3.0]),
}


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("tolerance", [1e-1, 1e-2, 1e-4])
@pytest.mark.parametrize("alphas", [np.logspace(1, 4, 60), np.logspace(-3, 8, 40), np.array([7.0])])
def test_mixed_filters_keep_the_tolerance_on_parts_of_the_samples(spectrum, tolerance, alphas):
    values = SPECTRA[spectrum]
    nodes, basis = make_nodes(torch.as_tensor(values), alphas, tolerance)
    assert np.isin(nodes, alphas).all()
    assert (np.diff(nodes) > 0).all()
    np.testing.assert_allclose(basis.basis, filters(values, nodes))
    kept = values[values > 0]
    for part in (
        kept,
        kept[::2],
        np.sqrt(kept[1:] * kept[:-1]),
        np.geomspace(kept[0], kept[-1], 30),
    ):  # eigenvalues that interlace
        wanted = part * filters(part, alphas)  # what a held-out sample as long as the others makes of them
        missed = part * (basis.mix @ filters(part, nodes)) - wanted
        share = np.linalg.norm(kept * filters(kept, alphas), axis=1)
        assert (np.linalg.norm(missed, axis=1) <= 1.5 * tolerance * share / share.max()).all()


def test_nodes_are_few_and_more_where_asked_to_be_exact():
    values, alphas = torch.as_tensor(SPECTRA["power"]), np.logspace(0, 5, 60)
    counts = [len(make_nodes(values, alphas, tolerance)[0]) for tolerance in (1e-1, 1e-2, 1e-4, 1e-12)]
    assert 3 <= counts[0] < counts[1] < counts[2] < counts[3] <= 60
    assert counts[1] < 14


def test_the_alphas_at_nodes_are_their_own():
    nodes, basis = make_nodes(torch.as_tensor(SPECTRA["steep"]), np.logspace(-2, 5, 30), 1e-2)
    at = np.searchsorted(np.logspace(-2, 5, 30), nodes)
    np.testing.assert_allclose(basis.mix[at], np.eye(len(nodes)), atol=1e-8)
    np.testing.assert_allclose(basis.basis @ basis.projection, np.eye(len(nodes)), atol=1e-5)
