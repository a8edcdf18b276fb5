"""Networks of pictures on films."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from fusiform.data import ArrayVideo, Recording, Stimuli
from fusiform.errors import DataError, SettingsError
from fusiform.features.baselines.image import Pixels, Planted
from fusiform.features.baselines.language import Words
from fusiform.features.extract import extract
from fusiform.features.networks.framewise import Framewise
from fusiform.features.store import FeatureStore
from fusiform.features.tokens import load_backbone
from fusiform.testing import check_backbone


def film(seconds: float, rate: float = 10.0, seed: int = 0) -> Recording:
    count = round(seconds * rate)
    values = np.random.default_rng(seed).integers(0, 256, (count, 12, 16, 3), dtype=np.uint8)
    return Recording(count / rate, video=ArrayVideo(values, rate))


FILMS = {"long": film(7.3), "short": film(2.0, seed=1)}
STIMULI = Stimuli("films", "recording", pd.DataFrame(index=list(FILMS)), FILMS.__getitem__)


def brightness(recording: Recording, times: Any) -> np.ndarray:
    assert recording.video is not None
    return recording.video.frames(times).astype(np.float32) / 255


def test_a_row_is_the_frame_at_its_middle() -> None:
    features = extract(STIMULI, load_backbone("framewise:pixels", rate=2, size=None))
    assert features.rate == 2
    assert features.index["start"].tolist() == [*(np.arange(15) / 2), *(np.arange(4) / 2)]
    assert features.index["stop"].iloc[13] == 7.0
    middles = [*(np.arange(14) / 2 + 0.25), 7.15]  # the last row has .3 s
    wanted = brightness(FILMS["long"], middles).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(features.arrays["pixels"][:15], wanted, atol=1e-6)


def test_a_row_is_the_mean_of_several_frames() -> None:
    features = extract(STIMULI.select(["long"]), Framewise("pixels", rate=1 / 1.49, frames=4, size=None))
    assert len(features) == 5
    middles = 1.49 * 2 + 1.49 * (np.arange(4) + 0.5) / 4
    wanted = brightness(FILMS["long"], middles).mean(0).transpose(2, 0, 1)
    np.testing.assert_allclose(features.arrays["pixels"][2], wanted, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 1000])
def test_batches_change_nothing(batch_size: int) -> None:
    backbone = Framewise(Planted(2), rate=2, frames=2)
    wanted = extract(STIMULI, backbone)
    found = extract(STIMULI, backbone, batch_size=batch_size)
    assert list(found.arrays) == ["conv1", "conv2", "conv1/global", "conv2/global"]
    for layer, values in found.arrays.items():
        np.testing.assert_allclose(values, np.asarray(wanted.arrays[layer]), atol=1e-5)


def test_global_tokens_have_their_time_too() -> None:
    backbone = Framewise(Planted(2), rate=2)
    features = extract(STIMULI, backbone, reduce="cls", layers=["conv2"])
    picture = backbone.preprocess(FILMS["short"].video.frames([0.75])[0])  # type: ignore[union-attr]
    with torch.inference_mode():
        wanted = Planted(2).get_tokens(picture[None]).global_["conv2"][0]
    np.testing.assert_allclose(features.arrays["conv2"][15 + 1], wanted, atol=1e-5)


def test_rate_frames_and_backbone_are_in_the_key() -> None:
    settings = [
        Framewise("pixels", **{"rate": 2.0, "frames": 1, "size": 8} | change).settings
        for change in ({}, {"rate": 1.0}, {"frames": 2}, {"size": 4})
    ]
    assert all(one != other for place, one in enumerate(settings) for other in settings[:place])
    assert Framewise("pixels").name == "framewise:pixels"
    assert Framewise("pixels").revision == Pixels().revision


def test_goes_into_a_store_and_comes_back(tmp_path: Any) -> None:
    backbone = Framewise("pixels", size=4)
    fresh = extract(STIMULI, backbone, FeatureStore(tmp_path), reduce="pool:2x2")
    again = extract(STIMULI, backbone, FeatureStore(tmp_path), reduce="pool:2x2")
    assert fresh.arrays["pixels"].shape == (19, 3, 2, 2)
    np.testing.assert_array_equal(fresh.arrays["pixels"][:], again.arrays["pixels"][:])
    pd.testing.assert_frame_equal(fresh.index, again.index)


def test_keeps_the_contract() -> None:
    check_backbone(Framewise("pixels", size=4), STIMULI)
    check_backbone(Framewise(Planted(2)))


def test_what_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"wants a backbone of pictures; this one takes 'recording'"):
        Framewise(Words(vectors=None))
    for frames in (0, 1.5):
        with pytest.raises(SettingsError, match=f"frames={frames}; wanted a whole number"):
            Framewise("pixels", frames=frames)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="rate is 0"):
        Framewise("pixels", rate=0)
    silent = Stimuli("stories", "recording", pd.DataFrame(index=["a"]), lambda id: Recording(3.0))
    with pytest.raises(
        DataError, match=r"stimulus 'a' of 'stories': the recording has no video, which .* it has: nothing"
    ):
        extract(silent, Framewise("pixels"))
