"""Responses to pictures: what each vertex reads from the planted network, and noise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.datasets.simulated.plant import CHANNELS, SECOND
from fusiform.datasets.simulated.seeds import stream

__all__ = ["NONLINEARITIES", "Nonlinearity", "Tokens", "noise", "read_tokens", "signals"]

Nonlinearity = Literal["none", "tanh", "square", "mixed"]
NONLINEARITIES: tuple[Nonlinearity, ...] = get_args(Nonlinearity)
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

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
        truth: V rows, as `plant` gives them. Where a second layer is read, the signal is the sum of what both layers
            drive, each of unit variance, by their shares.
        nonlinearity: `"tanh"`, `"square"` (of the positive part), `"mixed"` (vertices of even number have the first,
            the others the second), or `"none"`.

    Returns:
        [N, V].
    """
    values = _drive(tokens, reference, truth, "layer_index", CHANNELS)
    if "second_index" in truth:
        mixed = np.flatnonzero(truth["second_index"] >= 0)
        second = _drive(tokens, reference, truth.iloc[mixed], "second_index", SECOND)
        share = truth["second_share"].to_numpy(np.float32)[mixed]
        values[:, mixed] = _standardise((1 - share) * values[:, mixed] + share * second, reference)
    return _bend(values, truth["vertex"].to_numpy() % 2 == 0, nonlinearity, reference)[reference:]


def _drive(tokens: Tokens, reference: int, truth: pd.DataFrame, layers: str, channels: list[str]) -> Floats:
    """What vertices read of one layer each, [K + N, V], of zero mean and unit variance over the reference.

    Args:
        tokens: of the reference and then of the pictures.
        reference: K.
        truth: V rows.
        layers: its column with the number of the layer.
        channels: its columns with the weights of the channels.
    """
    values = np.empty((tokens.local.shape[1], len(truth)), np.float32)
    for layer in truth[layers].unique():
        rows = np.flatnonzero(truth[layers] == layer)
        some = truth.iloc[rows]
        weights, scale = some[channels].to_numpy(np.float32), some["scale"].to_numpy(np.float32)
        readout = (weights[:, :, None] * _fields(some)[:, None]).reshape(len(some), -1)  # [V of this layer, 1024]
        local = _standardise(tokens.local[layer] @ readout.T, reference)
        wide = _standardise(tokens.global_[layer] @ weights.T, reference)
        values[:, rows] = _standardise((1 - scale) * local + scale * wide, reference)
    return values


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


def _standardise(values: NDArray[np.floating], reference: int) -> Floats:
    """Columns with zero mean and unit deviation over the first rows."""
    known = values[:reference]
    return np.asarray((values - known.mean(0)) / known.std(0), dtype=np.float32)


def noise(repeat: Ints, rows: Ints, seed: int, subject: int) -> Floats:
    """White noise of unit variance, [T, V]; a stream for each vertex and repeat.

    Args:
        repeat: [T] how often the picture of each trial had been shown before.
        rows: [V] of the mesh.
        seed: of the dataset.
        subject: its number.
    """
    values = np.empty((len(repeat), len(rows)), np.float32)
    trials = [np.flatnonzero(repeat == number) for number in range(repeat.max() + 1)]
    for start in range(0, len(rows), BLOCK):
        some = rows[start : start + BLOCK]
        block = np.empty((len(some), len(repeat)), np.float32)  # vertices first: each stream fills neighbours
        for place, row in enumerate(some):
            for number, when in enumerate(trials):
                block[place, when] = stream(seed, "noise", subject, number, row).standard_normal(len(when), np.float32)
        values[:, start : start + BLOCK] = block.T
    return values
