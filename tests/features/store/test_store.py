"""The feature store: keys, resuming, damage, reading."""

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pytest
import torch
import zarr
from PIL import Image
from torch import Tensor

from fusiform.data import Stimuli
from fusiform.errors import DataError, MissingExtraError, SettingsError, StoreError
from fusiform.features.baselines.audio import Tracks
from fusiform.features.baselines.image import Pixels
from fusiform.features.baselines.language import Words
from fusiform.features.blocks import Block
from fusiform.features.extract import extract
from fusiform.features.forward import Forward
from fusiform.features.preprocess import Picture
from fusiform.features.store import Entry, FeatureStore, blockfiles, digest_of, key_of
from fusiform.features.tokens import Backbone, Tokens, as_backbone, hook_layers

Pictures = Callable[[int], Stimuli]
pytestmark = pytest.mark.usefixtures("small_blocks")


def only(store: FeatureStore) -> Entry:
    (name,) = store.names()
    return store.entry(name)


def contents(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


class Never(Pixels):
    """Pixels, of pictures that must not be looked at twice."""

    seen = 0

    def get_tokens(self, x: Tensor) -> Tokens:
        Never.seen += len(x)
        return super().get_tokens(x)


class TestReading:
    def test_gives_what_memory_gives(self, store: FeatureStore, backbone: Backbone, pictures: Pictures) -> None:
        stored, held = (extract(pictures(10), backbone, place) for place in (store, None))
        pd.testing.assert_frame_equal(stored.index, held.index)
        assert list(stored.arrays) == list(held.arrays) == ["0", "1", "0/global", "1/global"]
        for layer, values in held.arrays.items():
            np.testing.assert_allclose(stored.arrays[layer], values, atol=1e-6)

    @pytest.mark.parametrize(
        "index",
        [0, -1, 9, slice(None), slice(3, 9), slice(8, 1, -3), slice(4, 4), [9, 0, 3, 3], np.array([[1, 8], [5, 5]]),
         np.arange(10) % 3 == 0, (slice(2, 6), 1), ([1, 9], slice(None), 0), np.int64(7), ...],
    )  # fmt: skip
    def test_reads_any_rows_as_numpy_would(self, store: FeatureStore, pictures: Pictures, index: Any) -> None:
        array = extract(pictures(10), Pixels(4), store).arrays["pixels"]
        whole = np.asarray(extract(pictures(10), Pixels(4)).arrays["pixels"])
        got, wanted = array[index], whole[index]
        assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
        np.testing.assert_array_equal(got, wanted)

    def test_rows_out_of_range_are_an_index_error(self, store: FeatureStore, pictures: Pictures) -> None:
        array = extract(pictures(10), Pixels(4), store).arrays["pixels"]
        with pytest.raises(IndexError):
            array[10]

    def test_opens_only_what_is_asked_for(self, store: FeatureStore, pictures: Pictures) -> None:
        array = extract(pictures(10), Pixels(4), store).arrays["pixels"]
        for number in (0, 2):
            shutil.rmtree(only(store).folder / "blocks" / f"{number:05d}")
        assert array[4:8].shape == (4, 3, 4, 4)

    def test_a_loop_over_batches_holds_a_batch(self, store: FeatureStore, pictures: Pictures) -> None:
        array = extract(pictures(64), Pixels(64), store).arrays["pixels"]
        order = np.random.default_rng(0).permutation(64).reshape(-1, 4)
        tracemalloc.start()
        for rows in order:
            batch = array[rows]
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert held < 5 * batch.nbytes < array[:].nbytes / 3

    def test_other_processes_can_be_handed_features(self, store: FeatureStore, pictures: Pictures) -> None:
        features = extract(pictures(10), Pixels(4), store)
        again = pickle.loads(pickle.dumps(features))
        np.testing.assert_array_equal(again.arrays["pixels"][[8, 1]], features.arrays["pixels"][[8, 1]])

    def test_is_plain_zarr(self, store: FeatureStore, backbone: Backbone, pictures: Pictures) -> None:
        features = extract(pictures(6), backbone, store)
        group = zarr.open_group(only(store).folder / "blocks" / "00001", mode="r")
        assert sorted(group.array_keys()) == ["0", "0%2Fglobal", "1", "1%2Fglobal"]
        np.testing.assert_array_equal(group["0%2Fglobal"], features.arrays["0/global"][4:])
        assert group.attrs["stimuli"] == ["im4", "im5"]

    def test_layers_keep_the_order_of_the_network(self, store: FeatureStore, pictures: Pictures) -> None:
        """Twelve layers called by their numbers: as text, 10 would come before 2."""
        names = [str(number) for number in range(12)]

        class Deep(Pixels):
            name = "deep"

            def get_tokens(self, x: Tensor) -> Tokens:
                return Tokens({name: x + int(name) for name in names}, {})

        for place in (None, store, store):
            found = extract(pictures(5), Deep(4), place)
            assert list(found.arrays) == names
            for number, array in enumerate(found.arrays.values()):
                np.testing.assert_allclose(array, np.asarray(found.arrays["0"]) + number, atol=1e-5)

    def test_layers_come_in_the_order_that_is_asked_for(
        self, store: FeatureStore, backbone: Backbone, pictures: Pictures
    ) -> None:
        for order in (["1", "0"], ["0", "1"], ["1", "0"]):
            for place in (store, None):
                assert list(extract(pictures(5), backbone, place, layers=order).arrays) == order
        assert len(store.names()) == 1

    def test_layers_of_any_name_are_kept(self, store: FeatureStore, pictures: Pictures) -> None:
        """Disks take 255 bytes for the name of a folder, and "/" and letters beyond ASCII need several."""
        names = ["x" * 300 + "1", "x" * 300 + "2", "y" * 255, "\u00e9" * 50, "a/b" * 100]

        class Named(Pixels):
            name = "n" * 400

            def get_tokens(self, x: Tensor) -> Tokens:
                return Tokens({name: x + number for number, name in enumerate(names)}, {})

        for reduce in (None, "project:3"):
            stored, held = (extract(pictures(6), Named(4), place, reduce=reduce).arrays for place in (store, None))
            assert list(stored) == names
            for name, values in held.items():
                np.testing.assert_allclose(stored[name], values, atol=1e-4)
            extract(pictures(6), Named(4), store, reduce=reduce)  # with what was kept of the projection
        group = zarr.open_group(next(store.folder.glob("*/blocks/00001")), mode="r")
        assert len(list(group.array_keys())) == len(names)

    def test_large_and_small_rows(self, store: FeatureStore, pictures: Pictures) -> None:
        for size in (1, 12, 150):  # 12 B: many rows a chunk; 264 KiB: a chunk each
            stored, held = (extract(pictures(9), Pixels(size), place).arrays["pixels"] for place in (store, None))
            np.testing.assert_array_equal(stored, held)

    def test_time_comes_back(self, store: FeatureStore, stories: Stimuli) -> None:
        stored, held = (extract(stories, Words(2.0, None), place) for place in (store, None))
        pd.testing.assert_frame_equal(stored.index, held.index)
        assert stored.rate == 2.0
        np.testing.assert_array_equal(stored.arrays["rate"], held.arrays["rate"])
        tracks = Tracks("late", rate=0.5, hemodynamic=True)
        late = extract(stories.select(["long"]), tracks, store)
        assert (late.convolved, late.index["start"][0]) == ({"late"}, 3.0)


class TestKey:
    def test_the_manifest_can_be_read_by_a_person(self, store: FeatureStore, pictures: Pictures) -> None:
        extract(pictures(6), Pixels(4), store, reduce="mean", dtype="float16")
        (name,) = store.names()
        assert name.startswith("pixels-")
        manifest = json.loads((store.folder / name / "manifest.json").read_text())
        key = manifest["key"]
        assert {part: key[part] for part in ("backbone", "revision", "layers", "reduce", "dtype")} == {
            "backbone": "pixels", "revision": "1", "layers": "all", "reduce": "mean", "dtype": "float16"
        }  # fmt: skip
        assert key["settings"]["preprocess"]["size"] == 4
        assert (key["stimuli"]["name"], key["stimuli"]["count"]) == ("toys", 6)
        assert manifest["stimuli"] == [f"im{number}" for number in range(6)]

    def test_every_setting_that_changes_numbers_has_rows_of_its_own(
        self, store: FeatureStore, pictures: Pictures, small_net: Any
    ) -> None:
        six, small = pictures(6), Picture(8, normalise="none")
        other_name = Stimuli("others", "image", six.table, six.loader)
        calls: list[tuple[Stimuli, Backbone, dict[str, Any]]] = [
            (six, Pixels(4), {}),
            (six, Pixels(5), {}),
            (six, Pixels(4, colour=False), {}),
            (six, Pixels(4), {"reduce": "mean"}),
            (six, Pixels(4), {"dtype": "float16"}),
            (six, Pixels(4), {"layers": ["pixels"]}),
            (pictures(5), Pixels(4), {}),
            (six.select(six.ids[::-1]), Pixels(4), {}),
            (other_name, Pixels(4), {}),
            (six, hook_layers(small_net, ["first"], name="net", preprocess=small), {}),
            (six, hook_layers(small_net, ["first"], name="net", preprocess=Picture(9, normalise="none")), {}),
            (six, hook_layers(small_net, ["second"], name="net", preprocess=small), {}),
        ]
        for stimuli, backbone, settings in calls:
            extract(stimuli, backbone, store, **settings)
        with torch.no_grad():
            small_net.first.bias += 1
        extract(six, hook_layers(small_net, ["first"], name="net", preprocess=small), store)
        assert len(store.names()) == len(calls) + 1

    def test_pictures_of_equal_sums_have_rows_of_their_own(self, store: FeatureStore, backbone: Backbone) -> None:
        """One picture turned four ways: what is known by the sum of its pixels would be one of them four times."""
        pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        turned = {f"im{quarters}": np.rot90(pixels, quarters).copy() for quarters in range(4)}
        assert len({int(values.sum()) for values in turned.values()}) == 1
        index = pd.DataFrame(index=list(turned))
        stimuli = Stimuli("turned", "image", index, lambda id: Image.fromarray(turned[id]))
        stored, held = (extract(stimuli, backbone, place) for place in (store, None))
        for layer, values in held.arrays.items():
            assert len(np.unique(np.asarray(values).reshape(4, -1).round(5), axis=0)) == 4
            np.testing.assert_allclose(stored.arrays[layer], values, atol=1e-6)

    def test_settings_that_change_nothing_share_rows(self, store: FeatureStore, pictures: Pictures) -> None:
        extract(pictures(6), Never(4), store, batch_size=2)
        Never.seen = 0
        extract(pictures(6), Never(4), store, batch_size=5, device="cpu")
        assert Never.seen == 1  # the first one, to see that it is as it was
        assert len(store.names()) == 1

    def test_a_change_that_the_key_cannot_see_is_noticed(self, store: FeatureStore, pictures: Pictures) -> None:
        class Edited(Pixels):
            def get_tokens(self, x: Tensor) -> Tokens:
                return Tokens({"pixels": 1.1 * x}, {})

        extract(pictures(6), Pixels(4), store)
        with pytest.raises(StoreError, match=r"'im0' now has another layer 'pixels' .* another revision"):
            extract(pictures(6), Edited(4), store)

    def test_float_noise_is_no_change(self, store: FeatureStore, pictures: Pictures) -> None:
        class Noisy(Pixels):
            def get_tokens(self, x: Tensor) -> Tokens:
                return Tokens({"pixels": x + 1e-4}, {})

        extract(pictures(6), Pixels(4), store)
        extract(pictures(6), Noisy(4), store)

    def test_a_manifest_under_a_wrong_name_is_refused(self, store: FeatureStore, pictures: Pictures) -> None:
        extract(pictures(6), Pixels(4), store)
        extract(pictures(6), Pixels(5), store)
        one, two = (store.folder / name for name in store.names())
        shutil.copy(one / "manifest.json", two / "manifest.json")
        wrong = 4 if "4" in str(json.loads((one / "manifest.json").read_text())["key"]["settings"]) else 5
        with pytest.raises(StoreError, match="another key than the folder's name says"):
            extract(pictures(6), Pixels(9 - wrong), store)

    @pytest.mark.parametrize("settings", [5, "window", None, ["window", 8]])
    def test_settings_are_a_mapping(
        self, store: FeatureStore, pictures: Pictures, published: Any, settings: Any
    ) -> None:
        odd = Pixels(4)
        odd.settings = settings
        with pytest.raises(SettingsError, match=r"`settings` of backbone 'pixels' is .*; wanted a mapping"):
            extract(pictures(1), odd, store)
        if settings is not None:
            with pytest.raises(SettingsError, match=r"settings of 'mine' are .*; wanted a mapping"):
                as_backbone(published, name="mine", settings=settings)

    def test_paths_and_odd_names_fit_into_a_key(self, pictures: Pictures, published: Any) -> None:
        odd = as_backbone(published, name="a/b: c?", settings={"file": Path("x")})
        assert key_of(pictures(1), odd, None, None, "float32")["settings"]["file"] == "x"


class TestResuming:
    def test_goes_on_where_it_stopped(self, store: FeatureStore, pictures: Pictures) -> None:
        def load(id: str) -> Any:
            if id == "im9":
                raise OSError("gone")
            return pictures(10).loader(id)

        failing = Stimuli("toys", "image", pictures(10).table, load)
        with pytest.raises(DataError, match="'im9'"):
            extract(failing, Pixels(4), store)
        entry = only(store)
        assert [entry.has(number) for number in range(len(entry))] == [True, True, False]
        Never.seen = 0
        extract(pictures(10), Never(4), store)
        assert Never.seen == 2 + 1

    def test_a_block_is_kept_before_the_next_is_begun(
        self, store: FeatureStore, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept: list[tuple[int, int]] = []
        write = Entry.write

        def watched(entry: Entry, number: int, block: Block, **more: Any) -> None:
            kept.append((number, Never.seen))
            write(entry, number, block, **more)

        monkeypatch.setattr(Entry, "write", watched)
        for ahead in (False, True):  # as on a CPU, and as on a GPU
            monkeypatch.setattr(Forward, "works_ahead", ahead)
            kept.clear()
            Never.seen = -1  # the first picture is seen once more, to be compared
            extract(pictures(10), Never(4 + ahead), store, batch_size=3)
            assert kept == [(0, 4), (1, 8), (2, 10)]

    @pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
    def test_any_number_of_threads_leaves_the_same_bytes(self, tmp_path: Path, pictures: Pictures, dtype: Any) -> None:
        before, found = torch.get_num_threads(), []
        try:
            for threads in (1, 3):
                torch.set_num_threads(threads)
                extract(pictures(10), Pixels(60), FeatureStore(tmp_path / str(threads)), dtype=dtype, batch_size=3)
                found.append(contents(tmp_path / str(threads)))
        finally:
            torch.set_num_threads(before)
        assert found[0] == found[1]

    def test_nothing_appears_before_there_are_rows(self, store: FeatureStore, stories: Stimuli) -> None:
        with pytest.raises(DataError, match="no track 'sond'"):
            extract(stories, Tracks("sond", rate=2), store)
        assert not store.folder.exists()

    def test_an_unfinished_set_says_what_to_run(self, store: FeatureStore, pictures: Pictures) -> None:
        part = extract(pictures(10), Pixels(4), store, shard=(1, 2))
        assert part.index["stimulus"].tolist() == ["im4", "im5", "im6", "im7"]
        with pytest.raises(StoreError, match=r"block 0 of .* is not extracted yet \(2 of 3 blocks .*run extract again"):
            store.features(store.names()[0])
        rest = extract(pictures(10), Pixels(4), store, shard=(0, 2))
        assert len(rest) == 6
        assert len(store.features(store.names()[0])) == 10

    def test_a_shard_without_blocks_is_empty(self, store: FeatureStore, pictures: Pictures) -> None:
        assert len(extract(pictures(3), Pixels(4), store, shard=(1, 2))) == 0

    def test_a_full_disk_leaves_nothing_half_written(
        self, store: FeatureStore, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(block: Any, **_: Any) -> Iterator[tuple[str, bytes]]:
            yield "pixels/zarr.json", [b"half"]
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(blockfiles, "block_files", full)
            with pytest.raises(StoreError, match=r"cannot write block 0 .*No space left on device.*disk has room"):
                extract(pictures(6), Pixels(4), store)
        assert list((only(store).folder / "blocks").iterdir()) == []
        assert len(extract(pictures(6), Pixels(4), store)) == 6

    def test_what_an_interrupted_worker_left_is_cleared(self, store: FeatureStore, pictures: Pictures) -> None:
        extract(pictures(6), Pixels(4), store)
        whole = contents(store.folder)
        blocks = only(store).folder / "blocks"
        shutil.rmtree(blocks / "00001")
        (blocks / ".00001.abc" / "00001").mkdir(parents=True)
        extract(pictures(6), Pixels(4), store)
        assert contents(store.folder) == whole
        assert sorted(os.listdir(blocks)) == ["00000", "00001"]


def run_worker(how: str, folder: Path) -> dict[str, bytes]:
    """What a run of `worker.py` leaves behind."""
    script = Path(__file__).parent / "worker.py"
    done = subprocess.run([sys.executable, script, how, folder], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(folder.rglob(".*/*"))  # nothing half written
    return {name: data for name, data in contents(folder).items() if "/.manifest" not in name}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one worker leaves that nobody disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run_worker("whole", folder)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked")
class TestWorkers:
    @pytest.mark.parametrize("how", ["killed", "pair"])
    def test_however_many_and_however_often_killed_they_leave_the_same_bytes(
        self, tmp_path: Path, undisturbed: Path, how: str
    ) -> None:
        assert run_worker(how, tmp_path) == contents(undisturbed)

    def test_a_killed_worker_loses_at_most_the_block_it_was_at(self, tmp_path: Path, undisturbed: Path) -> None:
        assert run_worker("lost", tmp_path) == contents(undisturbed)

    @pytest.mark.parametrize("how", ["verify", "repair"])
    def test_damage_is_mended_by_two_at_once_and_by_the_killed(
        self, tmp_path: Path, undisturbed: Path, how: str
    ) -> None:
        shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
        chunks = [path for path in sorted(tmp_path.rglob("*")) if path.is_file() and "/c/" in path.as_posix()]
        for chunk in chunks[::5]:
            TestDamage.flip(chunk)
        chunks[7].unlink()
        chunks[9].parents[5].joinpath("zarr.json").write_text("{")
        assert run_worker(how, tmp_path) == contents(undisturbed)

    def test_what_a_killed_repair_left_within_a_whole_block_goes_with_the_next(
        self, tmp_path: Path, undisturbed: Path
    ) -> None:
        shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
        chunk = next(path for path in sorted(tmp_path.rglob("*")) if path.is_file() and "/c/" in path.as_posix())
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        for file in (chunk, chunk.parents[4] / "zarr.json"):
            scratch = file.with_name(f".{file.name}.{gone.pid}.half")
            scratch.mkdir()
            (scratch / file.name).write_text("half")
        assert run_worker("repair", tmp_path) == contents(undisturbed)


class TestDamage:
    @pytest.fixture
    def entry(self, store: FeatureStore, pictures: Pictures) -> Entry:
        extract(pictures(10), Pixels(4), store)
        return only(store)

    @staticmethod
    def flip(file: Path, place: int = 100) -> None:
        data = bytearray(file.read_bytes())
        data[place] ^= 1
        file.write_bytes(data)

    def chunk(self, entry: Entry, number: int = 1) -> Path:
        return entry.folder / "blocks" / f"{number:05d}" / "pixels" / "c" / "0" / "0" / "0" / "0"

    def test_a_flipped_bit_is_noticed_on_reading(self, entry: Entry) -> None:
        self.flip(self.chunk(entry))
        features = entry.features(range(3))
        assert features.arrays["pixels"][:4].shape == (4, 3, 4, 4)
        with pytest.raises(StoreError, match=r"layer 'pixels' of block 1 of .* is damaged .*verify=True"):
            features.arrays["pixels"][3:5]

    @pytest.mark.parametrize("number", [0, 1])  # of the first block, the first row is also compared with a fresh one
    def test_verify_finds_it_and_makes_it_anew(
        self, entry: Entry, store: FeatureStore, pictures: Pictures, number: int
    ) -> None:
        whole = contents(entry.folder)
        self.flip(self.chunk(entry, number))
        assert entry.damaged() == {number: ["pixels/c/0/0/0/0"]}
        Never.seen = 0
        extract(pictures(10), Never(4), store, verify=True)
        assert Never.seen == 4 + 1
        assert contents(entry.folder) == whole
        assert entry.damaged() == {}

    @pytest.mark.parametrize("how", ["truncated", "deleted", "mark cut", "mark edited", "another block"])
    def test_other_damage_is_noticed_on_opening_and_mended_by_extraction(
        self, entry: Entry, store: FeatureStore, pictures: Pictures, how: str
    ) -> None:
        whole, chunk = contents(entry.folder), self.chunk(entry)
        mark = entry.folder / "blocks" / "00001" / "zarr.json"
        if how == "truncated":
            chunk.write_bytes(chunk.read_bytes()[:-7])
        elif how == "deleted":
            chunk.unlink()
        elif how == "mark cut":
            mark.write_text(mark.read_text()[:50])
        elif how == "mark edited":
            mark.write_text(mark.read_text().replace("0.0", "9.0", 1))
        else:
            shutil.rmtree(mark.parent)
            shutil.copytree(mark.parent.with_name("00000"), mark.parent)
        with pytest.raises(StoreError, match=r"block 1 of .* is damaged \(1 of 3 blocks"):
            store.features(store.names()[0])
        assert list(entry.damaged()) == [1]
        extract(pictures(10), Pixels(4), store)
        assert contents(entry.folder) == whole

    def test_a_chunk_deleted_after_opening_is_no_zero(self, entry: Entry) -> None:
        features = entry.features(range(3))
        self.chunk(entry).unlink()
        with pytest.raises(StoreError, match="block 1"):
            features.arrays["pixels"][4]

    def test_a_damaged_manifest_is_named(self, entry: Entry, store: FeatureStore) -> None:
        manifest = entry.folder / "manifest.json"
        for text in ("{", "[]", json.dumps({**json.loads(manifest.read_text()), "format": 99})):
            manifest.write_text(text)
            with pytest.raises(StoreError, match=r"manifest.json cannot be used"):
                store.features(entry.folder.name)

    def test_rows_of_zeros_are_rows(self, store: FeatureStore, pictures: Pictures) -> None:
        class Dark(Pixels):
            name = "dark"

            def get_tokens(self, x: Tensor) -> Tokens:
                return Tokens({"dark": 0 * x}, {})

        assert not extract(pictures(6), Dark(4), store).arrays["dark"][:].any()

    def test_an_unknown_set_lists_the_known(self, entry: Entry, store: FeatureStore) -> None:
        with pytest.raises(StoreError, match=f"no features 'pixls-1'; it has: {entry.folder.name}; run extract"):
            store.features("pixls-1")
        assert FeatureStore(store.folder / "absent").names() == []


def test_making_a_store_touches_nothing(tmp_path: Path) -> None:
    FeatureStore(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_hundred_thousand_rows_open_fast(store: FeatureStore) -> None:
    """Reading 391 marks is what start-up costs; with 12 layers it must stay below a second: see the benchmark."""
    ids = [f"nsd-{number}" for number in range(100_000)]
    layers = {f"layer{number}": np.zeros((256, 2), np.float32) for number in range(3)}
    key = {"backbone": "many", "stimuli": digest_of(ids), "dtype": "float32"}
    entry = store.begin(key, ids, 256, None, False)
    for number in range(len(entry)):
        some = entry.ids(number)
        arrays = {layer: values[: len(some)] for layer, values in layers.items()}
        entry.write(number, Block(some, [1] * len(some), [0.0] * len(some), arrays))
    began = time.perf_counter()
    found = store.features(store.names()[0])
    assert time.perf_counter() - began < 5  # generous: other jobs may share the machine
    assert (len(found), found.arrays["layer2"].shape) == (100_000, (100_000, 2))


class TestAddresses:
    """A store that is no folder: what commits a block is its mark, written last."""

    @pytest.fixture
    def remote(self) -> Iterator[FeatureStore]:
        yield FeatureStore("memory://features")
        fsspec.filesystem("memory").rm("/features", recursive=True)

    def test_holds_what_a_folder_holds(
        self, remote: FeatureStore, store: FeatureStore, backbone: Backbone, pictures: Pictures
    ) -> None:
        for place in (remote, store):
            extract(pictures(10), backbone, place, dtype="bfloat16")
        assert remote.names() == store.names()
        there = fsspec.filesystem("memory").find("/features")
        assert [path.removeprefix("/features/") for path in there] == sorted(contents(store.folder))
        one, two = (place.features(place.names()[0]) for place in (remote, store))
        pd.testing.assert_frame_equal(one.index, two.index)
        for layer, array in one.arrays.items():
            np.testing.assert_array_equal(array[[7, 1, 9]], two.arrays[layer][[7, 1, 9]])

    def test_a_block_without_its_mark_is_none(self, remote: FeatureStore, pictures: Pictures) -> None:
        extract(pictures(10), Pixels(4), remote)
        system, block = fsspec.filesystem("memory"), f"/features/{remote.names()[0]}/blocks/00001"
        whole = {path: system.cat_file(path) for path in system.find(block)}
        system.rm_file(f"{block}/zarr.json")
        with pytest.raises(StoreError, match=r"block 1 of memory://features/pixels-\w+ is damaged"):
            remote.features(remote.names()[0])
        Never.seen = 0
        extract(pictures(10), Never(4), remote)
        assert Never.seen == 4 + 1
        assert {path: system.cat_file(path) for path in system.find(block)} == whole

    def test_damage_is_found_and_mended(self, remote: FeatureStore, pictures: Pictures) -> None:
        wanted = extract(pictures(10), Pixels(4), remote).arrays["pixels"][:]
        system = fsspec.filesystem("memory")
        chunk = next(path for path in system.find("/features") if "00002/pixels/c/" in path)
        data = system.cat_file(chunk)
        system.pipe_file(chunk, data[:50] + b"?" + data[51:])
        with pytest.raises(StoreError, match=r"block 2 of .*verify"):
            remote.features(remote.names()[0]).arrays["pixels"][:]
        found = extract(pictures(10), Pixels(4), remote, verify=True)
        np.testing.assert_array_equal(found.arrays["pixels"][:], wanted)

    def test_has_no_folder(self, remote: FeatureStore) -> None:
        remote.place.put("x", b"")
        with pytest.raises(StoreError, match="memory://features is no folder"):
            _ = remote.folder


class TestSkipping:
    @staticmethod
    def broken(pictures: Pictures, *bad: str) -> Stimuli:
        """Ten pictures, some of which PIL cannot read."""

        def load(id: str) -> Any:
            return Image.open(io.BytesIO(b"no picture")) if id in bad else pictures(10).loader(id)

        return Stimuli("toys", "image", pictures(10).table, load)

    @pytest.mark.parametrize("bad", [("im5",), ("im0",), ("im4", "im5", "im6", "im7"), ("im0", "im1", "im2", "im3")])
    def test_what_will_not_load_has_no_rows_and_is_named(
        self, store: FeatureStore, pictures: Pictures, bad: tuple[str, ...]
    ) -> None:
        stimuli = self.broken(pictures, *bad)
        whole = extract(pictures(10), Pixels(4)).arrays["pixels"]
        for place in (None, store, store):
            with pytest.warns(UserWarning, match=rf"{len(bad)} of 10 stimuli were skipped: '{bad[0]}' \(Unidentif"):
                found = extract(stimuli, Pixels(4), place, on_error="skip", batch_size=3)
            kept = [number for number in range(10) if f"im{number}" not in bad]
            assert found.index["stimulus"].tolist() == [f"im{number}" for number in kept]
            assert list(found.skipped) == list(bad)
            np.testing.assert_array_equal(found.arrays["pixels"], np.asarray(whole)[kept])
        assert only(store).summary()["skipped"] == len(bad)

    def test_shards_and_resumed_runs_skip_the_same_and_leave_the_same_bytes(
        self, tmp_path: Path, pictures: Pictures
    ) -> None:
        stimuli, one, two = (
            self.broken(pictures, "im1", "im6"),
            FeatureStore(tmp_path / "1"),
            FeatureStore(tmp_path / "2"),
        )
        with pytest.warns(UserWarning, match="2 of 10"):
            extract(stimuli, Pixels(4), one, on_error="skip")
        for shard, said in (((1, 2), "1 of 10 .*'im6'"), ((0, 2), "1 of 10 .*'im1'")):
            with pytest.warns(UserWarning, match=said):
                extract(stimuli, Pixels(4), two, on_error="skip", shard=shard)
        assert contents(one.folder) == contents(two.folder)

    def test_stopping_is_the_default_and_takes_no_gaps(self, store: FeatureStore, pictures: Pictures) -> None:
        with pytest.raises(DataError, match=r"'im5' .*UnidentifiedImageError.*on_error='skip'"):
            extract(self.broken(pictures, "im5"), Pixels(4), store)
        with pytest.warns(UserWarning, match="skipped"):
            extract(self.broken(pictures, "im5"), Pixels(4), store, on_error="skip")
        with pytest.raises(DataError, match="'im5'"):
            extract(self.broken(pictures, "im5"), Pixels(4), store)
        Never.seen = 0
        repaired = extract(pictures(10), Never(4), store)  # the picture was repaired
        assert (len(repaired), repaired.skipped, Never.seen) == (10, {}, 4 + 1)

    def test_the_folder_of_a_picture_is_kept_to_oneself(self, tmp_path: Path, store: FeatureStore) -> None:
        for number in range(6):
            Image.new("RGB", (12, 12), (number, 0, 0)).save(tmp_path / f"{number}.png")
        (tmp_path / "3.png").write_bytes(b"no picture")
        table = pd.DataFrame(index=[f"{number}.png" for number in range(6)])
        stimuli = Stimuli("mine", "image", table, lambda id: Image.open(tmp_path / id))
        with pytest.warns(UserWarning, match="1 of 6"):
            found = extract(stimuli, Pixels(4), store, on_error="skip")
        assert found.skipped == {"3.png": "UnidentifiedImageError: cannot identify image file '3.png'"}
        assert not any(str(tmp_path).encode() in data for data in contents(store.folder).values())

    def test_the_gap_stays_where_skipping_goes_on(self, store: FeatureStore, pictures: Pictures) -> None:
        with pytest.warns(UserWarning, match="skipped"):
            extract(self.broken(pictures, "im5"), Pixels(4), store, on_error="skip")
        with pytest.warns(UserWarning, match="skipped"):
            assert len(extract(pictures(10), Pixels(4), store, on_error="skip")) == 9

    def test_nothing_left_is_an_error(self, store: FeatureStore, pictures: Pictures) -> None:
        stimuli = self.broken(pictures, *pictures(10).ids)
        for place in (store, None):
            with pytest.raises(DataError, match=r"none of 10 stimuli could be loaded, e\.g\. 'im0' \(Unidentified"):
                extract(stimuli, Pixels(4), place, on_error="skip")

    def test_mistakes_of_settings_are_not_skipped(self, pictures: Pictures) -> None:
        def load(id: str) -> Any:
            raise MissingExtraError("install it")

        with pytest.raises(MissingExtraError):
            extract(Stimuli("toys", "image", pictures(2).table, load), Pixels(4), on_error="skip")
        with pytest.raises(SettingsError, match=r"unknown on_error 'skp' .did you mean 'skip'"):
            extract(pictures(2), Pixels(4), on_error="skp")  # type: ignore[arg-type]


class TestHalfPrecision:
    def test_bfloat16_comes_back_as_memory_has_it(
        self, store: FeatureStore, backbone: Backbone, pictures: Pictures
    ) -> None:
        stored, held = (extract(pictures(10), backbone, place, dtype="bfloat16") for place in (store, None))
        whole = extract(pictures(10), backbone)
        for layer, array in stored.arrays.items():
            wanted = torch.from_numpy(np.asarray(whole.arrays[layer])).to(torch.bfloat16).float().numpy()
            assert (array.dtype, array[:2].dtype) == (np.float32, np.float32)
            np.testing.assert_array_equal(array, held.arrays[layer])
            np.testing.assert_allclose(array, wanted, rtol=1e-2)  # a forward pass has noise of its own

    def test_takes_half_the_room(self, store: FeatureStore, pictures: Pictures) -> None:
        for dtype in ("float32", "float16", "bfloat16"):
            extract(pictures(10), Pixels(12), store, dtype=dtype)  # type: ignore[arg-type]
        size = {
            store.entry(name).manifest["key"]["dtype"]: store.entry(name).summary()["bytes"] for name in store.names()
        }
        assert size["float32"] > 1.6 * size["float16"]
        assert abs(size["bfloat16"] / size["float16"] - 1) < 0.02

    def test_what_it_cannot_hold_is_named(self, pictures: Pictures) -> None:
        class Bright(Pixels):
            def get_tokens(self, x: Tensor) -> Tokens:
                return Tokens({"bright": 3.4e38 * (1 + 0 * x)}, {})

        extract(pictures(2), Bright(4))
        with pytest.raises(DataError, match="'bright' of 'pixels' is not finite for stimulus 'im0'"):
            extract(pictures(2), Bright(4), dtype="bfloat16")


TWO = """
import sys
from fusiform.datasets import load_dataset
from fusiform.features.extract import extract
from fusiform.features.baselines.image import Pixels
from fusiform.features.store import FeatureStore
stimuli = load_dataset("simulated", pictures=600, vertices=20).stimuli()
found = extract(stimuli, Pixels(size=8), FeatureStore(sys.argv[1]), batch_size=16)
print(found.arrays["pixels"][:].sum())
"""


@pytest.mark.slow
def test_two_processes_may_want_the_same_at_the_same_time(tmp_path):
    for round_ in range(3):
        store = tmp_path / str(round_)
        command = [sys.executable, "-c", TWO, str(store)]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        said = [process.communicate() for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        assert said[0][0] == said[1][0]
        assert not list(store.rglob(".*"))
