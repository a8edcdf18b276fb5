"""`hf:`: any network of Hugging Face by one word, where a local folder says itself what it holds."""

import json
from pathlib import Path
from typing import Any

from fusiform.features.networks.checkpoints import check_folder
from fusiform.features.networks.families import FAMILIES
from fusiform.features.networks.media_network import FILMS, SOUNDS
from fusiform.features.tokens import Backbone
from fusiform.registry import find, need

__all__ = ["from_hub"]

_OF_RECORDINGS = ("rate", "context", "stride", "silence")  # what only those who read words in time are given
_OMNI = "qwen2_5_omni"


def from_hub(source: str, **arguments: Any) -> Backbone:
    """The backbone that a network calls for.

    A `prompt` makes it a vision-language network, in a folder as on the hub. A folder of one, or of a network of text,
    films, sounds or all of these, is known by its `config.json`; one of text reads whole texts, or the words of
    recordings where it is given a `rate`, a `context`, a `stride` or a `silence`. Everything else takes pictures. Names
    on the hub, which nobody asks before a network is used, are of pictures unless they come by `hf-text:`,
    `hf-words:`, `hf-vlm:`, `hf-video:`, `hf-audio:` or `omni:`.

    Args:
        source: name on the hub, or a local folder that `save_pretrained` wrote.
        arguments: of the backbone.

    Raises:
        LayoutError: it is a folder without `config.json`.
    """
    check_folder(source)
    backbone: Backbone = find("backbone", _registered(source, arguments))(source, **arguments)
    return backbone


def _registered(source: str, arguments: dict[str, Any]) -> str:
    model_type = _model_type(source)
    if "prompt" in arguments or model_type in FAMILIES:
        return "hf-vlm"
    if model_type in FILMS or model_type in SOUNDS:
        return "hf-video" if model_type in FILMS else "hf-audio"
    if model_type.startswith(_OMNI):
        return "omni"
    if model_type and _reads(model_type):
        return "hf-words" if any(name in arguments for name in _OF_RECORDINGS) else "hf-text"
    return "hf-image"


def _model_type(source: str) -> str:
    """What a folder's configuration says, or `""`."""
    file = Path(source) / "config.json"
    try:
        return str(json.loads(file.read_text(encoding="utf-8")).get("model_type", "")) if file.is_file() else ""
    except (ValueError, AttributeError):
        return ""  # loading it will say what is wrong


def _reads(model_type: str) -> bool:
    """Whether a type of network takes nothing but text."""
    auto = need("transformers.models.auto.modeling_auto", extra="models")
    reads = {*auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES}
    hears = {*auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES, *auto.MODEL_FOR_CTC_MAPPING_NAMES}
    sees = {*auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, *auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES}
    return model_type in reads - hears - sees
