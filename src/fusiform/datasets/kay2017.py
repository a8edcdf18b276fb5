"""Kay & Yeatman 2017, experiment 2: 115 grey pictures, and the group's responses in VWFA and FFA.

Responses are medians over bootstraps of the group of subjects, in percent signal change, with their standard errors.
FFA follows faces; VWFA is about null for most models of pictures, which makes it a natural negative control.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fusiform.data import Responses, Space, Stimuli
from fusiform.datasets.base import Card, Sampled, check_finite, check_shape, choose, locate, pick, reading

__all__ = ["Kay2017"]

FILE = "experiment2.mat"
ROIS = ("VWFA", "FFA")
PICTURES, SIDE = 115, 750


class Kay2017(Sampled):
    """115 grey pictures of 750 x 750 pixels (faces, words, noise and other controls; 92 objects) and two regions.

    Stimuli have the label that the authors gave them as id (`FACECON4`, `NIKO17`, ...) and a `category`: the label's
    kind. The 92 of kind `object` hold people, animals and their faces too.
    """

    name = "kay2017"
    card = Card(
        title="Words, faces and objects: group responses of VWFA and FFA to 115 pictures",
        licence="CC BY 3.0",
        cite="Kay & Yeatman 2017, eLife 6, e22341",
        bytes=3_777_646,
    )
    subjects = ("group",)
    parts = ("pictures",)

    def stimuli(self, part: str | None = None) -> Stimuli:
        """The pictures (PIL, mode `L`); column `category`."""
        choose("part", part, self.parts)
        with _opened() as file:
            path, labels = Path(file.filename), _labels(file)
        table = pd.DataFrame({"category": [_category(label) for label in labels]}, index=labels)
        return Stimuli(self.name, "image", table, _Pictures(path, labels))

    def responses(self, subject: str, *, part: str | None = None, rois: Sequence[str] | None = None) -> Responses:
        """Betas of the group, [115, regions], a sample per picture."""
        choose("part", part, self.parts)
        choose("subject", subject, self.subjects)
        regions = pick("region", rois, ROIS)
        with _opened() as file:
            labels, values = _labels(file), _per_picture(file, "subjectbeta")
        samples = pd.DataFrame({"stimulus": labels, "subject": subject})
        return Responses(values[:, regions], samples, Space.named(self.name, [ROIS[region] for region in regions]))

    def standard_errors(self, rois: Sequence[str] | None = None) -> NDArray[np.float32]:
        """Standard error of every response over bootstraps of the group, [115, regions]."""
        with _opened() as file:
            return _per_picture(file, "subjectbetase")[:, pick("region", rois, ROIS)]

    def truth(self, part: str | None = None) -> None:
        """None: nothing was planted."""
        choose("part", part, self.parts)


class _Pictures:
    """The loader of pictures. The first one asked for brings all: one by one, each would cost as much (65 MB are held).

    It may be sent to other processes, which then read for themselves.
    """

    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        self.path, self.labels = path, tuple(labels)

    def __call__(self, id: str) -> Image.Image:
        return Image.fromarray(np.ascontiguousarray(self._values[self.labels.index(id)].T))  # MATLAB's axes again

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.labels)

    @cached_property
    def _values(self) -> NDArray[np.uint8]:
        with _opened(self.path) as file:
            pictures = file["stimuli"]
            check_shape(pictures, (PICTURES, 1, SIDE, SIDE), "stimuli", file.filename)
            return np.asarray(pictures[:, 0])


@contextmanager
def _opened(path: Path | None = None) -> Iterator[Any]:
    import h5py

    path = path or locate(Kay2017.name, FILE) / FILE
    with reading(path), h5py.File(path) as file:
        yield file


def _labels(file: Any) -> list[str]:
    """Labels of the pictures: a MATLAB cell array is a column of references to arrays of character codes."""
    cells = file["stimlabels"][()]
    check_shape(cells, (PICTURES, 1), "stimlabels", file.filename)
    return ["".join(map(chr, file[cell][()].ravel())) for cell in cells[:, 0]]


def _category(label: str) -> str:
    """`FACECON4` (contrast), `FACEPH25` (phase coherence) and `FACE` are all `face`; `NIKO07` is an `object`."""
    kind = re.sub(r"(CON|PH)?\d*$", "", label).lower()
    return "object" if kind == "niko" else kind


def _per_picture(file: Any, name: str) -> NDArray[np.float32]:
    """Numbers per picture and region, [115, 2]; stored [115, 2, 1], as MATLAB's axes come reversed."""
    values = file[name][()]
    check_shape(values, (PICTURES, len(ROIS), 1), name, file.filename)
    check_finite(values, file.filename)
    return np.asarray(values[:, :, 0])
