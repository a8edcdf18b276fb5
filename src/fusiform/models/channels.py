"""The channels that some targets read most, as maps over pictures.

Yang, Gee & Shi 2023, "Brain Decodes Deep Nets" (arXiv:2312.01280), show so what a region sees in a picture.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from fusiform.errors import DataError, UnknownNameError
from fusiform.models.subjects import check_layers, read_views, token_shapes
from fusiform.registry import unknown

__all__ = ["channel_maps", "principal_channels"]

BLOCK = 1 << 22  # numbers of tokens that are mixed together


def principal_channels(weights: ArrayLike, count: int = 3) -> NDArray[np.float64]:
    """Mixtures of channels that some targets share: the largest principal components of their weights.

    Weights are not centred, so that what all of the targets read comes first. Of each component the sign is such that
    the targets' mean weight on it is positive: where it is large, they answer more.

    Args:
        weights: [V, D], as `selection.channel_weights` gives them, or some of its rows.
        count: of components, C.

    Returns:
        [D, C] of unit length and at right angles, the largest first; zero where there are not as many.

    Raises:
        DataError: there is no target, or weights are no finite [V, D].
    """
    rows = np.asarray(weights, dtype=np.float64)
    if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        raise DataError(
            f"channel weights have the shape {rows.shape}; wanted finite numbers [V, D] of one target or more"
        )
    _, strength, parts = np.linalg.svd(rows, full_matrices=False)
    kept = parts[strength > strength[0] * max(rows.shape) * np.finfo(np.float64).eps][:count]
    sign = np.where((rows @ kept.T).mean(0) < 0, -1.0, 1.0)
    found = np.zeros((rows.shape[1], count))
    found[:, : len(kept)] = kept.T * sign
    return found


def channel_maps(model: Any, X: Any, layer: str, mixtures: NDArray[np.floating]) -> NDArray[np.float32]:
    """Mixtures of channels at every place of a layer's grid, behind the bottleneck.

    Only this layer is read, and a part of the stimuli at a time: beside the result, memory holds no more for many than
    for few.

    Args:
        model: a fitted `NeuralEncoder` with the net `"selector"`.
        X: features of N stimuli, as in its `fit`.
        layer: which.
        mixtures: [D, C] of channels, such as `principal_channels`.

    Returns:
        [N, *grid, C].

    Raises:
        UnknownNameError: the network does not read that layer.
        DataError: layers or shapes differ from those of the fit.
    """
    check_is_fitted(model, "net_")
    layers = list(model.net_.layers)
    if layer not in layers:
        raise UnknownNameError(unknown("layer", layer, layers))
    views = read_views(X)
    check_layers(token_shapes(views), model.shapes_)
    view, (mean, weight) = views[layer], _readout(model.net_.bottlenecks[layers.index(layer)], mixtures)
    found = np.empty((view.shape[0], *view.shape[2:], weight.shape[1]), dtype=np.float32)
    step = max(1, BLOCK // math.prod(view.shape[1:]))
    for start in range(0, len(found), step):
        tokens = np.moveaxis(view[start : start + step], 1, -1)  # [n, *grid, channels of the layer]
        found[start : start + step] = (tokens - mean) @ weight
    return found


def _readout(bottleneck: Any, mixtures: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What is taken from a layer's own channels, [C'], and their weights in each mixture behind the bottleneck."""
    units = bottleneck.local_units
    mean, scale, weight = (
        part.detach().double().cpu().numpy() for part in (units.mean, units.scale, bottleneck.local.weight)
    )
    return mean, (weight / scale).T @ mixtures
