"""Tiny tokenizers and language networks with random weights, saved the way that published ones are."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

CORPUS = [
    "the rabbit was late and alice ran after it down the hole",
    "she fell for a long time and wondered what would happen next",
    "USER: What is this picture? ASSISTANT: Describe the picture in one sentence.",
    "In terms of emotion: joy fear surprise Question: Answer: user assistant\n",
]
WIDTH, DEPTH, PLACES = 16, 3, 64
SIZES: dict[str, Any] = {"hidden_size": WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": 2}
SIZES |= {"intermediate_size": 24, "max_position_embeddings": PLACES}
SENTENCES = {"bos": "<s>", "eos": "</s>", "pad": "<pad>", "unk": "<unk>"}


def byte_tokenizer(special: Iterable[str] = (), before: str = "", after: str = "", **names: str) -> Any:
    """As of GPT-2, Qwen, RoBERTa: pairs of bytes, spaces with the word that follows."""
    core = tokenizers.Tokenizer(tokenizers.models.BPE())
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    return _finished(core, "BpeTrainer", 400, special, before, after, names, initial_alphabet=alphabet)


def piece_tokenizer(special: Iterable[str] = (), before: str = "<s>", after: str = "", **names: str) -> Any:
    """As of Llama and Gemma: pieces in which a bar stands for the space before a word."""
    core = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="first")
    core.decoder = tokenizers.decoders.Metaspace(prepend_scheme="first")
    return _finished(core, "BpeTrainer", 150, special, before, after, names or SENTENCES)


def word_tokenizer() -> Any:
    """As of BERT: lower case, pieces of words, a class token and a separator."""
    core = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    core.normalizer = tokenizers.normalizers.BertNormalizer()
    core.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    return _finished(core, "WordPieceTrainer", 120, (), "[CLS]", "[SEP]", names)


def _finished(
    core: Any,
    trainer: str,
    size: int,
    special: Iterable[str],
    before: str,
    after: str,
    names: dict[str, str],
    **more: Any,
) -> Any:
    marks = list(dict.fromkeys([*names.values(), *special]))
    kind = getattr(tokenizers.trainers, trainer)
    core.train_from_iterator(CORPUS, kind(vocab_size=size, special_tokens=marks, show_progress=False, **more))
    if before or after:
        framed = [*([before] if before else []), "$A", *([after] if after else [])]
        frame = [(mark, core.token_to_id(mark)) for mark in (before, after) if mark]
        core.post_processor = tokenizers.processors.TemplateProcessing(single=framed, special_tokens=frame)
    given = {f"{name}_token": mark for name, mark in names.items()}
    extra = {"additional_special_tokens": list(special)} if special else {}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=core, **given, **extra)


def roberta_tokenizer() -> Any:
    names = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "cls": "<s>", "sep": "</s>"}
    return byte_tokenizer((), "<s>", "</s>", **names)


def gpt_tokenizer() -> Any:
    return byte_tokenizer((), bos="<|endoftext|>", eos="<|endoftext|>", unk="<|endoftext|>")


# name -> tokenizer, saved class, configuration class, its settings, where its final norm is ("" for none)
LANGUAGES: dict[str, tuple[Any, str, str, dict[str, Any], str]] = {
    "gpt2": (
        *(gpt_tokenizer, "GPT2LMHeadModel", "GPT2Config"),
        {"n_embd": WIDTH, "n_layer": DEPTH, "n_head": 2, "n_positions": PLACES},
        "ln_f",
    ),
    "llama": (piece_tokenizer, "LlamaForCausalLM", "LlamaConfig", SIZES, "norm"),
    "qwen2": (
        *(gpt_tokenizer, "Qwen2ForCausalLM", "Qwen2Config"),
        {**SIZES, "num_key_value_heads": 1},
        "norm",
    ),
    "bert": (word_tokenizer, "BertForMaskedLM", "BertConfig", SIZES, ""),
    "roberta": (
        *(roberta_tokenizer, "RobertaForMaskedLM", "RobertaConfig"),
        {**SIZES, "max_position_embeddings": PLACES + 2, "pad_token_id": 1},
        "",
    ),
    "t5": (
        *(lambda: piece_tokenizer((), "", "</s>"), "T5ForConditionalGeneration", "T5Config"),
        {"d_model": WIDTH, "d_kv": 8, "d_ff": 24, "num_layers": DEPTH, "num_heads": 2, "decoder_start_token_id": 0},
        "final_layer_norm",
    ),
}
CAUSAL = ("gpt2", "llama", "qwen2")


def stirred(network: Any) -> Any:
    """The network with every weight random, as biases and scales start at 0 and 1, where they would not be seen."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for weight in network.parameters():
            weight.data += 0.2 * torch.randn_like(weight)
    return network.eval()


def save_language(name: str, folder: Path) -> Path:
    """A language network and its tokenizer in a folder."""
    make, model, config, settings, _ = LANGUAGES[name]
    tokenizer = make()
    marks = {f"{mark}_token_id": getattr(tokenizer, f"{mark}_token_id") for mark in ("bos", "eos", "pad")}
    settings = {"vocab_size": len(tokenizer), **marks, **settings}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = getattr(transformers, model)(getattr(transformers, config)(**settings))
    stirred(network).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
