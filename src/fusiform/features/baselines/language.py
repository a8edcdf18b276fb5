"""What the timed words of a recording say, as rows at a regular rate."""

import hashlib
import string
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusiform.data import Kind, Recording
from fusiform.data.timing import checked_rate
from fusiform.errors import LayoutError, MissingDataError
from fusiform.features.time.transcripts import spans_of, sum_of_impulses
from fusiform.features.tokens import Tokens
from fusiform.files import data_folders

__all__ = ["Vectors", "Words", "read_vectors", "word_rate"]

_CURLY = "\u2018\u2019\u201c\u201d\u2013\u2014\u2026"  # quotes, dashes and dots as typesetters write them


class Words:
    """Rate, length, duration, frequency and meaning of the words that are heard, [1, C, T] each.

    A word is an impulse: it adds its values to the row nearest to its onset (see `transcripts`). Layers:

    - `rate` [T, 1]: words per second;
    - `length` [T, 1]: letters of the words that begin there, summed, as are all that follow;
    - `duration` [T, 1]: seconds from onset to offset;
    - `frequency` [T, 1]: log10 of the occurrences per billion words (the Zipf scale of van Heuven et al. 2014), by
      Mandelbrot's law 1 / (rank + 2.7) from the rank in the list of vectors, which is sorted by frequency;
    - `vectors` [T, D]: static word vectors.

    A word that the list lacks has the frequency of the rank after the last and a vector of zeros; `unknown` names it.

    Args:
        rate: rows per second (Hz).
        vectors: file of word vectors (`.npz` with `words` and `vectors`, or `.txt` with a word and its numbers a
            line), or the folder among the data folders that holds one. None leaves out `frequency` and `vectors`: both
            are read from that file.
        exchanged: seed by which words exchange their vectors: a control, in which the same words recur at the same
            times but mean something else.
    """

    name = "words"
    kind: Kind = "recording"

    def __init__(
        self, rate: float = 2.0, vectors: str | Path | None = "glove_twitter_25d", exchanged: int | None = None
    ) -> None:
        self.rate, self.source, self.exchanged = checked_rate(rate), vectors, exchanged
        self.settings = {"rate": self.rate, "vectors": vectors is not None}
        if exchanged is not None:
            self.settings["exchanged"] = exchanged

    @property
    def revision(self) -> str:
        """Of the rules above, and a digest of the vectors."""
        return "1" if self.source is None else f"1-{self.vectors.digest}"

    @cached_property
    def vectors(self) -> "Vectors":
        """The word vectors, read when first asked for."""
        found = read_vectors(_find(str(self.source)))
        return found if self.exchanged is None else found.exchange(self.exchanged)

    def preprocess(self, recording: Recording) -> Tensor:
        """[C, T]: the channels of all layers below one another."""
        starts, values = spans_of(recording)[:, 0], torch.from_numpy(self._describe(recording.words))
        return sum_of_impulses(values, starts, recording.duration, self.rate).T.contiguous()

    def get_tokens(self, x: Tensor) -> Tokens:
        """[1, C, T] -> a layer per description."""
        names = ("rate", "length", "duration", *(["frequency"] if self.source is not None else []))
        local = {name: x[:, channel : channel + 1] for channel, name in enumerate(names)}
        return Tokens(local if self.source is None else {**local, "vectors": x[:, len(names) :]}, {})

    def unknown(self, recording: Recording) -> list[str]:
        """The words of a recording that the list of vectors lacks, once each, in the order they are heard."""
        heard = [_plain(text) for text in recording.words["text"]]
        return [word for word in dict.fromkeys(heard) if word not in self.vectors.ranks]

    def _describe(self, words: pd.DataFrame) -> NDArray[np.float32]:
        """[words, C] values that each word adds to its row."""
        plain = [_plain(text) for text in words["text"]]
        columns: list[NDArray[Any]] = [
            np.full(len(words), self.rate),
            np.array([sum(map(str.isalpha, word)) for word in plain], dtype=np.float64),
            (words["stop"] - words["start"]).to_numpy(np.float64),
        ]
        if self.source is not None:
            columns += [self.vectors.frequency(plain), self.vectors(plain)]
        return np.column_stack(columns).astype(np.float32)


def word_rate(rate: float = 2.0) -> Words:
    """The baseline below every network of words: how many begin, how long they are, nothing of what they mean.

    Args:
        rate: rows per second (Hz).
    """
    return Words(rate, None)


class Vectors:
    """A list of words, the most frequent first, with a vector each.

    Args:
        words: N words in lower case.
        values: [N, D].
        digest: of the file they came from.
    """

    def __init__(self, words: list[str], values: NDArray[np.float32], digest: str) -> None:
        self.ranks = {word: rank for rank, word in enumerate(words)}
        self.values, self.digest = values, digest

    def __call__(self, words: list[str]) -> NDArray[np.float32]:
        """[words, D]; zeros where a word is unknown."""
        padded = np.vstack([self.values, np.zeros((1, self.values.shape[1]), np.float32)])
        return padded[self._rank(words)]

    def exchange(self, seed: int) -> "Vectors":
        """The same words and frequencies, with the vectors dealt out anew."""
        order = np.random.default_rng(seed).permutation(len(self.values))
        return Vectors(list(self.ranks), self.values[order], self.digest)

    def frequency(self, words: list[str]) -> NDArray[np.float64]:
        """[words] log10 of the occurrences per billion words, by Mandelbrot's law."""
        law = 1 / (np.arange(1, len(self.values) + 2) + 2.7)
        return np.asarray(np.log10(1e9 * law / law.sum())[self._rank(words)], dtype=np.float64)

    def _rank(self, words: list[str]) -> NDArray[np.int64]:
        return np.array([self.ranks.get(word, len(self.values)) for word in words], dtype=np.int64)


def read_vectors(path: Path) -> Vectors:
    """Word vectors of a file, `.npz` or text.

    Raises:
        LayoutError: it is neither, or truncated.
    """
    try:
        words, values = _read_npz(path) if path.suffix == ".npz" else _read_text(path)
        if not len(words) == len(values) > 0 or values.ndim != 2:
            raise ValueError(f"{len(words)} words and vectors of the shape {values.shape}")
    except Exception as reason:
        raise LayoutError(
            f"{path} cannot be read as word vectors ({type(reason).__name__}: {reason}); it is damaged or of another "
            "format: delete it and get it again"
        ) from reason
    return Vectors(words, values, hashlib.sha256(path.read_bytes()).hexdigest()[:16])


def _read_npz(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    with path.open("rb") as raw, np.load(raw) as file:  # never unpickles
        return [str(word) for word in file["words"]], file["vectors"].astype(np.float32)


def _read_text(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    lines = [line.rstrip().split(" ") for line in path.read_text(encoding="utf-8").splitlines()]
    return [line[0] for line in lines], np.array([line[1:] for line in lines], dtype=np.float32)


def _find(source: str) -> Path:
    """A file as it is given, or the one file of vectors in a folder of that name among the data folders."""
    if Path(source).is_file():
        return Path(source)
    places = [folder / source for folder in data_folders()]
    for place in places:
        if files := sorted([*place.glob("*.npz"), *place.glob("*.txt")]):
            return files[0]
    raise MissingDataError(
        f"the word vectors {source!r} were not found (looked in {' and '.join(map(str, places))}); set FUSIFORM_DATA "
        f"to the folder that holds {source}/, give vectors=FILE, or vectors=None to go without"
    )


def _plain(text: str) -> str:
    """A word as lists have it: lower case, without punctuation around it."""
    return text.lower().replace("\u2019", "'").strip().strip(string.punctuation + _CURLY)
