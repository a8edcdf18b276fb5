"""Parts that several networks are made of."""

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Linear", "Standardise", "linear", "mlp", "octave_code", "project", "unit_box"]


class Linear(nn.Linear):
    """`nn.Linear` for very many rows; see `project`."""

    def forward(self, input: Tensor) -> Tensor:
        """[N, C] -> [N, D]."""
        return linear(input, self.weight, self.bias)


def linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """torch's `linear` for very many rows, [N, C] -> [N, D]; see `project`."""
    if rows.device.type != "cpu":
        return functional.linear(rows, weight, bias)
    return project(rows.contiguous()[None].mT, weight, bias).mT.squeeze(0)


def project(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The channels of very many places brought to others, [B, C, S] -> [B, D, S]; on a CPU as a convolution.

    That is the same product. But torch makes products in float32 by MKL and convolutions by oneDNN, and MKL makes less
    of a processor that it does not know: of 5,000 places and 128 channels, two cores of an AMD EPYC 9005 make 170
    GFLOP/s by the one and 380 by the other.
    """
    if x.device.type != "cpu" or not x.numel():
        return _product(x, weight, bias)
    return functional.conv2d(x[:, :, None], weight[:, :, None, None], bias).squeeze(2)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As `project`; x is copied with its channels first, in whole runs of places: it is the product that turns them."""
    rows = functional.linear(x.transpose(0, 1).flatten(1).T, weight, bias)
    return rows.view(len(x), x.shape[2], len(weight)).mT


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two hidden layers with GELU; the last layer is zero at first, so that every row starts with the same output."""
    last = nn.Linear(hidden, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(Linear(inputs, hidden), nn.GELU(), Linear(hidden, hidden), nn.GELU(), last)


def unit_box(points: Tensor) -> Tensor:
    """Places moved and scaled into [-1, 1], all axes by the same factor, [V, A]; a single place becomes zero."""
    middle = (points.amax(0) + points.amin(0)) / 2
    reach = (points - middle).abs().amax()
    return (points - middle) / torch.where(reach > 0, reach, 1.0)


def octave_code(points: Tensor, octaves: int) -> Tensor:
    """Places as sines and cosines of doubling frequency and halving height, [V, A] -> [V, 2 * octaves * A].

    After Mildenhall et al. 2020 (NeRF), equation 4, with two changes. The slowest wave takes half a turn from -1 to 1:
    a whole one would give both ends the same code. And waves are the lower the faster they are, so that smooth maps are
    learned first, and maps that jump from place to place only where much speaks for them.
    """
    octave = torch.arange(octaves, dtype=points.dtype, device=points.device)
    phase = points[:, :, None] * (torch.pi / 2 * 2**octave)  # [V, A, octaves]
    return torch.cat([(wave * 0.5**octave).flatten(1) for wave in (phase.sin(), phase.cos())], dim=1)


class Standardise(nn.Module):
    """Channels with zero mean and unit variance, by constants that are measured once and then fixed.

    Args:
        channels: C.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))

    def set(self, mean: Tensor, deviation: Tensor) -> None:
        """Take these constants, [C]; a channel without deviation is only centred."""
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(deviation > 0, deviation, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, ...] -> the same shape, in the type of the constants."""
        shape = (-1, *[1] * (x.ndim - 2))
        return (x.to(self.mean.dtype) - self.mean.view(shape)) / self.scale.view(shape)
