"""Reading a network: which of its layers does each vertex of a simulated brain read?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusiform.data import Space
from fusiform.datasets import load_dataset
from fusiform.pairs import pair
from fusiform.recipes.ceilings import ceiling_of
from fusiform.recipes.evaluate import evaluate, splits_of
from fusiform.recipes.outcome import layer_truth, reliable
from fusiform.recipes.steps import averaged, regressor
from fusiform.scores import Scores

__all__ = ["Network", "read"]

PICTURES, VERTICES = 3000, 8000


@dataclass(frozen=True)
class Network:
    """Layers found by ridge, beside those that were planted.

    Args:
        space: V vertices.
        layers: L names, from early to late.
        planted: [V] position of the planted layer.
        found: [V] position of the layer with the least error within training rows.
        scores: [V] r on test pictures from the layer found, with its ceiling.
        r: [L, V] from each layer.
        recovered: share of planted layers that were found, as `outcome.layer_truth` tells it.
        sheet: some of the pictures, [64, 64, 3] in [0, 1].
    """

    space: Space
    layers: list[str]
    planted: NDArray[np.int64]
    found: NDArray[np.int64]
    scores: Scores
    r: NDArray[np.float64]
    recovered: dict[str, float]
    sheet: list[NDArray[np.float64]]

    @property
    def right_layer_r(self) -> float:
        """Mean r of the planted layer, over reliable vertices."""
        among = reliable(self.scores)
        return float(self.r[self.planted, np.arange(self.r.shape[1])][among].mean())

    @property
    def wrong_layer_r(self) -> float:
        """Mean r of all other layers, over reliable vertices."""
        among = reliable(self.scores)
        wrong = np.arange(len(self.layers))[:, None] != self.planted
        return float(self.r[:, among][wrong[:, among]].mean())


def read(pictures: int = PICTURES, vertices: int = VERTICES, progress: bool = False) -> Network:
    """Fit ridge from each layer, choose each vertex's layer within training rows, and look at the truth at the end.

    Args:
        pictures: number of pictures, in all splits.
        vertices: of the mesh.
        progress: show bars.
    """
    from fusiform.features.baselines.image import Planted
    from fusiform.features.extract import extract

    brain = load_dataset("simulated", pictures=pictures, vertices=vertices)
    stimuli, trials = brain.stimuli(), brain.responses(brain.subjects[0])
    pairs = pair(extract(stimuli, Planted(), progress=progress), averaged(trials))
    model = regressor("ridge", pairs, gap=0, device="cpu", model_args=None)
    result = evaluate(pairs, "encode", model, splits_of(pairs, 5), progress=progress)
    layers = list(result.pred)
    scores = result.score(ceiling=ceiling_of(trials, pairs.samples.iloc[result.rows]), space=pairs.space)
    truth = brain.truth()
    assert truth is not None
    planted = truth.loc[truth["subject"] == brain.subjects[0], "layer"].to_numpy()
    return Network(
        space=pairs.space,
        layers=layers,
        planted=np.array([layers.index(layer) for layer in planted]),
        found=np.array([layers.index(layer) for layer in result.chosen]),
        scores=scores,
        r=np.stack([result.score(pred=pred).values for pred in result.pred.values()]),
        recovered=layer_truth(planted, result.chosen, scores),
        sheet=[np.asarray(stimuli.load(id)) / 255 for id in stimuli.ids[:12]],
    )
