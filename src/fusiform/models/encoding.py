"""The training of an encoder: what a batch is, its loss, and the units of responses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fusiform.errors import DataError
from fusiform.models.subjects import GLOBAL, Part, Subject
from fusiform.nets.selector import Selector, linear_decay
from fusiform.training import Settings, shuffled

__all__ = ["Encoding", "Units", "measure_units", "split_tokens"]

BETA = 0.1  # of the smooth L1 loss, in standard deviations of the response
MEASURED = 1000  # samples on which the units of tokens are measured
READ = 1 << 24  # numbers of responses that are read together

Tokens = tuple[dict[str, Tensor], dict[str, Tensor]]


@dataclass(frozen=True)
class Units:
    """Mean and standard deviation of every target's training responses, [V] each; NaN where none was measured."""

    mean: Tensor
    deviation: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """Both by name."""
        return {"mean": self.mean, "deviation": self.deviation}

    def standardise(self, responses: Tensor) -> Tensor:
        """[B, V] in units of the deviation; a constant target becomes zero."""
        divisor = torch.where(self.deviation > 0, self.deviation, 1.0).to(responses)
        return (responses - self.mean.to(responses)) / divisor

    def restore(self, pred: Tensor) -> Tensor:
        """[B, V] back in the units of the responses."""
        return pred * self.deviation.to(pred) + self.mean.to(pred)


def measure_units(part: Part) -> Units:
    """Over what was measured of each target, in two passes in float64.

    Raises:
        DataError: no target was measured at all.
    """
    count, mean, spread = (np.zeros(part.responses.shape[1]) for _ in range(3))
    for values in _blocks(part):
        count += (~np.isnan(values)).sum(0)
        mean += np.nansum(values, 0)
    if not count.any():
        raise DataError("Y holds NaN in every target and training sample; there is nothing to learn")
    mean = np.where(count > 0, mean / np.maximum(count, 1), np.nan)
    for values in _blocks(part):
        spread += np.nansum(np.square(values - mean), 0)
    deviation = np.sqrt(spread / np.maximum(count, 1))
    rounding = 8 * np.finfo(np.float32).eps * np.abs(mean)  # a constant that was computed varies by that much
    return Units(torch.from_numpy(mean), torch.from_numpy(np.where(deviation > rounding, deviation, 0.0)))


def _blocks(part: Part) -> Any:
    step = max(1, READ // part.responses.shape[1])
    for start in range(0, len(part), step):
        yield part.fetch(slice(start, start + step)).astype(np.float64)


def split_tokens(arrays: Mapping[str, NDArray[Any]], layers: Sequence[str], device: Any = "cpu") -> Tokens:
    """Local and global tokens of these layers on a device, by layer; halves and doubles stay what they are."""
    local = {layer: torch.as_tensor(arrays[layer], device=device) for layer in layers}
    wide = {layer: arrays[layer + GLOBAL] for layer in layers if layer + GLOBAL in arrays}
    return local, {layer: torch.as_tensor(array, device=device) for layer, array in wide.items()}


class Encoding:
    """What `training.fit` learns when a network predicts the responses of some subjects.

    Args:
        net: to be trained.
        subjects: whose rows are learned from; a batch is of one subject.
        units: of their responses.
        settings: of the training.
        loss: `"mse"` or `"smooth_l1"`.
        penalty: weight of the network's own penalty at the first step.
        decay_steps: steps until it has fallen to zero; None: 40 % of all.
    """

    def __init__(
        self,
        net: Selector,
        subjects: Sequence[Subject],
        units: Sequence[Units],
        settings: Settings,
        *,
        loss: str = "mse",
        penalty: float = 0.1,
        decay_steps: int | None = None,
    ) -> None:
        self.net, self.subjects, self.units, self.settings = net, subjects, units, settings
        self.error = _ERRORS[loss]
        self.penalty = penalty
        self.decay_steps = decay_steps or max(1, round(0.4 * settings.epochs * len(self.batches(0))))

    def standardise(self) -> None:
        """Let the network measure its tokens on training rows, evenly spread, of all subjects.

        Raises:
            DataError: some of them are no finite numbers.
        """
        count = max(1, MEASURED // len(self.subjects))
        self.net.standardise(
            self._tokens(one.train, rows, look=True)
            for one in self.subjects
            for rows in _cut(np.unique(np.linspace(0, len(one.train) - 1, count).astype(np.int64)), self._size)
        )

    def batches(self, epoch: int) -> Sequence[Any]:
        """(subject, positions among its training rows)."""
        sizes = {number: len(one.train) for number, one in enumerate(self.subjects)}
        return shuffled(sizes, self._size, self.settings.seed, epoch)

    def read(self, batch: tuple[int, NDArray[np.int64]]) -> tuple[int, Tokens, Tensor]:
        """(subject, tokens, responses in their units), on the CPU."""
        subject, rows = batch
        return self._read(subject, self.subjects[subject].train, rows)

    def loss(self, data: tuple[int, Tokens, Tensor], step: int) -> Tensor:
        """Mean error over what was measured, and the decaying penalty."""
        total, count, penalty = self._errors(data)
        return total / count.clamp(min=1) + self.penalty * linear_decay(step, self.decay_steps) * penalty

    def validate(self) -> float | None:
        """Mean error over the validation rows of all subjects, without penalty."""
        total, count = 0.0, 0.0
        held = [(number, one.validation) for number, one in enumerate(self.subjects) if one.validation is not None]
        for subject, part in held:
            for rows in _cut(np.arange(len(part)), self._size):
                some, known, _ = self._errors(self._read(subject, part, rows))
                total, count = total + float(some), count + float(known)
        return total / count if count else None

    def groups(self) -> Sequence[Mapping[str, Any]]:
        """The network's groups of parameters."""
        return self.net.groups()

    @property
    def _size(self) -> int:
        return self.settings.batch_size

    def _errors(self, data: tuple[int, Tokens, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Sum of errors, number of measured responses, penalty."""
        subject, (local, global_), responses = data
        device = next(self.net.parameters()).device
        local, global_ = ({layer: x.to(device) for layer, x in tokens.items()} for tokens in (local, global_))
        pred, penalty = self.net(local, global_, subject)
        responses = responses.to(device)
        known = ~responses.isnan()
        error = torch.where(known, pred - responses.nan_to_num(), 0.0)
        return self.error(error), known.sum(), penalty

    def _read(self, subject: int, part: Part, rows: NDArray[np.int64]) -> tuple[int, Tokens, Tensor]:
        responses = torch.from_numpy(part.fetch(rows))
        return subject, self._tokens(part, rows), self.units[subject].standardise(responses)

    def _tokens(self, part: Part, rows: NDArray[np.int64], look: bool = False) -> Tokens:
        arrays = part.tokens(rows)
        if look and (wrong := [name for name, array in arrays.items() if not np.isfinite(array).all()]):
            raise DataError(f"the features of layer {wrong[0]!r} hold NaN or infinite values; extract them anew")
        return split_tokens(arrays, self.net.layers)


def _cut(rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    edges = [*range(0, len(rows), size), len(rows)]
    return [rows[start:stop] for start, stop in pairwise(edges)]


def _smooth_l1(error: Tensor) -> Tensor:
    return functional.smooth_l1_loss(error, torch.zeros_like(error), beta=BETA, reduction="sum")


def _squares(error: Tensor) -> Tensor:
    return error.square().sum()


_ERRORS = {"smooth_l1": _smooth_l1, "mse": _squares}
