"""Findings: one thing that was looked at each, well or not."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiform.errors import FusiformError, UnknownNameError

__all__ = ["NOBODY", "Finding", "attempt", "findings", "refuses", "spread_out"]

NOBODY = "no such name"  # what must be refused


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        about: what.
        said: where it is well, what was found; else one sentence that says what, got, wanted, next.
        ok: whether it is well.
    """

    about: str
    said: str
    ok: bool = True


def attempt(about: str, action: Callable[[], Any]) -> Any:
    """What the dataset gives, or the finding that it raised."""
    try:
        return action()
    except Exception as reason:  # whatever a plug-in raises is what its author must hear
        return Finding(about, _raised(reason), ok=False)


def _raised(reason: Exception) -> str:
    """What was raised, and what to do next: our own errors say so themselves."""
    said = str(reason) or type(reason).__name__
    return said if isinstance(reason, FusiformError) else f"{said}; mend what raised this {type(reason).__name__}"


def findings(about: str, complaints: Iterator[str], told: str) -> list[Finding]:
    """A finding per complaint, or one that tells what was found."""
    found: list[Finding] = []
    try:
        found += [Finding(about, complaint, ok=False) for complaint in complaints]
    except Exception as reason:  # as above
        found.append(Finding(about, _raised(reason), ok=False))
    return found or [Finding(about, told)]


def refuses(call: str, kind: str, action: Callable[[], Any]) -> Iterator[str]:
    """What is wrong where an unknown name is taken, or refused in another way than everywhere."""
    try:
        action()
    except UnknownNameError:
        return
    except Exception as reason:
        yield f"{call} raises {type(reason).__name__}; wanted UnknownNameError (datasets.base.choose)"
    else:
        yield f"{call} is taken though there is no such {kind}; wanted UnknownNameError (datasets.base.choose)"


def spread_out(items: Sequence[Any], most: int | None) -> list[Any]:
    """At most `most` of them, from the first to the last."""
    if most is None or len(items) <= most:
        return list(items)
    places: NDArray[np.int64] = np.unique(np.linspace(0, len(items) - 1, most).round().astype(np.int64))
    return [items[place] for place in places.tolist()]
