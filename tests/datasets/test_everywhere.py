"""The same path for every registered dataset: stimuli -> features -> pairs -> ridge -> scores -> map.

A dataset that is added to the entry points must be added here, or the last test fails.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from layouts import algonauts2023, algonauts2025, fmriprep, folder, mindeye, nsd

from fusiform.datasets import load_dataset
from fusiform.datasets.nsd import targets as nsd_targets
from fusiform.recipes.encode import encode
from fusiform.recipes.run import Run
from fusiform.registry import names
from fusiform.testing import check_dataset

WORDS = {"backbone": "words", "backbone_args": {"vectors": None}, "lags": (4.0,)}


@dataclass(frozen=True)
class Case:
    """How one dataset is made small.

    Args:
        name: as registered; `path` takes its place for folders.
        write: layout -> files, or None where none are needed or the real ones are read.
        arguments: of the dataset; `root` is added where files were written.
        settings: of the recipe.
        least: mean r that must be reached, where something is planted.
        path: the dataset is named by its description.
        figure: that shows where prediction works: a map wherever targets have places that can be drawn; several
            joined by +.
    """

    name: str
    write: Callable[[Path], None] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    least: float = -1.0
    path: bool = False
    figure: str = "map"


def whole_brain(place: Path) -> None:
    """The files of the system of that name, and the pictures."""
    nsd.write_prepared(place)
    nsd.write_pictures(place / "nsd_stimuli.hdf5")


WHOLE_BRAIN = {"space": "fsaverage", "betas": "whole-brain", "trust_pickle": True, "sessions": [1]}
SIMULATED = {"pictures": 60, "vertices": 20, "subjects": 1, "runs": 8, "trs": 60, "parcels": 12, "ncsnr": 2.0}
CASES = {
    "algonauts2023": Case("algonauts2023", algonauts2023.write),
    "algonauts2025": Case(
        "algonauts2025", lambda place: algonauts2025.write(place, films=False), settings={**WORDS, "part": "friends"}
    ),
    "alice": Case(
        "alice",
        settings={"backbone": "words", "backbone_args": {"vectors": None}, "hemodynamic": True},
        figure="regions",
    ),
    "folder": Case("folder", folder.write, least=0.9, path=True, figure="regions"),
    "folder-fmriprep": Case("folder", fmriprep.write, least=-1.0, path=True),
    "folder-surface": Case("folder", lambda place: fmriprep.write(place, "surface"), path=True, figure="regions"),
    "kay2017": Case("kay2017", figure="regions"),
    "mindeye": Case("mindeye", mindeye.write, figure="regions"),
    "mindeye-webdataset": Case("mindeye", mindeye.write, {"layout": "webdataset"}, figure="regions"),
    "mindeye-mindeye2": Case("mindeye", mindeye.write, {"layout": "mindeye2"}, figure="regions"),
    "miyawaki2008": Case("miyawaki2008", figure="distribution"),
    "nsd": Case("nsd", nsd.write, settings={"subject": "subj01"}),
    "nsd-fsaverage": Case(
        "nsd", nsd.write, arguments={"space": "fsaverage", "sessions": [1]}, settings={"subject": "subj01"}
    ),
    "nsd-nativesurface": Case(
        "nsd",
        nsd.write,
        arguments={"space": "nativesurface", "sessions": [1]},
        settings={"subject": "subj01"},
        figure="distribution+regions",
    ),
    "nsd-whole-brain": Case("nsd", whole_brain, arguments=WHOLE_BRAIN, settings={"subject": "subj01"}),
    "simulated": Case("simulated", arguments=SIMULATED, settings={"backbone": "planted"}, least=0.3),
    "simulated-movie": Case(
        "simulated",
        arguments=SIMULATED,
        settings={
            "part": "movie",
            "backbone": "tracks",
            "backbone_args": {"names": ["audio", "video", "text"], "rate": 2.0},
            "hemodynamic": True,
        },
        least=0.2,
    ),
}
REAL = ("alice", "kay2017", "miyawaki2008")  # their files in miniature are made by their own tests
PARAMETERS = [pytest.param(name, marks=[pytest.mark.data] if name in REAL else []) for name in CASES]


@pytest.fixture(autouse=True)
def _as_small_as_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nsd_targets, "FSAVERAGE", nsd.FSAVERAGE)
    monkeypatch.setattr("fusiform.datasets.mindeye.behaviour.PLANNED", {mindeye.SUBJECT: mindeye.SESSIONS})


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {}


def made(name: str, places: dict[str, Path], factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """What the dataset is called and its arguments; its files are written once."""
    case = CASES[name]
    if case.write is None:
        return case.name, dict(case.arguments)
    if name not in places:
        places[name] = factory.mktemp(name) / "data"
        case.write(places[name])
    if case.path:
        return str(places[name] / "dataset.yaml"), dict(case.arguments)
    return case.name, {**case.arguments, "root": str(places[name])}


@pytest.mark.parametrize("name", PARAMETERS)
def test_it_keeps_the_contract(name: str, places: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> None:
    called, arguments = made(name, places, tmp_path_factory)
    dataset = load_dataset(called, **arguments)
    settings = CASES[name].settings
    subject = settings.get("subject", dataset.subjects[0])
    check_dataset(dataset, parts=[settings.get("part", dataset.parts[0])], subjects=[subject], most=4)


@pytest.mark.parametrize("name", PARAMETERS)
def test_from_stimuli_to_a_map(
    name: str, places: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    case = CASES[name]
    called, arguments = made(name, places, tmp_path_factory)
    dataset = load_dataset(called, **arguments)
    settings = {"folds": 3, "gap": 2, **case.settings}
    run = encode(dataset=called, dataset_args=arguments, out=tmp_path / "run", **settings)
    subject, part = settings.get("subject", dataset.subjects[0]), settings.get("part")
    _check(run, dataset.responses(subject, part=part).space.size, case.least)
    assert drawn(run) == set(case.figure.split("+"))


def _check(run: Run, targets: int, least: float) -> None:
    scores = pd.read_parquet(run.folder / "scores.parquet")
    assert len(scores) == targets
    r = scores["r"].to_numpy()
    assert np.isfinite(r).any()
    assert np.nanmax(np.abs(r)) <= 1 + 1e-6
    assert np.nanmean(r) >= least
    assert (run.folder / "report.html").is_file()


def drawn(run: Run) -> set[str]:
    """Which of the figures of where prediction works a run has."""
    return {path.stem for path in (run.folder / "figures").iterdir()} & {"map", "regions", "distribution"}


def test_every_registered_dataset_is_here() -> None:
    assert {case.name for case in CASES.values()} == set(names("dataset"))
