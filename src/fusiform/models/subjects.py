"""What a network learns from: one or several subjects' features, responses and places, read in batches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiform.data import Space
from fusiform.errors import DataError, SettingsError
from fusiform.nets.selector import TokenShape
from fusiform.pairs import Pairs, Rows

__all__ = [
    "ALONE",
    "GLOBAL",
    "Part",
    "Subject",
    "check_layers",
    "count_rows",
    "is_named",
    "places_of",
    "read_subjects",
    "read_views",
    "token_shapes",
]

GLOBAL = "/global"  # ends the name of a layer's global tokens
ALONE = ""  # name of a subject that was given without one
READ = 1 << 24  # numbers of responses that are looked at together

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Rows of one subject.

    Args:
        features: name -> [N, ...], in memory or on disk.
        responses: [N, V], NaN where nothing was measured.
        rows: of them that belong to this part.
    """

    features: Mapping[str, Any]
    responses: Any
    rows: Ints

    def __len__(self) -> int:
        return len(self.rows)

    def tokens(self, which: Ints | slice) -> dict[str, NDArray[Any]]:
        """Features of some of the rows, by name."""
        return {name: view[self.rows[which]] for name, view in self.features.items()}

    def fetch(self, which: Ints | slice) -> Floats:
        """Responses of some of the rows, float32 [n, V]."""
        return _fetch(self.responses, self.rows[which])


@dataclass(frozen=True)
class Subject:
    """One subject: what is learned from, what decides when to stop, and where the targets are, [V, A]."""

    train: Part
    validation: Part | None
    coordinates: NDArray[np.float64]

    @property
    def size(self) -> int:
        """V."""
        return int(self.train.responses.shape[1])


def read_subjects(X: Any, Y: Any, validation: Any, coordinates: Any) -> dict[str, Subject]:
    """Subjects by name from whatever `NeuralEncoder.fit` was given; a single one is called `""`.

    Raises:
        DataError: shapes do not fit together, or something is empty or infinite.
        SettingsError: there are no coordinates, or validation is none of the forms.
    """
    if not is_named(X):
        return {ALONE: _subject("", X, Y, validation, coordinates)}
    if Y is not None:
        raise DataError("got Y beside a mapping of subjects to pairs; the pairs hold the responses, so leave it out")
    held, places = (
        _by_subject(given, X, what) for given, what in ((validation, "validation"), (coordinates, "coordinates"))
    )
    return {str(name): _subject(str(name), pairs, None, held[name], places[name]) for name, pairs in X.items()}


def is_named(X: Any) -> bool:
    """Whether features come as a mapping subject -> pairs."""
    return isinstance(X, Mapping) and bool(X) and all(isinstance(one, Pairs) for one in X.values())


