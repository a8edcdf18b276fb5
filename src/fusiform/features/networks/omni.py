"""A network that sees, hears and reads together: the thinker of the Qwen2.5-Omni family, over long windows."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fusiform.data import Kind, Recording
from fusiform.data.timing import checked_rate, row_times
from fusiform.errors import DataError, SettingsError
from fusiform.features.networks.interleave import PICTURE, SOUND
from fusiform.features.networks.language_network import choose, name_of
from fusiform.features.networks.packing import pack, unpack
from fusiform.features.networks.thinker import HEARD_AT, Thinker
from fusiform.features.precision import Precision
from fusiform.features.preprocess import describe
from fusiform.features.time.resampling import Resampled
from fusiform.features.time.sampling import sample
from fusiform.features.time.windows import Piece, Window, Windows
from fusiform.features.tokens import Tokens

__all__ = ["Omni"]

What = Literal["all", "pictures", "sound"]
_KINDS = {"all": (PICTURE, SOUND), "pictures": (PICTURE,), "sound": (SOUND,)}
_SLOWEST = 1.0  # frames per second: below it, a pair of frames outlasts the chunk in which the network reads


class Omni:
    """The thinker of a Qwen2.5-Omni network (Xu et al. 2025, arXiv 2503.20215), `Omni("Qwen/Qwen2.5-Omni-3B")`.

    A recording is read in windows (see `windows.Windows`). Each begins with an instruction and the words heard so far,
    before the window; then come its pictures and sound, in the order of time and in the published layout. A row is the
    mean over the tokens of its moment, each weighted by how long it lies in the row. Marks, text and padding are in no
    mean. No row knows what comes later than the two seconds that the network takes at once, but for the loudest moment
    of the window: what is 80 dB below it is not heard.

    Layers, [1, C, T]: `embeddings`, `block1` ... `blockN` and `final` (with its norm) of the language part;
    `vision.embeddings`, `vision.block1` ... of the part that sees, and `audio.embeddings`, `audio.block1` ... and
    `audio.final` of the part that hears, as far as recordings have pictures and sound.

    Args:
        source: name on the hub, or a local folder that `save_pretrained` wrote.
        rate: rows per second (Hz).
        window: seconds that are read at once.
        stride: seconds of rows that one window answers for; half of it by default.
        frames: per second. Two are one moment to the network.
        pixels: of a frame at most.
        words: heard so far that are read at most; 0 reads none.
        instruction: that comes first.
        tokens: whose mean is a row of the language part: `pictures`, `sound`, or `all`.
        precision: that the network computes in.
        commit: hash, tag or branch on the hub; the latest by default.

    Raises:
        SettingsError: settings that cannot be used.
    """

    kind: Kind = "recording"

    def __init__(
        self,
        source: str,
        rate: float = 2.0,
        window: float = 60.0,
        stride: float | None = None,
        frames: float = 2.0,
        pixels: int = 128 * 28 * 28,
        words: int = 200,
        instruction: str = "You see and hear a recording, moment by moment.",
        tokens: What = "all",
        precision: Precision = "float32",
        commit: str | None = None,
    ) -> None:
        self.thinker, self.name = Thinker(source, precision, commit), name_of(source)
        self.rate, self.frames, self.windows = checked_rate(rate), checked_rate(frames), Windows.of(window, stride)
        self.pixels, self.words, self.instruction, self.tokens = pixels, words, instruction, tokens
        choose("tokens", tokens, tuple(_KINDS))
        if self.frames < _SLOWEST or words < 0:
            raise SettingsError(
                f"got frames={frames} and words={words}; wanted {_SLOWEST:g} frame per second at least, and no "
                "negative number of words"
            )

    @property
    def revision(self) -> str:
        """Of weights, configuration and tokenizer."""
        return self.thinker.revision

    @property
    def settings(self) -> Mapping[str, Any]:
        """What else decides the numbers."""
        return {
            **{name: getattr(self, name) for name in ("rate", "frames", "pixels", "words", "instruction", "tokens")},
            **{name: getattr(self.windows, name) for name in ("length", "stride", "context")},
            "precision": self.thinker.precision,
            "preprocess": {"pictures": describe(self.thinker.eyes), "sound": self.thinker.hearing},
        }

    def to(self, device: Any) -> None:
        """Move the network."""
        self.thinker.network.to(device)

    def preprocess(self, arrays: Mapping[str, NDArray[Any]]) -> Tensor:
        """What a window holds, by name, as one tensor [n]."""
        return pack(arrays)

    def pieces(self, recording: Recording, batch_size: int) -> Iterator[Piece]:
        """The windows of a recording, one by one, whatever the size of a batch: they are long.

        Raises:
            DataError: there is nothing of what the rows are made of.
        """
        seen, heard = recording.video is not None, recording.sound is not None
        if not {"all": seen or heard, "pictures": seen, "sound": heard}[self.tokens]:
            missing = "neither pictures nor sound" if self.tokens == "all" else f"no {self.tokens}"
            raise DataError(f"the recording has {missing}, of which the rows are made (tokens={self.tokens!r})")
        for window in self.windows.plan(recording.duration, self.rate):
            yield Piece(self._packed(recording, window)[None], _of_window)

    def get_tokens(self, x: Tensor) -> Tokens:
        """One window [1, n], packed, to the rows that come from it, local [1, C, T]."""
        given = unpack(x[0])
        start, stop = given["span"].tolist()
        edges, text = given["edges"].cpu().numpy(), bytes(given["text"].tolist()).decode()

        def rows(states: Tensor, spans: NDArray[np.floating]) -> Tensor:
            starts, stops = (start + spans).T
            last = stops >= stops.max() - 1e-9  # a token that is cut off belongs to the last whole one
            return sample(states, starts, np.where(last, np.maximum(stops, stop), stops), edges)

        kinds = _KINDS[self.tokens]
        found = self.thinker.read(text, given["frames"], given["samples"], 2 / self.frames, kinds, rows)
        return Tokens({layer: value.T[None] for layer, value in found.items()}, {})

    def _packed(self, recording: Recording, window: Window) -> Tensor:
        return self.preprocess(
            {
                "span": np.array([window.start, window.stop]),
                "edges": window.edges,
                "text": np.frombuffer(self._text(recording, window.start).encode(), dtype=np.uint8),
                "frames": self._pictures(recording, window),
                "samples": self._samples(recording, window),
            }
        )

    def _text(self, recording: Recording, start: float) -> str:
        """Instruction and words so far, as the network was taught to be spoken to."""
        words = recording.words
        so_far = words.loc[words["start"] < start, "text"].tolist()[-self.words :] if self.words else []
        return f"<|im_start|>system\n{self.instruction}<|im_end|>\n<|im_start|>user\n{' '.join(so_far)}"

    def _pictures(self, recording: Recording, window: Window) -> NDArray[np.uint8]:
        """[F, h, w, 3], F even: a window that ends with the first of two frames sees it twice."""
        if recording.video is None:
            return np.zeros((0, 1, 1, 3), dtype=np.uint8)
        pairs = max(1, int(np.ceil((window.stop - window.start) * self.frames / 2 - 1e-6)))
        times = np.minimum(row_times(2 * pairs, self.frames, window.start), window.stop - 1e-6)
        return self.thinker.resized(recording.video.frames(times), self.pixels)

    def _samples(self, recording: Recording, window: Window) -> NDArray[np.float32]:
        """[n] at 16 kHz; where the sound ends before the recording, it is silent."""
        if recording.sound is None:
            return np.zeros(0, dtype=np.float32)
        samples = Resampled(recording.sound, HEARD_AT).samples(window.start, window.stop)
        whole = round((window.stop - window.start) * HEARD_AT)
        return np.pad(samples, (0, max(0, whole - len(samples))))


def _of_window(tokens: Tokens) -> Tokens:
    """[1, C, T] -> [T, C]: the rows are made already."""
    return Tokens({layer: value[0].T for layer, value in tokens.local.items()}, {})
