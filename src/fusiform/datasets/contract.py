"""What a dataset promises, checked: for plug-in authors (`fusiform.testing.check_dataset`) and for `fusiform doctor`."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fusiform.data import Kind, Recording, Responses, Stimuli
from fusiform.datasets.base import Card, Dataset
from fusiform.errors import UnknownNameError

__all__ = ["Finding", "examine"]

SPLITS = ("train", "val", "test")
NOBODY = "no such name"  # what must be refused
TYPES: dict[str, type] = {"image": Image.Image, "text": str, "recording": Recording}
BLOCK = 1 << 24  # numbers of responses that are looked at in one go


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        about: what.
        said: where it is well, what was found; else one sentence that says what, got, wanted, next.
        ok: whether it is well.
    """

    about: str
    said: str
    ok: bool = True


def examine(
    dataset: Any, *, parts: Sequence[str] | None = None, subjects: Sequence[str] | None = None, most: int | None = None
) -> Iterator[Finding]:
    """Look at everything that a dataset promises, thing by thing; whatever it raises becomes a finding.

    Args:
        dataset: an instance.
        parts: to look at (default: all).
        subjects: to look at (default: all).
        most: stimuli to load and samples to read twice, spread over all; None for every one.
    """
    form = _form(dataset)
    yield from form
    if not all(finding.ok for finding in form):
        return
    for part in dataset.parts if parts is None else parts:
        stimuli = _attempt(f"stimuli of {part!r}", lambda part=part: dataset.stimuli(part))
        if isinstance(stimuli, Finding):
            yield stimuli
            continue
        yield from _findings(f"stimuli of {part!r}", _stimuli(dataset, part, stimuli, most), _told(stimuli))
        for subject in dataset.subjects if subjects is None else subjects:
            yield from _subject(dataset, part, subject, stimuli, most)


def _subject(dataset: Dataset, part: str, subject: str, stimuli: Stimuli, most: int | None) -> Iterator[Finding]:
    about = f"responses of {subject!r} to {part!r}"
    responses = _attempt(about, lambda: dataset.responses(subject, part=part))
    if isinstance(responses, Finding):
        yield responses
        return
    told = f"{len(responses):,} samples of {responses.space.size:,} targets" if isinstance(responses, Responses) else ""
    yield from _findings(about, _responses(dataset, part, subject, stimuli, responses, most), told)


def _attempt(about: str, action: Callable[[], Any]) -> Any:
    """What the dataset gives, or the finding that it raised."""
    try:
        return action()
    except Exception as reason:  # whatever a plug-in raises is what its author must hear
        return Finding(about, str(reason) or type(reason).__name__, ok=False)


def _findings(about: str, complaints: Iterator[str], told: str) -> list[Finding]:
    """A finding per complaint, or one that tells what was found."""
    found: list[Finding] = []
    try:
        found += [Finding(about, complaint, ok=False) for complaint in complaints]
    except Exception as reason:  # as above
        found.append(Finding(about, str(reason) or type(reason).__name__, ok=False))
    return found or [Finding(about, told)]


def _form(dataset: Any) -> list[Finding]:
    """What is wrong before anything is read."""
    name, card = getattr(dataset, "name", None), getattr(dataset, "card", None)
    wrong = {
        f"`name` is {name!r}; wanted a string that is not empty": not (isinstance(name, str) and name),
        f"`card` is {card!r}; wanted a fusiform.datasets.Card": not isinstance(card, Card),
        **{_names_wrong(dataset, which): not _are_names(getattr(dataset, which, None)) for which in _NAMES},
        **{
            f"there is no method {method}(...)": not callable(getattr(dataset, method, None))
            for method in ("stimuli", "responses", "truth")
        },
    }
    complaints = [sentence for sentence, is_wrong in wrong.items() if is_wrong]
    if not complaints:
        complaints = list(_pickled(dataset))
    return _findings("form", iter(complaints), f"{name}: {card.title}" if isinstance(card, Card) else "")


_NAMES = ("subjects", "parts")


def _names_wrong(dataset: Any, which: str) -> str:
    return f"`{which}` is {getattr(dataset, which, None)!r}; wanted a tuple of different names, one at least"


def _are_names(value: Any) -> bool:
    if not isinstance(value, tuple) or not value:
        return False
    return all(isinstance(name, str) and name for name in value) and len(set(value)) == len(value)


def _pickled(dataset: Any) -> Iterator[str]:
    try:
        copy = pickle.loads(pickle.dumps(dataset))
    except Exception as reason:
        yield f"it cannot be pickled ({reason}), so no other process can read it; keep open files out of its attributes"
    else:
        if copy.name != dataset.name or copy.subjects != dataset.subjects:
            yield f"its copy by pickle is {copy.name!r} with the subjects {copy.subjects!r}; wanted the same as its own"


