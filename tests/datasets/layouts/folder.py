"""A user's folder in miniature: pictures, a table of them, and arrays of betas with a table of trials."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

SUBJECTS = ("sub-01", "sub-02")
PICTURES, REPEATS, TARGETS = 12, 3, 6
REGIONS = ("V1", "V1", "V1", "FFA", "FFA", "")  # the last target is in no region

DESCRIPTION = """\
name: mine
subjects: [sub-01, sub-02]
title: A folder in miniature
stimuli:
  table: stimuli.tsv
  id: picture
  folder: pictures
responses:
  samples: "{subject}/trials.csv"
  files: "{subject}/betas.npy"
atlases:
  areas: {table: areas.csv, column: area}
"""


def write(folder: Path) -> None:
    """Write everything into `folder`; `dataset.yaml` among it."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    ids = [f"0{number:02}" for number in range(PICTURES)]  # ids that look like numbers must stay text
    for number, id in enumerate(ids):
        Image.fromarray(picture(number)).save(pictures / f"{id}.png")
    split = np.where(np.arange(PICTURES) % 4 == 3, "test", "train")
    table = pd.DataFrame({"picture": ids, "file": [f"{id}.png" for id in ids], "split": split})
    table.to_csv(folder / "stimuli.tsv", sep="\t", index=False)
    pd.DataFrame({"area": REGIONS}).to_csv(folder / "areas.csv", index=False)
    for number, subject in enumerate(SUBJECTS):
        (folder / subject).mkdir()
        np.save(folder / subject / "betas.npy", betas(number))
        trials().assign(stimulus=lambda trials: [ids[one] for one in trials["stimulus"]]).to_csv(
            folder / subject / "trials.csv", index=False
        )
    (folder / "dataset.yaml").write_text(DESCRIPTION, encoding="utf-8")


def picture(number: int) -> np.ndarray:
    """A gradient whose slope and brightness go with the number, [8, 8, 3]."""
    across = np.linspace(0, 10 + 8 * number, 8)
    return np.broadcast_to((across[None, :, None] + 5 * number), (8, 8, 3)).astype(np.uint8)


def trials() -> pd.DataFrame:
    """Every picture once in each of three runs, in an order of its own."""
    random = np.random.default_rng(5)
    order = [random.permutation(PICTURES) for _ in range(REPEATS)]
    return pd.DataFrame({"stimulus": np.concatenate(order), "run": np.repeat(np.arange(1, REPEATS + 1), PICTURES)})


def betas(subject: int) -> np.ndarray:
    """[36, 6] float32: every target follows the brightness, with noise."""
    shown = trials()["stimulus"].to_numpy()
    random = np.random.default_rng(subject)
    gain = 1 + np.arange(TARGETS)
    return (gain * shown[:, None] + random.normal(size=(len(shown), TARGETS))).astype(np.float32)
