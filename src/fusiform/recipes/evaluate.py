"""Fit on some samples, predict the others: the one path that encoding and decoding, hold-out and folds all take."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fusiform.errors import DataError
from fusiform.pairs import Direction, Pairs

__all__ = ["Evaluation", "Splits", "evaluate", "splits_of"]

Splits = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


@dataclass(frozen=True)
class Evaluation:
    """Held-out predictions of Q targets (responses when encoding, features when decoding).

    Args:
        rows: [M] samples of the pairs that were held out at some time, in the order of the predictions.
        fold: [M] the split in which each was.
        true: [M, Q] what was to be predicted.
        pred: layer -> [M, Q] predictions from that layer.
        fit: layer -> [Q] score within the training rows (higher is better), averaged over splits; test rows have no
            part in it, so layers may be chosen by it.
        best: [M, Q] predictions, for each split and target from the layer that fitted best there.
    """

    rows: NDArray[np.int64]
    fold: NDArray[np.int64]
    true: NDArray[np.floating]
    pred: Mapping[str, NDArray[np.floating]]
    fit: Mapping[str, NDArray[np.floating]]
    best: NDArray[np.floating]

    @property
    def chosen(self) -> NDArray[np.int64]:
        """[Q] position of the layer that fits each target best within training rows."""
        return np.asarray(np.stack(list(self.fit.values())).argmax(axis=0))


def evaluate(
    pairs: Pairs, direction: Direction, model: Any, splits: Splits, *, progress: bool = False, groups: Any = None
) -> Evaluation:
    """Fit a fresh clone of a model per split and layer on the training rows, and predict the others.

    Args:
        pairs: every layer among their features is read on its own. Decoding takes one layer.
        direction: `encode` or `decode`.
        model: a scikit-learn regressor whose last step has `best_scores_` [Q] after fitting. What standardises must
            be a step of it, so that it is fitted on training rows only.
        splits: (training rows, held-out rows) each; no row is held out twice.
        progress: show a bar over splits and layers.
        groups: [N] labels handed to the model's own cross-validation (such as the stimulus), or None.
    """
    layers = list(pairs.features)
    held = [test for _, test in splits]
    bar = tqdm(total=len(splits) * len(layers), desc=direction, unit="fit", disable=not progress)
    outcomes: list[dict[str, tuple[Any, Any]]] = [{} for _ in splits]
    for layer in layers:
        X, Y = pairs.problem(direction, layer)
        for outcome, (train, test) in zip(outcomes, splits, strict=True):
            outcome[layer] = _fit_predict(model, X, Y, train, test, groups)
            bar.update()
    bar.close()
    rows = np.concatenate(held)
    return Evaluation(
        rows=rows,
        fold=np.repeat(np.arange(len(held)), [len(test) for test in held]),
        true=Y[rows],
        pred={layer: np.concatenate([outcome[layer][0] for outcome in outcomes]) for layer in layers},
        fit={layer: np.mean([outcome[layer][1] for outcome in outcomes], axis=0) for layer in layers},
        best=np.concatenate([_best(outcome) for outcome in outcomes]),
    )


def splits_of(pairs: Pairs, folds: Any) -> Splits:
    """The dataset's own test split where it has one, else folds.

    Args:
        pairs: with a column `split` in their samples, or without.
        folds: a scikit-learn splitter, which keeps the samples of one stimulus together where it takes groups.
    """
    split = pairs.samples.get("split")
    if split is not None and (split == "test").any():
        return [(np.flatnonzero(split != "test"), np.flatnonzero(split == "test"))]
    stimulus = pairs.samples["stimulus"].to_numpy()
    splits = [(np.asarray(a), np.asarray(b)) for a, b in folds.split(stimulus, groups=stimulus)]
    return _check_once(splits)


def _check_once(splits: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> Splits:
    splits = list(splits)
    rows = np.concatenate([test for _, test in splits])
    if len(np.unique(rows)) != len(rows):
        raise DataError("a sample is held out in more than one fold; use a splitter that partitions the samples")
    return splits


def _fit_predict(model: Any, X: Any, Y: Any, train: Any, test: Any, groups: Any) -> tuple[Any, Any]:
    from sklearn.base import clone

    fresh = clone(model)
    last = fresh.steps[-1] if hasattr(fresh, "steps") else None
    extra = {} if groups is None else {f"{last[0]}__groups" if last else "groups": np.asarray(groups)[train]}
    fresh.fit(X[train], Y[train], **extra)
    return fresh.predict(X[test]), (last[1] if last else fresh).best_scores_


def _best(outcome: Mapping[str, tuple[Any, Any]]) -> NDArray[np.floating]:
    """[M, Q] each target's prediction by the layer with its highest score within the training rows."""
    chosen = np.stack([fit for _, fit in outcome.values()]).argmax(axis=0)  # [Q]
    stacked = np.stack([pred for pred, _ in outcome.values()])  # [L, M, Q]
    return np.asarray(np.take_along_axis(stacked, chosen[None, None], axis=0)[0])
