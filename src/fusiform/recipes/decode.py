"""Decoding: from responses to features of what was shown, and to what it was."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiform.checking import at_least
from fusiform.errors import SettingsError
from fusiform.pairs import Pairs
from fusiform.recipes.evaluate import Evaluation, evaluate, layers_of
from fusiform.recipes.outcome import Stopwatch, headline, publish, save, shuffled_r
from fusiform.recipes.recipe import recipe
from fusiform.recipes.run import Run
from fusiform.recipes.sections import decoding_sections
from fusiform.recipes.settings import Brain, Learning, Network
from fusiform.recipes.steps import folds_of, material, regressor, repeated_stimuli
from fusiform.registry import did_you_mean, find
from fusiform.scores import Retrieval, retrieval

__all__ = ["decode", "identify"]


@recipe
def decode(
    run: Run, brain: Brain, network: Network, *, layer: str | None = None, learning: Learning, folds: int = 10
) -> dict[str, Any]:
    """Predict features of what was shown from the responses, and find it among the others.

    The same pairs as in encoding, read backwards. Held out are the dataset's test split, or whole stimuli in folds.

    Parameters
    ----------
    rois
        regions to read (default: all)
    backbone
        name of the network whose features are predicted, or module:Class of your own
    layer
        of the network (default: its only one)
    folds
        number of folds where the dataset has no test split
    """
    at_least(0, seed=learning.seed)
    at_least(2, folds=folds)
    find("model", learning.model)  # a mistyped name should not cost the time until it is needed
    watch = Stopwatch()
    found = material(brain, network)
    watch.lap("features")
    pairs = one_layer(still(found.pairs), layer)
    about = {"dataset": brain.dataset, "subject": found.subject, "features": found.features}
    learner = regressor(learning.model, pairs, gap=0, device=network.device, model_args=learning.model_args)
    splits, groups = folds_of(pairs, folds, gap=0), repeated_stimuli(pairs)
    result = evaluate(pairs, "decode", learner, splits, groups=groups, progress=True)
    watch.lap("fit")
    title = f"Decoding: {brain.dataset}, {found.subject}, to {network.backbone}"
    return {**about, **_tell(run, title, pairs, result, learning.seed, watch)}


def _tell(run: Run, title: str, pairs: Pairs, result: Evaluation, seed: int, watch: Stopwatch) -> dict[str, Any]:
    """Score, look for what was seen, save and show it."""
    scores = result.score()
    summary = {
        "scores": headline(scores),
        "retrieval": identify(pairs, result).summary(),
        "controls": {"shuffled_r": shuffled_r(result, scores, False, None, seed)},
        "seconds": watch.seconds,
    }
    save(run, result, scores, "pearson", None)
    publish(run, title, decoding_sections(summary, result, scores, pictures_of(pairs, result)))
    return summary


def still(pairs: Pairs) -> Pairs:
    """The pairs, if their stimuli do not unfold in time.

    Raises:
        SettingsError: they do, and there is no gallery to look for a moment in.
    """
    if "time" in pairs.samples:
        raise SettingsError(
            "decoding finds one stimulus among others, and these samples are moments of a recording; use encode"
        )
    return pairs


def one_layer(pairs: Pairs, layer: str | None) -> Pairs:
    """The pairs of one layer, the only one unless it is named.

    Raises:
        SettingsError: there are several and none was named, or the one named does not exist.
    """
    layers = layers_of(pairs)
    if layer is None and len(layers) > 1:
        raise SettingsError(f"decoding predicts one layer; choose --layer among: {', '.join(layers)}")
    name = layer or next(iter(layers))
    if name not in layers:
        raise SettingsError(f"no layer {name!r}{did_you_mean(name, layers)}; there are: {', '.join(layers)}")
    return replace(pairs, features={part: pairs.features[part] for part in layers[name]})


def identify(pairs: Pairs, result: Evaluation) -> Retrieval:
    """Each prediction among the features of all held-out stimuli, and each of those among the predictions.

    Both are read as deviations, predictions from the training mean, features from the gallery's: what all pictures
    have in common tells none from another.
    """
    stimulus = pairs.samples["stimulus"].to_numpy()[result.rows]
    _, first, shown = np.unique(stimulus, return_index=True, return_inverse=True)
    gallery: NDArray[np.floating] = result.true[first]
    return retrieval(result.best - result.level, gallery - gallery.mean(0), shown)


def pictures_of(pairs: Pairs, result: Evaluation, count: int = 10) -> dict[str, list[NDArray[np.floating]]] | None:
    """The first held-out features and their predictions as pictures [H, W(, 3)], if that is what they are."""
    shape = next(iter(pairs.features.values())).shape[1:]  # [C, H, W] of pictures
    if len(pairs.features) > 1 or len(shape) != 3 or shape[0] not in (1, 3):
        return None
    _, first = np.unique(pairs.samples["stimulus"].to_numpy()[result.rows], return_index=True)
    rows = {"seen": result.true, "decoded": result.best}
    return {name: [_as_picture(values[row].reshape(shape)) for row in first[:count]] for name, values in rows.items()}


def _as_picture(channels: NDArray[np.floating]) -> NDArray[np.floating]:
    """[C, H, W] to [H, W] or [H, W, 3] in [0, 1]."""
    return channels[0] if len(channels) == 1 else np.moveaxis(channels, 0, -1).clip(0, 1)
