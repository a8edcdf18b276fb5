"""Ridge regression as functions on arrays: every alpha's held-out error per target, and weights at the best one.

All in one frame: rows are centred and multiplied by the square root of their sample weight, so that weighted ridge
becomes plain ridge; `root` [N] holds those square roots and is the direction of the intercept. Targets stand in rows,
so that one matrix product of `covariates` [V, Q] and a fold's `operator` [R * M, Q] gives all basis predictions.

Primal: the Gram matrix is X'X [P, P], the covariates of a target X'y.
Dual: the Gram matrix is XX' [N, N], the covariates y itself; weights are then X' times the dual weights.

Shapes: N samples (n in training, M held out), P features, V targets, A alphas, R basis filters,
Q = P (primal) or n (dual).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.models.folds import Split
from fusiform.models.spectra import filter_basis, spectrum

__all__ = [
    "Design",
    "Fold",
    "Frame",
    "Scoring",
    "Solution",
    "Targets",
    "held_out_curves",
    "make_design",
    "make_fold",
    "make_targets",
    "solve",
    "weights",
]

Scoring = Literal["mse", "r2", "pearson"]


@dataclass(frozen=True)
class Design:
    """Features in the common frame.

    Args:
        rows: [N, P] centred (with an intercept) and times the root of the sample weights.
        root: [N] square roots of the sample weights.
        mean: [P] weighted means that were taken off; zero without an intercept.
        gram: [P, P] or [N, N].
        dual: which of the two.
        centred: there is an intercept.
    """

    rows: Tensor
    root: Tensor
    mean: Tensor
    gram: Tensor
    dual: bool
    centred: bool


@dataclass(frozen=True)
class Fold:
    """What predicts the held-out samples of one fold for a whole grid of alphas.

    Args:
        train: [n] positions.
        test: [M] positions.
        left: [N - n] positions not trained on, whose part is taken off the total; None: covariates are made directly.
        left_rows: [N - n, P] their rows of the design.
        mean: [P] or, in the dual, empty: mean of the training rows along `root`.
        operator: [R * M, Q].
        mix: [A, R].
        error: bound on the error of held-out predictions by mixing, relative to the target's rms.
    """

    train: Tensor
    test: Tensor
    left: Tensor | None
    left_rows: Tensor | None
    mean: Tensor
    operator: Tensor
    mix: Tensor
    error: float


@dataclass(frozen=True)
class Targets:
    """Some targets in the common frame, standardised so that float32 is safe whatever their units.

    Args:
        rows: [V, N].
        mean: [V] weighted means; zero without an intercept.
        scale: [V] root mean squares that were divided out; one for a target that does not vary.
    """

    rows: Tensor
    mean: Tensor
    scale: Tensor


@dataclass(frozen=True)
class Frame:
    """Where and how finely to compute."""

    device: torch.device
    dtype: torch.dtype


@dataclass(frozen=True)
class Solution:
    """What was found for a batch of targets.

    Args:
        curves: [A, V] held-out score of each alpha, mean over folds, higher is better.
        best: [V] index of the chosen alpha.
        weights: [V, P] weights or, in the dual, [V, N] weights on the rows of the design.
        intercept: [V].
    """

    curves: NDArray[np.float64]
    best: NDArray[np.int64]
    weights: NDArray[Any]
    intercept: NDArray[Any]


def make_design(X: NDArray[Any], weight: NDArray[Any] | None, *, centred: bool, dual: bool, frame: Frame) -> Design:
    """Centre and weigh the features [N, P] and make their Gram matrix."""
    rows = torch.tensor(X, device=frame.device, dtype=frame.dtype)
    weight = np.ones(len(X)) if weight is None else weight
    root = torch.as_tensor(np.sqrt(weight)).to(frame.device, frame.dtype)
    share = root.square() / root.square().sum()
    mean = share @ rows if centred else torch.zeros_like(rows[0])
    rows = (rows - mean) * root[:, None]
    return Design(rows, root, mean, rows @ rows.T if dual else rows.T @ rows, dual, centred)


def make_fold(design: Design, split: Split, alphas: NDArray[np.float64], tolerance: float) -> Fold:
    """Decompose the training Gram matrix of a fold, once for all alphas and targets.

    Args:
        design: the features.
        split: positions of training and of held-out samples.
        alphas: [A].
        tolerance: largest error of held-out predictions by mixing basis filters, relative to the target's rms.
    """
    train, test = (torch.as_tensor(rows, device=design.rows.device) for rows in split)
    left = _left_out(split, design)
    gram, held, mean = (_dual_fold if design.dual else _primal_fold)(design, train, test, left)
    values, vectors = spectrum(gram)
    rotated = held @ vectors  # [M, Q]
    reach = rotated.norm(dim=0) if design.dual else rotated.norm(dim=0) * values.sqrt()
    scale = float(design.root[test].norm() / design.root[train].norm())
    basis = filter_basis(_numpy(values), _numpy(reach), alphas, tolerance * scale)
    stack = torch.as_tensor(basis.basis).to(rotated)[:, None, :] * rotated  # [R, M, Q]
    return Fold(
        train,
        test,
        left,
        None if left is None or design.dual else design.rows[left],
        mean,
        stack.reshape(-1, stack.shape[2]) @ vectors.T,
        torch.as_tensor(basis.mix, device=rotated.device),
        basis.error / scale,
    )


def make_targets(Y: NDArray[Any], design: Design) -> Targets:
    """Centre, scale and weigh some targets, [N, V]."""
    raw = torch.tensor(Y.T, device=design.rows.device, dtype=torch.float64)  # [V, N]
    share = (design.root.square() / design.root.square().sum()).double()
    mean = raw @ share if design.centred else torch.zeros_like(raw[:, 0])
    raw = raw - mean[:, None]
    scale = (raw.square() @ share).sqrt()
    scale = torch.where(scale <= 1e-12 * mean.abs(), 1.0, scale)  # also where all is zero
    rows = (raw / scale[:, None]).to(design.rows.dtype) * design.root
    return Targets(rows.contiguous(), mean, scale)


def held_out_curves(fold: Fold, design: Design, targets: Targets, total: Tensor, scoring: Scoring) -> Tensor:
    """Held-out score of every alpha in one fold, [V, A], in units of the standardised targets; higher is better.

    Basis predictions, the target and the intercept's direction stand in one buffer; their products with each other,
    [R + 2, R + 2] for each target, hold all that any alpha's score needs.
    """
    root = design.root[fold.train]
    level = targets.rows[:, fold.train] @ root / root.square().sum()  # [V]
    level = level if design.centred else torch.zeros_like(level)
    covariates = _covariates(fold, design, targets.rows, total, level)
    count, rank, held = len(covariates), fold.mix.shape[1], len(fold.test)
    buffer = covariates.new_empty(count, rank + 2, held)
    torch.mm(covariates, fold.operator.T, out=buffer.view(count, -1)[:, : rank * held])
    buffer[:, rank] = targets.rows[:, fold.test] - level[:, None] * design.root[fold.test]
    buffer[:, rank + 1] = design.root[fold.test]
    return _scores(torch.bmm(buffer, buffer.mT).double(), fold.mix, scoring)


def weights(covariates: Tensor, values: Tensor, vectors: Tensor, alphas: Tensor) -> Tensor:
    """Ridge weights [V, Q] of every target at its own alpha [V], from covariates [V, Q] and a spectrum."""
    total = values + alphas[:, None]
    null = total <= len(values) * torch.finfo(values.dtype).eps * values.max()
    return (covariates @ vectors * torch.where(null, 0.0, 1 / total)) @ vectors.T


def solve(
    design: Design,
    folds: Sequence[Fold],
    Y: NDArray[Any],
    alphas: NDArray[np.float64],
    scoring: Scoring,
    batch: int,
) -> Iterator[tuple[slice, Solution]]:
    """Choose each target's alpha by its held-out score and solve for its weights, a batch of targets at a time."""
    values, vectors = spectrum(design.gram)
    grid = torch.as_tensor(alphas).to(values)
    for start in range(0, Y.shape[1], batch):
        columns = slice(start, min(start + batch, Y.shape[1]))
        targets = make_targets(Y[:, columns], design)
        total = targets.rows if design.dual else targets.rows @ design.rows
        curves = torch.stack([held_out_curves(fold, design, targets, total, scoring) for fold in folds]).mean(0)
        best = curves.argmax(1)
        found = weights(total, values, vectors, grid[best]) * targets.scale[:, None].to(total)
        yield columns, _solution(design, targets, curves, best, found, scoring)


