"""Audio networks of Hugging Face: tiny ones, saved, loaded by path, against the plain forward."""

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
from numpy.typing import NDArray

from fusiform.data import ArraySound, Recording, Stimuli
from fusiform.errors import DataError, LayoutError, SettingsError
from fusiform.features.extract import extract
from fusiform.features.networks.sounds import HuggingFaceAudio
from fusiform.features.store import FeatureStore
from fusiform.features.tokens import load_backbone
from fusiform.testing import check_backbone

transformers = pytest.importorskip("transformers")

RATE, WIDTH, DEPTH = 16000, 16, 3
SHARED: dict[str, Any] = {"hidden_size": WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": 2}
MLP = {"intermediate_size": 24}
WAVE = {**SHARED, **MLP, "conv_dim": [8, 8, 8], "conv_kernel": [10, 8, 4], "conv_stride": [5, 8, 4]}
WAVE |= {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "num_feat_extract_layers": 3}
WHISPER = {"d_model": WIDTH, "encoder_layers": DEPTH, "decoder_layers": 1, "encoder_attention_heads": 2}
WHISPER |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "num_mel_bins": 20}
WHISPER |= {"max_source_positions": 100, "vocab_size": 9, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
WHISPER |= {"decoder_start_token_id": 1}
# name -> model class, configuration class, its settings, extractor class, its settings
FAMILIES: dict[str, tuple[str, str, dict[str, Any], str, dict[str, Any]]] = {
    "whisper": (
        *("WhisperModel", "WhisperConfig", WHISPER),
        *("WhisperFeatureExtractor", {"feature_size": 20, "chunk_length": 2}),
    ),
    "wav2vec2": ("Wav2Vec2Model", "Wav2Vec2Config", WAVE, "Wav2Vec2FeatureExtractor", {}),
    "wav2vec2-stable": (
        *("Wav2Vec2Model", "Wav2Vec2Config"),
        {**WAVE, "do_stable_layer_norm": True, "feat_extract_norm": "layer"},
        *("Wav2Vec2FeatureExtractor", {"return_attention_mask": True}),
    ),
    "hubert": ("HubertModel", "HubertConfig", WAVE, "Wav2Vec2FeatureExtractor", {}),
    "w2v-bert": (
        *("Wav2Vec2BertModel", "Wav2Vec2BertConfig"),
        {**SHARED, **MLP, "feature_projection_input_dim": 160, "conv_depthwise_kernel_size": 5},
        *("SeamlessM4TFeatureExtractor", {"feature_size": 80}),
    ),
    "ast": (
        *("ASTModel", "ASTConfig"),
        {**SHARED, **MLP, "max_length": 200, "num_mel_bins": 36, "patch_size": 16, "time_stride": 5},
        *("ASTFeatureExtractor", {"max_length": 200, "num_mel_bins": 36}),
    ),
}
BANDS = 3  # of the audio-spectrogram transformer: (36 - 16) / 10 + 1
TIMES = {  # seconds: middle of the first token, and from token to token
    "whisper": (0.0, 0.02),
    "wav2vec2": ((10 + 7 * 5 + 3 * 40 - 1) / 2 / RATE, 160 / RATE),
    "w2v-bert": ((0.0125 + 0.0225) / 2, 0.02),
    "ast": (0.0125 + 0.075, 0.05),
}
TIMES |= {"wav2vec2-stable": TIMES["wav2vec2"], "hubert": TIMES["wav2vec2"]}


def noise(seconds: float, seed: int = 0, rate: int = RATE) -> NDArray[np.float32]:
    count = round(seconds * rate)
    loudness = 0.2 + 0.1 * np.sin(np.arange(count) / rate * 2 * np.pi)
    return (loudness * np.random.default_rng(seed).normal(size=count).clip(-3, 3)).astype(np.float32)


def recording(values: NDArray[np.float32], rate: int = RATE) -> Recording:
    return Recording(len(values) / rate, sound=ArraySound(values, rate))


def stimuli(**recordings: Recording) -> Stimuli:
    return Stimuli("stories", "recording", pd.DataFrame(index=list(recordings)), recordings.__getitem__)


STORIES = stimuli(long=recording(noise(5.3)), short=recording(noise(2.0, 1)), tiny=recording(noise(0.7, 2)))


@cache
def made(name: str) -> Any:
    """A network with random weights, every one of which matters."""
    model, config, settings, _, _ = FAMILIES[name]
    if not hasattr(transformers, model):
        pytest.skip(f"this transformers has no {model}")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = getattr(transformers, model)(getattr(transformers, config)(**settings))
        for weight in network.parameters():
            weight.data += 0.1 * torch.randn_like(weight)
    return network.eval()


def extractor(name: str) -> Any:
    return getattr(transformers, FAMILIES[name][3])(**FAMILIES[name][4])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("networks")

    def save(name: str) -> Path:
        if not (root / name).exists():
            made(name).save_pretrained(root / name)
            extractor(name).save_pretrained(root / name)
        return root / name

    return save


Opened = Callable[..., HuggingFaceAudio]


@pytest.fixture(scope="module")
def opened(saved: Callable[[str], Path]) -> Opened:
    """`opened(family, window=2)`: a backbone whose network was loaded once from its folder."""
    loaded: dict[str, HuggingFaceAudio] = {}

    def make(name: str, **settings: Any) -> HuggingFaceAudio:
        first = loaded.setdefault(name, HuggingFaceAudio(str(saved(name))))
        backbone = HuggingFaceAudio(first.source, **settings)
        backbone.__dict__.update(network=first.network, extractor=first.extractor, revision=first.revision)
        return backbone

    return make


def plain(name: str, samples: NDArray[np.float32]) -> Any:
    """The plain forward of transformers on one window."""
    network = made(name)
    network = network.encoder if name == "whisper" else network
    found = extractor(name)(samples, sampling_rate=RATE, return_tensors="pt")
    found = {key: found[key] for key in found if key != "attention_mask" or name == "w2v-bert"}
    with torch.no_grad():
        return network(**found, output_hidden_states=True)


def means(name: str, state: NDArray[np.float32], seconds: float, edges: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows by definition: every half millisecond belongs to the token whose middle is nearest; tokens [N, ...]."""
    first, step = TIMES[name]
    moments = np.arange(0.00025, seconds, 0.0005)
    real = int(np.ceil((seconds - first) / step - 1e-6))
    nearest = np.clip(np.rint((moments - first) / step), 0, min(real, len(state)) - 1).astype(int)
    rows = np.searchsorted(edges, moments, side="right") - 1
    return np.stack([state[nearest[rows == row]].mean(0) for row in range(len(edges) - 1)])


def explained(features: NDArray[np.float32], target: NDArray[np.float64]) -> float:
    """Share of variance that a linear map of features explains."""
    design = np.column_stack([features, np.ones(len(features))])
    residual = target - design @ np.linalg.lstsq(design, target, rcond=None)[0]
    return float(1 - residual.var() / target.var())


@pytest.mark.parametrize("family", FAMILIES)
class TestFamilies:
    def test_every_layer_is_that_of_the_plain_forward(self, family: str, opened: Opened) -> None:
        values = noise(2.0)
        backbone = opened(family, rate=4, window=2.0, stride=2.0)
        features = extract(stimuli(one=recording(values)), backbone).arrays
        wanted = plain(family, values)
        states = dict(zip(["embeddings", "block1", "block2", "block3"], wanted.hidden_states, strict=True))
        if family == "whisper":  # transformers puts the normed state where the last block's should be
            states["final"] = states.pop("block3")
        elif family in ("wav2vec2-stable", "ast"):
            states["final"] = wanted.last_hidden_state
        assert set(features) == {"embeddings", "block1", "block2", "block3", *states}
        for layer, state in states.items():
            tokens = state[0].numpy()
            if family == "ast":  # two tokens before, then band by band
                tokens = tokens[2:].reshape(BANDS, -1, WIDTH).transpose(1, 2, 0)
            assert features[layer].shape == (8, *tokens.shape[1:])
            np.testing.assert_allclose(
                features[layer], means(family, tokens, 2.0, np.arange(9) / 4), atol=0.03 * np.abs(tokens).max()
            )

    def test_the_norm_of_whisper_is_its_own_layer(self, family: str, opened: Opened) -> None:
        backbone = opened(family, window=2.0)
        x = backbone.preprocess(noise(2.0))[None]
        with torch.no_grad():
            found = backbone.get_tokens(x).local
            wanted = plain(family, noise(2.0)).last_hidden_state
        if "final" not in found:
            torch.testing.assert_close(found["block3"], wanted.transpose(1, 2), rtol=0, atol=1e-5)
        elif family == "whisper":
            normed = backbone.network.layer_norm(found["block3"].transpose(1, 2)).detach()
            torch.testing.assert_close(normed, wanted, rtol=0, atol=1e-5)
            torch.testing.assert_close(found["final"].transpose(1, 2), wanted, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("batch_size", [1, 1000])
    def test_batches_and_order_change_nothing(self, family: str, batch_size: int, opened: Opened) -> None:
        backbone = opened(family, rate=2, window=1.0)
        forth = extract(STORIES, backbone)
        back = extract(STORIES.select(["tiny", "short", "long"]), backbone, batch_size=batch_size)
        assert forth.index["stimulus"].value_counts().to_dict() == {"long": 11, "short": 4, "tiny": 2}
        order = np.r_[15:17, 11:15, 0:11]
        for layer, values in back.arrays.items():
            np.testing.assert_allclose(values, np.asarray(forth.arrays[layer])[order], atol=1e-4)

    def test_padding_is_in_no_mean(self, family: str, opened: Opened) -> None:
        """A sound shorter than its window: rows only as long as it lasts, and every one of tokens of the sound."""
        values = noise(0.7)
        backbone = opened(family, rate=10, window=2.0)
        features = extract(stimuli(one=recording(values)), backbone).arrays["block1"]
        state = plain(family, values).hidden_states[1][0].numpy()
        if family == "ast":
            state = state[2:].reshape(BANDS, -1, WIDTH).transpose(1, 2, 0)
        assert len(features) == 7
        np.testing.assert_allclose(
            features, means(family, state, 0.7, np.arange(8) / 10), atol=0.05 * np.abs(state).max()
        )

    def test_half_precision_is_near(self, family: str, saved: Callable[[str], Path], opened: Opened) -> None:
        short = STORIES.select(["short"])
        half = HuggingFaceAudio(str(saved(family)), window=1.0, precision="bfloat16")
        assert {weight.dtype for weight in half.network.parameters()} == {torch.bfloat16}
        single = opened(family, window=1.0)
        assert half.settings != single.settings
        found, wanted = (np.asarray(extract(short, backbone).arrays["block3"]) for backbone in (half, single))
        assert 0 < np.linalg.norm(found - wanted) < 0.1 * np.linalg.norm(wanted)

    def test_keeps_the_contract(self, family: str, opened: Opened) -> None:
        check_backbone(opened(family, window=1.0), STORIES)


@pytest.mark.parametrize("family", ["whisper", "w2v-bert", "ast"])
def test_rows_are_neither_early_nor_late(family: str, opened: Opened) -> None:
    """Noise brighter or duller in each row, over many windows: features tell the colour of their own row best."""
    rows = 120
    colour = np.random.default_rng(0).uniform(0, 1, rows)
    white, dull = noise(rows / 5), 4 * np.convolve(noise(rows / 5, 1), np.ones(12) / 12, mode="same")
    bright = np.repeat(colour, RATE // 5)
    values = (bright * white + (1 - bright) * dull).astype(np.float32) / 2
    features = extract(stimuli(a=recording(values)), opened(family, rate=5, window=2.0), layers=["embeddings"])
    found = np.asarray(features.arrays["embeddings"]).reshape(rows, -1)
    told = {lag: explained(found[3:-3], colour[3 + lag : rows - 3 + lag]) for lag in range(-3, 4)}
    own = told.pop(0)
    assert own > 0.35
    assert own > max(told.values()) + 0.1


def test_a_token_of_convolutions_stands_in_the_middle_of_what_it_hears() -> None:
    """The samples that change a token, by its gradient: their middle is its time."""
    network = made("wav2vec2-stable").feature_extractor
    x = torch.from_numpy(noise(0.2))[None].requires_grad_()
    tokens = network(x)
    first, step = TIMES["wav2vec2-stable"]
    for number in (0, 5, tokens.shape[2] - 1):
        (gradient,) = torch.autograd.grad(tokens[0, :, number].abs().sum(), x, retain_graph=True)
        heard = gradient[0].nonzero()[:, 0]
        assert (heard[0] + heard[-1]).item() / 2 / RATE == pytest.approx(first + number * step)


class TestSettings:
    def test_every_one_is_in_the_key_and_changes_numbers(self, opened: Opened) -> None:
        def found(**changes: Any) -> tuple[str, NDArray[Any]]:
            given = {"rate": 2.0, "window": 2.0, "stride": 1.0, "context": 1.0, **changes}
            backbone = opened("wav2vec2", **given)
            values = extract(STORIES.select(["long"]), backbone).arrays["block3"]
            return json.dumps(dict(backbone.settings)), np.asarray(values)

        settings, values = found()
        for change in ({"rate": 1.0}, {"window": 3.0}, {"stride": 0.5}, {"context": 0.5}):
            other, changed = found(**change)
            assert other != settings
            assert changed.shape != values.shape or np.abs(changed - values).max() > 1e-3

    def test_the_extractor_is_in_the_key(self, saved: Callable[[str], Path], tmp_path: Path) -> None:
        folder = shutil.copytree(saved("wav2vec2"), tmp_path / "own")
        first = HuggingFaceAudio(str(folder))
        assert json.loads(json.dumps(dict(first.settings))) == first.settings
        file = folder / "preprocessor_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "do_normalize": False}))
        second = HuggingFaceAudio(str(folder))
        assert first.settings != second.settings
        assert first.revision == second.revision
        file.rename(folder / "old.json")
        joint = {"feature_extractor": json.loads((folder / "old.json").read_text())}
        (folder / "processor_config.json").write_text(json.dumps(joint))
        assert not HuggingFaceAudio(str(folder)).extractor.do_normalize
        (folder / "processor_config.json").unlink()
        assert HuggingFaceAudio(str(folder)).extractor.do_normalize

    def test_windows_by_default(self, opened: Opened) -> None:
        assert opened("wav2vec2").windows.length == 30
        assert opened("whisper").windows.length == 2
        assert opened("ast").windows.length == 2

    @pytest.mark.parametrize("family", ["whisper", "ast"])
    def test_windows_too_long(self, family: str, opened: Opened) -> None:
        with pytest.raises(SettingsError, match=r"window of 2.5 s; .* hears 0.1 to 2 s at once"):
            extract(STORIES, opened(family, window=2.5))

    def test_a_folder_is_known_by_its_configuration(self, saved: Callable[[str], Path]) -> None:
        assert isinstance(load_backbone(str(saved("whisper"))), HuggingFaceAudio)
        assert isinstance(load_backbone(f"hf-audio:{saved('w2v-bert')}", rate=1, window=4), HuggingFaceAudio)

    def test_goes_into_a_store_and_comes_back(self, opened: Opened, tmp_path: Path) -> None:
        backbone = opened("whisper")
        fresh = extract(STORIES, backbone, FeatureStore(tmp_path))
        again = extract(STORIES, opened("whisper"), FeatureStore(tmp_path))
        np.testing.assert_array_equal(fresh.arrays["final"][:], again.arrays["final"][:])


class TestSounds:
    def test_other_rates_are_brought_to_the_network(self, opened: Opened) -> None:
        times = np.arange(4 * 48000) / 48000
        tone = (0.3 * np.sin(2 * np.pi * (300 + 50 * times) * times)).astype(np.float32)
        backbone = opened("whisper")
        fine = np.asarray(extract(stimuli(a=recording(tone, 48000)), backbone).arrays["block1"])
        plain = np.asarray(extract(stimuli(a=recording(tone[::3].copy())), backbone).arrays["block1"])
        np.testing.assert_allclose(fine, plain, atol=0.05 * np.abs(plain).max())

    def test_what_is_refused(self, opened: Opened, tmp_path: Path) -> None:
        backbone = opened("whisper")
        with pytest.raises(DataError, match=r"stimulus 'a' of 'stories': the recording has no sound, which"):
            extract(stimuli(a=Recording(3.0)), backbone)
        with pytest.raises(DataError, match=r"the sound lasts 0.05 s; wanted 0.1 s at least"):
            extract(stimuli(a=recording(noise(0.05))), backbone)
        transformers.ViTConfig().save_pretrained(tmp_path)
        with pytest.raises(SettingsError, match=r"of the family 'vit'; wanted a network of sounds"):
            extract(STORIES, HuggingFaceAudio(str(tmp_path)))
        with pytest.raises(LayoutError, match=r"'no/such-network' has no config.json within reach; wanted a name on"):
            extract(STORIES, HuggingFaceAudio("no/such-network"))
        with pytest.raises(SettingsError, match=r"unknown precision 'half'"):
            HuggingFaceAudio(backbone.source, precision="half")  # type: ignore[arg-type]
        with pytest.raises(SettingsError, match=r"windows of 1.0 s, stride 2.0 s"):
            opened("whisper", window=1.0, stride=2.0)

    def test_a_file_of_something_else(self, saved: Callable[[str], Path], tmp_path: Path) -> None:
        folder = shutil.copytree(saved("whisper"), tmp_path / "own")
        (folder / "preprocessor_config.json").write_text(json.dumps({"hop_length": "wide"}))
        with pytest.raises(LayoutError, match=r"preprocessor_config.json of '.*' does not make a WhisperFeatureExtr"):
            extract(STORIES, HuggingFaceAudio(str(folder)))

    def test_weights_that_are_missing(self, saved: Callable[[str], Path], tmp_path: Path) -> None:
        folder = shutil.copytree(saved("whisper"), tmp_path / "own")
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "encoder_layers": DEPTH + 1}))
        with pytest.raises(LayoutError, match=r"weights of '.*' are not in its checkpoint, such as 'layers.3"):
            extract(STORIES, HuggingFaceAudio(str(folder)))
