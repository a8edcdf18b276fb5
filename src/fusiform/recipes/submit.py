"""Submitting: predictions of withheld responses, packed and checked as a challenge wants them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusiform.datasets import load_dataset
from fusiform.datasets.submission import submit as pack

__all__ = ["submit"]


def submit(
    predictions: Path,
    /,
    *,
    dataset: str,
    phase: str | None = None,
    out: Path | None = None,
    dataset_args: Mapping[str, Any] | None = None,
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
    dataset_args
        key=value,...: arguments of the dataset
    """
    return pack(load_dataset(dataset, **(dataset_args or {})), predictions, out, phase)
