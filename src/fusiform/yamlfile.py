"""YAML files of a user, read strictly."""

from pathlib import Path
from typing import Any

import yaml

from fusiform.errors import LayoutError, SettingsError

__all__ = ["OnceEach", "read_yaml"]


def read_yaml(path: Path | str, *, what: str = "", wanted: str, otherwise: str) -> dict[str, Any]:
    """The mapping that a file holds.

    Args:
        path: of the file.
        what: it is, before its path in an error.
        wanted: lines in it, in an error.
        otherwise: what to do about a file that cannot be read.

    Raises:
        LayoutError: there is no such file, or it cannot be read.
        SettingsError: it is not YAML, holds no mapping, or a mapping in it names a key twice.
    """
    name = f"{what} {path}".strip()
    try:
        with Path(path).open(encoding="utf-8") as file:
            given = yaml.load(file, Loader=OnceEach)
    except (OSError, UnicodeDecodeError) as reason:
        why = getattr(reason, "strerror", None) or "it is not UTF-8 text"
        raise LayoutError(f"cannot read {name} ({why}); {otherwise}") from reason
    except (yaml.YAMLError, RecursionError) as reason:
        raise SettingsError(f"{name} is not YAML ({' '.join(str(reason).split())})") from reason
    if not isinstance(given, dict):
        raise SettingsError(f"{name} holds no mapping; wanted lines of {wanted}")
    return {str(key): value for key, value in given.items()}


class OnceEach(yaml.SafeLoader):
    """YAML whose mappings name each key once: of two, YAML would take the last and say nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping of the file.

        Raises:
            SettingsError: it names a key twice.
        """
        keys: list[Any] = []
        for key, _ in node.value:
            if key.value in keys:
                place = f"{key.start_mark.name} has the key {key.value!r} again in line {key.start_mark.line + 1}"
                raise SettingsError(f"{place}; a mapping names each key once: keep one of them")
            keys.append(key.value)
        return super().construct_mapping(node, deep)
