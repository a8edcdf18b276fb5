"""Threads that load: how many, with how much of torch, in which order, and what is left of them."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from fusiform.features.threads import ahead, crew, made_ahead


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """As many as torch may use in this test."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def running() -> int:
    return sum(thread.name.startswith("fusiform-crew") for thread in threading.enumerate())


class TestCrew:
    def test_each_computes_alone_and_the_caller_as_before(self, threads: int) -> None:
        together = threading.Barrier(threads)  # broken, were there fewer threads than that

        def look(_: int) -> tuple[int, int]:
            together.wait(10)
            return threading.get_ident(), torch.get_num_threads()

        with crew() as company:
            seen = list(company.map(look, range(threads)))
            assert torch.get_num_threads() == threads
        assert len({ident for ident, _ in seen}) == threads
        assert {count for _, count in seen} == {1}
        assert torch.get_num_threads() == threads
        assert running() == 0

    def test_threads_that_begin_later_compute_as_the_caller_does(self, threads: int) -> None:
        later: list[int] = []
        with crew():
            other = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
            other.start()
            other.join()
        assert later == [threads]

    def test_results_come_in_order_and_errors_as_they_are(self, threads: int) -> None:
        def work(number: int) -> int:
            time.sleep(0.001 * (number % 3))
            return 10 // (5 - number) if number < 6 else number

        with crew() as company:
            assert list(company.map(work, range(5))) == [2, 2, 3, 5, 10]
        with pytest.raises(ZeroDivisionError), crew() as company:
            list(company.map(work, range(9)))
        assert running() == 0

    def test_what_nobody_waits_for_is_not_begun(self, threads: int) -> None:
        begun: list[int] = []

        def work(number: int) -> None:
            begun.append(number)
            time.sleep(0.02)

        with crew() as company:
            for number in range(100):
                company.submit(work, number)
        assert len(begun) < 100


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_what_is_made_ahead_comes_in_order(count: int) -> None:
    assert list(ahead(lambda number: number + 1, range(count))) == list(range(1, count + 1))
    assert list(made_ahead(iter(range(count)))) == list(range(count))


def test_one_is_made_ahead_and_no_more() -> None:
    made: list[int] = []
    source = ahead(lambda number: made.append(number) or number, range(10))
    assert next(source) == 0
    source.close()
    assert made == [0, 1]


def test_a_crew_that_is_let_go_at_once_ends_in_silence(threads: int, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(200):
        with crew():
            pass
    assert not caplog.records  # a thread on its way out of the barrier was told that it is broken
