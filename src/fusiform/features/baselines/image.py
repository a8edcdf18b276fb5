"""Backbones of pictures that need no weights from anywhere."""

from functools import cached_property
from typing import Any

from torch import Tensor

from fusiform.data import Kind
from fusiform.features.preprocess import Picture, describe
from fusiform.features.tokens import Tokens
from fusiform.nets.planted import PlantedNetwork, planted_network

__all__ = ["Pixels", "Planted"]


class Pixels:
    """The picture itself, one local layer `pixels` [B, C, size, size] in [0, 1]: the baseline below every network.

    Args:
        size: side in pixels to which pictures are averaged down; None keeps theirs (all must then agree).
        colour: three channels, or one of luminance.
    """

    name, revision = "pixels", "1"
    kind: Kind = "image"

    def __init__(self, size: int | None = 32, colour: bool = True) -> None:
        self.preprocess = Picture(size, colour, normalise="none", resample="box")
        self.settings = {"preprocess": describe(self.preprocess)}

    def get_tokens(self, x: Tensor) -> Tokens:
        """[B, C, H, W] as it came."""
        return Tokens({"pixels": x}, {})


class Planted:
    """The fixed random network that simulated brains read: local [B, 16, 8, 8] and global [B, 16] per layer.

    Args:
        layers: number of layers, called `conv1`, `conv2`, ...
        seed: of its kernels.
    """

    name, revision = "planted", "1"
    kind: Kind = "image"

    def __init__(self, layers: int = 6, seed: int = 0) -> None:
        self.layers, self.seed = layers, seed
        self.preprocess = Picture(64, normalise="none")
        self.settings = {"layers": layers, "seed": seed, "preprocess": describe(self.preprocess)}

    @cached_property
    def net(self) -> PlantedNetwork:
        """The network, made when first asked for."""
        return planted_network(self.layers, self.seed)

    def get_tokens(self, x: Tensor) -> Tokens:
        """[B, 3, 64, 64] in [0, 1] -> local and global tokens of every layer."""
        return Tokens(*self.net(x))

    def to(self, device: Any) -> None:
        """Move the network."""
        self.net.to(device)
