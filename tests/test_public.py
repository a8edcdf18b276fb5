import fusiform


def test_every_public_name_is_there_and_documented():
    assert fusiform.__all__ == sorted(fusiform.__all__)
    for name in fusiform.__all__:
        assert getattr(fusiform, name).__doc__, name
    assert dir(fusiform) == fusiform.__all__


def test_no_name_is_there_by_chance():
    assert set(fusiform._HOME) == set(fusiform.__all__)
    assert not hasattr(fusiform, "ridge_cv")
