"""Where the files lie: in the folders of the published release, or in the shallower ones of the mind_eye system.

Allen et al. 2022; the data manual of naturalscenesdataset.org names every file. Nothing is opened here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fusiform.datasets.base import locate
from fusiform.datasets.nsd.labels import KNOWN
from fusiform.errors import LayoutError, MissingDataError, SettingsError

__all__ = ["PLANNED", "SUBJECTS", "VOLUMES", "Layout", "chosen_sessions", "layout"]

SUBJECTS = tuple(f"subj{number:02}" for number in range(1, 9))
PLANNED = dict(zip(SUBJECTS, (40, 40, 32, 30, 40, 32, 40, 30), strict=True))  # sessions that each subject completed
VOLUMES = ("func1pt8mm", "func1mm")
HEMISPHERES = ("lh.", "rh.")

DESIGN = ("nsddata/experiments/nsd/nsd_expdesign.mat", "nsd_expdesign.mat")
STIMULI = (
    "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5",
    "nsd_stimuli.hdf5",
    "nsddata_stimuli/nsd_stimuli_227.hdf5",
)
BETAS = "nsddata_betas/ppdata/{subject}/{space}/{betas}"
REGIONS = "nsddata/ppdata/{subject}/{space}/roi"
LABELS = "nsddata/freesurfer/{brain}/label"
SHALLOW_BETAS = ("nsddata_sessions/{subject}",)  # of func1pt8mm, betas_fithrf_GLMdenoise_RR
SHALLOW_REGIONS = ("nsddata_roi/{subject}", "nsddata_voxels/{subject}")
SUFFIXES = {True: (".hdf5", ".nii.gz", ".nii"), False: (".mgh", ".mgz", ".hdf5")}  # volumes, surfaces


@dataclass(frozen=True)
class Layout:
    """The files of one copy.

    Args:
        root: its folder.
        stimuli_root: that of the pictures.
    """

    root: Path
    stimuli_root: Path

    def design(self) -> Path:
        """Which picture was shown in which trial."""
        return _first(self.root, DESIGN, "the experimental design")

    def stimuli(self) -> Path:
        """The 73,000 pictures."""
        return _first(self.stimuli_root, STIMULI, "the pictures")

    def sessions(self, subject: str, space: str, betas: str) -> dict[int, tuple[Path, ...]]:
        """Session (from 1) -> its file in a volume, or those of the left and the right hemisphere.

        Raises:
            LayoutError: a session has one hemisphere only.
        """
        found: dict[int, tuple[Path, ...]] = {}
        for folder in self._betas(subject, space, betas):
            for number in range(1, PLANNED[subject] + 1):
                files = _either(folder, f"betas_session{number:02}", space)
                if files and number not in found:
                    found[number] = files
        return dict(sorted(found.items()))

    def ncsnr(self, subject: str, space: str, betas: str) -> tuple[Path, ...]:
        """The published noise-ceiling signal-to-noise ratios, or nothing where they are not here."""
        folders = self._betas(subject, space, betas)
        return next((files for folder in folders if (files := _either(folder, "ncsnr", space))), ())

    def brain(self, subject: str, space: str) -> Path:
        """The mask of the volume within which betas were kept."""
        return self.root / f"nsddata/ppdata/{subject}/{space}/brainmask.nii.gz"

    def atlases(self, subject: str, space: str) -> dict[str, tuple[Path, ...]]:
        """Atlas -> its file in the volume, or those of both hemispheres, of what is known or has a table of labels."""
        if space in VOLUMES:
            shallow = SHALLOW_REGIONS if space == VOLUMES[0] else ()
            folders = [self.root / one.format(subject=subject, space=space) for one in (REGIONS, *shallow)]
            masks = [path for folder in folders for path in sorted(folder.glob("*.nii.gz"))]
            return {path.name[: -len(".nii.gz")]: (path,) for path in masks if path.name[:3] not in HEMISPHERES}
        folder = self._labels(subject, space)
        tables = [path.name.removesuffix(".mgz.ctab") for path in sorted(folder.glob("*.mgz.ctab"))]
        return {
            name: files
            for name in dict.fromkeys([*tables, *KNOWN])
            if (files := _either(folder, name, space, (".mgz", ".mgh")))
        }

    def table(self, subject: str, atlas: str) -> Path | None:
        """The names of an atlas's labels, if they are here."""
        places = [f"{LABELS.format(brain=brain)}/{atlas}.mgz.ctab" for brain in (subject, "fsaverage")]
        known = [self.root / place for place in (*places, f"nsddata/templates/{atlas}.ctab")]
        return next((path for path in known if path.is_file()), None)

    def betas(self, subject: str, space: str, betas: str) -> Path:
        """Where the betas should be."""
        return self._betas(subject, space, betas)[0]

    def _betas(self, subject: str, space: str, betas: str) -> list[Path]:
        shallow = SHALLOW_BETAS if (space, betas) == (VOLUMES[0], "betas_fithrf_GLMdenoise_RR") else ()
        return [self.root / one.format(subject=subject, space=space, betas=betas) for one in (BETAS, *shallow)]

    def _labels(self, subject: str, space: str) -> Path:
        return self.root / LABELS.format(brain="fsaverage" if space == "fsaverage" else subject)


