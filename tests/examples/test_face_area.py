"""MobileNetV2 as a plug-in, and the curve of the face area over its layers: numbers that are known."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import fusiform as ff
from fusiform.errors import MissingDataError, MissingExtraError
from fusiform.testing import check_backbone

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


@pytest.fixture
def network() -> Any:
    pytest.importorskip("ai_edge_litert")
    return ff.load_backbone("mobilenet_v2:MobileNetV2")


@pytest.mark.data
def test_keeps_the_contract(network: Any) -> None:
    check_backbone(network)
    tokens = network.get_tokens(torch.rand(2, 3, 224, 224))
    assert list(tokens.local) == ["conv0", *(f"block{number}" for number in range(1, 18)), "conv18"]
    assert tuple(tokens.local["conv0"].shape) == (2, 32, 112, 112)
    assert tuple(tokens.local["block14"].shape) == (2, 160, 7, 7)
    assert {layer: value.shape[1] for layer, value in tokens.global_.items()} == {"pooled": 1280, "logits": 1001}


@pytest.mark.data
def test_the_first_layer_is_the_convolution_of_its_weights(network: Any) -> None:
    """By the plain formula in floating point; the network itself computes in 8 bits, in steps of 6 / 255."""
    lite = network.interpreter
    first = [tensor for tensor in lite.get_tensor_details() if "Conv2d_0_0" in tensor["name"]]
    kernel = next(tensor for tensor in first if tuple(tensor["shape"]) == (32, 3, 3, 3))
    bias = next(tensor for tensor in first if tuple(tensor["shape"]) == (32,))
    scales = [torch.tensor(tensor["quantization_parameters"]["scales"]) for tensor in (kernel, bias)]
    weights = torch.tensor(lite.get_tensor(kernel["index"])).float() * scales[0][:, None, None, None]
    x = torch.rand(1, 3, 224, 224).mul(255).round() / 255
    padded = functional.pad(
        2 * x - 1 + 1 / 255, (0, 1, 0, 1)
    )  # 127 of 255 stands for zero; `same` pads below and right
    plain = functional.conv2d(
        padded, weights.movedim(3, 1), torch.tensor(lite.get_tensor(bias["index"])) * scales[1], 2
    )
    found = network.get_tokens(x).local["conv0"]
    assert float((found - plain.clamp(0, 6)).abs().max()) < 6 / 255


@pytest.mark.data
def test_the_pooled_vector_is_the_mean_of_the_last_grid(network: Any) -> None:
    tokens = network.get_tokens(torch.rand(1, 3, 224, 224))
    mean = tokens.local["conv18"].mean((2, 3)).clamp(max=255 * 0.019078)  # 8 bits end there
    assert float((tokens.global_["pooled"] - mean).abs().max()) < 0.02  # a step of it


@pytest.mark.data
def test_the_face_area_follows_middle_late_layers_and_the_word_area_none(network: Any) -> None:
    from face_area import curve

    found = curve(["conv0", "block4", "block11", "block14", "conv18"], draws=1)
    face = {name: float(r[0]) for name, r in found.items()}
    known = {"pixels": 0.49, "conv0": 0.40, "block4": 0.62, "block11": 0.81, "block14": 0.89, "conv18": 0.83}
    for name, r in known.items():
        assert face[name] == pytest.approx(r, abs=0.07), name
    assert max(face, key=face.__getitem__) == "block14"
    assert face["permuted"] < 0.2
    assert max(float(r[1]) for r in found.values()) < 0.2  # VWFA


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mobilenet_v2 import MobileNetV2

    monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path))
    with pytest.raises(MissingDataError, match="fusiform fetch mobilenet_v2"):
        MobileNetV2()
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'fusiform\[examples\]'"):
        MobileNetV2("some.tflite").get_tokens(torch.rand(1, 3, 224, 224))


def test_the_picture_in_the_docs_is_there() -> None:
    content = (EXAMPLES.parent / "docs" / "images" / "face-area.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert np.frombuffer(content[16:24], dtype=">u4").min() > 300  # pixels
