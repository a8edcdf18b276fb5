"""Which trials train and which test: the splits that published scores were made with, and one's own."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.datasets.base import reading
from fusiform.datasets.nsd.design import PICTURES, TRIALS, Design, picture_id
from fusiform.datasets.nsd.layout import PLANNED
from fusiform.errors import DataError, LayoutError, SettingsError
from fusiform.registry import did_you_mean

__all__ = ["NAMED", "SPLITS", "custom_split", "named_split"]

NAMED = ("shared1000", "shared982", "shared515")
SPLITS = ("train", "val", "test")
_WANTED = f"wanted one of {', '.join(NAMED)}, or a CSV file with the columns stimulus and split"
HELD_BACK = 3  # last sessions of each subject, which were not yet public when the decoding papers were written


def named_split(name: str, design: Design, subject: str) -> NDArray[np.int64]:
    """The test pictures of a subject; all others train.

    - `shared1000`: all pictures that the subjects share.
    - `shared982`: those of them that were shown before the last three sessions; 982 for subjects with 40 sessions, as
      in Takagi & Nishimoto 2023 and Scotti et al. 2023. With `sessions="1-37"` the rows are theirs too.
    - `shared515`: those of them that every subject saw three times.

    Returns:
        Their rows of the 73,000.
    """
    if name == "shared1000":
        return design.shared
    if name == "shared982":
        shown = design.shown(subject)[: (PLANNED[subject] - HELD_BACK) * TRIALS]
        return np.intersect1d(design.shared, shown)
    fewest = min(PLANNED, key=lambda one: PLANNED[one])
    pictures, counts = np.unique(design.shown(fewest), return_counts=True)
    return np.intersect1d(design.shared, pictures[counts == 3])


def custom_split(given: Mapping[str, str] | str | Path) -> dict[str, str]:
    """One's own split: picture -> `train`, `val` or `test`, or a CSV file with the columns `stimulus` and `split`.

    Raises:
        SettingsError: it is neither a name, a mapping, nor a file.
        LayoutError: the file cannot be read.
        DataError: a picture or a split is not known.
    """
    if not isinstance(given, Mapping | str | Path):
        raise SettingsError(f"split is {given!r}; {_WANTED}")
    table = dict(given) if isinstance(given, Mapping) else _read(Path(given).expanduser())
    known = {picture_id(number) for number in range(PICTURES)}
    if strange := [id for id in table if id not in known]:
        raise DataError(
            f"the split names {len(strange)} pictures that are not known, such as {strange[0]!r}; wanted nsd-00000 to "
            f"nsd-{PICTURES - 1}"
        )
    if wrong := [name for name in table.values() if name not in SPLITS]:
        raise DataError(f"the split puts a picture into {wrong[0]!r}; wanted {', '.join(SPLITS)}")
    return table


def _read(path: Path) -> dict[str, str]:
    if path.suffix != ".csv":
        raise SettingsError(f"split is {str(path)!r}{did_you_mean(str(path), NAMED)}; {_WANTED}")
    with reading(path, "correct it"):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        if not {"stimulus", "split"} <= set(table):
            raise LayoutError(f"{path} has the columns {', '.join(map(str, table))}; wanted stimulus and split")
        table = table[["stimulus", "split"]].drop_duplicates()
        if (twice := table["stimulus"][table["stimulus"].duplicated()]).size:
            raise DataError(f"{path} puts {twice.iloc[0]!r} into two splits; wanted each picture in one")
        return dict(zip(table["stimulus"], table["split"], strict=True))
