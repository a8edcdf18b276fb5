"""Vision networks of Hugging Face: tiny ones of every family, saved, loaded by path, against the plain forward."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fusiform.data import Stimuli
from fusiform.errors import LayoutError, MissingExtraError, SettingsError, UnknownNameError
from fusiform.features.extract import extract
from fusiform.features.networks.huggingface import HuggingFace
from fusiform.features.store import FeatureStore
from fusiform.features.tokens import load_backbone
from fusiform.testing import check_backbone

transformers = pytest.importorskip("transformers")

WIDTH, DEPTH, SIDE = 16, 3, 32
PATCHES: dict[str, Any] = {"hidden_size": WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": 2}
PATCHES |= {"image_size": SIDE, "patch_size": 8}
MLP = {"intermediate_size": 24}
TEXT = {"hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 9, **MLP}
TEXT |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
STAGES = {"hidden_sizes": [4, 6, 8, 10], "depths": [1, 1, 2, 1]}
SAM = {"mlp_dim": 24, "output_channels": 8, "window_size": 3, "global_attn_indexes": [2]}
SAM_REST = {
    "prompt_encoder_config": {"hidden_size": 8, "image_size": SIDE, "patch_size": 8},
    "mask_decoder_config": {"hidden_size": 8, "mlp_dim": 8, "num_attention_heads": 2, "iou_head_hidden_dim": 8},
}
# name -> model class, configuration class, its settings, tokens before the patches (None where there is a grid already)
FAMILIES: dict[str, tuple[str, str, dict[str, Any], int | None]] = {
    "dinov2": ("Dinov2Model", "Dinov2Config", {**PATCHES, "mlp_ratio": 2}, 1),
    "dinov2-registers": (
        *("Dinov2WithRegistersModel", "Dinov2WithRegistersConfig"),
        {**PATCHES, "mlp_ratio": 2, "num_register_tokens": 4},
        5,
    ),
    "dinov3": ("DINOv3ViTModel", "DINOv3ViTConfig", {**PATCHES, **MLP, "num_register_tokens": 4}, 5),
    "clip-vision": ("CLIPVisionModel", "CLIPVisionConfig", {**PATCHES, **MLP}, 1),
    "clip": ("CLIPModel", "CLIPConfig", {"vision_config": {**PATCHES, **MLP}, "text_config": TEXT}, 1),
    "siglip": ("SiglipModel", "SiglipConfig", {"vision_config": {**PATCHES, **MLP}, "text_config": TEXT}, 0),
    "siglip-vision": ("SiglipVisionModel", "SiglipVisionConfig", {**PATCHES, **MLP}, 0),
    "vit": ("ViTModel", "ViTConfig", {**PATCHES, **MLP}, 1),
    "mae": ("ViTMAEModel", "ViTMAEConfig", {**PATCHES, **MLP}, 1),
    "sam": ("SamModel", "SamConfig", {"vision_config": {**PATCHES, **SAM}, **SAM_REST}, None),
    "sam-vision": ("SamVisionModel", "SamVisionConfig", {**PATCHES, **SAM}, None),
    "convnext": ("ConvNextModel", "ConvNextConfig", {**STAGES, "image_size": SIDE}, None),
    "resnet": ("ResNetModel", "ResNetConfig", {**STAGES, "embedding_size": 4}, None),
    "swin": (
        *("SwinModel", "SwinConfig"),
        {"image_size": SIDE, "patch_size": 2, "embed_dim": 4, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4},
        None,
    ),
}
WITH_ATTENTION = [name for name in FAMILIES if name not in ("sam", "sam-vision", "convnext", "resnet", "swin")]
FILE = {"image_processor_type": "ViTImageProcessor", "size": {"height": SIDE, "width": SIDE}}


def picture(id: str) -> Image.Image:
    random = np.random.default_rng(int(id))
    return Image.fromarray(random.integers(0, 256, (40, 36, 3), dtype=np.uint8))


PICTURES = Stimuli("noise", "image", pd.DataFrame(index=[str(number) for number in range(5)]), picture)


def made(name: str) -> Any:
    """A network with random weights, every one of which matters (biases and scales start at 0 and 1 else)."""
    model, config, settings, _ = FAMILIES[name]
    if not hasattr(transformers, model):
        pytest.skip(f"this transformers has no {model}")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = getattr(transformers, model)(getattr(transformers, config)(**settings))
        for weight in network.parameters():
            weight.data += 0.2 * torch.randn_like(weight)
    return network.eval()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`saved(family)`: the folder of a tiny network with its preprocessing."""
    root = tmp_path_factory.mktemp("networks")

    def save(name: str) -> Path:
        if not (root / name).exists():
            made(name).save_pretrained(root / name)
            (root / name / "preprocessor_config.json").write_text(json.dumps(FILE))
        return root / name

    return save


