"""Training: settings, the fit loop, and checkpoints from which it goes on as if it had never been stopped."""

from fusiform.training.batches import shuffled
from fusiform.training.loop import History, Problem, fit
from fusiform.training.settings import Settings

__all__ = ["History", "Problem", "Settings", "fit", "shuffled"]
