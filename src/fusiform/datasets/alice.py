"""Alice: 27 people hear the first chapter of *Alice's Adventures in Wonderland*, six language regions, TR 2 s.

Brennan et al. 2016. The shared time courses are means over a sphere per region and lack the first ten volumes, so
that volume 0 begins at second 20 of the recording; the words of the TextGrid are on that clock (their onsets, through
a haemodynamic response and read at 20 + 2 i seconds, follow the published word rate with r = .99, best within .15 s
of there).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd

from fusiform.data import Recording, Responses, Space, Stimuli, Track
from fusiform.data.timing import row_times
from fusiform.datasets.base import Card, Sampled, choose, locate, pick, read_numbers, reading

__all__ = ["Alice", "Sphere"]

Sphere = Literal["6mm", "10mm"]

ROIS = ("LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG")
TEXT_GRID = "alice_stim_shared/DownTheRabbitHoleFinal_exp120_pad_1.TextGrid"
SOUND_POWER = "alice_data_shared/s18-sndpwr.txt"  # one sound for all: the 27 files agree with r > .99999
STORY = "chapter1"
VOLUMES, RATE, START = 362, 0.5, 20.0  # volumes, Hz, seconds
SILENCE = ("", "sp")


class Alice(Sampled):
    """A story of twelve minutes, heard once by 27 people.

    The recording has the 2,127 words with their times, and one track, `sound power`, which the authors had already
    convolved with a haemodynamic response.

    Args:
        sphere: radius of the spheres that the regions' time courses are averaged over.
    """

    name = "alice"
    card = Card(
        title="Listening to chapter 1 of Alice in Wonderland: 27 people, 6 language regions",
        licence="CC BY 4.0",
        cite="Brennan, Stabler, Van Wagenen, Luh & Hale 2016, Brain and Language 157-158, 81-94",
        bytes=2_464_036,
    )
    # s33 is corrupt as published and left out
    subjects = tuple(f"s{number}" for number in (18, 22, 23, 24, 26, 28, 30, 31, *range(35, 54)))
    parts = ("story",)

    def __init__(self, sphere: Sphere = "6mm") -> None:
        self.sphere = choose("sphere", sphere, get_args(Sphere))

    def stimuli(self, part: str | None = None) -> Stimuli:
        """The one recording, `chapter1`."""
        choose("part", part, self.parts)
        table = pd.DataFrame({"label": ["Down the Rabbit-Hole"]}, index=[STORY])
        return Stimuli(self.name, "recording", table, _load)

    def responses(self, subject: str, *, part: str | None = None, rois: Sequence[str] | None = None) -> Responses:
        """Time courses of one subject, [362, regions], in the scanner's units; `time` in seconds of the recording."""
        choose("part", part, self.parts)
        file = f"alice_data_shared/{self.sphere}/{choose('subject', subject, self.subjects)}-timecourses.txt"
        regions = pick("region", rois, ROIS)
        values = read_numbers(locate(self.name, file) / file, VOLUMES, len(ROIS))
        samples = pd.DataFrame(
            {"stimulus": STORY, "subject": subject, "run": 1, "time": row_times(VOLUMES, RATE, START)}
        )
        return Responses(values[:, regions], samples, Space.named(self.name, [ROIS[region] for region in regions]))

    def truth(self, part: str | None = None) -> None:
        """None: nothing was planted."""
        choose("part", part, self.parts)


def _load(id: str) -> Recording:
    folder = locate(Alice.name, TEXT_GRID, SOUND_POWER)
    power = read_numbers(folder / SOUND_POWER, VOLUMES, 1).astype(np.float32)
    duration, words = _read_text_grid(folder / TEXT_GRID)
    track = Track(power, RATE, START, hemodynamic=True)
    return Recording(duration, {"sound power": track}, words)


def _read_text_grid(path: Path) -> tuple[float, pd.DataFrame]:
    """The end of a Praat TextGrid's only tier in seconds, and its words (`text`, `start`, `stop`) without silences.

    In Praat's long text format every interval is three lines: `xmin = a`, `xmax = b`, `text = "word"`. The file and
    its tier give their own extent before, so there are two more of these than texts.
    """
    with reading(path):
        lines = [line.strip().partition(" = ") for line in path.read_text(encoding="utf-8").splitlines()]
        value = {key: [text for name, _, text in lines if name == key] for key in _KEYS}
        texts, announced = [text.strip('"').strip() for text in value["text"]], int(value["intervals: size"][0])
        starts, stops = (np.array(value[edge], dtype=np.float64) for edge in ("xmin", "xmax"))
        if not len(texts) == len(starts) - 2 == len(stops) - 2 == announced:
            raise ValueError(f"{len(texts)} whole intervals where {announced} are announced")
    words = pd.DataFrame({"text": texts, "start": starts[2:], "stop": stops[2:]})
    return float(stops[0]), words[~words["text"].isin(SILENCE)].reset_index(drop=True)


_KEYS = ("intervals: size", "xmin", "xmax", "text")
