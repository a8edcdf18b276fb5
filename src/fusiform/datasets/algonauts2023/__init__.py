"""Algonauts 2023: the Natural Scenes Dataset as the challenge shares it, visual cortex on fsaverage."""

from fusiform.datasets.algonauts2023.dataset import Algonauts2023

__all__ = ["Algonauts2023"]
