"""Features out and in again, in every layout, and what is refused on the way."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from fusiform.data import Features
from fusiform.errors import DataError, LayoutError, SettingsError, UnknownNameError
from fusiform.features.exchange.episodes import RATE, episode_of, path_of
from fusiform.features.exchange.transfer import export_features, import_features
from fusiform.features.store import FeatureStore

Made = Mapping[str, Callable[..., Features]]
Same = Callable[[Features, Features], None]


class TestEpisodes:
    @pytest.mark.parametrize(
        ("episode", "path", "stems"),
        [
            ("s01e02a", "friends/s1/friends_s01e02a", ["s01e02a", "friends_s01e02a"]),
            ("bourne01", "movie10/bourne/bourne01", ["bourne01", "movie10_bourne01"]),
            ("chaplin1", "ood/chaplin/task-chaplin1_video", ["ood_chaplin1", "task-chaplin1_video"]),
            ("my film", "my film", ["my film"]),
        ],
    )
    def test_names_of_the_challenge(self, episode: str, path: str, stems: list[str]) -> None:
        assert path_of(episode) == path
        assert [episode_of(stem) for stem in [*stems, Path(path).name]] == [episode] * (len(stems) + 1)


class TestRoundTrips:
    @pytest.mark.parametrize("layout", ["npy", "h5", "tree"])
    def test_episodes_come_back(self, tmp_path: Path, store: FeatureStore, made: Made, same: Same, layout: str) -> None:
        export_features(made["episodes"](), tmp_path / "out", layout)
        folder = tmp_path / "out" / "Visual" / "run" if layout == "tree" else tmp_path / "out"
        same(import_features(folder, layout, store, name="back"), made["episodes"]())

    @pytest.mark.parametrize("layout", ["npy", "h5"])
    def test_so_do_other_rates_and_onsets(
        self, tmp_path: Path, store: FeatureStore, made: Made, same: Same, layout: str
    ) -> None:
        late = made["episodes"](rate=2.0, onset=0.3, dtype="float16")
        export_features(late, tmp_path / "out", layout)
        same(import_features(tmp_path / "out", layout, store, name="back"), late)
        late = Features(late.index, late.arrays, late.rate, frozenset(late.arrays))
        export_features(late, tmp_path / "late", layout)
        same(import_features(tmp_path / "late", layout, store, name="back"), late)
        assert len(store.names()) == 2

    @pytest.mark.parametrize("views", [1, 3])
    def test_so_do_pictures_and_their_views(
        self, tmp_path: Path, store: FeatureStore, made: Made, same: Same, views: int
    ) -> None:
        export_features(made["pictures"](views), tmp_path / "out", "npy")
        assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
            "conv1%2Fglobal.npy", "conv1.npy", "index.csv"
        ]  # fmt: skip
        same(import_features(tmp_path / "out", "npy", store, name="back"), made["pictures"](views))

    def test_and_out_of_the_store_again(self, tmp_path: Path, store: FeatureStore, made: Made, same: Same) -> None:
        export_features(made["episodes"](), tmp_path / "one", "h5")
        export_features(import_features(tmp_path / "one", "h5", store, name="back"), tmp_path / "two", "h5")
        files = sorted((tmp_path / "one").rglob("*.h5"))
        assert len(files) == 4
        for file in files:
            with h5py.File(file) as left, h5py.File(tmp_path / "two" / file.relative_to(tmp_path / "one")) as right:
                assert dict(left.attrs) == dict(right.attrs)
                for layer in left:
                    np.testing.assert_array_equal(left[layer][()], right[layer][()])


class TestStore:
    def test_they_are_ordinary_features_with_their_origin_in_the_key(
        self, tmp_path: Path, store: FeatureStore, made: Made
    ) -> None:
        export_features(made["episodes"](), tmp_path / "out", "npy")
        import_features(tmp_path / "out", "npy", store, name="theirs")
        (name,) = store.names()
        entry = store.entry(name)
        assert name.startswith("theirs-")
        assert entry.manifest["key"]["origin"]["layout"] == "npy"
        assert len(entry.manifest["key"]["origin"]["sha256"]) == 64
        assert (entry.summary()["rows"], entry.summary()["blocks"], entry.damaged()) == (26, 4, {})

    def test_changed_files_are_other_features(self, tmp_path: Path, store: FeatureStore, made: Made) -> None:
        export_features(made["episodes"](), tmp_path / "out", "npy")
        file = tmp_path / "out" / "low.npy"
        for number in range(2):
            np.save(file, np.load(file) + number)
            found = import_features(tmp_path / "out", "npy", store, name="theirs")
            np.testing.assert_array_equal(found.arrays["low"], np.load(file))
        assert len(store.names()) == 2

    def test_an_interrupted_import_goes_on(
        self, tmp_path: Path, store: FeatureStore, made: Made, same: Same, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from fusiform.features.store.entry import Entry

        export_features(made["episodes"](), tmp_path / "out", "npy")
        write, written = Entry.write, []

        def some(entry: Entry, number: int, block: Any, **settings: Any) -> None:
            if len(written) == 2:
                raise KeyboardInterrupt
            write(entry, number, block, **settings)
            written.append(number)

        with monkeypatch.context() as patch:
            patch.setattr(Entry, "write", some)
            with pytest.raises(KeyboardInterrupt):
                import_features(tmp_path / "out", "npy", store, name="back")
        assert store.entry(store.names()[0]).summary()["blocks"] == 2
        same(import_features(tmp_path / "out", "npy", store, name="back"), made["episodes"]())

    def test_some_layers_and_another_precision(self, tmp_path: Path, store: FeatureStore, made: Made) -> None:
        export_features(made["episodes"](), tmp_path / "out", "h5")
        found = import_features(tmp_path / "out", "h5", store, name="low", layers=["low"], dtype="bfloat16")
        assert list(found.arrays) == ["low"]
        wanted = torch.from_numpy(np.asarray(made["episodes"]().arrays["low"])).bfloat16().float()
        np.testing.assert_array_equal(found.arrays["low"], wanted)


class TestForeignFiles:
    """Files as others write them."""

    def test_a_file_per_episode_without_a_word_about_time(self, tmp_path: Path, store: FeatureStore) -> None:
        values = {"layers.12.fc2": np.ones((9, 4), np.float16), "layer_norm": np.ones((9, 1, 5), np.float16)}
        for name in ("friends/s1/friends_s01e01a", "movie10/bourne/bourne01"):
            path = tmp_path / "whisper" / f"{name}.h5"
            path.parent.mkdir(parents=True)
            with h5py.File(path, "w") as file:
                for layer, array in values.items():
                    file[layer] = array
        found = import_features(tmp_path / "whisper", "h5", store, name="whisper")
        assert found.rate == RATE
        assert found.index["stimulus"].unique().tolist() == ["bourne01", "s01e01a"]
        assert {layer: (array.shape, array.dtype) for layer, array in found.arrays.items()} == {
            "layer_norm": ((18, 5), np.float16),
            "layers.12.fc2": ((18, 4), np.float16),
        }
        assert found.index["start"].iloc[8] == pytest.approx(8 * 1.49)
        assert import_features(tmp_path / "whisper", "h5", store, name="whisper", rate=2.0).rate == 2.0

    def tree(self, folder: Path) -> Path:
        """Two runs of a tree as the movie system has it, one of .pt files."""
        for layer, width in (("aud_last", 4), ("thinker_12", 6)):
            for name in ("friends/s1/friends_s01e01a", "movie10/bourne/bourne01", "ood/wot/task-wot2_video"):
                path = folder / "Omni" / "Qwen2.5_3B" / "features_tr1.49" / layer / f"{name}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, np.full((7, width), len(name), np.float32))
        for name in ("friends/s1/friends_s01e01a", "movie10/bourne/movie10_bourne01", "ood/wot/ood_wot2"):
            path = folder / "Emotional" / "Qwen2.5_14_Full_tr1.49" / f"{name}.pt"
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(torch.full((1, 7, 3), 0.5, dtype=torch.bfloat16), path)
        return folder

    def test_runs_of_the_tree(self, tmp_path: Path, store: FeatureStore) -> None:
        folder = self.tree(tmp_path)
        run = folder / "Omni" / "Qwen2.5_3B" / "features_tr1.49"
        omni = import_features(run, "tree", store, name="omni")
        assert {layer: array.shape for layer, array in omni.arrays.items()} == {
            "aud_last": (21, 4), "thinker_12": (21, 6)
        }  # fmt: skip
        assert omni.index["stimulus"].unique().tolist() == ["bourne01", "s01e01a", "wot2"]
        assert omni.arrays["aud_last"][7, 0] == len("friends/s1/friends_s01e01a")
        mood = import_features(folder / "Emotional" / "Qwen2.5_14_Full_tr1.49", "tree", store, name="mood")
        assert {layer: array.shape for layer, array in mood.arrays.items()} == {"Qwen2.5_14_Full_tr1.49": (21, 3)}

    def test_the_whole_tree_at_once(self, tmp_path: Path, store: FeatureStore) -> None:
        found = import_features(self.tree(tmp_path / "tree"), "tree", store, name="all")
        assert list(found.arrays) == [
            "Emotional/Qwen2.5_14_Full_tr1.49",
            "Omni/Qwen2.5_3B/features_tr1.49/aud_last",
            "Omni/Qwen2.5_3B/features_tr1.49/thinker_12",
        ]

    def test_missing_episodes_are_named(self, tmp_path: Path, store: FeatureStore) -> None:
        run = self.tree(tmp_path) / "Omni" / "Qwen2.5_3B" / "features_tr1.49"
        (run / "thinker_12" / "movie10" / "bourne" / "bourne01.npy").unlink()
        with pytest.raises(DataError, match=r"layer 'thinker_12' lacks 1 of 3 episodes \(bourne01\)"):
            import_features(run, "tree", store, name="omni")
        assert len(import_features(run, "tree", store, name="omni", layers=["aud_last"])) == 21

    def test_two_files_of_an_episode_are_refused(self, tmp_path: Path, store: FeatureStore) -> None:
        run = self.tree(tmp_path) / "Omni" / "Qwen2.5_3B" / "features_tr1.49"
        np.save(run / "aud_last" / "s01e01a.npy", np.ones((7, 4), np.float32))
        with pytest.raises(DataError, match=r"friends_s01e01a.npy and .*s01e01a.npy are both of 's01e01a'"):
            import_features(run, "tree", store, name="omni", layers=["aud_last"])

    def test_pickled_objects_are_not_loaded(self, tmp_path: Path, store: FeatureStore) -> None:
        class Trap:
            def __reduce__(self) -> Any:
                return (pytest.fail, ("it was unpickled",))

        folder = tmp_path / "run"
        folder.mkdir()
        torch.save(Trap(), folder / "s01e01a.pt")
        with pytest.raises(LayoutError, match=r"s01e01a.pt cannot be read as an array of numbers \(UnpicklingError"):
            import_features(folder, "tree", store, name="trap")
        (folder / "s01e01a.pt").unlink()
        np.save(folder / "s01e01a.npy", np.array([Trap()]), allow_pickle=True)
        with pytest.raises(LayoutError, match=r"s01e01a.npy cannot be read"):
            import_features(folder, "tree", store, name="trap")
        assert store.names() == []

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            (torch.ones(5), r"has the shape \(5,\); wanted \[rows, D\]"),
            (torch.ones(0, 4), r"has the shape \(0, 4\); wanted \[rows, D\]"),
            (torch.ones(5, 4, dtype=torch.int64), "numbers of the type int64"),
            (torch.full((5, 4), torch.nan), "'run' of 's01e02a' holds NaN"),
            (torch.ones(5, 3), r"'run' of 's01e02a' has the shape \(5, 3\); wanted \[rows, 4\]"),
            ({"x": torch.ones(5, 4)}, "it holds a dict, wanted one tensor"),
        ],
    )
    def test_what_does_not_fit_is_named_before_anything_is_kept(
        self, tmp_path: Path, store: FeatureStore, values: Any, said: str
    ) -> None:
        folder = tmp_path / "run"
        folder.mkdir()
        torch.save(torch.ones(5, 4), folder / "s01e01a.pt")
        torch.save(values, folder / "s01e02a.pt")
        with pytest.raises((DataError, LayoutError), match=said):
            import_features(folder, "tree", store, name="odd")
        assert store.names() == []

    def test_layers_with_rows_of_their_own(self, tmp_path: Path, store: FeatureStore) -> None:
        for layer, rows in (("a", 5), ("b", 6)):
            (tmp_path / "run" / layer).mkdir(parents=True)
            np.save(tmp_path / "run" / layer / "s01e01a.npy", np.ones((rows, 2), np.float32))
        with pytest.raises(DataError, match=r"'s01e01a' has 6 rows of layer 'b' and 5 of 'a'.*import them apart"):
            import_features(tmp_path / "run", "tree", store, name="odd")

    def test_episodes_without_a_layer(self, tmp_path: Path, store: FeatureStore) -> None:
        for episode, layers in (("s01e01a", ("a", "b")), ("s01e01b", ("a",))):
            with h5py.File(tmp_path / f"{episode}.h5", "w") as file:
                for layer in layers:
                    file[layer] = np.ones((3, 2), np.float32)
        with pytest.raises(DataError, match=r"1 of 2 episodes lack layer 'b' \(s01e01b\)"):
            import_features(tmp_path, "h5", store, name="odd")
        (tmp_path / "s01e01a.h5").write_bytes(b"no hdf")
        with pytest.raises(LayoutError, match=r"s01e01a.h5 cannot be read as HDF5"):
            import_features(tmp_path, "h5", store, name="odd")


class TestRefusals:
    def test_tables_that_do_not_fit(self, tmp_path: Path, store: FeatureStore, made: Made) -> None:
        export_features(made["pictures"](), tmp_path / "out", "npy")
        index = pd.read_csv(tmp_path / "out" / "index.csv")
        for table, error, said in (
            (index.iloc[:5], DataError, r"shape \(7, 2\); wanted \[5, ...\]"),
            (index.rename(columns={"stimulus": "id"}), LayoutError, "the columns id; wanted one called stimulus"),
            (index.assign(stimulus=list("abacdef")), DataError, "the rows of 'a' do not stand together"),
            (index.assign(start=0.0), LayoutError, "rows in time and no timing.json; give their rate"),
        ):
            table.to_csv(tmp_path / "out" / "index.csv", index=False)
            with pytest.raises(error, match=said):
                import_features(tmp_path / "out", "npy", store, name="odd")
        (tmp_path / "out" / "index.csv").unlink()
        with pytest.raises(LayoutError, match=r"index.csv cannot be read"):
            import_features(tmp_path / "out", "npy", store, name="odd")

    def test_names_that_are_not_there(self, tmp_path: Path, store: FeatureStore, made: Made) -> None:
        export_features(made["pictures"](), tmp_path / "out", "npy")
        with pytest.raises(UnknownNameError, match=r"no layer 'conv' .did you mean 'conv1'"):
            import_features(tmp_path / "out", "npy", store, name="odd", layers=["conv"])
        with pytest.raises(SettingsError, match=r"unknown layout 'numpy' .did you mean 'npy'"):
            import_features(tmp_path / "out", "numpy", store, name="odd")
        with pytest.raises(SettingsError, match="unknown dtype 'float8'"):
            import_features(tmp_path / "out", "npy", store, name="odd", dtype="float8")  # type: ignore[arg-type]
        with pytest.raises(LayoutError, match="no features of this layout"):
            import_features(tmp_path / "out", "h5", store, name="odd")
        with pytest.raises(LayoutError, match="there is no folder"):
            import_features(tmp_path / "none", "npy", store, name="odd")

    def test_exports_that_cannot_be(self, tmp_path: Path, made: Made) -> None:
        episodes = made["episodes"]()
        for features, layout, settings, said in (
            (made["pictures"](), "h5", {}, "these features have no time; use npy"),
            (
                made["episodes"](rate=2.0),
                "tree",
                {},
                r"row per volume \(0.6711 Hz\), .* have 2.0000 Hz",
            ),
            (made["episodes"](onset=3.0), "tree", {}, "begins at 3 s"),
            (episodes, "tree", {"group": "Visuals"}, "unknown group 'Visuals' .did you mean 'Visual'"),
            (episodes, "csv", {}, "unknown layout 'csv'"),
            (Features(episodes.index, episodes.arrays, RATE, frozenset(["low"])), "npy", {}, "only some layers went"),
        ):
            with pytest.raises(SettingsError, match=said):
                export_features(features, tmp_path / "out", layout, **settings)
            assert not (tmp_path / "out").exists()
        long = Features(episodes.index, {"a" * 300: episodes.arrays["low"]}, RATE)
        for layout in ("npy", "tree"):
            with pytest.raises(LayoutError, match=r"cannot write .*out \(File name too long\); .* use the layout h5"):
                export_features(long, tmp_path / "out", layout)
            assert not (tmp_path / "out").exists()
        export_features(long, tmp_path / "h5", "h5")
        (tmp_path / "out").mkdir()
        with pytest.raises(SettingsError, match="is there already"):
            export_features(episodes, tmp_path / "out", "npy")
