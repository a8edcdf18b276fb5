"""`Algonauts2023`: pictures, responses and submissions behind the one face of a dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Array, Responses, Space, Stimuli
from fusiform.datasets.algonauts2023.pictures import FOLDERS, Pictures, id_of, images_of, splits
from fusiform.datasets.algonauts2023.submission import Size, check, write
from fusiform.datasets.algonauts2023.vertices import HEMISPHERES, LABELS, REGIONS, vertex_space, vertices_of
from fusiform.datasets.base import Card, Sampled, check_shape, choose, pick
from fusiform.datasets.npy import read_array
from fusiform.datasets.roots import require, rooted
from fusiform.errors import LayoutError, MissingDataError, SettingsError

__all__ = ["Algonauts2023"]

ROWS = 256  # of responses that are read in one go


class Algonauts2023(Sampled):
    """Eight people see up to 10,000 photographs each; some 39,500 vertices of visual cortex on fsaverage.

    Responses are betas, z-scored within sessions and averaged over the up to three times that a picture was shown, as
    the challenge shares them. Its test pictures come without responses: their split is `withheld`, and predictions for
    them are submitted (`withheld`, `write_submission`). The pictures with responses are divided by a seeded draw, so
    that there is a test of one's own.

    Args:
        validation: share of the pictures with responses in the split `val`.
        test: share of them in the split `test`; 0 learns from all, for a submission.
        seed: of the draw. It depends on the NSD image alone: a picture is in the same split for all subjects.
        root: the folder that holds `subj01/` and so on (default: `algonauts2023/` in a data folder).
        trust_pickle: read the names of the regions from the files `mapping_*.npy`, which are pickles; without, those
            that NSD publishes are used.

    Raises:
        SettingsError: a share is not between 0 and 1, together with the other, or the seed is below zero.
    """

    name = "algonauts2023"
    card = Card(
        title="Algonauts 2023 (NSD): eight people see photographs, visual cortex on fsaverage",
        licence="NSD terms and conditions, Algonauts 2023 data agreement",
        cite="Gifford et al. 2023, arXiv 2301.03198; Allen et al. 2022, Nature Neuroscience 25, 116-126",
        bytes=35_000_000_000,  # about
        agreement="https://algonautsproject.com/2023/challenge.html",
    )
    subjects: tuple[str, ...] = tuple(f"subj{number:02}" for number in range(1, 9))
    parts: tuple[str, ...] = ("images",)
    phases: tuple[str, ...] = ("test",)

    def __init__(
        self,
        *,
        validation: float = 0.1,
        test: float = 0.1,
        seed: int = 0,
        root: str | Path | None = None,
        trust_pickle: bool = False,
    ) -> None:
        _check_settings(validation, test, seed)
        self.validation, self.test, self.seed = validation, test, seed
        self.root, self.trust_pickle = root, trust_pickle

    def stimuli(self, part: str | None = None) -> Stimuli:
        """The pictures of all subjects that are here (PIL, RGB), each once: `nsd-00013` is NSD image 13, from 0.

        Columns: `nsd` (the image's number) and `split` (`train`, `val`, `test` or `withheld`).
        """
        choose("part", part, self.parts)
        root = rooted(self.name, self.root)
        folders = [root / subject for subject in self.subjects]
        withheld = _together(folders, "test")
        files = {**withheld, **_together(folders, "train")}
        if not files:
            raise MissingDataError(f"{root} holds pictures of none of {', '.join(self.subjects)}; wanted one at least")
        images = sorted(files)
        split = np.where(np.isin(images, sorted(withheld)), "withheld", self._splits(images))
        table = pd.DataFrame({"nsd": images, "split": split}, index=[id_of(image) for image in images])
        return Stimuli(self.name, "image", table, Pictures({id_of(image): files[image] for image in images}))

    def responses(self, subject: str, *, part: str | None = None, rois: Sequence[str] | None = None) -> Responses:
        """Averaged betas of one subject, float32 [pictures, vertices], left hemisphere first.

        Args:
            subject: such as `"subj01"`.
            part: `"images"`.
            rois: regions of any class, such as `["V1v", "V1d"]` or `["ventral"]`; a vertex of several is there once.

        Raises:
            MissingDataError: a file is not here.
            LayoutError: a file is truncated, a pickle, or its shape does not agree with the others.
        """
        choose("part", part, self.parts)
        regions = None if rois is None else [REGIONS[number] for number in pick("region", rois, REGIONS)]
        folder = self._folder(subject)
        images, space = list(images_of(folder, "train")), vertex_space(folder, self.trust_pickle)
        inside = _inside(space, regions)
        samples = pd.DataFrame(
            {"stimulus": [id_of(image) for image in images], "subject": subject, "split": self._splits(images)}
        )
        return Responses(_betas(folder, len(images), space, inside), samples, space.select(inside))

    def truth(self, part: str | None = None) -> None:
        """None: nothing was planted."""
        choose("part", part, self.parts)

    def withheld(self, subject: str, phase: str | None = None) -> pd.DataFrame:
        """The pictures to predict, in the order of the submission: `stimulus`, `subject`, `split`."""
        choose("phase", phase, self.phases)
        shown = [id_of(image) for image in images_of(self._folder(subject), "test")]
        return pd.DataFrame({"stimulus": shown, "subject": subject, "split": "withheld"})

    def write_submission(self, predictions: Mapping[str, Array], path: Path | str, phase: str | None = None) -> Path:
        """Pack predictions into the challenge's zip, and check it.

        Every subject has a folder with `lh_pred_test.npy` and `rh_pred_test.npy`, float32 [pictures, vertices].

        Args:
            predictions: subject -> [pictures, vertices], the rows of `withheld` and all vertices as in `responses`.
            path: of the zip; an existing one is replaced.
            phase: `"test"`.

        Raises:
            LayoutError: a subject is missing, or one too many.
            DataError: predictions have the wrong shape or type, or are not finite.
        """
        wanted = self._sizes(phase)
        written = write(predictions, wanted, Path(path))
        check(written, wanted)
        return written

    def check_submission(self, path: Path | str, phase: str | None = None) -> None:
        """Refuse a zip that is not exactly what the challenge takes, as `submission.check` says."""
        check(Path(path), self._sizes(phase))

    def _folder(self, subject: str) -> Path:
        return require(rooted(self.name, self.root, choose("subject", subject, self.subjects)) / subject)

    def _splits(self, images: Sequence[int]) -> NDArray[np.str_]:
        return splits(images, self.validation, self.test, self.seed)

    def _sizes(self, phase: str | None) -> dict[str, Size]:
        found = {}
        for subject in self.subjects:
            sides = [len(vertices_of(self._folder(subject), side)) for side in HEMISPHERES]
            found[subject] = Size(len(self.withheld(subject, phase)), *sides)
        return found


def _check_settings(validation: object, test: object, seed: object) -> None:
    shares = [share for share in (validation, test) if isinstance(share, int | float) and 0 <= share < 1]
    if len(shares) < 2 or sum(shares) >= 1:
        raise SettingsError(f"validation is {validation!r} and test {test!r}; wanted shares from 0, less than 1 in all")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise SettingsError(f"seed is {seed!r}; wanted a whole number, 0 or more")


def _together(folders: Sequence[Path], split: str) -> dict[int, Path]:
    """NSD image -> file, of the subjects whose pictures are here; of one that several saw, the file of the first."""
    found: dict[int, Path] = {}
    for folder in folders:
        if (folder / FOLDERS[split]).is_dir():
            found = {**images_of(folder, split), **found}
    return found


def _inside(space: Space, regions: Sequence[str] | None) -> NDArray[np.int64]:
    """Positions of the vertices in any of the regions."""
    if regions is None:
        return np.arange(space.size)
    return np.flatnonzero(space.targets[list(LABELS)].isin(regions).any(axis=1))


def _betas(folder: Path, pictures: int, space: Space, inside: NDArray[np.int64]) -> NDArray[np.float32]:
    """Chosen columns of both hemispheres, [pictures, V]; the files are read some rows at a time."""
    values = np.empty((pictures, len(inside)), np.float32)
    start = done = 0
    for side, short in HEMISPHERES.items():
        size = int((space.column("hemisphere") == side).sum())
        path = require(folder / "training_split" / "training_fmri" / f"{short}_training_fmri.npy")
        columns = inside[(inside >= start) & (inside < start + size)] - start
        _fill(values[:, done : done + len(columns)], path, columns, size)
        start, done = start + size, done + len(columns)
    return values


def _fill(values: NDArray[np.float32], path: Path, columns: NDArray[np.int64], size: int) -> None:
    """Read some columns of one hemisphere's file into `values`."""
    chosen = slice(None) if len(columns) == size else columns  # a slice is not copied
    for row in range(0, len(values), ROWS):
        stored = read_array(path, mapped=True)  # anew: rows that were read need not stay in memory
        check_shape(stored, (len(values), size), "the responses", path)
        if stored.dtype.kind != "f":
            raise LayoutError(f"{path} is of type {stored.dtype}; wanted floating point numbers")
        values[row : row + ROWS] = stored[row : row + ROWS][:, chosen]
