"""Which layers of a network does the face area of the human brain resemble? A curve over MobileNetV2, and its picture.

    python examples/face_area.py face-area.png

115 grey pictures and the group's responses in FFA and VWFA (Kay & Yeatman 2017). Every layer is averaged over its grid;
ridge predicts each region from it in ten folds that were drawn at random; r is that of all held-out predictions. Since
115 pictures are few, this is done for several draws of the folds, and r averaged.
"""

import sys
from collections.abc import Sequence

import numpy as np
from mobilenet_v2 import MobileNetV2
from numpy.typing import NDArray
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fusiform as ff
from fusiform.plots.charts import lines

LAYERS = ("conv0", *(f"block{number}" for number in range(1, 18)), "conv18")


def curve(layers: Sequence[str] = LAYERS, draws: int = 5) -> dict[str, NDArray[np.float64]]:
    """Name of a layer, or `pixels` -> [2] mean r of FFA and VWFA; and `permuted`, where pictures are exchanged."""
    brain = ff.load_dataset("kay2017")
    responses = brain.responses("group", rois=["FFA", "VWFA"])
    pixels = ff.extract(brain.stimuli(), ff.load_backbone("pixels", size=20, colour=False))
    network = ff.extract(brain.stimuli(), MobileNetV2(), reduce="mean")
    found = {"pixels": _r(*ff.pair(pixels, responses).problem("encode"), draws)}
    for layer in layers:
        X, Y = ff.pair(network.select(layer), responses).problem("encode")
        found[layer] = _r(X, Y, draws)
    order = np.random.default_rng(0).permutation(len(Y))
    return {**found, "permuted": _r(X, Y[order], draws)}


def _r(X: NDArray[np.floating], Y: NDArray[np.floating], draws: int) -> NDArray[np.float64]:
    """Mean over draws of the r of held-out predictions, [V]."""
    model = make_pipeline(StandardScaler(), ff.RidgeCV(cv="loo"))
    flat = X.reshape(len(X), -1)
    folds = [KFold(10, shuffle=True, random_state=draw) for draw in range(draws)]
    return np.asarray(np.mean([ff.score(Y, ff.cross_predict(model, flat, Y, cv)).values for cv in folds], axis=0))


if __name__ == "__main__":
    found = curve()
    for name, (face, word) in found.items():
        print(f"{name:9} FFA {face:5.2f}  VWFA {word:5.2f}")
    shown = [name for name in found if name != "permuted"]
    values = {"VWFA (words)": [found[name][1] for name in shown], "FFA (faces)": [found[name][0] for name in shown]}
    figure = lines(values, shown, y="r, held out", title="The face area follows the middle-late layers")
    figure.savefig(sys.argv[1], dpi=150)
