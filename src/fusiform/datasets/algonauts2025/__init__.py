"""Algonauts 2025: films and the brains that watch them, from the Courtois project on neuronal modelling."""

from fusiform.datasets.algonauts2025.clock import stimulus_window
from fusiform.datasets.algonauts2025.dataset import Algonauts2025

__all__ = ["Algonauts2025", "stimulus_window"]
