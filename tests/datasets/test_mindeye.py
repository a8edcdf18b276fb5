"""MindEye: the published packs in miniature, from the disk and from a server on this machine, and harmful copies."""

import functools
import io
import os
import shutil
import tarfile
import time
import warnings
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import h5py
import numpy as np
import pytest
from layouts import mindeye as published
from PIL import Image

from fusiform.datasets import load_dataset
from fusiform.datasets.mindeye import MindEye
from fusiform.datasets.mindeye import tars as mindeye_tars
from fusiform.errors import FetchError, FusiformError, LayoutError, MissingDataError, SettingsError, UnknownNameError
from fusiform.testing import check_dataset

TRAIN = "webdataset_avg_split/train/train_subj01_0.tar"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "mindeye"
    published.write(folder)
    return folder


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(written, tmp_path / "mindeye")
    return tmp_path / "mindeye"


@pytest.fixture(autouse=True)
def _few_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = dict.fromkeys(MindEye(layout="mindeye2").subjects, published.SESSIONS)
    monkeypatch.setattr("fusiform.datasets.mindeye.behaviour.PLANNED", plan)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"layout": "webdataset"},
        {"layout": "webdataset", "voxels": "wholebrain_3d"},
        {"layout": "mindeye2"},
        {"layout": "mindeye2", "test": "test"},
    ],
)
def test_it_keeps_the_contract_of_datasets(root: Path, settings: dict[str, Any]) -> None:
    check_dataset(load_dataset("mindeye", root=str(root), **settings), subjects=["subj01"], most=3)


def test_repeats_that_were_never_shown_are_left_out(root: Path) -> None:
    found = MindEye(root=root).responses("subj01")
    wanted = [published.averaged_voxels(number)[: published.REPEATS[number % 4]] for number in range(20)]
    np.testing.assert_array_equal(found.values, np.concatenate(wanted).astype(np.float32))
    assert found.samples["repeat"].tolist() == [1 + row for rows in wanted for row in range(len(rows))]
    stimuli = [f"nsd-{published.coco(number):05}" for number, rows in enumerate(wanted) for _ in rows]
    assert found.samples["stimulus"].tolist() == stimuli
    mean = found.average_repeats()
    np.testing.assert_allclose(mean.values, [rows.astype(float).mean(0) for rows in wanted], rtol=1e-5, atol=1e-6)
    assert found.space.column("roi").tolist() == ["nsdgeneral"] * published.VOXELS


def test_repeats_padded_with_zeros_are_left_out_too(root: Path) -> None:
    rows = published.averaged_voxels(1)  # two are real
    rows[2] = 0
    rewrite(root / TRAIN, {"sample000000001.nsdgeneral.npy": published.array(rows)})
    found = MindEye(root=root).responses("subj01")
    np.testing.assert_array_equal(found.values[3:5], rows[:2].astype(np.float32))
    assert len(found) == sum(published.REPEATS) * 5


@pytest.mark.parametrize("padding", ["a row again", "zeros"])
def test_padding_is_left_out_where_nothing_says_how_much_there_is(root: Path, padding: str) -> None:
    """Releases without `num_uniques`: the same trial twice is no repeat, nor is a row of zeros."""
    before = MindEye(root=root).responses("subj01")
    for tar in (root / "webdataset_avg_split").rglob("*.tar"):
        with tarfile.open(tar) as held:
            names = held.getnames()
        change: dict[str, bytes | None] = {name: None for name in names if name.endswith("num_uniques.npy")}
        if padding == "zeros":
            for name in (name for name in names if name.endswith("nsdgeneral.npy")):
                rows = published.averaged_voxels(number := int(name[len("sample") :].partition(".")[0]))
                rows[published.REPEATS[number % published.PER_TAR] :] = 0
                change[name] = published.array(rows)
        rewrite(tar, change)
    found = MindEye(root=root).responses("subj01")
    np.testing.assert_array_equal(found.values, before.values)
    assert found.samples.equals(before.samples)


