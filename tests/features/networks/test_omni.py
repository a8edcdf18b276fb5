"""An omni network in miniature: inputs as the published processor builds them, states as transformers gives them."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fusiform.data import ArraySound, ArrayVideo, Recording, Stimuli
from fusiform.errors import DataError, LayoutError, SettingsError
from fusiform.features.extract import extract
from fusiform.features.networks.interleave import PICTURE, SOUND, SOUND_TOKEN, Layout, fitted, media_layout, patches
from fusiform.features.networks.omni import Omni
from fusiform.features.networks.thinker import Thinker
from fusiform.features.tokens import load_backbone

transformers = pytest.importorskip("transformers")

RATE, MELS = 16_000, 8
TOKENS = {"audio_token_index": 40, "image_token_index": 41, "video_token_index": 42, "vision_start_token_id": 43}
TOKENS |= {"vision_end_token_id": 44, "audio_start_token_id": 45, "audio_end_token_id": 46}
TEXT: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
}
TEXT |= {"num_key_value_heads": 2, "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]}}
VISION: dict[str, Any] = {
    "depth": 2,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_heads": 2,
    "patch_size": 4,
    "window_size": 16,
}
VISION |= {"out_hidden_size": 32, "fullatt_block_indexes": [1]}
AUDIO: dict[str, Any] = {
    "d_model": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "output_dim": 32,
}
AUDIO |= {"num_mel_bins": MELS}
WORDS = ["system", "user", "Watch", "Alice", "the", "rabbit", "ran"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random thinker, its ears, its eyes and its tokenizer, as a checkpoint has them."""
    path = tmp_path_factory.mktemp("models") / "omni"
    torch.manual_seed(0)
    text = {**TEXT, "rope_parameters": {**TEXT["rope_parameters"], "rope_theta": 10_000.0}}
    config = transformers.Qwen2_5OmniThinkerConfig(text_config=text, vision_config=VISION, audio_config=AUDIO, **TOKENS)
    transformers.Qwen2_5OmniThinkerForConditionalGeneration(config).save_pretrained(path)
    ears = {"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": MELS, "chunk_length": 10}
    eyes = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "image_mean": [0.4, 0.5, 0.6],
        "image_std": [0.2, 0.3, 0.4],
    }
    (path / "preprocessor_config.json").write_text(json.dumps({**ears, **eyes}))
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: number for number, word in enumerate(["<unk>", *WORDS])}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(path)
    return path


def film(seconds: float = 7.0, seed: int = 0) -> Recording:
    """Noise to see and to hear, and four words."""
    random = np.random.default_rng(seed)
    video = ArrayVideo(random.integers(0, 256, (round(4 * seconds), 24, 40, 3), dtype=np.uint8), 4.0)
    sound = ArraySound(random.normal(0, 0.1, round(seconds * RATE)).astype(np.float32), RATE)
    words = pd.DataFrame({"text": WORDS[3:], "start": [0.2, 1.0, 2.5, 4.5], "stop": [0.5, 1.2, 3.0, 5.0]})
    return Recording(seconds, words=words[words["start"] < seconds], video=video, sound=sound)


def one(recording: Recording) -> Stimuli:
    return Stimuli("films", "recording", pd.DataFrame(index=["film"]), lambda id: recording)


def rows(folder: Path, recording: Recording, **settings: Any) -> dict[str, Any]:
    """layer -> [T, C]"""
    settings = {"window": 10.0, "pixels": 256, "frames": 2.0, "instruction": "Watch the rabbit", **settings}
    return dict(extract(one(recording), load_backbone(f"omni:{folder}", **settings)).arrays)


def published_order(pictures: int, down: int, across: int, seconds: float, sounds: int) -> str:
    """`v` and `a` as the processor of transformers puts them between the marks `b` and `e` of sound."""
    processing = pytest.importorskip("transformers.models.qwen2_5_omni.processing_qwen2_5_omni")
    processor = processing.Qwen2_5OmniProcessor
    marks = SimpleNamespace(audio_bos_token="b", audio_eos_token="e", video_token="v", audio_token="a")
    marks.video_processor = SimpleNamespace(merge_size=2)
    marks.get_chunked_index = lambda *given: processor.get_chunked_index(None, *given)
    seen = {"video_grid_thw": np.array([[pictures, down, across]]), "video_second_per_grid": [seconds]}
    heard = {"num_audio_tokens": [sounds]}
    rule = {"position_id_per_seconds": 25, "seconds_per_chunk": 2.0}
    return str(processor.replace_video_with_audio_token(marks, seen, 0, heard, 0, **rule))


