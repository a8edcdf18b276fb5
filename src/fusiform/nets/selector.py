"""The factorised selector encoder: which layer, place, scale and channels of a network does each target read?

Yang, Gee & Shi 2023, "Brain Decodes Deep Nets" (arXiv:2312.01280). A target's coordinates say where in the picture it
looks, how it shares itself among the layers, and how much of it is global; its own weights mix the channels, which a
bottleneck per layer has brought to one width. The formula and its letters stand in `reading.py`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from fusiform.nets.cells import Cells, Choice
from fusiform.nets.layers import Standardise, mlp, octave_code, project, unit_box
from fusiform.nets.reading import read

__all__ = ["Selector", "TokenShape", "layer_entropy", "linear_decay", "scale_pull"]

Batch = tuple[Mapping[str, Tensor], Mapping[str, Tensor]]  # local and global tokens


class TokenShape(NamedTuple):
    """Of one layer's tokens, without the batch.

    Args:
        channels: of the local tokens.
        grid: of the local tokens; () if the layer is a vector.
        global_channels: of the global token; None where there is none, and the mean over the grid stands in.
    """

    channels: int
    grid: tuple[int, ...] = ()
    global_channels: int | None = None


class Selector(nn.Module):
    """The selector encoder of one or several subjects: bottlenecks are shared, all else is each one's own.

    Args:
        shapes: layer -> shape of its tokens, in the order from which the mean layer is counted. Layers may differ in
            channels and in the sizes of their grids, not in the number of a grid's axes.
        coordinates: of every subject, [V, 3] (or any number of axes and unit).
        width: D, channels behind the bottleneck.
        hidden: width of the selectors' hidden layers.
        octaves: of the sines and cosines that stand for coordinates.

    Raises:
        ValueError: grids differ in their number of axes.
    """

    def __init__(
        self,
        shapes: Mapping[str, TokenShape],
        coordinates: Sequence[Tensor],
        *,
        width: int = 128,
        hidden: int = 128,
        octaves: int = 7,
    ) -> None:
        super().__init__()
        axes = {len(shape.grid) for shape in shapes.values()} - {0}
        if len(axes) > 1:
            raise ValueError(
                f"grids have {sorted(axes)} axes; wanted layers whose grids have as many axes as each other"
            )
        self.layers = tuple(shapes)
        self.width = width
        self.cells = Cells([shape.grid for shape in shapes.values()])
        self.bottlenecks = nn.ModuleList(_Bottleneck(shape, width) for shape in shapes.values())
        sizes = {"axes": self.cells.axes, "layers": len(shapes), "hidden": hidden, "octaves": octaves, "width": width}
        self.targets = nn.ModuleList(_Targets(points, **sizes) for points in coordinates)

    def standardise(self, batches: Iterable[Batch]) -> None:
        """Measure every layer's channel means and deviations on some pictures, and scale tokens by them from now on."""
        moments = [_Moments() for _ in range(2 * len(self.layers))]
        for local, global_ in batches:
            for number, (one, wide) in enumerate(self._pairs(local, global_)):
                moments[2 * number].add(one)
                moments[2 * number + 1].add(wide)
        for number, bottleneck in enumerate(self._bottlenecks):
            bottleneck.local_units.set(*moments[2 * number].result())
            bottleneck.global_units.set(*moments[2 * number + 1].result())

    def choose(self, subject: int = 0) -> Choice:
        """What every target of one subject reads."""
        return self._of(subject).choose()

    def tokens(self, local: Mapping[str, Tensor], global_: Mapping[str, Tensor]) -> Tensor:
        """Tokens behind the bottlenecks, [K, B, D]; see `forward`."""
        pairs = zip(self._bottlenecks, self._pairs(local, global_), strict=True)
        parts = [bottleneck(*pair) for bottleneck, pair in pairs]
        return torch.cat([cells for cells, _ in parts] + [wide for _, wide in parts])

    def read(self, tokens: Tensor, choice: Choice, subject: int = 0) -> Tensor:
        """[B, V] from what `tokens` and `choose` give."""
        targets = self._of(subject)
        return read(tokens, choice, targets.weight, self.cells) + targets.bias

    def forward(
        self, local: Mapping[str, Tensor], global_: Mapping[str, Tensor], subject: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Responses of one subject's targets, [B, V], and the penalty on what they choose.

        The penalty is the published one: negative entropy of the shares of layers, and the distance of the scale from
        the middle. It keeps targets undecided, so its weight in the loss should fall to zero (`linear_decay`).

        Args:
            local: layer -> [B, C, *grid].
            global_: layer -> [B, C], of the layers that have one.
            subject: its number.
        """
        choice = self.choose(subject)
        pred = self.read(self.tokens(local, global_), choice, subject)
        return pred, scale_pull(choice.scale) - layer_entropy(choice.layer)

    def channel_weights(self, subject: int = 0) -> Tensor:
        """Mixture of the bottleneck's channels that each target reads, [V, D]."""
        return self._of(subject).weight

    def groups(self) -> list[dict[str, Any]]:
        """Parameters with their share of the learning rate, those of one share together.

        AdamW's steps are of one length for all, so that each kind is given what suits its size. A target reads the mean
        over D channels, whose weights must move by the root of D more to have the effect of a sum of unit length.
        A bottleneck's weights are as small as the root of its number of channels is large.
        """
        weights = [self.channel_weights(number) for number in range(len(self.targets))]
        linears = [linear for part in self._bottlenecks for linear in (part.local, part.global_)]
        own = {id(parameter) for parameter in [*weights, *(linear.weight for linear in linears)]}
        rest: list[Tensor] = [parameter for parameter in self.parameters() if id(parameter) not in own]
        found: dict[float, list[Tensor]] = {1.0: rest}
        found.setdefault(self.width**0.5, []).extend(weights)
        for linear in linears:
            found.setdefault(4 * linear.in_features**-0.5, []).append(linear.weight)
        return [{"params": parameters, "rate": rate} for rate, parameters in found.items()]

    @property
    def _bottlenecks(self) -> "list[_Bottleneck]":
        return cast("list[_Bottleneck]", list(self.bottlenecks))

    def _of(self, subject: int) -> "_Targets":
        return cast("_Targets", self.targets[subject])

    def _pairs(self, local: Mapping[str, Tensor], global_: Mapping[str, Tensor]) -> Iterable[tuple[Tensor, Tensor]]:
        for layer, bottleneck in zip(self.layers, self._bottlenecks, strict=True):
            yield local[layer], global_[layer] if bottleneck.has_global else bottleneck.mean(local[layer])


class _Bottleneck(nn.Module):
    """One layer's tokens in units of their deviation, and linearly brought to one width."""

    def __init__(self, shape: TokenShape, width: int) -> None:
        super().__init__()
        self.has_global = shape.global_channels is not None
        wide = shape.channels if shape.global_channels is None else shape.global_channels
        self.local_units, self.global_units = Standardise(shape.channels), Standardise(wide)
        self.local, self.global_ = _projection(shape.channels, width), _projection(wide, width)

    def mean(self, local: Tensor) -> Tensor:
        """What stands for the global token of a layer without one, [B, C, *grid] -> [B, C]; of halves without loss."""
        return local.flatten(2).mean(2, dtype=self.local.weight.dtype) if local.ndim > 2 else local

    def forward(self, local: Tensor, global_: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, *grid], [B, C'] -> [cells, B, D], [1, B, D]."""
        cells = local.reshape(len(local), local.shape[1], -1)
        return _bring(cells, self.local_units, self.local), self.global_(self.global_units(global_))[None]


def _bring(x: Tensor, units: Standardise, projection: nn.Linear) -> Tensor:
    """[B, C, S] -> [S, B, D]: `projection(units(x))`, with the scale on the weights, which are fewer than tokens."""
    weight = projection.weight / units.scale
    centred = (x - units.mean[:, None]).to(weight.dtype)
    return project(centred, weight).permute(2, 0, 1).contiguous()


def _projection(channels: int, width: int) -> nn.Linear:
    """Without bias; of channels of unit variance it makes channels of unit variance."""
    linear = nn.Linear(channels, width, bias=False)
    nn.init.normal_(linear.weight, std=channels**-0.5)
    return linear


class _Targets(nn.Module):
    """One subject's targets: where they are, what they choose by that, and what each makes of it."""

    coordinates: Tensor
    code: Tensor

    def __init__(self, coordinates: Tensor, *, axes: int, layers: int, hidden: int, octaves: int, width: int) -> None:
        super().__init__()
        self.axes = axes
        code = octave_code(unit_box(coordinates.double()), octaves).float()
        self.register_buffer("coordinates", coordinates.double())
        self.register_buffer("code", code, persistent=False)
        self.place = mlp(code.shape[1], hidden, axes) if axes else None
        self.layer, self.scale = mlp(code.shape[1], hidden, layers), mlp(code.shape[1], hidden, 1)
        self.weight = nn.Parameter(torch.randn(len(code), width))
        self.bias = nn.Parameter(torch.zeros(len(code)))

    def choose(self) -> Choice:
        # in half precision neighbours would look at one place, and predictions would not be of the choices on the maps
        with torch.autocast(self.code.device.type, enabled=False):
            place = self.code.new_empty(len(self.code), 0) if self.place is None else self.place(self.code).tanh()
            return Choice(place, self.layer(self.code).softmax(1), self.scale(self.code).sigmoid()[:, 0])


class _Moments:
    """Mean and deviation per channel of [B, C, ...] that come in batches, in float64."""

    def __init__(self) -> None:
        self.count, self.sum, self.squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, x: Tensor) -> None:
        rows = x.double().reshape(len(x), x.shape[1], -1)
        self.count += len(x) * rows.shape[2]
        self.sum, self.squares = self.sum + rows.sum((0, 2)), self.squares + rows.square().sum((0, 2))

    def result(self) -> tuple[Tensor, Tensor]:
        mean = self.sum / self.count
        spread = (self.squares / self.count - mean.square()).clamp(min=0).sqrt()
        return mean, torch.where(spread > 1e-6 * mean.abs(), spread, 0.0)  # below, it is the sums' own rounding


def layer_entropy(layer: Tensor) -> Tensor:
    """Mean entropy of the shares [V, L] as a share of the largest possible, log L: 1 undecided, 0 decided."""
    shares = layer.shape[1]
    if shares == 1:
        return layer.sum() * 0
    logarithm = layer.clamp(min=torch.finfo(layer.dtype).tiny).log()  # a share may have become zero
    return -(layer * logarithm).sum(1).mean() / math.log(shares)


def scale_pull(scale: Tensor) -> Tensor:
    """Mean squared distance of the scale [V] from the middle."""
    return (scale - 0.5).square().mean()


def linear_decay(step: int, steps: int) -> float:
    """One at first, falling in a straight line to zero at step `steps`, and zero from there on."""
    return max(0.0, 1 - step / steps) if steps > 0 else 0.0
