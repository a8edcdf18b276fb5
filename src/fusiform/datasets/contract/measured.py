"""What responses promise: known stimuli, clean splits, finite values, regions that are columns, the same each time."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Array, Responses, Stimuli
from fusiform.datasets.base import Dataset
from fusiform.datasets.contract.finding import NOBODY, Finding, attempt, refuses, spread_out

__all__ = ["responses_wrong"]

SPLITS = ("train", "val", "test")
PLACE = ("name", "hemisphere", "vertex", "i", "j", "k")  # columns of a space that tell its targets apart
BLOCK = 1 << 24  # numbers of responses that are looked at in one go


def responses_wrong(
    dataset: Dataset, part: str, subject: str, stimuli: Stimuli, responses: Responses, most: int | None
) -> Iterator[str]:
    """All that is wrong with the responses of one subject to one part, a sentence each."""
    if not isinstance(responses, Responses):
        yield f"responses({subject!r}) gives a {type(responses).__name__}; wanted fusiform.Responses: return one"
        return
    if not len(responses) or not responses.space.size:
        yield f"they have the shape {tuple(responses.values.shape)}; wanted one sample and target at least: check files"
        return
    yield from _samples(subject, stimuli, responses.samples)
    yield from _targets(responses)
    yield from _finite(responses)
    yield from _repeatable(dataset, part, subject, responses, most)
    yield from _regions(dataset, part, subject, responses, most)
    yield from refuses(f"responses({NOBODY!r})", "subject", lambda: dataset.responses(NOBODY, part=part))
    wanted = attempt("truth", lambda: _planted_rows(dataset, part, subject))
    if isinstance(wanted, Finding):
        yield f"truth({part!r}) raises: {wanted.said}"
    elif wanted not in (None, responses.space.size):
        yield f"truth({part!r}) has {wanted} rows of {subject!r}; wanted {responses.space.size}, one per target"


def _samples(subject: str, stimuli: Stimuli, samples: pd.DataFrame) -> Iterator[str]:
    shown = samples["stimulus"].astype(str)
    if strange := sorted(set(shown) - set(stimuli.ids)):
        yield f"{len(strange)} stimuli of the samples are not in the table of stimuli, such as {strange[0]!r}; add them"
    if "subject" in samples and set(samples["subject"]) != {subject}:
        yield f"the column `subject` holds {sorted(set(map(str, samples['subject'])))}; wanted {subject!r} in every row"
    if "split" in samples:
        yield from _splits(shown, samples)
    if "time" in samples and not np.isfinite(pd.to_numeric(samples["time"], errors="coerce")).all():
        yield "the column `time` holds values that are no finite seconds; leave it out where stimuli have no time"
    moment = [name for name in ("stimulus", "time", "session", "run", "repeat") if name in samples]
    if "repeat" in samples and samples.duplicated(moment).any():
        row = int(np.flatnonzero(samples.duplicated(moment))[0])
        yield f"sample {row} has the same {', '.join(moment)} as an earlier one; number the repeats of a stimulus"


def _splits(shown: "pd.Series[str]", samples: pd.DataFrame) -> Iterator[str]:
    names = samples["split"]
    if strange := [name for name in names.unique() if name not in SPLITS]:
        yield f"the column `split` holds {strange[0]!r}; wanted {', '.join(SPLITS)}; rename it"
    held = set(shown[names == "test"])
    if "time" not in samples and (both := sorted(held & set(shown[names != "test"]))):
        yield f"{len(both)} stimuli of the test split are in another split too, such as {both[0]!r}; keep each in one"


def _targets(responses: Responses) -> Iterator[str]:
    targets = responses.space.targets
    place = [name for name in ("hemisphere", "vertex") if name in targets]
    known = targets[targets["vertex"] >= 0] if len(place) == 2 else targets  # CIFTI has voxels beside vertices
    if len(place) == 2 and "name" not in targets and known.duplicated(place).any():
        yield f"vertex {known[known.duplicated(place)]['vertex'].iloc[0]} stands for two targets; leave one out"
    if "hemisphere" in targets and (strange := sorted(set(targets["hemisphere"]) - {"left", "right", ""})):
        yield f"the hemisphere of a target is {strange[0]!r}; wanted 'left' or 'right': rename it"
    if "name" in targets and targets["name"].duplicated().any():
        yield f"two targets have the name {targets['name'][targets['name'].duplicated()].iloc[0]!r}; rename one"


def _finite(responses: Responses) -> Iterator[str]:
    step = max(1, BLOCK // responses.space.size)
    bad, where = 0, (0, 0)
    for start in range(0, len(responses), step):
        wrong = np.argwhere(~np.isfinite(np.asarray(responses.values[start : start + step])))
        where = (start + int(wrong[0][0]), int(wrong[0][1])) if len(wrong) and not bad else where
        bad += len(wrong)
    if bad:
        name = responses.space.names[where[1]]
        yield f"{bad} values are NaN or infinite, the first in sample {where[0]}, target {name!r}; leave it out"


def _repeatable(dataset: Dataset, part: str, subject: str, responses: Responses, most: int | None) -> Iterator[str]:
    """Whether reading again gives the same, here and in a copy, whatever was done to what was handed out."""
    rows = np.array(spread_out(range(len(responses)), most))
    before, samples = np.array(responses.values[rows]), responses.samples.copy(deep=True)

    def differs(source: Dataset) -> str:
        again = source.responses(subject, part=part)
        if not again.samples.equals(samples):
            return "other samples, or another order"
        return "" if np.array_equal(again.values[rows], before, equal_nan=True) else "other values"

    with _zero(responses.values, rows):
        changed = differs(dataset)
    if changed and (what := differs(dataset)):
        yield f"two calls of responses() give {what}; seed what is random, and sort what is listed"
        return
    if changed:
        yield "changing what responses() handed out changes what it gives next; give a copy"
    if what := differs(pickle.loads(pickle.dumps(dataset))):
        yield f"a copy by pickle gives {what}; keep all that matters in its attributes"


@contextmanager
def _zero(values: Array, rows: NDArray[np.int64]) -> Iterator[None]:
    """Set some rows to zero meanwhile, where that can be done: an array that is handed out once more shows it."""
    if not isinstance(values, np.ndarray) or not values.flags.writeable:
        yield
        return
    before = values[rows]
    values[rows] = 0
    try:
        yield
    finally:
        values[rows] = before


def _regions(dataset: Dataset, part: str, subject: str, responses: Responses, most: int | None) -> Iterator[str]:
    """Whether one region is the columns of all that bear its name, and maybe of such as are not read by default."""
    yield from refuses(f"rois=[{NOBODY!r}]", "region", lambda: dataset.responses(subject, part=part, rois=[NOBODY]))
    if "roi" not in responses.space.targets:
        return
    roi = responses.space.column("roi")
    known = [name for name in dict.fromkeys(roi) if isinstance(name, str) and name]
    if not known:
        return
    chosen = dataset.responses(subject, part=part, rois=[known[-1]])
    rows, inside = np.array(spread_out(range(len(responses)), most)), np.flatnonzero(roi == known[-1])
    among = _among(responses.space.targets.iloc[inside], chosen.space.targets)
    if len(chosen) != len(responses) or not set(chosen.space.column("roi")) <= {known[-1]}:
        yield f"rois=[{known[-1]!r}] gives other samples, or targets of other regions; give the columns whose roi it is"
    elif not _same(np.asarray(chosen.values[rows])[:, among], np.asarray(responses.values[rows])[:, inside]):
        yield f"rois=[{known[-1]!r}] gives other values than the columns of all responses in {known[-1]!r}; give these"


def _among(some: pd.DataFrame, chosen: pd.DataFrame) -> NDArray[np.int64]:
    """Positions of some targets among those chosen: all of these, unless there are more, with places to tell."""
    place = [name for name in PLACE if name in some]
    if len(chosen) <= len(some) or not place:
        return np.arange(len(chosen))
    found = pd.MultiIndex.from_frame(chosen[place]).get_indexer(pd.MultiIndex.from_frame(some[place]))
    return np.asarray(found[found >= 0], dtype=np.int64)


def _same(found: NDArray[Any], wanted: NDArray[Any]) -> bool:
    """Equal but for float noise: what is computed for some targets only may be summed in another order."""
    if found.shape != wanted.shape:
        return False
    scale = float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0))
    return bool(np.allclose(found, wanted, rtol=0, atol=1e-5 * scale, equal_nan=True))


def _planted_rows(dataset: Dataset, part: str, subject: str) -> int | None:
    truth = dataset.truth(part)
    if truth is None:
        return None
    return int((truth["subject"] == subject).sum()) if "subject" in truth else len(truth)
