"""Random numbers by what they are for: each purpose, subject, picture or run has a stream of its own.

So nothing depends on how much of anything else is asked for, nor on the order in which it is asked for.
"""

from typing import Literal, get_args

import numpy as np

__all__ = ["Purpose", "stream"]

Purpose = Literal[
    "picture",
    "reference",
    "patches",
    "maps",
    "vertices",
    "noise",
    "film",
    "parcels",
    "viewer",
    "hum",
]
_NUMBER = {purpose: number for number, purpose in enumerate(get_args(Purpose))}


def stream(seed: int, purpose: Purpose, *numbers: int) -> np.random.Generator:
    """The random numbers for one purpose; `numbers` say for which picture, subject, run, ..."""
    return np.random.default_rng([seed, _NUMBER[purpose], *numbers])
