"""The pictures of all subjects: which NSD image each file shows, and in which order a subject's responses are."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fusiform.datasets.base import reading
from fusiform.datasets.roots import require
from fusiform.errors import LayoutError

__all__ = ["FOLDERS", "Pictures", "id_of", "images_of", "splits"]

NSD_IMAGES = 73_000
FOLDERS = {"train": "training_split/training_images", "test": "test_split/test_images"}
_NAME = re.compile(r"(?P<split>train|test)-(?P<row>\d{4})_nsd-(?P<image>\d{5})\.png")


def images_of(folder: Path, split: str) -> dict[int, Path]:
    """NSD image -> file, in the order of the subject's responses.

    A file is called `train-0001_nsd-00013.png`: the row of the responses, from 1, and the NSD image, from 0.

    Args:
        folder: of the subject.
        split: `train` or `test`.

    Raises:
        MissingDataError: the folder is not here.
        LayoutError: a name is not as published, an image is out of range, or a row is missing or there twice.
    """
    place = require(folder / FOLDERS[split])
    rows: dict[int, Path] = {}
    images: dict[int, int] = {}
    seen: set[int] = set()
    for path in sorted(path for path in place.iterdir() if not path.name.startswith(".")):
        found = _NAME.fullmatch(path.name)
        if found is None or found["split"] != split:
            raise LayoutError(f"{path} is not called as published; wanted {split}-<row>_nsd-<image>.png")
        row, image = int(found["row"]), int(found["image"])
        if image >= NSD_IMAGES:
            raise LayoutError(f"{path} names NSD image {image}; wanted one from 0 to {NSD_IMAGES - 1}")
        if row in rows or image in seen:
            raise LayoutError(f"{path} has the row or the image of another file in its folder; wanted each once")
        rows[row], images[row] = path, image
        seen.add(image)
    if missing := sorted(set(range(1, len(rows) + 1)) - set(rows)):
        raise LayoutError(f"{place} lacks the image of row {missing[0]}; wanted rows 1 to {max(rows)} without a gap")
    return {images[row]: rows[row] for row in sorted(rows)}


def id_of(image: int) -> str:
    """The stimulus id of an NSD image, the same for all subjects: `nsd-00013`."""
    return f"nsd-{image:05}"


def splits(images: Sequence[int], validation: float, test: float, seed: int) -> NDArray[np.str_]:
    """The split of every image, by a draw that depends on the image and the seed alone.

    So an image is in the same split for all subjects, and nothing of a test is seen through another subject.

    Args:
        images: of NSD, [N].
        validation: share of `val`.
        test: share of `test`.
        seed: of the draw.
    """
    draw = np.random.default_rng(seed).random(NSD_IMAGES)[np.asarray(images, dtype=np.int64)]
    return np.where(draw < test, "test", np.where(draw < test + validation, "val", "train"))


class Pictures:
    """Loads pictures (PIL, RGB).

    Args:
        files: stimulus id -> path.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.files = dict(files)

    def __call__(self, id: str) -> Image.Image:
        """One picture.

        Raises:
            LayoutError: its file cannot be read.
        """
        path = self.files[id]
        with reading(path), Image.open(path) as picture:
            return picture.convert("RGB")