def test_a_picture_without_any_response(root: Path) -> None:
    zeros = {
        "sample000000001.nsdgeneral.npy": published.array(np.zeros((3, published.VOXELS), "f2")),
        "sample000000001.num_uniques.npy": None,
    }
    rewrite(root / TRAIN, zeros)
    with pytest.raises(LayoutError, match=r"holds 0 different repeats; wanted one at least; copy the tar again"):
        MindEye(root=root).responses("subj01")


def test_splits_of_every_layout(root: Path) -> None:
    counts = {}
    for layout in ("webdataset_avg_split", "webdataset", "mindeye2"):
        samples = MindEye(root=root, layout=layout).responses("subj01").samples
        counts[layout] = samples.groupby("split").size().to_dict()
    assert counts["webdataset_avg_split"] == {"train": 18, "val": 9, "test": 18}
    assert counts["webdataset"] == {"train": 24, "val": 8}
    assert counts["mindeye2"] == {"train": 36, "test": 12}


def test_pictures_of_a_pack(root: Path) -> None:
    stimuli = MindEye(root=root).stimuli()
    assert stimuli.ids == [f"nsd-{published.coco(number):05}" for number in range(20)]
    plain = Image.open(io.BytesIO(published.picture_bytes(7))).convert("RGB")
    assert stimuli.load(stimuli.ids[7]).tobytes() == plain.tobytes()


