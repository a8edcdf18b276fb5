"""Features of pictures and of episodes, such as an extraction gives them."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from fusiform.data import Features
from fusiform.features.blocks import Block, features_of
from fusiform.features.exchange.episodes import RATE

EPISODES = ("bourne01", "chaplin1", "s01e02a", "s06e11b")


def episodes(rate: float = RATE, onset: float = 0.0, dtype: str = "float32") -> Features:
    """Two layers of four episodes of 5, 6, 7 and 8 rows."""
    random, rows = np.random.default_rng(0), [5, 6, 7, 8]
    arrays = {layer: random.standard_normal((26, width)).astype(dtype) for layer, width in (("a/b", 3), ("low", 2))}
    return features_of([Block(EPISODES, rows, [onset] * 4, arrays)], arrays, rate, False)


def pictures(views: int = 1) -> Features:
    """Two layers of seven pictures, the first with a grid."""
    random = np.random.default_rng(1)
    ids = [f"{number:03d}" for number in range(7)]
    arrays = {
        "conv1": random.standard_normal((7 * views, 2, 3, 3)).astype("float16"),
        "conv1/global": random.standard_normal((7 * views, 2)).astype("float16"),
    }
    return features_of([Block(ids, [views] * 7, [0.0] * 7, arrays)], arrays, None, False)


def check_same(one: Features, two: Features) -> None:
    """They hold the same in every respect."""
    pd.testing.assert_frame_equal(one.index, two.index)
    assert (one.rate, one.convolved) == (two.rate, two.convolved)
    assert set(one.arrays) == set(two.arrays)
    for layer, array in one.arrays.items():
        assert array.dtype == two.arrays[layer].dtype
        np.testing.assert_array_equal(array, two.arrays[layer])


@pytest.fixture
def made() -> dict[str, Callable[..., Features]]:
    return {"episodes": episodes, "pictures": pictures}


@pytest.fixture
def same() -> Callable[[Features, Features], None]:
    return check_same
