"""`fusiform submit`, from a folder of predictions to a zip that the challenge takes."""

import json
from pathlib import Path

import numpy as np
import pytest

from fusiform.cli import main
from fusiform.datasets.algonauts2025 import Algonauts2025


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The numbers of withheld volumes of two films, and nothing else: that is all a submission needs."""
    for subject in Algonauts2025.subjects:
        folder = tmp_path / "algonauts/fmri" / subject / "target_sample_number"
        folder.mkdir(parents=True)
        np.save(folder / f"{subject}_ood_fmri_samples.npy", {"wot2": 4, "chaplin1": 3})  # type: ignore[arg-type]
    return tmp_path / "algonauts"


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    (tmp_path / "predictions").mkdir()
    for subject in Algonauts2025.subjects:
        np.save(tmp_path / "predictions" / f"{subject}.npy", np.random.default_rng(0).standard_normal((7, 1000)))
    return tmp_path / "predictions"


def test_predictions_become_a_zip_that_is_checked(
    root: Path, predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ["--dataset", "algonauts2025", "--phase", "ood", "--root", str(root), "--json", "--trust-pickle"]
    assert main(["submit", str(predictions), "--out", str(tmp_path / "mine.zip"), *said]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["submission"] == str(tmp_path / "mine.zip")
    assert facts["samples"] == dict.fromkeys(Algonauts2025.subjects, 7)
    assert main(["submit", facts["submission"], *said]) == 0
    assert json.loads(capsys.readouterr().out) == facts
    assert main(["submit", facts["submission"], *said[:-1]]) == 2
    assert "is a pickle" in (refused := capsys.readouterr().err)
    assert "give --trust-pickle" in refused
    assert main(["submit", facts["submission"], *said[:4], "--dataset-args", f"root={root},trust_pickle=true"]) == 0


def test_the_folder_of_predictions_may_be_the_one_we_are_in(
    root: Path, predictions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ["--dataset", "algonauts2025", "--phase", "ood", "--root", str(root), "--json", "--trust-pickle"]
    (predictions / "deeper").mkdir()
    for folder, given in ((predictions, "."), (predictions / "deeper", "..")):
        monkeypatch.chdir(folder)
        assert main(["submit", given, *said]) == 0
        written = predictions.with_name("predictions-ood.zip")
        assert json.loads(capsys.readouterr().out)["submission"] == str(written)
        written.unlink()


def test_help_says_what_may_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for flag in ("--root", "--trust-pickle", "--phase", "--dataset-args", "--out"):
        assert flag in said
    assert "you trust where they came from" in said


def test_what_is_wrong_is_one_sentence(root: Path, predictions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = ["--dataset", "algonauts2025", "--phase", "ood", "--dataset-args", f"root={root},trust_pickle=true"]
    np.save(predictions / "sub-02.npy", np.zeros((8, 1000)))
    assert main(["submit", str(predictions), *said]) == 2
    assert "the predictions of 'sub-02' have the shape (8, 1000); wanted (7, 1000)" in capsys.readouterr().err
    assert main(["submit", str(predictions), "--dataset", "alice"]) == 2
    assert "dataset 'alice' is of no challenge" in capsys.readouterr().err
