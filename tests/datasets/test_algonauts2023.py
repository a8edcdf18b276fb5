"""Algonauts 2023: the published layout in miniature, damaged copies of it, and submissions."""

import shutil
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from layouts import algonauts2023 as layout
from PIL import Image

from fusiform.data.meshes import sphere_of
from fusiform.datasets import Dataset, load_dataset
from fusiform.datasets.algonauts2023 import Algonauts2023
from fusiform.datasets.submission import Challenge, submit
from fusiform.errors import DataError, LayoutError, MissingDataError, SettingsError, UnknownNameError
from fusiform.testing import check_dataset

TRAINING = "training_split/training_fmri/lh_training_fmri.npy"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "algonauts2023"
    layout.write(folder)
    return folder


@pytest.fixture
def root(published: Path, tmp_path: Path) -> Path:
    """A copy to be damaged, of two subjects."""
    unread = shutil.ignore_patterns(*(f"*{kind}_fsaverage_space.npy" for kind in layout.CLASSES))  # and large
    for subject in ("subj01", "subj06"):
        shutil.copytree(published / subject, tmp_path / subject, ignore=unread)
    return tmp_path


def test_it_keeps_the_contract(published: Path) -> None:
    dataset = load_dataset("algonauts2023", root=str(published))
    assert isinstance(dataset, Dataset)
    assert isinstance(dataset, Challenge)
    check_dataset(dataset)