def _solution(
    design: Design, targets: Targets, curves: Tensor, best: Tensor, found: Tensor, scoring: Scoring
) -> Solution:
    if scoring == "mse":
        curves = curves * targets.scale[:, None].square()
    offset = found @ (design.rows @ design.mean if design.dual else design.mean)
    intercept = (targets.mean - offset.double()).to(found)
    return Solution(_numpy(curves.T), best.cpu().numpy(), found.cpu().numpy(), intercept.cpu().numpy())


def _covariates(fold: Fold, design: Design, rows: Tensor, total: Tensor, level: Tensor) -> Tensor:
    """Covariates [V, Q] of the training rows: X'y (primal) or y (dual), both about the training mean."""
    if design.dual:
        return rows[:, fold.train] - level[:, None] * design.root[fold.train]
    if fold.left is None or fold.left_rows is None:
        inside = rows[:, fold.train] @ design.rows[fold.train]
    else:
        inside = total - rows[:, fold.left] @ fold.left_rows
    if not design.centred:
        return inside
    return inside - torch.outer(level * design.root[fold.train].square().sum(), fold.mean)


def _left_out(split: Split, design: Design) -> Tensor | None:
    """Positions to take off the total, where they are fewer than the training samples and none is trained on twice."""
    train, _ = split
    count = len(design.rows)
    left = np.setdiff1d(np.arange(count), train)
    if len(left) + len(train) != count or len(left) >= len(train):
        return None
    return torch.as_tensor(left, device=design.rows.device)


