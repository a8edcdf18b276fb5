"""Features with a spectrum that falls steadily, and least squares and ridge on them in float64."""

import numpy as np


def graded(rng, n, p, decades, v=6):
    """Centred features in float32 whose singular values fall from one by so many decades, and noise for targets."""
    rank = min(n - 1, p)
    left = rng.standard_normal((n, rank))
    left = np.linalg.qr(left - left.mean(0))[0]
    right = np.linalg.qr(rng.standard_normal((p, rank)))[0]
    X = left * np.logspace(0, -decades, rank) @ right.T
    return X.astype(np.float32), rng.standard_normal((n, v)).astype(np.float32)


def free(X, Y, rcond=1e-9):
    """Least squares, [V, P], of least norm; directions below `rcond` of the largest are none."""
    X, Y = (part.astype(np.float64) for part in (X, Y))
    return (np.linalg.pinv(X - X.mean(0), rcond=rcond) @ (Y - Y.mean(0))).T


def slow_ridge(X, Y, alpha):
    """Weights, [V, P]."""
    X, Y = (part.astype(np.float64) for part in (X, Y))
    left, size, right = np.linalg.svd(X - X.mean(0), full_matrices=False)
    kept = size > 1e-9 * size[0]  # the mean has been taken off: one less than there are samples
    return (right.T * (kept * size / (size**2 + alpha)) @ (left.T @ (Y - Y.mean(0)))).T


def off(found, true):
    """Largest error of weights [V, P], relative to their length."""
    return (np.linalg.norm(found - true, axis=1) / np.linalg.norm(true, axis=1)).max()
