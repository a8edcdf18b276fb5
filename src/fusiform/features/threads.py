"""Threads beside the one in which a network runs.

A network on a CPU has it to itself: its own threads wait for each other at every step, so that one more thread at work
holds up all of them. There, stimuli are loaded by several threads between two passes, and nothing is made ahead. While
a GPU computes, the CPU is free to make what comes next.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import TypeVar

import torch

__all__ = ["ahead", "crew", "made_ahead"]

Item = TypeVar("Item")
Made = TypeVar("Made")


@contextmanager
def crew() -> Iterator[ThreadPoolExecutor]:
    """As many threads as torch computes with, in each of which torch computes with that thread alone.

    `torch.set_num_threads` counts for the thread that calls it and for those that begin later: so all of them begin
    here, and what the caller had is set again.
    """
    count = torch.get_num_threads()
    begun = Barrier(count + 1)

    def begin() -> None:
        torch.get_num_threads()  # a thread that has not asked yet will take the number of all when it does
        torch.set_num_threads(1)
        begun.wait()

    with ThreadPoolExecutor(count, "fusiform-crew", begin) as threads:
        try:
            _begin(threads, begun)
            torch.set_num_threads(count)
            yield threads
        finally:
            threads.shutdown(cancel_futures=True)


def _begin(threads: ThreadPoolExecutor, begun: Barrier) -> None:
    """Have all threads begin; should one not, the others must not wait for it."""
    try:
        for _ in range(begun.parties - 1):
            threads.submit(int)
        begun.wait()
    except BaseException:  # only then: some may still be on their way out of the barrier, which breaking it would stop
        begun.abort()
        raise


def ahead(function: Callable[[Item], Made], items: Iterable[Item]) -> Generator[Made, None, None]:
    """`function(item)` for each item in turn, the next one made in a thread while the last is used."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        pending: deque[Future[Made]] = deque()
        for item in items:
            pending.append(thread.submit(function, item))
            if len(pending) > 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def made_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, the next one made in a thread while the last is used."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        pending = thread.submit(next, items, None)
        while (made := pending.result()) is not None:
            pending = thread.submit(next, items, None)
            yield made
