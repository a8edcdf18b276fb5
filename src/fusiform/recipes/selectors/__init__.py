"""Encoding with a network that reads all layers at once and says what each target reads; see `nets.selector`."""

from fusiform.recipes.selectors.learning import reads_layers
from fusiform.recipes.selectors.selecting import select
from fusiform.recipes.selectors.truth import selector_truth

__all__ = ["reads_layers", "select", "selector_truth"]
