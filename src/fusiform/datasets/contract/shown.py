"""What stimuli promise: ids that are unique and load, the same each time and everywhere."""

import pickle
from collections.abc import Iterator
from functools import partial
from typing import Any, get_args

from PIL import Image

from fusiform.data import Kind, Recording, Stimuli
from fusiform.datasets.base import Dataset
from fusiform.datasets.contract.finding import NOBODY, Finding, attempt, refuses, spread_out

__all__ = ["stimuli_wrong", "told"]

TYPES: dict[str, type] = {"image": Image.Image, "text": str, "recording": Recording}


def stimuli_wrong(dataset: Dataset, part: str, stimuli: Stimuli, most: int | None) -> Iterator[str]:
    """All that is wrong with the stimuli of one part, a sentence each."""
    if not isinstance(stimuli, Stimuli):
        yield f"stimuli({part!r}) gives a {type(stimuli).__name__}; wanted fusiform.Stimuli: return one"
        return
    yield from refuses(f"stimuli({NOBODY!r})", "part", lambda: dataset.stimuli(NOBODY))
    if part == dataset.parts[0] and dataset.stimuli().ids != stimuli.ids:
        yield f"stimuli() gives other ids than stimuli({part!r}); the first part is the default"
    if stimuli.kind not in get_args(Kind):
        yield f"their kind is {stimuli.kind!r}; wanted one of {', '.join(get_args(Kind))}"
    if not len(stimuli):
        yield "the table of stimuli is empty; wanted one at least: check what was read"
    if strange := [id for id in stimuli.table.index if not isinstance(id, str) or not id]:
        yield f"the id {strange[0]!r} is no string; ids must be strings that are not empty"
        return
    if dataset.stimuli(part).ids != stimuli.ids:
        yield "two calls of stimuli() give other ids, or another order; sort what is listed"
    yield from _loaded(stimuli, most)


def _loaded(stimuli: Stimuli, most: int | None) -> Iterator[str]:
    """What is wrong with the stimuli themselves; every fault of one kind is said once, with the first id."""
    copied = _copied_loader(stimuli)
    if isinstance(copied, str):
        yield copied
        return
    for id in spread_out(stimuli.ids, most):
        shown = attempt(id, partial(stimuli.load, id))
        if isinstance(shown, Finding):
            yield f"{id!r} cannot be loaded: {shown.said}"
            return
        wanted = TYPES.get(stimuli.kind, object)
        if not isinstance(shown, wanted):
            yield f"{id!r} is loaded as {type(shown).__name__}; wanted {wanted.__name__} for the kind {stimuli.kind!r}"
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
        return repr((shown.duration, tracks, shown.words.to_dict("list"), shown.video, shown.sound)).encode()
    return repr(shown).encode()


def told(stimuli: Any) -> str:
    """Number and kind of stimuli that are well."""
    return f"{len(stimuli):,} of kind {stimuli.kind}" if isinstance(stimuli, Stimuli) else ""
