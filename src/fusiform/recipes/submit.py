"""Submitting: predictions of withheld responses, packed and checked as a challenge wants them."""

from pathlib import Path
from typing import Any

from fusiform.datasets import load_dataset
from fusiform.datasets.roots import looking_in
from fusiform.datasets.submission import submit as pack
from fusiform.recipes.groups import flat
from fusiform.recipes.settings import Location

__all__ = ["submit"]


@flat
def submit(
    predictions: Path,
    /,
    *,
    dataset: str,
    location: Location,
    phase: str | None = None,
    out: Path | None = None,
) -> dict[str, Any]:
    """Pack predictions into the zip that a challenge takes, or check a zip that is there.

    Parameters
    ----------
    predictions
        folder with an array SUBJECT.npy of every subject: a row per withheld sample, a column per target; or a zip,
        which is only checked
    dataset
        of the challenge: algonauts2023, algonauts2025
    phase
        of the challenge, such as friends-s7 or ood (default: its first)
    out
        the zip to write (default: beside the folder)
    """
    with looking_in(location.root, dataset):
        return pack(load_dataset(dataset, **location.arguments(dataset)), predictions, out, phase)