@pytest.fixture(scope="module")
def network(folder: Path) -> Any:
    """The plain network of transformers."""
    found = transformers.Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(folder)
    return found.model.float().eval()


@pytest.mark.parametrize(
    ("pictures", "seconds", "sounds"),
    [(7, 1.0, 175), (4, 2.0, 175), (30, 0.5, 375), (9, 2 / 2.0134, 226), (3, 1.0, 175), (7, 1.0, 30)],
)
def test_tokens_stand_in_the_published_order(network: Any, pictures: int, seconds: float, sounds: int) -> None:
    layout = media_layout(network.config, (pictures, 6), seconds, sounds)
    letters = {43: "", 44: "", 45: "b", 46: "e", 42: "v", 40: "a"}
    assert "".join(letters[number] for number in layout.ids) == published_order(pictures, 4, 6, seconds, sounds)
    assert layout.ids[[0, 1, -2, -1]].tolist() == [43, 45, 46, 44]
    heard = layout.spans[layout.kind == SOUND]
    np.testing.assert_allclose(heard, 0.04 * (np.arange(sounds)[:, None] + [0, 1]))
    seen = layout.spans[layout.kind == PICTURE]
    np.testing.assert_allclose(seen, np.repeat(seconds * (np.arange(pictures)[:, None] + [0, 1]), 6, axis=0))


@pytest.mark.parametrize("count", [16_000, 31_937, 100])
def test_spectrograms_are_those_of_long_padding(folder: Path, count: int) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, count).astype(np.float32)
    ears = transformers.WhisperFeatureExtractor.from_pretrained(folder)
    wanted = ears(samples, sampling_rate=RATE, padding="max_length", return_attention_mask=True, return_tensors="pt")
    found = Thinker(str(folder), "float32", None).spectrogram(samples)
    frames = int(wanted["attention_mask"].sum())
    assert int(found["feature_attention_mask"].sum()) == frames
    ours, theirs = found["input_features"][..., :frames], wanted["input_features"][..., :frames]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_one_sense_alone_has_its_own_marks(network: Any) -> None:
    assert media_layout(network.config, (2, 2), 1.0, 0).ids.tolist() == [43, 42, 42, 42, 42, 44]
    assert media_layout(network.config, (0, 0), 1.0, 2).after([1, 2]).ids.tolist() == [1, 2, 45, 40, 40, 46]


def test_patches_are_those_of_the_published_processor(folder: Path) -> None:
    published = pytest.importorskip("transformers").Qwen2VLImageProcessorPil(
        patch_size=4, merge_size=2, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.4], min_pixels=64, max_pixels=400
    )
    frame = film().video.frames([0.0])  # type: ignore[union-attr]
    wanted = published(Image.fromarray(frame[0]), return_tensors="pt")
    thinker = Thinker(str(folder), "float32", None)
    small = torch.from_numpy(np.repeat(thinker.resized(frame, 400), 2, axis=0))
    found, grid = thinker._seen(small)
    assert grid == tuple(wanted["image_grid_thw"][0].tolist())
    torch.testing.assert_close(found, wanted["pixel_values"], atol=1e-5, rtol=0)