def test_it_is_found_in_the_data_folder(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSIFORM_DATA", str(published.parent))
    assert len(Algonauts2023().responses("subj01")) == layout.TRAIN


def test_responses_are_the_files_side_by_side(published: Path) -> None:
    responses = Algonauts2023(root=published).responses("subj03")
    folder = published / "subj03/training_split/training_fmri"
    written = [np.load(folder / f"{short}_training_fmri.npy") for short in ("lh", "rh")]
    np.testing.assert_array_equal(responses.values, np.concatenate(written, axis=1))
    assert responses.values.dtype == np.float32
    assert responses.samples["stimulus"].tolist() == [f"nsd-{image:05}" for image in layout.train_images(3)]
    assert not responses.timed


def test_rows_follow_the_first_number_of_a_name_not_the_image(root: Path) -> None:
    """Row 2 of the responses belongs to train-0002, whichever NSD image that is."""
    place = root / "subj01/training_split/training_images"
    first, second = sorted(place.iterdir())[:2]
    first.rename(place / first.name.replace("train-0001", "train-0002"))
    second.rename(place / second.name.replace("train-0002", "train-0001"))
    images = layout.train_images(1)
    shown = Algonauts2023(root=root).responses("subj01").samples["stimulus"].tolist()
    assert shown[:3] == [f"nsd-{image:05}" for image in (images[1], images[0], images[2])]


def test_vertices_are_those_of_fsaverage_and_subjects_6_and_8_lack_some(published: Path) -> None:
    dataset = Algonauts2023(root=published)
    for subject in ("subj01", "subj06", "subj08"):
        space = dataset.responses(subject).space
        assert space.mesh == "fsaverage"
        for side, short in (("left", "lh"), ("right", "rh")):
            here = space.column("hemisphere") == side
            np.testing.assert_array_equal(space.column("vertex")[here], layout.vertices(subject, short))
    whole, less = (dataset.responses(subject).space.targets for subject in ("subj01", "subj06"))
    shared = less.merge(whole, on=["hemisphere", "vertex"])
    assert (len(whole), len(less), len(shared)) == (84, 79, 79)


def test_vertices_know_their_place_on_the_sphere(published: Path) -> None:
    dataset = Algonauts2023(root=published)
    for space in (dataset.responses("subj06").space, dataset.responses("subj01", rois=["V1v"]).space):
        apart = np.where(space.column("hemisphere") == "left", -120.0, 120.0)[:, None] * [1, 0, 0]
        np.testing.assert_allclose(space.coordinates(), sphere_of("fsaverage")[space.column("vertex")] + apart)


def test_regions_have_their_published_names_and_choose_vertices(published: Path) -> None:
    dataset = Algonauts2023(root=published)
    responses = dataset.responses("subj02")
    for kind, names in layout.CLASSES.items():
        masks = [published / f"subj02/roi_masks/{short}.{kind}_challenge_space.npy" for short in ("lh", "rh")]
        labels = np.concatenate([np.load(mask) for mask in masks])
        assert responses.space.column(kind).tolist() == ["" if label == 0 else names[label] for label in labels]
    chosen = dataset.responses("subj02", rois=["V1v", "FFA-1"])
    targets = responses.space.targets
    inside = ((targets["prf-visualrois"] == "V1v") | (targets["floc-faces"] == "FFA-1")).to_numpy()
    assert 0 < inside.sum() < len(inside)
    np.testing.assert_array_equal(chosen.values, responses.values[:, inside])
    assert chosen.space.targets.equals(targets[inside].reset_index(drop=True))
    with pytest.raises(UnknownNameError, match=r"unknown region 'FFA1'.*did you mean 'FFA-1'"):
        dataset.responses("subj02", rois=["FFA1"])


def test_pictures_are_shared_between_subjects_and_loaded_by_their_number(published: Path) -> None:
    stimuli = Algonauts2023(root=published).stimuli()
    assert len(stimuli) == 8 * (layout.TRAIN - len(layout.SHARED) + layout.TEST) + len(layout.SHARED)
    picture = stimuli.load("nsd-00013")
    assert (picture.mode, picture.size) == ("RGB", (48, 48))
    file = published / "subj05/training_split/training_images/train-0001_nsd-00013.png"
    np.testing.assert_array_equal(picture, Image.open(file))
    assert stimuli.table.loc["nsd-00013", "nsd"] == 13


def test_splits_are_seeded_by_image_and_the_same_for_all_subjects(published: Path) -> None:
    def split(subject: str, **settings: float) -> dict[str, str]:
        samples = Algonauts2023(root=published, **settings).responses(subject).samples  # type: ignore[arg-type]
        return dict(zip(samples["stimulus"], samples["split"], strict=True))

    assert split("subj01") == split("subj01")
    both = split("subj01").keys() & split("subj02").keys()
    assert len(both) == len(layout.SHARED)
    assert all(split("subj01")[image] == split("subj02")[image] for image in both)
    assert split("subj01", seed=1) != split("subj01")
    assert set(split("subj01", validation=0, test=0).values()) == {"train"}
    shares = [list(split(s, validation=0.3, test=0.4).values()) for s in layout.SUBJECTS]
    counts = {name: sum(shown.count(name) for shown in shares) / 160 for name in ("train", "val", "test")}
    assert counts == {name: pytest.approx(share, abs=0.12) for name, share in zip(counts, (0.3, 0.3, 0.4), strict=True)}
    table = Algonauts2023(root=published).stimuli().table
    assert table.loc["nsd-01500", "split"] == "withheld"
    assert (table["split"] == "withheld").sum() == 8 * layout.TEST
    assert {table.loc[image, "split"] == name for image, name in split("subj04").items()} == {True}


def test_noise_ceilings_where_they_are_given(published: Path, root: Path) -> None:
    space = Algonauts2023(root=published).responses("subj01").space
    folder = published / "subj01/test_split/noise_ceiling"
    written = np.concatenate([np.load(folder / f"{short}_noise_ceiling.npy") for short in ("lh", "rh")])
    np.testing.assert_array_equal(space.column("noise_ceiling"), written)
    assert "noise_ceiling" not in Algonauts2023(root=published).responses("subj02").space.targets
    path = root / "subj01/test_split/noise_ceiling/lh_noise_ceiling.npy"
    np.save(path, 100 * np.load(path))
    with pytest.raises(LayoutError, match=r"lh_noise_ceiling\.npy holds values from .* wanted shares from 0 to 1"):
        Algonauts2023(root=root).responses("subj01")


def test_single_samples_and_a_torch_view(published: Path) -> None:
    dataset = Algonauts2023(root=published)
    picture, response = dataset.sample("subj06", 0)
    assert picture.size == (48, 48)
    np.testing.assert_array_equal(response, dataset.responses("subj06").values[0])
    shown, values = dataset.torch("subj06", rois=["V1v"])[3]
    assert shown.shape == (3, 48, 48)
    assert values.shape == (dataset.responses("subj06", rois=["V1v"]).space.size,)
    with pytest.raises(IndexError, match="no sample 20"):
        dataset.sample("subj06", 20)


def test_names_of_regions_come_from_the_mapping_files_only_when_they_are_trusted(root: Path) -> None:
    path = root / "subj01/roi_masks/mapping_streams.npy"
    np.save(path, {0: "Unknown", 1: "ventral", 2: "early", **dict(enumerate(layout.CLASSES["streams"][3:], 3))})  # type: ignore[arg-type]
    names = Algonauts2023(root=root).responses("subj01").space.column("streams")
    trusted = Algonauts2023(root=root, trust_pickle=True).responses("subj01").space.column("streams")
    assert (names[1], trusted[1]) == ("early", "ventral")
    np.save(path, {0: "Unknown", 1: "early", 2: "mid"})  # type: ignore[arg-type]
    with pytest.raises(LayoutError, match=r"mapping_streams\.npy names the region 'mid'; wanted 1 \(early\)"):
        Algonauts2023(root=root, trust_pickle=True).responses("subj01")


def test_only_what_is_here_is_needed(root: Path) -> None:
    dataset = Algonauts2023(root=root)
    assert len(dataset.stimuli()) == 2 * (layout.TRAIN - len(layout.SHARED) + layout.TEST) + len(layout.SHARED)
    shutil.rmtree(root / "subj06/test_split")
    assert len(dataset.stimuli()) == 2 * (layout.TRAIN - len(layout.SHARED)) + layout.TEST + len(layout.SHARED)
    with pytest.raises(MissingDataError, match=r"test_split/test_images was not found"):
        dataset.withheld("subj06")
    with pytest.raises(MissingDataError, match=r"subj02 was not found"):
        dataset.responses("subj02")
    with pytest.raises(MissingDataError, match=r"holds pictures of none of subj01, subj02"):
        Algonauts2023(root=root / "subj01").stimuli()


def _array(path: str, values: Callable[[np.ndarray], object]) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / path, values(np.load(folder / path)))  # type: ignore[arg-type]


