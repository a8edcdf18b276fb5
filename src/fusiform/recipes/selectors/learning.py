"""The training of a selector within a run: its arguments, the folds, and what it then says of every target."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.errors import SettingsError
from fusiform.models.selection import channel_weights, selections
from fusiform.models.subjects import places_of
from fusiform.pairs import Pairs
from fusiform.recipes.evaluate import Evaluation
from fusiform.recipes.selectors.participants import Participant
from fusiform.registry import did_you_mean, find

__all__ = ["Chosen", "arguments_of", "learn", "reads_layers"]

CLUSTERS = 20  # of targets, by their channel weights, as published
HELD = 10  # one stimulus of so many is for validation where the data have no such split


@dataclass(frozen=True)
class Chosen:
    """What a network predicted of one subject, and what each target reads.

    Args:
        result: the predictions, as of one layer called after the model.
        table: a row per target, as `models.selection.selections` gives it; of the first fold.
        model: that of the first fold.
        subject: its name.
    """

    result: Evaluation
    table: pd.DataFrame
    model: Any
    subject: str

    @property
    def weights(self) -> NDArray[np.float32]:
        """[V, D] mixture of the bottleneck's channels that each target reads; of the first fold."""
        return channel_weights(self.model, self.subject)


def reads_layers(model: str) -> bool:
    """Whether a model takes all layers together, by name, and not a matrix."""
    return bool(getattr(find("model", model), "reads_layers", False))


def arguments_of(model: str, given: Mapping[str, Any] | None, seed: int, device: str) -> dict[str, Any]:
    """What a model is made with.

    Raises:
        SettingsError: it takes no argument of a name that was given.
    """
    known = inspect.signature(find("model", model)).parameters
    arguments = {"seed": seed, "device": device, "progress": True, **(given or {})}
    if wrong := [name for name in arguments if name not in known]:
        near = did_you_mean(wrong[0], known)
        raise SettingsError(f"model {model!r} takes no argument {wrong[0]!r}{near}; it takes: {', '.join(known)}")
    return arguments


def learn(
    folder: Path,
    model: str,
    participants: Sequence[Participant],
    arguments: Mapping[str, Any],
    *,
    shuffle: int | None = None,
) -> list[Chosen]:
    """Train on the training rows of each split, all subjects together, and predict the others.

    Args:
        folder: of the checkpoints.
        model: its name.
        participants: one or several subjects.
        arguments: of the model.
        shuffle: a seed by which the targets of a subject exchange their coordinates: a control.
    """
    places = {one.subject: places_of(one.pairs.space) for one in participants}
    if shuffle is not None:
        places = {name: np.random.default_rng(shuffle).permutation(own) for name, own in places.items()}
    make = partial(find("model", model), coordinates=places, **arguments)
    folds = range(len(participants[0].splits))
    fitted = [_fitted(make(folder=folder / f"fold{number}"), participants, number) for number in folds]
    tables = _tables(fitted[0], participants)
    return [
        Chosen(_evaluation(model, fitted, one), table, fitted[0], one.subject)
        for one, table in zip(participants, tables, strict=True)
    ]


def _fitted(model: Any, participants: Sequence[Participant], number: int) -> Any:
    """The model after one split, stopped by validation rows among those that it may see."""
    seen = {one.subject: one.pairs.select(one.splits[number][0]) for one in participants}
    return model.fit(seen, validation={name: _validation(pairs) for name, pairs in seen.items()})


def _validation(pairs: Pairs) -> NDArray[np.bool_] | None:
    """One stimulus of ten; None where the pairs have a validation split of their own, or too few stimuli."""
    split = pairs.samples.get("split")
    if split is not None and (split == "val").any():
        return None
    stimulus, _ = pd.factorize(pairs.samples["stimulus"])
    held = np.asarray(stimulus % HELD == HELD - 1)
    return held if held.any() else None


def _tables(model: Any, participants: Sequence[Participant]) -> list[pd.DataFrame]:
    """What the targets of each subject read; clusters are those of all subjects together."""
    whole = selections(model, CLUSTERS).drop(columns="subject", errors="ignore")
    ends = np.cumsum([one.pairs.space.size for one in participants])
    return [whole.iloc[rows].reset_index(drop=True) for rows in np.split(np.arange(len(whole)), ends[:-1])]


def _evaluation(name: str, fitted: Sequence[Any], participant: Participant) -> Evaluation:
    subject, pairs, splits = participant.subject, participant.pairs, participant.splits
    held = [test for _, test in splits]
    pred = np.concatenate(
        [model.predict({subject: pairs.select(test)})[subject] for model, test in zip(fitted, held, strict=True)]
    )
    values = np.asarray(pairs.responses)
    level = [np.broadcast_to(values[train].mean(0), (len(test), values.shape[1])) for train, test in splits]
    return Evaluation(
        rows=np.concatenate(held),
        fold=np.repeat(np.arange(len(held)), [len(test) for test in held]),
        true=values[np.concatenate(held)],
        level=np.concatenate(level),
        pred={name: pred},
        fit={name: np.zeros(values.shape[1])},
        best=pred,
    )
