"""Roots: where the user says that a data set lies, and what is said when it does not."""

import os
from pathlib import Path

import pytest

from fusiform.datasets import with_root
from fusiform.datasets.roots import is_here, looking_in, require, rooted
from fusiform.errors import MissingDataError, SettingsError


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
            assert os.environ["FUSIFORM_DATA"] == str(tmp_path)
    with looking_in(None, "kay2017"):
        assert os.environ["FUSIFORM_DATA"] == "before"
    monkeypatch.delenv("FUSIFORM_DATA")
    with pytest.raises(ZeroDivisionError), looking_in(tmp_path, "kay2017"):
        _ = 1 / 0
    assert "FUSIFORM_DATA" not in os.environ