def _image(old: str, new: str) -> Callable[[Path], object]:
    def rename(folder: Path) -> None:
        place = folder / "training_split/training_images"
        (place / old).rename(place / new)

    return rename


FIRST = "train-0001_nsd-00013.png"
STREAMS = "roi_masks/lh.streams_challenge_space.npy"
ALL = "roi_masks/lh.all-vertices_fsaverage_space.npy"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_array(TRAINING, lambda x: x[:-1]), r"lh_training_fmri\.npy has the shape \(19, 40\); wanted \(20, 40\)"),
        (_array(TRAINING, lambda x: x[:, 1:]), r"lh_training_fmri\.npy has the shape \(20, 39\); wanted \(20, 40\)"),
        (_array(TRAINING, lambda x: x.astype(int)), "is of type int64; wanted floating point"),
        (_array(TRAINING, lambda x: {"lh": x}), "holds a pickled object; wanted an array of numbers"),
        (_array(STREAMS, lambda x: x + 1), r"lh\.streams_challenge_space\.npy has the label 8, which has no name"),
        (_array(STREAMS, lambda x: x[1:]), r"the mask of .*has the shape \(39,\); wanted \(40,\)"),
        (_array(ALL, lambda x: x[:-1]), r"has the shape \(163841,\); wanted \(163842,\)"),
        (_image(FIRST, "train-0001_nsd-73000.png"), "names NSD image 73000; wanted one from 0 to 72999"),
        (_image(FIRST, "train-1_nsd-00013.png"), r"is not called as published; wanted train-<row>_nsd-<image>\.png"),
        (_image(FIRST, "test-0001_nsd-00013.png"), "is not called as published"),
        (_image(FIRST, "train-0031_nsd-00013.png"), "lacks the image of row 1; wanted rows 1 to 31"),
        (_image(FIRST, "train-0001_nsd-72999.png"), "has the row or the image of another file"),
        (lambda folder: (folder / TRAINING).write_bytes((folder / TRAINING).read_bytes()[:500]), "cannot be read"),
    ],
)
def test_damage_is_named(root: Path, damage: Callable[[Path], object], words: str) -> None:
    damage(root / "subj01")
    with pytest.raises(LayoutError, match=words) as caught:
        Algonauts2023(root=root).responses("subj01")
    assert str(root) in str(caught.value)


