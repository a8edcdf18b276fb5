"""Kay & Yeatman 2017, experiment 2: 115 grey pictures, and the group's responses in VWFA and FFA.

Responses are medians over bootstraps of the group of subjects, in percent signal change, with their standard errors.
FFA follows faces; VWFA is about null for most models of pictures, which makes it a natural negative control.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fusiform.data import Responses, Space, Stimuli
from fusiform.datasets.base import Card, check_finite, check_shape, choose, locate, pick, reading

__all__ = ["Kay2017"]

FILE = "experiment2.mat"
ROIS = ("VWFA", "FFA")
PICTURES, SIDE = 115, 750


class Kay2017:
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
            labels = _labels(file)
        table = pd.DataFrame({"category": [_category(label) for label in labels]}, index=labels)
        return Stimuli(self.name, "image", table, _load)

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


@contextmanager
def _opened() -> Iterator[Any]:
    import h5py

    path = locate(Kay2017.name, FILE) / FILE
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


def _load(id: str) -> Image.Image:
    with _opened() as file:
        pictures, row = file["stimuli"], _labels(file).index(id)
        check_shape(pictures, (PICTURES, 1, SIDE, SIDE), "stimuli", file.filename)
        return Image.fromarray(np.ascontiguousarray(pictures[row, 0].T))  # transposed for the same reason
