"""`Algonauts2025`: films, responses and submissions behind the one face of a dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fusiform.data import Array, Responses, Stimuli
from fusiform.data.timing import row_times
from fusiform.datasets.algonauts2025.agreement import check_lengths, check_trim, unanswered, warn_missing
from fusiform.datasets.algonauts2025.clock import TR
from fusiform.datasets.algonauts2025.films import Projector, segments_here
from fusiform.datasets.algonauts2025.responses import TASKS, Measured, read_values, series_of, survey
from fusiform.datasets.algonauts2025.schaefer import NETWORKS, parcels
from fusiform.datasets.algonauts2025.segments import FILMS, MEASURED, film_of, films_of
from fusiform.datasets.algonauts2025.submission import PHASES, Counts, check, read_counts, write
from fusiform.datasets.base import Card, Sampled, choose, pick
from fusiform.datasets.roots import is_here, rooted
from fusiform.errors import MissingDataError, SettingsError

__all__ = ["Algonauts2025"]


class Algonauts2025(Sampled):
    """Four people watch Friends and four films, 65 hours each, TR 1.49 s, in 1000 parcels of the cortex.

    Seasons 1 to 6 of Friends and Movie10 come with responses; those to season 7 and to six out-of-distribution films
    are withheld, and predictions of them are submitted (`withheld`, `write_submission`). A stimulus is a segment, such
    as `s01e02a` or `bourne01`: a recording with picture, sound and the words of its transcript, as far as the files are
    here. Two films of Movie10 were shown twice: `repeat`.

    `sub-02` has no responses to `s05e20a`, `sub-05` none to `s04e01a`, `s04e01b` and `s04e13b`. They are left out for
    that subject only, as is whatever else its files lack and others have; a warning names them, and see `missing`.

    The lags by which `pair` gives volumes what the challenge's baseline gives them are `stimulus_window()`.

    Args:
        films: use only these, such as `["friends-s01", "movie10-life"]` (default: all).
        validation: films of the split `val`.
        test: films of the split `test`; the challenge's own test is withheld.
        trim: volumes left out at either end of every series: the challenge's baseline learns from none of the first and
            last five, and its score counts none of them.
        tolerance: volumes by which a series may be longer or shorter than its film, five as the score leaves out as
            many; None never opens the films to compare.
        root: the folder that holds `fmri/` and `stimuli/` (default: `algonauts2025/` in a data folder).
        stimuli_root: the folder that holds `movies/` and `transcripts/` (default: `stimuli/` in the root).
        trust_pickle: read the numbers of withheld volumes and submissions, which are pickles.

    Raises:
        UnknownNameError: no such film.
        SettingsError: a film is in two splits, or in one though it is withheld, or a number is below zero.
    """

    name = "algonauts2025"
    card = Card(
        title="Algonauts 2025 (CNeuroMod): four people watch 65 hours of films, 1000 parcels",
        licence="Algonauts 2025 terms of use, in its README (non-commercial research and education)",
        cite="Gifford et al. 2025, arXiv 2501.00504; Boyle et al. 2023, CCN; Schaefer et al. 2018, Cerebral Cortex 28",
        bytes=2_700_000_000,  # about, and without the films
        obtain="datalad install -r -s https://github.com/courtois-neuromod/algonauts_2025.competitors.git "
        "algonauts2025 && cd algonauts2025 && datalad get fmri stimuli",
    )
    subjects: tuple[str, ...] = ("sub-01", "sub-02", "sub-03", "sub-05")
    parts: tuple[str, ...] = ("films", *TASKS)
    phases: tuple[str, ...] = tuple(PHASES)

    def __init__(
        self,
        *,
        films: Sequence[str] | None = None,
        validation: Sequence[str] = ("friends-s06",),
        test: Sequence[str] = (),
        trim: int = 5,
        tolerance: int | None = 5,
        root: str | Path | None = None,
        stimuli_root: str | Path | None = None,
        trust_pickle: bool = False,
    ) -> None:
        self.films = FILMS if films is None else _films(films)
        self.validation, self.test = _films(validation), _films(test)
        _check_splits(self.validation, self.test)
        self.trim = _volumes("trim", trim)
        self.tolerance = None if tolerance is None else _volumes("tolerance", tolerance)
        self.root, self.stimuli_root, self.trust_pickle = root, stimuli_root, trust_pickle

    def stimuli(self, part: str | None = None) -> Stimuli:
        """The segments whose film or transcript is here; `part` may leave Movie10 or Friends out.

        Columns: `film`, `split` (`train`, `val`, `test` or `withheld`), and whether there is a `video` and a
        `transcript`.
        """
        folder = self._stimuli_folder()
        table = segments_here(folder)
        chosen = table[table["film"].isin(self._films(choose("part", part, self.parts), withheld=True))]
        if chosen.empty:
            raise MissingDataError(f"{folder} holds no segment of {', '.join(self.films)}; run 'datalad get' for some")
        chosen.insert(1, "split", [self._split(film) for film in chosen["film"]])
        return Stimuli(self.name, "recording", chosen, Projector(folder))

    def responses(self, subject: str, *, part: str | None = None, rois: Sequence[str] | None = None) -> Responses:
        """Time series of one subject, float32 [N, 1000], series after series.

        Samples have the columns `stimulus`, `subject`, `session`, `run` (which counts the series), `repeat`, `split`
        and `time`, the onset of the volume in seconds of the segment: the first volume begins with the film.

        Args:
            subject: one of `subjects`.
            part: `"films"` (all), `"friends"` or `"movie10"`.
            rois: networks of Schaefer's parcellation, such as `["Vis", "Default"]` (default: all seven).

        Raises:
            MissingDataError: a file is not here.
            LayoutError: a file is truncated or not as published.
            AlignmentError: a series is much longer or shorter than its film.
            DataError: a series holds NaN or infinite values.
        """
        choose("subject", subject, self.subjects)
        films = self._films(choose("part", part, self.parts))
        networks = [NETWORKS[number] for number in pick("region", rois, NETWORKS)]
        measured = self._survey(subject, films)
        if (folder := self._stimuli_here()) is not None:
            check_lengths(folder, subject, measured, self.tolerance)
        warn_missing(subject, self._unanswered(subject, films, measured))
        space = parcels(self._atlas(subject))
        inside = np.flatnonzero(np.isin(space.column("roi"), networks))
        values = read_values(measured, inside, self.trim)
        return Responses(values, self._samples(subject, measured), space.select(inside))

    def truth(self, part: str | None = None) -> None:
        """None: nothing was planted."""
        choose("part", part, self.parts)

    def missing(self, subject: str) -> list[str]:
        """Names of the series that a subject lacks, though others have them or their stimuli are here.

        Such as `"s05e20a"`, or `"life01_run-2"` of the films that were shown twice.
        """
        choose("subject", subject, self.subjects)
        films = self._films(self.parts[0])
        return self._unanswered(subject, films, self._survey(subject, films))

    def withheld(self, subject: str, phase: str | None = None) -> pd.DataFrame:
        """The samples to predict, every volume of every withheld segment: `stimulus`, `subject`, `split`, `time`.

        Args:
            subject: one of `subjects`.
            phase: `"friends-s7"` (the default) or `"ood"`.

        Raises:
            MissingDataError: the file of the numbers of volumes is not here.
            SettingsError: it is a pickle, and the dataset was not told to trust it.
            LayoutError: it is not as published.
        """
        counts = self._counts(choose("subject", subject, self.subjects), phase)
        tables = [_table(segment, subject, "withheld", count) for segment, count in counts.items()]
        return pd.concat(tables, ignore_index=True)

    def write_submission(self, predictions: Mapping[str, Array], path: Path | str, phase: str | None = None) -> Path:
        """Pack predictions into the challenge's zip, and check it.

        The zip holds one `.npy` with a pickled dict subject -> segment -> float32 [T, 1000]. The challenge's server
        runs numpy 1, which cannot read what numpy 2 pickles; this file is read by both.

        Args:
            predictions: subject -> [N, 1000], the rows of `withheld` and the parcels in the order of the atlas.
            path: of the zip; an existing one is replaced.
            phase: `"friends-s7"` (the default) or `"ood"`.

        Raises:
            LayoutError: a subject is missing, or one too many.
            DataError: predictions have the wrong shape or type, or are not finite.
        """
        phase = choose("phase", phase, self.phases)
        wanted = {subject: self._counts(subject, phase) for subject in self.subjects}
        written = write(predictions, wanted, Path(path), phase)
        check(written, wanted, trust_pickle=True)  # it was written just now
        return written

    def check_submission(self, path: Path | str, phase: str | None = None) -> None:
        """Refuse a zip that is not exactly what the challenge takes, as `submission.check` says."""
        phase = choose("phase", phase, self.phases)
        check(Path(path), {subject: self._counts(subject, phase) for subject in self.subjects}, self.trust_pickle)

    def _films(self, part: str, *, withheld: bool = False) -> list[str]:
        """The films in use of a part, with or without those whose responses are withheld."""
        task, known = "" if part == self.parts[0] else f"{part}-", FILMS if withheld else MEASURED
        return [film for film in self.films if film in known and film.startswith(task)]

    def _split(self, film: str) -> str:
        if film not in MEASURED:
            return "withheld"
        return "val" if film in self.validation else "test" if film in self.test else "train"

    def _unanswered(self, subject: str, films: Sequence[str], measured: Sequence[Measured]) -> list[str]:
        folder, tasks = rooted(self.name, self.root, "fmri") / "fmri", _tasks(films)
        others = [series_of(folder, other, tasks) for other in self.subjects if other != subject]
        return unanswered(subject, films, measured, set().union(*others), self._stimuli_here())

    def _survey(self, subject: str, films: Sequence[str]) -> list[Measured]:
        tasks = _tasks(films)
        if not tasks:
            raise SettingsError(f"no film in use has responses here ({', '.join(self.films)}); give others as `films`")
        folder = rooted(self.name, self.root, "fmri") / "fmri"
        measured = [one for one in survey(folder, subject, tasks) if film_of(one.series.segment) in films]
        if not measured:
            raise MissingDataError(f"the files of {subject!r} hold no responses to {', '.join(films)}; get them again")
        check_trim(subject, measured, self.trim)
        return measured

    def _samples(self, subject: str, measured: Sequence[Measured]) -> pd.DataFrame:
        tables = []
        for run, one in enumerate(measured, 1):
            split = self._split(str(film_of(one.series.segment)))
            whole = _table(one.series.segment, subject, split, one.volumes)
            whole = whole.assign(session=one.series.session, run=run, repeat=one.series.repeat)
            tables.append(whole.iloc[self.trim : one.volumes - self.trim])
        columns = ["stimulus", "subject", "session", "run", "repeat", "split", "time"]
        return pd.concat(tables, ignore_index=True)[columns]

    def _counts(self, subject: str, phase: str | None) -> Counts:
        folder = rooted(self.name, self.root, "fmri") / "fmri"
        return read_counts(folder, subject, choose("phase", phase, self.phases), self.trust_pickle)

    def _stimuli_folder(self) -> Path:
        if self.stimuli_root is not None:
            return rooted(self.name, self.stimuli_root)
        return rooted(self.name, self.root, "stimuli") / "stimuli"

    def _stimuli_here(self) -> Path | None:
        """None where no stimuli were downloaded; a folder that the user named must be there."""
        try:
            return self._stimuli_folder()
        except MissingDataError:
            if self.stimuli_root is not None:
                raise
            return None

    def _atlas(self, subject: str) -> Path | None:
        """The image of the subject's parcels; None where it was not fetched."""
        name = f"{subject}_space-MNI152NLin2009cAsym_atlas-Schaefer18_parcel-1000Par7Net_desc-dseg_parcellation.nii.gz"
        path = rooted(self.name, self.root, "fmri") / "fmri" / subject / "atlas" / name
        return path if is_here(path) else None


def _table(segment: str, subject: str, split: str, volumes: int) -> pd.DataFrame:
    return pd.DataFrame({"stimulus": segment, "subject": subject, "split": split, "time": row_times(volumes, 1 / TR)})


def _tasks(films: Sequence[str]) -> list[str]:
    """The tasks whose files hold responses to some of the films."""
    return [task for task in TASKS if set(films_of(task)) & set(films)]


def _films(films: object) -> tuple[str, ...]:
    names = [films] if isinstance(films, str) else films
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise SettingsError(f"films are {films!r}; wanted a list of names such as ['friends-s06', 'movie10-life']")
    return tuple(choose("film", name, FILMS) for name in names)


def _check_splits(validation: Sequence[str], test: Sequence[str]) -> None:
    if both := set(validation) & set(test):
        raise SettingsError(f"film {min(both)!r} is of the validation and of the test; give it to one of them")
    if withheld := [film for film in (*validation, *test) if film not in MEASURED]:
        raise SettingsError(
            f"the responses to {withheld[0]!r} are withheld, so it can be of no split; give another film"
        )


def _volumes(name: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise SettingsError(f"{name} is {value!r}; wanted a whole number of volumes, 0 or more")
