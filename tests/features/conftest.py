"""Small stimuli and networks that the tests of features share."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from fusiform.data import Recording, Stimuli, Track
from fusiform.features import filling
from fusiform.features.preprocess import Picture
from fusiform.features.store import FeatureStore
from fusiform.features.tokens import Backbone, as_backbone

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before transformers is imported anywhere: no test asks a network


def picture(id: str) -> Image.Image:
    random = np.random.default_rng(int(id.removeprefix("im")))
    return Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8))


@pytest.fixture
def pictures() -> Callable[[int], Stimuli]:
    """`pictures(n)`: n pictures of 12 x 12, called im0, im1, ..."""

    def make(count: int) -> Stimuli:
        return Stimuli("toys", "image", pd.DataFrame(index=[f"im{number}" for number in range(count)]), picture)

    return make


@pytest.fixture
def story() -> Recording:
    """Ten seconds, four words with known times, and two tracks at 2 Hz, the second already haemodynamic."""
    words = pd.DataFrame(
        {"text": ["The", "rabbit,", "ran", "zyzzyva"], "start": [0.1, 4.2, 4.3, 9.9], "stop": [0.3, 4.8, 4.4, 10.0]}
    )
    tracks = {
        "sound": Track(np.arange(20, dtype=np.float32)[:, None], 2.0),
        "light": Track(np.arange(20, dtype=np.float32)[:, None] * 10, 2.0),
        "late": Track(np.arange(10, dtype=np.float32).reshape(5, 2), 0.5, start=3.0, hemodynamic=True),
    }
    return Recording(10.0, tracks, words)


@pytest.fixture
def stories(story: Recording) -> Stimuli:
    """The story, and another one of six seconds without a word."""
    made = {"long": story, "short": Recording(6.0, {"sound": Track(np.ones((12, 1), np.float32), 2.0)})}
    return Stimuli("stories", "recording", pd.DataFrame(index=list(made)), made.__getitem__)


class SmallNet(nn.Module):
    """Two convolutions and a linear layer, seeded; in training mode it drops half of everything."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first = nn.Conv2d(3, 4, 3, stride=2)
            self.second = nn.Sequential(nn.Conv2d(4, 5, 3), nn.ReLU())
            self.drop = nn.Dropout(0.5)
            self.last = nn.Linear(5, 6)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.second(self.first(x))
        return self.last(self.drop(hidden.mean((2, 3))))


class Published:
    """What published code looks like: `get_tokens` returning a plain 2-tuple, and nothing else."""

    def __init__(self) -> None:
        self.net = SmallNet()

    def get_tokens(self, x: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        first = self.net.first(x)
        second = self.net.second(first)
        return {"0": first, "1": second}, {"0": first.mean((2, 3)), "1": self.net.drop(second.mean((2, 3)))}


@pytest.fixture
def small_net() -> SmallNet:
    return SmallNet()


@pytest.fixture
def published() -> Published:
    return Published()


@pytest.fixture
def backbone(published: Published) -> Backbone:
    """Published code, of which 12 x 12 pixels are seen."""
    return as_backbone(published, name="mine", preprocess=Picture(12, normalise="none"))


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """An empty store."""
    return FeatureStore(tmp_path / "store")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of four stimuli, so that few stimuli make several."""
    monkeypatch.setattr(filling, "_BLOCK_STIMULI", 4)
