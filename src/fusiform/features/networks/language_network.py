"""A language network of Hugging Face and its tokenizer: loaded once, every layer in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fusiform.errors import DataError, SettingsError
from fusiform.features.hooks import device_of, evaluating
from fusiform.features.networks.checkpoints import check_folder, load_language, revision_of
from fusiform.features.networks.tokenizing import Tokenizing, load_tokenizer, special_ids
from fusiform.features.networks.towers import Pool, Tower, watched
from fusiform.features.precision import PRECISIONS, Precision
from fusiform.registry import unknown

__all__ = ["LanguageNetwork", "choose", "in_precision", "name_of", "sentence"]


@dataclass(frozen=True)
class LanguageNetwork:
    """A causal (GPT-2, Llama, Qwen) or masked (BERT, RoBERTa) language network. Making one loads nothing.

    Args:
        source: name on the hub, or a local folder that `save_pretrained` wrote.
        instruction: read before every text.
        precision: that it computes in.
        commit: hash, tag or branch on the hub; the latest by default.
    """

    source: str
    instruction: str
    precision: Precision
    commit: str | None

    def __post_init__(self) -> None:
        check_folder(self.source)
        sentence("instruction", self.instruction)
        choose("precision", self.precision, PRECISIONS)

    @cached_property
    def network(self) -> Any:
        """The part that reads, loaded when first asked for."""
        network = in_precision(load_language(self.source, self.commit), self.precision)
        network.config.use_cache = False
        return network

    @cached_property
    def tokenizing(self) -> Tokenizing:
        """How it reads."""
        return Tokenizing(load_tokenizer(self.source, self.commit), self.instruction)

    @cached_property
    def revision(self) -> str:
        """Commit on the hub, or digest of weights and configuration; and a digest of the tokenizer."""
        return f"{revision_of(self.network, self.source)}-{self.tokenizing.digest}"

    @cached_property
    def limit(self) -> int | None:
        """Tokens that it may read at once, the frame included; None where there is no limit."""
        limits = [self.tokenizing.limit, _positions(self.network)]
        return min((limit for limit in limits if limit and limit > 0), default=None)  # XLNet's -1 says none

    @cached_property
    def causal(self) -> bool:
        """Whether what follows a token leaves its state as it is: tried out, since configurations do not say."""
        special = special_ids(self.tokenizing.tokenizer)
        first, second, third = [number for number in range(len(special) + 3) if number not in special][:3]
        pair = torch.tensor([[first, second], [first, third]], device=device_of(self.network))
        with evaluating(self.network), torch.inference_mode():
            state = self.network(input_ids=pair, attention_mask=torch.ones_like(pair)).last_hidden_state
        return torch.allclose(state[0, 0], state[1, 0], atol=1e-5)

    def framed(self, ids: Sequence[int], what: str = "the text", otherwise: str = "shorten it") -> list[int]:
        """Ids with what stands before and after every text.

        Raises:
            DataError: they are more than the network can read; says what they are of, and what to do.
        """
        before, after = self.tokenizing.frame
        whole = [*before, *ids, *after]
        if self.limit and len(whole) > self.limit:
            raise DataError(
                f"{what} is {len(whole)} tokens long, {len(before) + len(after)} of them instruction and special ones, "
                f"and {self.source!r} reads {self.limit} at once; {otherwise}"
            )
        return whole

    def read(self, texts: Sequence[Sequence[int]], pool: Pool) -> dict[str, Tensor]:
        """layer -> rows, in one pass.

        Args:
            texts: B framed texts.
            pool: states [B, T, C] to rows; T is the longest text's, and a text's own tokens stand first.
        """
        device, longest = device_of(self.network), max(map(len, texts))
        blank = self.tokenizing.tokenizer.pad_token_id or 0  # hidden by the mask, yet RoBERTa counts places by it
        ids = torch.tensor([[*text, *[blank] * (longest - len(text))] for text in texts], device=device)
        mask = torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts], device=device)

        def checked(state: Tensor) -> Tensor:
            if state.shape[:2] != ids.shape:
                raise DataError(
                    f"a block of {self.source!r} gives the shape {tuple(state.shape)} for {tuple(ids.shape)} tokens; "
                    "wanted a state for each: bring this network through hook_layers"
                )
            return pool(state)

        with evaluating(self.network), watched([Tower(self.network, checked, unit="block")]) as found:
            self.network(input_ids=ids, attention_mask=mask)
        return found


def name_of(source: str) -> str:
    """What the features of a network are called: its name on the hub, or the folder's."""
    return Path(source).resolve().name if Path(source).is_dir() else source


def choose(what: str, given: str, known: Sequence[str]) -> None:
    """Check one of several words.

    Raises:
        SettingsError: it is none of these.
    """
    if given not in known:
        raise SettingsError(unknown(what, given, known))


def sentence(what: str, given: Any) -> str:
    """A setting that is a text, if it is one.

    Raises:
        SettingsError: it is none, such as what a command line makes of a colon.
    """
    if isinstance(given, str):
        return given
    raise SettingsError(f"{what} is {given!r}; wanted text: on a command line, quote it twice: {what}=\"'...'\"")


def in_precision(network: Any, precision: Precision) -> Any:
    """The network with all weights in one precision; buffers, such as the frequencies of rotary places, keep theirs."""
    for weight in network.parameters():
        weight.data = weight.data.to(getattr(torch, precision))
    return network


def _positions(network: Any) -> int | None:
    """Places that a network has embeddings for; RoBERTa's begin behind that of padding."""
    most = getattr(network.config, "max_position_embeddings", None)
    for name, module in network.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    return most
