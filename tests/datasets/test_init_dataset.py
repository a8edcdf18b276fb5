"""A first description, from what lies in a folder: it reads back what the layouts describe by hand."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from layouts import fmriprep, folder

from fusiform.cli import main
from fusiform.datasets.folder import Folder
from fusiform.datasets.folder.guess import Guess
from fusiform.datasets.folder.init import init_folder
from fusiform.datasets.folder.writing import described
from fusiform.errors import FusiformError, LayoutError, SettingsError
from fusiform.testing import check_dataset


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder.write(tmp_path / "my data")
    (tmp_path / "my data/dataset.yaml").unlink()
    return tmp_path / "my data"


def test_arrays_are_found(mine: Path) -> None:
    path, found = init_folder(mine)
    assert found.open == []
    dataset = Folder(path)
    assert (dataset.name, dataset.subjects) == ("my-data", folder.SUBJECTS)
    np.testing.assert_array_equal(dataset.responses("sub-02").values, folder.betas(1))
    np.testing.assert_array_equal(dataset.stimuli().load("004"), folder.picture(4))
    check_dataset(dataset)


@pytest.mark.parametrize("form", ["volume", "surface", "cifti"])
def test_fmriprep_is_found(tmp_path: Path, form: fmriprep.Form) -> None:
    fmriprep.write(tmp_path, form)
    (tmp_path / "dataset.yaml").unlink()
    path, found = init_folder(tmp_path)
    assert (found.open, found.spaces, found.tasks) == ([], [fmriprep.SPACES[form]], ["objects"])
    assert Folder(path).responses("sub-01").values.shape == (40, fmriprep.targets(form))


def test_two_hemispheres_are_kept_apart(mine: Path) -> None:
    for number, subject in enumerate(folder.SUBJECTS):
        for side, columns in (("lh", slice(0, 4)), ("rh", slice(4, 6))):
            np.save(mine / subject / f"{side}.betas.npy", folder.betas(number)[:, columns])
        (mine / subject / "betas.npy").unlink()
    path, found = init_folder(mine)
    assert (found.left, found.right) == (["{subject}/lh.betas.npy"], ["{subject}/rh.betas.npy"])
    np.testing.assert_array_equal(Folder(path).responses("sub-01").values, folder.betas(0))


def test_a_table_of_pictures_is_written_where_there_is_none(mine: Path) -> None:
    (mine / "stimuli.tsv").unlink()
    path, _ = init_folder(mine)
    assert pd.read_csv(mine / "stimuli.tsv", sep="\t", dtype=str)["stimulus"].tolist()[:2] == ["000", "001"]
    assert len(Folder(path).stimuli()) == folder.PICTURES


def test_nothing_that_is_there_is_written_over(mine: Path) -> None:
    (mine / "stimuli.tsv").write_text("something\telse\n1\t2\n")
    path, found = init_folder(mine)
    assert (mine / "stimuli.tsv").read_text() == "something\telse\n1\t2\n"
    assert found.open == ["stimuli.table"]
    with pytest.raises(SettingsError, match=r"exists and is left as it is; check it with: fusiform doctor"):
        init_folder(mine)
    assert path.is_file()


def test_what_is_not_found_is_named_and_commented_out(tmp_path: Path) -> None:
    path, found = init_folder(tmp_path)
    assert found.open == ["subjects", "stimuli.table", "responses or fmriprep", "responses.samples"]
    assert "# subjects: [sub-01, sub-02]" in path.read_text()
    with pytest.raises(FusiformError, match=r"lacks the key 'subjects'|lacks the key 'stimuli.table'|'stimuli' of"):
        Folder(path)


def test_the_commented_keys_are_real_ones(mine: Path) -> None:
    path, _ = init_folder(mine)
    lines = path.read_text().splitlines()
    on = [
        line.replace("# ", "", 1) for line in lines if line.startswith(("  # zscore", "  # key", "# title", "# cite"))
    ]
    assert len(on) == 4
    text = path.read_text()
    for line in lines:
        if line.startswith(("  # zscore", "  # key", "# title", "# cite")):
            text = text.replace(line, line.replace("# ", "", 1))
    path.write_text(text)
    assert Folder(path).description.cite == "papers"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"there is no folder .*nowhere; give the one that holds your stimuli"):
        init_folder(tmp_path / "nowhere")


def test_hidden_files_are_passed_over(mine: Path) -> None:
    shutil.copytree(mine / "sub-01", mine / ".trash/sub-09")
    assert init_folder(mine)[1].subjects == list(folder.SUBJECTS)


def test_only_confounds_that_all_runs_have_are_written(tmp_path: Path) -> None:
    fmriprep.write(tmp_path)
    (tmp_path / "dataset.yaml").unlink()
    first, second = sorted(tmp_path.rglob("*_timeseries.tsv"))
    for path, change in (
        (first, lambda table: table.drop(columns="white_matter")),
        (second, lambda table: table.assign(csf=np.nan)),
    ):
        change(pd.read_csv(path, sep="\t")).to_csv(path, sep="\t", index=False, na_rep="n/a")
    path, found = init_folder(tmp_path)
    assert found.confounds == list(fmriprep.COLUMNS[:6])
    assert "confounds: [trans_x, trans_y, trans_z, rot_x, rot_y, rot_z]\n" in path.read_text()
    assert len(Folder(path).responses("sub-01")) == 40


def test_without_tables_of_confounds_none_is_written(tmp_path: Path) -> None:
    fmriprep.write(tmp_path)
    for path in [tmp_path / "dataset.yaml", *tmp_path.rglob("*_timeseries.tsv")]:
        path.unlink()
    path, _ = init_folder(tmp_path)
    assert "  confounds: []\n" in path.read_text()
    assert len(Folder(path).responses("sub-01")) == 40


def test_paths_to_type_are_quoted(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init-dataset", str(mine)]) == 0
    assert f"next: fusiform doctor '{mine / 'dataset.yaml'}'" in capsys.readouterr().out
    with pytest.raises(SettingsError, match=r"check it with: fusiform doctor '.*my data/dataset\.yaml', or move it"):
        init_folder(mine)


@pytest.mark.parametrize("name", ["2024-05-01", "2024", "2024_05", "on", "1e3", "0x1F", "-"])
def test_names_that_yaml_takes_for_something_else_stay_text(mine: Path, name: str) -> None:
    mine = mine.rename(mine.parent / name)
    path, _ = init_folder(mine)
    assert Folder(path).name == (name.strip("-") or "mine")


def test_files_and_columns_may_have_any_name(tmp_path: Path) -> None:
    folder.write(tmp_path)
    (tmp_path / "dataset.yaml").unlink()
    (tmp_path / "pictures").rename(tmp_path / "1")
    (tmp_path / "areas.csv").rename(tmp_path / "a: b.csv")
    table = pd.read_csv(tmp_path / "stimuli.tsv", sep="\t", dtype=str).rename(columns={"picture": "no", "file": "y"})
    table.to_csv(tmp_path / "all stimuli #2: new.tsv", sep="\t", index=False)
    (tmp_path / "stimuli.tsv").unlink()
    for subject in folder.SUBJECTS:
        (tmp_path / subject / "betas.npy").rename(tmp_path / subject / "betas #1, new.npy")
    path, found = init_folder(tmp_path)
    assert found.open == []
    dataset = Folder(path)
    np.testing.assert_array_equal(dataset.responses("sub-02").values, folder.betas(1))
    np.testing.assert_array_equal(dataset.stimuli().load("004"), folder.picture(4))


TEXTS = ["no", "~", "", " a", "a: b", "a #b", "# a", "2024-99-99", "- a", "[a", "{subject}/a", "'a'", '"', "=", "<<"]


@pytest.mark.parametrize("text", [*TEXTS, "a, b", "1:30", "*a", "é 😀", "plain name.tsv"])
def test_what_is_written_is_read_back(text: str) -> None:
    found = Guess(name=text, subjects=[text, "s2"], table=text, kind="image", columns={"id": text}, media=text or ".")
    read = yaml.safe_load(described(found))
    assert (read["name"], read["subjects"]) == (text, [text, "s2"])
    assert read["stimuli"].get("table", "") == text
    assert (read["stimuli"]["id"], read["stimuli"]["folder"]) == (text, text or ".")


def test_plain_names_are_not_quoted() -> None:
    assert "name: my-study  " in described(Guess(name="my-study"))
