import numpy as np
import pytest
import zarr

from fusiform.errors import DataError
from fusiform.models.ridge import BandedRidgeCV
from fusiform.models.side_by_side import side_by_side

WIDTHS = {"a": 3, "b": 1, "c": 5}


def bands(rng, n=12):
    return {name: rng.standard_normal((n, width)).astype(np.float32) for name, width in WIDTHS.items()}


def on_disk(X, folder):
    for name, values in X.items():
        np.save(folder / f"{name}.npy", values)
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in X}


def test_every_slice_is_that_of_the_bands_joined(rng):
    X = bands(rng)
    joined, (seen, columns) = np.hstack(list(X.values())), side_by_side(X)
    assert seen.shape == (12, 9)
    assert columns == {"a": slice(0, 3), "b": slice(3, 4), "c": slice(4, 9)}
    np.testing.assert_array_equal(seen[2:7], joined[2:7])
    for start in range(9):
        for stop in range(start + 1, 11):
            np.testing.assert_array_equal(seen[:, start:stop], joined[:, start:stop])


def test_its_type_holds_all_numbers(rng):
    X = bands(rng)
    assert side_by_side(X)[0].dtype == np.float32
    assert side_by_side({**X, "b": X["b"].astype(np.float64)})[0].dtype == np.float64


@pytest.mark.parametrize("n", [60, 8])
@pytest.mark.parametrize("kind", ["memory map", "zarr"])
def test_bands_on_disk_are_fitted_without_being_loaded(rng, tmp_path, n, kind):
    X, Y = bands(rng, n), rng.standard_normal((n, 4))
    lazy = on_disk(X, tmp_path) if kind == "memory map" else {name: zarr.array(part) for name, part in X.items()}
    assert all(part is lazy[name] for name, part in zip(X, side_by_side(lazy)[0].parts, strict=True))
    settings = {"n_candidates": 3, "cv": 4, "memory_limit": 2**30}
    whole, model = BandedRidgeCV(**settings).fit(X, Y), BandedRidgeCV(**settings).fit(lazy, Y)
    assert BandedRidgeCV(**settings).explain(lazy, Y) == whole.plan_
    np.testing.assert_allclose(model.predict(lazy), whole.predict(X), rtol=1e-6)
    np.testing.assert_array_equal(model.cv_scores_, whole.cv_scores_)


def test_what_is_not_finite_on_disk_is_refused(rng, tmp_path):
    X = bands(rng, 60)
    X["b"][3] = np.nan
    with pytest.raises(DataError, match="NaN"):
        BandedRidgeCV(n_candidates=2).fit(on_disk(X, tmp_path), rng.standard_normal((60, 2)))


def test_tables_are_wanted(rng, tmp_path):
    np.save(tmp_path / "flat.npy", np.zeros(12, np.float32))
    flat = np.load(tmp_path / "flat.npy", mmap_mode="r")
    with pytest.raises(DataError, match="band 'b' has the shape"):
        side_by_side({**bands(rng), "b": flat})
