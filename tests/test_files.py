import os
import subprocess
import sys
from pathlib import Path

import pytest

from fusiform.files import atomic, cache_folder, data_folders, read_json, sweep, write_json, write_text


def test_atomic_replaces_files_and_folders(tmp_path):
    target = tmp_path / "deep" / "a.txt"
    write_text(target, "one")
    write_text(target, "two")
    assert target.read_text() == "two"
    for word in ("old", "new"):
        with atomic(tmp_path / "folder") as new:
            new.mkdir()
            (new / word).touch()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["new"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "folder"]


def test_what_fails_leaves_the_old_and_no_rest(tmp_path):
    target = tmp_path / "a.txt"
    write_text(target, "old")

    def half():
        with atomic(target) as new:
            new.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        half()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_json_refuses_nan(tmp_path):
    write_json(tmp_path / "a.json", {"r": 0.5})
    assert read_json(tmp_path / "a.json") == {"r": 0.5}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", {"r": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_folders_follow_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("FUSIFORM_CACHE", str(tmp_path / "c"))
    monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path / "d"))
    assert cache_folder() == tmp_path / "c"
    assert data_folders() == [tmp_path / "d", tmp_path / "c" / "data"]
    monkeypatch.delenv("FUSIFORM_DATA")
    monkeypatch.delenv("FUSIFORM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert data_folders() == [tmp_path / "x" / "fusiform" / "data"]


def test_several_data_folders_are_named_as_in_path(tmp_path, monkeypatch):
    monkeypatch.setenv("FUSIFORM_DATA", os.pathsep.join([str(tmp_path / "a"), "", str(tmp_path / "b")]))
    assert data_folders()[:-1] == [tmp_path / "a", tmp_path / "b"]


def test_without_replace_the_first_one_stays(tmp_path):
    def second():
        with atomic(tmp_path / "place", replace=False) as new:
            new.mkdir()
            (tmp_path / "place").mkdir()
            (tmp_path / "place" / "first").touch()

    with pytest.raises(OSError, match="not empty"):
        second()
    assert [path.name for path in tmp_path.iterdir()] == ["place"]
    assert (tmp_path / "place" / "first").exists()


def test_sweep_removes_what_the_dead_left_and_spares_the_living(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    for owner in (dead.stdout.strip(), str(os.getpid())):
        (tmp_path / f".place.{owner}.x1").mkdir()
    sweep(tmp_path / "place")
    assert [path.name for path in tmp_path.iterdir()] == [f".place.{os.getpid()}.x1"]
    sweep(tmp_path / "place", age=-1)
    assert not list(tmp_path.iterdir())


def test_sweep_bears_scratch_that_vanishes_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: [tmp_path / ".place.1.gone"])
    sweep(tmp_path / "place")
