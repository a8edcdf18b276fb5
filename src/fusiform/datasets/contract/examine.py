"""A whole dataset, looked at thing by thing."""

import pickle
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from fusiform.data import Responses, Stimuli
from fusiform.datasets.base import Card, Dataset
from fusiform.datasets.contract.finding import Finding, attempt, findings
from fusiform.datasets.contract.measured import responses_wrong
from fusiform.datasets.contract.shown import stimuli_wrong, told

__all__ = ["examine"]


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
        stimuli = attempt(f"stimuli of {part!r}", partial(dataset.stimuli, part))
        if isinstance(stimuli, Finding):
            yield stimuli
            continue
        yield from findings(f"stimuli of {part!r}", stimuli_wrong(dataset, part, stimuli, most), told(stimuli))
        for subject in dataset.subjects if subjects is None else subjects:
            yield from _subject(dataset, part, subject, stimuli, most)


def _subject(dataset: Dataset, part: str, subject: str, stimuli: Stimuli, most: int | None) -> Iterator[Finding]:
    about = f"responses of {subject!r} to {part!r}"
    responses = attempt(about, lambda: dataset.responses(subject, part=part))
    if isinstance(responses, Finding):
        yield responses
        return
    told = f"{len(responses):,} samples of {responses.space.size:,} targets" if isinstance(responses, Responses) else ""
    yield from findings(about, responses_wrong(dataset, part, subject, stimuli, responses, most), told)


def _form(dataset: Any) -> list[Finding]:
    """What is wrong before anything is read."""
    name, card = getattr(dataset, "name", None), getattr(dataset, "card", None)
    wrong = {
        f"`name` is {name!r}; wanted a string that is not empty: give it one": not (isinstance(name, str) and name),
        f"`card` is {card!r}; wanted a fusiform.datasets.Card: give it one": not isinstance(card, Card),
        **{
            f"`{which}` is {named!r}; wanted a tuple of different names: give one at least": not _are_names(named)
            for which in ("subjects", "parts")
            for named in [getattr(dataset, which, None)]
        },
        **{
            f"there is no method {method}(...); write it": not callable(getattr(dataset, method, None))
            for method in ("stimuli", "responses", "truth")
        },
    }
    complaints = [sentence for sentence, is_wrong in wrong.items() if is_wrong]
    if not complaints:
        complaints = list(_pickled(dataset))
    return findings("form", iter(complaints), "" if complaints else _counted(dataset))


def _counted(dataset: Dataset) -> str:
    subjects, parts = len(dataset.subjects), len(dataset.parts)
    return f"{subjects} subject{'s' * (subjects > 1)}, {parts} part{'s' * (parts > 1)} ({', '.join(dataset.parts)})"


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
            yield f"its copy by pickle is {copy.name!r} with the subjects {copy.subjects!r}; wanted its own: keep them"
