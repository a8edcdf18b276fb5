"""Algonauts 2025: the published layout in miniature, damaged copies of it, and submissions."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pandas as pd
import pytest
from layouts import algonauts2025 as layout

from fusiform.data import Features, Recording, Responses
from fusiform.data.timing import row_times
from fusiform.datasets import Dataset, load_dataset
from fusiform.datasets.algonauts2025 import Algonauts2025, stimulus_window
from fusiform.datasets.algonauts2025.responses import survey
from fusiform.datasets.algonauts2025.schaefer import NETWORKS, parcels
from fusiform.datasets.algonauts2025.segments import FILMS, Series, film_of, parse_keys
from fusiform.datasets.algonauts2025.transcripts import read_transcript
from fusiform.datasets.npy import write_mapping
from fusiform.datasets.submission import Challenge, submit
from fusiform.errors import AlignmentError, DataError, LayoutError, MissingDataError, SettingsError, UnknownNameError
from fusiform.pairs import pair
from fusiform.testing import check_dataset

pytest.importorskip("av")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "algonauts2025"
    layout.write(folder)
    return folder


@pytest.fixture
def root(published: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    shutil.copytree(published, tmp_path / "copy")
    return tmp_path / "copy"


# keys


@pytest.mark.parametrize(
    ("key", "task", "series"),
    [
        ("ses-003_task-s01e02a", "friends", ("s01e02a", 3, 1)),
        ("ses-066_task-s06e24d", "friends", ("s06e24d", 66, 1)),
        ("ses-001_task-bourne01", "movie10", ("bourne01", 1, 1)),
        ("ses-005_task-wolf17", "movie10", ("wolf17", 5, 1)),
        ("ses-009_task-life01_run-2", "movie10", ("life01", 9, 2)),
        ("ses-007_task-figures12_run-1", "movie10", ("figures12", 7, 1)),
    ],
)
def test_published_keys(key: str, task: str, series: tuple[str, int, int]) -> None:
    assert parse_keys([key], task, Path("x.h5")) == [Series(key, *series)]


@pytest.mark.parametrize(
    ("key", "task"),
    [
        ("ses-3_task-s01e02a", "friends"),  # three digits
        ("ses-003_task-s01e02", "friends"),  # no letter
        ("ses-003_task-s01e02e", "friends"),  # a to d
        ("ses-003_task-s1e02a", "friends"),
        ("ses-003_task-s07e02a", "friends"),  # withheld
        ("ses-003_task-s01e02a_run-1", "friends"),
        ("ses-003_task-bourne01", "friends"),  # of the other file
        ("ses-001_task-s01e02a", "movie10"),
        ("ses-001_task-bourne1", "movie10"),
        ("ses-001_task-bourne01_run-1", "movie10"),  # shown once
        ("ses-001_task-life01", "movie10"),  # shown twice, so which?
        ("ses-001_task-life01_run-3", "movie10"),
        ("ses-001_task-life01_run-1 ", "movie10"),
        ("ses-001_task-chaplin1", "movie10"),
        ("ses-001_task-matrix01", "movie10"),
        ("SES-001_task-bourne01", "movie10"),
        ("", "movie10"),
    ],
)
def test_other_keys_are_named(key: str, task: str) -> None:
    with pytest.raises(
        LayoutError, match=r"x\.h5 has keys that were not published: .*; wanted ses-<3 digits>"
    ) as caught:
        parse_keys([key], task, Path("x.h5"))
    assert repr(key) in str(caught.value)


def test_many_strange_keys_are_counted_and_twins_are_refused() -> None:
    with pytest.raises(LayoutError, match=r"'a', 'b', 'c' and 2 more; wanted"):
        parse_keys("abcde", "friends", Path("x.h5"))
    with pytest.raises(LayoutError, match=r"responses to 's01e02a' twice, such as under 'ses-001_task-s01e02a'"):
        parse_keys(["ses-001_task-s01e02a", "ses-002_task-s01e02a"], "friends", Path("x.h5"))


def test_segments_are_of_films() -> None:
    assert film_of("s06e24d") == "friends-s06"
    assert film_of("figures12") == "movie10-figures"
    assert film_of("wot2") == "ood-wot"
    assert [film_of(name) for name in ("s08e01a", "figures1", "wot", "")] == [None] * 4
    assert len(FILMS) == 7 + 4 + 6


# the dataset


def test_it_keeps_the_contract(published: Path) -> None:
    dataset = load_dataset("algonauts2025", root=str(published), films=["friends-s01", "movie10-life", "ood-chaplin"])
    assert isinstance(dataset, Dataset)
    assert isinstance(dataset, Challenge)
    check_dataset(dataset)


def test_it_is_found_in_the_data_folder_and_stimuli_may_lie_elsewhere(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.rename(tmp_path / "algonauts2025")
    (tmp_path / "algonauts2025/stimuli").rename(tmp_path / "films")
    monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path))
    with pytest.raises(MissingDataError, match="looked for stimuli"):
        Algonauts2025().stimuli()
    dataset = Algonauts2025(stimuli_root=tmp_path / "films")
    assert len(dataset.stimuli()) == 16
    assert len(dataset.responses("sub-01")) == len(Algonauts2025().responses("sub-01"))


@pytest.mark.filterwarnings("ignore:sub-02 has no responses to s05e20a")
def test_responses_are_the_series_below_each_other_with_a_clock(published: Path) -> None:
    responses = Algonauts2025(root=published, trim=0).responses("sub-02")
    samples, start = responses.samples, 0
    expected = [
        (task, key, volumes) for task, series in layout.keys("sub-02").items() for key, volumes in series.items()
    ]
    assert [task for task, _, _ in expected] == ["friends"] * 6 + ["movie10"] * 6
    runs = samples.groupby("run", sort=False)
    assert [len(rows) for _, rows in runs] == [volumes for _, _, volumes in expected]
    for _, key, volumes in expected:
        rows = samples.iloc[start : start + volumes]
        assert rows["stimulus"].unique().tolist() == [key.partition("task-")[2].partition("_run")[0]]
        assert rows["session"].unique().tolist() == [int(key[4:7])]
        np.testing.assert_allclose(rows["time"], 1.49 * np.arange(volumes))
        np.testing.assert_array_equal(responses.values[start : start + volumes], layout.values(2, key, volumes))
        start += volumes
    assert start == len(responses)
    assert responses.values.dtype == np.float32


def test_films_shown_twice_have_repeats_that_average(published: Path) -> None:
    responses = Algonauts2025(root=published, trim=0).responses("sub-01", part="movie10")
    twice = responses.samples[responses.samples["repeat"] == 2]
    assert sorted(set(twice["stimulus"])) == ["figures01", "life01"]
    mean = responses.average_repeats()
    life = (mean.samples["stimulus"] == "life01").to_numpy()
    stored = [layout.values(1, f"ses-{session:03}_task-life01_run-{run}", 24) for session, run in ((6, 1), (9, 2))]
    np.testing.assert_allclose(mean.values[life], np.mean(stored, axis=0), atol=1e-6)
    assert set(mean.samples["repeats"][life]) == {2}


def test_both_ends_of_every_series_are_left_out(published: Path) -> None:
    whole = Algonauts2025(root=published, trim=0).responses("sub-03", part="friends")
    trimmed = Algonauts2025(root=published).responses("sub-03", part="friends")
    place = whole.samples.groupby("run").cumcount()
    back = whole.samples.groupby("run").cumcount(ascending=False)
    kept = ((place >= 5) & (back >= 5)).to_numpy()
    np.testing.assert_array_equal(trimmed.values, whole.values[kept])
    assert trimmed.samples.equals(whole.samples[kept].reset_index(drop=True))
    with pytest.raises(AlignmentError, match=r"has 24 volumes, and 12 are left out at either end; lower `trim`"):
        Algonauts2025(root=published, trim=12).responses("sub-03")


@pytest.mark.parametrize("stimuli", ["here", "not here"])
def test_an_episode_that_a_subject_lacks_is_left_out_for_that_subject_only(root: Path, stimuli: str) -> None:
    if stimuli == "not here":  # as where features were extracted elsewhere
        shutil.rmtree(root / "stimuli")
    dataset = Algonauts2025(root=root)
    shown = set(dataset.responses("sub-01").samples["stimulus"])
    for subject in dataset.subjects:
        lacking = sorted(layout.LACKING.get(subject, ()))
        said = rf"^{subject} has no responses to {', '.join(lacking)} \(as published\); left out for this subject only$"
        with pytest.warns(UserWarning, match=said) if lacking else nullcontext():
            found = dataset.responses(subject)
        assert shown - set(found.samples["stimulus"]) == set(lacking)
        assert dataset.missing(subject) == lacking


@pytest.mark.parametrize("stimuli", ["here", "not here"])
@pytest.mark.parametrize(
    ("task", "key", "name"),
    [("friends", "ses-002_task-s01e01b", "s01e01b"), ("movie10", "ses-009_task-life01_run-2", "life01_run-2")],
)
def test_a_series_that_should_be_there_is_named_and_left_out(
    root: Path, stimuli: str, task: str, key: str, name: str
) -> None:
    import h5py

    with h5py.File(root / layout.file_of("sub-03", task), "a") as file:
        del file[key]
    if stimuli == "not here":
        shutil.rmtree(root / "stimuli")
    (root / layout.file_of("sub-02", task)).write_bytes(b"damaged")  # which is told of where sub-02 is read
    dataset = Algonauts2025(root=root)
    with pytest.warns(UserWarning, match=rf"sub-03 has no responses to {name} \(which others saw, or whose films are"):
        found = dataset.responses("sub-03")
    assert len(found) < len(dataset.responses("sub-01"))
    assert dataset.missing("sub-03") == [name]
    assert dataset.missing("sub-01") == []


def test_what_was_published_as_missing_and_what_was_not_are_one_sentence(root: Path) -> None:
    import h5py

    with h5py.File(root / layout.file_of("sub-05", "friends"), "a") as file:
        del file["ses-002_task-s01e01b"]
    said = r"s04e01a, s04e01b, s04e13b \(as published\) and to s01e01b \(which others saw, .*left out for this subject"
    with pytest.warns(UserWarning, match=f"sub-05 has no responses to {said}") as caught:
        Algonauts2025(root=root).responses("sub-05")
    assert len(caught) == 1


def test_films_that_are_not_in_use_are_not_told_of(published: Path) -> None:
    dataset = Algonauts2025(root=published, films=["friends-s01", "movie10-wolf"])
    assert dataset.missing("sub-05") == []
    assert len(dataset.responses("sub-05"))


def test_splits_and_films_are_chosen_by_name(published: Path) -> None:
    samples = Algonauts2025(root=published, test=["movie10-life", "movie10-wolf"]).responses("sub-01").samples
    split = {name: set(rows["stimulus"]) for name, rows in samples.groupby("split")}
    assert split["val"] == {"s06e01a"}
    assert split["test"] == {"life01", "wolf01"}
    assert {"bourne01", "s01e01a"} <= split["train"]
    few = Algonauts2025(root=published, films=["friends-s04", "movie10-wolf"], validation="movie10-wolf")
    assert set(few.responses("sub-01").samples["stimulus"]) == {"s04e01a", "s04e01b", "s04e13b", "wolf01"}
    assert few.stimuli().table["split"].to_dict()["wolf01"] == "val"
    assert few.stimuli("friends").ids == ["s04e01a", "s04e01b", "s04e13b"]
    with pytest.raises(UnknownNameError, match=r"unknown film 'friends-s6'.*did you mean 'friends-s06'"):
        Algonauts2025(validation=["friends-s6"])
    with pytest.raises(SettingsError, match="film 'friends-s06' is of the validation and of the test"):
        Algonauts2025(test=["friends-s06"])
    for film in ("friends-s07", "ood-wot"):
        with pytest.raises(SettingsError, match=f"the responses to '{film}' are withheld"):
            Algonauts2025(test=[film])
    for films in (5, [5], {"friends-s01": 1}):
        with pytest.raises(SettingsError, match="wanted a list of names such as"):
            Algonauts2025(films=films)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"trim is -1; wanted a whole number of volumes"):
        Algonauts2025(trim=-1)
    with pytest.raises(SettingsError, match=r"no film in use has responses here \(ood-wot\)"):
        Algonauts2025(root=published, films=["ood-wot"]).responses("sub-01")


def test_only_the_files_of_the_films_in_use_are_needed(root: Path) -> None:
    (root / layout.file_of("sub-01", "movie10")).unlink()
    assert len(Algonauts2025(root=root).responses("sub-01", part="friends"))
    assert len(Algonauts2025(root=root, films=["friends-s01"]).responses("sub-01"))
    with pytest.raises(MissingDataError, match=r"sub-01_task-movie10_.*_bold\.h5 was not found"):
        Algonauts2025(root=root).responses("sub-01")
    with pytest.raises(MissingDataError, match=r"the files of 'sub-01' hold no responses to friends-s02"):
        Algonauts2025(root=root, films=["friends-s02"]).responses("sub-01")
    with pytest.raises(MissingDataError, match="nowhere is no folder"):
        Algonauts2025(root=root, stimuli_root=root / "nowhere").responses("sub-01", part="friends")


def test_single_samples_and_a_torch_view(published: Path) -> None:
    dataset = Algonauts2025(root=published)
    recording, response = dataset.sample("sub-05", -1, part="movie10")
    assert isinstance(recording, Recording)
    np.testing.assert_array_equal(response, dataset.responses("sub-05", part="movie10").values[-1])
    view = dataset.torch("sub-05", part="movie10", rois=["Vis"], transform=lambda recording: recording.duration)
    assert len(view) == len(dataset.responses("sub-05", part="movie10"))
    duration, values = view[0]
    assert duration == pytest.approx(25 * 1.49, abs=0.3)
    assert values.shape == (162,)


# parcels


def test_parcels_have_schaefers_networks_and_places(published: Path) -> None:
    space = Algonauts2025(root=published).responses("sub-01", part="movie10").space
    assert space.column("hemisphere").tolist() == ["left"] * 500 + ["right"] * 500
    left, right = space.column("roi")[:500].tolist(), space.column("roi")[500:].tolist()
    assert [left.count(network) for network in NETWORKS] == [81, 91, 61, 55, 29, 57, 126]
    assert [right.count(network) for network in NETWORKS] == [81, 103, 61, 66, 31, 72, 86]
    names = dict(zip(space.column("parcel"), space.names, strict=True))
    published_names = {1: "LH_Vis_1", 81: "LH_Vis_81", 82: "LH_SomMot_1", 500: "LH_Default_126", 501: "RH_Vis_1"}
    assert published_names.items() <= names.items()
    assert (names[912], names[913], names[998], names[999]) == (
        "RH_Cont_70",
        "RH_Default_1",
        "RH_Default_86",
        "RH_Cont_71",
    )
    assert (space.column("x") < 0).tolist() == (space.column("hemisphere") == "left").tolist()
    np.testing.assert_allclose(space.coordinates()[0], [-88, -110, -48])  # voxels (4, 10..12, 15) at 2 mm


def test_the_vertex_of_a_parcel_is_near_its_middle(tmp_path: Path) -> None:
    """An atlas with every parcel on a vertex: that vertex is found again, but for the shift between the two spaces."""
    import nibabel
    from nilearn.datasets import load_fsaverage

    pial = load_fsaverage("fsaverage5")["pial"]
    surface = {side: np.asarray(pial.parts[side].coordinates) for side in ("left", "right")}
    labels, affine = np.zeros((97, 115, 97), np.int16), np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -96, -132, -78
    chosen = {}
    for first, side in ((1, "left"), (501, "right")):
        points = surface[side]
        free = range(0, 10_000, 20)
        for number, vertex in zip(range(first, first + 500), free, strict=True):
            voxel = np.rint((points[vertex] - affine[:3, 3]) / 2).astype(int)
            while labels[tuple(voxel)]:
                voxel[2] += 1
            labels[tuple(voxel)] = number
            chosen[number] = points[vertex]
    nibabel.save(nibabel.Nifti1Image(labels, affine), tmp_path / "atlas.nii.gz")  # type: ignore[no-untyped-call]
    space = parcels(tmp_path / "atlas.nii.gz")
    assert space.mesh == "fsaverage5"
    found = [surface[side][v] for side, v in zip(space.column("hemisphere"), space.column("vertex"), strict=True)]
    away = np.linalg.norm(np.array(found) - np.array([chosen[number] for number in range(1, 1001)]), axis=1)
    assert np.median(away) < 5  # mm: a voxel's rounding, the vertices' distance, and MNI305 lies aside of MNI152


def test_networks_choose_columns_and_an_atlas_is_not_needed(root: Path) -> None:
    dataset = Algonauts2025(root=root)
    whole = dataset.responses("sub-05", part="movie10")
    some = dataset.responses("sub-05", part="movie10", rois=["Limbic", "Vis"])
    inside = np.isin(whole.space.column("roi"), ["Vis", "Limbic"])
    np.testing.assert_array_equal(some.values, whole.values[:, inside])
    shutil.rmtree(root / "fmri/sub-05/atlas")
    bare = dataset.responses("sub-05", part="movie10").space
    assert bare.mesh is None
    assert bare.names == whole.space.names
    with pytest.raises(UnknownNameError, match="unknown region 'Visual'"):
        dataset.responses("sub-05", rois=["Visual"])


def test_an_atlas_with_other_labels_is_refused(root: Path) -> None:
    import nibabel

    path = next((root / "fmri/sub-01/atlas").iterdir())
    image: Any = nibabel.load(path)
    labels = np.asarray(image.dataobj).copy()
    labels[labels == 1000] = 1001
    nibabel.save(type(image)(labels, image.affine), path)
    with pytest.raises(LayoutError, match=r"1000 labels from 0 to 1001; wanted a volume with each of the parcels"):
        Algonauts2025(root=root).responses("sub-01")


# films and transcripts


def test_stimuli_are_what_is_here(root: Path) -> None:
    stimuli = Algonauts2025(root=root).stimuli()
    assert stimuli.kind == "recording"
    assert stimuli.ids[:3] == ["s01e01a", "s01e01b", "s04e01a"]
    assert stimuli.table.loc["chaplin1"].to_dict() == {
        "film": "ood-chaplin",
        "split": "withheld",
        "video": True,
        "transcript": False,
    }
    assert set(stimuli.table["split"]) == {"train", "val", "withheld"}
    (root / "stimuli/movies/ood/wot/task-wot_video.mkv").touch()  # the whole film lies there too
    film = root / "stimuli" / layout.film_path("s01e01a")
    film.unlink()
    film.symlink_to(root / ".git/annex/objects/nothing")
    assert Algonauts2025(root=root).stimuli().ids == stimuli.ids
    assert not Algonauts2025(root=root).stimuli().table.loc["s01e01a", "video"]
    (root / "stimuli" / layout.transcript_path("s01e01a")).unlink()
    assert "s01e01a" not in Algonauts2025(root=root).stimuli().ids
    shutil.rmtree(root / "stimuli/movies")
    shutil.rmtree(root / "stimuli/transcripts")
    with pytest.raises(MissingDataError, match=r"stimuli holds no segment of .*run 'datalad get'"):
        Algonauts2025(root=root).stimuli()


def test_a_segment_has_picture_sound_and_words(published: Path) -> None:
    recording = Algonauts2025(root=published).stimuli().load("bourne01")
    assert isinstance(recording, Recording)
    assert recording.duration == pytest.approx(25 * 1.49, abs=0.3)
    assert recording.video is not None
    assert recording.sound is not None
    frames = recording.video.frames([0.0, 30.0])
    assert frames.shape == (2, 24, 32, 3)
    assert frames[1].mean() > frames[0].mean() + 150
    assert len(recording.sound.samples(1.0, 2.0)) == 8000
    assert recording.words["text"].iloc[:2].tolist() == ["Hi", 'say "no"']
    assert recording.words["start"].is_monotonic_increasing
    chaplin = Algonauts2025(root=published).stimuli().load("chaplin1")
    assert chaplin.words.empty
    assert chaplin.video is not None


def test_without_films_there_are_words_and_nothing_is_decoded(tmp_path: Path) -> None:
    layout.write(tmp_path, films=False)
    dataset = Algonauts2025(root=tmp_path)
    recording = dataset.stimuli().load("s01e01a")
    assert recording.duration == pytest.approx(26 * 1.49)
    assert (recording.video, recording.sound) == (None, None)
    assert len(dataset.responses("sub-01"))
    assert "chaplin1" not in dataset.stimuli().ids


def test_transcripts_keep_every_word_and_time(tmp_path: Path) -> None:
    path = tmp_path / "friends_s01e01a.tsv"
    layout._transcript(path, 6)
    words, end = read_transcript(path)
    assert end == pytest.approx(6 * 1.49)
    # rows 0, 2 and 4 hold 1, 3 and 2 words
    assert words["text"].tolist() == ["Hi", 'say "no"', "Ross,", "naïve", "naïve", "okay."]
    np.testing.assert_allclose(words["start"], [0, 2.98, 3.38, 3.78, 5.96, 6.36])
    np.testing.assert_allclose(words["stop"] - words["start"], 0.3)


HEAD = "text_per_tr\twords_per_tr\tonsets_per_tr\tdurations_per_tr\n"


def test_words_without_an_onset_follow_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text(HEAD + "a 2 b\t['a', '2', 'b']\t[0.2, nan, 0.9]\t[0.4, nan, 0.1]\n\t\t\t\n5\t['5']\t[nan]\t[nan]\n")
    words, end = read_transcript(path)
    assert end == pytest.approx(3 * 1.49)
    assert words["text"].tolist() == ["a", "2", "b", "5"]
    np.testing.assert_allclose(words["start"], [0.2, 0.6, 0.9, 2.98])
    np.testing.assert_allclose(words["stop"], [0.6, 0.6, 1.0, 2.98])


def test_a_silent_transcript_has_no_words(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text(HEAD + "\t[]\t[]\t[]\n" * 3)
    words, end = read_transcript(path)
    assert words.empty
    assert list(words) == ["text", "start", "stop"]
    assert end == pytest.approx(3 * 1.49)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + "a\t['a']\t[0.1, 0.2]\t[0.1]\n", "row 1 of .* has 1 words, 2 onsets and 1 durations; wanted as many"),
        (HEAD + "\t[]\t[]\t[]\na\t['a'\t[0.1]\t[0.1]\n", "row 2 of .* cannot be read"),
        (HEAD + "a\t['a']\t[0.1]\n", "1 words, 1 onsets and 0 durations"),
        (HEAD + "a\t['a']\t[one]\t[0.1]\n", r"row 1 .*could not convert string to float: 'one'"),
        (HEAD + "a\t['a']\t0.1\t[0.1]\n", "'0.1' is no list of numbers"),
        (HEAD + "a\t['a']\t[-1]\t[0.1]\n", "seconds below zero"),
        (HEAD + "a\t[1]\t[0.1]\t[0.1]\n", "is no list of words"),
        (HEAD + "a\t'a'\t[0.1]\t[0.1]\n", "is no list of words"),
        (HEAD + "a\t__import__('os').mkdir('hacked')\t[0.1]\t[0.1]\n", "row 1 of .* cannot be read"),
        (HEAD.replace("onsets", "offsets") + "\t[]\t[]\t[]\n", "lacks the column 'onsets_per_tr'"),
        ("", "lacks the column 'words_per_tr'"),
    ],
)
def test_malformed_transcripts_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "x.tsv"
    path.write_text(text)
    with pytest.raises(LayoutError, match=words) as caught:
        read_transcript(path)
    assert str(path) in str(caught.value)
    assert not Path("hacked").exists()


def test_a_series_much_longer_or_shorter_than_its_film_is_refused(root: Path) -> None:
    layout._film(root / "stimuli" / layout.film_path("wolf01"), 19.4 * 1.49)  # of 25 volumes
    with pytest.raises(
        AlignmentError, match=r"'ses-003_task-wolf01' of 'sub-01' has 25 volumes \(37\.2 s\) and its film"
    ) as e:
        Algonauts2025(root=root).responses("sub-01")
    assert "they may differ by 5 volumes" in str(e.value)
    assert len(Algonauts2025(root=root, tolerance=6).responses("sub-01"))
    assert len(Algonauts2025(root=root, tolerance=None).responses("sub-01"))
    layout._film(root / "stimuli" / layout.film_path("wolf01"), 31 * 1.49)
    with pytest.raises(AlignmentError, match="has 25 volumes"):
        Algonauts2025(root=root).responses("sub-01")


def test_volumes_meet_the_moment_of_the_film_that_was_shown(published: Path) -> None:
    """A feature that says which row of its film it is comes back as the row that was on screen `lag` before."""
    dataset = Algonauts2025(root=published)
    responses, rate, index, values = dataset.responses("sub-01", part="movie10"), 2.0, [], []
    for id in dataset.stimuli("movie10").ids:
        rows = int(dataset.stimuli().load(id).duration * rate)
        index += [(id, start) for start in row_times(rows, rate)]
        values += [[float(row)] for row in range(rows)]
    features = Features(pd.DataFrame(index, columns=["stimulus", "start"]), {"row": np.array(values)}, rate)
    shown = pair(features, responses, lags=(4.47,)).features["row"][:][:, 0]
    wanted = (responses.samples["time"] - 4.47) * rate
    assert np.abs(shown - wanted).max() <= 0.5 + 1e-6


def test_a_stimulus_window_is_what_the_baseline_reads(published: Path) -> None:
    """The baseline gives volume s the chunks from s - delay - chunks + 1 to s - delay, the lags of 3 to 7 volumes."""
    responses, rate = Algonauts2025(root=published, films=["movie10-wolf"]).responses("sub-01"), 1 / 1.49
    index = pd.DataFrame({"stimulus": "wolf01", "start": row_times(25, rate)})
    features = Features(index, {"chunk": np.arange(25.0)[:, None]}, rate)
    read = pair(features, responses, lags=stimulus_window(delay=3, chunks=5)).features["chunk"][:][:, :, 0]
    volume = np.rint(responses.samples["time"].to_numpy() * rate).astype(int)
    wanted = [np.maximum(np.arange(s - 3 - 5 + 1, s - 3 + 1), 0) for s in volume]
    np.testing.assert_array_equal(np.sort(read, axis=1), wanted)
    assert stimulus_window(0, 1) == (0.0,)
    with pytest.raises(SettingsError, match="one chunk at least"):
        stimulus_window(3, 0)


# damage


def _change(key: str, values: Callable[[np.ndarray], Any]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        import h5py

        with h5py.File(path, "a") as file:
            old = file[key][()]
            del file[key]
            file[key] = values(old)

    return change


def _add(key: str) -> Callable[[Path], None]:
    def add(path: Path) -> None:
        import h5py

        with h5py.File(path, "a") as file:
            file[key] = np.zeros((20, 1000), np.float32)

    return add


def _emptied(path: Path) -> None:
    import h5py

    h5py.File(path, "w").close()


WOLF = "ses-003_task-wolf01"


def _nan(x: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(x))[:, None] == 7, np.nan, x)


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (
            _change(WOLF, lambda x: x[:, :999]),
            LayoutError,
            r"wolf01' of .* has the shape \(25, 999\); wanted \[volumes",
        ),
        (_change(WOLF, lambda x: x.T), LayoutError, r"has the shape \(1000, 25\)"),
        (_change(WOLF, lambda x: x[0]), LayoutError, r"has the shape \(1000,\)"),
        (_change(WOLF, lambda x: x[:0]), LayoutError, r"has the shape \(0, 1000\)"),
        (_change(WOLF, lambda x: x.astype(int)), LayoutError, "is of type int64; wanted floating point"),
        (_change(WOLF, _nan), DataError, r"wolf01 of .* holds 1000 NaN or infinite values, the first at \[7, 0\]"),
        (
            _emptied,
            LayoutError,
            r"bold\.h5 holds no time series; wanted one per segment of 'movie10'; get the file again",
        ),
        (_add("ses-004_task-wolf1"), LayoutError, "keys that were not published: 'ses-004_task-wolf1'"),
        (_add("ses-004_task-wolf02/data"), LayoutError, r"'ses-004_task-wolf02' of .* has the shape None"),
        (lambda path: path.write_bytes(path.read_bytes()[:-5000]), LayoutError, r"bold\.h5 cannot be read"),
        (lambda path: path.write_bytes(b""), LayoutError, r"bold\.h5 cannot be read"),
        (lambda path: path.unlink(), MissingDataError, r"bold\.h5 was not found"),
    ],
)
def test_damaged_responses_are_named(
    root: Path, damage: Callable[[Path], object], error: type[Exception], words: str
) -> None:
    path = root / layout.file_of("sub-01", "movie10")
    damage(path)
    with pytest.raises(error, match=words) as caught:
        Algonauts2025(root=root).responses("sub-01")
    assert str(path) in str(caught.value)


def test_a_file_that_was_not_fetched_says_how_to_get_it(root: Path) -> None:
    path = root / layout.file_of("sub-01", "friends")
    path.unlink()
    path.symlink_to(root / ".git/annex/objects/nothing")
    with pytest.raises(MissingDataError, match=r"link whose content was not fetched; run 'datalad get .*_bold\.h5'"):
        survey(root / "fmri", "sub-01", ["friends"])


# submissions

OPEN = ("friends-s7", "ood")


@pytest.fixture(scope="module")
def trusting(published: Path) -> Algonauts2025:
    return Algonauts2025(root=published, trust_pickle=True)


def counts(subject: str, phase: str) -> dict[str, int]:
    segments = layout.SEASON7 if phase == "friends-s7" else layout.OOD
    return {segment: count + (layout.SUBJECTS.index(subject) + 1) % 2 for segment, count in sorted(segments.items())}


def predicted(phase: str) -> dict[str, np.ndarray]:
    """float64, as models give them."""
    random = np.random.default_rng(0)
    return {s: random.standard_normal((sum(counts(s, phase).values()), 1000)) for s in layout.SUBJECTS}


@pytest.mark.parametrize("phase", OPEN)
def test_withheld_samples_are_those_of_the_challenge(trusting: Algonauts2025, phase: str) -> None:
    for subject in layout.SUBJECTS:
        table = trusting.withheld(subject, phase)
        assert table.groupby("stimulus", sort=False).size().to_dict() == counts(subject, phase)
        np.testing.assert_allclose(table.groupby("stimulus").cumcount() * 1.49, table["time"])
    assert set(trusting.withheld("sub-01", phase)["stimulus"]) <= set(trusting.stimuli().ids)


def test_numbers_of_withheld_volumes_are_pickles(published: Path) -> None:
    with pytest.raises(SettingsError, match=r"sub-01_friends-s7_fmri_samples\.npy is a pickle.*trust_pickle"):
        Algonauts2025(root=published).withheld("sub-01")


def test_the_folder_may_be_called_as_the_readme_says(root: Path) -> None:
    (root / "fmri/sub-01/target_sample_number").rename(root / "fmri/sub-01/target_samples_number")
    assert len(Algonauts2025(root=root, trust_pickle=True).withheld("sub-01"))


def test_no_withheld_volumes_are_refused(root: Path) -> None:
    np.save(root / "fmri/sub-01/target_sample_number/sub-01_friends-s7_fmri_samples.npy", {})  # type: ignore[arg-type]
    with pytest.raises(LayoutError, match=r"fmri_samples\.npy names no segment; wanted those of 'friends-s7'"):
        Algonauts2025(root=root, trust_pickle=True).withheld("sub-01")


@pytest.mark.parametrize("held", [{"s06e01a": 3}, {"s07e01": 3}, {"s07e01a": 0}, {"s07e01a": 2.5}, {7: 3}])
def test_wrong_numbers_of_withheld_volumes_are_refused(root: Path, held: dict[Any, Any]) -> None:
    np.save(root / "fmri/sub-01/target_sample_number/sub-01_friends-s7_fmri_samples.npy", held)  # type: ignore[arg-type]
    with pytest.raises(
        LayoutError, match=r"fmri_samples\.npy says .* wanted segments of 'friends-s7' and volumes above 0"
    ):
        Algonauts2025(root=root, trust_pickle=True).withheld("sub-01")


@pytest.mark.parametrize(
    ("phase", "name"), [("friends-s7", "fmri_predictions_friends_s7.npy"), ("ood", "fmri_predictions_ood.npy")]
)
def test_a_submission_is_what_the_challenges_server_reads(
    trusting: Algonauts2025, tmp_path: Path, phase: str, name: str
) -> None:
    predictions = predicted(phase)
    path = trusting.write_submission(predictions, tmp_path / "x.zip", phase)
    with ZipFile(path) as archive:
        assert archive.namelist() == [name]
        archive.extractall(tmp_path)
    found = np.load(tmp_path / name, allow_pickle=True).item()
    assert set(found) == set(layout.SUBJECTS)
    for subject, segments in found.items():
        assert {segment: values.shape for segment, values in segments.items()} == {
            segment: (count, 1000) for segment, count in counts(subject, phase).items()
        }
        assert {values.dtype for values in segments.values()} == {np.dtype(np.float32)}
        below = np.concatenate([segments[segment] for segment in counts(subject, phase)])
        np.testing.assert_array_equal(below, predictions[subject].astype(np.float32))


def test_predictions_in_a_folder_become_a_zip_and_a_zip_is_checked(trusting: Algonauts2025, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for subject, values in predicted("ood").items():
        np.save(folder / f"{subject}.npy", values)
    facts = submit(trusting, folder, phase="ood")
    assert facts["samples"] == {subject: sum(counts(subject, "ood").values()) for subject in layout.SUBJECTS}
    assert submit(trusting, facts["submission"], phase="ood") == facts
    with pytest.raises(LayoutError, match="lacks 2 of 2 segments, such as 's07e01a'"):
        submit(trusting, facts["submission"])
    with pytest.raises(DataError, match=r"'sub-01' have the shape \(78, 1000\); wanted \(51, 1000\)"):
        submit(trusting, folder)
    with pytest.raises(UnknownNameError, match="unknown phase 'oot'"):
        submit(trusting, folder, phase="oot")


@pytest.mark.filterwarnings("ignore:sub-0[25] has no responses to")
def test_what_is_learned_from_films_is_predicted_for_withheld_ones(trusting: Algonauts2025, tmp_path: Path) -> None:
    """From responses to a submission, as a user goes: the rows of `withheld` pair with features like any others."""
    from sklearn.linear_model import Ridge

    def described(ids: list[str]) -> Features:
        index = [(id, start) for id in ids for start in row_times(30, 1 / 1.49)]
        random = np.random.default_rng(0)
        return Features(
            pd.DataFrame(index, columns=["stimulus", "start"]),
            {"x": random.standard_normal((30 * len(ids), 4))},
            1 / 1.49,
        )

    predictions = {}
    for subject in trusting.subjects:
        seen = trusting.responses(subject, part="friends")
        learned = pair(described(sorted(set(seen.samples["stimulus"]))), seen, lags=stimulus_window())
        model = Ridge().fit(learned.features["x"][:].reshape(len(learned), -1), learned.responses[:])
        unseen = Responses(np.zeros((len(trusting.withheld(subject)), 1000)), trusting.withheld(subject), seen.space)
        shown = pair(described(list(counts(subject, "friends-s7"))), unseen, lags=stimulus_window())
        predictions[subject] = model.predict(shown.features["x"][:].reshape(len(shown), -1))
    trusting.check_submission(trusting.write_submission(predictions, tmp_path / "x.zip"))


def test_a_zip_is_a_pickle_too(published: Path, trusting: Algonauts2025, tmp_path: Path) -> None:
    path = trusting.write_submission(predicted("ood"), tmp_path / "x.zip", "ood")
    with pytest.raises(SettingsError, match="is a pickle"):
        Algonauts2025(root=published).check_submission(path, "ood")


def _packed(mapping: Any, path: Path, name: str = "fmri_predictions_ood.npy") -> Path:
    with ZipFile(path, "w", ZIP_STORED) as archive, archive.open(name, "w") as file:
        write_mapping(file, mapping)
    return path


def _right() -> dict[str, Any]:
    return {s: {e: np.ones((n, 1000), np.float32) for e, n in counts(s, "ood").items()} for s in layout.SUBJECTS}


def _of_one(change: Callable[[np.ndarray], Any]) -> Callable[[dict[str, Any]], None]:
    return lambda x: x["sub-05"].update(wot1=change(x["sub-05"]["wot1"]))


def _misses() -> Iterator[tuple[Callable[[dict[str, Any]], Any], str]]:
    yield lambda x: x.pop("sub-03"), r"lacks 1 of 4 subjects, such as 'sub-03'"
    yield lambda x: x.update({"sub-04": x["sub-03"]}), "has the subject 'sub-04', which the challenge does not know"
    yield lambda x: x["sub-02"].pop("wot1"), r"'sub-02' of .* lacks 1 of 3 segments, such as 'wot1'"
    yield lambda x: x["sub-02"].update(wot2=x["sub-02"]["wot1"]), "has the segment 'wot2'"
    yield lambda x: x.update({"sub-01": x["sub-01"]["wot1"]}), "'sub-01' of .* is a ndarray; wanted a dict"
    for change, words in (
        (
            lambda v: v.astype(np.float64),
            r"'wot1' of 'sub-05' of .* is float64 of the shape \(26, 1000\); wanted float32",
        ),
        (lambda v: v.astype(np.float16), "is float16"),
        (lambda v: v.astype(">f4"), "is >f4"),
        (lambda v: v[:-1], r"shape \(25, 1000\); wanted float32 of \(26, 1000\)"),
        (lambda v: v[:, :-1], r"shape \(26, 999\)"),
        (lambda v: v.T, r"shape \(1000, 26\)"),
        (lambda v: v[None], r"shape \(1, 26, 1000\)"),
        (lambda v: np.where(np.arange(1000) == 3, np.float32(np.nan), v), "holds 26 NaN or infinite values"),
        (lambda v: np.where(np.arange(1000) == 3, np.float32(np.inf), v), "holds 26 NaN or infinite values"),
        (lambda v: v.tolist(), "is a list; wanted a numpy array"),
        (lambda v: None, "is a NoneType; wanted a numpy array"),
    ):
        yield _of_one(change), words


@pytest.mark.parametrize(("change", "words"), list(_misses()))
def test_the_checker_refuses_near_misses(
    trusting: Algonauts2025, tmp_path: Path, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    right = _right()
    trusting.check_submission(_packed(right, tmp_path / "x.zip"), "ood")
    change(right)
    with pytest.raises(LayoutError, match=words):
        trusting.check_submission(_packed(right, tmp_path / "x.zip"), "ood")


def test_foreign_bytes_are_refused_as_numpy_pickles_them(trusting: Algonauts2025, tmp_path: Path) -> None:
    right, path = _right(), tmp_path / "x.zip"

    def saved() -> Path:
        with ZipFile(path, "w") as archive, archive.open("fmri_predictions_ood.npy", "w") as file:
            np.save(file, right)  # type: ignore[arg-type]
        return path

    trusting.check_submission(saved(), "ood")
    right["sub-05"]["wot1"] = right["sub-05"]["wot1"].astype(">f4")
    with pytest.raises(LayoutError, match="it holds an array that is >f4; wanted little-endian numbers"):
        trusting.check_submission(saved(), "ood")


def test_the_checker_refuses_other_zips(trusting: Algonauts2025, tmp_path: Path) -> None:
    path = _packed(_right(), tmp_path / "x.zip", "folder/fmri_predictions_ood.npy")
    with pytest.raises(
        LayoutError, match=r"holds folder/fmri_predictions_ood\.npy; wanted one \.npy file, not in a folder"
    ):
        trusting.check_submission(path, "ood")
    _packed(_right(), path)
    with ZipFile(path, "a") as archive:
        archive.writestr("second.npy", b"")
    with pytest.raises(LayoutError, match=r"second\.npy; wanted one"):
        trusting.check_submission(path, "ood")
    with ZipFile(path, "w") as archive:
        archive.writestr("fmri_predictions_ood.npy", b"nothing")
    with pytest.raises(LayoutError, match=r"fmri_predictions_ood\.npy of .* cannot be read"):
        trusting.check_submission(path, "ood")
    whole = _packed(_right(), path).read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 255
    path.write_bytes(bytes(damaged))
    with pytest.raises(LayoutError, match=r"is damaged: fmri_predictions_ood\.npy fails its checksum"):
        trusting.check_submission(path, "ood")
    path.write_bytes(whole[:5000])
    with pytest.raises(LayoutError, match="is no zip, or cut short"):
        trusting.check_submission(path, "ood")
    with ZipFile(path, "w"):
        pass
    with pytest.raises(LayoutError, match=r"holds nothing; wanted one \.npy file"):
        trusting.check_submission(path, "ood")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda x: x[:-1], r"'sub-02' have the shape \(\d+, 1000\); wanted"),
        (lambda x: x[:, :-1], r"have the shape \(\d+, 999\); wanted"),
        (lambda x: np.where(x > 2, np.nan, x), "NaN or infinite"),
        (lambda x: x * 1e39, "NaN or infinite"),
        (lambda x: x.astype(complex), "are of type complex128"),
    ],
)
def test_wrong_predictions_are_refused_and_leave_nothing(
    trusting: Algonauts2025,
    tmp_path: Path,
    wrong: Callable[[np.ndarray], np.ndarray],
    words: str,
) -> None:
    predictions = predicted("ood")
    with pytest.raises(DataError, match=words):
        trusting.write_submission({**predictions, "sub-02": wrong(predictions["sub-02"])}, tmp_path / "x.zip", "ood")
    predictions.pop("sub-05")
    with pytest.raises(LayoutError, match="the set of predictions lacks 1 of 4 subjects"):
        trusting.write_submission(predictions, tmp_path / "x.zip", "ood")
    assert not list(tmp_path.iterdir())
