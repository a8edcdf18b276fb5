"""Groups of settings: a function takes a group as one argument, its callers give each setting of it by keyword.

So a setting that several verbs share is named, typed, given its default and explained once, and still is a flag of the
command line and a key of a settings file like any other.
"""

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, Field, fields
from inspect import Parameter
from typing import Any, TypeVar

__all__ = ["Settings", "flat"]

Result = TypeVar("Result")
HEADING = "Parameters\n----------\n"
ENTRY = re.compile(r"^(\w+)\n((?: {4}.*\n)+)", re.M)  # a name, and indented below it what it means


class Settings:
    """A group of settings: a frozen dataclass, by keyword only, whose docstring explains its fields as verbs do."""


def flat(function: Callable[..., Result]) -> Callable[..., Result]:
    """A function that takes groups of settings, as one that takes every setting of theirs by keyword.

    Those without a default come first. Its docstring explains all of them; what the function says of a setting goes
    before what the group says.
    """
    own = list(inspect.signature(function).parameters.values())
    groups = {one.name: one.annotation for one in own if _is_group(one.annotation)}
    if not groups:
        return function

    @functools.wraps(function)
    def flattened(*args: Any, **given: Any) -> Result:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group) if field.name in given})
            for name, group in groups.items()
        }
        return function(*args, **made, **given)

    every = [part for one in own for part in (_parameters(one.annotation) if one.name in groups else [one])]
    every.sort(key=lambda one: (one.kind, one.kind is Parameter.KEYWORD_ONLY and one.default is not Parameter.empty))
    flattened.__signature__ = inspect.signature(function).replace(parameters=every)  # type: ignore[attr-defined]
    flattened.__doc__ = _explained(inspect.getdoc(function) or "", groups.values(), [one.name for one in every])
    return flattened


def _is_group(annotation: Any) -> bool:
    return inspect.isclass(annotation) and issubclass(annotation, Settings)


def _parameters(group: Any) -> list[Parameter]:
    return [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=_default(field), annotation=field.type)
        for field in fields(group)
    ]


def _default(field: "Field[Any]") -> Any:
    return Parameter.empty if field.default is MISSING else field.default


def _explained(said: str, groups: Iterable[type], names: Sequence[str]) -> str:
    """A docstring that explains these settings in their order."""
    docs = [inspect.getdoc(part) or "" for group in groups for part in reversed(group.__mro__)]
    words = {name: text for part in [*docs, said] for name, text in _entries(part)}
    return said.partition(HEADING)[0] + HEADING + "".join(f"{name}\n{words[name]}" for name in names if name in words)


def _entries(said: str) -> list[tuple[str, str]]:
    """Names and their words from a docstring."""
    return ENTRY.findall(said.partition(HEADING)[2] + "\n")
