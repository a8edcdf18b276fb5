"""The training of an encoder: what a batch is, and its loss."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fusiform.errors import DataError
from fusiform.models.measured import Units
from fusiform.models.subjects import GLOBAL, Part, Subject
from fusiform.nets.selector import Selector, linear_decay
from fusiform.training import Settings, shuffled
from fusiform.training.batches import in_turn

__all__ = ["Encoding", "split_tokens"]

BETA = 0.1  # of the smooth L1 loss, in standard deviations of the response
MEASURED = 1000  # samples on which the units of tokens are measured

Tokens = tuple[dict[str, Tensor], dict[str, Tensor]]
Data = tuple[int, Tokens, Tensor]  # number of a subject, tokens, responses in their units


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

    def read(self, batch: tuple[int, NDArray[np.int64]]) -> Data:
        """(subject, tokens, responses in their units), on the CPU; for a GPU where it copies them from by itself."""
        subject, rows = batch
        return self._read(subject, self.subjects[subject].train, rows)

    def loss(self, data: Data, step: int) -> Tensor:
        """Mean error over what was measured, and the decaying penalty."""
        total, count, penalty = self._errors(data)
        return total / count.clamp(min=1) + self.penalty * linear_decay(step, self.decay_steps) * penalty

    def validate(self) -> float | None:
        """Mean error over the validation rows of all subjects, without penalty."""
        total, count = torch.zeros(2, dtype=torch.float64, device=self._device)
        held = [one.validation for one in self.subjects]
        batches = [
            (number, part, rows)
            for number, part in enumerate(held)
            if part is not None
            for rows in _cut(np.arange(len(part)), self._size)
        ]
        for data in in_turn(lambda batch: self._read(*batch), batches, self._device):
            some, known, _ = self._errors(data)
            total, count = total + some, count + known
        return float(total / count) if count else None

    def groups(self) -> Sequence[Mapping[str, Any]]:
        """The network's groups of parameters."""
        return self.net.groups()

    @property
    def _device(self) -> torch.device:
        return next(self.net.parameters()).device

    @property
    def _size(self) -> int:
        return self.settings.batch_size

    def _errors(self, data: Data) -> tuple[Tensor, Tensor, Tensor]:
        """Sum of errors, number of measured responses, penalty."""
        subject, (local, global_), responses = _each(self._there, data)
        pred, penalty = self.net(local, global_, subject)
        known = ~responses.isnan()
        error = torch.where(known, pred - responses.nan_to_num(), 0.0)
        return self.error(error), known.sum(), penalty

    def _there(self, x: Tensor) -> Tensor:
        return x.to(self._device, non_blocking=True)

    def _read(self, subject: int, part: Part, rows: NDArray[np.int64]) -> Data:
        responses = torch.from_numpy(part.fetch(rows))
        data = subject, self._tokens(part, rows), self.units[subject].standardise(responses)
        return _each(Tensor.pin_memory, data) if self._device.type == "cuda" else data

    def _tokens(self, part: Part, rows: NDArray[np.int64], look: bool = False) -> Tokens:
        arrays = part.tokens(rows)
        if look and (wrong := [name for name, array in arrays.items() if not np.isfinite(array).all()]):
            raise DataError(f"the features of layer {wrong[0]!r} hold NaN or infinite values; extract them anew")
        return split_tokens(arrays, self.net.layers)


def _each(change: Callable[[Tensor], Tensor], data: Data) -> Data:
    """The same with every tensor changed."""
    subject, tokens, responses = data
    local, global_ = ({layer: change(x) for layer, x in part.items()} for part in tokens)
    return subject, (local, global_), change(responses)


def _cut(rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    edges = [*range(0, len(rows), size), len(rows)]
    return [rows[start:stop] for start, stop in pairwise(edges)]


def _smooth_l1(error: Tensor) -> Tensor:
    return functional.smooth_l1_loss(error, torch.zeros_like(error), beta=BETA, reduction="sum")


def _squares(error: Tensor) -> Tensor:
    return error.square().sum()


_ERRORS = {"smooth_l1": _smooth_l1, "mse": _squares}
