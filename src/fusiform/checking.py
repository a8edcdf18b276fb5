"""Settings against annotations: what came from YAML or a caller is of the type that was asked for."""

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

from fusiform.errors import SettingsError

__all__ = ["at_least", "checked"]

WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "nothing"}


def checked(name: str, value: Any, hint: Any) -> Any:
    """A setting as its annotation has it; one item in place of a sequence becomes a sequence of one.

    Raises:
        SettingsError: it is of another type; the message names the setting, what came and what was wanted.
    """
    if hint is Any:
        return value
    for option in _options(hint):
        if (found := _fitted(value, option)) is not None or (value is None and option is type(None)):
            return found
    raise SettingsError(f"the setting {name!r} is {value!r}; wanted {' or '.join(map(_word, _options(hint)))}")


def at_least(least: int, **numbers: int) -> None:
    """Refuse numbers below `least`.

    Raises:
        SettingsError: one is; its name is in the message.
    """
    for name, number in numbers.items():
        if number < least:
            raise SettingsError(f"the setting {name!r} is {number}; wanted at least {least}")


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _fitted(value: Any, hint: Any) -> Any:
    """The value as this type, or None where it is not."""
    origin = get_origin(hint) or hint
    if origin is Any:
        return value
    if origin is Sequence:
        return _sequence(value, get_args(hint)[0])
    if origin is Mapping:
        return dict(value) if isinstance(value, Mapping) else None
    if isinstance(value, bool) != (origin is bool):  # True is an int to Python
        return None
    if origin is float and isinstance(value, int):
        return float(value)
    return value if isinstance(value, origin) else None


def _sequence(value: Any, item: Any) -> tuple[Any, ...] | None:
    items = value if isinstance(value, list | tuple) else (value,)
    found = tuple(_fitted(one, item) for one in items)
    return None if None in found else found


def _word(option: Any) -> str:
    origin = get_origin(option) or option
    if origin is Sequence:
        return f"a list of which each is {_word(get_args(option)[0])}"
    return "settings by name" if origin is Mapping else WORDS.get(origin, str(option))
