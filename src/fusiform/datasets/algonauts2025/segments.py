"""What was shown: names of the segments that films were cut into, and the keys of the files of responses.

As the challenge publishes them. A segment of Friends is `s<season>e<episode><letter>`, one of Movie10 its film and two
digits, one of the out-of-distribution films its name and one digit. The key of a time series is
`ses-<session>_task-<segment>`, with `_run-1` or `_run-2` for the two films of Movie10 that were shown twice.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from fusiform.errors import LayoutError

__all__ = ["FILMS", "MEASURED", "MISSING", "Series", "film_of", "films_of", "names_of", "parse_keys"]

SEASONS = tuple(f"friends-s{season:02}" for season in range(1, 8))
MOVIE10 = ("bourne", "figures", "life", "wolf")
TWICE = ("figures", "life")
OOD = ("chaplin", "mononoke", "passepartout", "planetearth", "pulpfiction", "wot")
FILMS = (*SEASONS, *(f"movie10-{name}" for name in MOVIE10), *(f"ood-{name}" for name in OOD))
MEASURED = tuple(film for film in FILMS if film != SEASONS[-1] and not film.startswith("ood-"))  # the others: withheld

MISSING = {"sub-02": ("s05e20a",), "sub-05": ("s04e01a", "s04e01b", "s04e13b")}  # as the publisher says

_SEGMENT = re.compile(
    rf"(?P<season>s0[1-7])e\d\d[a-d]|(?P<movie10>{'|'.join(MOVIE10)})\d\d|(?P<ood>{'|'.join(OOD)})[1-9]"
)
_KEY = re.compile(r"ses-(?P<session>\d{3})_task-(?P<segment>[a-z0-9]+)(?:_run-(?P<run>[12]))?")


class Series(NamedTuple):
    """One time series of a file.

    Args:
        key: in the file.
        segment: that was shown.
        session: of scanning, from 1.
        repeat: 1, or 2 where the segment was shown before.
    """

    key: str
    segment: str
    session: int
    repeat: int

    @property
    def name(self) -> str:
        """What was shown, and which time where it was shown twice: `s01e02a`, `life01_run-2`."""
        return self.key.partition("_task-")[2]


def film_of(segment: str) -> str | None:
    """The film that a segment is of, one of `FILMS`: `s01e02a` is of `friends-s01`. None where it is no segment."""
    found = _SEGMENT.fullmatch(segment)
    if found is None:
        return None
    prefix = {"season": "friends", "movie10": "movie10", "ood": "ood"}[str(found.lastgroup)]
    return f"{prefix}-{found[str(found.lastgroup)]}"


def names_of(segment: str) -> list[str]:
    """The names of the series that there should be of a segment: two where its film was shown twice."""
    twice = str(film_of(segment)).partition("-")[2] in TWICE
    return [f"{segment}_run-{run}" for run in (1, 2)] if twice else [segment]


def films_of(task: str) -> tuple[str, ...]:
    """The films of which the file of a task (`friends`, `movie10`) may hold responses."""
    return tuple(film for film in MEASURED if film.startswith(f"{task}-"))


def parse_keys(keys: Iterable[str], task: str, path: Path) -> list[Series]:
    """What the keys of one file name, in their order.

    Args:
        keys: all of the file.
        task: `friends` or `movie10`.
        path: of the file, for errors.

    Raises:
        LayoutError: a key does not follow the published grammar, is of another task, or a segment stands there twice.
    """
    found = {key: _parse(key, task) for key in keys}
    if strange := [key for key, series in found.items() if series is None]:
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        raise LayoutError(
            f"{path} has keys that were not published: {', '.join(map(repr, strange[:3]))}{more}; "
            f"wanted {_WANTED[task]}"
        )
    series = [one for one in found.values() if one is not None]
    shown = [(one.segment, one.repeat) for one in series]
    if twice := [one for one in series if shown.count((one.segment, one.repeat)) > 1]:
        raise LayoutError(
            f"{path} holds responses to {twice[0].segment!r} twice, such as under {twice[0].key!r}; wanted one key"
        )
    return series


def _parse(key: str, task: str) -> Series | None:
    found = _KEY.fullmatch(key)
    film = film_of(found["segment"]) if found else None
    if found is None or film not in films_of(task):
        return None
    if (found["run"] is not None) != (film.partition("-")[2] in TWICE):
        return None
    return Series(key, found["segment"], int(found["session"]), int(found["run"] or 1))


_WANTED = {
    "friends": "ses-<3 digits>_task-s<01 to 06>e<2 digits><a to d>, such as 'ses-003_task-s01e02a'",
    "movie10": "ses-<3 digits>_task-<film><2 digits>, with _run-1 or _run-2 for 'figures' and 'life', such as "
    "'ses-001_task-bourne01' or 'ses-009_task-life01_run-2'",
}
