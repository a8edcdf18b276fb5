"""Text as tokens: of a whole text, or of timed words with the word that each token belongs to.

Special tokens (the beginning, the end, a class token) frame what is read; they are never part of a mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiform.errors import DataError, LayoutError
from fusiform.registry import need

__all__ = ["Tokenizing", "load_tokenizer", "special_ids"]

_UNLIMITED = 10**9  # tokenizers without a limit say 10**30


def load_tokenizer(source: str, commit: str | None, subfolder: str = "") -> Any:
    """The tokenizer of a network.

    Args:
        source: name on the hub, or a local folder.
        commit: hash, tag or branch on the hub.
        subfolder: in which it lies.

    Raises:
        LayoutError: there is none that can be read, or it cannot say where in the text its tokens lie.
    """
    transformers, hub = need("transformers", extra="models"), need("transformers.utils", extra="models")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, revision=commit, subfolder=subfolder)
        files = [file for file in tokenizer.vocab_files_names.values() if isinstance(file, str)]
        given = {"revision": commit, "subfolder": subfolder, "_raise_exceptions_for_missing_entries": False}
        if not any(hub.cached_file(source, file, **given) for file in files):  # it would know no word
            raise ValueError(f"there is none of {', '.join(files)}")
    except Exception as reason:  # a damaged file breaks in any of three libraries
        said = str(reason).strip().partition("\n")[0][:200]
        raise LayoutError(
            f"{source!r} has no tokenizer that can be read ({type(reason).__name__}: {said}); wanted tokenizer.json "
            "and tokenizer_config.json beside its weights"
        ) from reason
    if not tokenizer.is_fast:
        raise LayoutError(f"the tokenizer of {source!r} has no tokenizer.json; save it with that of the fast class")
    return tokenizer


def special_ids(tokenizer: Any) -> frozenset[int]:
    """The ids of all tokens that a tokenizer calls special."""
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(tokenizer.all_special_ids) | {number for number, token in added if token.special}


@dataclass(frozen=True)
class Tokenizing:
    """How a language network reads text.

    Args:
        tokenizer: of transformers, a fast one.
        instruction: that is read before every text, behind the special tokens that stand first.
    """

    tokenizer: Any
    instruction: str = ""

    @cached_property
    def frame(self) -> tuple[list[int], list[int]]:
        """The ids before every text (special tokens, then the instruction) and after it."""
        read = self.tokenizer("a", return_special_tokens_mask=True)
        plain = np.flatnonzero(np.array(read["special_tokens_mask"]) == 0)
        ids = list(read["input_ids"])
        return ids[: plain[0]] + self.text(self.instruction), ids[plain[-1] + 1 :]

    @property
    def digest(self) -> str:
        """Of the vocabulary and the rules."""
        return sha256(self.tokenizer.backend_tokenizer.to_str().encode()).hexdigest()[:8]

    @property
    def limit(self) -> int | None:
        """Tokens that may be read at once, as the tokenizer has it."""
        most = int(self.tokenizer.model_max_length)
        return most if most < _UNLIMITED else None

    def text(self, text: str) -> list[int]:
        """The ids of a text without special tokens."""
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]) if text else []

    def words(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The ids of words read in one line with spaces between, and the number of the word that each belongs to.

        A token belongs to the word in which it ends, so that a space counts with the word that follows it. A word of
        which nothing is left (a blank, a control character) has no token.

        Args:
            texts: W words.

        Returns:
            [tokens] ids and [tokens] numbers from 0 to W - 1, ascending.

        Raises:
            DataError: a word is no text.
        """
        kept = [number for number, text in enumerate(texts) if _checked(text).strip()]
        plain = [texts[number].strip() for number in kept]
        if not plain:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        read = self.tokenizer(" ".join(plain), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ends = np.cumsum([len(text) + 1 for text in plain]) - 1  # the character after each word
        stops = np.array([stop for _, stop in read["offset_mapping"]], dtype=np.int64)
        word = np.searchsorted(ends, stops).clip(max=len(kept) - 1)
        return np.array(read["input_ids"], dtype=np.int64), np.array(kept, dtype=np.int64)[word]


def _checked(text: Any) -> str:
    if not isinstance(text, str):
        raise DataError(f"a word of the recording is {text!r}; wanted text: leave out what was not understood")
    return text