def test_patches_hold_two_frames_and_stand_by_fours() -> None:
    frames = torch.arange(4 * 3 * 8 * 12, dtype=torch.float32).reshape(4, 3, 8, 12)
    found, grid = patches(frames, patch=2, merge=2, together=2)
    assert grid == (2, 4, 6)
    order = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3), (0, 4)]  # of patches, down and across
    for number, (down, across) in enumerate(order):
        part = frames[2:4, :, 2 * down : 2 * down + 2, 2 * across : 2 * across + 2]
        torch.testing.assert_close(found[24 + number], part.movedim(0, 1).flatten(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("size", "wanted"), [((240, 400), (8, 16)), ((24, 40), (8, 16)), ((100, 100), (16, 16)), ((8, 4000), (8, 32))]
)
def test_pictures_keep_about_their_proportion(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert fitted(size, 8, 256) == wanted


def test_large_pictures_are_as_large_as_the_published_processor_makes_them() -> None:
    published = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl").smart_resize
    for size in ((480, 640), (720, 1280), (333, 777), (1000, 1001)):
        assert fitted(size, 28, 100_352) == published(*size, factor=28, min_pixels=3136, max_pixels=100_352)


def test_a_picture_has_one_token_at_least() -> None:
    with pytest.raises(SettingsError, match="got pixels=63; the network reads 8 x 8 at least, 64"):
        fitted((10, 10), 8, 63)


def plain(network: Any, folder: Path, recording: Recording) -> tuple[Any, Layout, dict[str, Any]]:
    """The plain forward of a whole recording (no words before it), and the layout of its tokens."""
    seconds = recording.duration
    frames = np.asarray(recording.video.frames(np.arange(round(2 * seconds)) / 2))  # type: ignore[union-attr]
    small = np.stack([np.asarray(Image.fromarray(frame).resize((16, 8), Image.Resampling.BICUBIC)) for frame in frames])
    x = torch.tensor((small / 255 - [0.4, 0.5, 0.6]) / [0.2, 0.3, 0.4], dtype=torch.float32).movedim(3, 1)
    pixels, grid = patches(x, 4, 2, 2)
    ears = transformers.WhisperFeatureExtractor.from_pretrained(folder)
    samples = recording.sound.samples(0, seconds)  # type: ignore[union-attr]
    heard = ears(samples, sampling_rate=RATE, padding="max_length", return_attention_mask=True, return_tensors="pt")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    text = "<|im_start|>system\nWatch the rabbit<|im_end|>\n<|im_start|>user\n"
    sounds = ((int(heard["attention_mask"].sum()) - 1) // 2 + 1 - 2) // 2 + 1
    layout = media_layout(network.config, (grid[0], 2), 1.0, sounds).after(tokenizer(text)["input_ids"])
    ids = torch.tensor(layout.ids)[None]
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_audio_in_video": True}
    given |= {"input_features": heard["input_features"], "feature_attention_mask": heard["attention_mask"]}
    given |= {"pixel_values_videos": pixels, "video_grid_thw": torch.tensor([grid])}
    given |= {"video_second_per_grid": torch.tensor([1.0])}
    with torch.inference_mode():
        return network(**given, output_hidden_states=True), layout, given


def mean_of_row(states: np.ndarray, spans: np.ndarray, row: int, rate: float) -> np.ndarray:
    """The mean over the tokens of a row, by how long each lies in it; one after the other."""
    total, length = np.zeros(states.shape[1]), 0.0
    for state, (start, stop) in zip(states, spans, strict=True):
        inside = max(0.0, min(stop, (row + 1) / rate) - max(start, row / rate))
        total, length = total + inside * state, length + inside
    return total / length


@pytest.mark.parametrize("tokens", ["all", "pictures", "sound"])
def test_rows_are_means_of_the_states_of_the_plain_forward(folder: Path, network: Any, tokens: str) -> None:
    recording = film(6.0)
    output, layout, _ = plain(network, folder, recording)
    found = rows(folder, recording, rate=1 / 1.5, tokens=tokens)
    kinds = {"all": (PICTURE, SOUND), "pictures": (PICTURE,), "sound": (SOUND,)}[tokens]
    kept = np.isin(layout.kind, kinds)
    for number, layer in enumerate(["embeddings", "block1", "block2", "final"]):
        states = output.hidden_states[number][0].numpy()[kept]
        assert found[layer].shape == (4, 32)
        for row in range(4):
            wanted = mean_of_row(states, layout.spans[kept], row, 1 / 1.5)
            np.testing.assert_allclose(found[layer][row], wanted, atol=1e-4)
    normed = network.language_model.norm(torch.from_numpy(rows(folder, film(1.0), tokens="sound")["block3"]))
    assert normed.shape == (2, 32)


def test_states_of_eyes_and_ears_are_their_own(folder: Path, network: Any) -> None:
    recording = film(6.0)
    _, _, given = plain(network, folder, recording)
    found = rows(folder, recording, rate=1.0)
    caught: dict[str, torch.Tensor] = {}
    parts = {"vision.block2": network.visual.blocks[1], "audio.block1": network.audio_tower.layers[0]}
    parts |= {"vision.embeddings": network.visual.patch_embed, "audio.final": network.audio_tower.proj}
    handles = [
        part.register_forward_hook(
            lambda _, __, output, layer=layer: caught.update(
                {layer: output[0] if isinstance(output, tuple) else output}
            )
        )
        for layer, part in parts.items()
    ]
    with torch.inference_mode():
        network(**given)
    for handle in handles:
        handle.remove()
    for layer in ("vision.block2", "vision.embeddings"):  # six moments of a second each, eight patches in each
        wanted = caught[layer].reshape(6, -1, 16).mean(1)
        np.testing.assert_allclose(found[layer], wanted, atol=1e-5)
    for layer in ("audio.block1", "audio.final"):  # six seconds of 50 states and of 25
        wanted = caught[layer].reshape(6, -1, caught[layer].shape[-1]).mean(1)
        np.testing.assert_allclose(found[layer], wanted, atol=1e-5)


def test_rows_of_a_window_are_those_of_the_window_alone(folder: Path) -> None:
    whole = film(12.0)
    found = rows(folder, whole, window=6.0, stride=2.0, words=0)
    for first in (0, 2, 4, 6):  # windows 0-6, 2-8 (after the first they end with their rows), ...
        values = whole.video.values[4 * first : 4 * first + 24]  # type: ignore[union-attr]
        samples = whole.sound.samples(first, first + 6)  # type: ignore[union-attr]
        part = Recording(6.0, video=ArrayVideo(values, 4.0), sound=ArraySound(samples, RATE))
        alone = rows(folder, part, words=0)
        for layer in ("block3", "vision.block1", "audio.final"):
            np.testing.assert_allclose(found[layer][2 * first + 8 : 2 * first + 12], alone[layer][8:12], atol=1e-4)
    assert found["block3"].shape == (24, 32)


@pytest.mark.parametrize("rate", [2.0, 1 / 1.49])
def test_a_state_that_tells_the_time_comes_out_linear(
    folder: Path, rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is written into the sound; the network is replaced by one that reads it off."""

    def read(self: Thinker, text: str, frames: Any, samples: torch.Tensor, pair: float, kinds: Any, rows: Any) -> Any:
        told = samples[: len(samples) // 640 * 640].reshape(-1, 640).mean(1, keepdim=True) * 100
        spans = SOUND_TOKEN * (np.arange(len(told))[:, None] + np.arange(2))
        return {"time": rows(told, spans)}

    monkeypatch.setattr(Thinker, "read", read)
    samples = (np.arange(75 * RATE) / RATE / 100).astype(np.float32)
    recording = Recording(75.0, sound=ArraySound(samples, RATE))
    found = rows(folder, recording, rate=rate, window=20.0, stride=7.0)["time"][:, 0]
    middles = (np.arange(len(found)) + 0.5) / rate
    middles[-1] = (75.0 + (len(found) - 1) / rate) / 2
    np.testing.assert_allclose(found, middles, atol=0.02)


def test_words_are_read_once_they_were_heard(folder: Path) -> None:
    recording = film(12.0)
    settings = {"window": 6.0, "stride": 2.0}
    with_words, without = rows(folder, recording, **settings), rows(folder, recording, words=0, **settings)
    last = rows(folder, recording, words=1, **settings)
    same = [np.allclose(with_words["block3"][row], without["block3"][row], atol=1e-6) for row in range(24)]
    assert same[:12] == [True] * 12  # nothing was heard before the first window
    assert not any(same[12:])
    assert not np.allclose(with_words["block3"][-1], last["block3"][-1], atol=1e-6)
    np.testing.assert_allclose(with_words["vision.block2"], without["vision.block2"], atol=1e-6)


def test_no_row_knows_the_future(folder: Path) -> None:
    whole = film(8.0)
    values, samples = whole.video.values.copy(), whole.sound.samples(0, 8).copy()  # type: ignore[union-attr]
    values[24:], samples[6 * RATE :] = 255 - values[24:], samples[6 * RATE :] / 100
    other = Recording(8.0, words=whole.words, video=ArrayVideo(values, 4.0), sound=ArraySound(samples, RATE))
    one, two = rows(folder, whole), rows(folder, other)
    for layer in one:
        np.testing.assert_allclose(one[layer][:11], two[layer][:11], atol=1e-4)
        assert np.abs(one[layer][12:] - two[layer][12:]).max() > 1e-3


@pytest.mark.parametrize(
    "change",
    [
        {"instruction": "ran"},
        {"tokens": "sound"},
        {"tokens": "pictures"},
        {"pixels": 1024},
        {"frames": 4.0},
        {"window": 6.0},
        {"stride": 2.0},
        {"words": 0},
        {"precision": "bfloat16"},
        {"rate": 1.0},
    ],
)
def test_every_setting_changes_rows_and_key(folder: Path, change: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"window": 8.0, "pixels": 256}
    plain_one, changed = (load_backbone(f"omni:{folder}", **{**settings, **more}) for more in ({}, change))
    recording = film(12.0)
    first, second = (
        np.asarray(extract(one(recording), backbone).arrays["block3"]) for backbone in (plain_one, changed)
    )
    assert plain_one.settings != changed.settings  # type: ignore[attr-defined]
    count = min(len(first), len(second))
    assert np.abs(first[:count] - second[:count]).max() > 1e-5


@pytest.mark.parametrize("change", [{"image_mean": [0.5, 0.5, 0.5]}, {"hop_length": 320}])
def test_the_key_knows_how_it_sees_and_hears(folder: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config | change))
    one, other = (load_backbone(f"omni:{place}") for place in (folder, tmp_path))
    assert one.settings != other.settings  # type: ignore[attr-defined]
    assert one.revision == other.revision  # type: ignore[attr-defined]


@pytest.mark.parametrize("sense", ["video", "sound"])
def test_one_sense_alone(folder: Path, sense: str) -> None:
    recording = film(5.0)
    found = rows(folder, Recording(5.0, words=recording.words, **{sense: getattr(recording, sense)}))
    prefix = {"video": "vision.", "sound": "audio."}[sense]
    assert {layer.split(".")[0] + "." for layer in found if "." in layer} == {prefix}
    assert found["block3"].shape == (10, 32)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokens": "words"}, "unknown tokens 'words'; there are: all, pictures, sound"),
        ({"frames": 0.5}, "got frames=0.5 and words=200; wanted 1 frame per second at least"),
        ({"words": -1}, "no negative number of words"),
        ({"stride": 20.0}, "of which the last two fit into the first"),
        ({"precision": "float8"}, "unknown precision 'float8'"),
    ],
)
def test_refuses_what_cannot_be(folder: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises((SettingsError, LookupError), match=message):
        load_backbone(f"omni:{folder}", **{"window": 10.0, **settings})


def test_recordings_without_what_is_needed_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="neither pictures nor sound"):
        rows(folder, Recording(5.0))
    with pytest.raises(DataError, match="the recording has no sound"):
        rows(folder, Recording(5.0, video=film(5.0).video), tokens="sound")


def test_a_folder_says_that_it_holds_one(folder: Path) -> None:
    assert isinstance(load_backbone(str(folder)), Omni)
    assert isinstance(load_backbone(f"hf:{folder}", tokens="sound"), Omni)


def test_the_thinker_of_a_whole_checkpoint_is_found(folder: Path, tmp_path: Path) -> None:
    """Published checkpoints hold a part that speaks, too; the thinker is below `thinker.`."""
    safetensors = pytest.importorskip("safetensors.torch")
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = safetensors.load_file(folder / "model.safetensors")
    more = {"talker.model.norm.weight": torch.ones(4)}
    published = {f"thinker.{_published(name)}": value for name, value in weights.items()}
    safetensors.save_file({**published, **more}, tmp_path / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    whole = {"model_type": "qwen2_5_omni", "architectures": ["Qwen2_5OmniModel"], "thinker_config": config}
    (tmp_path / "config.json").write_text(json.dumps(whole))
    recording = film(3.0)
    np.testing.assert_array_equal(rows(tmp_path, recording)["block3"], rows(folder, recording)["block3"])


def _published(name: str) -> str:
    """Names of weights as the published checkpoints have them: the language part is `model`, the rest beside it."""
    return (
        name.replace("model.language_model.", "model.")
        .replace("model.visual.", "visual.")
        .replace("model.audio_tower.", "audio_tower.")
    )


def test_missing_weights_and_files_are_named(folder: Path, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = safetensors.load_file(folder / "model.safetensors")
    gone = next(name for name in weights if "layers.1.self_attn.q_proj.weight" in name and "audio" not in name)
    del weights[gone]
    safetensors.save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(LayoutError, match=r"1 weights of .* are not in its checkpoint"):
        rows(tmp_path, film(2.0))
    with pytest.raises(LayoutError, match="cannot load 'nobody/nothing'"):
        load_backbone("omni:nobody/nothing").to("cpu")  # type: ignore[attr-defined]