def layout(root: str | Path | None, stimuli_root: str | Path | None) -> Layout:
    """The copy in `root`, else the first `nsd/` of the data folders.

    Raises:
        MissingDataError: there is no such folder.
    """
    folder = locate("nsd") if root is None else Path(root).expanduser()
    if not folder.is_dir():
        raise MissingDataError(f"there is no folder {folder}; give root= the folder that holds nsddata/")
    return Layout(folder, folder if stimuli_root is None else Path(stimuli_root).expanduser())


def chosen_sessions(
    found: dict[int, tuple[Path, ...]], wanted: Sequence[int] | str | None, subject: str, folder: Path
) -> list[int]:
    """The sessions to read: those wanted, else all that were found, if none is missing among them.

    Args:
        found: session -> files.
        wanted: numbers from 1, or ranges of them: `"1-37"`, `"1,2,5-8"`.
        subject: whose.
        folder: where they were looked for.

    Raises:
        MissingDataError: no session was found.
        LayoutError: one that is wanted is not there, or there is a hole among those found.
        SettingsError: `wanted` holds no numbers of sessions.
    """
    if not found:
        raise MissingDataError(
            f"{folder} holds no session of {subject} (wanted betas_session01 and so on, .hdf5, .nii.gz or .mgh); copy "
            "the betas there, or name others: space=, betas="
        )
    numbers = list(range(1, max(found) + 1)) if wanted is None else _numbers(wanted, subject)
    missing = [number for number in numbers if number not in found]
    if missing:
        there = ",".join(map(str, found))
        raise LayoutError(
            f"session {missing[0]} of {subject} is missing in {folder} ({len(missing)} of {len(numbers)} are); copy it "
            f"there, or use those that are: sessions=[{there}]"
        )
    return numbers


def _numbers(wanted: Sequence[int] | str | int, subject: str) -> list[int]:
    parts = str(wanted).split(",") if isinstance(wanted, str | int) else [str(number) for number in wanted]
    numbers: list[int] = []
    for part in parts:
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)
        if match is None:
            raise SettingsError(
                f"sessions is {wanted!r}; wanted numbers or ranges of them, such as '1-37' or [1, 2, 5]"
            )
        numbers += range(int(match[1]), int(match[2] or match[1]) + 1)
    if not numbers or min(numbers) < 1 or max(numbers) > PLANNED[subject]:
        raise SettingsError(f"sessions is {wanted!r}; {subject} has the sessions 1 to {PLANNED[subject]}")
    return sorted(set(numbers))


def _first(root: Path, files: Sequence[str], what: str) -> Path:
    for file in files:
        if (root / file).is_file():
            return root / file
    raise MissingDataError(f"{what} of nsd were not found in {root} (looked for {' and '.join(files)}); copy one there")


def _either(folder: Path, name: str, space: str, suffixes: Sequence[str] | None = None) -> tuple[Path, ...]:
    """The file of that name whatever its format, for both hemispheres on surfaces; nothing where it is not here."""
    sides = ("",) if space in VOLUMES else HEMISPHERES
    for suffix in suffixes or SUFFIXES[space in VOLUMES]:
        files = tuple(folder / f"{side}{name}{suffix}" for side in sides)
        there = [file for file in files if file.is_file()]
        if len(there) == len(files):
            return files
        if there:
            lost = next(file for file in files if file not in there)
            raise LayoutError(f"{there[0]} is there but not {lost.name}; copy the other hemisphere too")
    return ()
