"""Derivatives of fMRIPrep and the BIDS folder that they came from, with responses that are planted.

Names, entities, side files and columns are those of fMRIPrep's documentation of its outputs; the BOLD signal of every
target is a baseline, a response to each picture, a slow drift and a share of the head's motion.
"""

import json
from pathlib import Path
from typing import Literal

import nibabel
import numpy as np
import pandas as pd
from nibabel.cifti2 import BrainModelAxis, SeriesAxis
from nilearn.glm.first_level.hemodynamic_models import compute_regressor
from PIL import Image

Form = Literal["volume", "surface", "cifti"]

SUBJECT, RUNS, TR, VOLUMES, EVENTS = "sub-01", 2, 1.5, 220, 20
PICTURES = 10
SHAPE, AFFINE = (4, 4, 3), np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
SPACES = {"volume": "MNI152NLin2009cAsym", "surface": "fsnative", "cifti": "fsLR"}
VERTICES = 12  # of a hemisphere; a native one has as many as FreeSurfer finds
BASELINE = 1000.0
COLUMNS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z", "white_matter", "csf")

DESCRIPTION = """\
name: scans
subjects: [sub-01]
stimuli: {{table: stimuli.tsv, folder: stimuli}}
fmriprep:
  space: {space}
  method: lsa
"""


def write(folder: Path, form: Form = "volume", more: str = "") -> None:
    """Write a BIDS folder, its derivatives and `dataset.yaml` into `folder`; `more` joins the description."""
    _stimuli(folder)
    raw, derived = (folder / part / SUBJECT / "func" for part in (".", "derivatives/fmriprep"))
    raw.mkdir(parents=True)
    derived.mkdir(parents=True)
    (folder / "dataset_description.json").write_text('{"Name": "scans", "BIDSVersion": "1.8.0"}')
    for run in range(1, RUNS + 1):
        name = f"{SUBJECT}_task-objects_run-{run}"
        _events(run).to_csv(raw / f"{name}_events.tsv", sep="\t", index=False)
        _confound_table(run).to_csv(
            derived / f"{name}_desc-confounds_timeseries.tsv", sep="\t", index=False, na_rep="n/a"
        )
        {"volume": _volume, "surface": _surface, "cifti": _cifti}[form](derived, name, bold(run, targets(form)))
    (folder / "dataset.yaml").write_text(DESCRIPTION.format(space=SPACES[form]) + more, encoding="utf-8")


def mask() -> np.ndarray:
    """[4, 4, 3] the brain: all but one corner's column."""
    inside = np.ones(SHAPE, dtype=bool)
    inside[0, 0] = False
    return inside


def targets(form: Form) -> int:
    return {"volume": int(mask().sum()), "surface": 2 * VERTICES, "cifti": 2 * VERTICES + 3}[form]


def onsets(run: int) -> np.ndarray:
    """Seconds; 14 to 17 s apart."""
    gaps = np.random.default_rng(run).uniform(14, 17, EVENTS)
    return np.round(6 + np.cumsum(gaps) - gaps[0], 3)


