"""What tells one fit of a network from another, so that only its own checkpoint is gone on from."""

from collections.abc import Mapping
from typing import Any

from fusiform.models.inputs import fingerprint
from fusiform.models.results import plain_settings
from fusiform.models.subjects import Part, Subject
from fusiform.nets.selector import TokenShape

__all__ = ["fit_key"]

WHERE = {"device", "folder", "progress", "save_steps"}  # settings that do not change the numbers


def fit_key(
    model: Any, precision: str, shapes: Mapping[str, TokenShape], subjects: Mapping[str, Subject]
) -> dict[str, Any]:
    """Settings, shapes and some rows of the data, as JSON.

    Args:
        model: the estimator.
        precision: in which products are made: `"auto"` is another one on another device.
        shapes: layer -> of its tokens.
        subjects: by name.
    """
    settings = {name: value for name, value in plain_settings(model).items() if name not in WHERE}
    layers = {layer: list(shape) for layer, shape in shapes.items()}
    data = {f"data of subject {name!r}": _fingerprint(one) for name, one in subjects.items()}
    return {**settings, "precision": precision, "net_args": dict(model.net_args or {}), "layers": layers, **data}


def _fingerprint(subject: Subject) -> str:
    """A digest of some rows of the data, and of which rows are for what."""
    parts = [part for part in (subject.train, subject.validation) if part]
    arrays = [array for part in parts for array in part.tokens(_some(part, 8)).values()]
    held = [part.fetch(_some(part, 16)) for part in parts]
    return fingerprint(subject.coordinates, *(part.rows for part in parts), *arrays, *held)


def _some(part: Part, count: int) -> slice:
    return slice(None, None, max(1, len(part) // count))
