"""The Natural Scenes Dataset as the decoding systems MindEye and MindEye2 publish it."""

from fusiform.datasets.mindeye.dataset import MindEye

__all__ = ["MindEye"]