def test_a_missing_file_and_a_damaged_picture_are_named(root: Path) -> None:
    dataset = Algonauts2023(root=root)
    (root / "subj01/training_split/training_images" / FIRST).write_bytes(b"PNG")
    with pytest.raises(LayoutError, match=r"train-0001_nsd-00013\.png cannot be read"):
        dataset.stimuli().load("nsd-00013")
    (root / "subj01" / TRAINING).unlink()
    with pytest.raises(MissingDataError, match=r"lh_training_fmri\.npy was not found"):
        dataset.responses("subj01")


@pytest.mark.parametrize(
    "settings", [{"validation": 1.0}, {"validation": 0.6, "test": 0.4}, {"test": -0.1}, {"test": "half"}, {"seed": -1}]
)
def test_settings_that_cannot_be(settings: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="wanted"):
        Algonauts2023(**settings)  # type: ignore[arg-type]


# submissions


@pytest.fixture
def predictions(published: Path) -> dict[str, np.ndarray]:
    """float64, as models give them."""
    random = np.random.default_rng(0)
    return {s: random.standard_normal((layout.TEST, sum(layout.SIZES[s].values()))) for s in layout.SUBJECTS}


def test_a_submission_has_a_float32_array_per_hemisphere(
    published: Path,
    predictions: dict[str, np.ndarray],
    tmp_path: Path,
) -> None:
    dataset = Algonauts2023(root=published)
    assert dataset.withheld("subj02")["stimulus"].tolist() == [f"nsd-{image:05}" for image in layout.test_images(2)]
    path = dataset.write_submission(predictions, tmp_path / "x.zip")
    with ZipFile(path) as archive:
        archive.extractall(tmp_path / "out")
    top = tmp_path / "out"
    assert sorted(str(file.relative_to(top)) for file in top.glob("*/*")) == sorted(
        f"{subject}/{short}_pred_test.npy" for subject in layout.SUBJECTS for short in ("lh", "rh")
    )
    for subject, values in predictions.items():
        written = [np.load(top / subject / f"{short}_pred_test.npy") for short in ("lh", "rh")]
        assert [one.dtype for one in written] == [np.float32, np.float32]
        assert [one.shape[1] for one in written] == list(layout.SIZES[subject].values())
        np.testing.assert_array_equal(np.concatenate(written, axis=1), values.astype(np.float32))


