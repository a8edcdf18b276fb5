"""Random numbers of a fit's own, lent by the process and given back as they were."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

__all__ = ["lent"]


@contextmanager
def lent(device: torch.device | str = "cpu") -> Iterator[Callable[[int], None]]:
    """The generators of the CPU and of one device, for the block; afterwards they go on as if nothing had been drawn.

    Args:
        device: on which numbers are drawn, beside the CPU.

    Yields:
        a function that seeds them. `torch.manual_seed` would seed those of every GPU, in use or not, for good.
    """
    place = torch.device(device)
    gpus = [place] if place.type == "cuda" else []

    def seed(number: int) -> None:
        torch.default_generator.manual_seed(number)
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(number)

    with torch.random.fork_rng(gpus):
        yield seed
