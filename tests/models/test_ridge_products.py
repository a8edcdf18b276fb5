"""Products by another library than torch's own."""

import pytest
import torch

from fusiform.models import precision
from fusiform.models.precision import DEEP, product


@pytest.fixture
def convolved(monkeypatch):
    """How often products were made as convolutions."""
    calls = []
    work = torch.nn.functional.conv2d
    monkeypatch.setattr(precision.functional, "conv2d", lambda *args: calls.append(1) or work(*args))
    return calls


@pytest.mark.parametrize("rows", [1, DEEP, DEEP + 45])
@pytest.mark.parametrize("depth", [1, DEEP, DEEP + 101])
@pytest.mark.parametrize("count", [1, 2 * DEEP])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_are_those_of_matrices(convolved, rows, depth, count, dtype):
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(rows, depth + 30, generator=generator, dtype=dtype)
    weight = torch.randn(depth, count, generator=generator, dtype=dtype).T  # both are parts of something larger
    found = product(wide[:, 20:-10], weight)
    slow = wide[:, 20:-10].double() @ weight.T.double()
    assert found.dtype == dtype
    assert found.shape == slow.shape
    assert found.is_contiguous()
    assert (found - slow).abs().max() <= 2 * torch.finfo(dtype).eps * depth**0.5 * slow.abs().max()
    assert len(convolved) == (dtype == torch.float32 and min(rows, depth, count) >= DEEP)


def test_convolutions_that_may_drop_digits_are_not_used(convolved, monkeypatch):
    monkeypatch.setattr(precision, "_convolves_exactly", lambda: False)
    rows = torch.ones(DEEP, DEEP)
    assert (product(rows, rows) == DEEP).all()
    assert not convolved


def test_who_allowed_convolutions_to_drop_digits_is_heeded():
    convolution = getattr(torch.backends.mkldnn, "conv", None)
    if convolution is None:
        pytest.skip("this torch has no such setting")
    before = convolution.fp32_precision
    convolution.fp32_precision = "bf16"
    try:
        assert not precision._convolves_exactly()
    finally:
        convolution.fp32_precision = before
    assert precision._convolves_exactly()