def test_predictions_in_a_folder_become_a_zip_and_a_zip_is_checked(
    published: Path,
    predictions: dict[str, np.ndarray],
    tmp_path: Path,
) -> None:
    dataset, folder = Algonauts2023(root=published), tmp_path / "predictions"
    folder.mkdir()
    for subject, values in predictions.items():
        np.save(folder / f"{subject}.npy", values)
    facts = submit(dataset, folder)
    assert facts["submission"] == str(tmp_path / "predictions-test.zip")
    assert facts["samples"] == dict.fromkeys(layout.SUBJECTS, layout.TEST)
    assert submit(dataset, facts["submission"]) == facts
    with pytest.raises(SettingsError, match=r"is a zip already"):
        submit(dataset, facts["submission"], tmp_path / "other.zip")
    (folder / "subj09.npy").touch()
    with pytest.raises(SettingsError, match=r"subj09\.npy is of no subject"):
        submit(dataset, folder)
    (folder / "subj09.npy").unlink()
    (folder / "subj08.npy").unlink()
    with pytest.raises(MissingDataError, match=r"lacks subj08\.npy"):
        submit(dataset, folder)
    with pytest.raises(SettingsError, match="dataset 'simulated' is of no challenge"):
        submit(load_dataset("simulated"), folder)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda x: x[:-1], r"'subj03' have the shape \(2, 84\); wanted \(3, 84\)"),
        (lambda x: x[:, :-1], r"have the shape \(3, 83\)"),
        (lambda x: x.T, r"have the shape \(84, 3\)"),
        (lambda x: np.where(x > 1, np.nan, x), "NaN or infinite"),
        (lambda x: x * 1e39, "NaN or infinite"),
        (lambda x: x.astype(complex), "are of type complex128; wanted real numbers"),
        (lambda x: x > 0, "are of type bool"),
    ],
)
def test_wrong_predictions_are_refused(
    published: Path,
    predictions: dict[str, np.ndarray],
    tmp_path: Path,
    wrong: Callable[[np.ndarray], np.ndarray],
    words: str,
) -> None:
    with pytest.raises(DataError, match=words):
        Algonauts2023(root=published).write_submission(
            {**predictions, "subj03": wrong(predictions["subj03"])}, tmp_path / "x.zip"
        )
    assert not (tmp_path / "x.zip").exists()


def _rezip(path: Path, name: str, values: object, *, drop: bool = False) -> None:
    """The same zip with one member replaced, left out or added."""
    with ZipFile(path) as archive:
        held = {member: archive.read(member) for member in archive.namelist() if member != name}
    with ZipFile(path, "w") as archive:
        for member, data in held.items():
            archive.writestr(member, data)
        if not drop:
            with archive.open(name, "w") as file:
                np.lib.format.write_array(file, np.asarray(values))


MEMBER = "subj06/lh_pred_test.npy"


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        (MEMBER, np.zeros((3, 38)), r"lh_pred_test\.npy of .* is float64 of the shape \(3, 38\); wanted float32"),
        (MEMBER, np.zeros((3, 40), "f4"), r"shape \(3, 40\); wanted float32 of \(3, 38\)"),
        (MEMBER, np.zeros((2, 38), "f4"), r"shape \(2, 38\)"),
        (MEMBER, np.full((3, 38), np.nan, "f4"), "NaN"),
        (MEMBER, np.array([{}], dtype=object), "holds a pickled object"),
        (MEMBER, None, "lacks 1 of 16 files"),
        (MEMBER.replace("subj06", "subj09"), np.zeros(3, "f4"), "the challenge does not know"),
        (f"submission/{MEMBER}", np.zeros((3, 38), "f4"), "has the file 'submission/subj06/lh_pred_test.npy'"),
    ],
)
def test_the_checker_refuses_near_misses(
    published: Path,
    predictions: dict[str, np.ndarray],
    tmp_path: Path,
    name: str,
    values: object,
    words: str,
) -> None:
    dataset = Algonauts2023(root=published)
    path = dataset.write_submission(predictions, tmp_path / "x.zip")
    dataset.check_submission(path)
    _rezip(path, name, values, drop=values is None)
    with pytest.raises(LayoutError, match=words):
        dataset.check_submission(path)


def test_what_is_no_zip_is_refused(published: Path, tmp_path: Path) -> None:
    dataset = Algonauts2023(root=published)
    with pytest.raises(MissingDataError, match=r"x\.zip was not found"):
        dataset.check_submission(tmp_path / "x.zip")
    (tmp_path / "x.zip").write_bytes(b"no zip")
    with pytest.raises(LayoutError, match=r"x\.zip is no zip, or cut short"):
        dataset.check_submission(tmp_path / "x.zip")
