"""Transcripts: words and when each was spoken, from the tables of 1.49 s rows."""

import ast
import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from fusiform.datasets.algonauts2025.clock import TR
from fusiform.datasets.base import reading
from fusiform.errors import LayoutError

__all__ = ["read_transcript"]

COLUMNS = ("words_per_tr", "onsets_per_tr", "durations_per_tr")


def read_transcript(path: Path) -> tuple[pd.DataFrame, float]:
    """The words of one segment, and up to when its rows go.

    A row of the table holds the words that end within its 1.49 s, as lists written the way Python writes them. A word
    without a known onset (`nan`) begins where the one before it ended, not before its row, and takes no time.

    Returns:
        words with the columns `text`, `start`, `stop` (seconds of the segment), in the order of their onsets; and the
        end of the last row in seconds.

    Raises:
        LayoutError: a column is missing, a cell is no such list, or the lists of one row differ in length.
    """
    with reading(path), path.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file, delimiter="\t")
        if missing := [name for name in COLUMNS if name not in (table.fieldnames or ())]:
            raise LayoutError(f"{path} lacks the column {missing[0]!r}; it has {', '.join(table.fieldnames or ())}")
        rows = list(table)
    words: list[tuple[str, float, float]] = []
    for number, row in enumerate(rows):
        words += _words(row, number, words[-1][2] if words else 0.0, path)
    found = pd.DataFrame(words, columns=["text", "start", "stop"]).astype({"text": str, "start": float, "stop": float})
    return found.sort_values("start", kind="stable", ignore_index=True), len(rows) * TR


def _words(row: Mapping[str, str | None], number: int, before: float, path: Path) -> list[tuple[str, float, float]]:
    """The words of one row; `before` is when the last one ended."""
    cells = [row[name] or "" for name in COLUMNS]
    try:
        texts, onsets, durations = _texts(cells[0]), _numbers(cells[1]), _numbers(cells[2])
    except (ValueError, SyntaxError, RecursionError) as reason:
        raise LayoutError(
            f"row {number + 1} of {path} cannot be read ({reason}); wanted lists such as ['Hi'] or [0.5]"
        ) from reason
    if not len(texts) == len(onsets) == len(durations):
        raise LayoutError(
            f"row {number + 1} of {path} has {len(texts)} words, {len(onsets)} onsets and {len(durations)} durations; "
            "wanted as many of each"
        )
    found: list[tuple[str, float, float]] = []
    for text, onset, duration in zip(texts, onsets, durations, strict=True):
        start = max(before, number * TR) if np.isnan(onset) else onset
        before = start if np.isnan(onset + duration) else start + duration
        found.append((text, start, before))
    return found


def _texts(cell: str) -> list[str]:
    """`"['Hi', 'there']"` to its words; an empty cell has none."""
    found = ast.literal_eval(cell.strip() or "[]")
    if not (isinstance(found, list) and all(isinstance(word, str) for word in found)):
        raise ValueError(f"{cell!r} is no list of words")
    return [word.strip() for word in found]


def _numbers(cell: str) -> list[float]:
    """`"[0.5, nan]"` to its numbers; an empty cell has none."""
    text = cell.strip() or "[]"
    if not (text.startswith("[") and text.endswith("]")):
        raise ValueError(f"{cell!r} is no list of numbers")
    found = [float(part) for part in text[1:-1].split(",") if part.strip()]
    if any(np.isinf(value) or value < 0 for value in found):
        raise ValueError(f"{cell!r} holds seconds below zero or infinite")
    return found
