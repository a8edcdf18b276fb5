"""Windows: which rows come from each, and that nothing is lost, repeated or shifted at their seams."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from fusiform.errors import SettingsError
from fusiform.features.time.sampling import row_edges
from fusiform.features.time.windows import Window, Windows, centred_edges, even_edges, windowed_rows
from fusiform.features.tokens import Tokens

CASES = [  # length, stride, context, rate, duration
    (30.0, None, None, 2.0, 100.0),
    (60.0, 30.0, None, 1 / 1.49, 720.0),  # 21 rows per 30 s is the drift that others have
    (30.0, 30.0, 0.0, 1 / 1.49, 720.0),
    (6.0, 1.49, 3.0, 1 / 1.49, 100.0),
    (4.0, 2.0, 1.0, 2.0, 61.3),
    (60.0, 10.0, 50.0, 2.0, 59.9),  # shorter than a window
    (10.0, 3.3, 5.1, 3.7, 47.11),
    (4.0, None, None, 2.0, 0.3),
]


def times(window: Window, tokens: int, length: float) -> torch.Tensor:
    """What a network that tells the time says: [1, 1, tokens] middles of equal parts of the window."""
    return torch.from_numpy(window.start + (np.arange(tokens) + 0.5) * (length / tokens))[None, None]


@pytest.mark.parametrize(("length", "stride", "context", "rate", "duration"), CASES)
class TestPlan:
    def test_every_row_is_in_one_window(
        self, length: float, stride: Any, context: Any, rate: float, duration: float
    ) -> None:
        windows = Windows.of(length, stride, context)
        plan = windows.plan(duration, rate)
        starts = np.concatenate([window.edges[:-1] for window in plan])
        np.testing.assert_array_equal(starts, row_edges(duration, rate)[:-1])
        assert plan[-1].edges[-1] == pytest.approx(duration)
        for window in plan:
            assert window.start <= window.edges[0] + 1e-9
            assert window.edges[-1] <= window.stop + 1e-9
            assert window.stop - window.start == pytest.approx(min(length, duration))
            assert window.start >= 0
            assert window.edges[-1] - window.edges[0] <= windows.stride + 1e-9

    def test_context_comes_before_the_rows(
        self, length: float, stride: Any, context: Any, rate: float, duration: float
    ) -> None:
        windows = Windows.of(length, stride, context)
        for window in windows.plan(duration, rate):
            seen = window.edges[0] - window.start
            moved = window.start == 0 or window.stop == duration
            assert seen == pytest.approx(windows.context) or moved

    def test_a_network_that_tells_the_time_tells_it_evenly(
        self, length: float, stride: Any, context: Any, rate: float, duration: float
    ) -> None:
        plan = Windows.of(length, stride, context).plan(duration, rate)
        tokens = round(length * 200)  # 5 ms each
        states = torch.cat([times(window, tokens, length) for window in plan])
        edges = partial(even_edges, length=length)
        found = windowed_rows(Tokens({"time": states}, {}), plan, lambda window, count: edges(window, count=count))
        own = row_edges(duration, rate)
        np.testing.assert_allclose(found.local["time"][:, 0], (own[:-1] + own[1:]) / 2, atol=0.005)
        if duration > 2 / rate:
            steps = np.diff(found.local["time"][:-1, 0].numpy())
            np.testing.assert_allclose(steps, 1 / rate, atol=0.005)


def test_half_the_window_is_context_by_default() -> None:
    assert Windows.of(30.0) == Windows(30.0, 15.0, 15.0)
    assert Windows.of(30.0, 10.0) == Windows(30.0, 10.0, 20.0)
    assert Windows.of(30.0, 10.0, 5.0) == Windows(30.0, 10.0, 5.0)


@pytest.mark.parametrize(
    "wrong", [(0.0,), (-1.0,), (float("nan"),), (10.0, 0.0), (10.0, 11.0), (10.0, 5.0, 6.0), (10.0, 5.0, -1.0)]
)
def test_windows_that_cannot_be(wrong: tuple[float, ...]) -> None:
    with pytest.raises(SettingsError, match="wanted seconds above 0"):
        Windows.of(*wrong)


def test_rows_longer_than_the_stride() -> None:
    with pytest.raises(SettingsError, match=r"rows at 0.5 Hz last 2 s each, longer than the stride of 1 s"):
        Windows.of(2.0).plan(10.0, 0.5)


def test_padding_is_in_no_mean() -> None:
    """A window of 4 s over a recording of 2.5 s: what the network says of the padding is never read."""
    (window,) = Windows(4.0, 4.0, 0.0).plan(2.5, 2.0)
    state = torch.ones(1, 1, 40)
    state[..., 25:] = 1e6
    edges = even_edges(window, 4.0, 40)
    assert (np.diff(edges)[25:] == 0).all()
    found = windowed_rows(Tokens({"a": state}, {}), [window], lambda *_: edges).local["a"]
    assert found.shape == (5, 1)
    assert (found == 1).all()
    centred = centred_edges(window, 0.0, 0.1, 40)
    assert (np.diff(centred)[25:] == 0).all()
    found = windowed_rows(Tokens({"a": state}, {}), [window], lambda *_: centred).local["a"]
    assert (found == 1).all()


def test_a_moment_belongs_to_the_nearest_centre() -> None:
    window = Window(10.0, 12.0, np.array([10.0, 12.0]))
    edges = centred_edges(window, 0.25, 0.5, 4)
    assert edges.tolist() == [10.0, 10.5, 11.0, 11.5, 12.0]
    edges = centred_edges(window, 0.1, 0.5, 4)
    np.testing.assert_allclose(edges, [10.0, 10.35, 10.85, 11.35, 12.0])
    edges = centred_edges(window, 0.1, 0.5, 9)  # five tokens of padding
    np.testing.assert_allclose(edges, [10.0, 10.35, 10.85, 11.35, *[12.0] * 6])


def test_grids_go_along() -> None:
    plan = Windows(2.0, 2.0, 0.0).plan(4.0, 2.0)
    states = torch.randn(2, 3, 4, 5, 6)  # B, C, N, H, W
    found = windowed_rows(Tokens({"a": states}, {}), plan, lambda window, count: even_edges(window, 2.0, count))
    torch.testing.assert_close(found.local["a"], states.movedim(1, 2).flatten(0, 1))
