"""Banded ridge as functions on arrays: a penalty per band of features, chosen for every target.

With weights g on the simplex, band b is penalised by alpha / g_b: plain ridge on features times sqrt(g_b). So each
candidate g has its own Gram matrix, sum_b g_b X_b X_b' or its primal twin, and the search over alphas on it is that of
plain ridge (la Tour et al. 2022, NeuroImage 264).

Shapes: N samples, P features, V targets, B bands, C candidates, A alphas, Q as in `design`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.models.batches import TargetBatches
from fusiform.models.carrying import Carrier
from fusiform.models.choosing import Rule, at_places, places
from fusiform.models.design import Design, Scratch, add_squares, blocks, to_numpy
from fusiform.models.fitting import Spectrum, make_spectrum, solved, whole_spectrum
from fusiform.models.folds import Split
from fusiform.models.heldout import Scoring, fold_scores
from fusiform.models.results import Results
from fusiform.models.shared import best_of_all
from fusiform.models.solvers import make_folds, scaled
from fusiform.models.spectra import spectrum

__all__ = [
    "Banded",
    "Candidate",
    "Choice",
    "choose",
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
        """The design with every band times the root of its weight; what its batches write over goes when it goes."""
        own = replace(self.design, scratch=Scratch())
        return scaled(own, self._roots(weights), self._gram(weights))

    def spectrum(self, weights: NDArray[np.float64], smallest: float) -> Spectrum:
        """That of `weighted`, for targets of the design as it is: covariates of its own rows are what it solves for.

        In the primal its vectors are those of the weighted features times the roots of the weights, so that covariates
        need not be of weighted rows, whose rounding to float32 a small alpha would magnify.
        """
        gram = self._gram(weights)
        if self.grams is not None:
            return whole_spectrum(replace(self.design, gram=gram), smallest, level=7)
        values, vectors = spectrum(gram)
        return make_spectrum(self.design, values, vectors.mul_(self._roots(weights)[:, None]), smallest)

    def _roots(self, weights: NDArray[np.float64]) -> Tensor:
        """Of each feature's weight, [P]."""
        widths = [band.stop - band.start for band in self.bands]
        return torch.as_tensor(np.sqrt(np.repeat(weights, widths)), device=self.design.gram.device)

    def _gram(self, weights: NDArray[np.float64]) -> Tensor:
        roots = self._roots(weights)
        if self.grams is None:
            return (self.design.gram * roots).mul_(roots[:, None])
        gram: Tensor = torch.tensordot(torch.as_tensor(weights).to(self.grams), self.grams, 1)
        return gram


@dataclass(frozen=True)
class Choice:
    """The best for each target.

    Args:
        score: [V] held-out, higher is better; NaN for a target that was not fitted.
        candidate: [V] index of its band weights.
        alpha: [V].
    """

    score: NDArray[np.float64]
    candidate: NDArray[np.intp]
    alpha: NDArray[np.float64]


def make_banded(design: Design, bands: Sequence[slice]) -> Banded:
    """Bands of a design; in the dual, with a Gram matrix each."""
    if not design.dual:
        return Banded(design, bands, None)
    grams = design.gram.new_zeros(len(bands), *design.gram.shape)
    for gram, band in zip(grams, bands, strict=True):
        for part in blocks(band.stop - band.start, len(gram)):
            columns = design.columns(slice(band.start + part.start, band.start + part.stop)).double()
            add_squares(gram, columns, last=part.stop == band.stop - band.start)
    return Banded(design, bands, grams)


def search(
    banded: Banded,
    candidates: Sequence[Candidate],
    folds: Sequence[Split],
    batches: TargetBatches,
    scoring: Scoring,
    tolerance: float,
    rule: Rule,
    results: Results,
) -> Iterator[int]:
    """Score every candidate that the results do not hold yet, each at the alpha chosen; yields 1 after each.

    Args:
        banded: the features.
        candidates: C of them.
        folds: F, of the samples.
        batches: V targets.
        scoring: which score.
        tolerance: as in `make_fold`.
        rule: what chooses each target's alpha; or all share the alpha and the candidate that are best for their mean.
        results: arrays `scores` and `alphas`, [C, V], of which each candidate is a row; and of the best one so far
            `curves` [V, A], NaN where it has fewer alphas, and `folds` [V, F].
    """
    shared = rule == "shared"
    best = np.array(_merit(results.arrays["scores"][: results.done], shared).max(0, initial=-np.inf))
    for candidate in candidates[results.done :]:
        parts = _curves(banded, candidate, folds, batches, scoring, tolerance)
        results.write(results.done + 1, _take(candidate, _together(parts) if shared else parts, rule, best, results))
        yield 1


