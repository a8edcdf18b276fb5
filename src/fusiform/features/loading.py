"""Stimuli to batches: loaded, seen in views if so wished, prepared for a network, and left out if so wished."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fusiform.data import Stimuli
from fusiform.errors import DataError, FusiformError, LayoutError
from fusiform.features.time.windows import Piece
from fusiform.features.tokens import Backbone
from fusiform.features.views import Views

__all__ = ["Batch", "Loader"]


@dataclass(frozen=True)
class Batch:
    """Stimuli ready for a network.

    Args:
        ids: of S stimuli; none where all were skipped.
        x: [S * views, ...], the views of a stimulus together.
        onsets: [S] seconds at which each one's first row begins.
        skipped: stimuli that would not load, each with the reason.
    """

    ids: Sequence[str]
    x: Tensor
    onsets: Sequence[float]
    skipped: Mapping[str, str]


@dataclass(frozen=True)
class Loader:
    """From the ids of stimuli to a batch.

    Args:
        stimuli: that are loaded.
        backbone: that prepares them.
        views: of a picture.
        skip: leave out what will not load, instead of an error.
    """

    stimuli: Stimuli
    backbone: Backbone
    views: Views = field(default_factory=Views)
    skip: bool = False

    def __call__(self, ids: Sequence[str], each: Callable[..., Iterable[Any]] = map) -> Batch:
        """The batch of these stimuli.

        Args:
            ids: of the stimuli.
            each: `map`, or that of a pool of threads.

        Raises:
            DataError: one will not load, or has another shape than the others.
        """
        found: dict[str, tuple[list[Tensor], float] | str] = dict(zip(ids, each(self._tried, ids), strict=True))
        skipped = {id: one for id, one in found.items() if isinstance(one, str)}
        loaded = {id: one for id, one in found.items() if not isinstance(one, str)}
        items = [item for views, _ in loaded.values() for item in views]
        self._check_shapes(list(loaded), items)
        x = torch.stack(items) if items else torch.empty(0)
        return Batch(list(loaded), x, [onset for _, onset in loaded.values()], skipped)

    def pieces(self, id: str, batch_size: int) -> Iterator[Piece]:
        """A recording as a backbone with `pieces` cuts it, each piece made when it is asked for.

        Raises:
            DataError: it will not load, or lacks what the backbone reads.
        """
        cut: Callable[[Any, int], Iterator[Piece]] = getattr(self.backbone, "pieces")  # noqa: B009
        with self._named(id):
            yield from cut(self.stimuli.load(id), batch_size)

    def skipping(self, reason: Exception) -> str:
        """Why a stimulus is left out, if such ones are; else the error is raised."""
        if not self.skip:
            raise reason
        return _said(reason.__cause__ or reason)

    def _tried(self, id: str) -> tuple[list[Tensor], float] | str:
        """What is loaded of a stimulus, or why it is skipped."""
        try:
            return self._load(id)
        except (DataError, LayoutError) as reason:
            return self.skipping(reason)

    def _load(self, id: str) -> tuple[list[Tensor], float]:
        onset: Callable[[Any], float] | None = getattr(self.backbone, "onset", None)
        with self._named(id):
            stimulus = self.stimuli.load(id)
            views = self.views.of(stimulus, id) if self.views.count else [stimulus]
            items = [_tensor(self.backbone.preprocess(view)) for view in views]
            return items, float(onset(stimulus)) if onset else 0.0

    @contextmanager
    def _named(self, id: str) -> Iterator[None]:
        """Errors inside say which stimulus they are about."""
        try:
            yield
        except FusiformError as reason:
            raise type(reason)(f"stimulus {id!r} of {self.stimuli.name!r}: {reason}") from reason
        except Exception as reason:  # whatever a decoder or somebody's preprocess raises, the user needs the name
            raise DataError(
                f"stimulus {id!r} of {self.stimuli.name!r} could not be loaded ({type(reason).__name__}: {reason}); "
                "repair it, leave it out with Stimuli.select, or skip such ones with on_error='skip'"
            ) from reason

    def _check_shapes(self, ids: Sequence[str], items: Sequence[Tensor]) -> None:
        if odd := [place for place, item in enumerate(items) if item.shape != items[0].shape]:
            raise DataError(
                f"stimulus {ids[odd[0] // len(self.views)]!r} becomes a tensor of shape {tuple(items[odd[0]].shape)}, "
                f"{ids[0]!r} one of {tuple(items[0].shape)}; a batch needs one shape: let preprocess resize them"
            )


def _tensor(item: Any) -> Tensor:
    if isinstance(item, Tensor):
        return item
    raise TypeError(f"preprocess returned a {type(item).__name__}; wanted a tensor")


def _said(reason: BaseException) -> str:
    """The words of an error for a store: no addresses in memory, which differ from run to run, and of a path its name.

    The folders are nobody's business with whom the store is shared.
    """
    words = re.sub(r" at 0x[0-9a-f]+", "", " ".join(str(reason).split()))
    folders = [folder for _, folder in _QUOTED_FOLDER.findall(words) if folder.strip("/\\")]
    words = _QUOTED_FOLDER.sub(_QUOTE, words)
    for folder in folders:  # which may stand there without quotation marks, too
        words = re.sub(rf"(?<!\w){re.escape(folder)}", "", words)
    return f"{type(reason).__name__}: {_PLAIN_FOLDER.sub('', words)}"


# what stands before the name in "No such file or directory: '/data/my pictures/1.png'"
_QUOTED_FOLDER = re.compile(r"""(?<!\w)(['"])((?:(?!\1).)*[/\\])(?=(?:(?!\1)[^/\\])+\1)""")
_QUOTE = r"\1"
# without quotation marks, a path is known by its root (/, ~/, C:\, s3://), and its folders by having no space
_PLAIN_FOLDER = re.compile(r"""(?<![\w.])(?:~|[A-Za-z][\w+.-]*:)?[/\\]{1,3}(?:[^\s'"/\\]+[/\\]+)+(?=[^\s'"/\\])""")