def _stimuli(dataset: Dataset, part: str, stimuli: Stimuli, most: int | None) -> Iterator[str]:
    if not isinstance(stimuli, Stimuli):
        yield f"stimuli({part!r}) gives a {type(stimuli).__name__}; wanted fusiform.Stimuli"
        return
    yield from _refuses(f"stimuli({NOBODY!r})", "part", lambda: dataset.stimuli(NOBODY))
    if part == dataset.parts[0] and dataset.stimuli().ids != stimuli.ids:
        yield f"stimuli() gives other ids than stimuli({part!r}); the first part is the default"
    if stimuli.kind not in get_args(Kind):
        yield f"their kind is {stimuli.kind!r}; wanted one of {', '.join(get_args(Kind))}"
    if not len(stimuli):
        yield "the table of stimuli is empty; wanted one at least"
    if strange := [id for id in stimuli.table.index if not isinstance(id, str) or not id]:
        yield f"the id {strange[0]!r} is no string; ids must be strings that are not empty"
        return
    if dataset.stimuli(part).ids != stimuli.ids:
        yield "two calls of stimuli() give other ids, or another order"
    yield from _loaded(stimuli, most)


def _loaded(stimuli: Stimuli, most: int | None) -> Iterator[str]:
    """What is wrong with the stimuli themselves; every fault of one kind is said once, with the first id."""
    copied = _copied_loader(stimuli)
    if isinstance(copied, str):
        yield copied
        return
    for id in _spread(stimuli.ids, most):
        shown = _attempt(id, lambda id=id: stimuli.load(id))
        if isinstance(shown, Finding):
            yield f"{id!r} cannot be loaded: {shown.said}"
            return
        wanted = TYPES.get(stimuli.kind, object)
        if not isinstance(shown, wanted):
            yield f"{id!r} is loaded as {type(shown).__name__}; wanted {wanted.__name__}, for their kind is {stimuli.kind!r}"
            return
        if _print(shown) != _print(stimuli.load(id)):
            yield f"{id!r} differs when it is loaded a second time; load(id) must always give the same"
            return
    first = stimuli.ids[:1]
    if any(_print(stimuli.load(id)) != _print(copied(id)) for id in first):
        yield f"{first[0]!r} differs in a copy of the stimuli by pickle; the loader must not depend on its process"


def _copied_loader(stimuli: Stimuli) -> Any:
    try:
        return pickle.loads(pickle.dumps(stimuli.loader))
    except Exception as reason:
        return f"their loader cannot be pickled ({reason}); make it a function of a module or a method, not a lambda"


def _print(shown: Any) -> bytes:
    """A fingerprint of a stimulus, by which two readings are compared."""
    if isinstance(shown, Image.Image):
        return repr((shown.mode, shown.size)).encode() + shown.tobytes()
    if isinstance(shown, Recording):
        tracks = [(name, track.rate, track.start, track.values.tobytes()) for name, track in shown.tracks.items()]
        return repr((shown.duration, tracks, shown.words.to_dict("list"))).encode()
    return repr(shown).encode()


def _responses(
    dataset: Dataset, part: str, subject: str, stimuli: Stimuli, responses: Responses, most: int | None
) -> Iterator[str]:
    if not isinstance(responses, Responses):
        yield f"responses({subject!r}) gives a {type(responses).__name__}; wanted fusiform.Responses"
        return
    if not len(responses) or not responses.space.size:
        yield f"they have the shape {tuple(responses.values.shape)}; wanted one sample and one target at least"
        return
    yield from _samples(subject, stimuli, responses.samples)
    yield from _targets(responses)
    yield from _finite(responses)
    yield from _repeatable(dataset, part, subject, responses, most)
    yield from _regions(dataset, part, subject, responses, most)
    yield from _refuses(f"responses({NOBODY!r})", "subject", lambda: dataset.responses(NOBODY, part=part))
    wanted = _attempt("truth", lambda: _planted_rows(dataset, part, subject))
    if isinstance(wanted, Finding):
        yield f"truth({part!r}) raises: {wanted.said}"
    elif wanted not in (None, responses.space.size):
        yield f"truth({part!r}) has {wanted} rows of {subject!r}; wanted {responses.space.size}, one per target"


def _samples(subject: str, stimuli: Stimuli, samples: pd.DataFrame) -> Iterator[str]:
    shown = samples["stimulus"].astype(str)
    if strange := sorted(set(shown) - set(stimuli.ids)):
        yield f"{len(strange)} stimuli of the samples are not in the table of stimuli, such as {strange[0]!r}"
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
        yield f"the column `split` holds {strange[0]!r}; wanted {', '.join(SPLITS)}"
    held = set(shown[names == "test"])
    if "time" not in samples and (both := sorted(held & set(shown[names != "test"]))):
        yield f"{len(both)} stimuli of the test split are in another split too, such as {both[0]!r}; a test must be unseen"


