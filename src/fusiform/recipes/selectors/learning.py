"""The training of a selector within a run: its arguments, the folds, and what it then says of every target."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.errors import SettingsError
from fusiform.models.folds import Split
from fusiform.models.selection import selections
from fusiform.models.subjects import places_of
from fusiform.pairs import Pairs
from fusiform.recipes.evaluate import Evaluation
from fusiform.registry import did_you_mean, find

__all__ = ["Chosen", "arguments_of", "learn", "reads_layers"]

CLUSTERS = 20  # of targets, by their channel weights, as published
HELD = 10  # one stimulus of so many is for validation where the data have no such split


@dataclass(frozen=True)
class Chosen:
    """What a network predicted, and what each target reads.

    Args:
        result: the predictions, as of one layer called after the model.
        table: a row per target, as `models.selection.selections` gives it; of the first fold.
        model: that of the first fold.
    """

    result: Evaluation
    table: pd.DataFrame
    model: Any


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
    pairs: Pairs,
    splits: list[Split],
    arguments: Mapping[str, Any],
    *,
    shuffle: int | None = None,
) -> Chosen:
    """Train on each split's training rows and predict the others.

    Args:
        folder: of the checkpoints.
        model: its name.
        pairs: with the coordinates of their targets.
        splits: (training rows, held-out rows) each.
        arguments: of the model.
        shuffle: a seed by which targets exchange their coordinates: a control.
    """
    places = places_of(pairs.space)
    if shuffle is not None:
        places = np.random.default_rng(shuffle).permutation(places)
    fitted = [
        _fitted(
            find("model", model)(coordinates=places, folder=folder / f"fold{number}", **arguments), pairs.select(train)
        )
        for number, (train, _) in enumerate(splits)
    ]
    pred = np.concatenate([one.predict(pairs.select(test)) for one, (_, test) in zip(fitted, splits, strict=True)])
    return Chosen(_evaluation(model, pairs, splits, pred), selections(fitted[0], CLUSTERS), fitted[0])


def _fitted(model: Any, pairs: Pairs) -> Any:
    """The model, stopped by the validation split, or by one stimulus of ten where there is none."""
    split = pairs.samples.get("split")
    if split is not None and (split == "val").any():
        return model.fit(pairs)
    stimulus, _ = pd.factorize(pairs.samples["stimulus"])
    held = stimulus % HELD == HELD - 1
    return model.fit(pairs, validation=held if held.any() else None)


def _evaluation(name: str, pairs: Pairs, splits: list[Split], pred: NDArray[np.floating]) -> Evaluation:
    values, held = np.asarray(pairs.responses), [test for _, test in splits]
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
