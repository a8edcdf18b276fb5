"""Miyawaki 2008: one person sees ten contrast-defined figures of 10 x 10 patches, 797 voxels of V1.

The figure session of Miyawaki et al. 2008 as shared with Fujiwara et al. 2013: five shapes, then the letters
n e u r o, each shown in eight blocks. A column of the file is the average of one block, and every five columns show
the five figures of a set once, in changing order.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fusiform.data import Responses, Space, Stimuli
from fusiform.datasets.base import Card, Sampled, check_finite, check_shape, choose, locate, pick, reading
from fusiform.errors import LayoutError

__all__ = ["Miyawaki2008"]

FILE = "V1_mean_figure.mat"
FIGURES = ("square", "frame", "plus", "cross", "large-frame", "n", "e", "u", "r", "o")  # in order of appearance
PATCHES, VOXELS, BLOCKS, SET = 10, 797, 80, 5


class Miyawaki2008(Sampled):
    """Ten black and white pictures of 10 x 10 patches, eight times each, and V1."""

    name = "miyawaki2008"
    card = Card(
        title="Contrast-defined figures of 10 x 10 patches: one person, 797 voxels of V1",
        licence="BSD-3-Clause (ATR)",
        cite="Miyawaki et al. 2008, Neuron 60, 915-929; Fujiwara, Miyawaki & Kamitani 2013, Neural Computation 25",
        bytes=494_782,
    )
    subjects = ("s1",)
    parts = ("figures",)

    def stimuli(self, part: str | None = None) -> Stimuli:
        """The ten pictures (PIL, mode `L`, 10 x 10 pixels of 0 or 255); column `set`: `shape` or `letter`."""
        choose("part", part, self.parts)
        table = pd.DataFrame({"set": np.repeat(["shape", "letter"], SET)}, index=list(FIGURES))
        return Stimuli(self.name, "image", table, _load)

    def responses(self, subject: str, *, part: str | None = None, rois: Sequence[str] | None = None) -> Responses:
        """Block averages, [80, 797]; `run` counts the sets of five blocks, `repeat` the times a picture was shown."""
        choose("part", part, self.parts)
        choose("subject", subject, self.subjects)
        pick("region", rois, ("V1",))
        values, images = _read()
        stimulus = np.array(FIGURES)[_shown(images)]
        samples = pd.DataFrame({"stimulus": stimulus, "subject": subject, "run": np.arange(BLOCKS) // SET + 1})
        samples["repeat"] = samples.groupby("stimulus").cumcount() + 1
        space = Space.numbered("V1", VOXELS)
        return Responses(values, samples, Space(space.name, space.targets.assign(roi="V1")))

    def truth(self, part: str | None = None) -> None:
        """None: nothing was planted."""
        choose("part", part, self.parts)


def _load(id: str) -> Image.Image:
    _, images = _read()
    column = int(np.argmax(_shown(images) == FIGURES.index(id)))
    return Image.fromarray(_picture(images[column]) * np.uint8(255))


def _picture(patches: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[100] to [row, column]: MATLAB counts down the columns first."""
    return patches.reshape(PATCHES, PATCHES).T


def _shown(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Which figure each block showed, [80]: figures are numbered as they first appear."""
    names = [image.tobytes() for image in images]
    order = list(dict.fromkeys(names))
    if len(order) != len(FIGURES):
        raise LayoutError(f"{FILE} of {Miyawaki2008.name} shows {len(order)} distinct figures; wanted {len(FIGURES)}")
    return np.array([order.index(name) for name in names], dtype=np.int64)


def _read() -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Responses [80, 797] and what was shown [80, 100], block by block."""
    from scipy.io import loadmat

    path = locate(Miyawaki2008.name, FILE) / FILE
    with reading(path):
        content: dict[str, Any] = loadmat(path, variable_names=["R2", "I2"])
        values, images = content["R2"], content["I2"]
    check_shape(values, (VOXELS, BLOCKS), "R2", path)
    check_shape(images, (PATCHES**2, BLOCKS), "I2", path)
    check_finite(values, path)
    return np.ascontiguousarray(values.T), np.ascontiguousarray(images.T)