def plain(name: str, x: torch.Tensor) -> Any:
    """The plain forward of transformers through the vision part."""
    network = made(name)
    network = network.vision_model if name in ("clip", "siglip") else network
    network = network.vision_encoder if name == "sam" else network
    more = {}
    if name == "mae":
        network.config.mask_ratio = 0.0
        more = {"noise": torch.arange(16).expand(len(x), -1)}
    with torch.inference_mode():
        return network(x, output_hidden_states=True, **more)


def grid(state: torch.Tensor, before: int) -> np.ndarray:
    """[B, T, C] -> [B, C, 4, 4], place by place."""
    local = np.empty((len(state), state.shape[2], 4, 4), np.float32)
    for row in range(4):
        for column in range(4):
            local[:, :, row, column] = state[:, before + 4 * row + column]
    return local


def batch(backbone: Any) -> torch.Tensor:
    return torch.stack([backbone.preprocess(PICTURES.load(id)) for id in PICTURES.ids])


@pytest.mark.parametrize("family", FAMILIES)
class TestFamilies:
    def test_every_layer_is_that_of_the_plain_forward(self, family: str, saved: Callable[[str], Path]) -> None:
        backbone: Any = load_backbone(str(saved(family)))
        features = extract(PICTURES, backbone, batch_size=2).arrays
        wanted = plain(family, batch(backbone))
        before = FAMILIES[family][3]
        states = wanted.get("reshaped_hidden_states") or wanted.hidden_states
        unit = "stage" if family in ("convnext", "resnet", "swin") else "block"
        layers = ["embeddings", *(f"{unit}{number}" for number in range(1, len(states)))]
        assert set(features) - {"final", "final/global", "pooled"} == {
            *layers,
            *(f"{layer}/global" for layer in layers),
        }
        for layer, state in zip(layers, states, strict=True):
            local = state if before is None else grid(state, before)
            local = state.permute(0, 3, 1, 2) if family.startswith("sam") else local
            np.testing.assert_allclose(features[layer], local, atol=1e-5)
            cls = state[:, 0] if before else np.asarray(local).mean((2, 3))
            np.testing.assert_allclose(features[f"{layer}/global"], cls, atol=1e-5)

    def test_the_final_norm_and_the_pooled_vector(self, family: str, saved: Callable[[str], Path]) -> None:
        backbone: Any = load_backbone(f"hf:{saved(family)}")
        features, wanted = extract(PICTURES, backbone).arrays, plain(family, batch(backbone))
        same = family in ("clip", "clip-vision", "convnext", "resnet")  # their last state is the last block's
        assert ("final" in features) != same
        if not same:
            last, before = wanted.last_hidden_state, FAMILIES[family][3]
            local = last if last.ndim == 4 else last.transpose(1, 2).reshape(5, 8, 8, 8) if before is None else None
            local = grid(last, before) if local is None and before is not None else local
            np.testing.assert_allclose(features["final"], local, atol=1e-5)
        if family in ("mae", "sam", "sam-vision"):
            assert "pooled" not in features
        else:
            np.testing.assert_allclose(features["pooled"], wanted.pooler_output.flatten(1), atol=1e-5)

    def test_keeps_the_contract(self, family: str, saved: Callable[[str], Path]) -> None:
        check_backbone(HuggingFace(str(saved(family))))


