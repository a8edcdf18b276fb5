"""What a plug-in author is told."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from fusiform.data import Recording, Stimuli, Track
from fusiform.errors import DataError, SettingsError
from fusiform.features.baselines.audio import Tracks
from fusiform.features.baselines.image import Pixels, Planted
from fusiform.features.baselines.language import Words
from fusiform.features.preprocess import Picture
from fusiform.features.tokens import Tokens, as_backbone, hook_layers
from fusiform.testing import check_backbone


class TestGood:
    def test_built_ins_keep_the_contract(self) -> None:
        for backbone in (Pixels(6), Planted(layers=2), Words(2.0, None)):
            check_backbone(backbone)

    def test_tracks_with_stimuli_of_their_own(self) -> None:
        def load(id: str) -> Recording:
            return Recording(5.0, {"a": Track(np.full((5 + len(id), 2), len(id), np.float32), 1.0, start=2.0)})

        check_backbone(Tracks("a", rate=1), Stimuli("s", "recording", pd.DataFrame(index=["x", "yy"]), load))

    def test_a_net_in_training_mode_is_evaluated(self) -> None:
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)).train()
        check_backbone(hook_layers(net, ["1", "2"], name="net", preprocess=Picture(9)))


class Wrong(Pixels):
    """Pixels with one thing wrong."""

    def __init__(self, tokens: Callable[[Tensor], Any]) -> None:
        super().__init__(6)
        self.tokens = tokens

    def get_tokens(self, x: Tensor) -> Any:
        return self.tokens(x)


def grow(counter: list[int] = []) -> Tensor:  # noqa: B006  # remembers on purpose
    counter.append(1)
    return torch.tensor(float(len(counter)))


@pytest.mark.parametrize(
    ("tokens", "complaint"),
    [
        (lambda x: Tokens({"a": x[0]}, {}), r"local\['a'\] of 'pixels' has the shape \(3, 6, 6\)"),
        (lambda x: Tokens({f"a{len(x)}": x}, {}), r"the batch size changes its numbers \(layers a5 against a1\)"),
        (lambda x: Tokens({"a": x / x.sum()}, {}), r"changes its numbers \(layer 'a', by .* of its norm\)"),
        (lambda x: Tokens({"a": x * grow()}, {}), r"a second pass gives other numbers; is it in evaluation mode\?"),
        (lambda x: Tokens({"a": x / 0}, {}), "'a' of 'pixels' is not finite for stimulus 'sample-0'"),
        (lambda x: x, r"must return two mappings \(local, global\); got a Tensor"),
        (lambda x: 1 / 0, "it raises ZeroDivisionError: division by zero"),
        (lambda x: ({"a": x, "a/global": x}, {"a": x[:, :, 0, 0]}), "two layers would be called 'a/global'"),
        (lambda x: ({"a": x[:, :0]}, {}), r"local\['a'\] of 'pixels' has the shape \(5, 0, 6, 6\)"),
    ],
)  # fmt: skip
def test_wrong_tokens(tokens: Callable[[Tensor], Any], complaint: str) -> None:
    with pytest.raises(DataError, match=f"'pixels' does not keep the contract: .*{complaint}"):
        check_backbone(Wrong(tokens))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": ""}, "`name` is ''"),
        ({"kind": "picture"}, "`kind` is 'picture'; wanted one of image, video"),
        ({"rate": -1}, "`rate` is -1; wanted rows per second above 0"),
        ({"rate": "2 Hz"}, "`rate` is '2 Hz'"),
        ({"rate": float("inf")}, "`rate` is inf; wanted rows per second above 0"),
        ({"preprocess": np.asarray}, r"'sample-0' .* \(TypeError: preprocess returned a ndarray; wanted a tensor\)"),
        ({"kind": "recording"}, "recordings need a `rate`"),
        ({"preprocess": None}, "no method preprocess"),
        ({"get_tokens": None}, r"no method get_tokens\(x\)"),
        ({"revision": "", "settings": {}}, "neither `revision` nor `settings`"),
        ({"settings": {"net": object()}}, "`settings` are not plain JSON"),
    ],
)
def test_wrong_form(changes: dict[str, Any], complaint: str) -> None:
    backbone: Any = Pixels(6)
    for name, value in changes.items():
        setattr(backbone, name, value)
    with pytest.raises(DataError, match=complaint):
        check_backbone(backbone)


def test_all_complaints_come_at_once() -> None:
    with pytest.raises(DataError, match=r"\(1\) `name` .*; \(2\) `kind` .*; \(3\) there is no method preprocess"):
        check_backbone(object())


def test_a_pass_that_learns_is_noticed() -> None:
    class Learning:
        def __init__(self) -> None:
            self.norm = nn.BatchNorm2d(3)

        def get_tokens(self, x: Tensor) -> Any:
            self.norm.train()
            return {"a": x}, {"b": self.norm(x).mean((2, 3)) * 0}

    with pytest.raises(DataError, match="a pass changes its weights or buffers"):
        check_backbone(as_backbone(Learning(), name="learning", preprocess=Picture(9)))


class Forgetful:
    """Prepares pictures, and remembers what it works on where every thread finds it."""

    def __call__(self, stimulus: Any) -> Tensor:
        self.stimulus = stimulus
        time.sleep(0.01)  # as for reading a file: other threads go on meanwhile
        return Picture(6, normalise="none")(self.stimulus)


class Borrowed:
    """Reads and prepares with one thing that only one thread may have, as some tokenizers are."""

    name, kind, settings = "borrowed", "text", {"length": 3}

    def __init__(self) -> None:
        self.taken = False

    @contextmanager
    def tokenizer(self) -> Iterator[None]:
        if self.taken:
            raise RuntimeError("Already borrowed")
        self.taken = True
        time.sleep(0.01)
        yield
        self.taken = False

    def preprocess(self, stimulus: str) -> Tensor:
        with self.tokenizer():
            return torch.tensor([float(ord(letter)) for letter in stimulus[:3]])

    def get_tokens(self, x: Tensor) -> Tokens:
        with self.tokenizer():
            return Tokens({}, {"letters": x})


def test_what_bears_one_thread_alone_is_noticed() -> None:
    forgetful: Any = Pixels(6)
    forgetful.preprocess = Forgetful()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that all goes well but for the other threads
    try:
        with pytest.raises(DataError, match=r"contract: \(1\) stimuli that other threads make ready, .* other numbers"):
            check_backbone(forgetful)
        with pytest.raises(DataError, match=r"\(1\) where other threads make stimuli ready.*Already borrowed"):
            check_backbone(Borrowed())
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)


def test_needs_stimuli_where_it_cannot_make_them() -> None:
    backbone: Any = Pixels(6)
    backbone.kind = "video"
    with pytest.raises(SettingsError, match="give stimuli="):
        check_backbone(backbone)
    with pytest.raises(SettingsError, match="two at least"):
        check_backbone(
            Words(2.0, None), Stimuli("s", "recording", pd.DataFrame(index=["x"]), lambda id: Recording(3.0))
        )
