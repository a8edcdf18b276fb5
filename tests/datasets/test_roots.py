"""Roots: where the user says that a data set lies, and what is said when it does not."""

from pathlib import Path

import pytest

from fusiform.datasets.roots import is_here, require, rooted
from fusiform.errors import MissingDataError


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
