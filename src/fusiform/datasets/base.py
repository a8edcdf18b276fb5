"""What a dataset is, and where its files are found."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Array, Responses, Stimuli
from fusiform.errors import DataError, FusiformError, LayoutError, MissingDataError, SettingsError, UnknownNameError
from fusiform.files import data_folders
from fusiform.registry import unknown

if TYPE_CHECKING:
    from fusiform.datasets.views import TorchView

__all__ = [
    "PINNED",
    "Card",
    "Dataset",
    "Sampled",
    "check_agreed",
    "check_finite",
    "check_shape",
    "choose",
    "folders_of",
    "is_remote",
    "locate",
    "pick",
    "read_numbers",
    "reading",
]

_AGAIN = "get the file again, with 'fusiform fetch' or, where data are under an agreement, from where it came"


@dataclass(frozen=True)
class Card:
    """What a user must know before using a dataset.

    Args:
        title: one line.
        licence: its short name.
        cite: the papers to cite.
        bytes: size of a full download; 0 where no files are needed.
        agreement: address where to apply for data that are shared under an agreement only; empty for open ones. Nothing
            is ever downloaded from there for the user.
        obtain: commands that bring open data which `fetch` does not; empty where it does, or where none are needed.
    """

    title: str
    licence: str
    cite: str
    bytes: int = 0
    agreement: str = ""
    obtain: str = ""


@runtime_checkable
class Dataset(Protocol):
    """One source of stimuli and responses. Making one reads nothing; its methods do.

    `parts` names its kinds of stimuli where there are several; the first is the default.
    """

    name: str
    card: Card
    subjects: tuple[str, ...]
    parts: tuple[str, ...]

    def stimuli(self, part: str | None = None) -> Stimuli:
        """What was shown."""

    def responses(self, subject: str, *, part: str | None = None, rois: Sequence[str] | None = None) -> Responses:
        """What one subject's brain did, in the regions asked for (default: all)."""

    def truth(self, part: str | None = None) -> pd.DataFrame | None:
        """The planted truth, a row per target, where there is one."""


class Sampled:
    """Gives a dataset access to single samples: inherit from it.

    The view of the subject last asked for is kept, without what it read; copies in other processes make their own.
    """

    def sample(
        self: Any, subject: str, number: int, *, part: str | None = None, rois: Sequence[str] | None = None
    ) -> tuple[Any, NDArray[Any]]:
        """What was shown in one sample, and the response [V] to it.

        Args:
            subject: one of `subjects`.
            number: of the sample, a row of `responses(subject)`; negative ones count from the end.
            part: of a dataset with several kinds of stimuli.
            rois: regions (default: all).

        Raises:
            IndexError: there is no such sample.
        """
        view: TorchView = self._view(subject, part, rois)
        return view.raw(number)

    def torch(
        self: Any,
        subject: str,
        *,
        part: str | None = None,
        rois: Sequence[str] | None = None,
        split: str | None = None,
        transform: Callable[[Any], Any] | None = None,
    ) -> "TorchView":
        """One subject's samples as a torch `Dataset`, see `views.TorchView`.

        Args:
            subject: one of `subjects`.
            part: of a dataset with several kinds of stimuli.
            rois: regions (default: all).
            split: `"train"`, `"val"` or `"test"` (default: all samples).
            transform: stimulus -> what the items hold (default: pictures become tensors [C, H, W] in [0, 1]).

        Raises:
            DataError: the samples have no such split.
        """
        from fusiform.datasets.views import TorchView

        responses = self.responses(subject, part=part, rois=rois)
        responses = responses if split is None else _of_split(responses, split)
        return TorchView(self.stimuli(part), responses, transform)

    def _view(self: Any, subject: str, part: str | None, rois: Sequence[str] | None) -> "TorchView":
        key = subject, part, None if rois is None else tuple(rois)
        if self.__dict__.get("_viewed", (None,))[0] != key:
            self._viewed = key, self.torch(subject, part=part, rois=rois)
        view: TorchView = self._viewed[1]
        return view

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_viewed"}


def _of_split(responses: Responses, split: str) -> Responses:
    known = [str(name) for name in responses.samples.get("split", pd.Series(dtype=str)).unique()]
    if split not in known:
        raise DataError(f"these samples have no split {split!r}; they have: {', '.join(known) or 'none'}")
    return responses.select((responses.samples["split"] == split).to_numpy())


def is_remote(address: str | Path) -> bool:
    """Whether data lie on a server (`https://...`, `s3://...`), not in a folder."""
    return "://" in str(address)


