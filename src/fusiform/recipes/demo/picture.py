"""Seeing a picture: patches of light to voxels of V1 and back, for pictures that the model never saw."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import LeaveOneGroupOut
from tqdm import tqdm

from fusiform.data import Features
from fusiform.datasets import load_dataset
from fusiform.pairs import Direction, Pairs, pair
from fusiform.recipes.evaluate import Evaluation, evaluate, splits_of
from fusiform.recipes.steps import one_thread, regressor, repeated_stimuli
from fusiform.scores import Retrieval, correlation_matrix, retrieval

__all__ = ["Picture", "look"]

PERMUTATIONS = 20


@dataclass(frozen=True)
class Picture:
    """Encoding and decoding of I pictures with one left out at a time.

    Args:
        names: I pictures.
        pictures: [I, 10, 10] as shown.
        reconstructed: [I, 10, 10] mean over repeats of what was decoded.
        encoding_r: [V] per voxel.
        permuted_r: [K] mean encoding r with pictures exchanged.
        reconstruction_r: [N] per block, correlation of the decoded with the shown picture.
        mean_picture_r: [N] the same for the mean of the training pictures: what all pictures share.
        found: identification of the unseen picture among all.
        confusion: [I, I] how often each shown picture (row) was taken for each (column), as a share.
    """

    names: list[str]
    pictures: NDArray[np.floating]
    reconstructed: NDArray[np.floating]
    encoding_r: NDArray[np.float64]
    permuted_r: NDArray[np.float64]
    reconstruction_r: NDArray[np.float64]
    mean_picture_r: NDArray[np.float64]
    found: Retrieval
    confusion: NDArray[np.float64]


def look(progress: bool = False) -> Picture:
    """Leave each picture out in turn, with all its repeats; voxels and patches are predicted by one code path."""
    with one_thread():
        return _look(progress)


def _look(progress: bool) -> Picture:
    features, pairs = _pairs()
    shown = pairs.samples["stimulus"].map({id: row for row, id in enumerate(features.index["stimulus"])}).to_numpy()
    encoded, decoded = (_leave_one_out(pairs, direction) for direction in ("encode", "decode"))
    shown_then = shown[decoded.rows]
    gallery = np.asarray(features.arrays["pixels"]).reshape(len(features), -1)
    found = retrieval(decoded.best - decoded.level, gallery - gallery.mean(0), shown_then)
    return Picture(
        names=list(features.index["stimulus"]),
        pictures=gallery.reshape(-1, 10, 10),
        reconstructed=np.stack([decoded.best[shown_then == row].mean(0) for row in range(len(gallery))]).reshape(
            -1, 10, 10
        ),
        encoding_r=encoded.score().values,
        permuted_r=_permuted(features, pairs, progress),
        reconstruction_r=np.diag(correlation_matrix(decoded.best, decoded.true)),
        mean_picture_r=np.diag(correlation_matrix(decoded.level, decoded.true)),
        found=found,
        confusion=_confusion(shown_then, found.similarity.argmax(1), len(gallery)),
    )


def _pairs() -> tuple[Features, Pairs]:
    from fusiform.features.baselines.image import Pixels
    from fusiform.features.extract import extract

    miyawaki = load_dataset("miyawaki2008")
    features = extract(miyawaki.stimuli(), Pixels(size=10, colour=False))
    return features, pair(features, miyawaki.responses(miyawaki.subjects[0]))


def _leave_one_out(pairs: Pairs, direction: Direction) -> Evaluation:
    # its own folds leave one out too; ten pictures are too few to choose an alpha for every target
    model = regressor("ridge", pairs, gap=0, device="cpu", model_args={"cv": "runs", "alpha_per_target": False})
    return evaluate(pairs, direction, model, splits_of(pairs, LeaveOneGroupOut()), groups=repeated_stimuli(pairs))


def _permuted(features: Features, pairs: Pairs, progress: bool) -> NDArray[np.float64]:
    """[K] mean encoding r when every picture stands for another: chance, by the same pipeline."""
    rng = np.random.default_rng(0)
    means = []
    for _ in tqdm(range(PERMUTATIONS), desc="exchanged pictures", disable=not progress):
        order = rng.permutation(len(features))
        views = {name: replace(view, index=order[view.index]) for name, view in pairs.features.items()}
        means.append(_leave_one_out(replace(pairs, features=views), "encode").score().values.mean())
    return np.array(means)


def _confusion(shown: NDArray[Any], taken: NDArray[Any], count: int) -> NDArray[np.float64]:
    table = np.zeros((count, count))
    np.add.at(table, (shown, taken), 1)
    return np.asarray(table / table.sum(1, keepdims=True))
