"""The Natural Scenes Dataset, as published and as two systems keep it."""

from fusiform.datasets.nsd.dataset import NSD

__all__ = ["NSD"]
