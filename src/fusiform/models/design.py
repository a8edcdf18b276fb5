"""Features and targets in the frame in which ridge is solved.

Rows are centred (with an intercept) and multiplied by the square root of their sample weight, so that weighted ridge
becomes plain ridge; `root` [N] holds those square roots and is the direction of the intercept. Targets stand in rows.

Primal: the Gram matrix is X'X [P, P], the covariates of a target are X'y, weights fall on features.
Dual: the Gram matrix is XX' [N, N], the covariates are y itself, weights fall on samples; X' carries them to features.

Shapes: N samples, P features, V targets, Q = P (primal) or N (dual).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.errors import DataError

__all__ = [
    "BLOCK",
    "Design",
    "Frame",
    "TargetBatches",
    "Targets",
    "blocks",
    "make_design",
    "make_targets",
    "to_numpy",
    "to_tensor",
]

BLOCK = 1 << 22  # numbers read and converted at a time


@dataclass(frozen=True)
class Frame:
    """Where and how finely to compute."""

    device: torch.device
    dtype: torch.dtype


@dataclass(frozen=True)
class Design:
    """Features in the common frame.

    Args:
        source: [N, P] as handed in.
        rows: [N, P] centred and weighed; in the dual empty, [N, 0]: columns are then read from the source as needed.
        root: [N] square roots of the sample weights.
        mean: [P] weighted means that were taken off; zero without an intercept.
        gram: [Q, Q] in float64, the one place where float32 loses digits that matter.
        dual: which of the two forms.
        centred: there is an intercept.
        scale: [P] factors on the features, or None; the penalty of a feature is divided by its square.
    """

    source: Any
    rows: Tensor
    root: Tensor
    mean: Tensor
    gram: Tensor
    dual: bool
    centred: bool
    scale: Tensor | None = None

    def columns(self, chosen: slice) -> Tensor:
        """Some columns of the rows, [N, p]."""
        if not self.dual:
            return self.rows[:, chosen]
        part = to_tensor(self.source[:, chosen]).to(self.root.device)
        part = (part - self.mean[chosen]) * self.root.double()[:, None]
        return (part if self.scale is None else part * self.scale[chosen]).to(self.root.dtype)

    @cached_property
    def level(self) -> Tensor:
        """Sum of the rows along the root, [P] in float64: rounding, where they are centred."""
        root = self.root.double()
        return torch.stack([self.rows[part].double().T @ root[part] for part in blocks(*self.rows.shape)]).sum(0)

    @cached_property
    def mean_covariates(self) -> Tensor:
        """Covariates of the mean sample, [Q]: what weights [V, Q] predict of it is their product."""
        mean = self.mean if self.scale is None else self.mean * self.scale
        if not self.dual:
            return mean.to(self.root.dtype)
        parts = [self.columns(part).double() @ mean[part] for part in blocks(len(mean), len(self.root))]
        return torch.stack(parts).sum(0).to(self.root.dtype)

    def total(self, targets: "Targets") -> Tensor:
        """Covariates of all samples, [V, Q]."""
        return targets.rows if self.dual else targets.rows @ self.rows

    def on_features(self, weights: Tensor) -> Tensor:
        """Weights [V, Q] as weights on the features of the source, [V, P]."""
        if self.dual:
            parts = [weights @ self.columns(part) for part in blocks(len(self.mean), len(self.root))]
            weights = torch.cat(parts, dim=1)
        return weights if self.scale is None else weights * self.scale.to(weights)


@dataclass(frozen=True)
class Targets:
    """Some targets in the common frame, standardised so that float32 is safe whatever their units.

    Args:
        rows: [V, N].
        mean: [V] weighted means; zero without an intercept.
        scale: [V] root mean squares that were divided out; one for a target that does not vary.
        valid: [V] false where a target has a NaN; it is zero here.
    """

    rows: Tensor
    mean: Tensor
    scale: Tensor
    valid: Tensor


@dataclass(frozen=True)
class TargetBatches:
    """Targets in batches, read from their source and put in the common frame each time one is asked for.

    Args:
        source: [N, V], in memory or on disk.
        design: whose frame it is.
        size: targets of a batch.
    """

    source: Any
    design: Design
    size: int

    @property
    def parts(self) -> list[slice]:
        """Columns of each batch."""
        return list(blocks(self.source.shape[1], 1, self.size))

    def __len__(self) -> int:
        return int(self.source.shape[1])

    def __iter__(self) -> Iterator[Targets]:
        return (self[part] for part in self.parts)

    def __getitem__(self, part: slice) -> Targets:
        return make_targets(np.asarray(self.source[:, part]), self.design)


def make_design(X: Any, weight: NDArray[Any] | None, *, centred: bool, dual: bool, frame: Frame) -> Design:
    """Read the features [N, P] once, in blocks, and make their Gram matrix.

    Args:
        X: anything sliced like an array.
        weight: [N] sample weights; None: all one.
        centred: there is an intercept.
        dual: the form.
        frame: device and precision.

    Raises:
        DataError: a value is not finite.
    """
    weight = np.ones(X.shape[0]) if weight is None else weight
    root = torch.as_tensor(np.sqrt(weight)).to(frame.device, frame.dtype)
    mean = _mean(X, weight) if centred else torch.zeros(X.shape[1], dtype=torch.float64)
    make = _dual_design if dual else _primal_design
    design = make(X, root, mean.to(frame.device), centred)
    if not design.gram.diagonal().isfinite().all():
        raise DataError("X holds NaN, infinite or far too large values; drop or replace them first")
    return design


def make_targets(raw: NDArray[Any], design: Design) -> Targets:
    """Centre, scale and weigh some targets, [N, V]. Those with a NaN are set to zero and marked.

    Raises:
        DataError: a value is infinite.
    """
    rows = to_tensor(raw.T).to(design.root.device)  # [V, N]
    if rows.isinf().any():
        raise DataError("responses hold infinite values; drop or replace them first (only NaN marks a missing target)")
    valid = ~rows.isnan().any(1)
    rows[~valid] = 0.0
    share = (design.root.square() / design.root.square().sum()).double()
    mean = rows @ share if design.centred else torch.zeros_like(rows[:, 0])
    rows -= mean[:, None]
    scale = (rows.square() @ share).sqrt()
    scale = torch.where(scale <= 1e-12 * mean.abs(), 1.0, scale)  # also where all is zero
    rows /= scale[:, None]
    return Targets(rows.to(design.root.dtype) * design.root, mean, scale, valid)


def blocks(count: int, width: int, size: int = BLOCK) -> Iterator[slice]:
    """Slices that cover `count` rows of `width` numbers in blocks of about `size` numbers."""
    step = max(1, size // max(1, width))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def to_tensor(values: Any) -> Tensor:
    """A float64 copy of an array, whatever the order of its bytes and axes."""
    return torch.from_numpy(np.array(values, dtype=np.float64, order="C"))


def to_numpy(values: Tensor) -> NDArray[np.float64]:
    """A tensor as a float64 array."""
    return np.asarray(values.double().cpu().numpy())


def _mean(X: Any, weight: NDArray[Any]) -> Tensor:
    share = torch.as_tensor(weight / weight.sum(), dtype=torch.float64)
    parts = [share[rows] @ to_tensor(X[rows]) for rows in blocks(*X.shape)]
    return torch.stack(parts).sum(0)


def _primal_design(X: Any, root: Tensor, mean: Tensor, centred: bool) -> Design:
    rows = root.new_empty(tuple(X.shape))
    gram = mean.new_zeros(len(mean), len(mean))
    for part in blocks(*X.shape):
        block = to_tensor(X[part]).to(root.device)
        rows[part] = (block - mean).to(root.dtype) * root[part, None]
        exact = rows[part].double()
        gram.addmm_(exact.T, exact)
    return Design(X, rows, root, mean, gram, dual=False, centred=centred)


def _dual_design(X: Any, root: Tensor, mean: Tensor, centred: bool) -> Design:
    empty = Design(
        X, root[:, None][:, :0], root, mean, mean.new_zeros(len(root), len(root)), dual=True, centred=centred
    )
    for part in blocks(len(mean), len(root)):
        exact = empty.columns(part).double()
        empty.gram.addmm_(exact, exact.T)
    return empty
