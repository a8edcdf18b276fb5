"""Banded ridge as functions on arrays: a penalty per band of features, chosen for every target.

With weights g on the simplex, band b is penalised by alpha / g_b: plain ridge on features times sqrt(g_b). So each
candidate g has its own Gram matrix, sum_b g_b X_b X_b' or its primal twin, and the search over alphas on it is that of
plain ridge (la Tour et al. 2022, NeuroImage 264).

Shapes: N samples, P features, V targets, B bands, C candidates, A alphas, Q as in `design`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fusiform.errors import SettingsError
from fusiform.models.design import Design, TargetBatches, to_numpy
from fusiform.models.fitting import solved, whole_spectrum
from fusiform.models.folds import Split
from fusiform.models.heldout import Scoring, fold_scores
from fusiform.models.results import Results
from fusiform.models.solvers import make_folds, scaled

__all__ = [
    "Banded",
    "Candidate",
    "Choice",
    "check_candidates",
    "choose",
    "draw_candidates",
    "grid_candidates",
    "make_banded",
    "search",
    "solve_bands",
    "split_variance",
]


@dataclass(frozen=True)
class Candidate:
    """Band weights to try, and the alphas to try with them.

    Args:
        weights: [B], of sum one.
        alphas: [A].
    """

    weights: NDArray[np.float64]
    alphas: NDArray[np.float64]


@dataclass(frozen=True)
class Banded:
    """A design of several bands.

    Args:
        design: all bands side by side, unweighted.
        bands: columns of each.
        grams: [B, N, N] each band's own Gram matrix, in the dual; None in the primal, where weights scale the whole.
    """

    design: Design
    bands: Sequence[slice]
    grams: Tensor | None

    def weighted(self, weights: NDArray[np.float64]) -> Design:
        """The design with every band times the root of its weight."""
        root = np.sqrt(np.repeat(weights, [band.stop - band.start for band in self.bands]))
        scale = torch.as_tensor(root, device=self.design.gram.device)
        if self.grams is not None:
            return scaled(self.design, scale, torch.tensordot(torch.as_tensor(weights).to(self.grams), self.grams, 1))
        return scaled(self.design, scale, self.design.gram * scale * scale[:, None])


@dataclass(frozen=True)
class Choice:
    """The best for each target.

    Args:
        score: [V] held-out, higher is better.
        candidate: [V] index of its band weights.
        alpha: [V].
        scores: [C, V] best score of each candidate.
    """

    score: Tensor
    candidate: Tensor
    alpha: Tensor
    scores: Tensor


def draw_candidates(bands: int, count: int, alphas: NDArray[np.float64], seed: int) -> list[Candidate]:
    """Equal weights first, then Dirichlet draws: every other one spread evenly (1), the rest near the corners (0.1)."""
    rng = np.random.default_rng(seed)
    draws = [rng.dirichlet(np.full(bands, (1.0, 0.1)[i % 2])) for i in range(count - 1)]
    return [Candidate(weights, alphas) for weights in [np.full(bands, 1 / bands), *draws]]


def grid_candidates(grids: Sequence[NDArray[np.float64]]) -> list[Candidate]:
    """Every combination of the bands' own penalties, those of equal ratios together in one candidate."""
    penalties = np.array(list(product(*grids)))  # [combinations, B]
    alphas = 1 / (1 / penalties).sum(1)
    weights = alphas[:, None] / penalties
    ratios = np.log(penalties / penalties[:, :1])  # weights of bands that hardly count would all round to zero
    _, group = np.unique(ratios.round(9), axis=0, return_inverse=True)
    members = [np.flatnonzero(group.ravel() == one) for one in range(group.max() + 1)]
    return [Candidate(weights[rows[0]], np.sort(alphas[rows])) for rows in members]


def make_banded(design: Design, bands: Sequence[slice]) -> Banded:
    """Bands of a design; in the dual, with a Gram matrix each."""
    if not design.dual:
        return Banded(design, bands, None)
    parts = [design.columns(band).double() for band in bands]
    return Banded(design, bands, torch.stack([part @ part.T for part in parts]))


def search(
    banded: Banded,
    candidates: Sequence[Candidate],
    folds: Sequence[Split],
    batches: TargetBatches,
    scoring: Scoring,
    tolerance: float,
    results: Results,
) -> Iterator[int]:
    """Score every candidate that the results do not hold yet, each at its best alpha; yields 1 after each.

    Args:
        banded: the features.
        candidates: C of them.
        folds: of the samples.
        batches: V targets.
        scoring: which score.
        tolerance: as in `make_fold`.
        results: arrays `scores` and `alphas`, [C, V].
    """
    for candidate in candidates[results.done :]:
        design = banded.weighted(candidate.weights)
        searches = make_folds(design, folds, candidate.alphas, tolerance, len(batches))
        found = [fold_scores(searches, design, batch, scoring)[0].mean(0) for batch in batches]
        score, best = torch.cat(found).max(1)
        parts = {"scores": to_numpy(score)[None], "alphas": candidate.alphas[best.cpu().numpy()][None]}
        results.write(results.done + 1, parts)
        yield 1


def choose(results: Results, like: Tensor) -> Choice:
    """Each target's best candidate, the first of equals; tensors like another one."""
    scores, alphas = results.arrays["scores"], results.arrays["alphas"]
    best = np.argmax(scores, axis=0)
    columns = np.arange(len(best))
    score, alpha, every = (
        torch.as_tensor(part).to(like) for part in (scores[best, columns], alphas[best, columns], scores)
    )
    return Choice(score, torch.as_tensor(best, device=like.device), alpha, every)


def solve_bands(banded: Banded, candidates: Sequence[Candidate], choice: Choice, batches: TargetBatches) -> Tensor:
    """Weights on the features, [V, P], of every target at its own band weights and alpha."""
    coef = banded.design.root.new_zeros(len(choice.score), len(banded.design.mean))
    for index in np.unique(choice.candidate.cpu().numpy()).tolist():
        design = banded.weighted(candidates[index].weights)
        whole = whole_spectrum(design)
        for part in batches.parts:
            own = torch.nonzero(choice.candidate[part] == index)[:, 0]
            if len(own):
                batch, place = batches[part], part.start + own
                few = replace(batch, rows=batch.rows[own], scale=batch.scale[own])
                weights = solved(design, whole, few, design.total(few), choice.alpha[place])
                coef[place] = design.on_features(weights)
    return coef


def split_variance(
    true: NDArray[np.float64], parts: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Variance explained by each band, [V] each, of sum R2: the product measure sum(p_b (2 y - p)) / sum(y^2).

    Args:
        true: [N, V] centred responses.
        parts: band -> [N, V] what it contributes to the prediction p, the sum of all.
    """
    whole = np.sum(list(parts.values()), axis=0)
    power = np.square(true).sum(0)
    power = np.where(power > 0, power, 1.0)
    return {name: (part * (2 * true - whole)).sum(0) / power for name, part in parts.items()}


def check_candidates(candidates: ArrayLike, bands: int) -> NDArray[np.float64]:
    """Band weights [C, B], each of sum one."""
    weights = np.atleast_2d(np.asarray(candidates, dtype=np.float64))
    if weights.ndim != 2 or weights.shape[1] != bands or not (weights >= 0).all() or not (weights.sum(1) > 0).all():
        raise SettingsError(
            f"candidates has the shape {weights.shape}; wanted [C, {bands}], a row of weights not below "
            "zero per candidate"
        )
    return np.asarray(weights / weights.sum(1, keepdims=True))
