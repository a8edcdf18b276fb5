"""Is it right? The search of ridge once more in float64, alpha by alpha, without any basis."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiform.models.folds import splits

TARGETS = 400  # that are checked, evenly spread
Array = NDArray[Any]


def ridge_accuracy(job: Any, model: Any) -> dict[str, Any]:
    """Share of equal alphas, regret of held-out loss, and error of predictions at the same alpha in the target's sd."""
    chosen = spread(job.Y.shape[1])
    X, Y = job.X.astype(np.float64), np.asarray(job.Y[:, chosen], dtype=np.float64)
    losses = held_out(X, Y, job.alphas)  # [A, V]
    best = np.abs(np.log(job.alphas[:, None] / model.best_alphas_[chosen])).argmin(0)
    steps = np.abs(best - losses.argmin(0))
    slow = predicted(X, Y, X, model.best_alphas_[chosen])
    found = model.predict(job.X)[:, chosen]
    return {
        "max_rel_diff": float((np.abs(found - slow) / Y.std(0)).max()),
        "same_alpha": float((steps == 0).mean()),
        "furthest_step": int(steps.max()),
        "regret": float((losses[best, np.arange(len(best))] / losses.min(0) - 1).max()),
        "targets_checked": len(chosen),
    }


def banded_accuracy(job: Any, model: Any) -> dict[str, Any]:
    """As `ridge_accuracy`, over all candidates and alphas; the share is of equal pairs of both."""
    chosen = spread(job.Y.shape[1])
    X, Y = job.X.astype(np.float64), np.asarray(job.Y[:, chosen], dtype=np.float64)
    scales = [np.sqrt(np.repeat(weights, X.shape[1] // job.bands)) for weights in model.candidates_]
    losses = np.stack([held_out(X * scale, Y, job.alphas) for scale in scales])  # [C, A, V]
    which = (model.band_weights_[chosen][:, None] == model.candidates_).all(2).argmax(1)
    best = np.abs(np.log(job.alphas[:, None] / model.best_alphas_[chosen])).argmin(0)
    ours, least = losses[which, best, np.arange(len(chosen))], losses.min((0, 1))
    width = X.shape[1] // job.bands
    bands = {f"band {i}": job.X[:, i * width : (i + 1) * width] for i in range(job.bands)}
    found = model.predict(bands)[:, chosen]
    slow = np.empty_like(Y)
    for index in np.unique(which):
        own, scaled = which == index, X * scales[index]
        slow[:, own] = predicted(scaled, Y[:, own], scaled, model.best_alphas_[chosen][own])
    return {
        "max_rel_diff": float((np.abs(found - slow) / Y.std(0)).max()),
        "same_alpha": float((ours == least).mean()),
        "furthest_step": int(np.abs(best - losses.min(0).argmin(0)).max()),
        "regret": float((ours / least - 1).max()),
        "targets_checked": len(chosen),
    }


def held_out(X: Array, Y: Array, alphas: Array, folds: int = 5) -> Array:
    """Mean squared held-out error of every alpha, [A, V]."""
    losses = []
    for train, test in splits(folds, len(X)):
        pred = solver(X[train], Y[train], X[test])
        losses.append([np.square(Y[test] - pred(alpha)).mean(0) for alpha in alphas])
    return np.mean(losses, axis=0)


def predicted(X: Array, Y: Array, new: Array, alphas: Array) -> Array:
    """Predictions for new samples, every target at its own alpha."""
    return np.asarray(solver(X, Y, new)(alphas))


def solver(X: Array, Y: Array, new: Array) -> Any:
    """Predictions as a function of alpha, by the singular vectors of the centred features."""
    mean, level = X.mean(0), Y.mean(0)
    left, size, right = np.linalg.svd(X - mean, full_matrices=False)
    coefficients, across = left.T @ (Y - level), (new - mean) @ right.T
    return lambda alpha: across @ (coefficients * (size[:, None] / (size[:, None] ** 2 + alpha))) + level


def spread(count: int) -> Array:
    return np.unique(np.linspace(0, count - 1, TARGETS).astype(int))
