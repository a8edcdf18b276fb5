from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from fusiform.checking import at_least, checked
from fusiform.errors import SettingsError


@pytest.mark.parametrize(
    ("value", "hint", "found"),
    [
        (3, int, 3),
        (3, float, 3.0),
        (False, bool, False),
        (None, str | None, None),
        ("a", str | None, "a"),
        (["a", "b"], Sequence[str], ("a", "b")),
        ("LPTL", Sequence[str] | None, ("LPTL",)),  # one name is not its letters
        (4, Sequence[float], (4.0,)),
        ((), Sequence[str], ()),
        ({"a": 1}, Mapping[str, Any] | None, {"a": 1}),
        (0, int, 0),
    ],
)
def test_settings_become_what_was_asked_for(value, hint, found):
    given = checked("name", value, hint)
    assert given == found
    assert type(given) is type(found)


@pytest.mark.parametrize(
    ("value", "hint", "wanted"),
    [
        ("many", int, "a whole number"),
        (2.5, int, "a whole number"),
        (True, int, "a whole number"),
        (1, bool, "true or false"),
        (3, str, "text"),
        (None, str, "text"),
        (["a", 3], Sequence[str], "a list of which each is text"),
        (3, Mapping[str, Any] | None, "settings by name or nothing"),
    ],
)
def test_others_are_refused_by_name(value, hint, wanted):
    with pytest.raises(SettingsError, match=f"the setting 'folds' is .*; wanted {wanted}$"):
        checked("folds", value, hint)


def test_numbers_have_a_least():
    at_least(2, folds=2)
    with pytest.raises(SettingsError, match="the setting 'seed' is -1; wanted at least 0"):
        at_least(0, gap=0, seed=-1)
