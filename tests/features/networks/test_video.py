"""Video networks of Hugging Face: tiny ones, saved, loaded by path, against the plain forward."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.nn import functional

from fusiform.data import ArrayVideo, Recording, Stimuli
from fusiform.errors import DataError, SettingsError
from fusiform.features.extract import extract
from fusiform.features.networks.video import HuggingFaceVideo
from fusiform.features.store import FeatureStore
from fusiform.features.tokens import load_backbone
from fusiform.testing import check_backbone

transformers = pytest.importorskip("transformers")

SIDE, WIDTH, DEPTH, FRAMES = 16, 12, 3, 8
SHARED: dict[str, Any] = {"hidden_size": WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": 2, "patch_size": 8}
FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "videomae": (
        *("VideoMAEModel", "VideoMAEConfig"),
        {**SHARED, "image_size": SIDE, "num_frames": FRAMES, "intermediate_size": 24, "use_mean_pooling": False},
    ),
    "videomae-pooled": (
        *("VideoMAEModel", "VideoMAEConfig"),
        {**SHARED, "image_size": SIDE, "num_frames": FRAMES, "intermediate_size": 24},
    ),
    "vjepa2": (
        *("VJEPA2Model", "VJEPA2Config"),
        {**SHARED, "crop_size": SIDE, "frames_per_clip": FRAMES, "mlp_ratio": 2, "pred_hidden_size": 12}
        | {"pred_num_attention_heads": 2, "pred_num_hidden_layers": DEPTH},
    ),
}
RATE = 16.0  # frames per second of the films: two for each frame of a window of one second


def film(seconds: float, seed: int = 0) -> Recording:
    values = np.random.default_rng(seed).integers(0, 256, (round(seconds * RATE), SIDE, SIDE, 3), dtype=np.uint8)
    return Recording(len(values) / RATE, video=ArrayVideo(values, RATE))


FILMS = {"long": film(5.25), "short": film(2.0, 1), "tiny": film(0.5, 2)}
STIMULI = Stimuli("films", "recording", pd.DataFrame(index=list(FILMS)), FILMS.__getitem__)


@cache
def made(name: str) -> Any:
    """A network with random weights, every one of which matters."""
    model, config, settings = FAMILIES[name]
    if not hasattr(transformers, model):
        pytest.skip(f"this transformers has no {model}")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = getattr(transformers, model)(getattr(transformers, config)(**settings))
        for weight in network.parameters():
            weight.data += 0.2 * torch.randn_like(weight)
    return network.eval()


FILE = {"do_resize": False, "do_center_crop": False, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("networks")

    def save(name: str) -> Path:
        if not (root / name).exists():
            made(name).save_pretrained(root / name)
            file = "video_preprocessor_config.json" if name == "vjepa2" else "preprocessor_config.json"
            (root / name / file).write_text(json.dumps(FILE))
        return root / name

    return save


def plain(name: str, x: torch.Tensor) -> Any:
    more = {"skip_predictor": True} if name == "vjepa2" else {}
    with torch.inference_mode():
        return made(name)(x, output_hidden_states=True, **more)


def clip(frames: np.ndarray) -> torch.Tensor:
    """[F, H, W, 3] to [1, F, 3, H, W], by the formula."""
    values = (frames / 255 - np.array(FILE["image_mean"])) / np.array(FILE["image_std"])
    return torch.from_numpy(values.transpose(0, 3, 1, 2)[None]).float()


@pytest.mark.parametrize("family", FAMILIES)
class TestFamilies:
    def test_every_layer_is_that_of_the_plain_forward(self, family: str, saved: Callable[[str], Path]) -> None:
        """One second of film, eight frames, four tubelets, one row each: every number has one place."""
        recording = film(1.0)
        stimuli = Stimuli("films", "recording", pd.DataFrame(index=["one"]), lambda id: recording)
        backbone = load_backbone(str(saved(family)), rate=4, window=1.0)
        assert isinstance(backbone, HuggingFaceVideo)
        features = extract(stimuli, HuggingFaceVideo(str(saved(family)), rate=4, window=1.0, stride=1.0)).arrays
        assert recording.video is not None
        wanted = plain(family, clip(recording.video.values[1::2]))  # type: ignore[attr-defined]
        states = dict(zip(["embeddings", "block1", "block2", "block3"], wanted.hidden_states, strict=True))
        if family != "videomae-pooled":  # which has no norm at its end
            states["final"] = wanted.last_hidden_state
        assert list(features) == list(states)
        for layer, state in states.items():
            local = np.empty((4, WIDTH, 2, 2), np.float32)
            for place in range(16):
                local[place // 4, :, place % 4 // 2, place % 2] = state[0, place]
            np.testing.assert_allclose(features[layer], local, atol=1e-5)

    def test_rows_come_from_the_window_that_ends_with_them(self, family: str, saved: Callable[[str], Path]) -> None:
        features = extract(STIMULI, HuggingFaceVideo(str(saved(family)), rate=4, window=1.0, stride=0.5)).arrays
        frames = FILMS["long"].video.frames(2.0 + (np.arange(8) + 0.5) / 8)  # type: ignore[union-attr]
        state = plain(family, clip(frames)).hidden_states[1].reshape(4, 4, WIDTH)
        found = np.asarray(features["block1"])[10:12].reshape(2, WIDTH, 4)  # from 2.5 to 3 s
        np.testing.assert_allclose(found, state[2:].numpy().transpose(0, 2, 1), atol=1e-5)

    @pytest.mark.parametrize("batch_size", [1, 24, 1000])
    def test_batches_and_order_change_nothing(self, family: str, batch_size: int, saved: Callable[[str], Path]) -> None:
        backbone = HuggingFaceVideo(str(saved(family)), rate=2, window=1.0)
        forth = extract(STIMULI, backbone)
        back = extract(STIMULI.select(["tiny", "short", "long"]), backbone, batch_size=batch_size)
        assert forth.index["stimulus"].value_counts().to_dict() == {"long": 11, "short": 4, "tiny": 1}
        order = np.r_[[15], 11:15, 0:11]
        for layer, values in back.arrays.items():
            np.testing.assert_allclose(values, np.asarray(forth.arrays[layer])[order], atol=1e-5)

    def test_half_precision_is_near(self, family: str, saved: Callable[[str], Path]) -> None:
        half, single = (HuggingFaceVideo(str(saved(family)), window=1.0, precision=p) for p in ("bfloat16", "float32"))
        assert {weight.dtype for weight in half.network.parameters()} == {torch.bfloat16}
        assert half.settings != single.settings
        found, wanted = (np.asarray(extract(STIMULI, backbone).arrays["block3"]) for backbone in (half, single))
        assert 0 < np.linalg.norm(found - wanted) < 0.1 * np.linalg.norm(wanted)

    def test_keeps_the_contract(self, family: str, saved: Callable[[str], Path]) -> None:
        check_backbone(HuggingFaceVideo(str(saved(family)), window=1.0), STIMULI)


class TestSettings:
    def test_every_one_is_in_the_key_and_changes_numbers(self, saved: Callable[[str], Path]) -> None:
        def found(**changes: Any) -> tuple[str, np.ndarray]:
            given = {"rate": 2.0, "window": 1.0, "stride": 0.5, "context": 0.5, **changes}
            backbone = HuggingFaceVideo(str(saved("vjepa2")), **given)
            values = extract(STIMULI.select(["long"]), backbone, reduce="mean").arrays["block3"]
            return json.dumps(dict(backbone.settings)), np.asarray(values)

        settings, values = found()
        for change in (
            {"rate": 1.0, "stride": 1.0, "context": 0.0},
            {"window": 2.0},
            {"context": 0.25},
            {"window": 2.0, "stride": 1.0},
            {"frames": 4},
        ):
            other, changed = found(**change)
            assert other != settings
            assert changed.shape != values.shape or np.abs(changed - values).max() > 1e-3

    def test_goes_into_a_store_and_comes_back(self, saved: Callable[[str], Path], tmp_path: Path) -> None:
        backbone = HuggingFaceVideo(str(saved("vjepa2")), window=1.0)
        fresh = extract(STIMULI, backbone, FeatureStore(tmp_path), reduce="mean")
        again = extract(
            STIMULI, HuggingFaceVideo(str(saved("vjepa2")), window=1.0), FeatureStore(tmp_path), reduce="mean"
        )
        np.testing.assert_array_equal(fresh.arrays["final"][:], again.arrays["final"][:])

    def test_numbers_of_frames(self, saved: Callable[[str], Path]) -> None:
        assert HuggingFaceVideo(str(saved("vjepa2")), frames=4).frames == 4
        with pytest.raises(SettingsError, match=r"frames=3; 'vjepa2' takes a multiple of 2"):
            extract(STIMULI, HuggingFaceVideo(str(saved("vjepa2")), frames=3))
        with pytest.raises(SettingsError, match=r"frames=4; 'videomae' takes 8"):
            extract(STIMULI, HuggingFaceVideo(str(saved("videomae")), frames=4))

    def test_windows_shorter_than_rows(self, saved: Callable[[str], Path]) -> None:
        with pytest.raises(SettingsError, match=r"longer than the stride of 0.5 s; take longer windows"):
            extract(STIMULI, HuggingFaceVideo(str(saved("vjepa2")), rate=1, window=1.0))

    def test_networks_of_other_things(self, tmp_path: Path) -> None:
        transformers.BertConfig().save_pretrained(tmp_path)
        with pytest.raises(
            SettingsError, match=r"of the family 'bert'; wanted a network of films \(videomae, vjepa2\)"
        ):
            extract(STIMULI, HuggingFaceVideo(str(tmp_path)))

    @pytest.mark.parametrize("family", ["vjepa2", "videomae"])
    def test_as_a_network_of_pictures(self, family: str, saved: Callable[[str], Path]) -> None:
        pictures = Stimuli("toys", "image", pd.DataFrame(index=["a"]), lambda id: Image.new("RGB", (SIDE, SIDE)))
        with pytest.raises(SettingsError, match=r"takes films; wanted pictures: networks of films are brought by hf-v"):
            extract(pictures, load_backbone(f"hf-image:{saved(family)}"))

    def test_recordings_without_video(self, saved: Callable[[str], Path]) -> None:
        stimuli = Stimuli("stories", "recording", pd.DataFrame(index=["a"]), lambda id: Recording(3.0))
        with pytest.raises(DataError, match="stimulus 'a' of 'stories': the recording has no video"):
            extract(stimuli, HuggingFaceVideo(str(saved("vjepa2"))))


class TestProcessing:
    """Frames larger than the network: parity to one grey level (1/255)."""

    FRAME = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)

    def test_videomae_is_that_of_transformers(self, saved: Callable[[str], Path], tmp_path: Path) -> None:
        kinds = pytest.importorskip("transformers.models.videomae.image_processing_pil_videomae")
        processor = kinds.VideoMAEImageProcessorPil(size={"shortest_edge": 18}, crop_size={"height": 16, "width": 16})
        folder = shutil.copytree(saved("videomae"), tmp_path / "own")
        processor.save_pretrained(folder)
        backbone = HuggingFaceVideo(str(folder))
        wanted = processor([Image.fromarray(self.FRAME)] * 2, return_tensors="pt")["pixel_values"][0]
        found = backbone.preprocess(np.stack([self.FRAME] * 2))
        assert found.shape == wanted.shape == (2, 3, 16, 16)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1 / 255 / 0.5)

    def test_vjepa2_is_its_formula(self, saved: Callable[[str], Path], tmp_path: Path) -> None:
        """Shortest edge to crop * 256 / 224, bilinear with antialiasing, the middle cropped, ImageNet's statistics."""
        folder = shutil.copytree(saved("vjepa2"), tmp_path / "own")
        (folder / "video_preprocessor_config.json").write_text(
            json.dumps(
                {"video_processor_type": "VJEPA2VideoProcessor", "crop_size": 16, "size": {"shortest_edge": 99}}
                | {"do_pad": None, "do_sample_frames": False, "do_convert_rgb": True, "fps": None, "device": None}
            )
        )
        found = HuggingFaceVideo(str(folder)).preprocess(self.FRAME[None])[0]
        x = torch.from_numpy(self.FRAME).permute(2, 0, 1)[None].float()
        x = functional.interpolate(x, (18, 27), mode="bilinear", antialias=True)[0, :, 1:17, 5:21] / 255
        mean, deviation = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        torch.testing.assert_close(found * deviation + mean, x, rtol=0, atol=1 / 255)

    def test_without_a_file_it_is_that_of_the_family(self, saved: Callable[[str], Path], tmp_path: Path) -> None:
        folder = shutil.copytree(saved("vjepa2"), tmp_path / "own")
        (folder / "video_preprocessor_config.json").unlink()
        backbone = HuggingFaceVideo(str(folder))
        assert backbone.settings["preprocess"]["source"] == "default of VJEPA2"
        assert backbone.preprocess(self.FRAME[None]).shape == (1, 3, SIDE, SIDE)
        assert backbone.processing.size == (18, 18)
