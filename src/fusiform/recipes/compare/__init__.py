"""Several networks on one brain: runs of `encode` side by side, as numbers, maps and target by target."""

from fusiform.recipes.compare.report import compare

__all__ = ["compare"]
