"""Responses to pictures: what each vertex reads from the planted network, and noise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.datasets.simulated.cortex import HEMISPHERES, VERTICES
from fusiform.datasets.simulated.plant import CHANNELS
from fusiform.datasets.simulated.seeds import stream

__all__ = ["Nonlinearity", "Tokens", "add_noise", "read_tokens", "signals"]

Nonlinearity = Literal["none", "tanh", "square", "mixed"]
Floats = NDArray[np.float32]

FIELD = 0.18  # standard deviation of a receptive field in a picture that spans [-1, 1]
BATCH = 128  # pictures through the network at once
BLOCK = 256  # vertices that get their noise at once


@dataclass(frozen=True)
class Tokens:
    """Tokens of N pictures in the L layers of the planted network.

    Args:
        local: [L, N, 1024], from [16 channels, 8, 8].
        global_: [L, N, 16].
    """

    local: Floats
    global_: Floats


def read_tokens(draw: Callable[[int], NDArray[np.uint8]], count: int, *, layers: int, seed: int) -> Tokens:
    """Show pictures to the planted network, a batch at a time.

    Args:
        draw: number of a picture -> [64, 64, 3].
        count: number of pictures, N.
        layers: of the network.
        seed: of the network.
    """
    import torch

    from fusiform.nets.planted import planted_network

    network = planted_network(layers, seed)
    tokens = Tokens(np.empty((layers, count, 1024), np.float32), np.empty((layers, count, 16), np.float32))
    for start in range(0, count, BATCH):
        rows = slice(start, min(count, start + BATCH))
        pictures = np.stack([draw(number) for number in range(rows.start, rows.stop)])  # [B, 64, 64, 3]
        with torch.inference_mode():
            local, global_ = network(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255)
        for layer, name in enumerate(network.layers):
            tokens.local[layer, rows] = local[name].flatten(1)
            tokens.global_[layer, rows] = global_[name]
    return tokens


def signals(tokens: Tokens, reference: int, truth: pd.DataFrame, nonlinearity: Nonlinearity = "none") -> Floats:
    """What every vertex would say of the pictures without noise.

    Args:
        tokens: of K reference pictures and then N pictures. Signals have zero mean and unit variance over the
            reference, so that the answer to a picture does not depend on which others are shown.
        reference: K.
        truth: V rows, as `plant` gives them.
        nonlinearity: `"tanh"`, `"square"` (of the positive part), `"mixed"` (vertices of even number have the first,
            the others the second), or `"none"`.

    Returns:
        [N, V].
    """
    values = np.empty((tokens.local.shape[1], len(truth)), np.float32)
    for layer, rows in truth.groupby("layer_index").indices.items():
        some = truth.iloc[rows]
        weights, scale = some[CHANNELS].to_numpy(np.float32), some["scale"].to_numpy(np.float32)
        readout = (weights[:, :, None] * _fields(some)[:, None]).reshape(len(some), -1)  # [V of this layer, 1024]
        local = _standardise(tokens.local[layer] @ readout.T, reference)
        wide = _standardise(tokens.global_[layer] @ weights.T, reference)
        values[:, rows] = _standardise((1 - scale) * local + scale * wide, reference)
    return _bend(values, truth["vertex"].to_numpy() % 2 == 0, nonlinearity, reference)[reference:]


def _fields(truth: pd.DataFrame) -> Floats:
    """Receptive fields on the 8 x 8 grid, [V, 64]: Gaussians that sum to one."""
    centres = (np.arange(8) + 0.5) / 4 - 1  # of the grid's cells
    across, down = (np.exp(-np.square((centres - truth[[axis]].to_numpy()) / FIELD) / 2) for axis in "xy")  # [V, 8]
    fields = (down[:, :, None] * across[:, None]).reshape(len(truth), 64)
    return np.asarray(fields / fields.sum(1, keepdims=True), dtype=np.float32)


def _bend(values: Floats, even: NDArray[np.bool_], nonlinearity: Nonlinearity, reference: int) -> Floats:
    if nonlinearity == "none":
        return values
    saturates = {"tanh": np.ones_like(even), "square": np.zeros_like(even), "mixed": even}[nonlinearity]
    bent = np.where(saturates, np.tanh(values), np.square(values.clip(0)))
    return _standardise(bent, reference)


def _standardise(values: Floats, reference: int) -> Floats:
    """Columns with zero mean and unit deviation over the first rows."""
    known = values[:reference]
    return np.asarray((values - known.mean(0)) / known.std(0), dtype=np.float32)


def add_noise(
    signal: Floats, picture: NDArray[np.int64], repeat: NDArray[np.int64], truth: pd.DataFrame, seed: int, subject: int
) -> Floats:
    """Trials of unit variance: signal and white noise in the proportion that the planted ncsnr says.

    Every vertex has a stream of noise for each repeat, so that no trial depends on how many others there are.

    Args:
        signal: [N, V].
        picture: [T] row of the signal shown in each trial.
        repeat: [T] how often the picture had been shown before; the trials of one repeat come in order.
        truth: V rows with `ncsnr`.
        seed: of the dataset.
        subject: its number.

    Returns:
        [T, V].
    """
    trials = signal[picture]
    angle = np.arctan(truth["ncsnr"].to_numpy(np.float32))  # the sine is the signal's share, the cosine the noise's
    rows = truth["vertex"].to_numpy() + VERTICES * (truth["hemisphere"] == HEMISPHERES[1]).to_numpy()
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        noise = np.empty((len(rows[block]), len(trials)), np.float32)
        for column, row in enumerate(rows[block]):
            for number in np.unique(repeat):
                when = repeat == number
                noise[column, when] = stream(seed, "noise", subject, row, number).standard_normal(
                    when.sum(), dtype=np.float32
                )
        trials[:, block] = trials[:, block] * np.sin(angle[block]) + noise.T * np.cos(angle[block])
    return trials
