"""Scores judge: metrics per target, noise ceilings, retrieval, and whether it could be chance."""

from fusiform.scores.ceiling import leave_one_out_correlation, ncsnr, noise_ceiling, r_ceiling
from fusiform.scores.metrics import Scores, correlation_matrix, mse, pearson, r2, score
from fusiform.scores.retrieval import Retrieval, retrieval
from fusiform.scores.significance import bootstrap_mean, circular_shifts, p_values, shift_null

__all__ = [
    "Retrieval",
    "Scores",
    "bootstrap_mean",
    "circular_shifts",
    "correlation_matrix",
    "leave_one_out_correlation",
    "mse",
    "ncsnr",
    "noise_ceiling",
    "p_values",
    "pearson",
    "r2",
    "r_ceiling",
    "retrieval",
    "score",
    "shift_null",
]
