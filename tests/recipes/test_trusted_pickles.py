"""`--trust-pickle`: every verb that opens a dataset takes it, and it reaches those whose files are pickles."""

import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from fusiform.cli import main

sys.path.insert(0, str(Path(__file__).parents[1] / "datasets"))
from layouts import algonauts2023, nsd

VERBS = ("encode", "decode", "extract", "doctor")


@pytest.fixture
def whole_brain(tmp_path: Path) -> list[str]:
    """The files of the whole-brain system, whose table is a pickle, and how some of their trials are asked for."""
    nsd.write_prepared(tmp_path / "disk")
    nsd.write_pictures(tmp_path / "disk/nsd_stimuli.hdf5")
    shown = dict.fromkeys(nsd.design()["shown"][: nsd.TRIALS] - 1)
    rows = [f"nsd-{number:05},{'test' if row < 5 else 'train'}" for row, number in enumerate(list(shown)[:30])]
    (tmp_path / "split.csv").write_text("\n".join(["stimulus,split", *rows]))
    settings = f"space=fsaverage,betas=whole-brain,sessions=1,split={tmp_path / 'split.csv'}"
    return ["--root", str(tmp_path / "disk"), "--dataset-args", settings]


def test_a_pickle_is_opened_on_the_users_word_which_is_kept(
    whole_brain: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["encode", "--dataset", "nsd", *whole_brain, "--rois", "early", "--out", str(tmp_path / "run")]
    assert main(argv) == 2
    said = capsys.readouterr().err
    assert "metadata_sub-01.npy is a pickle" in said
    assert "give --trust-pickle" in said
    assert main([*argv, "--trust-pickle"]) == 0
    assert yaml.safe_load((tmp_path / "run/settings.yaml").read_text())["trust_pickle"] is True


def test_doctor_opens_pickles_on_the_same_word(whole_brain: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "nsd", *whole_brain]) == 2
    assert "give --trust-pickle" in capsys.readouterr().out
    main(["doctor", "nsd", *whole_brain, "--trust-pickle"])
    assert "samples of 128 targets" in capsys.readouterr().out


def test_names_of_regions_are_read_from_trusted_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    algonauts2023.write(tmp_path / "disk", subjects=["subj01"])
    np.save(tmp_path / "disk/subj01/roi_masks/mapping_streams.npy", np.arange(3))  # no table of names
    argv = ["decode", "--dataset", "algonauts2023", "--root", str(tmp_path / "disk"), "--out", str(tmp_path / "run")]
    assert main([*argv, "--trust-pickle"]) == 2
    assert "mapping_streams.npy holds an array of int64; wanted a dict" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_datasets_without_pickles_need_no_such_word(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ["simulated"] if verb == "doctor" else ["--dataset", "simulated"]
    more = {"extract": ["--backbone", "pixels"], "doctor": []}.get(verb, ["--out", str(tmp_path / "run")])
    assert main([verb, *named, *more, "--trust-pickle"]) == 2
    assert "dataset 'simulated' opens no pickled files; leave out --trust-pickle" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_help_explains_it(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--trust-pickle" in said
    assert "you trust where they came from, for a pickle can run code" in said
