import numpy as np
import pytest

from fusiform.data.spread import spread


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_unit_in_the_last_place_is_no_spread(kind):
    one = np.nextafter(kind(3), kind(4))
    assert spread(np.array([[3, 3, 0], [one, 4, 0]], dtype=kind)).tolist() == [0, 1, 0]


def test_integers_do_not_overflow():
    assert spread(np.array([[-30000], [30000]], dtype=np.int16)).tolist() == [60000]


def test_small_and_far_values_spread():
    assert spread(np.array([[1e9, 1e-200], [1e9 + 1, 2e-200]])).tolist() == [1, 1e-200]


def test_nan_is_not_constant():
    assert np.isnan(spread(np.array([[np.nan], [1.0]]))).all()