def check_agreed(card: Card, address: str | Path, i_have_agreed: bool) -> None:
    """Refuse to stream data that are shared under an agreement from an address before the user says to have agreed.

    A dataset that reads from an address takes the argument `i_have_agreed`; recipes set it from `--i-have-agreed` and
    keep it in `settings.yaml`.

    Raises:
        SettingsError: the address is remote, there is an agreement, and the user has not said so.
    """
    if card.agreement and is_remote(address) and not i_have_agreed:
        raise SettingsError(
            f"{address} holds data that are shared under an agreement; apply at {card.agreement}, and once you have "
            "agreed to its terms give --i-have-agreed (it is kept in the run's settings), or use files on your disk"
        )


PINNED: dict[str, Path] = {}  # dataset -> the folder that it must lie in, while the user names one (`roots.looking_in`)


def folders_of(dataset: str) -> list[Path]:
    """The folders that may hold a dataset: the one that the user names meanwhile, else `files.data_folders()`."""
    return [PINNED[dataset]] if dataset in PINNED else data_folders()


def locate(dataset: str, *files: str) -> Path:
    """The folder of a dataset: the first of `folders_of(dataset)` that holds `dataset/` with all of `files`.

    Raises:
        MissingDataError: no folder has them; the message says how to get them.
    """
    for folder in folders_of(dataset):
        if all((folder / dataset / file).exists() for file in ("", *files)):
            return folder / dataset
    looked = " and ".join(str(folder / dataset) for folder in folders_of(dataset))
    raise MissingDataError(
        f"the data of {dataset!r} were not found (looked for {', '.join(files) or 'the folder'} in {looked}); "
        f"run 'fusiform fetch {dataset}' or set FUSIFORM_DATA to the folder that holds {dataset}/"
    )


def choose(kind: str, value: str | None, known: Sequence[str]) -> str:
    """`value`, or the first of `known` where it is None; `kind` (`"subject"`, `"part"`) names it in the error.

    Raises:
        UnknownNameError: it is not one of them.
    """
    if value is None:
        return known[0]
    if value not in known:
        raise UnknownNameError(unknown(kind, value, known))
    return value


def pick(kind: str, wanted: Sequence[str] | None, known: Sequence[str]) -> NDArray[np.int64]:
    """Positions in `known` of the names wanted, in the order asked for; all of them where `wanted` is None.

    Raises:
        UnknownNameError: one of them is not known.
        SettingsError: they are no list, or none.
    """
    if isinstance(wanted, str) or (wanted is not None and not len(wanted)):
        raise SettingsError(f"{kind}s are {wanted!r}; wanted a list of one name at least, such as [{known[0]!r}]")
    names = known if wanted is None else [choose(kind, name, known) for name in wanted]
    return np.array([list(known).index(name) for name in names], dtype=np.int64)


@contextmanager
def reading(path: Path, then: str = _AGAIN) -> Iterator[None]:
    """Say which file it was and what to do `then`, in one sentence, when the block cannot make sense of what it reads.

    Raises:
        LayoutError: in place of whatever a parser raises when it meets a truncated or foreign file.
    """
    try:
        yield
    except FusiformError:
        raise
    except Exception as reason:
        raise LayoutError(f"{path} cannot be read ({type(reason).__name__}: {reason}); {then}") from reason


def read_numbers(path: Path, lines: int, columns: int) -> NDArray[np.float64]:
    """A text file of numbers separated by blanks, [lines, columns].

    Raises:
        LayoutError: it is not of that size, or holds something else than numbers.
        DataError: it holds NaN or infinite values.
    """
    with reading(path):
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        uneven = [number for number, row in enumerate(rows, 1) if len(row) != columns]
        if len(rows) != lines or uneven:
            place = f"{len(rows[uneven[0] - 1])} numbers on line {uneven[0]}" if uneven else f"{len(rows)} lines"
            raise LayoutError(f"{path} has {place}; wanted {lines} lines of {columns} numbers; {_AGAIN}")
        values = np.array(rows, dtype=np.float64)
    check_finite(values, path)
    return values


def check_shape(values: Array, shape: tuple[int, ...], what: str, path: Path | str) -> None:
    """Raise LayoutError where an array of a file does not have the shape that was published."""
    if values.shape != shape:
        raise LayoutError(f"{what} of {path} has the shape {values.shape}; wanted {shape}; {_AGAIN}")


def check_finite(values: NDArray[Any], path: Path | str, start: int = 0) -> None:
    """Raise DataError where an array of a file holds NaN or infinite values; its rows count from `start`."""
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, *rest = bad[0].tolist()
        place = ", ".join(map(str, [start + row, *rest]))
        raise DataError(f"{path} holds {len(bad)} NaN or infinite values, the first at [{place}]; {_AGAIN}")
