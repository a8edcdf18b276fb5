"""Arrays packed into one tensor and out of it again."""

from typing import Any

import numpy as np
import torch

from fusiform.features.networks.packing import pack, unpack

ARRAYS: dict[str, Any] = {
    "frames": np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), dtype=np.uint8),  # 315 bytes: not a multiple of 8
    "samples": np.linspace(-1, 1, 11, dtype=np.float32),
    "times": np.array([0.5, np.pi]),
    "nothing": np.zeros((0, 3), np.float32),
    "ids": np.arange(-2, 3),
}


def test_arrays_come_back_as_they_were() -> None:
    found = unpack(pack(ARRAYS))
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].numpy().dtype == array.dtype
        np.testing.assert_array_equal(found[name].numpy(), array)


def test_they_survive_being_stacked_and_are_views() -> None:
    x = torch.stack([pack(ARRAYS)])
    found = unpack(x[0])
    assert found["frames"].untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    np.testing.assert_array_equal(found["times"], ARRAYS["times"])


def test_names_and_shapes_of_any_kind() -> None:
    arrays: dict[str, Any] = {"täglich": np.ones((2, 1, 4), np.float16), "one": np.array(7, dtype=np.int32)}
    for name, found in unpack(pack(arrays)).items():
        np.testing.assert_array_equal(found.numpy(), arrays[name])
