"""What a user types, as values, and values as a user would type them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

import yaml
from cyclopts import convert

__all__ = ["from_words", "shown"]

OUTER_COMMA = re.compile(r",(?![^\[{]*[\]}])")  # not those inside [a,b] or {a: b}
COMMA_BEFORE_KEY = re.compile(r",(?=\w+=)(?![^\[{]*[\]}])")  # nor those of a sentence, such as a prompt


def from_words(type_: Any, tokens: Any) -> Any:
    """Sequences may be written `a,b`, mappings `key=value,key=value` (values as in YAML)."""
    kind = _container(type_)
    if kind is None:
        return convert(type_, tokens)
    comma = COMMA_BEFORE_KEY if kind is dict else OUTER_COMMA
    values = [part for token in tokens for part in comma.split(token.value) if part]
    return dict(map(_assignment, values)) if kind is dict else convert(type_, values)


def _container(type_: Any) -> type | None:
    found = {get_origin(option) or option for option in (type_, *get_args(type_))}
    if found & {dict, Mapping}:
        return dict
    return tuple if found & {tuple, list, Sequence} else None


def _assignment(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"got {text!r}; wanted key=value")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        raise ValueError(f"got {value!r} for {key!r}; wanted a number, a word, or a list such as [a,b]") from None


def shown(default: Any) -> str | None:
    """A default as it would be typed; what is off or empty says nothing."""
    if default is None or default is False or default == ():
        return None
    return ",".join(map(str, default)) if isinstance(default, tuple | list) else str(default)
