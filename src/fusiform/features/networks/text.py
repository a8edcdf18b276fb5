"""What language networks make of text: of whole texts, and of the words of a recording in their context."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.data import Kind, Recording
from fusiform.data.timing import checked_rate
from fusiform.errors import DataError, SettingsError
from fusiform.features.networks.language_network import LanguageNetwork, choose, name_of
from fusiform.features.precision import Precision
from fusiform.features.time.transcripts import Silence, mean_heard, spans_of
from fusiform.features.tokens import Tokens

__all__ = ["Text", "WordsInContext"]

_AT_ONCE = 8192  # tokens in one pass, so that memory does not depend on the length of a transcript
_EMPTY = -1  # fills up a row of ids


class _Reader:
    """What both share: a network, and what decides its numbers."""

    name: str
    language: LanguageNetwork

    @property
    def revision(self) -> str:
        """Commit on the hub, or digest of weights and configuration; and a digest of the tokenizer."""
        return self.language.revision

    def to(self, device: Any) -> None:
        """Move the network."""
        self.language.network.to(device)


class Text(_Reader):
    """A language network that reads texts, a row each: `Text("bert-base-uncased")`.

    Layers, all global [B, C]: `embeddings`, `block1` ... `blockN` (what each block gives on, before any final norm) and
    `final`, the network's own last state, where it has such a norm. Special tokens, the instruction and padding are in
    no mean.

    Args:
        source: name on the hub, or a local folder that `save_pretrained` wrote.
        pool: over the text's own tokens: their `mean`, the `last`, or the class token before them (`cls`).
        instruction: read before every text, as it is; whatever its tokenizer knows as special tokens are such.
        length: tokens that a text may have at most, and no more than the network can read.
        precision: that the network computes in.
        commit: hash, tag or branch on the hub; the latest by default.
    """

    kind: Kind = "text"

    def __init__(
        self,
        source: str,
        pool: Literal["mean", "last", "cls"] = "mean",
        instruction: str = "",
        length: int = 512,
        precision: Precision = "float32",
        commit: str | None = None,
    ) -> None:
        choose("pool", pool, ("mean", "last", "cls"))
        self.name, self.pool, self.length = name_of(source), pool, length
        self.language = LanguageNetwork(source, instruction, precision, commit)
        self.settings = {"pool": pool, "instruction": instruction, "precision": precision}

    def preprocess(self, text: str) -> Tensor:
        """[length] ids of the text's own tokens, and -1 behind them."""
        if not isinstance(text, str):
            raise DataError(f"{text!r} is no text; wanted a string")
        ids = self.language.tokenizing.text(text)
        self.language.framed(ids)
        if not 0 < len(ids) <= self.length:
            raise DataError(f"the text has {len(ids)} tokens; wanted 1 to {self.length}: shorten it, or raise length")
        return torch.tensor(ids + [_EMPTY] * (self.length - len(ids)))

    def get_tokens(self, x: Tensor) -> Tokens:
        """[B, length] -> global tokens of every layer."""
        own = [[number for number in row if number != _EMPTY] for row in x.tolist()]
        texts = [self.language.framed(ids) for ids in own]
        weights = self._weights([len(ids) for ids in own], max(map(len, texts)))

        def pool(state: Tensor) -> Tensor:
            return torch.einsum("btc,bt->bc", state.float(), weights.to(state.device))

        return Tokens({}, self.language.read(texts, pool))

    def _weights(self, lengths: Sequence[int], longest: int) -> Tensor:
        """[B, T] by which states are summed."""
        first = len(self.language.tokenizing.frame[0])
        weights = torch.zeros(len(lengths), longest)
        for row, length in zip(weights, lengths, strict=True):
            if self.pool == "mean":
                row[first : first + length] = 1 / length
            else:
                row[first + length - 1 if self.pool == "last" else self._class_token] = 1
        return weights

    @cached_property
    def _class_token(self) -> int:
        first = len(self.language.tokenizing.frame[0])
        if first == 0 or self.language.causal:
            why = "comes before all it could tell of" if first else "does not exist"
            raise SettingsError(f"pool='cls' of {self.name!r}: its class token {why}; wanted mean or last")
        return 0


@dataclass(frozen=True)
class _Window:
    """A stretch of tokens, of which those from `first` on are read off: [tokens] each."""

    ids: list[int]
    first: int
    words: NDArray[np.int64]  # [tokens from `first` on] the word of each


