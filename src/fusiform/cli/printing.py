"""Results as facts, and facts as lines for people."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["facts_of", "lines_of"]


def facts_of(result: Any) -> dict[str, Any]:
    """A run's folder and summary, or the mapping that a verb returned."""
    if isinstance(result, Mapping):
        return dict(result)
    if hasattr(result, "facts"):
        return dict(result.facts())
    report = result.folder / "report.html"
    return {"run": str(result.folder), "report": str(report) if report.exists() else None, **result.summary}


def lines_of(facts: Mapping[str, Any], indent: str = "") -> list[str]:
    """A line per fact; those within facts are indented, and rows become a table."""
    lines: list[str] = []
    for key, value in facts.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{key}", *lines_of(value, indent + "  ")]
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            lines += [f"{indent}{key}", *(f"{indent}  {line}" for line in _table(value))]
        elif value is not None:
            lines.append(f"{indent}{key}: {_text(value)}")
    return lines


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows with the same keys, as columns with a heading."""
    cells = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return ", ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)
