"""One subject's betas: files per session as published, or the one file of the whole-brain system."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.datasets.nsd.betas import Part, Place
from fusiform.datasets.nsd.design import TRIALS, Design, picture_id, read_design, trial_table
from fusiform.datasets.nsd.layout import VOLUMES, Layout, chosen_sessions
from fusiform.datasets.nsd.prepared import Stored, prepared_files, read_metadata
from fusiform.datasets.nsd.targets import SurfaceTargets, Targets, surface_targets, volume_targets

__all__ = ["Source", "prepared_source", "published_source"]


@dataclass(frozen=True, eq=False)
class Source:
    """What can be read of one subject.

    Args:
        samples: all trials of the chosen sessions.
        shown: [N] the picture of each, of the 73,000.
        targets: all that there are.
        files: number of a file, from 0 -> it, or those of both hemispheres.
        length: trials of a file.
        design: gives the experimental design.
        split: picture -> split, where one comes with the betas.
    """

    samples: pd.DataFrame
    shown: NDArray[np.int64]
    targets: Targets
    files: Mapping[int, tuple[Path, ...]]
    length: int
    design: Callable[[], Design]
    split: Mapping[str, str] | None = None

    def parts(self, samples: pd.DataFrame) -> list[Part]:
        """The files that hold some of the samples, which are numbered from 0."""
        return [
            Part(self.files[number], _rows(rows["trial"].to_numpy() % self.length, rows.index.to_numpy(), self.length))
            for number, rows in samples.groupby(samples["trial"] // self.length)
        ]


def published_source(
    files: Layout, subject: str, space: str, betas: str, sessions: Sequence[int] | str | None
) -> Source:
    """The published betas, a file per session in a volume or two on surfaces; arguments as in `NSD`."""
    found = files.sessions(subject, space, betas)
    chosen = chosen_sessions(found, sessions, subject, files.betas(subject, space, betas))
    design = read_design(files.design())
    shown = design.shown(subject)
    samples = _of_sessions(trial_table(shown, subject), chosen)
    make: Callable[..., Targets] = volume_targets if space in VOLUMES else surface_targets
    targets = make(files, subject, space, betas, found[chosen[0]])
    numbered = {number - 1: paths for number, paths in found.items()}
    return Source(samples, shown[samples["trial"]], targets, numbered, TRIALS, lambda: design)


def prepared_source(files: Layout, subject: str, sessions: Sequence[int] | str | None, trust_pickle: bool) -> Source:
    """The betas of the whole-brain system, all trials in one file; arguments as in `NSD`."""
    betas, metadata = prepared_files(files.root, subject)
    known = read_metadata(metadata, trust_pickle)
    trials = trial_table(known.shown, subject)
    there: dict[int, tuple[Path, ...]] = dict.fromkeys(trials["session"].unique().tolist(), (betas, betas))
    samples = _of_sessions(trials, chosen_sessions(there, sessions, subject, betas))
    count = len(known.shown)
    targets = PreparedTargets(
        f"{subject}-fsaverage", known.atlases, known.ncsnr, known.sizes, "fsaverage", trials=count
    )
    split = {picture_id(number): name for number, name in known.split.items()}
    shown = known.shown[samples["trial"]]
    return Source(samples, shown, targets, {0: (betas, betas)}, count, lambda: read_design(files.design()), split)


@dataclass(frozen=True, eq=False)
class PreparedTargets(SurfaceTargets):
    """Vertices of both hemispheres in one file.

    Args:
        trials: of the file.
    """

    trials: int

    def places(self, chosen: NDArray[np.int64]) -> list[Place]:
        """An array of the left hemisphere, and one of the right."""
        sides = zip(("lh_betas", "rh_betas"), self.sides(chosen), self.sizes, strict=True)
        return [Stored(name, side, (self.trials, size)) for name, side, size in sides]


def _of_sessions(trials: pd.DataFrame, chosen: Sequence[int]) -> pd.DataFrame:
    return trials[trials["session"].isin(chosen)].reset_index(drop=True)


def _rows(trials: NDArray[np.int64], samples: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """[trials of a file] the sample that each is, or -1."""
    rows = np.full(length, -1, dtype=np.int64)
    rows[trials] = samples
    return rows
