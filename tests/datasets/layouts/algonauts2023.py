"""The layout of Algonauts 2023 in miniature: eight subjects or some of them, few vertices and pictures.

From the challenge's description of its data and the script that its organisers prepared them with: file and folder
names, types (float32 responses, int64 masks), masks over all 163,842 vertices of fsaverage, rows of the pictures from 1
and NSD images from 0, regions as pickled dicts, fewer vertices in subjects 6 and 8.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SUBJECTS = tuple(f"subj{number:02}" for number in range(1, 9))
VERTICES = 163_842
SIZES = {subject: {"lh": 40, "rh": 44} for subject in SUBJECTS} | {
    "subj06": {"lh": 38, "rh": 41},
    "subj08": {"lh": 39, "rh": 43},
}
TRAIN, TEST, SHARED = 20, 3, (13, 4242, 72_999)  # pictures; those that everybody saw
CLASSES = {
    "prf-visualrois": ["Unknown", "V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"],
    "floc-bodies": ["Unknown", "EBA", "FBA-1", "FBA-2", "mTL-bodies"],
    "floc-faces": ["Unknown", "OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"],
    "floc-places": ["Unknown", "OPA", "PPA", "RSC"],
    "floc-words": ["Unknown", "OWFA", "VWFA-1", "VWFA-2", "mfs-words", "mTL-words"],
    "streams": ["Unknown", "early", "midventral", "midlateral", "midparietal", "ventral", "lateral", "parietal"],
}


def write(folder: Path, subjects: Sequence[str] = SUBJECTS, pictures: int = TRAIN) -> None:
    """Write subjects with so many training pictures each into `folder`, which becomes the root."""
    for number, subject in enumerate(SUBJECTS, 1):
        if subject in subjects:
            _subject(folder / subject, number, SIZES[subject], pictures)


def train_images(number: int, pictures: int = TRAIN) -> list[int]:
    """NSD images of the training pictures of one subject, as their rows go."""
    return sorted([*SHARED, *(1000 * number + 7 * picture for picture in range(pictures - len(SHARED)))])


def test_images(number: int) -> list[int]:
    return [1000 * number + 500 + picture for picture in range(TEST)]


def vertices(subject: str, short: str) -> NDArray[np.int64]:
    """The vertices of one hemisphere with data: every subject lacks the last ones of those that subject 1 has."""
    start = {"lh": 5, "rh": 11}[short]
    return start + 250 * np.arange(SIZES[subject][short])


def _subject(folder: Path, number: int, sizes: dict[str, int], pictures: int) -> None:
    random = np.random.default_rng(number)
    shown = ("train", "training", train_images(number, pictures)), ("test", "test", test_images(number))
    for split, long, images in shown:
        place = folder / f"{long}_split" / f"{long}_images"
        place.mkdir(parents=True)
        for row, image in enumerate(images, 1):
            _picture(image).save(place / f"{split}-{row:04}_nsd-{image:05}.png")
    (folder / "training_split/training_fmri").mkdir()
    (folder / "roi_masks").mkdir()
    for kind, names in CLASSES.items():
        np.save(folder / "roi_masks" / f"mapping_{kind}.npy", dict(enumerate(names)))  # type: ignore[arg-type]
    for short, size in sizes.items():
        values = random.standard_normal((pictures, size)).astype(np.float32)
        np.save(folder / "training_split/training_fmri" / f"{short}_training_fmri.npy", values)
        _masks(folder, short, vertices(folder.name, short))
    if number == 1:  # the organisers' script writes them; the packs that were shared often lack them
        (folder / "test_split/noise_ceiling").mkdir()
        for short, size in sizes.items():
            np.save(folder / "test_split/noise_ceiling" / f"{short}_noise_ceiling.npy", random.uniform(0, 0.8, size))


def _masks(folder: Path, short: str, where: NDArray[np.int64]) -> None:
    _sparse(folder / "roi_masks" / f"{short}.all-vertices_fsaverage_space.npy", where, np.ones(len(where), np.int64))
    for kind, names in CLASSES.items():
        labels = np.arange(len(where)) % len(names)
        np.save(folder / "roi_masks" / f"{short}.{kind}_challenge_space.npy", labels)
        _sparse(folder / "roi_masks" / f"{short}.{kind}_fsaverage_space.npy", where, labels)


def _sparse(path: Path, where: NDArray[np.int64], values: NDArray[np.int64]) -> None:
    """A mask over all vertices; the file has holes, so that a hundred of them take no room."""
    mask = np.lib.format.open_memmap(path, mode="w+", dtype=np.int64, shape=(VERTICES,))
    mask[where] = values
    mask.flush()


def _picture(image: int) -> Image.Image:
    """Coarse noise that depends on the image alone."""
    coarse = np.random.default_rng(image).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((48, 48), Image.Resampling.BILINEAR)
