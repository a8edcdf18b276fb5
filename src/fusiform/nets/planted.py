"""A small fixed network whose layers barely predict each other: the one that simulated brains read.

Each layer convolves with random kernels, whitens the result and takes its absolute value. Of whitened features the
absolute value keeps what no linear map of them has, so a linear model from one layer's tokens to the next layer's
finds little: a wrong layer is a wrong answer, as it should be where the choice of layers is tested.

All constants come from the seed. The whitening is measured on dead leaves (overlapping opaque discs, plain and striped,
with statistics near those of natural images: Lee, Mumford & Huang 2001, IJCV 41), not on the pictures of any data set.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["CHANNELS", "GRID", "PlantedNetwork", "planted_network"]

CHANNELS = 16  # of every layer
GRID = 8  # local tokens stand on a GRID x GRID grid
_MEAN = 0.8  # of the absolute value of a standard normal: sqrt(2 / pi)
_MOST = 4.0  # standard deviations at which a unit saturates; without it rare pictures run away in deep networks


def planted_network(layers: int = 6, seed: int = 0) -> "PlantedNetwork":
    """The planted network of this many layers; the same arguments give the same network.

    Args:
        layers: number of layers, which are called `conv1`, `conv2`, ...
        seed: of the kernels and the pictures on which the whitening is measured.
    """
    generator = torch.Generator().manual_seed(seed)
    return PlantedNetwork(layers, _dead_leaves(384, generator), generator).eval()


class PlantedNetwork(nn.Module):
    """Layers of random kernels, whitening and absolute value, and the tokens of every layer.

    Args:
        layers: number of layers.
        calibration: [B, 3, H, W] pictures in [0, 1] on which the whitening is measured.
        generator: draws the kernels.
    """

    def __init__(self, layers: int, calibration: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        self.stages = nn.ModuleDict()
        hidden = _centred(calibration)
        for number in range(layers):
            stride = 2 if number % 2 == 0 and hidden.shape[-1] > GRID else 1
            stage = _Stage(hidden, 5 if number == 0 else 3, stride, generator)
            self.stages[f"conv{number + 1}"] = stage
            hidden, _, _ = stage(hidden)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, from the picture on."""
        return tuple(self.stages)

    def forward(self, x: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Tokens of every layer, of about zero mean and unit variance and uncorrelated across channels.

        Args:
            x: [B, 3, H, W] pictures in [0, 1], made for H = W = 64.

        Returns:
            Local tokens, layer -> [B, 16, 8, 8], and global ones, layer -> [B, 16].
        """
        local, global_ = {}, {}
        hidden = _centred(x)
        for name, stage in self.stages.items():
            hidden, local[name], global_[name] = stage(hidden)
        return local, global_


class _Stage(nn.Module):
    """One layer: a convolution with its whitening folded in, the absolute value, and the heads of its tokens."""

    def __init__(self, calibration: Tensor, kernel: int, stride: int, generator: torch.Generator) -> None:
        super().__init__()
        self.conv = nn.Conv2d(calibration.shape[1], CHANNELS, kernel, stride, kernel // 2, padding_mode="reflect")
        self.local = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.global_ = nn.Linear(CHANNELS, CHANNELS)
        self.requires_grad_(False)
        self.conv.weight.copy_(torch.randn(self.conv.weight.shape, generator=generator))
        _whiten(self.conv, calibration)
        pooled = self._pool(self._activate(calibration))
        _whiten(self.local, pooled, start=torch.eye(CHANNELS))
        _whiten(self.global_, pooled.mean((2, 3)), start=torch.eye(CHANNELS))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, C, H, W] -> the next layer's input, local tokens and global tokens."""
        hidden = self._activate(x)
        pooled = self._pool(hidden)
        return hidden - _MEAN, self.local(pooled), self.global_(pooled.mean((2, 3)))

    def _activate(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.conv(x)
        return hidden.abs().clamp(max=_MOST)

    @staticmethod
    def _pool(hidden: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(hidden, GRID)


def _whiten(linear: nn.Conv2d | nn.Linear, inputs: Tensor, start: Tensor | None = None) -> None:
    """Fold into a fixed linear layer the map that makes its outputs on `inputs` white: zero mean, unit covariance.

    The symmetric root of the inverse covariance (ZCA) has no sign to choose, so that all machines agree on it.
    """
    bias = linear.bias
    assert bias is not None
    if start is not None:
        linear.weight.copy_(start.view_as(linear.weight))
    bias.zero_()
    outputs = linear(inputs).transpose(0, 1).flatten(1).double()  # [C, B x places]
    values, vectors = torch.linalg.eigh(torch.cov(outputs))
    root = (vectors * values.rsqrt()) @ vectors.T  # [C, C]
    weight = root @ linear.weight.double().flatten(1)
    linear.weight.copy_(weight.view_as(linear.weight))
    bias.copy_(-root @ outputs.mean(1))


def _centred(pictures: Tensor) -> Tensor:
    return pictures * 2 - 1


def _dead_leaves(count: int, generator: torch.Generator, size: int = 64, leaves: int = 24) -> Tensor:
    """[count, 3, size, size] pictures in [0, 1]: opaque discs of all sizes over each other, half of them striped."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    across = torch.linspace(0, 1, size)
    down = across[:, None]
    pictures = uniform(count, 3, 1, 1).expand(count, 3, size, size)
    for _ in range(leaves):
        x, y, radius, turn, cycles, phase = uniform(6, count, 1, 1)
        inside = (across - x).square() + (down - y).square() < (0.05 + 0.5 * radius**3).square()
        along = across * torch.cos(torch.pi * turn) + down * torch.sin(torch.pi * turn)
        stripes = 0.5 + 0.5 * torch.sin(2 * torch.pi * ((2 + 10 * cycles) * along + phase))
        amount = torch.where(uniform(count, 1, 1) < 0.5, stripes, 1.0)[:, None]
        first, second = uniform(2, count, 3, 1, 1)
        pictures = torch.where(inside[:, None], second + (first - second) * amount, pictures)
    return (pictures + 0.05 * torch.randn(pictures.shape, generator=generator)).clamp(0, 1)