def _targets(responses: Responses) -> Iterator[str]:
    targets = responses.space.targets
    place = [name for name in ("hemisphere", "vertex") if name in targets]
    if len(place) == 2 and "name" not in targets and targets.duplicated(place).any():
        yield f"vertex {targets[targets.duplicated(place)]['vertex'].iloc[0]} stands for two targets; wanted one each"
    if "hemisphere" in targets and (strange := sorted(set(targets["hemisphere"]) - {"left", "right"})):
        yield f"the hemisphere of a target is {strange[0]!r}; wanted 'left' or 'right'"
    if "name" in targets and targets["name"].duplicated().any():
        yield f"two targets have the name {targets['name'][targets['name'].duplicated()].iloc[0]!r}; wanted one each"


def _finite(responses: Responses) -> Iterator[str]:
    step = max(1, BLOCK // responses.space.size)
    bad, where = 0, (0, 0)
    for start in range(0, len(responses), step):
        wrong = np.argwhere(~np.isfinite(np.asarray(responses.values[start : start + step])))
        where = (start + int(wrong[0][0]), int(wrong[0][1])) if len(wrong) and not bad else where
        bad += len(wrong)
    if bad:
        name = responses.space.names[where[1]]
        yield f"{bad} values are NaN or infinite, the first in sample {where[0]}, target {name!r}; leave such targets out"


def _repeatable(dataset: Dataset, part: str, subject: str, responses: Responses, most: int | None) -> Iterator[str]:
    """Whether reading again gives the same, here and in a copy, whatever was done to what was handed out."""
    rows = np.array(_spread(range(len(responses)), most))
    before, samples = np.array(responses.values[rows]), responses.samples.copy(deep=True)
    if isinstance(responses.values, np.ndarray) and responses.values.flags.writeable:
        responses.values[rows] = before * 0
        again = dataset.responses(subject, part=part)
        changed = not np.array_equal(np.asarray(again.values[rows]), before, equal_nan=True)
        responses.values[rows] = before
        if changed:
            yield "changing what responses() handed out changes what it gives next; hand out a copy, or a read-only array"
            return
    copy = pickle.loads(pickle.dumps(dataset)).responses(subject, part=part)
    if not copy.samples.equals(samples):
        yield "two calls of responses() give other samples, or another order"
    elif not np.array_equal(np.asarray(copy.values[rows]), before, equal_nan=True):
        yield "two calls of responses() give other values; seed what is random"


def _regions(dataset: Dataset, part: str, subject: str, responses: Responses, most: int | None) -> Iterator[str]:
    """Whether one region is the columns of all that bear its name."""
    yield from _refuses(f"rois=[{NOBODY!r}]", "region", lambda: dataset.responses(subject, part=part, rois=[NOBODY]))
    if "roi" not in responses.space.targets:
        return
    roi = responses.space.column("roi")
    known = [name for name in dict.fromkeys(roi) if isinstance(name, str) and name]
    if not known:
        return
    chosen = dataset.responses(subject, part=part, rois=[known[-1]])
    rows, inside = np.array(_spread(range(len(responses)), most)), np.flatnonzero(roi == known[-1])
    if len(chosen) != len(responses) or not set(chosen.space.column("roi")) <= {known[-1]}:
        yield f"rois=[{known[-1]!r}] gives other samples, or targets of other regions"
    elif not np.array_equal(np.asarray(chosen.values[rows]), np.asarray(responses.values[rows])[:, inside], equal_nan=True):
        yield f"rois=[{known[-1]!r}] gives other values than the columns of all responses in {known[-1]!r}"


def _refuses(call: str, kind: str, action: Callable[[], Any]) -> Iterator[str]:
    try:
        action()
    except UnknownNameError:
        return
    except Exception as reason:
        yield f"{call} raises {type(reason).__name__}; wanted UnknownNameError, see fusiform.datasets.base.choose"
    else:
        yield f"{call} is taken though there is no such {kind}; wanted UnknownNameError, see fusiform.datasets.base.choose"


def _planted_rows(dataset: Dataset, part: str, subject: str) -> int | None:
    truth = dataset.truth(part)
    if truth is None:
        return None
    return int((truth["subject"] == subject).sum()) if "subject" in truth else len(truth)


def _spread(items: Sequence[Any], most: int | None) -> list[Any]:
    """At most `most` of them, from the first to the last."""
    if most is None or len(items) <= most:
        return list(items)
    places: NDArray[np.int64] = np.unique(np.linspace(0, len(items) - 1, most).round().astype(np.int64))
    return [items[place] for place in places.tolist()]


def _told(stimuli: Any) -> str:
    return f"{len(stimuli):,} of kind {stimuli.kind}" if isinstance(stimuli, Stimuli) else ""
