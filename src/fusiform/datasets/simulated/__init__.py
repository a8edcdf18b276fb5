"""Simulated brains with a planted truth, for pictures and for films."""

from fusiform.datasets.simulated.dataset import Simulated

__all__ = ["Simulated"]