def shown(run: int) -> np.ndarray:
    """[20] numbers of pictures, each twice a run."""
    return np.random.default_rng(10 + run).permutation(np.repeat(np.arange(PICTURES), EVENTS // PICTURES))


def amplitudes(count: int) -> np.ndarray:
    """[pictures, targets] how strongly each target answers, in units of the image."""
    return np.random.default_rng(3).normal(10, 4, (PICTURES, count))


def motion(run: int) -> np.ndarray:
    """[T, 8] confounds that go with the events, so that leaving them in does harm."""
    random = np.random.default_rng(20 + run)
    steps = random.normal(size=(VOLUMES, len(COLUMNS)))
    return np.cumsum(steps, axis=0) / 10


def bold(run: int, count: int) -> np.ndarray:
    """[T, targets]."""
    times = np.arange(VOLUMES) * TR
    gain = amplitudes(count)
    signal = np.full((VOLUMES, count), BASELINE)
    for onset, picture in zip(onsets(run), shown(run), strict=True):
        shape = compute_regressor(np.array([[onset], [1.0], [1.0]]), "spm", times)[0]
        signal += shape * gain[picture]
    drift = 30 * np.cos(np.pi * (np.arange(VOLUMES) + 0.5) / VOLUMES)
    random = np.random.default_rng(30 + run)
    return signal + drift[:, None] + motion(run) @ random.normal(0, 20, (len(COLUMNS), count))


def _stimuli(folder: Path) -> None:
    (folder / "stimuli").mkdir(parents=True)
    for number in range(PICTURES):
        Image.fromarray(np.full((8, 8, 3), 20 * number, dtype=np.uint8)).save(
            folder / "stimuli" / f"object{number}.png"
        )
    ids = [f"object{number}" for number in range(PICTURES)]
    table = pd.DataFrame({"stimulus": ids, "file": [f"{id}.png" for id in ids]})
    table.to_csv(folder / "stimuli.tsv", sep="\t", index=False)


def _events(run: int) -> pd.DataFrame:
    """Pictures, and button presses that show nothing."""
    files = [f"object{number}.png" for number in shown(run)]
    pictures = pd.DataFrame({"onset": onsets(run), "duration": 1.0, "trial_type": "picture", "stim_file": files})
    presses = pd.DataFrame({"onset": onsets(run)[::5] + 2, "duration": 0, "trial_type": "press", "stim_file": "n/a"})
    return pd.concat([pictures, presses]).sort_values("onset")


def _confound_table(run: int) -> pd.DataFrame:
    table = pd.DataFrame(motion(run), columns=list(COLUMNS))
    table["trans_x_derivative1"] = table["trans_x"].diff()  # n/a in the first row
    table["framewise_displacement"] = table["trans_x_derivative1"].abs()
    return table


def _volume(folder: Path, name: str, values: np.ndarray) -> None:
    stem = f"{name}_space-{SPACES['volume']}_res-2"
    volume = np.zeros((*SHAPE, VOLUMES), dtype=np.float32)
    volume[mask()] = values.T
    image = nibabel.Nifti1Image(volume, AFFINE)
    image.header.set_zooms((2, 2, 2, TR))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, folder / f"{stem}_desc-preproc_bold.nii.gz")
    _side(folder / f"{stem}_desc-preproc_bold.json")
    nibabel.save(nibabel.Nifti1Image(mask().astype(np.uint8), AFFINE), folder / f"{stem}_desc-brain_mask.nii.gz")


def _surface(folder: Path, name: str, values: np.ndarray) -> None:
    for side, part in (("L", values[:, :VERTICES]), ("R", values[:, VERTICES:])):
        stem = f"{name}_hemi-{side}_space-{SPACES['surface']}_bold"
        arrays = [
            nibabel.gifti.GiftiDataArray(row.astype(np.float32), intent="NIFTI_INTENT_TIME_SERIES") for row in part
        ]
        nibabel.save(nibabel.gifti.GiftiImage(darrays=arrays), folder / f"{stem}.func.gii")
        _side(folder / f"{stem}.json")


def _cifti(folder: Path, name: str, values: np.ndarray) -> None:
    sides = [
        BrainModelAxis.from_surface(np.arange(VERTICES), VERTICES, name=f"cortex_{side}") for side in ("left", "right")
    ]
    nucleus = np.zeros(SHAPE, dtype=bool)
    nucleus[1, 1] = True
    brain = sides[0] + sides[1] + BrainModelAxis.from_mask(nucleus, affine=AFFINE, name="thalamus_left")
    image = nibabel.Cifti2Image(values.astype(np.float32), (SeriesAxis(0, TR, VOLUMES), brain))
    stem = f"{name}_space-{SPACES['cifti']}_den-91k_bold"
    nibabel.save(image, folder / f"{stem}.dtseries.nii")
    _side(folder / f"{stem}.json")


def _side(path: Path) -> None:
    path.write_text(json.dumps({"RepetitionTime": TR, "StartTime": 0.0, "SkullStripped": True, "TaskName": "objects"}))
