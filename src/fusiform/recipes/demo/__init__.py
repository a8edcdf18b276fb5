"""The tour: three brains, one report."""

from fusiform.recipes.demo.demo import demo

__all__ = ["demo"]
