"""Which penalty of a grid each target is given, from held-out scores.

Shapes: F folds, V targets, A penalties.
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Rule", "at_places", "places"]

Rule = Literal["best", "conservative", "shared"]  # each target's best, its most shrunk of near bests, that of the mean


def places(found: Tensor, shrinkage: NDArray[np.float64] | None = None) -> Tensor:
    """Place in the grid of what is chosen for each target, [V].

    Conservatively, that is the largest penalty whose mean score is no further below the best than one standard
    deviation of the best one's scores over folds. (The rule of Breiman et al. 1984, Classification and Regression
    Trees, 3.4.3, takes the standard error instead.)

    Args:
        found: [F, V, A] held-out scores; higher is better.
        shrinkage: [A] larger for penalties that are to be preferred; None: the best score is all that counts.
    """
    curves = found.mean(0)
    best = curves.argmax(1)
    if shrinkage is None:
        return best
    lowest = curves.gather(1, best[:, None]) - at_places(found, best).std(0, correction=0)[:, None]
    order = torch.as_tensor(shrinkage, device=found.device)
    return torch.where(curves >= lowest, order, -torch.inf).argmax(1)


def at_places(found: Tensor, place: Tensor) -> Tensor:
    """Each target's scores at a place of its own [V] in the grid, [F, V]."""
    return found.gather(2, place.expand(len(found), -1)[..., None])[..., 0]
