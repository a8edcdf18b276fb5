"""The part `movie`: a cinema of films, and parcels that follow their sound, picture and text."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Recording, Space, Stimuli
from fusiform.data.timing import row_times
from fusiform.datasets.simulated.cortex import MESH, mix, places, spread
from fusiform.datasets.simulated.film import NETWORKS, TR, film, hum, network_of, plant_viewer, signals

__all__ = ["Cinema"]


@dataclass(frozen=True)
class Cinema:
    """Films, one for each run, and the brains that watch them; the arguments are those of `Simulated`."""

    runs: int
    trs: int
    parcels: int
    ncsnr: float
    seed: int

    rois = tuple(NETWORKS)

    def stimuli(self) -> Stimuli:
        """The films, with tracks `audio`, `video` and `text`; the name says on what their content depends."""
        films = [film(self.seed, run, self.trs) for run in range(self.runs)]
        table = pd.DataFrame(
            {
                "split": [_split(run) for run in range(self.runs)],
                "duration": [recording.duration for recording, _ in films],
            },
            index=[_id(run) for run in range(self.runs)],
        )
        return Stimuli(f"simulated-movie-{self.seed}-{self.trs}", "recording", table, self._load)

    def space(self) -> Space:
        """The parcels by their central vertex, with Schaefer's seven networks as regions."""
        rows = spread(self.parcels)
        table = places().iloc[rows].reset_index(drop=True).assign(roi=network_of()[rows])
        side = table["hemisphere"].str[0].str.upper() + "H"
        number = table.groupby(["hemisphere", "roi"]).cumcount() + 1
        table.insert(0, "name", side + "_" + table["roi"] + "_" + number.astype(str))
        return Space(f"simulated-{self.parcels}", table, MESH)

    def truth(self, subject: int) -> pd.DataFrame:
        """What is planted in every parcel, as `plant_viewer` says."""
        whole = plant_viewer(self.seed, subject, self.ncsnr)
        return whole.iloc[spread(self.parcels)].reset_index(drop=True)

    def responses(self, subject: int, truth: pd.DataFrame) -> tuple[NDArray[np.float32], pd.DataFrame]:
        """Time series of one subject, [N, P], run after run, and the samples; `time` in seconds of the film.

        Args:
            subject: its number.
            truth: P of its rows, indexed as `truth` gives them.
        """
        rows = spread(self.parcels)[truth.index]
        values, samples = [], []
        for run in range(self.runs):
            recording, count = film(self.seed, run, self.trs)
            noise = hum(self.seed, subject, run, count, rows)
            values.append(mix(signals(recording, count, truth), noise, truth["ncsnr"].to_numpy()))
            times = row_times(count, 1 / TR)
            samples.append(pd.DataFrame({"stimulus": _id(run), "run": run + 1, "split": _split(run), "time": times}))
        return np.concatenate(values), pd.concat(samples, ignore_index=True)

    def _load(self, id: str) -> Recording:
        return film(self.seed, int(id.removeprefix(_PREFIX)) - 1, self.trs)[0]


_PREFIX = "run"


def _id(run: int) -> str:
    return f"{_PREFIX}{run + 1:02}"


def _split(run: int) -> str:
    """Of every eight runs six are for training, one for validation and one for the test, however many there are."""
    return {6: "val", 7: "test"}.get(run % 8, "train")
