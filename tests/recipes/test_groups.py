"""Groups of settings, whose settings callers give one by one."""

import inspect
from dataclasses import dataclass

import pytest

from fusiform.recipes.groups import Settings, flat


@dataclass(frozen=True, kw_only=True)
class Place(Settings):
    """Where.

    Parameters
    ----------
    height
        metres above
        the sea
    """

    height: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Town(Place):
    """Which.

    Parameters
    ----------
    town
        its name
    """

    town: str


@flat
def visit(guide: str, town: Town, *, days: int = 2) -> tuple[str, Town, int]:
    """Go there.

    And come back.

    Parameters
    ----------
    days
        how long
    """
    return guide, town, days


def test_settings_of_a_group_are_given_by_keyword() -> None:
    assert visit("Ada", town="Ulm", height=478.0) == ("Ada", Town(town="Ulm", height=478.0), 2)
    assert visit("Ada", town="Ulm", days=1) == ("Ada", Town(town="Ulm"), 1)
    with pytest.raises(TypeError, match="town"):
        visit("Ada", days=1)
    with pytest.raises(TypeError, match="hieght"):
        visit("Ada", town="Ulm", hieght=478.0)


def test_the_signature_is_flat_and_what_is_needed_comes_first() -> None:
    parameters = inspect.signature(visit).parameters.values()
    assert [str(one) for one in parameters] == ["guide: str", "town: str", "height: float = 0.0", "days: int = 2"]
    assert [one.kind is one.KEYWORD_ONLY for one in parameters] == [False, True, True, True]


def test_every_setting_is_explained_where_it_stands() -> None:
    assert inspect.getdoc(visit) == (
        "Go there.\n\nAnd come back.\n\nParameters\n----------\n"
        "town\n    its name\nheight\n    metres above\n    the sea\ndays\n    how long"
    )


def test_a_function_may_say_itself_what_a_setting_means_to_it() -> None:
    @flat
    def climb(place: Place) -> None:
        """Go up.

        Parameters
        ----------
        height
            to climb
        """

    assert "height\n    to climb\n" in (climb.__doc__ or "")
    assert "the sea" not in (climb.__doc__ or "")


def test_a_function_without_groups_is_as_it_was() -> None:
    def plain(run: str, *, size: int = 1) -> None:
        """Nothing to flatten."""

    assert flat(plain) is plain
