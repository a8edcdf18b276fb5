"""Derivatives of fMRIPrep: planted responses come back, by every method and in every form."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
from layouts import fmriprep as layout

from fusiform.data import Responses
from fusiform.datasets.folder import Folder
from fusiform.datasets.folder.fmriprep import entities
from fusiform.datasets.folder.shown import stimulus_ids
from fusiform.datasets.folder.trials import clean, nuisance, single_trials, volumes_shown, window_means
from fusiform.errors import FusiformError, LayoutError
from fusiform.scores import pearson
from fusiform.testing import check_dataset


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    layout.write(folder)
    return folder


@pytest.fixture
def scans(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(written, tmp_path / "scans"))


def read(folder: Path, more: str = "", form: layout.Form = "volume", **settings: Any) -> Responses:
    """Responses of sub-01 with other settings of `fmriprep`."""
    lines = {"space": layout.SPACES[form], "method": "lsa", **settings}
    text = (folder / "dataset.yaml").read_text().partition("fmriprep:")[0]
    text += "fmriprep:\n" + "".join(f"  {key}: {json.dumps(value)}\n" for key, value in lines.items())
    (folder / "dataset.yaml").write_text(text + more)
    return Folder(folder).responses("sub-01")


def planted(count: int) -> np.ndarray:
    """[40, targets] what each event was given."""
    return np.concatenate([layout.amplitudes(count)[layout.shown(run)] for run in (1, 2)])


def agreement(responses: Responses) -> float:
    """Median over targets of the r between what was found and what was planted, the mean of the runs."""
    given, found = planted(responses.space.size), np.asarray(responses.values)
    runs = [pearson(given[rows], found[rows]) for rows in (slice(0, 20), slice(20, 40))]
    return float(np.median(np.mean(runs, axis=0)))


@pytest.mark.parametrize("form", ["volume", "surface", "cifti"])
def test_planted_betas_come_back(tmp_path: Path, form: layout.Form) -> None:
    layout.write(tmp_path, form)
    check_dataset(Folder(tmp_path))
    responses = read(tmp_path, form=form, zscore=False)
    scale = 100 / layout.bold(1, layout.targets(form)).mean(0)
    np.testing.assert_allclose(responses.values[:20], planted(layout.targets(form))[:20] * scale, rtol=2e-3, atol=2e-3)
    assert responses.samples["stimulus"].iloc[0] == f"object{layout.shown(1)[0]}"
    assert responses.samples["run"].tolist() == [1] * 20 + [2] * 20
    assert sorted(set(responses.samples["repeat"])) == [1, 2, 3, 4]


@pytest.mark.parametrize(("method", "least"), [("lsa", 0.9999), ("lss", 0.9), ("window", 0.85)])
def test_every_method_finds_them(scans: Path, method: str, least: float) -> None:
    assert agreement(read(scans, method=method, zscore=False, window=[4.0, 8.0])) > least


def test_confounds_and_drifts_matter(scans: Path) -> None:
    for without in ({"confounds": []}, {"high_pass": None}):
        assert agreement(read(scans, zscore=False, **without)) < 0.5


def test_standardised_betas_are_so_within_runs(scans: Path) -> None:
    values = np.asarray(read(scans, zscore=True).values)
    for rows in (slice(0, 20), slice(20, 40)):
        np.testing.assert_allclose(values[rows].mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(values[rows].std(0), 1, atol=1e-5)


def test_cleaning_is_ordinary_least_squares() -> None:
    random = np.random.default_rng(0)
    times, values = np.arange(60) * 2.0, random.normal(size=(60, 4)) + 100
    confounds = pd.DataFrame(random.normal(size=(60, 3)), columns=list("abc"))
    order = np.arange(1, int(2 * 60 * 2.0 * 0.02) + 1)
    drifts = np.cos(np.pi * np.outer(np.arange(60) + 0.5, order) / 60)
    design = np.column_stack([confounds, drifts, np.ones(60)])
    expected = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    found = clean(values, nuisance(times, confounds, 0.02), zscore=False)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    constant = clean(np.full((60, 1), 1e3), nuisance(times, confounds, 0.02), zscore=True)
    np.testing.assert_array_equal(constant, 0)


class TestDependentRegressors:
    """A confound that is constant in a run, or that repeats another or a drift, takes nothing more away."""

    times = np.arange(60) * 2.0
    events = pd.DataFrame({"onset": [10.0, 41.0, 75.0], "duration": 1.0})

    def designs(self) -> tuple[np.ndarray, np.ndarray]:
        """Three confounds and the drifts, and the same with such confounds before and after them."""
        confounds = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=list("abc"))
        plain = nuisance(self.times, confounds, 0.02)
        confounds.insert(0, "constant", 0.1)
        more = {"twice": 2 * confounds["a"] - 1, "cosine00": np.round(plain[:, 3], 10)}  # as fMRIPrep writes it
        return plain, nuisance(self.times, confounds.assign(**more), 0.02)

    def test_cleaning(self) -> None:
        values = np.random.default_rng(1).normal(size=(60, 4)) + 100
        plain, dependent = self.designs()
        expected = values - plain @ np.linalg.lstsq(plain, values, rcond=None)[0]
        np.testing.assert_allclose(clean(values, dependent, zscore=False), expected, atol=1e-7)

    @pytest.mark.parametrize("method", ["lsa", "lss"])
    def test_betas(self, method: str) -> None:
        values = np.random.default_rng(1).normal(size=(60, 4)) + 100
        plain, dependent = self.designs()
        expected = single_trials(values, self.times, self.events, plain, method)
        found = single_trials(values, self.times, self.events, dependent, method)
        np.testing.assert_allclose(found, expected, atol=1e-6)

    def test_betas_are_ordinary_least_squares(self) -> None:
        from nilearn.glm.first_level.hemodynamic_models import compute_regressor

        values, (plain, dependent) = np.random.default_rng(1).normal(size=(60, 4)), self.designs()
        shapes = [compute_regressor(np.array([[onset], [1.0], [1.0]]), "spm", self.times)[0] for onset in (10, 41, 75)]
        design = np.hstack([*shapes, plain])
        expected = np.linalg.lstsq(design, values, rcond=None)[0][:3]
        np.testing.assert_allclose(
            single_trials(values, self.times, self.events, dependent, "lsa"), expected, atol=1e-6
        )


def test_windows_are_means_of_volumes() -> None:
    times, values = np.arange(10) * 1.5, np.arange(10.0)[:, None]
    assert window_means(values, times, np.array([0.0, 3.0]), (3.0, 6.0)).ravel().tolist() == [2.5, 4.5]
    with pytest.raises(
        LayoutError, match=r"no volume was taken 4 to 5 s after the event at 0 s .* widen fmriprep.window"
    ):
        window_means(values, times + 0.7, np.array([0.0]), (4.0, 5.0))


def test_one_event_is_its_own_model() -> None:
    times, events = np.arange(40) * 2.0, pd.DataFrame({"onset": [10.0], "duration": [1.0]})
    shape = single_trials(np.eye(40), times, events, np.ones((40, 1)), "lsa")
    np.testing.assert_allclose(single_trials(np.eye(40), times, events, np.ones((40, 1)), "lss"), shape)


def test_more_regressors_than_volumes_are_refused() -> None:
    times = np.arange(10) * 2.0
    events = pd.DataFrame({"onset": np.arange(10.0), "duration": 1.0})
    with pytest.raises(LayoutError, match=r"10 volumes cannot tell 11 regressors apart .* take method lss"):
        single_trials(np.eye(10), times, events, np.ones((10, 1)), "lsa")
    with pytest.raises(LayoutError, match="a run of 10 volumes has 12 regressors"):
        clean(np.eye(10), np.ones((10, 12)), zscore=False)


class TestSeries:
    def test_volumes_of_a_film_count_from_its_onset(self) -> None:
        events = pd.DataFrame({"onset": [3.0, 12.0], "duration": [6.0, 3.0], "stimulus": ["a", "b"]})
        rows, shown = volumes_shown(np.arange(12) * 1.5, events, 0.0)
        assert rows.tolist() == [2, 3, 4, 5, 8, 9]
        assert shown["time"].tolist() == [0, 1.5, 3, 4.5, 0, 1.5]
        assert shown["stimulus"].tolist() == ["a"] * 4 + ["b"] * 2
        rows, _ = volumes_shown(np.arange(12) * 1.5, events, 6.0)
        assert rows.tolist() == list(range(2, 12))  # the tail of one ends where the next begins

    def test_a_run_as_a_time_series(self, scans: Path) -> None:
        raw = scans / "sub-01/func"
        for run in (1, 2):
            film = f"onset\tduration\tstim_file\n6.0\t300\tobject{run}.png\n"
            (raw / f"sub-01_task-objects_run-{run}_events.tsv").write_text(film)
        responses = read(scans, method="series")
        assert responses.timed
        first = responses.samples[responses.samples["run"] == 1]
        np.testing.assert_allclose(first["time"], np.arange(200) * 1.5)
        assert set(first["stimulus"]) == {"object1"}
        values = (
            nibabel.load(
                scans / "derivatives/fmriprep/sub-01/func/"
                "sub-01_task-objects_run-1_space-MNI152NLin2009cAsym_res-2_desc-preproc_bold.nii.gz"
            )
            .get_fdata()[layout.mask()]
            .T
        )
        times, confounds = np.arange(layout.VOLUMES) * 1.5, pd.DataFrame(layout.motion(1))
        expected = clean(values, nuisance(times, confounds.rename(columns=str), 0.01), zscore=True)
        np.testing.assert_allclose(responses.values[:200], expected[4:204], atol=1e-3)

    def test_the_start_time_of_the_side_file_counts(self, scans: Path) -> None:
        for side in (scans / "derivatives").rglob("*_bold.json"):
            side.write_text(json.dumps({"RepetitionTime": 1.5, "StartTime": 0.75}))
        events = "onset\tduration\tstim_file\n6.0\t30\tobject1.png\n"
        for path in (scans / "sub-01").rglob("*_events.tsv"):
            path.write_text(events)
        assert read(scans, method="series").samples["time"].iloc[0] == pytest.approx(0.75)

    def test_without_a_side_file_the_image_says_the_tr(self, scans: Path) -> None:
        before = np.asarray(read(scans).values)
        for side in (scans / "derivatives").rglob("*_bold.json"):
            side.unlink()
        np.testing.assert_array_equal(read(scans).values, before)


def test_blocks_of_targets_change_nothing(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("lss", "window"):
        whole = np.asarray(read(scans, method=method).values)
        monkeypatch.setattr("fusiform.datasets.folder.runs.BLOCK", 2000)
        np.testing.assert_allclose(read(scans, method=method).values, whole, atol=1e-5)
        monkeypatch.undo()


def test_sessions_are_told_apart(scans: Path) -> None:
    for folder in (scans / "sub-01", scans / "derivatives/fmriprep/sub-01"):
        (folder / "ses-a").mkdir()
        (folder / "func").rename(folder / "ses-a/func")
        for path in (folder / "ses-a/func").iterdir():
            path.rename(path.with_name(path.name.replace("sub-01_", "sub-01_ses-a_")))
    responses = read(scans, zscore=False)
    assert agreement(responses) > 0.9999
    assert set(responses.samples["session"]) == {"a"}


def test_entities_are_read_from_names() -> None:
    name = "sub-01_ses-a_task-x_run-2_space-MNI_res-2_desc-preproc_bold.nii.gz"
    assert entities(name) == {
        "sub": "01", "ses": "a", "task": "x", "run": "2", "space": "MNI", "res": "2", "desc": "preproc",
    }  # fmt: skip


def test_events_of_a_task_are_inherited_and_may_name_ids(scans: Path) -> None:
    raw = scans / "sub-01/func"
    expected = np.asarray(read(scans).values)
    events = pd.read_csv(raw / "sub-01_task-objects_run-1_events.tsv", sep="\t")
    for path in raw.glob("*_events.tsv"):
        path.unlink()
    events = events.assign(stim_file=events["stim_file"].str.removesuffix(".png"))
    events.to_csv(scans / "task-objects_events.tsv", sep="\t", index=False, na_rep="n/a")
    np.testing.assert_array_equal(np.asarray(read(scans).values)[:20], expected[:20])


def test_confounds_may_be_patterns_with_gaps(scans: Path) -> None:
    responses = read(
        scans, confounds=["trans_*", "rot_*", "white_matter", "csf", "framewise_displacement"], zscore=False
    )
    assert agreement(responses) > 0.99


def test_trial_types_choose_events(scans: Path) -> None:
    np.testing.assert_array_equal(read(scans, trial_types=["picture"]).values, read(scans).values)


def test_an_atlas_names_the_voxels(scans: Path) -> None:
    numbers = np.where(np.arange(4)[:, None, None] < 2, 1, 2) * np.ones(layout.SHAPE)
    nibabel.save(nibabel.Nifti1Image(numbers.astype(np.uint8), layout.AFFINE), scans / "areas.nii.gz")
    (scans / "areas.tsv").write_text("index\tname\n1\tright half\n2\tleft half\n")
    responses = read(scans, more="atlases:\n  halves: {file: areas.nii.gz, labels: areas.tsv}\n")
    assert (
        responses.space.column("roi").tolist()
        == np.where(responses.space.column("i") < 2, "right half", "left half").tolist()
    )


def remove(pattern: str) -> Callable[[Path], None]:
    return lambda folder: [path.unlink() for path in folder.rglob(pattern)] and None


def replaced(pattern: str, old: str, new: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        for path in folder.rglob(pattern):
            path.write_text(path.read_text().replace(old, new))

    return act


def emptied(column: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        for path in folder.rglob("*_timeseries.tsv"):
            table = pd.read_csv(path, sep="\t").assign(**{column: np.nan})
            table.to_csv(path, sep="\t", index=False, na_rep="n/a")

    return act


def doubled(folder: Path) -> None:
    for path in folder.rglob("*_res-2_desc-preproc_bold.nii.gz"):
        path.with_name(path.name.replace("res-2", "res-1")).write_bytes(path.read_bytes())


def copied(folder: Path, pattern: str, *changes: tuple[str, str], move: bool = False) -> None:
    """Copies (or moves) of files with other names."""
    for path in [*folder.rglob(pattern)]:
        name = path.name
        for old, new in changes:
            assert old in name
            name = name.replace(old, new)
        path.with_name(name).write_bytes(path.read_bytes())
        if move:
            path.unlink()


def same_names(folder: Path) -> None:
    """The first two pictures become files of one name in two folders; their ids stay."""
    for kind, old in (("cats", "object0.png"), ("dogs", "object1.png")):
        (folder / "stimuli" / kind).mkdir()
        (folder / "stimuli" / old).rename(folder / "stimuli" / kind / "one.png")
        replaced("stimuli.tsv", old, f"{kind}/one.png")(folder)


def named_by_the_end(folder: Path) -> None:
    same_names(folder)
    for file in ("object0.png", "object1.png"):
        replaced("*_events.tsv", file, "one.png")(folder)


class TestNames:
    def test_files_of_one_name_are_told_apart_by_their_folders(self, scans: Path) -> None:
        before = read(scans)
        same_names(scans)
        replaced("*_events.tsv", "object0.png", "cats/one.png")(scans)
        replaced("*_events.tsv", "object1.png", "stimuli/dogs/one.png")(scans)
        after = read(scans)
        assert after.samples["stimulus"].tolist() == before.samples["stimulus"].tolist()

    def test_a_name_goes_to_the_id_then_to_the_file_then_to_files_in_folders(self, scans: Path) -> None:
        (scans / "stimuli/cats").mkdir()
        for file in ("one.png", "cats/one.png", "cats/two.png", "cats/object3"):
            (scans / "stimuli" / file).write_bytes(b"")
        rows = {"a": "one.png", "b": "cats/one.png", "two.png": "object2.png", "c": "cats/two.png", "d": "cats/object3"}
        pd.DataFrame(rows.items(), columns=["stimulus", "file"]).to_csv(scans / "stimuli.tsv", sep="\t", index=False)
        dataset = Folder(scans)
        names = stimulus_ids(dataset.description, dataset.stimuli())
        found = [names[name] for name in ("one.png", "stimuli/one.png", "cats/one.png", "two.png", "object3")]
        assert found == [["a"], ["a"], ["b"], ["two.png"], ["d"]]


class TestForms:
    def test_what_was_denoised_beside_is_passed_over(self, scans: Path) -> None:
        before = read(scans)
        copied(scans, "*_desc-preproc_bold.nii.gz", ("desc-preproc", "desc-smoothAROMAnonaggr"))
        np.testing.assert_array_equal(read(scans).values, before.values)

    def test_what_was_denoised_is_read_where_it_is_alone(self, scans: Path) -> None:
        before = read(scans)
        nibabel.save(nibabel.Nifti1Image(layout.mask().astype(np.uint8), layout.AFFINE), scans / "brain.nii.gz")
        for ending in ("nii.gz", "json"):
            copied(scans, f"*_desc-preproc_bold.{ending}", ("desc-preproc", "desc-denoised"), move=True)
        np.testing.assert_array_equal(read(scans, mask="brain.nii.gz").values, before.values)

    def test_echoes_beside_the_whole_run_are_passed_over(self, scans: Path) -> None:
        before = read(scans)
        space = "_space-MNI152NLin2009cAsym_res-2"
        copied(scans, f"*{space}_*", (space, ""), move=True)  # on the grid of the run itself
        for echo in (1, 2, 3):
            copied(scans, "*run-?_desc-preproc_bold.nii.gz", ("_desc-", f"_echo-{echo}_desc-"))
        np.testing.assert_array_equal(read(scans, space="func").values, before.values)
        for path in scans.rglob("*run-2_desc-preproc_bold.nii.gz"):
            path.unlink()
        with pytest.raises(LayoutError, match=r"run-2_echo-1_desc-preproc_bold\.nii\.gz is one echo of a run whose"):
            read(scans, space="func")

    def test_surfaces_beside_cifti_are_passed_over(self, tmp_path: Path) -> None:
        layout.write(tmp_path, "cifti")
        before = read(tmp_path, form="cifti")
        layout.write(tmp_path / "other", "surface")
        for path in (tmp_path / "other").rglob("*.func.gii"):
            name = path.name.replace("space-fsnative", "space-fsLR_den-32k")
            (tmp_path / "derivatives/fmriprep/sub-01/func" / name).write_bytes(path.read_bytes())
        np.testing.assert_array_equal(read(tmp_path, form="cifti").values, before.values)


class TestWhatOneRunLacks:
    def test_patterns_of_confounds_may_match_in_some_runs(self, scans: Path) -> None:
        """A column of one volume takes that volume out of the run that has it, and nothing out of the other."""
        events = "onset\tduration\tstim_file\n0\t330\tobject1.png\n"
        for path in (scans / "sub-01").rglob("*_events.tsv"):
            path.write_text(events)
        before = read(scans, method="series", zscore=False)
        [path] = scans.rglob("*run-1_desc-confounds_timeseries.tsv")
        table = pd.read_csv(path, sep="\t").assign(motion_outlier00=np.arange(layout.VOLUMES) == 50)
        table.astype({"motion_outlier00": float}).to_csv(path, sep="\t", index=False, na_rep="n/a")
        after = read(scans, method="series", zscore=False, confounds=[*layout.COLUMNS, "motion_outlier*"])
        np.testing.assert_allclose(after.values[50], 0, atol=1e-2)
        assert np.abs(before.values[50]).max() > 0.1
        np.testing.assert_array_equal(after.values[220:], before.values[220:])

    def test_a_scan_without_outliers_is_a_good_one(self, scans: Path) -> None:
        patterns = [*layout.COLUMNS, "motion_outlier*", "non_steady_state_outlier*"]
        np.testing.assert_array_equal(read(scans, confounds=patterns).values, read(scans).values)

    def test_trial_types_may_be_in_some_runs(self, scans: Path) -> None:
        before = np.asarray(read(scans).values)
        replaced("*_run-2_events.tsv", "\tpicture\t", "\tface\t")(scans)
        np.testing.assert_array_equal(read(scans, trial_types=["picture", "face"]).values, before)
        np.testing.assert_array_equal(read(scans, trial_types=["face"]).values, before[20:])


def punched(folder: Path, number: int, side: str, vertex: int, value: float) -> None:
    """Put a value into one volume of one vertex."""
    [path] = folder.rglob(f"*run-{number}_hemi-{side}_*.func.gii")
    image = nibabel.load(path)
    image.darrays[40].data = np.where(np.arange(layout.VERTICES) == vertex, value, image.darrays[40].data)
    image.darrays[40].data = image.darrays[40].data.astype(np.float32)
    nibabel.save(image, path)


class TestMissingValues:
    @pytest.mark.parametrize("method", ["window", "lsa"])
    def test_vertices_with_nan_in_any_run_are_left_out_where_asked(self, tmp_path: Path, method: str) -> None:
        layout.write(tmp_path, "surface")
        whole = read(tmp_path, form="surface", method=method)
        punched(tmp_path, 1, "L", 0, np.nan)
        punched(tmp_path, 2, "L", 5, np.nan)
        punched(tmp_path, 2, "R", 3, np.inf)
        found = read(tmp_path, form="surface", method=method, drop_nan=True)
        kept = np.setdiff1d(np.arange(2 * layout.VERTICES), [0, 5, layout.VERTICES + 3])
        np.testing.assert_allclose(found.values, np.asarray(whole.values)[:, kept], atol=1e-5)
        assert found.space.column("vertex").tolist() == whole.space.column("vertex")[kept].tolist()
        check_dataset(Folder(tmp_path))

    def test_else_they_stay(self, tmp_path: Path) -> None:
        layout.write(tmp_path, "surface")
        punched(tmp_path, 1, "L", 0, np.nan)
        bad = np.isnan(np.asarray(read(tmp_path, form="surface").values))
        assert bad[:20, 0].all()
        assert not bad[:, 1:].any()


class TestOptions:
    def test_a_mask_says_which_voxels(self, scans: Path) -> None:
        whole, inside = read(scans), np.zeros(layout.SHAPE, dtype=np.uint8)
        inside[2, 1:3] = 1
        nibabel.save(nibabel.Nifti1Image(inside, layout.AFFINE), scans / "few.nii.gz")
        remove("*_desc-brain_mask.nii.gz")(scans)
        few = read(scans, mask="few.nii.gz")
        np.testing.assert_allclose(few.values, np.asarray(whole.values)[:, inside[layout.mask()] > 0], atol=1e-6)
        assert few.space.size == 6

    @pytest.mark.parametrize(("tail", "last"), [(0.0, 28.5), (6.0, 34.5)])
    def test_a_tail_keeps_volumes_after_the_stimulus(self, scans: Path, tail: float, last: float) -> None:
        for path in (scans / "sub-01").rglob("*_events.tsv"):
            path.write_text("onset\tduration\tstim_file\n6.0\t30\tobject1.png\n")
        samples = read(scans, method="series", tail=tail).samples
        np.testing.assert_allclose(samples["time"], 2 * [*np.arange(0, last + 1, 1.5)])

    def test_tasks_choose_runs(self, scans: Path) -> None:
        before = np.asarray(read(scans).values)
        copied(scans, "*task-objects_run-2_*", ("task-objects", "task-faces"), move=True)
        assert set(read(scans).samples["task"]) == {"objects", "faces"}
        faces = read(scans, tasks=["faces"])
        assert set(faces.samples["task"]) == {"faces"}
        np.testing.assert_array_equal(faces.values, before[20:])

    def test_regions_are_read_alone(self, scans: Path) -> None:
        numbers = np.zeros(layout.SHAPE, dtype=np.uint8)
        numbers[3] = 1
        nibabel.save(nibabel.Nifti1Image(numbers, layout.AFFINE), scans / "areas.nii.gz")
        whole = read(scans, more="atlases:\n  areas: {file: areas.nii.gz}\n")
        part = Folder(scans).responses("sub-01", rois=["1"])
        np.testing.assert_allclose(part.values, np.asarray(whole.values)[:, whole.space.column("i") == 3], atol=1e-5)


WRONG: dict[str, tuple[Callable[[Path], None], dict[str, Any], str]] = {
    "another space": (
        lambda folder: None,
        {"space": "MNI152NLin6Asym"},
        "space 'MNI152NLin6Asym' .did you mean 'MNI152NL",
    ),
    "no such task": (lambda folder: None, {"tasks": ["faces"]}, "unknown fmriprep.tasks 'faces'; there are: objects"),
    "no runs": (remove("*_bold.nii.gz"), {}, "holds no run of fMRIPrep .* check fmriprep.derivatives"),
    "no brain mask": (remove("*_desc-brain_mask.nii.gz"), {}, "has no brain mask .*; give fmriprep.mask"),
    "two resolutions": (doubled, {}, "one run has 2 images in this space: .* keep one resolution"),
    "two files of one name": (
        named_by_the_end,
        {},
        r"shows 'one\.png', which may be 'object0' or 'object1'; wanted an id, or the file as the table",
    ),
    "an empty space": (lambda folder: None, {"space": ""}, "unknown fmriprep.space ''; there are: MNI152NLin2009cAsym"),
    "several forms": (
        lambda folder: copied(folder, "*run-1_*_bold.nii.gz", ("desc-preproc", "desc-denoised"), move=True),
        {},
        r"of several forms \(res-2 desc-denoised \.nii; res-2 desc-preproc \.nii\); wanted all of one",
    ),
    "a pattern that matches nowhere": (
        lambda folder: None,
        {"confounds": ["trans_*", "motion_outliers*"]},
        r"timeseries\.tsv has no column 'motion_outliers\*'",
    ),
    "no confounds": (
        remove("*_timeseries.tsv"),
        {},
        r"has no sub-01.*confounds_timeseries\.tsv; put it beside the run",
    ),
    "a mistyped confound": (
        lambda folder: None,
        {"confounds": ["trans_w"]},
        r"has no column 'trans_w' \(did you mean 'tra",
    ),
    "a confound without numbers": (
        emptied("csf"),
        {"confounds": ["trans_x", "c*"]},
        r"timeseries\.tsv holds no number in column 'csf'; leave it out of fmriprep\.confounds",
    ),
    "a window after the end": (
        replaced("*_run-2_events.tsv", "6.0\t1.0\t", "329\t1.0\t"),
        {"method": "window"},
        "sub-01_task-objects_run-2: no volume was taken 4 to 8 s after the event at 329 s",
    ),
    "too many confounds": (
        replaced("*_timeseries.tsv", "\n", "\n\n0\t0\n"),
        {},
        "wanted 220, one for each volume of sub-01",
    ),
    "no events": (remove("*_events.tsv"), {}, "has no events: no sub-01_task-objects_run-1_events.tsv below"),
    "an unknown picture": (
        replaced("*_events.tsv", "object3.png", "object33.png"),
        {},
        "shows 'object33.png', which is nei",
    ),
    "another column": (lambda folder: None, {"stimulus": "picture"}, "has no column 'picture'"),
    "no such trial": (lambda folder: None, {"trial_types": ["face"]}, "'face'; there are: picture, press"),
    "only presses": (
        lambda folder: None,
        {"trial_types": ["press"]},
        "has no event that names a stimulus in column 'stim_f",
    ),
    "events after the end": (
        replaced("*_events.tsv", "6.0\t1.0\t", "9999\t1.0\t"),
        {},
        "sub-01_task-objects_run-1: the event at 9999 s lies outside of the run .* events and TR",
    ),
    "an odd TR": (replaced("*_bold.json", "1.5", '"1.5 s"'), {}, "has the TR '1.5 s'; wanted seconds"),
    "an odd method": (lambda folder: None, {"method": "glm"}, "unknown fmriprep.method 'glm'"),
    "a window that ends first": (lambda folder: None, {"window": [8, 4]}, "wanted two rising numbers of seconds"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_sentence(case: str, scans: Path) -> None:
    spoil, settings, said = WRONG[case]
    spoil(scans)
    with pytest.raises(FusiformError, match=said) as caught:
        read(scans, **settings)
    assert "\n" not in str(caught.value)
