"""The channels that some targets read most, as maps over pictures.

Yang, Gee & Shi 2023, "Brain Decodes Deep Nets" (arXiv:2312.01280), show so what a region sees in a picture.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from fusiform.errors import DataError, UnknownNameError
from fusiform.models.encoding import split_tokens
from fusiform.models.subjects import check_layers, read_views, token_shapes
from fusiform.registry import unknown

__all__ = ["channel_maps", "principal_channels"]


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
    layers, device = list(model.net_.layers), next(model.net_.parameters()).device
    if layer not in layers:
        raise UnknownNameError(unknown("layer", layer, layers))
    views = read_views(X)
    check_layers(token_shapes(views), model.shapes_)
    grids = [model.shapes_[name].grid for name in layers]
    arrays = {name: view[:] for name, view in views.items()}
    with torch.no_grad():
        tokens = model.net_.tokens(*split_tokens(arrays, layers, device))  # [K, N, D]
    place = layers.index(layer)
    start, size = sum(map(math.prod, grids[:place])), math.prod(grids[place])  # the product over no axis is 1
    cells = tokens[start : start + size].double().cpu().numpy() @ mixtures  # [cells, N, C]
    return np.asarray(np.moveaxis(cells, 0, 1).reshape(cells.shape[1], *grids[place], -1), dtype=np.float32)
