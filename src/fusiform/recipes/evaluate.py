"""Fit on some samples, predict the others: the one path that encoding and decoding, hold-out and folds all take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from fusiform.data import Space
from fusiform.models.folds import Split, splits
from fusiform.pairs import Direction, Pairs
from fusiform.scores import Scores, score

__all__ = ["Evaluation", "evaluate", "join", "layers_of", "splits_of"]

Fit = tuple[NDArray[np.floating], NDArray[np.floating]]  # predictions [M, Q], score within the training rows [Q]


@dataclass(frozen=True)
class Evaluation:
    """Held-out predictions of Q targets (responses when encoding, features when decoding).

    Args:
        rows: [M] samples of the pairs that were held out, in the order of the predictions.
        fold: [M] the split in which each was.
        true: [M, Q] what was to be predicted.
        level: [M, Q] mean of the training rows of that split: what a model that learned nothing would predict.
        pred: layer -> [M, Q] predictions from that layer.
        fit: layer -> [Q] score within the training rows (higher is better), averaged over splits. Held-out rows have no
            part in it, so layers may be chosen by it.
        best: [M, Q] predictions, for each split and target by the layer that fitted best there.
    """

    rows: NDArray[np.int64]
    fold: NDArray[np.int64]
    true: NDArray[np.floating]
    level: NDArray[np.floating]
    pred: Mapping[str, NDArray[np.floating]]
    fit: Mapping[str, NDArray[np.floating]]
    best: NDArray[np.floating]

    @property
    def chosen(self) -> NDArray[np.str_]:
        """[Q] the layer that fits each target best within training rows."""
        layers = np.asarray(list(self.fit), dtype=np.str_)
        return np.asarray(layers[np.stack(list(self.fit.values())).argmax(axis=0)])

    def score(
        self,
        metric: str = "pearson",
        *,
        pred: NDArray[np.floating] | None = None,
        groups: ArrayLike | None = None,
        ceiling: NDArray[np.floating] | None = None,
        space: Space | None = None,
    ) -> Scores:
        """Score predictions as deviations from each split's training mean; `best` unless others are given.

        The mean without a fold runs against that fold, so that over many folds even a model that has learned nothing
        would get a negative r. With one split this changes no correlation.
        """
        pred = self.best if pred is None else pred
        return score(self.true - self.level, pred - self.level, metric, groups=groups, ceiling=ceiling, space=space)


def evaluate(
    pairs: Pairs,
    direction: Direction,
    model: Any,
    folds: list[Split],
    *,
    layers: Mapping[str, Sequence[str]] | None = None,
    groups: ArrayLike | None = None,
    progress: bool = False,
) -> Evaluation:
    """Fit a fresh clone of a model per layer and split on the training rows, and predict the held-out ones.

    Args:
        pairs: features and responses. Decoding takes pairs with one layer.
        direction: `encode` or `decode`.
        model: a scikit-learn regressor, or a pipeline that ends in one, with `best_scores_` [Q] after fitting. Whatever
            standardises must be a step of it: then it learns from training rows only.
        folds: (training rows, held-out rows) each; no row is held out twice.
        layers: name -> features that are read together; every layer of `layers_of` on its own by default.
        groups: [N] labels for the model's own cross-validation (such as stimuli, whose repeats must stay together).
        progress: show a bar.
    """
    layers = layers_of(pairs) if layers is None else layers
    found: dict[str, list[Fit]] = {layer: [] for layer in layers}
    with tqdm(total=len(layers) * len(folds), desc=direction, unit="fit", disable=not progress) as bar:
        for layer, names in layers.items():
            X, Y = pairs.problem(direction, *names)
            for train, test in folds:
                found[layer].append(_fit_predict(model, X, Y, train, test, groups))
                bar.update()
    held = [test for _, test in folds]
    rows = np.concatenate(held)
    return Evaluation(
        rows=rows,
        fold=np.repeat(np.arange(len(held)), [len(test) for test in held]),
        true=Y[rows],
        level=np.concatenate([np.broadcast_to(Y[train].mean(0), (len(test), Y.shape[1])) for train, test in folds]),
        pred={layer: np.concatenate([pred for pred, _ in fits]) for layer, fits in found.items()},
        fit={layer: np.mean([fit for _, fit in fits], axis=0) for layer, fits in found.items()},
        best=np.concatenate([_best(fits) for fits in zip(*found.values(), strict=True)]),
    )


def join(parts: Sequence[Evaluation]) -> Evaluation:
    """Evaluations of the same layers and targets on different held-out rows, as one; folds are numbered on."""
    counts = np.cumsum([0, *(part.fold.max() + 1 for part in parts)])
    return Evaluation(
        rows=np.concatenate([part.rows for part in parts]),
        fold=np.concatenate([part.fold + count for part, count in zip(parts, counts, strict=False)]),
        true=np.concatenate([part.true for part in parts]),
        level=np.concatenate([part.level for part in parts]),
        pred={layer: np.concatenate([part.pred[layer] for part in parts]) for layer in parts[0].pred},
        fit={layer: np.mean([part.fit[layer] for part in parts], axis=0) for layer in parts[0].fit},
        best=np.concatenate([part.best for part in parts]),
    )


def layers_of(pairs: Pairs) -> dict[str, list[str]]:
    """Layer -> names of its features: a layer's local and global tokens (`name`, `name/global`) are read together."""
    layers: dict[str, list[str]] = {}
    for name in pairs.features:
        layers.setdefault(name.removesuffix("/global"), []).append(name)
    return layers


def splits_of(pairs: Pairs, folds: Any) -> list[Split]:
    """The dataset's own test split where it has one, else folds that keep the samples of a stimulus together.

    Args:
        pairs: with a column `split` in their samples, or without.
        folds: whatever `models.folds.splits` takes; it gets the stimuli as groups.
    """
    split = pairs.samples.get("split")
    if split is not None and (split == "test").any():
        test = (split == "test").to_numpy()
        return [(np.flatnonzero(~test), np.flatnonzero(test))]
    return splits(folds, len(pairs), pairs.samples["stimulus"].to_numpy())


def _fit_predict(
    model: Any,
    X: NDArray[Any],
    Y: NDArray[Any],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    groups: ArrayLike | None,
) -> Fit:
    from sklearn.base import clone
    from sklearn.pipeline import Pipeline

    fresh = clone(model)
    name, last = fresh.steps[-1] if isinstance(fresh, Pipeline) else ("", fresh)
    extra = {} if groups is None else {f"{name}__groups" if name else "groups": np.asarray(groups)[train]}
    fresh.fit(X[train], Y[train], **extra)
    return fresh.predict(X[test]), last.best_scores_


def _best(fits: tuple[Fit, ...]) -> NDArray[np.floating]:
    """[M, Q] each target's prediction by the layer with its highest score within the training rows."""
    chosen = np.stack([fit for _, fit in fits]).argmax(axis=0)  # [Q]
    stacked = np.stack([pred for pred, _ in fits])  # [L, M, Q]
    return np.asarray(np.take_along_axis(stacked, chosen[None, None], axis=0)[0])
