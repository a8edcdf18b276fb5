"""Samples one by one, and the same data in torch's loaders."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from fusiform.data import Responses, Space, Stimuli
from fusiform.datasets import load_dataset
from fusiform.datasets.views import TorchView
from fusiform.errors import DataError, UnknownNameError


@pytest.fixture
def brain() -> Any:
    return load_dataset("simulated", pictures=20, vertices=6, subjects=2, runs=8, trs=20, parcels=4)


def picture(id: str) -> Image.Image:
    return Image.fromarray(np.full((2, 3 + int(id), 3), 10 * int(id), dtype=np.uint8))


def view(values: Any, sizes: bool = False) -> TorchView:
    ids = ["1", "2"] if sizes else ["1", "1"]
    stimuli = Stimuli("s", "image", pd.DataFrame(index=["1", "2"]), picture)
    return TorchView(stimuli, Responses(values, pd.DataFrame({"stimulus": ids}), Space.numbered("v", 2)))


def test_a_sample_is_what_was_shown_and_the_response(brain: Any) -> None:
    responses = brain.responses("sim02")
    shown, response = brain.sample("sim02", 5)
    assert shown.tobytes() == brain.stimuli().load(responses.samples["stimulus"].iloc[5]).tobytes()
    np.testing.assert_array_equal(response, responses.values[5])
    last, _ = brain.sample("sim02", -1)
    assert last.tobytes() == brain.stimuli().load(responses.samples["stimulus"].iloc[-1]).tobytes()
    with pytest.raises(IndexError, match=f"there is no sample {len(responses)}; wanted one from 0 to"):
        brain.sample("sim02", len(responses))
    with pytest.raises(UnknownNameError, match="sim03"):
        brain.sample("sim03", 0)


def test_samples_of_a_part_and_of_regions(brain: Any) -> None:
    recording, response = brain.sample("sim01", 30, part="movie")
    assert recording.tracks.keys() == {"audio", "video", "text"}
    np.testing.assert_array_equal(response, brain.responses("sim01", part="movie").values[30])
    _, some = brain.sample("sim01", 0, rois=["middle"])
    np.testing.assert_array_equal(some, brain.responses("sim01", rois=["middle"]).values[0])


def test_samples_one_after_the_other_read_the_responses_once(brain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    whole = type(brain).responses
    monkeypatch.setattr(type(brain), "responses", lambda self, s, **more: read.append(s) or whole(self, s, **more))
    for number in range(3):
        brain.sample("sim01", number)
    brain.sample("sim02", 0)
    assert read == ["sim01", "sim02"]


def test_a_changed_sample_does_not_change_the_next(brain: Any) -> None:
    _, response = brain.sample("sim01", 0)
    before = response.copy()
    response[:] = 0
    np.testing.assert_array_equal(brain.sample("sim01", 0)[1], before)


def test_what_was_read_is_not_sent_along(brain: Any) -> None:
    brain.responses("sim01")
    bare = len(pickle.dumps(brain))
    brain.sample("sim01", 0)
    assert len(pickle.dumps(brain)) == bare


def test_a_view_is_a_torch_dataset_of_a_split(brain: Any) -> None:
    shown = brain.torch("sim01", split="test")
    assert isinstance(shown, Dataset)
    assert set(shown.samples["split"]) == {"test"}
    assert len(shown) == 6  # two test pictures, thrice each
    image, response = shown[0]
    expected = np.asarray(brain.stimuli().load(shown.samples["stimulus"].iloc[0])).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(image, expected, atol=1e-6)
    assert (image.shape, image.dtype, response.shape, response.dtype) == (
        (3, 64, 64),
        torch.float32,
        (6,),
        torch.float32,
    )
    with pytest.raises(DataError, match="have no split 'tset'; they have: train, val, test"):
        brain.torch("sim01", split="tset")


def test_workers_read_the_same(brain: Any) -> None:
    shown = brain.torch("sim01")
    alone = [shown[number] for number in range(len(shown))]
    loader = DataLoader(shown, batch_size=5, num_workers=1, multiprocessing_context="spawn")
    images, responses = (torch.cat(one) for one in zip(*loader, strict=True))
    assert torch.equal(images, torch.stack([image for image, _ in alone]))
    assert torch.equal(responses, torch.stack([response for _, response in alone]))


def test_a_transform_takes_the_place_of_the_tensor(brain: Any) -> None:
    assert brain.torch("sim01", transform=lambda image: image.size)[0][0] == (64, 64)


def test_collate_lists_what_cannot_be_stacked() -> None:
    values = np.arange(4.0).reshape(2, 2)
    same, responses = TorchView.collate([view(values)[0], view(values)[1]])
    assert same.shape == (2, 3, 2, 4)
    assert responses.tolist() == values.tolist()
    several, _ = TorchView.collate([view(values, sizes=True)[number] for number in (0, 1)])
    assert [image.shape for image in several] == [(3, 2, 4), (3, 2, 5)]
    with pytest.raises(DataError, match="no items"):
        TorchView.collate([])


def test_grey_and_other_pictures_become_tensors() -> None:
    grey = Stimuli("s", "image", pd.DataFrame(index=["1"]), lambda id: Image.new("L", (4, 2), 51))
    responses = Responses(np.zeros((1, 1)), pd.DataFrame({"stimulus": ["1"]}), Space.numbered("v", 1))
    image, _ = TorchView(grey, responses)[0]
    assert image.shape == (1, 2, 4)
    assert image.unique().tolist() == pytest.approx([0.2])


def test_responses_on_disk_are_read_row_by_row(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.arange(4, dtype=np.int16).reshape(2, 2))
    shown = view(np.load(tmp_path / "v.npy", mmap_mode="r"))
    assert isinstance(shown.responses.values, np.memmap)
    assert shown[1][1].tolist() == [2.0, 3.0]
