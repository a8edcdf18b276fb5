"""`hf:` and plain folders: what a network is, its configuration says."""

import json
from pathlib import Path
from typing import Any

import pytest

from fusiform.errors import LayoutError, SettingsError, UnknownNameError
from fusiform.features.tokens import load_backbone

pytest.importorskip("transformers")


def folder(path: Path, model_type: str) -> str:
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps({"model_type": model_type}))
    return str(path)


@pytest.mark.parametrize(
    ("model_type", "given", "kind", "name"),
    [
        ("dinov2", {}, "image", "HuggingFace"),
        ("clip", {}, "image", "HuggingFace"),
        ("gpt2", {}, "text", "Text"),
        ("roberta", {"pool": "last"}, "text", "Text"),
        ("qwen2", {"rate": 1.0}, "recording", "WordsInContext"),
        ("bert", {"context": 3}, "recording", "WordsInContext"),
        ("llava", {"prompt": "What?"}, "image", "VisionLanguage"),
        ("blip-2", {"prompt": "What?"}, "image", "VisionLanguage"),
    ],
)
def test_a_folder_is_known_by_its_configuration(
    model_type: str, given: dict[str, Any], kind: str, name: str, tmp_path: Path
) -> None:
    path = folder(tmp_path / "network", model_type)
    for named in (path, f"hf:{path}"):
        backbone = load_backbone(named, **given)
        assert (backbone.kind, type(backbone).__name__, backbone.name) == (kind, name, "network")


def test_a_folder_of_a_vision_language_network_asks_for_a_prompt(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="missing 1 required positional argument: 'prompt'"):
        load_backbone(folder(tmp_path / "llava", "llava"))


@pytest.mark.parametrize(
    ("name", "given", "kind", "made"),
    [
        ("hf:facebook/dinov2-base", {}, "image", "HuggingFace"),
        ("hf-image:facebook/dinov2-base", {}, "image", "HuggingFace"),
        ("hf:llava-hf/llava-1.5-7b-hf", {"prompt": "What?"}, "image", "VisionLanguage"),
        ("hf-vlm:llava-hf/llava-1.5-7b-hf", {"prompt": "What?"}, "image", "VisionLanguage"),
        ("hf-text:gpt2", {}, "text", "Text"),
        ("hf-words:gpt2", {"context": 8}, "recording", "WordsInContext"),
    ],
)
def test_names_on_the_hub_are_not_looked_up(name: str, given: dict[str, Any], kind: str, made: str) -> None:
    backbone = load_backbone(name, **given)
    assert (backbone.kind, type(backbone).__name__) == (kind, made)
    assert backbone.name == name.partition(":")[2]


def test_a_damaged_configuration_is_left_to_those_who_load(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[1, 2")
    assert load_backbone(str(tmp_path)).kind == "image"


def test_a_folder_without_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"has no config\.json"):
        load_backbone(f"hf:{tmp_path}")


def test_a_network_of_text_on_the_hub_is_pointed_to_its_door(tmp_path: Path) -> None:
    from tiny_language import save_language

    backbone: Any = load_backbone(f"hf-image:{save_language('bert', tmp_path / 'bert')}")
    with pytest.raises(SettingsError, match=r"takes input_ids; wanted pictures: .*of text by hf-text:"):
        _ = backbone.network


def test_unknown_arguments_are_said_to_be() -> None:
    with pytest.raises(SettingsError, match="unexpected keyword argument 'contxt'"):
        load_backbone("hf-words:gpt2", contxt=3)
    with pytest.raises(UnknownNameError):
        load_backbone("hf-wrds:gpt2")
