"""The movies of the 2025 Algonauts challenge: what their episodes are called, and where files of them lie.

An episode is called as in the keys of the challenge's responses: `s01e02a`, `bourne01`, `chaplin1`. Files of it carry
the name of its film (`friends_s01e02a`, `bourne01`, `task-chaplin1_video`) or transcript (`movie10_bourne01`,
`ood_chaplin1`) in the folders of the challenge: `friends/s1`, `movie10/bourne`, `ood/chaplin`.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from fusiform.errors import DataError

__all__ = ["RATE", "SERIES", "by_episode", "episode_of", "path_of"]

RATE = 1 / 1.49  # Hz; one row per volume of the challenge
SERIES = ("friends", "movie10", "ood")
_MOVIES = ("bourne", "figures", "life", "wolf")
_STEMS = (
    r"(?:friends_)?(s\d\de\d\d[a-z])",
    r"(?:movie10_)?((?:bourne|figures|life|wolf)\d\d)",
    r"ood_([a-z]+\d)",
    r"task-([a-z]+\d)_video",
)


def episode_of(stem: str) -> str:
    """The episode that a file is of, by its name; a name that is none of the challenge's is kept as it is."""
    found = (re.fullmatch(pattern, stem) for pattern in _STEMS)
    return next((match[1] for match in found if match), stem)


def path_of(episode: str) -> str:
    """The file of an episode without suffix, relative to the folder of a layer."""
    if season := re.fullmatch(r"s(\d\d)e\d\d[a-z]", episode):
        return f"friends/s{int(season[1])}/friends_{episode}"
    if re.fullmatch(rf"({'|'.join(_MOVIES)})\d\d", episode):
        return f"movie10/{episode[:-2]}/{episode}"
    if re.fullmatch(r"[a-z]+\d", episode):
        return f"ood/{episode[:-1]}/task-{episode}_video"
    return episode


def by_episode(files: Iterable[Path]) -> dict[str, Path]:
    """The file of every episode.

    Raises:
        DataError: an episode has two.
    """
    found: dict[str, Path] = {}
    for file in sorted(files):
        episode = episode_of(file.stem)
        if episode in found:
            raise DataError(f"{found[episode]} and {file} are both of {episode!r}; move one of them away")
        found[episode] = file
    return dict(sorted(found.items()))
