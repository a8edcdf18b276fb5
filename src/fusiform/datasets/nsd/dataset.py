"""`NSD`: pictures, single-trial betas and regions of eight subjects behind the one face of a dataset."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Responses, Stimuli
from fusiform.datasets.base import Card, Sampled, choose
from fusiform.datasets.nsd.betas import Read, read_parts, standardise_sessions
from fusiform.datasets.nsd.design import read_design
from fusiform.datasets.nsd.layout import SUBJECTS, VOLUMES, layout
from fusiform.datasets.nsd.pictures import pictures
from fusiform.datasets.nsd.sources import Source, prepared_source, published_source
from fusiform.datasets.nsd.splits import NAMED, custom_split, named_split
from fusiform.errors import DataError, MissingDataError, SettingsError

__all__ = ["NSD"]

SPACES = (*VOLUMES, "fsaverage", "nativesurface")
ZSCORES = ("session", "session-all", "none")
PREPARED = "whole-brain"  # the name of the betas of the system of that name
BETAS = ("betas_fithrf_GLMdenoise_RR", "betas_fithrf", "betas_assumehrf", PREPARED)


class NSD(Sampled):
    """Eight people see up to 10,000 natural scenes three times each, at 7 T (Allen et al. 2022).

    Its files are read where they lie, in the folders of the release. Nothing is read before it is asked for.

    Responses are single trials in the order of the experiment, in percent signal change before they are standardised.
    Repeats are kept; `Responses.average_repeats()` averages them. The targets have a column for every atlas that is
    found, with the name of the label or nothing; `roi`, which repeats that of `streams` or, without it, of the atlas
    that is read by default; the published `ncsnr`; `saturated`, how many of the betas read were at the end of the range
    of int16; and `missing`, how many were NaN, or in int16, which has none, zero in all trials of a session. `rois`
    takes atlases (`"streams"`), labels (`"V1v"`), or both where two atlases have such a label (`"Kastner2015:V1v"`).

    Args:
        space: `"func1pt8mm"` or `"func1mm"` (the subject's own volume), `"fsaverage"`, `"nativesurface"`.
        betas: `"betas_fithrf_GLMdenoise_RR"`, `"betas_fithrf"`, `"betas_assumehrf"`; or `"whole-brain"`, the files
            `betas_sub-01.h5` and `metadata_sub-01.npy` of the whole_brain_encoder system (fsaverage).
        region: what is read where no `rois` are asked for: an atlas or a label, or `"brain"`; by default `"nsdgeneral"`
            in volumes, and all vertices on surfaces.
        sessions: numbers from 1 or ranges of them (`"1-37"`); by default all on the disk, among which none may miss.
        split: `"shared1000"`, `"shared982"`, `"shared515"` (`splits.named_split`), `"published"` (that of the
            whole-brain files, and their default), or one's own: picture -> `train`, `val`, `test`, or a CSV file with
            the columns `stimulus` and `split`. What one's own split does not name is left out.
        zscore: `"session"` standardises each target within each session by its training trials; `"session-all"`, as
            most papers do, by all of its trials, of the test too; `"none"` leaves percent signal change, and NaN where
            data are missing.
        root: the folder that holds `nsddata/` (default: `nsd/` in the data folders).
        stimuli_root: that of the pictures, if another.
        trust_pickle: open `metadata_sub-01.npy`, a pickled file.

    Raises:
        UnknownNameError: no such space, betas, subject, part or region.
        SettingsError: settings that do not go together.
        MissingDataError: files are not here; the message says which, and where they were looked for.
        LayoutError: files are damaged or not as published.
    """

    name = "nsd"
    card = Card(
        title="Natural Scenes Dataset: eight subjects, 70,566 natural scenes, single-trial betas at 7 T",
        licence="NSD Terms and Conditions (data access agreement)",
        cite="Allen et al. 2022, Nature Neuroscience 25, 116-126",
        agreement="https://naturalscenesdataset.org",
    )
    subjects = SUBJECTS
    parts = ("images",)

    def __init__(
        self,
        *,
        space: str = "func1pt8mm",
        betas: str = BETAS[0],
        region: str | None = None,
        sessions: Sequence[int] | str | None = None,
        split: str | Path | Mapping[str, str] | None = None,
        zscore: str = "session",
        root: str | Path | None = None,
        stimuli_root: str | Path | None = None,
        trust_pickle: bool = False,
    ) -> None:
        choose("space", space, SPACES)
        choose("betas", betas, BETAS)
        choose("zscore", zscore, ZSCORES)
        if betas == PREPARED and space != "fsaverage":
            raise SettingsError(f"betas {PREPARED!r} lie on fsaverage, not in {space!r}; give space='fsaverage' too")
        self.space, self.betas, self.region, self.sessions = space, betas, region, sessions
        self.split, self.zscore, self.trust_pickle = split, zscore, trust_pickle
        self.root, self.stimuli_root = root, stimuli_root

    def stimuli(self, part: str | None = None) -> Stimuli:
        """All 73,000 pictures; those of one subject are in the samples of its responses."""
        choose("part", part, self.parts)
        files = layout(self.root, self.stimuli_root)
        try:
            design = read_design(files.design())
        except MissingDataError:  # the whole-brain files do without
            design = None
        return pictures(files.stimuli(), design)

    def responses(self, subject: str, *, part: str | None = None, rois: Sequence[str] | None = None) -> Responses:
        """Single trials of one subject, float32 [N, V].

        The samples have `stimulus`, `subject`, `session`, `run` (counted through all sessions), `repeat` (how often
        the picture was shown by then), `trial` (from 0, through all sessions) and `split`. Besides the result no more
        than a block of a file is held.
        """
        choose("part", part, self.parts)
        choose("subject", subject, self.subjects)
        source = self._source(subject)
        samples = self._split(source, subject)
        chosen = source.targets.chosen(rois, self.region)
        read = read_parts(source.parts(samples), source.targets.places(chosen), len(samples))
        self._standardise(read.values, samples)
        _report(read, subject)
        space = source.targets.space(chosen, self.region)
        counts = {"saturated": read.saturated, "missing": read.missing}
        space = replace(space, targets=space.targets.assign(**counts))
        return Responses(read.values, samples, space)

    def truth(self, part: str | None = None) -> None:
        """None: nothing was planted."""
        choose("part", part, self.parts)

    def _source(self, subject: str) -> Source:
        files = layout(self.root, self.stimuli_root)
        if self.betas == PREPARED:
            return prepared_source(files, subject, self.sessions, self.trust_pickle)
        return published_source(files, subject, self.space, self.betas, self.sessions)

    def _split(self, source: Source, subject: str) -> pd.DataFrame:
        """The trials to read, with their split."""
        names = self._names(source, subject)
        kept = np.array([name is not None for name in names])
        if not kept.any():
            raise DataError(
                f"the split names no picture that {subject} saw in these sessions; check its ids (nsd-00013)"
            )
        return source.samples.assign(split=names)[kept].reset_index(drop=True)

    def _names(self, source: Source, subject: str) -> NDArray[np.object_]:
        """The split of every trial, or None."""
        split = self.split or ("published" if source.split is not None else NAMED[0])
        if isinstance(split, str) and split in NAMED:
            test = named_split(split, source.design(), subject)
            return np.where(np.isin(source.shown, test), "test", "train").astype(object)
        known = _published(source) if split == "published" else custom_split(split)
        return np.array([known.get(id) for id in source.samples["stimulus"]], dtype=object)

    def _standardise(self, values: NDArray[np.float32], samples: pd.DataFrame) -> None:
        if self.zscore == "none":
            return
        session, trained = samples["session"].to_numpy(), (samples["split"] == "train").to_numpy()
        like = trained | (self.zscore == "session-all")
        if without := sorted(set(session) - set(session[like])):
            raise SettingsError(
                f"session {without[0]} has no training trial to take mean and deviation from; give zscore='session-all'"
            )
        standardise_sessions(values, session, like)


def _published(source: Source) -> Mapping[str, str]:
    if source.split is None:
        raise SettingsError(
            f"split 'published' is that of betas {PREPARED!r}; for others give one of {', '.join(NAMED)}"
        )
    return source.split


def _report(read: Read, subject: str) -> None:
    """Say that betas are saturated or missing: nobody looks at a column that they do not know of."""
    saturated, missing = int(read.saturated.sum()), int(read.missing.sum())
    if saturated:
        warnings.warn(
            f"{saturated} of {read.values.size} betas of {subject} are saturated (beyond 109 % signal change, in "
            f"{int((read.saturated > 0).sum())} targets); see the column 'saturated' of the space",
            stacklevel=3,
        )
    if missing:
        warnings.warn(
            f"{missing} of {read.values.size} betas of {subject} are missing (NaN, or zero throughout a session, in "
            f"{int((read.missing > 0).sum())} targets) and are the mean of their session once standardised; see the "
            "column 'missing' of the space",
            stacklevel=3,
        )
