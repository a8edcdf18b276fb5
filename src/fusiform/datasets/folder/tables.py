"""Tables of users: csv and tsv, whose ids stay text however they look."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fusiform.datasets.base import reading
from fusiform.errors import LayoutError, MissingDataError
from fusiform.registry import did_you_mean

__all__ = ["check_columns", "numeric", "read_table"]

MISSING = "n/a"  # as BIDS writes it


def read_table(path: Path, *wanted: str, numbers: Sequence[str] = ()) -> pd.DataFrame:
    """A csv or tsv file with named columns; everything is text but the columns of `numbers`, where they are there.

    `n/a` and empty cells of number columns become NaN.

    Args:
        path: of the file; `.tsv` (or `.txt`) is separated by tabs, all else by commas.
        wanted: columns that must be there.
        numbers: columns that hold numbers.

    Raises:
        MissingDataError: there is no such file.
        LayoutError: it is no table, lacks a column, or holds text where numbers belong.
    """
    if not path.is_file():
        raise MissingDataError(f"there is no table {path}; check the path in the description of the dataset")
    separator = "\t" if path.suffix.lower() in (".tsv", ".txt") else ","
    with reading(path, AGAIN):
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    check_columns(table, path, *wanted)
    for name in numbers:
        if name in table:
            table[name] = numeric(table[name], path)
    return table


def check_columns(table: pd.DataFrame, path: Path, *wanted: str) -> None:
    """Raise LayoutError where a column is missing."""
    for name in wanted:
        if name not in table:
            raise LayoutError(
                f"{path} has no column {name!r}{did_you_mean(name, table.columns)}; "
                f"it has: {', '.join(table.columns) or 'none'}"
            )


def numeric(column: "pd.Series[str]", path: Path) -> "pd.Series[Any]":
    """A column of text as numbers: whole ones where all are whole.

    Raises:
        LayoutError: a cell is no number; the message names its line.
    """
    cells = column.str.strip().replace({MISSING: "", "nan": "", "NaN": ""})
    values = pd.to_numeric(cells.where(cells != "", None), errors="coerce")
    bad = values.isna() & (cells != "")
    if bad.any():
        row = int(bad.to_numpy().argmax())
        raise LayoutError(
            f"{path} holds {column.iloc[row]!r} in column {column.name!r} of line {row + 2}; wanted a number"
        )
    return values.astype("int64") if len(values) and not values.isna().any() and (values % 1 == 0).all() else values


AGAIN = "check that it is a text table with one line of column names"
