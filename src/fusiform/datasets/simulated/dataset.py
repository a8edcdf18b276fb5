"""Simulated brains that see pictures and films, with everything that is planted in them as a table."""

from collections.abc import Sequence
from functools import cached_property
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fusiform.data import Responses, Space, Stimuli
from fusiform.datasets.base import Card, choose, pick
from fusiform.datasets.simulated import scenes
from fusiform.datasets.simulated.brain import Nonlinearity, Tokens, add_noise, read_tokens, signals
from fusiform.datasets.simulated.cortex import MESH, VERTICES, places, spread
from fusiform.datasets.simulated.pictures import paint
from fusiform.datasets.simulated.plant import plant, plant_patches
from fusiform.datasets.simulated.seeds import stream

__all__ = ["Simulated"]

REFERENCE = 800  # pictures over which signals have zero mean and unit variance


class Simulated:
    name = "simulated"
    card = Card(
        title="Simulated brains with a planted truth: pictures and films, any number of subjects",
        licence="BSD-3-Clause",
        cite="fusiform",
    )
    parts = ("images", "movie")

    def __init__(
        self,
        *,
        pictures: int = 3000,
        vertices: int = 2 * VERTICES,
        subjects: int = 4,
        repeats: int = 3,
        ncsnr: float = 0.45,
        nonlinearity: Nonlinearity = "none",
        layers: int = 6,
        patches: int = 72,
        seed: int = 0,
    ) -> None:
        self.pictures = pictures
        self.vertices = vertices
        self.subjects = tuple(f"sim{number + 1:02}" for number in range(subjects))
        self.repeats = repeats
        self.ncsnr = ncsnr
        self.nonlinearity = nonlinearity
        self.layers = layers
        self.patches = patches
        self.seed = seed

    def stimuli(self, part=None):
        choose("part", part, self.parts)
        shown = [scenes.scene(stream(self.seed, "picture", n)) for n in range(self.pictures)]
        table = pd.DataFrame(
            {
                "split": [split(n) for n in range(self.pictures)],
                "content": [s.content for s in shown],
                "label": [s.label for s in shown],
                "colour": [s.colour for s in shown],
                "caption": [s.caption for s in shown],
                **{k: [f(s) for s in shown] for k, f in scenes.DIRECTIONS.items()},
            },
            index=[pid(n) for n in range(self.pictures)],
        )
        return Stimuli(
            f"simulated-images-seed{self.seed}",
            "image",
            table,
            lambda id: Image.fromarray(self._draw(REFERENCE + int(id[-5:]))),
        )

    def _draw(self, number):
        r = (
            stream(self.seed, "reference", number)
            if number < REFERENCE
            else stream(self.seed, "picture", number - REFERENCE)
        )
        return paint(scenes.scene(r), r)

    @cached_property
    def _tokens(self):
        return read_tokens(self._draw, REFERENCE + self.pictures, layers=self.layers, seed=self.seed)

    @cached_property
    def _patches(self):
        amounts = pd.DataFrame(
            [
                {k: f(s) for k, f in scenes.DIRECTIONS.items()}
                for s in (scenes.scene(stream(self.seed, "reference", n)) for n in range(REFERENCE))
            ]
        )
        return plant_patches(self.seed, self.layers, self.patches, self._tokens.global_[:, :REFERENCE], amounts)

    def _plant(self, number):
        return plant(self.seed, number, self._patches, self.ncsnr).iloc[spread(self.vertices)].reset_index(drop=True)

    def responses(self, subject, *, part=None, rois=None):
        number = self.subjects.index(subject)
        truth = self._plant(number)
        s = signals(self._tokens, REFERENCE, truth, self.nonlinearity)
        pic = np.concatenate([[n] * (self.repeats if n % 10 == 9 else 1) for n in range(self.pictures)])
        rep = np.concatenate([range(self.repeats if n % 10 == 9 else 1) for n in range(self.pictures)])
        v = add_noise(s, pic, rep, truth, self.seed, number)
        samples = pd.DataFrame(
            {"stimulus": [pid(n) for n in pic], "subject": subject, "repeat": rep, "split": [split(n) for n in pic]}
        )
        return Responses(v, samples, Space(MESH, places(spread(self.vertices)), MESH))

    def truth(self, part=None):
        return pd.concat([self._plant(i).assign(subject=s) for i, s in enumerate(self.subjects)])


def split(n):
    return {8: "val", 9: "test"}.get(n % 10, "train")


def pid(n):
    return f"picture{n:05}"