@pytest.mark.parametrize("family", WITH_ATTENTION)
def test_projections_of_attention(family: str, saved: Callable[[str], Path]) -> None:
    """The weights of a block, found by hand, times its normed input."""
    layers = ["block2.query", "block2.key", "block2.value"]
    backbone = HuggingFace(str(saved(family)), layers)
    features = extract(PICTURES, backbone).arrays
    assert sorted(features) == sorted([*layers, *(f"{layer}/global" for layer in layers)])
    network = backbone.network
    inside = dict(next(m for m in network.modules() if isinstance(m, torch.nn.ModuleList))[1].named_modules())
    norm = next(inside[name] for name in ("norm1", "layernorm_before", "layer_norm1") if name in inside)
    before = FAMILIES[family][3]
    assert before is not None
    with torch.inference_mode():
        normed = norm(plain(family, batch(backbone)).hidden_states[1])
        for layer in layers:
            letter, word = layer.split(".")[1][0], layer.split(".")[1]
            linear: Any = next(m for n, m in inside.items() if n.endswith((f"{letter}_proj", f".{word}")))
            projected = torch.einsum("btc,dc->btd", normed, linear.weight)
            projected = projected if linear.bias is None else projected + linear.bias
            np.testing.assert_allclose(features[layer], grid(projected, before), atol=1e-5)
            cls = projected[:, 0] if before else projected.mean(1)
            np.testing.assert_allclose(features[f"{layer}/global"], cls, atol=1e-5)


class TestLayers:
    def test_some_in_the_order_asked_for(self, saved: Callable[[str], Path]) -> None:
        path = str(saved("vit"))
        some = extract(PICTURES, HuggingFace(path, ["pooled", "block3", "block1.key"])).arrays
        assert list(some) == ["block3", "block1.key", "pooled", "block3/global", "block1.key/global"]
        assert list(extract(PICTURES, HuggingFace(path, "pooled")).arrays) == ["pooled"]
        np.testing.assert_allclose(some["block3"], extract(PICTURES, HuggingFace(path)).arrays["block3"], atol=1e-6)

    @pytest.mark.parametrize(
        ("family", "layer", "complaint"),
        [
            ("vit", "blok3", r"'vit' has no layer 'blok3' \(did you mean 'block3'\?\); it has: embeddings, block1"),
            ("vit", "block4.key", "block 4 of 'vit' has no key of its own; the network has 3 blocks"),
            ("vit", "block0.key", "block 0 of 'vit' has no key"),
            ("sam", "block1.query", "block 1 of 'sam' has no query of its own"),
            ("resnet", "block1.query", "the network has 0 blocks"),
        ],
    )
    def test_unknown_ones(self, family: str, layer: str, complaint: str, saved: Callable[[str], Path]) -> None:
        with pytest.raises(UnknownNameError, match=complaint):
            extract(PICTURES, HuggingFace(str(saved(family)), [layer]))


class TestKey:
    def test_weights_configuration_and_preprocessing(self, saved: Callable[[str], Path], tmp_path: Path) -> None:
        folder = shutil.copytree(saved("vit"), tmp_path / "vit")

        def key() -> tuple[str, str]:
            backbone = HuggingFace(str(folder))
            return backbone.revision, str(backbone.settings)

        first = key()
        assert first == key()
        assert first[0]
        (folder / "preprocessor_config.json").write_text(json.dumps({**FILE, "resample": 3}))
        assert key()[0] == first[0]
        assert key()[1] != first[1]
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 0.1}))
        assert key()[0] != first[0]
        network = made("vit")
        network.layernorm.bias.data += 1
        network.save_pretrained(folder)
        assert key()[0].split("-")[0] != first[0].split("-")[0]

    def test_says_that_preprocessing_is_a_default(self, saved: Callable[[str], Path], tmp_path: Path) -> None:
        folder = shutil.copytree(saved("vit"), tmp_path / "vit")
        (folder / "preprocessor_config.json").unlink()
        backbone = HuggingFace(str(folder))
        assert backbone.settings["preprocess"]["source"] == "default of ViT"
        assert backbone.preprocess(picture("0")).shape == (3, SIDE, SIDE)

    def test_reads_the_file_of_a_joint_processor(self, saved: Callable[[str], Path], tmp_path: Path) -> None:
        folder = shutil.copytree(saved("vit"), tmp_path / "vit")
        (folder / "preprocessor_config.json").unlink()
        (folder / "processor_config.json").write_text(json.dumps({"image_processor": {**FILE, "resample": 3}}))
        assert HuggingFace(str(folder)).processing.resample == 3

    def test_goes_into_a_store_and_comes_back(self, saved: Callable[[str], Path], tmp_path: Path) -> None:
        store = FeatureStore(tmp_path)
        fresh = extract(PICTURES, HuggingFace(str(saved("sam"))), store)
        again = extract(PICTURES, HuggingFace(str(saved("sam"))), store)
        assert len(store.names()) == 1
        np.testing.assert_array_equal(fresh.arrays["final"], again.arrays["final"])


