"""The part `images`: a gallery of pictures, and vertices that read them through the planted network."""

from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fusiform.data import Space, Stimuli
from fusiform.datasets.simulated.brain import Nonlinearity, Tokens, noise, read_tokens, signals
from fusiform.datasets.simulated.cortex import MESH, mix, places, spread
from fusiform.datasets.simulated.pictures import paint
from fusiform.datasets.simulated.plant import mix_layers, plant, plant_patches
from fusiform.datasets.simulated.scenes import Scene, scene
from fusiform.datasets.simulated.seeds import stream

__all__ = ["Gallery"]

REFERENCE = 1000  # pictures that are never shown, over which signals have zero mean and unit variance


@dataclass(frozen=True)
class Gallery:
    """Pictures and the brains that see them; the arguments are those of `Simulated`."""

    pictures: int
    vertices: int
    repeats: int
    ncsnr: float
    nonlinearity: Nonlinearity
    layers: int
    patches: int
    mixtures: float
    seed: int

    rois = ("posterior", "middle", "anterior")

    def stimuli(self) -> Stimuli:
        """Pictures (PIL, RGB, 64 x 64) with what is to be seen in them; the name says on what their content depends."""
        scenes = [scene(stream(self.seed, "picture", number)) for number in range(self.pictures)]
        table = pd.DataFrame([_words(one) for one in scenes], index=_ids(np.arange(self.pictures)))
        table.insert(0, "split", _splits(np.arange(self.pictures)))
        return Stimuli(f"simulated-images-{self.seed}", "image", table, self._load)

    def space(self) -> Space:
        """The vertices, with thirds of the cortex from back to front as regions."""
        table = places().iloc[spread(self.vertices)].reset_index(drop=True)
        third = np.digitize(table["y"] / 100, [-1 / 3, 1 / 3])  # y is uniform on a sphere
        return Space(MESH, table.assign(roi=np.array(self.rois)[third]), MESH)

    def truth(self, subject: int) -> pd.DataFrame:
        """What is planted in every vertex, as `plant` says."""
        whole = plant(self.seed, subject, self._patches, self.ncsnr)
        return whole.iloc[spread(self.vertices)].reset_index(drop=True)

    def responses(self, subject: int, truth: pd.DataFrame) -> tuple[NDArray[np.float32], pd.DataFrame]:
        """Trials of one subject, [N, V], and the samples: training and validation pictures once, test pictures often.

        Args:
            subject: its number.
            truth: V of its rows, indexed as `truth` gives them.
        """
        splits = _splits(np.arange(self.pictures))
        times = np.where(splits == "test", self.repeats, 1)
        picture, repeat = np.repeat(np.arange(self.pictures), times), np.concatenate([np.arange(n) for n in times])
        signal = signals(self._tokens, REFERENCE, truth, self.nonlinearity)
        hiss = noise(repeat, spread(self.vertices)[truth.index], self.seed, subject)
        values = mix(signal[picture], hiss, truth["ncsnr"].to_numpy())
        return values, pd.DataFrame({"stimulus": _ids(picture), "repeat": repeat + 1, "split": splits[picture]})

    @property
    def _tokens(self) -> Tokens:
        """Of the reference and then of the pictures."""
        return _tokens(self.pictures, self.layers, self.seed)

    @cached_property
    def _patches(self) -> pd.DataFrame:
        scenes = [scene(stream(self.seed, "reference", number)) for number in range(REFERENCE)]
        amounts = pd.DataFrame([one.amounts() for one in scenes])
        table = plant_patches(self.seed, self.layers, self.patches, self._tokens.global_[:, :REFERENCE], amounts)
        return mix_layers(self.seed, self.layers, table, self.mixtures) if self.mixtures else table

    def _load(self, id: str) -> Image.Image:
        return Image.fromarray(_draw(self.seed, REFERENCE + int(id.removeprefix(_PREFIX))))


@lru_cache(maxsize=1)
def _tokens(pictures: int, layers: int, seed: int) -> Tokens:
    """Tokens of the reference and then of the pictures, kept for the next brain that sees the same ones.

    Some 25 MB per thousand pictures and six layers.
    """
    return read_tokens(partial(_draw, seed), REFERENCE + pictures, layers=layers, seed=seed)


def _draw(seed: int, number: int) -> NDArray[np.uint8]:
    """Picture of one row of the tokens, [64, 64, 3]."""
    shown = number - REFERENCE
    random = stream(seed, "picture", shown) if shown >= 0 else stream(seed, "reference", number)
    return paint(scene(random), random)


_PREFIX = "picture"


def _ids(numbers: NDArray[np.int64]) -> list[str]:
    return [f"{_PREFIX}{number:05}" for number in numbers]


def _splits(numbers: NDArray[np.int64]) -> NDArray[np.str_]:
    """Of every ten pictures eight are for training, one for validation and one for the test, however many there are."""
    return np.array([*["train"] * 8, "val", "test"])[numbers % 10]


def _words(one: Scene) -> dict[str, str | float]:
    words = {"content": one.content, "label": one.label, "colour": one.colour, "caption": one.caption}
    return {**words, **one.amounts()}