def test_trials_of_one_picture_are_repeats(root: Path) -> None:
    """Without numbers of pictures, equal bytes are one picture; with them, they have the ids of nsd."""
    found, trials = MindEye(root=root, layout="webdataset").responses("subj01"), range(published.single_trials())
    np.testing.assert_array_equal(found.values, np.stack([published.single_voxels(trial) for trial in trials]))
    assert found.samples["stimulus"].nunique() == len(trials) // 2
    assert found.samples["repeat"].tolist() == [1, 2] * (len(trials) // 2)
    with h5py.File(root / "COCO_73k_subj_indices.hdf5", "w") as file:
        file["subj01"] = np.arange(len(trials)) // 2 + 40
    numbered = MindEye(root=root, layout="webdataset").responses("subj01").samples
    assert numbered["stimulus"].tolist() == [f"nsd-{trial // 2 + 40:05}" for trial in trials]


def test_whole_volumes_go_back_into_their_shape(root: Path) -> None:
    found = MindEye(root=root, layout="webdataset", voxels="wholebrain_3d").responses("subj01")
    np.testing.assert_array_equal(found.space.volume(found.values[5]), published.single_volume(5).astype(np.float64))


@pytest.mark.parametrize("part", ["train", "new_test"])
def test_neither_training_nor_test_may_be_missing(root: Path, part: str) -> None:
    for tar in (root / "wds/subj01" / part).glob("*.tar"):
        tar.unlink()
    with pytest.raises(MissingDataError, match=rf"no tar of subj01 was found at .*wanted wds/subj01/{part}/0\.tar"):
        MindEye(root=root, layout="mindeye2").responses("subj01")


def test_pictures_of_another_type(root: Path) -> None:
    with h5py.File(root / "coco_images_224_float16.hdf5", "a") as file:
        del file["images"]
        file.create_dataset("images", (73_000, 3, 224, 224), np.uint8, chunks=(1, 3, 224, 224))
    with pytest.raises(LayoutError, match=r"are uint8 .*wanted float16 \(73000, 3, 224, 224\) from 0 to 1"):
        MindEye(root=root, layout="mindeye2").stimuli().load("nsd-00007")


def test_behaviour_points_into_the_responses(root: Path) -> None:
    found = MindEye(root=root, layout="mindeye2").responses("subj01")
    rows = published.behaviour()
    np.testing.assert_array_equal(found.values, published.betas())
    assert found.samples["stimulus"].tolist() == [f"nsd-{int(number):05}" for number in rows[:, 0]]
    assert found.samples["run"].tolist() == [int(12 * (row[2] - 1) + row[3]) for row in rows]
    assert ((found.samples["split"] == "test") == (rows[:, 16] == 1)).all()
    assert found.samples.groupby("stimulus")["repeat"].apply(list).tolist() == [[1, 2, 3]] * published.PICTURES
    older = MindEye(root=root, layout="mindeye2", test="test").responses("subj01")
    kept = (rows[:, 16] == 0) | (rows[:, 2] == 1)
    np.testing.assert_array_equal(older.values, published.betas()[kept])


def test_pictures_of_mindeye2(root: Path) -> None:
    stimuli = MindEye(root=root, layout="mindeye2").stimuli()
    assert len(stimuli) == 73_000
    picture = stimuli.load("nsd-03007")
    assert (picture.mode, picture.size, picture.getpixel((5, 9))) == ("RGB", (224, 224), (3007 % 200, 7, 250))


def test_settings_that_cannot_be(root: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown layout 'webdata'.*did you mean 'webdataset'"):
        MindEye(layout="webdata")
    with pytest.raises(SettingsError, match="has the voxels of nsdgeneral only"):
        MindEye(layout="mindeye2", voxels="wholebrain_3d")
    with pytest.raises(UnknownNameError, match="unknown subject 'subj03'"):
        MindEye(subjects=["subj03"])
    with pytest.raises(SettingsError, match="subjects is empty"):
        MindEye(subjects=[])
    with pytest.raises(UnknownNameError, match="unknown test 'tests'"):
        MindEye(layout="mindeye2", test="tests")
    for layout in ("webdataset", "webdataset_avg_split"):
        with pytest.raises(SettingsError, match=f"test='test' chooses a tar of layout 'mindeye2'; leave .* '{layout}'"):
            MindEye(layout=layout, test="test")
    with pytest.raises(UnknownNameError, match="unknown region 'V1'"):
        MindEye(root=root).responses("subj01", rois=["V1"])


def test_what_is_not_there(root: Path, tmp_path: Path) -> None:
    with pytest.raises(
        MissingDataError, match=r"no tar of subj02 was found .*wanted webdataset_avg_split/train/train_"
    ):
        MindEye(root=root).responses("subj02")
    with pytest.raises(MissingDataError, match="holds no tars of subj01, subj02, subj05, subj07"):
        MindEye(root=tmp_path / "nowhere").stimuli()
    with pytest.raises(MissingDataError, match=r"no tar of subj05 .*wds/subj05/train/0\.tar"):
        MindEye(root=root, layout="mindeye2").responses("subj05")
    (root / "betas_all_subj01_fp32_renorm.hdf5").unlink()
    with pytest.raises(MissingDataError, match=r"betas_all_subj01_fp32_renorm\.hdf5 was not found"):
        MindEye(root=root, layout="mindeye2").responses("subj01")


def test_a_missing_tar(root: Path) -> None:
    (root / TRAIN).unlink()
    with pytest.raises(
        LayoutError, match=r"train_subj01_0\.tar is missing in .*, though .*train_subj01_1\.tar is there"
    ):
        MindEye(root=root).responses("subj01")
    published.write(root)
    (root / TRAIN.replace("_0.", "_1.")).unlink()
    with pytest.raises(LayoutError, match=r"holds 4 train samples of subj01; metadata_subj01\.json says 8"):
        MindEye(root=root).responses("subj01")


LAYOUTS = {
    "webdataset_avg_split": TRAIN,
    "webdataset": "webdataset/train/train_subj01_0.tar",
    "mindeye2": "wds/subj01/train/0.tar",
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("damage", ["cut", "cut short of the end", "garbage", "a hole", "never filled", "joined"])
def test_a_tar_that_is_not_whole_is_never_a_shorter_one(root: Path, layout: str, damage: str) -> None:
    """Between two members, where the tar itself shows nothing, and with nothing beside it that counts samples."""
    for path in (root / layout).glob("metadata_*.json"):
        path.unlink()
    path = root / LAYOUTS[layout]
    with tarfile.open(path) as tar:
        starts = [info.offset for info in tar.getmembers()]
        end = tar.offset
    content, place = path.read_bytes(), starts[len(starts) // 2]
    path.write_bytes(
        {
            "cut": content[:place],
            "cut short of the end": content[:end],
            "garbage": content[:place] + b"\xa5" * 512 + content[place + 512 :],
            "a hole": content[:place] + bytes(512) + content[place + 512 :],
            "never filled": content[:place] + bytes(2 << 20),
            "joined": content + content,
        }[damage]
    )
    with pytest.raises(LayoutError, match=rf"{path.name} is cut short or damaged after 'sample\d+\..*copy it again"):
        MindEye(root=root, layout=layout).responses("subj01")


def test_a_tar_may_end_after_one_empty_block(root: Path) -> None:
    wanted = MindEye(root=root).responses("subj01")
    with tarfile.open(root / TRAIN) as tar:
        tar.getmembers()
        end = tar.offset
    content = (root / TRAIN).read_bytes()
    (root / TRAIN).write_bytes(content[: end + 512])
    np.testing.assert_array_equal(MindEye(root=root).responses("subj01").values, wanted.values)


@pytest.mark.parametrize("bytes_", [100, 700, 3000, -2000])
def test_a_truncated_tar(root: Path, bytes_: int) -> None:
    content = (root / TRAIN).read_bytes()
    (root / TRAIN).write_bytes(content[:bytes_].rstrip(b"\0") if bytes_ > 0 else content.rstrip(b"\0")[:bytes_])
    with pytest.raises(LayoutError, match=r"train_subj01_0\.tar (cannot be read|ends within|is cut short)|has no"):
        MindEye(root=root).responses("subj01")


def test_a_truncated_hdf5(root: Path) -> None:
    path = root / "betas_all_subj01_fp32_renorm.hdf5"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(LayoutError, match=r"renorm\.hdf5 cannot be read"):
        MindEye(root=root, layout="mindeye2").responses("subj01")
    with h5py.File(path, "w") as file:
        file["betas"] = published.betas()[:10]
    with pytest.raises(LayoutError, match=r"shape \(10, 11\); wanted \[trials, voxels\] of 48 trials"):
        MindEye(root=root, layout="mindeye2").responses("subj01")


@pytest.mark.parametrize("name", ["../../escape.txt", "/etc/escape.txt", "a/../../escape.txt", "..\\escape.txt"])
def test_a_path_that_escapes(root: Path, name: str) -> None:
    with tarfile.open(root / TRAIN, "a") as tar:
        published.add(tar, name, b"gotcha")
    before = set(root.parent.rglob("*"))
    with pytest.raises(LayoutError, match="whose path leads out of the tar, so it is not read"):
        MindEye(root=root).responses("subj01")
    assert set(root.parent.rglob("*")) == before


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices(root: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("sample9.nsdgeneral.npy")
    info.type, info.linkname = kind, "/etc/passwd"
    with tarfile.open(root / TRAIN, "a") as tar:
        tar.addfile(info)
    with pytest.raises(LayoutError, match="that is neither a file nor a folder"):
        MindEye(root=root).responses("subj01")


def test_members_that_are_too_large(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mindeye_tars, "LARGEST", 1000)
    with pytest.raises(LayoutError, match=r"sample000000000\.jpg', of \d+ bytes \(wanted 1000 at most\)"):
        MindEye(root=root).responses("subj01")
    monkeypatch.undo()
    monkeypatch.setattr(mindeye_tars, "PIXELS", 256 * 255)
    stimuli = MindEye(root=root).stimuli()
    with pytest.raises(LayoutError, match=r"has \(256, 256\) pixels; wanted 65280 at most"):
        stimuli.load(stimuli.ids[0])


def test_a_pickle_is_never_opened(root: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    trap = published.array(np.array([Trap()], dtype=object))
    rewrite(root / TRAIN, {"sample000000001.nsdgeneral.npy": trap})
    with pytest.raises(LayoutError, match=r"sample000000001\.nsdgeneral\.npy' of .* holds a pickled object"):
        MindEye(root=root).responses("subj01")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("member", "content", "said"),
    [
        ("sample000000001.nsdgeneral.npy", published.array(np.eye(3, 10)), r"has \(10,\) voxels; wanted \(11,\)"),
        ("sample000000001.nsdgeneral.npy", b"not an array", "cannot be read .* damaged or foreign"),
        (
            "sample000000001.nsdgeneral.npy",
            published.array(np.ones((3, 11), "f2")),
            "holds 1 different repeats; .* says 2",
        ),
        (
            "sample000000001.coco73k.npy",
            published.array(np.array([73_000])),
            "names the picture 73000; wanted 0 to 72999",
        ),
        ("sample000000001.coco73k.npy", published.array(np.array([np.nan])), "holds no number; copy the tar again"),
        ("sample000000001.coco73k.npy", published.array(np.array(["x"])), "wanted an array of numbers"),
        ("sample000000001.coco73k.npy", published.array(np.array([])), "holds no number"),
        ("sample000000001.trial.npy", None, r"sample 'sample000000001' of .* has no trial\.npy, but jpg, nsdgeneral"),
        ("sample000000001.jpg", None, "has no jpg or png"),
        ("sample000000001.num_uniques.npy", published.array(np.array([0])), "num_uniques of .* is 0; wanted 1 or more"),
        ("sample000000001.nsdgeneral.npy", published.array(np.array(2.0)), r"has the shape \(\); wanted 1 axes, or"),
        ("sample000000001.nsdgeneral.npy", published.array(np.ones((3, 0))), r"has the shape \(3, 0\); wanted 1 axes"),
    ],
)
def test_samples_that_are_not_as_published(root: Path, member: str, content: bytes | None, said: str) -> None:
    rewrite(root / TRAIN, {member: content})
    with pytest.raises(LayoutError, match=said):
        MindEye(root=root).responses("subj01")


def test_a_damaged_picture(root: Path) -> None:
    rewrite(root / TRAIN, {"sample000000000.jpg": b"no picture"})
    stimuli = MindEye(root=root).stimuli()
    with pytest.raises(LayoutError, match=r"sample000000000\.jpg' of .* is no picture"):
        stimuli.load(stimuli.ids[0])


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        (0, 73_000, "names the picture 73000"),
        (1, 2, "holds trials of subject 2; wanted those of subj01"),
        (5, -1, "holds a trial of number -1"),
        (5, int(published.behaviour()[published.behaviour()[:, 16] == 0][0, 5]), r"trial \d+ of subj01 is in two tars"),
    ],
)
def test_behaviour_that_is_not_as_published(root: Path, column: int, value: int, said: str) -> None:
    rows = published.behaviour()
    test = rows[rows[:, 16] == 1]
    test[0, column] = value
    published.write_trials(root, "new_test/0.tar", test)
    with pytest.raises(LayoutError, match=said):
        MindEye(root=root, layout="mindeye2").responses("subj01")


def rewrite(path: Path, change: dict[str, bytes | None]) -> None:
    """The same tar with other members; None leaves one out."""
    with tarfile.open(path) as tar:
        content = {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]
    with tarfile.open(path, "w") as tar:
        for name, old in content.items():
            new = change.get(name, old)
            if new is not None:
                published.add(tar, name, new)


class Server(ThreadingHTTPServer):
    """Serves a folder; `asked` are the paths that were asked for, `status` one to answer with instead."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        self.asked: list[str] = []
        self.status: int | None = None
        self.lacking: str | None = None  # the end of a path that is not there for a while
        self.short = False


class Handler(SimpleHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.server.status:
            return self.send_error(self.server.status)
        if self.server.lacking and self.path.endswith(self.server.lacking):
            return self.send_error(404)
        if self.server.short:
            self.send_response(200)
            self.send_header("Content-Length", "5000")
            self.end_headers()
            self.wfile.write(b"x" * 100)
            return None
        return super().do_GET()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server(root) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def address_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def remote(server: Server, **settings: Any) -> MindEye:
    return MindEye(root=address_of(server), subjects=["subj01"], **settings)


@pytest.mark.parametrize("layout", ["webdataset_avg_split", "webdataset", "mindeye2"])
def test_an_address_gives_what_the_disk_gives_and_is_asked_once(root: Path, server: Server, layout: str) -> None:
    far, near = remote(server, layout=layout, i_have_agreed=True), MindEye(root=root, layout=layout)
    found, wanted = far.responses("subj01"), near.responses("subj01")
    np.testing.assert_array_equal(found.values, wanted.values)
    assert found.samples.equals(wanted.samples)
    picture = wanted.samples["stimulus"].iloc[0]
    assert far.stimuli().load(picture).tobytes() == near.stimuli().load(picture).tobytes()
    asked = [path for path in server.asked if (root / path.lstrip("/")).is_file()]
    assert len(asked) == len(set(asked)) > 2
    server.status = 500  # what was fetched is whole: the server is needed no more
    np.testing.assert_array_equal(
        remote(server, layout=layout, i_have_agreed=True).responses("subj01").values, found.values
    )


def test_an_address_needs_agreement(server: Server) -> None:
    with pytest.raises(SettingsError, match=r"shared under an agreement; apply at https://naturalscenesdataset\.org"):
        remote(server).responses("subj01")
    assert server.asked == []


@pytest.mark.parametrize(("status", "said"), [(403, "403"), (500, "500")])
def test_a_server_that_refuses(server: Server, status: int, said: str) -> None:
    server.status = status
    with pytest.raises(FetchError, match=f"could not be fetched .*{said}.*check the address"):
        remote(server, i_have_agreed=True).responses("subj01")


def test_a_mistyped_address_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(MissingDataError, match="no tar of subj01 was found at http"):
        remote(server, i_have_agreed=True).responses("subj01")
    assert not (tmp_path / "cache" / "mindeye").exists()


def test_a_transfer_that_breaks_off_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.short = True
    with pytest.raises(FetchError, match=r"100 of 5000 bytes|IncompleteRead"):
        remote(server, i_have_agreed=True).responses("subj01")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_addresses_that_cannot_be_read() -> None:
    for address, error in (("s3://bucket/pack", SettingsError), ("http://127.0.0.1:9/none", FetchError)):
        with pytest.raises(error) as caught:
            MindEye(root=address, i_have_agreed=True).responses("subj01")
        assert isinstance(caught.value, FusiformError)
        assert address in str(caught.value)


def test_sessions_that_are_not_there_are_named(root: Path) -> None:
    (root / "wds/subj01/train/1.tar").unlink()
    said = r"has 1 of 2 tars of training trials of subj01, .* copy wds/subj01/train/1\.tar and what follows it"
    with pytest.warns(UserWarning, match=said):
        found = MindEye(root=root, layout="mindeye2").responses("subj01")
    train = found.samples[found.samples["split"] == "train"]
    assert set(train["session"]) == {1}


def test_a_session_that_a_server_lacks_for_a_while_is_asked_for_again(root: Path, server: Server) -> None:
    wanted = MindEye(root=root, layout="mindeye2").responses("subj01")
    server.lacking = "train/1.tar"
    with pytest.warns(UserWarning, match="has 1 of 2 tars of training trials of subj01"):
        remote(server, layout="mindeye2", i_have_agreed=True).responses("subj01")
    server.lacking = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = remote(server, layout="mindeye2", i_have_agreed=True).responses("subj01")
    assert found.samples.equals(wanted.samples)
    np.testing.assert_array_equal(found.values, wanted.values)


@pytest.mark.parametrize("lacking", ["train_subj01_1.tar", "train_subj01_0.tar", "metadata_subj01.json"])
def test_a_pack_that_a_server_lacks_for_a_while_is_asked_for_again(root: Path, server: Server, lacking: str) -> None:
    wanted, server.lacking = MindEye(root=root).responses("subj01"), lacking
    if lacking.endswith(".tar"):
        with pytest.raises(LayoutError, match=r"train samples of subj01; metadata_subj01\.json says 8.*run it again"):
            remote(server, i_have_agreed=True).responses("subj01")
    else:
        remote(server, i_have_agreed=True).responses("subj01")  # nothing says how many there are
    server.lacking = None
    server.asked.clear()
    found = remote(server, i_have_agreed=True).responses("subj01")
    np.testing.assert_array_equal(found.values, wanted.values)
    assert f"/webdataset_avg_split/{'train/' if lacking.endswith('.tar') else ''}{lacking}" in server.asked


@pytest.mark.parametrize("lacking", ["betas_all_subj01_fp32_renorm.hdf5", "coco_images_224_float16.hdf5"])
def test_a_file_that_must_be_there_is_asked_for_again(server: Server, lacking: str) -> None:
    dataset, server.lacking = remote(server, layout="mindeye2", i_have_agreed=True), lacking
    read = dataset.stimuli if lacking.startswith("coco") else lambda: dataset.responses("subj01")
    with pytest.raises(MissingDataError, match=f"{lacking} was not found at http.*run it again once the server has it"):
        read()
    server.lacking = None
    assert len(read())  # type: ignore[arg-type]


def test_what_a_server_lacked_is_believed_for_a_day(server: Server, tmp_path: Path) -> None:
    remote(server, i_have_agreed=True).responses("subj01")
    marks = list((tmp_path / "cache").rglob("*.absent"))
    assert marks
    server.asked.clear()
    remote(server, i_have_agreed=True).responses("subj01")
    assert server.asked == []
    before = time.time() - 90_000  # seconds
    for mark in marks:
        os.utime(mark, (before, before))
    remote(server, i_have_agreed=True).responses("subj01")
    assert len(server.asked) == len(marks)


def test_an_address_gives_the_packs_of_those_who_were_asked_for_only(server: Server) -> None:
    dataset = MindEye(root=address_of(server), i_have_agreed=True)
    with pytest.raises(SettingsError, match=r"has packs of subj01, .* say whose pictures to fetch, such as subjects="):
        dataset.stimuli()
    assert server.asked == []
    shown = set(dataset.responses("subj01").samples["stimulus"])
    assert set(dataset.stimuli().ids) == shown
    assert not [path for path in server.asked if "subj01" not in path and "COCO" not in path]


def test_what_a_killed_process_left_of_a_file_is_cleared(server: Server, tmp_path: Path) -> None:
    remote(server, i_have_agreed=True).responses("subj01")
    place = next((tmp_path / "cache").rglob("train_subj01_0.tar"))
    old, slow = (place.with_name(f".{place.name}.{process}.abc") for process in (17, 18))
    before = time.time() - 90_000  # seconds
    for scratch in (old, slow):  # both folders are old, but something was written into one
        scratch.mkdir()
        (scratch / place.name).write_bytes(b"half")
        os.utime(scratch, (before, before))
    os.utime(old / place.name, (before, before))
    place.unlink()
    remote(server, i_have_agreed=True).responses("subj01")
    assert place.is_file()
    assert (old.exists(), slow.exists()) == (False, True)
