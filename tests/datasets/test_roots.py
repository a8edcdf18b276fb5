"""Roots: where the user says that a data set lies, and what is said when it does not."""

import os
from pathlib import Path

import pytest

from fusiform.datasets import locate, with_root, with_trust
from fusiform.datasets.fetch import check_files
from fusiform.datasets.roots import is_here, looking_in, require, rooted
from fusiform.errors import MissingDataError, SettingsError
from fusiform.files import data_folders


def test_the_users_folder_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data/set/fmri").mkdir(parents=True)
    (tmp_path / "mine/fmri").mkdir(parents=True)
    monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path / "data"))
    assert rooted("set", None, "fmri") == tmp_path / "data/set"
    assert rooted("set", tmp_path / "mine", "fmri") == tmp_path / "mine"
    assert rooted("set", str(tmp_path / "mine"), "fmri") == tmp_path / "mine"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"nowhere is no folder; give the root of 'set'"):
        rooted("set", tmp_path / "nowhere")
    with pytest.raises(MissingDataError, match=r"fmri was not found"):
        rooted("set", tmp_path, "fmri")


def test_a_link_without_content_says_how_to_get_it(tmp_path: Path) -> None:
    link = tmp_path / "film.mkv"
    link.symlink_to(tmp_path / ".git/annex/objects/nothing")
    assert not is_here(link)
    with pytest.raises(MissingDataError, match=rf"link whose content was not fetched; run 'datalad get {link}'"):
        require(link)


def test_an_unlocked_file_without_content_is_such_a_link(tmp_path: Path) -> None:
    pointer = tmp_path / "film.mkv"
    pointer.write_text("/annex/objects/MD5E-s100--0123456789abcdef.mkv\n")
    assert not is_here(pointer)
    with pytest.raises(MissingDataError, match=rf"run 'datalad get {pointer}'"):
        require(pointer)
    assert require(tmp_path) == tmp_path


@pytest.mark.parametrize("given", ["{}", "{}/algonauts2023"])
def test_a_dataset_is_told_its_root(tmp_path: Path, given: str) -> None:
    (tmp_path / "algonauts2023").mkdir()
    found = with_root("algonauts2023", given.format(tmp_path), {"seed": 3})
    assert found == {"root": str(tmp_path / "algonauts2023"), "seed": 3}


def test_what_is_no_root_is_left_alone(tmp_path: Path) -> None:
    assert with_root("algonauts2023", None, None) == {}
    assert with_root("algonauts2023", tmp_path, {"root": "mine"}) == {"root": "mine"}
    assert with_root("mindeye", "https://a.org/x", None) == {"root": "https://a.org/x"}
    assert with_root("miyawaki2008", tmp_path, None) == {}
    with pytest.raises(SettingsError, match=r"the description 'a\.yaml' says where its files lie; leave out --root"):
        with_root("a.yaml", tmp_path, None)


def test_data_are_looked_for_in_a_root_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSIFORM_DATA", "before")
    for given in (tmp_path, tmp_path / "kay2017"):
        with looking_in(given, "kay2017"):
            assert data_folders()[:2] == [tmp_path, Path("before")]
    for given in (None, "https://a.org/kay2017"):  # type: ignore[assignment]
        with looking_in(given, "kay2017"):
            assert os.environ["FUSIFORM_DATA"] == "before"
    monkeypatch.delenv("FUSIFORM_DATA")
    with pytest.raises(ZeroDivisionError), looking_in(tmp_path, "kay2017"):
        _ = 1 / 0
    assert "FUSIFORM_DATA" not in os.environ


def test_the_dataset_is_found_in_its_root_only_and_other_data_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("data/alice", "data/vectors", "disk/vectors", "cache/data/alice"):
        (tmp_path / place).mkdir(parents=True)
    monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path / "data"))
    with looking_in(tmp_path / "disk", "alice"):
        assert locate("vectors") == tmp_path / "disk/vectors"
        with pytest.raises(MissingDataError, match=rf"looked for the folder in {tmp_path}/disk/alice\)"):
            locate("alice")
        (tmp_path / "disk/vectors").rmdir()
        assert locate("vectors") == tmp_path / "data/vectors"
    assert locate("alice") == tmp_path / "data/alice"


def test_the_files_of_a_root_are_checked_not_those_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path / "data"))
    for place in ("data", "disk"):
        (tmp_path / place / "miyawaki2008").mkdir(parents=True)
    (tmp_path / "data/miyawaki2008/V1_mean_figure.mat").write_bytes(b"another copy")
    assert "1 of 1 files are here" in check_files("miyawaki2008")[-1][0]
    with looking_in(tmp_path / "disk", "miyawaki2008"):
        assert "0 of 1 files are here" in check_files("miyawaki2008")[-1][0]


def test_pickles_are_trusted_by_datasets_that_have_some(tmp_path: Path) -> None:
    for name in ("nsd", "algonauts2023", "algonauts2025"):
        assert with_trust(name, True, {"root": "x"}) == {"root": "x", "trust_pickle": True}
        assert with_trust(name, True, {"trust_pickle": False}) == {"trust_pickle": False}
        assert with_trust(name, False, None) == {}
    for name in ("alice", "mindeye", "folder", "mine/dataset.yaml", "folder:mine"):
        assert with_trust(name, False, None) == {}
        with pytest.raises(SettingsError, match=f"dataset '{name}' opens no pickled files; leave out --trust-pickle"):
            with_trust(name, True, None)
