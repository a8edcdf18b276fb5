"""Preprocessing by a network's own file, against the image processors of transformers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fusiform.errors import SettingsError
from fusiform.features.networks.processing import Processing, processing_of
from fusiform.features.preprocess import describe

transformers = pytest.importorskip("transformers")
SHAPES = [(50, 70), (70, 50), (20, 20), (33, 91)]  # height, width; smaller and larger than the targets
PROCESSORS: list[tuple[str, dict[str, Any]]] = [
    ("CLIPImageProcessorPil", {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}),
    ("CLIPImageProcessorPil", {"size": {"shortest_edge": 24}, "crop_size": {"height": 31, "width": 28}}),
    ("CLIPImageProcessorPil", {"do_resize": False, "crop_size": {"height": 40, "width": 45}}),
    ("CLIPImageProcessorPil", {"do_center_crop": False, "size": {"shortest_edge": 32}, "do_normalize": False}),
    ("BitImageProcessorPil", {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}}),
    ("ViTImageProcessorPil", {"size": {"height": 32, "width": 40}}),
    ("ViTImageProcessorPil", {"size": {"height": 32, "width": 40}, "do_rescale": False, "do_normalize": False}),
    ("ViTImageProcessorPil", {"size": {"height": 32, "width": 32}, "resample": 0}),
    ("ViTImageProcessorPil", {"size": {"height": 32, "width": 32}, "rescale_factor": 1 / 100, "image_mean": [0.1] * 3}),
    ("DeiTImageProcessorPil", {"size": {"height": 40, "width": 40}, "crop_size": {"height": 32, "width": 32}}),
    ("SiglipImageProcessorPil", {"size": {"height": 32, "width": 32}}),
    ("BlipImageProcessorPil", {"size": {"height": 32, "width": 32}}),
    ("ConvNextImageProcessorPil", {"size": {"shortest_edge": 32}}),
    ("ConvNextImageProcessorPil", {"size": {"shortest_edge": 32}, "crop_pct": 0.7}),
    ("ConvNextImageProcessorPil", {"size": {"shortest_edge": 384}}),
    ("SamImageProcessorPil", {"size": {"longest_edge": 64}, "pad_size": {"height": 64, "width": 64}}),
]


def picture(shape: tuple[int, int], mode: str = "RGB") -> Image.Image:
    random = np.random.default_rng(sum(shape))
    return Image.fromarray(random.integers(0, 256, (*shape, 3), dtype=np.uint8)).convert(mode)


def saved(processor: Any, folder: Path) -> dict[str, Any]:
    processor.save_pretrained(folder)
    return dict(json.loads((folder / "preprocessor_config.json").read_text()))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "settings"), PROCESSORS)
def test_agrees_with_transformers(name: str, settings: dict[str, Any], shape: tuple[int, int], tmp_path: Path) -> None:
    older = name.removesuffix("Pil")  # transformers before 5, where this one goes through PIL
    processor = getattr(transformers, name if hasattr(transformers, name) else older)(**settings)
    ours = processing_of(saved(processor, tmp_path), "unknown")
    wanted = processor(picture(shape), return_tensors="np")["pixel_values"][0]
    got = ours(picture(shape)).numpy()
    assert got.shape == wanted.shape
    assert np.abs(wanted).max() > 0.1
    # a grey level in the units before normalisation
    grey = ours.scale
    np.testing.assert_array_less(np.abs(got - wanted) * np.reshape(ours.deviation, (3, 1, 1)), grey * 1e-2)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_reads_pictures_of_any_mode(mode: str) -> None:
    ours = processing_of({"size": 16}, "vit")
    np.testing.assert_array_equal(ours(picture((20, 30), mode)), ours(picture((20, 30), mode).convert("RGB")))


class TestFiles:
    """As they lie on the hub, some of them older than their present classes."""

    @pytest.mark.parametrize(
        ("file", "model_type", "fit", "size", "crop"),
        [
            ({"feature_extractor_type": "ViTFeatureExtractor", "size": 224}, "vit", "stretch", (224, 224), None),
            ({"size": 384}, "vit", "stretch", (384, 384), None),
            (
                {"feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "crop_size": 224},
                "clip",
                *("shortest", (224, 224), (224, 224)),
            ),
            (
                {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 224, "crop_pct": 0.875},
                "resnet",
                *("shortest", (256, 256), (224, 224)),
            ),
            (
                {
                    "image_processor_type": "DINOv3ViTImageProcessorFast",
                    "size": {"height": 224, "width": 224},
                    "do_center_crop": None,
                    "crop_size": None,
                    "resample": 2,
                },
                "dinov3_vit",
                *("stretch", (224, 224), None),
            ),
        ],
    )
    def test_old_and_new_ways_of_writing(
        self, file: dict[str, Any], model_type: str, fit: str, size: Any, crop: Any
    ) -> None:
        made = processing_of(file, model_type)
        assert (made.fit, made.size, made.crop) == (fit, size, crop)
        assert made.source == "preprocessor_config.json"

    def test_what_a_file_leaves_out_is_as_the_processor_has_it(self) -> None:
        made = processing_of({"image_processor_type": "CLIPImageProcessorFast", "image_std": [1, 2, 3]}, "vit")
        assert made.mean[0] == pytest.approx(0.48145466)
        assert made.deviation == (1, 2, 3)
        assert made.resample == 3

    @pytest.mark.parametrize(
        ("file", "complaint"),
        [
            ({"do_flip_channel_order": True}, "asks for do_flip_channel_order, which is not built in"),
            ({"do_pad": True}, "do_pad without pad_size"),
            ({"size": {"width": 3}}, r"has the size \{'width': 3\}; wanted"),
        ],
    )
    def test_refuses_what_it_cannot_do(self, file: dict[str, Any], complaint: str) -> None:
        with pytest.raises(SettingsError, match=complaint):
            processing_of(file, "vit")

    def test_without_a_file_the_family_and_the_networks_own_size(self) -> None:
        made = processing_of(None, "dinov2", 28)
        assert (made.fit, made.size, made.crop, made.source) == ("shortest", (28, 28), (28, 28), "default of Bit")
        sam = processing_of(None, "sam", 64)
        assert (sam.fit, sam.size, sam.pad) == ("longest", (64, 64), (64, 64))
        assert processing_of(None, "never-heard-of").size == (224, 224)

    def test_is_described_for_the_key(self) -> None:
        one, other = (describe(processing_of({"size": 32, "resample": method}, "vit")) for method in (2, 3))
        assert one["class"] == Processing.__name__
        assert one["size"] == (32, 32)
        assert one != other
