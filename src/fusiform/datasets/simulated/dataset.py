"""`Simulated`: the two parts behind the one face of a dataset."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Responses, Stimuli
from fusiform.datasets.base import Card, Sampled, choose, pick
from fusiform.datasets.simulated.brain import NONLINEARITIES, Nonlinearity
from fusiform.datasets.simulated.cinema import Cinema
from fusiform.datasets.simulated.cortex import VERTICES, signal_share
from fusiform.datasets.simulated.gallery import Gallery
from fusiform.errors import SettingsError

__all__ = ["Simulated"]

FRACTIONS = ("ncsnr", "mixtures")  # arguments that need not be whole


class Simulated(Sampled):
    """Brains with a planted truth: they need no files, and everything about them is known.

    The part `images` shows drawn pictures to vertices of fsaverage5; each reads one layer of the planted network
    (`fusiform.nets.planted`) of as many layers and the same seed: at one place or all over, a mixture of its channels.
    With `mixtures` some vertices read two layers.
    The part `movie` plays films to parcels that follow their audio, video and text.

    The same arguments give the same numbers. More pictures, vertices, repeats, runs, parcels or subjects do not change
    those that were there before.

    Args:
        pictures: of every ten, eight are for training, one for validation, one for the test.
        vertices: an even number of them on both hemispheres; at most 20,484.
        subjects: called `sim01`, `sim02`, ...
        repeats: trials of each test picture; the others are shown once.
        ncsnr: median over targets of the signal's over the noise's standard deviation in one sample. Its logarithm
            is normal with a deviation of .5, as in the Natural Scenes Dataset.
        nonlinearity: between signal and response of the vertices: `"none"`, `"tanh"`, `"square"` of the positive part,
            or `"mixed"` (vertices of even number have the second, the others the third).
        layers: of the planted network.
        patches: functional patches of cortex, about.
        mixtures: share of the patches, those that carry an image direction aside, whose vertices read a second layer
            too, through other channels: what no model with one layer, or one mixture of channels, can be.
        runs: of films; of every eight, six are for training, one for validation, one for the test.
        trs: volumes of a run, give or take a twentieth; the TR is 1.49 s.
        parcels: of both hemispheres.
        seed: of everything.

    Raises:
        SettingsError: a number is too small or too large, or there are mixtures of one layer.
        UnknownNameError: no such nonlinearity.
    """

    name = "simulated"
    card = Card(
        title="Simulated brains with a planted truth: drawn pictures and films, any size",
        licence="BSD-3-Clause (made by fusiform)",
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
        mixtures: float = 0.0,
        runs: int = 16,
        trs: int = 400,
        parcels: int = 300,
        seed: int = 0,
    ) -> None:
        choose("nonlinearity", nonlinearity, NONLINEARITIES)
        _check("pictures", pictures, 10, 100_000)
        _check("vertices", vertices, 2, 2 * VERTICES)
        _check("subjects", subjects, 1, 99)
        _check("repeats", repeats, 1, 100)
        _check("ncsnr", ncsnr, 0, np.inf)
        _check("layers", layers, 1, 24)
        _check("patches", patches, 2 * layers, 2 * VERTICES // 20)
        _check("mixtures", mixtures, 0, 1)
        if mixtures and layers == 1:
            raise SettingsError(f"mixtures is {mixtures} and layers is 1; wanted two layers or more to mix")
        _check("runs", runs, 8, 99)
        _check("trs", trs, 20, 10_000)
        _check("parcels", parcels, 2, 2 * VERTICES)
        _check("seed", seed, 0, 2**32)
        self.subjects = tuple(f"sim{number:02}" for number in range(1, subjects + 1))
        self._parts: dict[str, Gallery | Cinema] = {
            "images": Gallery(pictures, vertices, repeats, ncsnr, nonlinearity, layers, patches, mixtures, seed),
            "movie": Cinema(runs, trs, parcels, ncsnr, seed),
        }

    def stimuli(self, part: str | None = None) -> Stimuli:
        """The pictures, with split, content, caption and how much of each image direction they show; or the films.

        Pictures are RGB, 64 x 64. Films are recordings with the tracks `audio`, `video` and `text`, [rows, 24] at
        2 Hz, and no words.
        """
        return self._part(part).stimuli()

    def responses(self, subject: str, *, part: str | None = None, rois: Sequence[str] | None = None) -> Responses:
        """What one subject's vertices or parcels do, float32 [N, V], of zero mean and unit variance, about.

        Args:
            subject: such as `"sim01"`.
            part: `"images"` or `"movie"`.
            rois: thirds of the cortex (`"posterior"`, ...), or for films Schaefer's networks (`"Vis"`, ...).
        """
        number = self.subjects.index(choose("subject", subject, self.subjects))
        chosen = self._part(part)
        targets = _targets(chosen, rois)
        values, samples = chosen.responses(number, chosen.truth(number).iloc[targets])
        samples.insert(1, "subject", subject)
        return Responses(values, samples, chosen.space().select(targets))

    def truth(self, part: str | None = None, *, subject: str | None = None) -> pd.DataFrame:
        """What is planted, a row per target in the order of the responses, subject by subject.

        The columns are `subject`, `noise_ceiling` (the share of the variance of one sample that is signal,
        ncsnr^2 / (ncsnr^2 + 1)) and those of `plant.plant` or `film.plant_viewer`; `hemisphere` and `vertex` are
        those of the responses' space.

        Args:
            part: `"images"` or `"movie"`.
            subject: one of them; all if None.
        """
        wanted = self.subjects if subject is None else (choose("subject", subject, self.subjects),)
        chosen = self._part(part)
        return pd.concat([_truth(chosen, self.subjects.index(name), name) for name in wanted], ignore_index=True)

    def _part(self, part: str | None) -> Gallery | Cinema:
        return self._parts[choose("part", part, self.parts)]


def _truth(part: Gallery | Cinema, number: int, subject: str) -> pd.DataFrame:
    truth = part.truth(number)
    truth.insert(0, "subject", subject)
    truth.insert(1, "noise_ceiling", signal_share(truth["ncsnr"].to_numpy()) ** 2)
    return truth


def _targets(part: Gallery | Cinema, rois: Sequence[str] | None) -> NDArray[np.int64]:
    """Positions of the targets in the regions, in the order of the mesh."""
    wanted = np.array(part.rois)[pick("region", rois, part.rois)]
    return np.flatnonzero(np.isin(part.space().column("roi"), wanted))


def _check(name: str, value: object, least: float, most: float) -> None:
    """Refuse what is no number from `least` to `most`; all but `ncsnr` and `mixtures` are whole."""
    kinds = (int, float) if name in FRACTIONS else (int,)
    if isinstance(value, kinds) and not isinstance(value, bool) and least <= value <= most:
        return
    whole = "a number" if name in FRACTIONS else "a whole number"
    raise SettingsError(f"{name} is {value!r}; wanted {whole} from {least:,} to {most:,}")
