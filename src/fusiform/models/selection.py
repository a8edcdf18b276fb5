"""What a trained selector shows of the network: layer, place, scale and channels of every target, as tables."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from fusiform.errors import DataError, SettingsError
from fusiform.registry import did_you_mean

__all__ = ["channel_clusters", "channel_weights", "selection", "selections"]

AXES = ("x", "y", "t")  # of a place, the last axis of a grid first
FINE = 1000  # clusters of targets that are then joined


def selection(model: Any, subject: str | None = None) -> pd.DataFrame:
    """What every target reads; only the model is needed.

    Args:
        model: a fitted `NeuralEncoder` with the net `"selector"`.
        subject: whose targets; may be left out if there is one.

    Returns:
        V rows: `layer`, the one with the largest share, and `layer_index`; `mean_layer`, from 0 for the first to L - 1
        for the last, weighted by shares; `confidence`, one less the entropy of the shares over log L (0 undecided,
        1 decided; 1 if there is one layer); `center_x` (to the right), `center_y` (downwards) and for films `center_t`,
        the middle of what is read, from -1 to 1 between the edges of the grid; of pictures and films its `polar_angle`
        (degrees from -180 to 180: 0 to the right, 90 upwards) and `eccentricity` (distance from the middle; 1 at the
        middle of an edge); `scale`, the share of global tokens; and each layer's share as `share:LAYER`.

    Raises:
        DataError: there is no such subject.
    """
    number = _number(model, subject)
    with torch.no_grad():
        choice = model.net_.choose(number)
    place, shares, scale = (part.double().cpu().numpy() for part in choice)
    layers = np.array(model.net_.layers)
    best = shares.argmax(1)
    table = pd.DataFrame({"layer": layers[best], "layer_index": best, "mean_layer": shares @ np.arange(len(layers))})
    table["confidence"] = 1 - _normalised_entropy(shares)
    table[[f"center_{axis}" for axis in AXES[: place.shape[1]]]] = place
    if place.shape[1] > 1:
        x, y = place[:, 0], place[:, 1]
        table["polar_angle"], table["eccentricity"] = np.rad2deg(np.arctan2(-y, x)), np.hypot(x, y)
    table["scale"] = scale
    return table.assign(**{f"share:{layer}": share for layer, share in zip(layers, shares.T, strict=True)})


def channel_weights(model: Any, subject: str | None = None) -> NDArray[np.float32]:
    """Mixture of the bottleneck's channels that each target reads, [V, D], in the order of the targets."""
    number = _number(model, subject)
    return np.asarray(model.net_.channel_weights(number).detach().cpu().numpy(), dtype=np.float32)


def channel_clusters(model: Any, count: int = 20, subject: str | None = None, seed: int = 0) -> pd.DataFrame:
    """Targets that read similar mixtures of channels, in clusters of the direction of their weights.

    K-means finds up to a thousand small clusters, which Ward's criterion then joins until `count` are left, so that it
    ends whatever the weights are, and never compares all targets with all.

    Args:
        model: as in `selection`.
        count: of clusters; there are fewer if targets have fewer different weights.
        subject: whose targets.
        seed: of k-means.

    Returns:
        V rows: `cluster`, from 0 for the largest, and `similarity`, the cosine to the mean direction of the cluster.

    Raises:
        SettingsError: the count is no whole number above zero.
        DataError: weights are not finite.
    """
    return _clustered(channel_weights(model, subject), count, seed)


def selections(model: Any, count: int = 20, seed: int = 0) -> pd.DataFrame:
    """`selection` and `channel_clusters` of all subjects in one table.

    Subjects share the bottleneck, and so the meaning of its channels: clusters are found over all of them together.

    Args:
        model: as in `selection`.
        count: of clusters, as in `channel_clusters`.
        seed: as in `channel_clusters`.

    Returns:
        a row per target, one subject after the other; `subject` is the first column if there are several.
    """
    check_is_fitted(model, "net_")
    table = pd.concat([selection(model, name) for name in model.subjects_], ignore_index=True)
    weights = [channel_weights(model, name) for name in model.subjects_]
    table = pd.concat([table, _clustered(np.concatenate(weights), count, seed)], axis=1)
    if len(weights) > 1:
        table.insert(0, "subject", np.repeat(model.subjects_, [len(part) for part in weights]))
    return table


def _clustered(weights: NDArray[np.floating], count: int, seed: int) -> pd.DataFrame:
    if isinstance(count, bool) or int(count) != count or count < 1:
        raise SettingsError(f"count is {count!r}; wanted a whole number of clusters from 1 up")
    if not np.isfinite(weights).all():
        raise DataError(
            "channel weights hold NaN or infinite values: the training has diverged; lower its learning_rate"
        )
    directions = _directions(weights.astype(np.float64))
    labels = _by_size(_joined(directions, int(count), seed))
    middles = _directions(np.stack([directions[labels == label].mean(0) for label in range(labels.max() + 1)]))
    return pd.DataFrame({"cluster": labels, "similarity": (directions * middles[labels]).sum(1)})


def _joined(directions: NDArray[np.float64], count: int, seed: int) -> NDArray[np.int64]:
    """Ward's clusters of small ones; equal directions are one small cluster, so that no cluster can be empty."""
    from scipy.cluster.hierarchy import ClusterWarning
    from sklearn.cluster import AgglomerativeClustering

    middles, small = np.unique(directions.round(6) + 0.0, axis=0, return_inverse=True)  # + 0: there is one zero only
    if len(middles) > FINE:
        middles, small = _fine(directions, seed)
    if min(len(middles), count) == 1:
        return np.zeros(len(directions), dtype=np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClusterWarning)  # as many centres as channels may look like distances
        joined = AgglomerativeClustering(min(count, len(middles))).fit_predict(middles)
    return np.asarray(joined[small.ravel()], dtype=np.int64)


def _fine(directions: NDArray[np.float64], seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Centres of k-means that have members, and whose each direction is."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer centres than asked for: those are joined anyway
        found = KMeans(FINE, n_init=1, max_iter=50, random_state=seed).fit(directions)
    used, labels = np.unique(found.labels_, return_inverse=True)
    return found.cluster_centers_[used], labels


def _by_size(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same clusters, numbered from the largest; none is empty."""
    _, labels, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return np.asarray(rank[labels])


def _directions(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1))


def _normalised_entropy(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import entr

    layers = shares.shape[1]
    return np.asarray(entr(shares).sum(1) / np.log(layers) if layers > 1 else np.zeros(len(shares)))


def _number(model: Any, subject: str | None) -> int:
    check_is_fitted(model, "net_")
    known: list[str] = model.subjects_
    if subject is None and len(known) == 1:
        return 0
    if subject not in known:
        raise DataError(f"no subject {subject!r}{did_you_mean(str(subject), known)}; there are: {', '.join(known)}")
    return known.index(subject)