def choose(results: Results, shared: bool) -> Choice:
    """Each target's best candidate, the first of equals."""
    scores, alphas = results.arrays["scores"], results.arrays["alphas"]
    best = np.argmax(_merit(scores, shared), axis=0)
    columns = np.arange(len(best))
    return Choice(np.array(scores[best, columns]), best, np.array(alphas[best, columns]))


def _merit(scores: NDArray[np.float64], shared: bool) -> NDArray[np.float64]:
    """What candidates [C, V] are compared by: each target's own score, or the mean over the targets that are fitted."""
    if not shared:
        return scores
    return np.broadcast_to(np.nanmean(scores, axis=1, keepdims=True), scores.shape)


Scored = Iterator[tuple[slice, Tensor, Tensor]]  # targets, their held-out scores [F, v, A], and which are valid [v]


def _curves(
    banded: Banded,
    candidate: Candidate,
    folds: Sequence[Split],
    batches: TargetBatches,
    scoring: Scoring,
    tolerance: float,
) -> Scored:
    """What a candidate scores, batch by batch."""
    design = banded.weighted(candidate.weights)
    searches = make_folds(design, folds, candidate.alphas, tolerance, len(batches))
    for part, targets in batches:
        yield part, fold_scores(searches, design, targets, scoring)[0], targets.valid


def _together(parts: Scored) -> Scored:
    """All batches as one."""
    columns, found, valid = zip(*parts, strict=True)
    yield slice(0, columns[-1].stop), torch.cat(found, dim=1), torch.cat(valid)


def _take(
    candidate: Candidate, parts: Scored, rule: Rule, best: NDArray[np.float64], results: Results
) -> dict[str, NDArray[np.float64]]:
    """The score and alpha of every target, [1, V] each; curves of those that beat their best [V] go to the results."""
    score, alphas = np.empty_like(best), np.empty_like(best)
    for part, found, valid in parts:
        curves = torch.where(valid[:, None], found.mean(0), torch.nan)
        place = _shared_place(curves) if rule == "shared" else places(found, _shrinkage(candidate, rule))
        score[part] = to_numpy(curves.gather(1, place[:, None])[:, 0])
        alphas[part] = candidate.alphas[place.cpu().numpy()]
        merit = _merit(score[None, part], rule == "shared")[0]
        better = np.flatnonzero(merit > best[part])
        best[part] = np.maximum(best[part], merit)
        rows = results.arrays["curves"], results.arrays["folds"]
        rows[0][part.start + better] = np.nan  # where another candidate had more alphas
        rows[0][part.start + better, : curves.shape[1]] = to_numpy(curves)[better]
        rows[1][part.start + better] = to_numpy(at_places(found, place).T)[better]
    return {"scores": score[None], "alphas": alphas[None]}


def _shared_place(curves: Tensor) -> Tensor:
    """Place of the alpha that is best for the mean of all targets, [V], from their curves [V, A]."""
    return torch.full((len(curves),), best_of_all(to_numpy(curves)), device=curves.device)


def _shrinkage(candidate: Candidate, rule: Rule) -> NDArray[np.float64] | None:
    return candidate.alphas if rule == "conservative" else None


def solve_bands(
    banded: Banded, candidates: Sequence[Candidate], choice: Choice, batches: TargetBatches
) -> NDArray[Any]:
    """Weights on the features, [V, P], of every target at its own band weights and alpha."""
    coef = np.empty((len(choice.candidate), len(banded.design.mean)), f"float{8 * banded.design.root.itemsize}")
    carrier = Carrier(banded.design, banded.bands, coef)
    factors = torch.as_tensor(np.stack([one.weights for one in candidates]))[choice.candidate]  # [V, B]
    for own, weights in _solved(banded, candidates, choice, batches):
        if banded.design.dual:
            carrier.add(own, weights, factors[own])
        else:
            coef[own] = weights.cpu().numpy()
    carrier.write()
    return coef


def _solved(
    banded: Banded, candidates: Sequence[Candidate], choice: Choice, batches: TargetBatches
) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
    """Some targets [v] and their weights [v, Q], on features or on samples; those of one candidate after the other."""
    for index in np.unique(choice.candidate).tolist():
        mine = choice.candidate == index
        whole = banded.spectrum(candidates[index].weights, float(choice.alpha[mine].min()))
        for own, targets in batches.some(mine):
            alphas = torch.as_tensor(choice.alpha[own], device=banded.design.root.device)
            yield own, solved(banded.design, whole, targets, banded.design.total(targets), alphas)
        del whole  # before the next one is made


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
