"""A folder of one's own: tables, arrays, images, regions, and what is said when they do not meet."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
from layouts import algonauts2025
from layouts import folder as layout

from fusiform.data import Responses
from fusiform.datasets import load_dataset
from fusiform.datasets.folder import Folder, read_description
from fusiform.errors import DataError, FusiformError, LayoutError, SettingsError, UnknownNameError
from fusiform.testing import check_dataset

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    layout.write(tmp_path / "mine")
    return tmp_path / "mine"


def edit(folder: Path, *changes: tuple[str, str]) -> Folder:
    path = folder / "dataset.yaml"
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return Folder(path)


class TestArrays:
    def test_it_keeps_the_contract(self, mine: Path) -> None:
        check_dataset(Folder(mine))

    @pytest.mark.parametrize("name", ["{}/dataset.yaml", "folder:{}", "folder:{}/dataset.yaml"])
    def test_it_is_named_by_its_path(self, mine: Path, name: str) -> None:
        dataset = load_dataset(name.format(mine))
        assert (dataset.name, dataset.subjects, dataset.parts) == ("mine", layout.SUBJECTS, ("images",))
        assert dataset.card.title == "A folder in miniature"

    def test_values_stay_on_disk_and_ids_stay_text(self, mine: Path) -> None:
        responses = Folder(mine).responses("sub-02")
        assert isinstance(responses.values, np.memmap)
        np.testing.assert_array_equal(responses.values, layout.betas(1))
        assert responses.samples["stimulus"].iloc[0] == f"0{layout.trials()['stimulus'].iloc[0]:02}"
        assert set(responses.samples["repeat"]) == {1, 2, 3}

    def test_pictures_and_splits_come_from_the_table(self, mine: Path) -> None:
        dataset = Folder(mine)
        np.testing.assert_array_equal(dataset.stimuli().load("007"), layout.picture(7))
        responses = dataset.responses("sub-01")
        assert set(responses.samples["stimulus"][responses.samples["split"] == "test"]) == {"003", "007", "011"}

    def test_regions_are_columns(self, mine: Path) -> None:
        dataset = Folder(mine)
        both = dataset.responses("sub-01", rois=["FFA", "V1"])
        np.testing.assert_array_equal(both.values, layout.betas(0)[:, :5])
        assert both.space.column("areas").tolist() == both.space.column("roi").tolist() == list(layout.REGIONS[:5])
        with pytest.raises(UnknownNameError, match=r"unknown region 'FA' \(did you mean 'FFA'\?\); there are: V1, FFA"):
            dataset.responses("sub-01", rois=["FA"])

    def test_targets_with_nan_are_left_out_where_asked(self, mine: Path) -> None:
        values = layout.betas(0)
        values[3, 1], values[7, 4] = np.nan, np.inf
        np.save(mine / "sub-01/betas.npy", values)
        with pytest.raises(DataError, match="2 values are NaN or infinite, the first in sample 3, target 'mine-1'"):
            check_dataset(Folder(mine), subjects=["sub-01"])
        dataset = edit(mine, ("responses:", "responses:\n  drop_nan: true\n  zscore: all"))
        check_dataset(dataset, subjects=["sub-01"])
        responses = dataset.responses("sub-01")
        assert responses.space.names == ["mine-0", "mine-2", "mine-3", "mine-5"]
        assert responses.space.column("roi").tolist() == ["V1", "V1", "FFA", ""]

    def test_an_h5_file_with_a_key_and_other_axes(self, mine: Path) -> None:
        import h5py

        for number, subject in enumerate(layout.SUBJECTS):
            with h5py.File(mine / subject / "betas.h5", "w") as file:
                file["runs/betas"], file["mask"] = layout.betas(number).T, np.ones(3)
        dataset = edit(mine, ("betas.npy", "betas.h5"))
        with pytest.raises(
            LayoutError, match=r"betas\.h5 has no array None; it has: mask, runs/betas; set responses.key"
        ):
            dataset.responses("sub-01")
        dataset = edit(mine, ('betas.h5"', 'betas.h5"\n  key: runs/betas'))
        with pytest.raises(LayoutError, match=r"trials\.csv has 36 rows; wanted 6, .* set responses\.transpose: true"):
            dataset.responses("sub-01")
        dataset = edit(mine, ("key: runs/betas", "key: runs/betas\n  transpose: true"))
        np.testing.assert_array_equal(dataset.responses("sub-01").values, layout.betas(0))

    def test_a_file_and_a_table_per_run(self, mine: Path) -> None:
        trials = pd.read_csv(mine / "sub-01/trials.csv", dtype=str)
        for run, rows in enumerate(np.split(np.arange(36), 3)):
            np.save(mine / f"sub-01/run{run}.npy", layout.betas(0)[rows])
            trials.iloc[rows][["stimulus"]].to_csv(mine / f"sub-01/run{run}.csv", index=False)
        old = 'samples: "{subject}/trials.csv"\n  files: "{subject}/betas.npy"'
        new = 'samples: ["{subject}/run0.csv", "{subject}/run1.csv", "{subject}/run2.csv"]\n  files: '
        new += '["{subject}/run0.npy", "{subject}/run1.npy", "{subject}/run2.npy"]\n  zscore: run'
        responses = edit(mine, (old, new)).responses("sub-01")
        assert responses.samples["run"].tolist() == np.repeat([1, 2, 3], 12).tolist()
        for rows in np.split(np.arange(36), 3):
            part = layout.betas(0)[rows]
            np.testing.assert_allclose(
                responses.values[rows], (part - part.mean(0)) / part.std(0), rtol=1e-4, atol=1e-5
            )

    def test_time_series_get_times_from_the_tr(self, mine: Path) -> None:
        table = pd.DataFrame({"stimulus": ["000"] * 10 + ["001"] * 8 + ["000"] * 18, "run": [1] * 18 + [2] * 18})
        table.to_csv(mine / "sub-01/trials.csv", index=False)
        samples = edit(mine, ("responses:", "responses:\n  tr: 1.49")).responses("sub-01").samples
        expected = np.concatenate([np.arange(10), np.arange(8), np.arange(18)]) * 1.49
        np.testing.assert_allclose(samples["time"], expected)
        assert samples["repeat"].iloc[[0, 17, 18, 35]].tolist() == [1, 1, 2, 1]  # as far as run 1 went, again in run 2

    def test_two_hemispheres_of_a_mesh(self, mine: Path) -> None:
        for side, values in (("lh", layout.betas(0)[:, :4]), ("rh", layout.betas(0)[:, 4:])):
            arrays = [nibabel.gifti.GiftiDataArray(row) for row in values]
            nibabel.save(nibabel.gifti.GiftiImage(darrays=arrays), mine / f"sub-01/{side}.func.gii")
        old, new = 'files: "{subject}/betas.npy"', 'left: "{subject}/lh.func.gii"\n  right: "{subject}/rh.func.gii"'
        responses = edit(mine, (old, new + "\n  mesh: fsnative")).responses("sub-01")
        np.testing.assert_array_equal(responses.values, layout.betas(0))
        assert responses.space.mesh == "fsnative"
        assert responses.space.column("vertex").tolist() == [0, 1, 2, 3, 0, 1]
        assert responses.space.column("hemisphere").tolist() == ["left"] * 4 + ["right"] * 2

    def test_two_hemispheres_of_freesurfer(self, mine: Path) -> None:
        for side, values in (("lh", layout.betas(0)[:, :4]), ("rh", layout.betas(0)[:, 4:])):
            volume = values.T.reshape(values.shape[1], 1, 1, len(values))
            nibabel.save(nibabel.freesurfer.MGHImage(volume, np.eye(4)), mine / f"sub-01/{side}.mgh")
        old, new = 'files: "{subject}/betas.npy"', 'left: "{subject}/lh.mgh"\n  right: "{subject}/rh.mgh"'
        np.testing.assert_array_equal(edit(mine, (old, new)).responses("sub-01").values, layout.betas(0))

    def test_one_hemisphere_alone(self, mine: Path) -> None:
        responses = edit(mine, ("  files:", "  right:")).responses("sub-01")
        np.testing.assert_array_equal(responses.values, layout.betas(0))
        assert set(responses.space.column("hemisphere")) == {"right"}

    def test_grayordinates(self, mine: Path) -> None:
        from nibabel.cifti2 import BrainModelAxis, ScalarAxis

        brain = BrainModelAxis.from_surface(np.arange(4), 4, name="cortex_left")
        brain += BrainModelAxis.from_mask(np.ones((2, 1, 1), dtype=bool), affine=AFFINE, name="thalamus_right")
        image = nibabel.Cifti2Image(layout.betas(0), (ScalarAxis([f"beta{number}" for number in range(36)]), brain))
        nibabel.save(image, mine / "sub-01/betas.dscalar.nii")
        (mine / "areas.csv").unlink()
        old = "atlases:\n  areas: {table: areas.csv, column: area}\n"
        dataset = edit(mine, ("betas.npy", "betas.dscalar.nii"), (old, ""))
        np.testing.assert_array_equal(dataset.responses("sub-01").values, layout.betas(0))
        part = dataset.responses("sub-01", rois=["thalamus right"])
        assert part.space.column("x").tolist() == [0, 2]
        check_dataset(dataset, subjects=["sub-01"])

    def test_an_array_of_a_mesh_is_left_then_right(self, mine: Path) -> None:
        space = edit(mine, ("responses:", "responses:\n  mesh: fsnative")).responses("sub-01").space
        assert space.column("hemisphere").tolist() == ["left"] * 3 + ["right"] * 3


def volumes(folder: Path, extra: str = "") -> Folder:
    """The betas as a volume of 2 x 2 x 2 voxels: six targets, one voxel of NaN and one constant."""
    volume = np.zeros((8, 36), dtype=np.float32)
    volume[:6], volume[6] = layout.betas(0).T, np.nan
    image = nibabel.Nifti1Image(volume.reshape(2, 2, 2, 36), AFFINE)
    nibabel.save(image, folder / "sub-01/betas.nii.gz")
    (folder / "areas.csv").unlink()
    return edit(
        folder, ("betas.npy", "betas.nii.gz"), ("  areas: {table: areas.csv, column: area}", "  rois: " + RM + extra)
    )


RM = "{file: rois.nii.gz, labels: rois.tsv}"


def rois(folder: Path, numbers: list[int], affine: Any = AFFINE) -> None:
    image = nibabel.Nifti1Image(np.array(numbers, dtype=np.int16).reshape(2, 2, 2), affine)
    nibabel.save(image, folder / "rois.nii.gz")
    pd.DataFrame({"index": [1, 2], "name": ["V1", "FFA"]}).to_csv(folder / "rois.tsv", sep="\t", index=False)


class TestVolumes:
    def test_voxels_that_are_finite_and_vary_are_read(self, mine: Path) -> None:
        rois(mine, [1, 1, 1, 2, 2, 0, 7, 7])  # what lies outside may have any label
        responses = volumes(mine).responses("sub-01")
        np.testing.assert_array_equal(responses.values, layout.betas(0))
        assert responses.space.column("roi").tolist() == list(layout.REGIONS)
        assert responses.space.column("x").tolist() == [0, 0, 0, 0, 2, 2]
        assert responses.space.grid is not None

    def test_a_mask_says_which(self, mine: Path) -> None:
        rois(mine, [1] * 8)
        inside = nibabel.Nifti1Image(np.array([1, 0, 0, 1, 0, 0, 0, 0], dtype=np.uint8).reshape(2, 2, 2), AFFINE)
        nibabel.save(inside, mine / "mask.nii.gz")
        volumes(mine)
        responses = edit(mine, ("responses:", "responses:\n  mask: mask.nii.gz")).responses("sub-01")
        np.testing.assert_array_equal(responses.values, layout.betas(0)[:, [0, 3]])

    def test_labels_without_a_name(self, mine: Path) -> None:
        rois(mine, [1, 1, 9, 2, 2, 0, 0, 0])
        with pytest.raises(
            LayoutError, match=r"rois\.nii\.gz holds 1 labels that .*rois\.tsv does not name, such as 9"
        ):
            volumes(mine).responses("sub-01")

    def test_an_atlas_on_another_grid(self, mine: Path) -> None:
        rois(mine, [1] * 8, np.diag([3.0, 3, 3, 1]))
        with pytest.raises(LayoutError, match=r"rois\.nii\.gz has as many voxels .* but another affine; resample it"):
            volumes(mine).responses("sub-01")

    def test_labels_of_gifti_bring_their_names(self, mine: Path) -> None:
        labels = nibabel.gifti.GiftiLabelTable()
        for key, name in ((0, "???"), (1, "V1"), (2, "FFA")):
            labels.labels.append(nibabel.gifti.GiftiLabel(key=key))
            labels.labels[-1].label = name
        for side, numbers in (("lh", [1, 1, 1]), ("rh", [2, 2, 0])):
            array = nibabel.gifti.GiftiDataArray(np.array(numbers, dtype=np.int32), intent="NIFTI_INTENT_LABEL")
            nibabel.save(nibabel.gifti.GiftiImage(darrays=[array], labeltable=labels), mine / f"{side}.label.gii")
        dataset = edit(
            mine,
            ("responses:", "responses:\n  mesh: fsnative"),
            ("{table: areas.csv, column: area}", "{left: lh.label.gii, right: rh.label.gii}"),
        )
        assert dataset.responses("sub-01").space.column("roi").tolist() == list(layout.REGIONS)


class TestOtherStimuli:
    def test_texts(self, mine: Path) -> None:
        table = pd.DataFrame(
            {"id": [f"0{number:02}" for number in range(12)], "said": [f"word {n}" for n in range(12)]}
        )
        table.to_csv(mine / "texts.csv", index=False)
        old = "stimuli:\n  table: stimuli.tsv\n  id: picture\n  folder: pictures"
        dataset = edit(mine, (old, "stimuli: {table: texts.csv, kind: text, id: id, text: said}"))
        stimuli = dataset.stimuli("texts")
        assert (stimuli.kind, stimuli.load("003")) == ("text", "word 3")
        check_dataset(dataset)

    def test_words_of_a_sound(self, mine: Path) -> None:
        pytest.importorskip("av")
        from scipy.io import wavfile

        wavfile.write(mine / "story.wav", 8000, np.zeros(16000, dtype=np.int16))
        pd.DataFrame({"stimulus": ["story"], "file": ["story.wav"]}).to_csv(mine / "sounds.csv", index=False)
        words = pd.DataFrame({"stimulus": "story", "text": ["a", "b"], "start": [0.1, 0.9], "stop": [0.5, 1.0]})
        words.to_csv(mine / "words.csv", index=False)
        old = "stimuli:\n  table: stimuli.tsv\n  id: picture\n  folder: pictures"
        dataset = edit(mine, (old, "stimuli: {table: sounds.csv, kind: sound, words: words.csv}"))
        recording = dataset.stimuli().load("story")
        assert recording.duration == pytest.approx(2.0, abs=0.1)
        assert recording.words.to_dict("list") == {"text": ["a", "b"], "start": [0.1, 0.9], "stop": [0.5, 1.0]}

    def test_films_have_picture_and_sound(self, mine: Path) -> None:
        pytest.importorskip("av")
        algonauts2025._film(mine / "film.mkv", 4.0)
        pd.DataFrame({"stimulus": ["film"], "file": ["film.mkv"]}).to_csv(mine / "films.csv", index=False)
        old = "stimuli:\n  table: stimuli.tsv\n  id: picture\n  folder: pictures"
        recording = edit(mine, (old, "stimuli: {table: films.csv, kind: film}")).stimuli("films").load("film")
        assert recording.duration == pytest.approx(4.0, abs=0.1)
        assert recording.video.frames([0.0, 3.9]).mean(axis=(1, 2, 3)).tolist() == pytest.approx([0, 239], abs=6)
        assert recording.sound.rate == 8000


def rewrite(file: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        path = folder / file
        separator = "\t" if file.endswith("tsv") else ","
        change(pd.read_csv(path, dtype=str, sep=separator)).to_csv(path, index=False, sep=separator)

    return act


def described(old: str, new: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        path = folder / "dataset.yaml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return act


def pickled(folder: Path) -> None:
    np.save(folder / "sub-01/betas.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


def truncated(folder: Path) -> None:
    path = folder / "sub-01/betas.npy"
    path.write_bytes(path.read_bytes()[:300])


def use(folder: Path) -> None:
    dataset = Folder(folder)
    dataset.stimuli().load("000")
    dataset.responses("sub-01")


WRONG: dict[str, tuple[Callable[[Path], None], str]] = {
    "a mistyped key": (described("title:", "titel:"), r"unknown key 'titel' \(did you mean 'title'\?\); there are"),
    "a mistyped key below": (described("  files:", "  flies:"), r"unknown key 'responses\.flies' \(did you mean 'file"),
    "a mistyped key of an atlas": (described("{table:", "{tabel:"), r"'atlases\.areas\.tabel' \(did you mean 'table'"),
    "no name": (described("name: mine\n", ""), "lacks the key 'name'; see: fusiform init-dataset --help"),
    "a number for a name": (described("name: mine", "name: 3"), "'name of .*' is 3; wanted text"),
    "a subject twice": (described("sub-02", "sub-01"), "'subjects' of .* wanted different names"),
    "an odd kind": (described("id: picture", "id: picture\n  kind: movie"), "unknown stimuli.kind 'movie'; there are"),
    "no responses": (described("responses:", "atlas:"), "unknown key 'atlas'"),
    "both sources": (described("atlases:", "fmriprep: {}\natlases:"), "neither or both of 'responses' and 'fmriprep'"),
    "not a mapping": (lambda folder: (folder / "dataset.yaml").write_text("- a") and None, "holds no mapping; wanted"),
    "not YAML": (lambda folder: (folder / "dataset.yaml").write_text("a: [") and None, "is not YAML"),
    "endless YAML": (lambda folder: (folder / "dataset.yaml").write_text("a: " + "[" * 3000) and None, "is not YAML"),
    "no description": (lambda folder: (folder / "dataset.yaml").unlink(), "fusiform init-dataset"),
    "no table": (lambda folder: (folder / "stimuli.tsv").unlink(), "there is no table .*stimuli.tsv; check the path"),
    "no column": (described("id: picture", "id: pictures"), r"has no column 'pictures' \(did you mean 'picture'"),
    "an id twice": (
        rewrite("stimuli.tsv", lambda table: table.assign(picture="000")),
        "has the id '000' again in line 3; ids must be unique",
    ),
    "a missing picture": (
        lambda folder: (folder / "pictures/003.png").unlink(),
        r"1 of 12 files .* are missing, such as .*003\.png .*set stimuli\.folder",
    ),
    "a damaged picture": (
        lambda folder: (folder / "pictures/000.png").write_bytes(b"\x89PNG") and None,
        r"000\.png cannot be read .* save it anew as PNG",
    ),
    "an unknown stimulus": (
        rewrite("sub-01/trials.csv", lambda table: table.assign(stimulus="099")),
        r"trials\.csv names the stimulus '099', which is not in stimuli\.tsv; wanted its ids",
    ),
    "too few trials": (
        rewrite("sub-01/trials.csv", lambda table: table.iloc[:30]),
        r"trials\.csv has 30 rows; wanted 36, one per row of the responses",
    ),
    "a run that is no number": (
        rewrite("sub-01/trials.csv", lambda table: table.assign(run="one")),
        r"trials\.csv holds 'one' in column 'run' of line 2; wanted a number",
    ),
    "no responses file": (
        lambda folder: (folder / "sub-01/betas.npy").unlink(),
        r"there is no file .*betas\.npy; check the path and the format",
    ),
    "a pickle": (pickled, r"betas\.npy holds pickled Python objects, which may run any code .* as plain numbers"),
    "a truncated array": (
        truncated,
        r"betas\.npy cannot be read",
    ),
    "three axes": (
        lambda folder: np.save(folder / "sub-01/betas.npy", np.zeros((36, 2, 3))),
        r"holds an array \(36, 2, 3\) of float64; wanted numbers, \[samples, targets\]",
    ),
    "an odd format": (described("betas.npy", "betas.mat"), r"betas\.mat is of no format that is read; wanted one of"),
    "an atlas too short": (
        rewrite("areas.csv", lambda table: table.iloc[:4]),
        r"areas\.csv has 4 rows; wanted 6, one per target",
    ),
    "an atlas of nothing": (described("{table: areas.csv, column: area}", "{}"), "the atlas 'areas' names no file"),
    "a mesh of another size": (
        described("responses:", "responses:\n  mesh: fsaverage5"),
        "a hemisphere has 3 vertices; wanted 10242, all of fsaverage5: put NaN where .* or name no mesh",
    ),
    "a side of another size": (
        described("  files:", "  mesh: fsaverage6\n  right:"),
        "a hemisphere has 6 vertices; wanted 40962, all of fsaverage6",
    ),
    "an odd split of a stimulus": (
        rewrite("stimuli.tsv", lambda table: table.replace("train", "tran")),
        r"stimuli\.tsv has the split 'tran' \(did you mean 'train'\?\); wanted train, val, test in every row",
    ),
    "an odd split of a sample": (
        rewrite("sub-01/trials.csv", lambda table: table.assign(split=["test"] * 35 + [""])),
        r"trials\.csv has the split ''; wanted train, val, test in every row",
    ),
    "a key twice": (
        described("  files:", "  zscore: run\n  zscore: all\n  files:"),
        r"dataset\.yaml has the key 'zscore' again in line 11; a mapping names each key once: keep one",
    ),
    "a section twice": (
        described("atlases:", "responses: {}\natlases:"),
        r"dataset\.yaml has the key 'responses' again in line 11",
    ),
    "a mistyped placeholder": (
        described('"{subject}/betas.npy"', '"{subjct}/betas.npy"'),
        r"path '{subjct}/betas\.npy' .* unknown '{subjct}' \(did you mean '{subject}'\?\); there is: {subject}",
    ),
    "a placeholder where there is no subject": (
        described("table: stimuli.tsv", 'table: "{subject}/stimuli.tsv"'),
        "has the unknown '{subject}'; wanted a path that is the same for all subjects",
    ),
    "an odd standardisation": (described("responses:", "responses:\n  zscore: trial"), "responses.zscore 'trial'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_sentence(case: str, mine: Path) -> None:
    spoil, said = WRONG[case]
    spoil(mine)
    with pytest.raises(FusiformError, match=said) as caught:
        use(mine)
    assert "\n" not in str(caught.value)


def test_the_description_keeps_its_defaults(mine: Path) -> None:
    about = read_description(mine)
    assert about.responses is not None
    assert (about.stimuli.kind, about.responses.zscore, about.licence) == ("image", "no", "not stated")


def test_the_folder_needs_its_path() -> None:
    with pytest.raises(SettingsError, match="dataset 'folder' needs the argument 'path'; name it by its description"):
        load_dataset("folder")


def test_pictures_lie_as_the_camera_says(mine: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (8, 4)).save(mine / "pictures/000.jpg", exif=exif)
    rewrite("stimuli.tsv", lambda table: table.replace("000.png", "000.jpg"))(mine)
    assert Folder(mine).stimuli().load("000").size == (4, 8)


def test_responses_are_what_the_recipes_take(mine: Path) -> None:
    assert isinstance(Folder(mine).responses("sub-01"), Responses)


def test_other_pictures_of_the_same_name_are_other_stimuli(mine: Path) -> None:
    before = Folder(mine).stimuli()
    assert re.fullmatch(r"mine-[0-9a-f]{8}", before.name)
    assert Folder(mine).stimuli().name == before.name
    (mine / "pictures/000.png").write_bytes((mine / "pictures/001.png").read_bytes())
    assert Folder(mine).stimuli().name != before.name


def test_other_texts_are_other_stimuli(mine: Path) -> None:
    old = "stimuli:\n  table: stimuli.tsv\n  id: picture\n  folder: pictures"
    dataset = edit(mine, (old, "stimuli: {table: stimuli.tsv, kind: text, id: picture, text: file}"))
    before = dataset.stimuli().name
    rewrite("stimuli.tsv", lambda table: table.replace("000.png", "a word"))(mine)
    assert dataset.stimuli().name != before


def test_a_whole_mesh_is_taken(mine: Path) -> None:
    for side in ("lh", "rh"):
        np.save(mine / f"sub-01/{side}.npy", np.random.default_rng(0).normal(size=(36, 642)).astype(np.float32))
    (mine / "areas.csv").unlink()
    dataset = edit(
        mine,
        ('files: "{subject}/betas.npy"', 'left: "{subject}/lh.npy"\n  right: "{subject}/rh.npy"\n  mesh: fsaverage3'),
        ("atlases:\n  areas: {table: areas.csv, column: area}\n", ""),
    )
    assert dataset.responses("sub-01").space.size == 2 * 642


def test_the_path_to_type_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"fusiform init-dataset '.*my data'"):
        read_description(tmp_path / "my data/dataset.yaml")
