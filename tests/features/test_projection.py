"""Random projections and principal components against scikit-learn, and as reductions of an extraction."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.random_projection import SparseRandomProjection

from fusiform.data import Features, Stimuli
from fusiform.errors import DataError, SettingsError, StoreError
from fusiform.features import projection
from fusiform.features.baselines.image import Pixels
from fusiform.features.baselines.language import Words
from fusiform.features.extract import extract
from fusiform.features.projection import RandomProjection, fit_components
from fusiform.features.store import FeatureStore
from fusiform.features.tokens import Backbone

Pictures = Callable[[int], Stimuli]
pytestmark = pytest.mark.usefixtures("small_blocks")


def split(stimuli: Stimuli, train: int) -> Stimuli:
    """The same stimuli, of which the first ones are for training."""
    parts = ["train"] * train + ["test"] * (len(stimuli) - train)
    return Stimuli(stimuli.name, stimuli.kind, stimuli.table.assign(split=parts), stimuli.loader)


def rows(count: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(count).standard_normal((count, *shape)).astype(np.float32)


def features(**arrays: NDArray[Any]) -> Features:
    import pandas as pd

    count = len(next(iter(arrays.values())))
    return Features(pd.DataFrame({"stimulus": [f"im{number}" for number in range(count)]}), arrays)


class TestRandomProjection:
    def test_is_scikit_learns_with_the_same_matrix(self) -> None:
        project, values = RandomProjection(20, 3), rows(7, 5, 6, 6)
        got = project("conv", values)
        theirs = SparseRandomProjection(20).fit(np.zeros((1, 180)))
        theirs.components_ = project._matrices["conv"]
        np.testing.assert_allclose(got, theirs.transform(values.reshape(7, -1)), rtol=1e-5, atol=1e-5)

    def test_has_the_distribution_of_scikit_learns(self) -> None:
        width, size = 2500, 400
        project = RandomProjection(size, 0)
        project("a", rows(1, width))
        matrix = project._matrices["a"]
        theirs = SparseRandomProjection(size, random_state=0).fit(np.zeros((1, width))).components_
        np.testing.assert_allclose(np.unique(np.abs(matrix.data)), np.unique(np.abs(theirs.data)), rtol=1e-6)
        assert abs(matrix.nnz / theirs.nnz - 1) < 0.05
        assert abs(float(np.mean(matrix.data > 0)) - 0.5) < 0.02

    def test_lengths_keep_their_expectation(self) -> None:
        values = rows(50, 3000)
        lengths = np.square(RandomProjection(800, 1)("a", values)).sum(1) / np.square(values).sum(1)
        assert abs(lengths.mean() - 1) < 0.02

    def test_depends_on_seed_and_layer_and_nothing_else(self) -> None:
        values = rows(6, 40)
        one = RandomProjection(9, 0)("a", values)
        np.testing.assert_array_equal(one[2:4], RandomProjection(9, 0)("a", values[2:4]))
        for other in (RandomProjection(9, 1)("a", values), RandomProjection(9, 0)("b", values)):
            assert np.abs(one - other).max() > 0.1

    def test_takes_what_was_drawn_before(self) -> None:
        project, values = RandomProjection(9, 0), rows(6, 40)
        wanted = project("a/global", values)
        arrays = project.arrays()
        arrays["a/global/values"] = 2 * arrays["a/global/values"]
        np.testing.assert_allclose(RandomProjection(9, 0, arrays)("a/global", values), 2 * wanted, rtol=1e-6)
        with pytest.raises(DataError, match=r"rows of layer 'a/global' have 41 numbers; .* takes 40"):
            RandomProjection(9, 0, arrays)("a/global", rows(2, 41))


class TestPrincipalComponents:
    @pytest.mark.parametrize(("count", "width"), [(200, 30), (20, 60)])
    def test_are_scikit_learns(self, count: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(projection, "_BATCH_BYTES", 7 * 8 * width)  # seven rows at once
        values = rows(count, width) @ np.diag(np.linspace(3, 0.1, width)).astype(np.float32) + 1000
        fitted = fit_components(features(a=values), np.ones(count, bool), 5)
        theirs = PCA(5, svd_solver="full").fit(values.astype(np.float64))
        signs = np.sign(np.sum(theirs.components_ * fitted.arrays["a/components"], axis=1))
        np.testing.assert_allclose(fitted.arrays["a/components"], signs[:, None] * theirs.components_, atol=1e-8)
        np.testing.assert_allclose(fitted.arrays["a/variance_ratio"], theirs.explained_variance_ratio_, rtol=1e-8)
        np.testing.assert_allclose(fitted("a", values), signs * theirs.transform(values), atol=1e-3)

    def test_signs_are_fixed(self) -> None:
        values = rows(50, 8)
        for array in (values, -values):
            parts = fit_components(features(a=array), np.ones(50, bool), 3).arrays["a/components"]
            assert (parts[np.arange(3), np.abs(parts).argmax(1)] > 0).all()

    def test_rows_that_were_not_chosen_play_no_part(self) -> None:
        values, chosen = rows(60, 2, 5), np.arange(60) < 40
        changed = values.copy()
        changed[40:] = 1e6
        one, two = (fit_components(features(a=array), chosen, 4).arrays for array in (values, changed))
        for name, array in one.items():
            np.testing.assert_array_equal(array, two[name])

    def test_rows_that_are_all_the_same_have_no_components(self) -> None:
        fitted = fit_components(features(a=np.ones((9, 4), np.float32)), np.ones(9, bool), 2)
        np.testing.assert_array_equal(fitted.arrays["a/variance_ratio"], 0)
        np.testing.assert_array_equal(fitted("a", np.ones((3, 4))), 0)

    def test_too_many_components_and_too_wide_rows(self) -> None:
        with pytest.raises(SettingsError, match=r"pca:5 of layer 'a' needs at least 6 training rows .* there are 5 of"):
            fit_components(features(a=rows(5, 9)), np.ones(5, bool), 5)
        with pytest.raises(SettingsError, match=r"'a': its rows have 5000 numbers.*e\.g\. mean\+pca:64"):
            fit_components(features(a=rows(5, 5000)), np.ones(5, bool), 2)


class TestExtraction:
    def test_projects_whole_maps(self, store: FeatureStore, backbone: Backbone, pictures: Pictures) -> None:
        whole = extract(pictures(10), backbone)
        found = extract(pictures(10), backbone, store, reduce="project:7:5", batch_size=3)
        project = RandomProjection(7, 5)
        for layer, array in found.arrays.items():
            np.testing.assert_allclose(array, project(layer, np.asarray(whole.arrays[layer])), rtol=1e-4, atol=1e-5)
        again = extract(pictures(10), backbone, reduce="project:7:5").arrays
        np.testing.assert_allclose(found.arrays["0"], again["0"], rtol=1e-4, atol=1e-5)

    def test_its_matrix_is_kept_and_used_for_later_rows(
        self, store: FeatureStore, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        extract(pictures(10), Pixels(4), store, reduce="project:7", shard=(0, 2))
        kept = store.entry(store.names()[0]).reduction()
        wanted = extract(pictures(10), Pixels(4), reduce="project:7").arrays["pixels"]
        monkeypatch.setattr(RandomProjection, "_draw", lambda *_: pytest.fail("drawn anew"))
        found = extract(pictures(10), Pixels(4), store, reduce="project:7", shard=(1, 2))
        assert kept["pixels/width"] == [48]
        np.testing.assert_allclose(found.arrays["pixels"], np.asarray(wanted)[4:8], rtol=1e-5)

    @pytest.mark.parametrize("how", ["in memory", "stored", "shards"])
    def test_components_of_training_rows(
        self, store: FeatureStore, backbone: Backbone, pictures: Pictures, how: str
    ) -> None:
        stimuli = split(pictures(18), 12)
        means = extract(stimuli, backbone, reduce="mean")
        if how == "shards":
            with pytest.raises(StoreError, match=r"all training rows, and some are still missing .*run this one again"):
                extract(stimuli, backbone, store, reduce="mean+pca:3", shard=(0, 2))
            parts = [extract(stimuli, backbone, store, reduce="mean+pca:3", shard=(i, 2)) for i in (1, 0)]
            assert [len(part) for part in parts] == [8, 10]
        found = extract(stimuli, backbone, None if how == "in memory" else store, reduce="mean+pca:3", dtype="float32")
        for layer, array in found.arrays.items():
            values = np.asarray(means.arrays[layer], np.float64)
            theirs = PCA(3).fit(values[:12]).transform(values)
            np.testing.assert_allclose(np.abs(array[:]), np.abs(theirs), atol=1e-5)

    def test_the_fit_is_kept_and_read(self, store: FeatureStore, pictures: Pictures) -> None:
        stimuli = split(pictures(10), 8)
        extract(stimuli, Pixels(4), store, reduce="mean+pca:2", dtype="float16")
        (name,) = [name for name in store.names() if "pca" in str(store.entry(name).manifest["key"]["reduce"])]
        entry = store.entry(name)
        assert entry.manifest["key"]["fitted_on"]["count"] == 8
        assert set(entry.reduction()) == {"pixels/mean", "pixels/components", "pixels/variance_ratio"}
        block = entry.folder / "blocks" / "00001"
        whole = {file: file.read_bytes() for file in block.rglob("*") if file.is_file()}
        for file in whole:
            file.unlink()
        extract(stimuli, Pixels(4), store, reduce="mean+pca:2", dtype="float16")
        assert {file: file.read_bytes() for file in whole} == whole

    def test_other_training_rows_are_other_features(self, store: FeatureStore, pictures: Pictures) -> None:
        for train in (8, 9):
            extract(split(pictures(10), train), Pixels(4), store, reduce="mean+pca:2")
        assert len(store.names()) == 3  # the means are shared

    def test_without_a_split_nothing_is_fitted(self, store: FeatureStore, pictures: Pictures) -> None:
        for place in (store, None):
            with pytest.raises(SettingsError, match=r"training rows only, and stimuli 'toys' have no column 'split'"):
                extract(pictures(10), Pixels(4), place, reduce="mean+pca:2")

    def test_wide_rows_are_refused_before_the_pass(self, store: FeatureStore, pictures: Pictures) -> None:
        with pytest.raises(SettingsError, match="4800 numbers"):
            extract(split(pictures(10), 8), Pixels(40), store, reduce="pca:2")
        assert store.names() == []
        found = extract(split(pictures(10), 8), Pixels(40), store, reduce="project:50+pca:2")
        assert found.arrays["pixels"].shape == (10, 2)

    def test_of_recordings(self, store: FeatureStore, stories: Stimuli) -> None:
        stories = Stimuli("stories", "recording", stories.table.assign(split="train"), stories.loader)
        found = extract(stories, Words(2.0, None), store, reduce="project:3+pca:2")
        assert {array.shape for array in found.arrays.values()} == {(32, 2)}
        assert found.index["start"].tolist() == extract(stories, Words(2.0, None)).index["start"].tolist()

    def test_components_of_a_stimulus_that_was_skipped_and_repaired(
        self, pictures: Pictures, store: FeatureStore
    ) -> None:
        whole = split(pictures(10), 8)

        def torn(id: str) -> Any:
            if id == "im3":
                raise ValueError("torn")
            return whole.loader(id)

        damaged = Stimuli(whole.name, whole.kind, whole.table, torn)
        with pytest.warns(UserWarning, match="1 of 10 stimuli were skipped"):
            extract(damaged, Pixels(4), store, reduce="mean+pca:2", on_error="skip")
        found = extract(whole, Pixels(4), store, reduce="mean+pca:2").arrays["pixels"]
        np.testing.assert_allclose(found, extract(whole, Pixels(4), reduce="mean+pca:2").arrays["pixels"], atol=1e-6)

    @pytest.mark.parametrize("reduce", ["project:7", "mean+pca:2"])
    def test_damage_of_what_was_kept_is_found_and_mended(
        self, store: FeatureStore, pictures: Pictures, reduce: str
    ) -> None:
        stimuli = split(pictures(10), 8)
        wanted = extract(stimuli, Pixels(4), store, reduce=reduce).arrays["pixels"][:]
        (entry,) = [entry for name in store.names() if (entry := store.entry(name)).reduction()]
        chunk = next(file for file in (entry.folder / "reduction").rglob("c/*") if file.is_file())
        data = bytearray(chunk.read_bytes())
        data[3] ^= 1
        chunk.write_bytes(data)
        with pytest.raises(StoreError, match=r"reduction of .* is damaged"):
            extract(stimuli, Pixels(4), store, reduce=reduce)
        mended = extract(stimuli, Pixels(4), store, reduce=reduce, verify=True).arrays["pixels"][:]
        np.testing.assert_array_equal(mended, wanted)
        assert not entry.damaged_reduction()
