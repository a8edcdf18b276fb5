"""Tiny vision-language networks with random weights, saved the way that published ones are."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_language import byte_tokenizer, piece_tokenizer, stirred, word_tokenizer

transformers = pytest.importorskip("transformers")

WIDTH, DEPTH, SIDE = 16, 3, 32
READS: dict[str, Any] = {"hidden_size": WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": 2}
READS |= {"intermediate_size": 24, "max_position_embeddings": 512}
SEES: dict[str, Any] = {"hidden_size": 12, "num_hidden_layers": DEPTH, "num_attention_heads": 2}
SEES |= {"intermediate_size": 24, "image_size": SIDE, "patch_size": 8}
ASKS = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
ASKS |= {"encoder_hidden_size": 12, "vocab_size": 150, "cross_attention_frequency": 1}
OPT = {"model_type": "opt", "hidden_size": WIDTH, "word_embed_proj_dim": WIDTH, "num_hidden_layers": DEPTH}
OPT |= {"num_attention_heads": 2, "ffn_dim": 24, "max_position_embeddings": 512}
T5 = {"model_type": "t5", "d_model": WIDTH, "d_kv": 8, "d_ff": 24, "num_layers": DEPTH, "num_heads": 2}
T5 |= {"decoder_start_token_id": 2, "pad_token_id": 2}
TALL = {"depth": DEPTH, "num_heads": 2, "patch_size": 4, "spatial_merge_size": 2, "temporal_patch_size": 2}
SQUARE = {"height": SIDE, "width": SIDE}
CLIP_FILE = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": SIDE}, "crop_size": SQUARE}
QWEN_FILE = {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 4, "merge_size": 2}
QWEN_FILE |= {"min_pixels": 8 * 8, "max_pixels": 40 * 40}
TILES_FILE = {"size": {"longest_edge": 2 * SIDE}, "max_image_size": {"longest_edge": SIDE}}
FENCES = ["<image>", "<fake_token_around_image>", "<end_of_utterance>", "<global-img>"]
FENCES += [f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2)]
ROPE = {"rope_type": "default", "type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
TURNS = "{% for message in messages %}%HEAD%{% for part in message['content'] %}{% if part['type'] == 'image' %}%IMAGE%"
TURNS += "{% else %}{{ part['text'] }}{% endif %}{% endfor %}%TAIL%{% endfor %}"
TURNS += "{% if add_generation_prompt %}%NEXT%{% endif %}"


def turns(head: str, image: str, tail: str, answer: str) -> str:
    """A chat template."""
    template = TURNS
    for place, text in (("%HEAD%", head), ("%IMAGE%", image), ("%TAIL%", tail), ("%NEXT%", answer)):
        template = template.replace(place, text)
    return template


IDEFICS_CHAT = turns("User:", "<image>", "<end_of_utterance>\\n", "Assistant:")
QWEN_CHAT = turns(
    "<|im_start|>user\\n", "<|vision_start|><|image_pad|><|vision_end|>", "<|im_end|>\\n", "<|im_start|>assistant\\n"
)
QWEN_MARKS = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]


@dataclass(frozen=True)
class Tiny:
    """How a family is made: classes, settings by the tokenizer, the picture file, what belongs to it."""

    model: str
    config: str
    tokenizer: Callable[[], Any]
    settings: Callable[[Any], dict[str, Any]]
    file: dict[str, Any]
    image: str = "<image>"
    chat: str | None = None
    queries: bool = False


def _marked(tokenizer: Any) -> dict[str, Any]:
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    return {"vocab_size": len(tokenizer), **ids}


def _with_image() -> Any:
    return piece_tokenizer(["<image>"])


def _fenced() -> Any:
    return byte_tokenizer(FENCES, "<s>", bos="<s>", eos="</s>", pad="<pad>", unk="<unk>")


def _qwen() -> Any:
    return byte_tokenizer(QWEN_MARKS, eos="<|endoftext|>", pad="<|endoftext|>", unk="<|endoftext|>")


def _llama(tokenizer: Any) -> dict[str, Any]:
    return {"model_type": "llama", **READS, **_marked(tokenizer)}


def _idefics(tokenizer: Any, sees: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"text_config": _llama(tokenizer), "vision_config": sees, **more}


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    names = {"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>"}
    names |= {"vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}
    return {name: tokenizer.convert_tokens_to_ids(mark) for name, mark in names.items()}


def _qwen_text(tokenizer: Any) -> dict[str, Any]:
    return {**READS, "num_key_value_heads": 2, **_marked(tokenizer), "rope_scaling": ROPE, "rope_parameters": ROPE}


def _blip(tokenizer: Any, text: dict[str, Any], **more: Any) -> dict[str, Any]:
    parts = {"vision_config": SEES, "qformer_config": ASKS, "text_config": {**text, **_marked(tokenizer)}}
    return {**parts, "num_query_tokens": 5, **more}


FAMILIES: dict[str, Tiny] = {
    "llava": Tiny(
        *("LlavaForConditionalGeneration", "LlavaConfig", _with_image),
        lambda t: {
            "vision_config": {"model_type": "clip_vision_model", **SEES, "projection_dim": 8},
            "text_config": _llama(t),
        },
        CLIP_FILE,
    ),
    "paligemma": Tiny(
        *("PaliGemmaForConditionalGeneration", "PaliGemmaConfig", _with_image),
        lambda t: {
            "vision_config": {"model_type": "siglip_vision_model", **SEES, "vision_use_head": False},
            "text_config": {"model_type": "gemma", **READS, "num_key_value_heads": 1, "head_dim": 8, **_marked(t)},
            "projection_dim": WIDTH,
        },
        {"image_processor_type": "SiglipImageProcessor", "size": SQUARE, "image_seq_length": 16},
    ),
    "qwen2_vl": Tiny(
        *("Qwen2VLForConditionalGeneration", "Qwen2VLConfig", _qwen),
        lambda t: {
            "vision_config": {**TALL, "embed_dim": 16, "hidden_size": WIDTH, "mlp_ratio": 2},
            "text_config": _qwen_text(t),
            **_qwen_ids(t),
        },
        *(QWEN_FILE, "<|image_pad|>", QWEN_CHAT),
    ),
    "qwen2_5_vl": Tiny(
        *("Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLConfig", _qwen),
        lambda t: {
            "vision_config": {
                **TALL,
                "hidden_size": 16,
                "out_hidden_size": WIDTH,
                "intermediate_size": 24,
                "window_size": 16,
                "fullatt_block_indexes": [1],
            },
            "text_config": _qwen_text(t),
            **_qwen_ids(t),
        },
        *(QWEN_FILE, "<|image_pad|>", QWEN_CHAT),
    ),
    "qwen3_vl": Tiny(
        *("Qwen3VLForConditionalGeneration", "Qwen3VLConfig", _qwen),
        lambda t: {
            "vision_config": {
                **TALL,
                "hidden_size": 16,
                "out_hidden_size": WIDTH,
                "intermediate_size": 24,
                "num_position_embeddings": 64,
                "deepstack_visual_indexes": [0, 1],
            },
            "text_config": {**_qwen_text(t), "head_dim": 8},
            **_qwen_ids(t),
        },
        *({**QWEN_FILE, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}, "<|image_pad|>", QWEN_CHAT),
    ),
    "blip-2": Tiny(
        *("Blip2ForConditionalGeneration", "Blip2Config", lambda: piece_tokenizer(["<image>"], "</s>")),
        lambda t: _blip(t, OPT),
        {"image_processor_type": "BlipImageProcessor", "size": SQUARE},
    ),
    "blip-2-t5": Tiny(
        *("Blip2ForConditionalGeneration", "Blip2Config", lambda: piece_tokenizer(["<image>"], "", "</s>")),
        lambda t: _blip(t, T5),
        {"image_processor_type": "BlipImageProcessor", "size": SQUARE},
    ),
    "instructblip": Tiny(
        *("InstructBlipForConditionalGeneration", "InstructBlipConfig", _with_image),
        lambda t: _blip(t, {"model_type": "llama", **READS}),
        {"image_processor_type": "BlipImageProcessor", "size": SQUARE},
        queries=True,
    ),
    "idefics2": Tiny(
        *("Idefics2ForConditionalGeneration", "Idefics2Config", _fenced),
        lambda t: _idefics(
            *(t, {**SEES, "image_size": 48}),
            perceiver_config={
                "hidden_size": WIDTH,
                "resampler_n_latents": 3,
                "resampler_depth": 1,
                "resampler_n_heads": 2,
                "resampler_head_dim": 8,
                "num_key_value_heads": 1,
            },
        ),
        {"image_processor_type": "Idefics2ImageProcessor", "size": {"shortest_edge": 24, "longest_edge": 48}},
        chat=IDEFICS_CHAT,
    ),
    "idefics3": Tiny(
        *("Idefics3ForConditionalGeneration", "Idefics3Config", _fenced),
        lambda t: _idefics(t, SEES, scale_factor=2),
        {"image_processor_type": "Idefics3ImageProcessor", **TILES_FILE},
        chat=IDEFICS_CHAT,
    ),
    "smolvlm": Tiny(
        *("SmolVLMForConditionalGeneration", "SmolVLMConfig", _fenced),
        lambda t: _idefics(t, SEES, scale_factor=2),
        {"image_processor_type": "SmolVLMImageProcessor", **TILES_FILE},
        chat=IDEFICS_CHAT,
    ),
}


def save_vision_language(name: str, folder: Path) -> Path:
    """A vision-language network with its tokenizers and picture file in a folder."""
    tiny = FAMILIES[name]
    if not hasattr(transformers, tiny.model):
        pytest.skip(f"this transformers has no {tiny.model}")
    tokenizer = tiny.tokenizer()
    number = tokenizer.convert_tokens_to_ids(tiny.image)
    given = tiny.settings(tokenizer)
    given = {"image_token_id": number, "image_token_index": number, **given} if "image_token_id" not in given else given
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = getattr(transformers, tiny.config)(**given)
        network = getattr(transformers, tiny.model)(config)
    stirred(network).save_pretrained(folder)
    tokenizer.chat_template = tiny.chat
    tokenizer.save_pretrained(folder)
    if tiny.queries:
        word_tokenizer().save_pretrained(folder / "qformer_tokenizer")
    (folder / "preprocessor_config.json").write_text(json.dumps(tiny.file))
    return folder
