"""bfloat16 against torch's own, and the other precisions against numpy's."""

import numpy as np
import pytest
import torch

from fusiform.features.precision import PRECISIONS, from_bits, rounded, to_bits

VALUES = np.concatenate(
    [
        np.random.default_rng(0).standard_normal(10_000).astype(np.float32) * 10.0 ** np.arange(-20, 20).repeat(250),
        np.array([0, -0.0, 1, 1.00390625, 1.01171875, 3.3e38, 3.4e38, np.inf, -np.inf, 1e-45, 65504, 7e4], np.float32),
    ]
).astype(np.float32)


def test_bfloat16_is_torchs() -> None:
    wanted = torch.from_numpy(VALUES).to(torch.bfloat16)
    np.testing.assert_array_equal(to_bits(VALUES), wanted.view(torch.uint16).numpy())
    np.testing.assert_array_equal(from_bits(to_bits(VALUES)), wanted.float().numpy())


def test_nan_stays_nan() -> None:
    odd = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001], np.uint32).view(np.float32)
    assert np.isnan(from_bits(to_bits(odd))).all()


def test_rounding_twice_is_rounding_once() -> None:
    for precision in PRECISIONS:
        once = rounded(VALUES, precision)
        np.testing.assert_array_equal(rounded(once.astype(np.float32), precision), once)


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_the_others_are_numpys(precision: str) -> None:
    with np.errstate(over="ignore"):
        wanted = VALUES.astype(precision)
    got = rounded(VALUES, precision)  # type: ignore[arg-type]
    assert got.dtype == precision
    np.testing.assert_array_equal(got, wanted)