def _primal_fold(design: Design, train: Tensor, test: Tensor, left: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Training Gram [P, P], held-out rows [M, P] and training mean [P], about that mean."""
    rows, root = design.rows[train], design.root[train]
    gram = rows.T @ rows if left is None else design.gram - design.rows[left].T @ design.rows[left]
    if not design.centred:
        return gram, design.rows[test], torch.zeros_like(design.mean)
    size = root.square().sum()
    mean = root @ rows / size
    return gram - size * torch.outer(mean, mean), design.rows[test] - torch.outer(design.root[test], mean), mean


def _dual_fold(design: Design, train: Tensor, test: Tensor, left: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Training Gram [n, n], that of held-out with training rows [M, n], about the training mean; no mean is needed."""
    gram, held = design.gram[train[:, None], train], design.gram[test[:, None], train]
    if not design.centred:
        return gram, held, design.mean[:0]
    root = design.root[train]
    unit = root / root.norm()
    level = gram @ unit  # [n]
    held = held - torch.outer(design.root[test] / root.norm(), level)
    gram = gram - torch.outer(unit, level) - torch.outer(level, unit) + unit @ level * torch.outer(unit, unit)
    return gram, held - torch.outer(held @ unit, unit), design.mean[:0]


def _scores(products: Tensor, mix: Tensor, scoring: Scoring) -> Tensor:
    """Scores [V, A] from the products [V, R + 2, R + 2] of basis predictions, target and root with each other."""
    rank = mix.shape[1]
    inner, cross = products[:, :rank, :rank], products[:, :rank, rank] @ mix.T  # cross: [V, A] prediction . target
    power = ((mix @ inner) * mix).sum(2)  # [V, A] prediction . prediction
    size = products[:, rank + 1, rank + 1, None]  # sum of the sample weights
    own = products[:, rank, rank, None]
    error = (power - 2 * cross + own).clamp(min=0)
    if scoring == "mse":
        return -error / size
    spread = own - products[:, rank, rank + 1, None].square() / size
    if scoring == "r2":
        return _ratio(spread - error, spread, own)
    level = products[:, :rank, rank + 1] @ mix.T  # [V, A] sum of the predictions
    shared = cross - level * products[:, rank, rank + 1, None] / size
    varied = (power - level.square() / size).clamp(min=0)
    return _ratio(shared, (varied * spread).sqrt(), (power * own).sqrt())


def _ratio(top: Tensor, bottom: Tensor, whole: Tensor) -> Tensor:
    """Their ratio; zero where the bottom is nothing but rounding of the whole: a constant explains nothing."""
    flat = bottom <= 1e-10 * whole
    return torch.where(flat, 0.0, top / torch.where(flat, 1.0, bottom))


def _numpy(values: Tensor) -> NDArray[np.float64]:
    return np.asarray(values.double().cpu().numpy())