class WordsInContext(_Reader):
    """A language network that reads the words of a recording as they come, [1, C, T] for every layer.

    The state of a word is that of its own tokens in a window of the transcript: the word and the `context` words before
    it, never one after it, framed by special tokens and the instruction. A row has the mean of the words heard in it,
    by how long they are. Layers as in `Text`, all local.

    The cost grows with the words times the context. A causal network can read off several words per window (`stride`),
    each of them with at least `context` words before it where there are so many.

    Args:
        source: name on the hub, or a local folder that `save_pretrained` wrote.
        rate: rows per second (Hz).
        context: words before each word.
        instruction: read before every window, as it is: a reading of the transcript, such as `"In terms of emotion: "`.
        pool: over the tokens of a word: their `mean`, or the `last`.
        silence: rows without a word are `zeros`, or `hold` the row before.
        stride: words that a window is moved by, and that are read off it.
        precision: that the network computes in.
        commit: hash, tag or branch on the hub; the latest by default.
    """

    kind: Kind = "recording"

    def __init__(
        self,
        source: str,
        rate: float = 2.0,
        context: int = 64,
        instruction: str = "",
        pool: Literal["mean", "last"] = "mean",
        silence: Silence = "zeros",
        stride: int = 1,
        precision: Precision = "float32",
        commit: str | None = None,
    ) -> None:
        choose("pool", pool, ("mean", "last"))
        choose("silence", silence, get_args(Silence))
        if context < 0 or stride < 1:
            raise SettingsError(f"got context={context} and stride={stride}; wanted words: at least 0 and at least 1")
        self.name, self.rate = name_of(source), checked_rate(rate)
        self.context, self.pool, self.silence, self.stride = context, pool, silence, stride
        self.language = LanguageNetwork(source, instruction, precision, commit)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What else decides the numbers."""
        names = ("rate", "context", "pool", "silence", "stride")
        given = {name: getattr(self, name) for name in names}
        return {**given, "instruction": self.language.instruction, "precision": self.language.precision}

    def preprocess(self, recording: Recording) -> Tensor:
        """[4, 1 + tokens]: first the duration; then id, word, start and stop of every token's word.

        Seconds are there as the bits of float64, since a tensor has one type.
        """
        spans = spans_of(recording)
        ids, words = self.language.tokenizing.words(list(recording.words["text"]))
        seconds = np.concatenate([[[recording.duration, 0.0]], spans[words]]).view(np.int64)  # [1 + tokens, 2]
        return torch.from_numpy(np.column_stack([[0, *ids], [0, *words], seconds]).T.copy())

    def get_tokens(self, x: Tensor) -> Tokens:
        """[1, 4, 1 + tokens] -> local tokens of every layer."""
        ids, words, *bits = x[0].cpu().numpy()
        seconds = np.column_stack(bits).view(np.float64)
        first = np.unique(words[1:], return_index=True)[1]
        states = self._states(self._windows(ids[1:], words[1:], [*first.tolist(), len(ids) - 1]))
        given = seconds[1:][first], float(seconds[0, 0]), self.rate, self.silence
        return Tokens({layer: mean_heard(state, *given).T[None] for layer, state in states.items()}, {})

    def _windows(self, ids: NDArray[Any], words: NDArray[Any], edges: Sequence[int]) -> Iterator[_Window]:
        """The windows of a transcript, in order.

        Args:
            ids: [tokens].
            words: [tokens] the word of each.
            edges: where each word begins, and the number of tokens.
        """
        self._check_stride()
        before = len(self.language.tokenizing.frame[0])
        heads = range(0, len(edges) - 1, self.stride)
        for head, after in pairwise([*heads, len(edges) - 1]):
            start, read, stop = edges[max(0, head - self.context)], edges[head], edges[after]
            what = f"a window of {after - max(0, head - self.context)} words"
            whole = self.language.framed(ids[start:stop].tolist(), what, "choose a smaller context or stride")
            yield _Window(whole, before + read - start, words[read:stop])

    def _check_stride(self) -> None:
        if self.stride > 1 and not self.language.causal:
            raise SettingsError(
                f"stride={self.stride} would let {self.name!r} see words that are still to come, as it reads both "
                "ways; wanted stride=1"
            )

    def _states(self, windows: Iterable[_Window]) -> dict[str, Tensor]:
        """layer -> [words, C]."""
        parts = [self._pass(batch) for batch in _batches(windows)]
        if not parts:  # nobody says a word: learn the widths from any token
            found = self._pass([_Window(self.language.framed([0]), 0, np.zeros(1, np.int64))])
            return {layer: state[:0] for layer, state in found.items()}
        return {layer: torch.cat([part[layer] for part in parts]) for layer in parts[0]}

    def _pass(self, windows: Sequence[_Window]) -> dict[str, Tensor]:
        """layer -> [words, C] of the words that are read off some windows."""
        window = np.concatenate([np.full(len(one.words), number) for number, one in enumerate(windows)])
        place = np.concatenate([one.first + np.arange(len(one.words)) for one in windows])
        word = np.unique(np.concatenate([one.words for one in windows]), return_inverse=True)[1]
        if self.pool == "last":
            ends = np.flatnonzero(np.diff(word, append=word[-1] + 1))
            window, place, word = window[ends], place[ends], word[ends]

        counts = torch.from_numpy(np.bincount(word))[:, None]

        def pool(state: Tensor) -> Tensor:
            own = state[torch.from_numpy(window), torch.from_numpy(place)].float().cpu()
            return torch.zeros(len(counts), own.shape[1]).index_add_(0, torch.from_numpy(word), own) / counts

        return self.language.read([one.ids for one in windows], pool)


def _batches(windows: Iterable[_Window]) -> Iterator[list[_Window]]:
    """Windows that go through the network together: as many as fit, one at least."""
    batch: list[_Window] = []
    longest = 0
    for window in windows:
        longest = max(longest, len(window.ids))
        if batch and longest * (len(batch) + 1) > _AT_ONCE:
            yield batch
            batch, longest = [], len(window.ids)
        batch.append(window)
    if batch:
        yield batch
