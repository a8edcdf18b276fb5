"""Kay 2017: the published layout in miniature, damaged copies of it, and known facts of the real file."""

import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from fusiform.datasets.base import locate
from fusiform.datasets.kay2017 import FILE, PICTURES, SIDE, Kay2017, _category
from fusiform.errors import DataError, LayoutError, UnknownNameError

LABELS = ["BLANK", "FACECON4", "FACEPH25", "WORD", "NOISECON10", "HOUSE", *(f"NIKO{k:02}" for k in range(1, 110))]


def write(path: Path, **change: object) -> None:
    """A MATLAB v7.3 file as published: axes reversed, labels as references to character codes."""
    random = np.random.default_rng(0)
    betas = random.normal(size=(PICTURES, 2, 1)).astype(np.float32)
    content = {"subjectbeta": betas, "subjectbetase": np.abs(betas) / 2} | change
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            file[name] = values
        cells = [file.create_dataset(f"#refs#/{k}", data=[[ord(c)] for c in label]) for k, label in enumerate(LABELS)]
        file["stimlabels"] = np.array([[cell.ref] for cell in cells], dtype=h5py.ref_dtype)
        pictures = file.create_dataset("stimuli", (PICTURES, 1, SIDE, SIDE), np.uint8, chunks=(1, 1, SIDE, SIDE))
        pictures[2, 0] = np.arange(SIDE, dtype=np.uint16)[:, None] // 3  # brightness follows the stored first axis


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path))
    path = tmp_path / "kay2017" / FILE
    path.parent.mkdir()
    write(path)
    return path


def test_stimuli_have_labels_categories_and_upright_pictures(path: Path) -> None:
    stimuli = Kay2017().stimuli()
    assert stimuli.ids == LABELS
    assert stimuli.table["category"].iloc[:7].tolist() == ["blank", "face", "face", "word", "noise", "house", "object"]
    picture = stimuli.load("FACEPH25")
    assert (picture.mode, picture.size) == ("L", (SIDE, SIDE))
    columns = np.asarray(picture)[0].astype(int)  # MATLAB's second axis was stored first
    np.testing.assert_array_equal(columns, np.arange(SIDE) // 3)


def test_pictures_are_read_once_and_the_file_is_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stimuli, opened, plain = Kay2017().stimuli(), itertools.count(), h5py.File
    monkeypatch.setattr(h5py, "File", lambda *arguments: (next(opened), plain(*arguments))[1])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(stimuli.load, LABELS * 2))
    for label, picture in zip(LABELS * 2, found, strict=True):
        assert (np.asarray(picture).max() > 0) == (label == "FACEPH25")
    assert next(opened) <= 4  # by each thread once at most
    path.unlink()
    assert np.asarray(stimuli.load("FACEPH25")).max() > 0


def test_the_loader_travels_without_its_pictures(path: Path) -> None:
    stimuli = Kay2017().stimuli()
    picture = stimuli.load("FACEPH25")
    sent = pickle.dumps(stimuli)
    assert len(sent) < 50_000
    np.testing.assert_array_equal(np.asarray(pickle.loads(sent).load("FACEPH25")), np.asarray(picture))


def test_categories_are_the_kind_of_the_label() -> None:
    labels = ["FACE", "FACECON10", "FACEPH75", "WORDPH0", "NOISE", "POLYGON", "CHECKERBOARD", "NIKO92"]
    kinds = ["face", "face", "face", "word", "noise", "polygon", "checkerboard", "object"]
    assert [_category(label) for label in labels] == kinds


def test_responses_and_their_errors_by_region(path: Path) -> None:
    dataset = Kay2017()
    both, face = dataset.responses("group"), dataset.responses("group", rois=["FFA"])
    assert both.values.shape == (115, 2)
    assert both.samples["stimulus"].tolist() == LABELS
    assert (both.space.names, face.space.names) == (["VWFA", "FFA"], ["FFA"])
    np.testing.assert_array_equal(face.values[:, 0], both.values[:, 1])
    np.testing.assert_allclose(dataset.standard_errors(["FFA"]), np.abs(face.values) / 2)


def test_unknown_names(path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown region 'VWF'.*did you mean 'VWFA'"):
        Kay2017().responses("group", rois=["VWF"])
    with pytest.raises(UnknownNameError, match="unknown subject 's1'; there are: group"):
        Kay2017().responses("s1")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_named(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(LayoutError, match=r"experiment2\.mat cannot be read .*fusiform fetch"):
        Kay2017().responses("group")


def test_damaged_content_is_named(path: Path) -> None:
    write(path, subjectbeta=np.zeros((115, 3, 1), np.float32))
    with pytest.raises(LayoutError, match=r"subjectbeta of .* has the shape \(115, 3, 1\); wanted \(115, 2, 1\)"):
        Kay2017().responses("group")
    write(path, subjectbeta=np.full((115, 2, 1), np.nan, np.float32))
    with pytest.raises(DataError, match="holds 230 NaN"):
        Kay2017().responses("group")


@pytest.mark.data
def test_the_real_face_area_follows_faces() -> None:
    dataset = Kay2017()
    stimuli, responses = dataset.stimuli(), dataset.responses("group", rois=["FFA"])
    face = responses.values[stimuli.ids.index("FACE"), 0]
    assert face == pytest.approx(2.6786141)
    means = {name: responses.values[rows, 0].mean() for name, rows in stimuli.table.groupby("category").indices.items()}
    assert means["face"] > 2 * means["object"] > 2 * means["word"]
    assert stimuli.table["category"].value_counts()["object"] == 92


@pytest.mark.data
def test_real_responses_are_the_medians_of_their_bootstraps() -> None:
    with h5py.File(locate("kay2017") / FILE) as file:
        bootstraps = file["subjectbetaboot"][..., 0]  # [100, 115, 2]
    dataset = Kay2017()
    np.testing.assert_allclose(dataset.responses("group").values, np.median(bootstraps, axis=0), atol=1e-6)
    errors = dataset.standard_errors()
    assert np.corrcoef(errors.ravel(), bootstraps.std(0).ravel())[0, 1] > 0.95


@pytest.mark.data
def test_real_pictures_are_upright() -> None:
    """The word is wider than high, and so are its pixels."""
    word = np.asarray(Kay2017().stimuli().load("WORD")).astype(int)
    rows, columns = np.nonzero(np.abs(word - word[0, 0]) > 40)
    assert np.ptp(columns) > 2 * np.ptp(rows)
