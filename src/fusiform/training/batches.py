"""The order of rows, and reading them ahead of their use."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["ahead", "in_turn", "shuffled"]

K = TypeVar("K")
Item = TypeVar("Item")
Read = TypeVar("Read")


def shuffled(sizes: Mapping[K, int], batch_size: int, seed: int, epoch: int) -> list[tuple[K, NDArray[np.int64]]]:
    """One epoch's batches: every row once, the rows of a source in random order, the sources taking random turns.

    The order follows from seed and epoch alone, so that it needs no memory of the epochs before.

    Args:
        sizes: of every source of rows, such as a subject.
        batch_size: the last batch of a source may be smaller.
        seed: of all epochs.
        epoch: its number.
    """
    random = np.random.default_rng([seed, epoch])
    batches = [
        (source, order[start : start + batch_size])
        for source, size in sizes.items()
        for order in [random.permutation(size)]
        for start in range(0, size, batch_size)
    ]
    return [batches[turn] for turn in random.permutation(len(batches))]


def ahead(read: Callable[[Item], Read], items: Sequence[Item], depth: int = 4) -> Iterator[Read]:
    """`read` of every item in turn, carried out by `depth` threads, each at an item of its own, ahead of their use."""
    waiting: deque[Future[Read]] = deque()
    with ThreadPoolExecutor(depth) as threads:
        try:
            for item in items:
                waiting.append(threads.submit(read, item))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:  # nobody wants them any more
                future.cancel()


def in_turn(read: Callable[[Item], Read], items: Sequence[Item], device: torch.device) -> Iterator[Read]:
    """`read` of every item in turn, for a network on a device: ahead of a GPU, which leaves the CPU free meanwhile.

    Beside a network on a CPU a thread that reads waits for its cores, and the network for it: thrice the time.
    """
    return map(read, items) if device.type == "cpu" else ahead(read, items)
