"""Vision-language networks under a prompt: every layer of the part that sees and of that which reads, in one pass."""

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from functools import cached_property
from typing import Any, get_args

import torch
from PIL import Image
from torch import Tensor

from fusiform.data import Kind
from fusiform.errors import LayoutError, SettingsError
from fusiform.features.hooks import device_of, evaluating
from fusiform.features.networks.checkpoints import (
    check_folder,
    load_processing_config,
    load_vision_language,
    read_json_of,
    revision_of,
)
from fusiform.features.networks.families import Family, family_of
from fusiform.features.networks.language_network import choose, in_precision, name_of, sentence
from fusiform.features.networks.prompting import Pool, Reading, chat_text, filled, reading_of
from fusiform.features.networks.tokenizing import Tokenizing, load_tokenizer
from fusiform.features.networks.towers import Tower, watched
from fusiform.features.precision import PRECISIONS, Precision
from fusiform.features.preprocess import describe
from fusiform.features.tokens import Tokens

__all__ = ["VisionLanguage"]

_LANGUAGE = ("language_model", "text_model", "model")
_VISION = ("vision_tower", "visual", "vision_model")


class VisionLanguage:
    """A network that reads a prompt about each picture: `VisionLanguage("llava-hf/llava-1.5-7b-hf", "What is this?")`.

    LLaVA, Qwen2-VL, Qwen2.5-VL, Qwen3-VL, BLIP-2, InstructBLIP, PaliGemma, Idefics2, Idefics3 and SmolVLM. Layers, all
    global [B, C]:

    - `language.embeddings`, `language.1` ... : what each block of the language part gives on, pooled over tokens as
      `pool` says; `language.final` is its last state with the final norm;
    - `vision.embeddings`, `vision.1` ...: the same of the vision part, the mean over patches (of all tiles), without
      its class token; `vision.final` where it has a final norm;
    - `qformer.embeddings`, `qformer.1` ...: of the queries between the two, in BLIP-2 and InstructBLIP.

    A picture and its prompt go through the network once, without an answer being written. One backbone has one prompt;
    `under` gives one for each of many, with one network in memory:

        for net in VisionLanguage("models/llava", "").under(PROMPTS.values()):
            extract(stimuli, net, store)

    Args:
        source: name on the hub, or a local folder that `save_pretrained` wrote.
        prompt: text about the picture.
        pool: over `all` tokens that are not special, over the picture's (`image`) or the prompt's with what the
            template puts around it (`text`), or the `last` of all.
        template: around the places `{image}` and `{prompt}`; by default the network's own chat template.
        split: cut large pictures into tiles (Idefics3, SmolVLM); by default as the network's file says.
        size: side in pixels of the square that pictures are stretched to before all else. Networks that take pictures
            as they are need this where pictures differ in shape (or batches of one).
        precision: that the network computes in.
        commit: hash, tag or branch on the hub; the latest by default.
    """

    kind: Kind = "image"

    def __init__(
        self,
        source: str,
        prompt: str,
        pool: Pool = "all",
        template: str | None = None,
        split: bool | None = None,
        size: int | None = None,
        precision: Precision = "float32",
        commit: str | None = None,
    ) -> None:
        check_folder(source)
        choose("pool", pool, get_args(Pool))
        choose("precision", precision, PRECISIONS)
        self.name, self.source, self.commit = name_of(source), source, commit
        self.prompt, self.pool = sentence("prompt", prompt), pool
        self.template = template if template is None else sentence("template", template)
        self.split, self.size, self.precision = split, _checked_size(size), precision

    def under(self, prompts: Iterable[str]) -> Iterator["VisionLanguage"]:
        """The same backbone under each of these prompts, with the same network in memory."""
        for part in ("network", "tokenizer", "revision"):
            getattr(self, part)  # made now, or each copy would make its own
        for prompt in prompts:
            twin = copy(self)
            twin.prompt = sentence("prompt", prompt)
            yield twin

    @cached_property
    def network(self) -> Any:
        """The whole network without its head, loaded when first asked for."""
        _ = self.family  # complains before gigabytes are read
        network = load_vision_language(self.source, self.commit)
        for part in network.modules():
            if hasattr(getattr(part, "config", None), "use_cache"):
                part.config.use_cache = False
        return in_precision(network, self.precision)

    @cached_property
    def family(self) -> Family:
        """What sets its kind apart."""
        config = read_json_of(self.source, self.commit, "config.json")
        if config is None:
            raise LayoutError(
                f"cannot load {self.source!r} (no config.json could be reached); wanted a name on the model hub or a "
                "local folder"
            )
        return family_of(str(config.get("model_type")), self.source)

    @cached_property
    def tokenizer(self) -> Any:
        """How it reads."""
        return load_tokenizer(self.source, self.commit)

    @cached_property
    def processing(self) -> Any:
        """How pictures are made ready, as the network's own file says."""
        file = load_processing_config(self.source, self.commit)
        return self.family.processing(file, self.network.config, self.split)

    @cached_property
    def revision(self) -> str:
        """Commit on the hub, or digest of weights and configuration; and a digest of the tokenizer."""
        return f"{revision_of(self.network, self.source)}-{Tokenizing(self.tokenizer).digest}"

    @property
    def settings(self) -> Mapping[str, Any]:
        """What else decides the numbers; `text` is all that is read, with one token for the picture."""
        given = {"prompt": self.prompt, "text": self.text, "pool": self.pool, "precision": self.precision}
        return {**given, "size": self.size, "preprocess": describe(self.processing)}

    @property
    def text(self) -> str:
        """The prompt with all that the template puts around it.

        Raises:
            SettingsError: there is no template, or it has no place for picture or prompt.
        """
        leading, token = self.family.leading, self._token
        chat = None if self.template or leading else self._chat_template
        template = self.template or self.family.template
        if not chat and (not template or "{prompt}" not in template or ("{image}" in template) == leading):
            wanted = "{prompt}" if leading else "{image} {prompt}"
            raise SettingsError(f"{self.name!r} has the template {template!r}; give one, such as template='{wanted}'")
        begin = self.tokenizer.bos_token or ""
        text = (
            chat_text(self.tokenizer, chat, self.prompt)
            if chat
            else filled(template or "", prompt=self.prompt, image=token, bos=begin)
        )
        if text.count(token) != (0 if leading else 1):
            raise SettingsError(f"{text!r} has {text.count(token)} places {token!r} for the picture; wanted one alone")
        return text

    @cached_property
    def _chat_template(self) -> str | None:
        """In the tokenizer's settings, or, as older processors keep it, in a file of its own."""
        file = None if self.tokenizer.chat_template else read_json_of(self.source, self.commit, "chat_template.json")
        found = self.tokenizer.chat_template or (file or {}).get("chat_template")
        return found.get("default") if isinstance(found, dict) else found

    @cached_property
    def _token(self) -> str:
        """What stands for the picture."""
        if not 0 <= self._image_id < len(self.tokenizer):
            raise SettingsError(f"the tokenizer of {self.source!r} has no token {self._image_id}, that of pictures")
        return str(self.tokenizer.convert_ids_to_tokens(self._image_id))

    @property
    def _image_id(self) -> int:
        config = self.network.config
        found = getattr(config, "image_token_id", None)  # transformers 4 calls it otherwise in some families
        return int(getattr(config, "image_token_index", -1) if found is None else found)

    def preprocess(self, picture: Image.Image) -> Tensor:
        """One PIL picture to [3, H, W], or to tiles [rows, columns, 3, H, W]."""
        if self.size:
            picture = picture.convert("RGB").resize((self.size, self.size), Image.Resampling.BICUBIC)
        found: Tensor = self.processing(picture)
        return found

    def to(self, device: Any) -> None:
        """Move the network."""
        self.network.to(device)

    def get_tokens(self, x: Tensor) -> Tokens:
        """[B, ...] pictures of one shape -> global tokens of every layer, in one pass."""
        reading = self._reading(x.shape[1:])
        x = x.to(device_of(self.network), next(self.network.parameters()).dtype)
        ids = reading.ids.to(x.device).expand(len(x), -1)
        given = {**self.family.inputs(x, ids, self.network), **self._given(ids)}
        towers = self._towers(len(x), reading.weights.to(x.device), x.shape)
        with evaluating(self.network), watched(towers) as found:
            self.network(input_ids=ids, attention_mask=torch.ones_like(ids), **given)
        return Tokens({}, found)

    def _reading(self, shape: torch.Size) -> Reading:
        """What is read for pictures of a shape; the same for all of them, so that nothing is padded."""
        count, image = self.family.tokens(shape, self.network), self._image_id
        if self.family.leading:
            return reading_of(self.text, count, image, self.tokenizer, self.pool)
        text = self.family.write(self.text, self._token, count, shape)
        return reading_of(text, 0, image, self.tokenizer, self.pool)

    def _given(self, ids: Tensor) -> dict[str, Tensor]:
        """What only some take: the prompt for the queries, and a first token for a decoder that nobody reads."""
        given, text = {}, self.network.config.get_text_config()
        if self._queries_read:
            asked = self._query_tokenizer(self.text, return_tensors="pt")["input_ids"]
            given["qformer_input_ids"] = asked.to(ids.device).expand(len(ids), -1)
        if text.is_encoder_decoder:
            given["decoder_input_ids"] = torch.full_like(ids[:, :1], text.decoder_start_token_id or text.pad_token_id)
        return given

    @property
    def _queries_read(self) -> bool:
        return bool(self.network.config.model_type == "instructblip")

    @cached_property
    def _query_tokenizer(self) -> Any:
        return load_tokenizer(self.source, self.commit, subfolder="qformer_tokenizer")

    def _towers(self, size: int, weights: Tensor, shape: torch.Size) -> list[Tower]:
        """The parts to watch, for a batch of `size` pictures."""
        patch = self.network.config.vision_config.patch_size
        patches = (shape[-2] // patch) * (shape[-1] // patch)

        def over_patches(state: Tensor) -> Tensor:
            own = state[:, state.shape[1] - patches :] if state.ndim == 3 else state  # [tiles, T, C] or [patches, C]
            return own.reshape(size, -1, state.shape[-1]).float().mean(1)

        def over_tokens(state: Tensor) -> Tensor:
            return torch.einsum("blc,l->bc", state.float(), weights)

        def over_queries(state: Tensor) -> Tensor:
            return state[:, : self.network.config.num_query_tokens].float().mean(1)

        towers = [
            Tower(_vision_of(self.network), over_patches, "vision."),
            Tower(_language_of(self.network), over_tokens, "language."),
        ]
        between = [Tower(self.network.qformer, over_queries, "qformer.")] if hasattr(self.network, "qformer") else []
        return [towers[0], *between, towers[1]]


def _checked_size(size: Any) -> int | None:
    if size is None or (isinstance(size, int) and size > 0):
        return size
    raise SettingsError(f"size is {size!r}; wanted pixels, at least 1, or None to leave pictures as they are")


def _vision_of(network: Any) -> Any:
    return next(getattr(network, name) for name in _VISION if hasattr(network, name))


def _language_of(network: Any) -> Any:
    """The part that gives the last state on: without its head, and the encoder of one that encodes and decodes."""
    part = next(getattr(network, name) for name in _LANGUAGE if hasattr(network, name))
    if part.config.is_encoder_decoder:
        return part.get_encoder()
    return part.get_decoder() if hasattr(part, "lm_head") else part
