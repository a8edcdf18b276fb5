"""Features and targets in the frame in which ridge is solved.

Rows are centred (with an intercept) and multiplied by the square root of their sample weight, so that weighted ridge
becomes plain ridge; `root` [N] holds those square roots and is the direction of the intercept. Targets stand in rows.

Primal: the Gram matrix is X'X [P, P], the covariates of a target are X'y, weights fall on features.
Dual: the Gram matrix is XX' [N, N], the covariates are y itself, weights fall on samples; X' carries them to features.

Shapes: N samples, P features, V targets, Q = P (primal) or N (dual).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.errors import DataError
from fusiform.models.precision import product

__all__ = [
    "BLOCK",
    "Design",
    "Frame",
    "Scratch",
    "Targets",
    "add_squares",
    "blocks",
    "make_design",
    "make_targets",
    "to_numpy",
    "to_tensor",
]

BLOCK = 1 << 20  # numbers read and converted at a time
STRIPES = 8  # in which the lower triangle of a symmetric product is made


class Scratch:
    """Memory that is written over by every batch: fresh pages would cost a fifth of the time of the products."""

    def __init__(self) -> None:
        self._held: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def take(self, like: Tensor, *shape: int) -> Tensor:
        """A tensor of that shape, and of the type and device of another; what it holds is lost with the next call."""
        kind, size = (like.device, like.dtype), math.prod(shape)
        if kind not in self._held or self._held[kind].numel() < size:
            self._held[kind] = like.new_empty(size)
        return self._held[kind][:size].view(shape)


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
        along: [N] of the dual without a scale, the rows times the mean, which the pass over the features has made.
        scratch: what batches write over.
    """

    source: Any
    rows: Tensor
    root: Tensor
    mean: Tensor
    gram: Tensor
    dual: bool
    centred: bool
    scale: Tensor | None = None
    along: Tensor | None = None
    scratch: Scratch = field(default_factory=Scratch, compare=False)

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
        if self.scale is None and self.along is not None:
            return self.along.to(self.root.dtype)
        parts = [self.columns(part).double() @ mean[part] for part in blocks(len(mean), len(self.root))]
        return torch.stack(parts).sum(0).to(self.root.dtype)

    def total(self, targets: "Targets") -> Tensor:
        """Covariates of all samples, [V, Q]."""
        return targets.rows if self.dual else product(targets.rows, self.rows.T)

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


def make_design(X: Any, weight: NDArray[Any] | None, *, centred: bool, dual: bool, frame: Frame) -> Design:
    """Read the features [N, P] in blocks (in the primal, a first time for their means), and make their Gram matrix.

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
    share = torch.as_tensor(weight / weight.sum() if centred else np.zeros(len(weight)), device=frame.device)
    design = (_dual_design if dual else _primal_design)(X, root, share.double(), centred)
    if not design.gram.diagonal().isfinite().all():
        raise DataError("X holds NaN, infinite or far too large values; drop or replace them first")
    return design


def make_targets(raw: NDArray[Any], design: Design) -> Targets:
    """Centre, scale and weigh some targets, [N, V]. Those with a NaN are set to zero and marked.

    Raises:
        DataError: a value is infinite.
    """
    rows = to_tensor(raw.T).to(design.root.device)  # [V, N]
    share = (design.root.square() / design.root.square().sum()).double()
    mean, valid = rows @ share, torch.ones_like(rows[:, 0], dtype=torch.bool)
    if not mean.isfinite().all():  # only then is it worth a look at every number
        valid = _without_nan(rows)
        mean = rows @ share
    rows -= (mean if design.centred else mean.zero_())[:, None]
    rows *= design.root
    scale = torch.linalg.vector_norm(rows, dim=1) / design.root.double().norm()
    scale = torch.where(scale <= 1e-12 * mean.abs(), 1.0, scale)  # also where all is zero
    rows /= scale[:, None]
    return Targets(rows.to(design.root.dtype), mean, scale, valid)


def _without_nan(rows: Tensor) -> Tensor:
    """Set targets [V, N] that have a NaN to zero, in place; the others, [V]."""
    if rows.isinf().any():
        raise DataError("responses hold infinite values; drop or replace them first (only NaN marks a missing target)")
    valid = ~rows.isnan().any(1)
    rows[~valid] = 0.0
    return valid


def blocks(count: int, width: int, size: int = BLOCK) -> Iterator[slice]:
    """Slices that cover `count` rows of `width` numbers in blocks of about `size` numbers."""
    step = max(1, size // max(1, width))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def add_squares(gram: Tensor, rows: Tensor, sign: int = 1, *, last: bool = True) -> None:
    """Add the product of rows [Q, n] with themselves to a symmetric [Q, Q], in place and at little over half the cost.

    The lower triangle is made in stripes; with the last of several products it is mirrored.
    """
    edges = np.linspace(0, len(rows), STRIPES + 1).astype(int).tolist()
    for low, high in pairwise(edges):
        gram[low:high, :high].addmm_(rows[low:high], rows[:high].T, alpha=sign)
        if last:
            gram[:low, low:high] = gram[low:high, :low].T


def to_tensor(values: Any) -> Tensor:
    """A float64 copy of an array, whatever the order of its bytes and axes."""
    return torch.from_numpy(np.array(values, dtype=np.float64, order="C"))


def to_numpy(values: Tensor) -> NDArray[np.float64]:
    """A tensor as a float64 array."""
    return np.asarray(values.double().cpu().numpy())


def _primal_design(X: Any, root: Tensor, share: Tensor, centred: bool) -> Design:
    rows, gram = root.new_empty(tuple(X.shape)), share.new_zeros(X.shape[1], X.shape[1])
    mean = share.new_zeros(X.shape[1])
    for part in blocks(*X.shape) if centred else ():
        mean += share[part] @ to_tensor(X[part]).to(share)
    for part in blocks(*X.shape):
        rows[part] = (to_tensor(X[part]).to(share) - mean).to(root) * root[part, None]
        add_squares(gram, rows[part].double().T, last=part.stop == len(rows))
    return Design(X, rows, root, mean, gram, dual=False, centred=centred)


def _dual_design(X: Any, root: Tensor, share: Tensor, centred: bool) -> Design:
    """In one pass: a block of columns has all samples, and so its own mean."""
    means, gram, along = [], share.new_zeros(len(root), len(root)), torch.zeros_like(share)
    for part in blocks(X.shape[1], len(root)):
        block = to_tensor(X[:, part]).to(share)
        means.append(share @ block)
        block.sub_(means[-1]).mul_(root.double()[:, None])
        along.addmv_(block, means[-1])
        add_squares(gram, block, last=part.stop == X.shape[1])
    empty = root[:, None][:, :0]
    return Design(X, empty, root, torch.cat(means), gram, dual=True, centred=centred, along=along)
