"""The layout of Algonauts 2025 in miniature: four subjects, a few segments of half a minute.

From the challenge's README and the tree of its repository: file and folder names, keys of the HDF5 files, float32
[volumes, 1000], the atlas [97, 115, 97] with labels 1 to 1000 at 2 mm, tables of words as pandas writes them, pickled
dicts of the numbers of withheld volumes, and which subject lacks which episode.
"""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd

SUBJECTS = ("sub-01", "sub-02", "sub-03", "sub-05")
TR, PARCELS = 1.49, 1000
SPACE = "space-MNI152NLin2009cAsym_atlas-Schaefer18_parcel-1000Par7Net"
# segment -> volumes; real ones have some 480 to 600
FRIENDS = {"s01e01a": 26, "s01e01b": 24, "s04e01a": 25, "s04e01b": 24, "s04e13b": 24, "s05e20a": 25, "s06e01a": 27}
MOVIE10 = {"bourne01": 25, "figures01": 26, "life01": 24, "wolf01": 25}
SEASON7 = {"s07e01a": 24, "s07e01b": 25}
OOD = {"chaplin1": 24, "chaplin2": 25, "wot1": 26}
LACKING = {"sub-02": {"s05e20a"}, "sub-05": {"s04e01a", "s04e01b", "s04e13b"}}
WORDS = ("Hi", "don't", 'say "no"', "Ross,", "naïve", "okay.")


def write(folder: Path, *, films: bool = True) -> None:
    """Write the data set into `folder`, which becomes its root; `films` needs the package `av`."""
    for number, subject in enumerate(SUBJECTS, 1):
        _responses(folder / "fmri" / subject, number)
        _counts(folder / "fmri" / subject, number)
        _atlas(folder / "fmri" / subject / "atlas" / f"{subject}_{SPACE}_desc-dseg_parcellation.nii.gz")
    for segment, volumes in {**FRIENDS, **MOVIE10, **SEASON7, **OOD}.items():
        if not segment.startswith("chaplin"):  # a silent film
            _transcript(folder / "stimuli" / transcript_path(segment), volumes)
        if films:
            _film(folder / "stimuli" / film_path(segment), volumes * TR)


def film_path(segment: str) -> str:
    if segment in FRIENDS | SEASON7:
        return f"movies/friends/s{int(segment[1:3])}/friends_{segment}.mkv"
    name = segment.rstrip("0123456789")
    if segment in MOVIE10:
        return f"movies/movie10/{name}/{segment}.mkv"
    return f"movies/ood/{name}/task-{segment}_video.mkv"


def transcript_path(segment: str) -> str:
    if segment in FRIENDS | SEASON7:
        return f"transcripts/friends/s{int(segment[1:3])}/friends_{segment}.tsv"
    task, name = ("movie10" if segment in MOVIE10 else "ood"), segment.rstrip("0123456789")
    return f"transcripts/{task}/{name}/{task}_{segment}.tsv"


def keys(subject: str) -> dict[str, dict[str, int]]:
    """Task -> key -> volumes; the two films that were shown twice have a run."""
    friends = {f"ses-{session:03}_task-{segment}": FRIENDS[segment] for session, segment in enumerate(FRIENDS, 1)}
    lacking = LACKING.get(subject, set())
    movie10 = {"ses-001_task-bourne01": MOVIE10["bourne01"], "ses-003_task-wolf01": MOVIE10["wolf01"]}
    for session, repeat in ((6, 1), (9, 2)):
        for segment in ("figures01", "life01"):
            movie10[f"ses-{session:03}_task-{segment}_run-{repeat}"] = MOVIE10[segment]
    return {
        "friends": {key: count for key, count in friends.items() if key.partition("task-")[2] not in lacking},
        "movie10": movie10,
    }


def file_of(subject: str, task: str) -> str:
    described = "_desc-s123456" if task == "friends" else ""
    return f"fmri/{subject}/func/{subject}_task-{task}_{SPACE}{described}_bold.h5"


def values(number: int, key: str, volumes: int) -> np.ndarray:
    """What is stored under one key of the subject of this number."""
    random = np.random.default_rng([number, *key.encode()])
    return random.standard_normal((volumes, PARCELS)).astype(np.float32)


def _responses(folder: Path, number: int) -> None:
    import h5py

    for task, series in keys(folder.name).items():
        path = folder.parents[1] / file_of(folder.name, task)
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            for key, volumes in series.items():
                file.create_dataset(key, data=values(number, key, volumes))


def _counts(folder: Path, number: int) -> None:
    place = folder / "target_sample_number"
    place.mkdir()
    for phase, counts in (("friends-s7", SEASON7), ("ood", OOD)):
        longer = {segment: count + number % 2 for segment, count in counts.items()}  # they differ between subjects
        np.save(place / f"{folder.name}_{phase}_fmri_samples.npy", longer)  # type: ignore[arg-type]


def _atlas(path: Path) -> None:
    import nibabel

    labels = np.zeros((97, 115, 97), np.int16)
    x, y, z = np.meshgrid(np.arange(4, 44, 4), np.arange(10, 90, 8), np.arange(15, 80, 13), indexing="ij")
    for side, first in ((np.ravel(x), 1), (96 - np.ravel(x), 501)):  # to the left of the middle, and mirrored
        for step in range(3):
            labels[side, np.ravel(y) + step, np.ravel(z)] = np.arange(first, first + 500)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -96, -132, -78
    path.parent.mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(labels, affine), path)  # type: ignore[no-untyped-call]


def _transcript(path: Path, volumes: int) -> None:
    """A row per 1.49 s; every other one is silent, and the lists are Python's way of writing them."""
    rows = []
    for row in range(volumes):
        count = 0 if row % 2 else 1 + row % 3
        spoken = [WORDS[(row + word) % len(WORDS)] for word in range(count)]
        onsets = [round(row * TR + 0.4 * word, 3) for word in range(count)]
        rows.append([" ".join(spoken) or None, spoken, onsets, [0.3] * count])
    columns = ["text_per_tr", "words_per_tr", "onsets_per_tr", "durations_per_tr"]
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=columns).to_csv(path, sep="\t", index=False)


def _film(path: Path, seconds: float) -> None:
    """A grey that brightens, with a tone."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=4)
        picture.width, picture.height, picture.pix_fmt = 32, 24, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        count = round(seconds * 4)
        for number in range(count):
            grey = np.full((24, 32, 3), 255 * number // count, np.uint8)
            container.mux(picture.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        tone = (8000 * np.sin(np.arange(round(seconds * 8000)) * 0.3)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
        container.mux(sound.encode(frame))
        for stream in (picture, sound):
            container.mux(stream.encode(None))