class TestLoading:
    def test_making_one_imports_and_loads_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "transformers", None)
        backbone = HuggingFace("somebody/something")
        assert backbone.name == "somebody/something"
        with pytest.raises(MissingExtraError, match=r"pip install 'fusiform\[models\]'"):
            extract(PICTURES, backbone)

    def test_a_folder_without_a_network(self, tmp_path: Path) -> None:
        with pytest.raises(LayoutError, match=r"has no config.json; wanted one that save_pretrained wrote"):
            load_backbone(str(tmp_path))

    @pytest.mark.parametrize("size", [0, 5, 500])
    def test_a_damaged_network(self, size: int, saved: Callable[[str], Path], tmp_path: Path) -> None:
        folder = shutil.copytree(saved("vit"), tmp_path / "vit")
        weights = next(folder.glob("*.safetensors"))
        weights.write_bytes(weights.read_bytes()[:size])
        with pytest.raises(LayoutError, match=r"cannot load .*wanted a name on the model hub or a local folder"):
            extract(PICTURES, HuggingFace(str(folder)))

    def test_a_name_that_nobody_has(self) -> None:
        with pytest.raises(LayoutError, match="cannot load 'no/such-network'"):
            extract(PICTURES, HuggingFace("no/such-network"))

    def test_a_network_of_words(self, tmp_path: Path) -> None:
        config = transformers.BertConfig(**TEXT)
        transformers.BertModel(config).save_pretrained(tmp_path)
        with pytest.raises(SettingsError, match="takes input_ids; wanted pictures"):
            extract(PICTURES, HuggingFace(str(tmp_path)))

    def test_weights_that_were_never_trained_are_not_used(self, tmp_path: Path) -> None:
        config = transformers.ViTConfig(**PATCHES, **MLP)
        transformers.ViTForImageClassification(config).save_pretrained(tmp_path)  # has no pooling layer
        backbone = HuggingFace(str(tmp_path))
        assert "pooled" not in extract(PICTURES, backbone).arrays
        assert backbone.revision == HuggingFace(str(tmp_path)).revision

    def test_weights_that_are_missing(self, tmp_path: Path, saved: Callable[[str], Path]) -> None:
        folder = shutil.copytree(saved("vit"), tmp_path / "vit")
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": DEPTH + 1}))
        with pytest.raises(
            LayoutError, match=r"weights of '.*' are not in its checkpoint, such as '[a-z.]*layers?\.3\."
        ):
            extract(PICTURES, HuggingFace(str(folder)))

    def test_half_precision_weights_are_computed_in_single(self, tmp_path: Path) -> None:
        made("vit").half().save_pretrained(tmp_path)
        assert HuggingFace(str(tmp_path)).network.dtype == torch.float32

    def test_the_device(self, saved: Callable[[str], Path]) -> None:
        backbone = HuggingFace(str(saved("vit")))
        backbone.to("meta")  # shapes without numbers, on every machine
        assert next(backbone.network.parameters()).device.type == "meta"
