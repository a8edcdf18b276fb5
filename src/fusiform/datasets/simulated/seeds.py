"""Random numbers by what they are for: each purpose has a stream for every picture, subject, run or vertex.

So nothing depends on how much of anything else is asked for, nor on the order in which it is asked for.
"""

from typing import Literal, get_args

import numpy as np

__all__ = ["Purpose", "stream"]

# The order is part of the numbers: add new ones at the end
Purpose = Literal[
    "picture", "reference", "patches", "maps", "brain", "noise", "film", "parcels", "viewer", "hum", "mixtures"
]
_NUMBERS = {purpose: number for number, purpose in enumerate(get_args(Purpose))}


def stream(seed: int, purpose: Purpose, *numbers: int) -> np.random.Generator:
    """The random numbers for one purpose; `numbers` say of which picture, subject, run, ..."""
    return np.random.default_rng([seed, _NUMBERS[purpose], *numbers])
