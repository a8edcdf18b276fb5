"""What was measured, and what was not: units of responses with gaps, and scores of predictions of them."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.errors import DataError
from fusiform.models.subjects import Part
from fusiform.scores.metrics import r2

__all__ = ["Units", "mean_r2", "measure_units", "warn_unmeasured"]

READ = 1 << 24  # numbers of responses that are read together


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
    count, total, spread = (torch.zeros(part.responses.shape[1], dtype=torch.float64) for _ in range(3))
    for values in _blocks(part):
        count += (~values.isnan()).sum(0)
        total += values.nansum(0, dtype=torch.float64)
    if not count.any():
        raise DataError("Y holds NaN in every target and training sample; there is nothing to learn")
    mean = total / count  # NaN without any
    for values in _blocks(part):
        spread += (values.double() - mean).square_().nansum(0)
    deviation = (spread / count.clamp(min=1)).sqrt()
    rounding = 8 * torch.finfo(torch.float32).eps * mean.abs()  # a constant that was computed varies by that much
    return Units(mean, torch.where(deviation > rounding, deviation, 0.0))


def _blocks(part: Part) -> Iterator[Tensor]:
    step = max(1, READ // part.responses.shape[1])
    for start in range(0, len(part), step):
        yield torch.from_numpy(part.fetch(slice(start, start + step)))


def warn_unmeasured(units: Sequence[Units]) -> None:
    """Say how many targets of all subjects were never measured."""
    count = sum(int(one.mean.isnan().sum()) for one in units)
    if count:
        warnings.warn(f"{count} targets hold nothing but NaN; their predictions are NaN", stacklevel=3)


def mean_r2(parts: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> float:
    """Mean R2 over targets, each over the samples in which it was measured and predicted; without any it is left out.

    Args:
        parts: measured and predicted responses, [N, V] or [N] each, such as those of several subjects.

    Raises:
        DataError: two shapes differ, or no target was measured.
    """
    found = np.concatenate([_r2(_columns(true), _columns(pred)) for true, pred in parts])
    if np.isnan(found).all():
        raise DataError("no target was measured and predicted in any sample; there is nothing to score")
    return float(np.nanmean(found))


def _r2(true: NDArray[Any], pred: NDArray[Any]) -> NDArray[np.float64]:
    """[N, V], [N, V] -> [V]; NaN where nothing is known."""
    if true.shape != pred.shape:
        raise DataError(f"Y has the shape {true.shape}; wanted {pred.shape}, as the prediction")
    known = np.isfinite(true) & np.isfinite(pred)
    whole, found = known.all(0) & known.any(0), np.full(true.shape[1], np.nan)
    if whole.any():
        found[whole] = r2(true[:, whole], pred[:, whole])
    for target in np.flatnonzero(~whole & known.any(0)):
        rows = known[:, target]
        found[target] = r2(true[rows, target, None], pred[rows, target, None])[0]
    return found


def _columns(values: NDArray[Any]) -> NDArray[Any]:
    """[N] is one target."""
    return values[:, None] if values.ndim == 1 else values