def _by_subject(given: Any, X: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    if given is None:
        return dict.fromkeys(X)
    if not isinstance(given, Mapping) or set(given) != set(X):
        names = sorted(given) if isinstance(given, Mapping) else type(given).__name__
        raise SettingsError(f"{what} for several subjects is {names}; wanted a mapping with {', '.join(map(str, X))}")
    return given


def _subject(name: str, X: Any, Y: Any, validation: Any, coordinates: Any) -> Subject:
    whole = _part(X, Y)
    train, held = _split(X, whole, validation)
    if not len(train):
        raise DataError(f"no sample{f' of {name!r}' if name else ''} is left to learn from; validation takes them all")
    return Subject(train, held, _coordinates(X, coordinates, whole.responses.shape[1]))


def _part(X: Any, Y: Any) -> Part:
    if isinstance(X, Pairs):
        X, Y = X.features, X.responses if Y is None else Y
    if Y is None:
        raise DataError("fit needs responses: fit(X, Y) with Y [N, V], or pairs, which hold them")
    views, responses = read_views(X), Y if hasattr(Y, "shape") else np.asarray(Y)
    if responses.ndim not in (1, 2) or not responses.shape[-1] or np.dtype(responses.dtype).kind not in "fiub":
        raise DataError(f"Y is {responses.dtype} of the shape {responses.shape}; wanted numbers [N samples, V targets]")
    responses = np.asarray(responses)[:, None] if responses.ndim == 1 else responses
    if (count := count_rows(views)) != responses.shape[0]:
        raise DataError(f"X has {count} rows and Y has {responses.shape[0]}; wanted one of each per sample")
    _check_finite(responses)
    return Part(views, responses, np.arange(responses.shape[0]))


def read_views(X: Any) -> dict[str, Any]:
    """Features by name, each to be indexed with positions; an array is one layer, called `features`.

    Raises:
        DataError: there is none, or one is no [N, C, ...].
    """
    X = X.features if isinstance(X, Pairs) else X
    X = X if isinstance(X, Mapping) else {"features": X}
    views = {str(name): _view(view) for name, view in X.items()}
    if not views:
        raise DataError("X holds no layers; wanted a mapping layer -> [N, C, ...]")
    for name, view in views.items():
        if len(view.shape) < 2 or 0 in view.shape[1:]:
            raise DataError(f"layer {name!r} has the shape {tuple(view.shape)}; wanted [N, C] or [N, C, *grid]")
    return views


def count_rows(views: Mapping[str, Any]) -> int:
    """N, the same for all features.

    Raises:
        DataError: it is not.
    """
    counts = {name: view.shape[0] for name, view in views.items()}
    if len(set(counts.values())) > 1:
        raise DataError(f"layers differ in their rows ({counts}); wanted one of each per sample")
    return int(next(iter(counts.values())))


def token_shapes(views: Mapping[str, Any]) -> dict[str, TokenShape]:
    """Shapes of the tokens of every layer; `name/global` are the global tokens of the layer `name`.

    Raises:
        DataError: global tokens have a grid.
    """
    shapes = {}
    for name, view in views.items():
        owner = name.removesuffix(GLOBAL)
        if owner != name and owner in views:
            if len(view.shape) != 2:
                raise DataError(f"layer {name!r} has the shape {tuple(view.shape)}; wanted [N, C], as it is global")
            continue
        wide = views.get(name + GLOBAL)
        shapes[name] = TokenShape(view.shape[1], tuple(view.shape[2:]), None if wide is None else wide.shape[1])
    return shapes


def _view(view: Any) -> Any:
    """What can be indexed with positions in any order."""
    if isinstance(view, np.ndarray | Rows):
        return view
    if hasattr(view, "chunks"):  # zarr, HDF5
        return Rows(view, np.arange(view.shape[0])[:, None, None])
    return np.asarray(view)


def _fetch(responses: Any, rows: Ints) -> Floats:
    if isinstance(responses, np.ndarray):
        return np.asarray(responses[rows], dtype=np.float32)
    return np.asarray(Rows(responses, rows[:, None, None])[:], dtype=np.float32)


def _split(X: Any, whole: Part, validation: Any) -> tuple[Part, Part | None]:
    """Rows to learn from and to validate on. Pairs tell by their split which are which; `test` is left alone."""
    names = _splits(X, len(whole))
    usable = np.flatnonzero(names != "test")
    if validation is None or (validation is X and (names == "val").any()):
        held = np.flatnonzero(names == "val")
    elif isinstance(validation, Pairs) or (isinstance(validation, tuple) and len(validation) == 2):
        other = _validating(*(validation if isinstance(validation, tuple) else (validation, None)))
        _check_alike(whole, other)
        return _some(whole, usable), other
    else:
        held = _rows(validation, len(whole))
        _check_untested(names[held])
    return _some(whole, np.setdiff1d(usable, held)), _some(whole, held) if len(held) else None


def _splits(X: Any, count: int) -> NDArray[Any]:
    """The split of every sample, [N]; `train` where pairs do not say."""
    split = X.samples.get("split") if isinstance(X, Pairs) else None
    return np.array(["train"] * count, dtype=object) if split is None else split.to_numpy()


def _validating(X: Any, Y: Any) -> Part:
    """Samples brought for validation alone: of pairs those of the split `val`, or without such all but `test`."""
    part = _part(X, Y)
    names = _splits(X, len(part))
    held = names == "val" if (names == "val").any() else names != "test"
    if not held.any():
        _check_untested(names)
    return _some(part, np.flatnonzero(held))


def _check_untested(names: NDArray[Any]) -> None:
    if count := int((names == "test").sum()):
        raise DataError(
            f"{count} samples of validation are of the split 'test', which must not choose the epoch; give samples of "
            "another split"
        )


def _some(part: Part, rows: Ints) -> Part:
    return Part(part.features, part.responses, rows)


def _rows(given: Any, count: int) -> Ints:
    try:
        rows = np.arange(count)[np.asarray(given)]
    except (IndexError, TypeError, ValueError) as reason:
        raise SettingsError(
            f"validation cannot be used as rows of {count} samples ({reason}); wanted positions, a mask, or (X, Y)"
        ) from reason
    return np.unique(rows)


def _check_alike(first: Part, other: Part) -> None:
    ours, theirs = (
        {**{name: tuple(view.shape[1:]) for name, view in part.features.items()}, "Y": part.responses.shape[1:]}
        for part in (first, other)
    )
    if wrong := [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]:
        name = wrong[0]
        raise DataError(f"{name!r} of validation has rows of the shape {theirs.get(name)}; wanted {ours.get(name)}")


def check_layers(shapes: Mapping[str, TokenShape], wanted: Mapping[str, TokenShape]) -> None:
    """Refuse tokens other than those of the fit.

    Raises:
        DataError: a layer is missing, new or of another shape.
    """
    for layer in {**wanted, **shapes}:
        if shapes.get(layer) != wanted.get(layer):
            raise DataError(
                f"layer {layer!r}: got {_words(shapes.get(layer))}; wanted {_words(wanted.get(layer))}, as in the fit"
            )


def _words(shape: TokenShape | None) -> str:
    if shape is None:
        return "none of that name"
    wide = "" if shape.global_channels is None else f" and {shape.global_channels} global ones"
    return f"{shape.channels} channels on the grid {shape.grid}{wide}"


def places_of(space: Space) -> NDArray[np.float64]:
    """Where targets are, [V, 3] in mm, with the hemispheres side by side.

    Spheres are often given around one middle each; a model that reads coordinates would take two vertices in one place
    for one. The right hemisphere then moves along x, until a tenth of a sphere lies between.
    """
    places = space.coordinates()
    if "hemisphere" not in space.targets:
        return places
    right = space.column("hemisphere") == "right"
    if right.all() or not right.any():
        return places
    width, into = np.ptp(places[~right, 0]), places[~right, 0].max() - places[right, 0].min()
    places[:, 0] += np.where(right & (into > width / 2), into + width / 10, 0.0)
    return places


def _coordinates(X: Any, given: Any, count: int) -> NDArray[np.float64]:
    if given is None and isinstance(X, Pairs):
        given = places_of(X.space)
    if given is None:
        raise SettingsError(f"there are no coordinates; give coordinates=[V, 3] of the {count} targets")
    places = np.asarray(given, dtype=np.float64)
    if places.ndim != 2 or len(places) != count or not places.shape[1] or not np.isfinite(places).all():
        raise DataError(
            f"coordinates have the shape {places.shape}; wanted [{count}, 3] finite numbers, one row per target"
        )
    return places


def _check_finite(responses: Any) -> None:
    step = max(1, READ // max(1, responses.shape[1]))
    for start in range(0, responses.shape[0], step):
        if np.isinf(responses[start : start + step]).any():
            raise DataError(f"Y holds infinite values among samples {start} and following; mark what is missing as NaN")
