"""`defects.md`: every number that its lists promise stands there once, with tests that exist, or a reason."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "src" / "fusiform"
LATER = "\n## Not built yet\n"
REASON = "Cannot arise: "
ROW = re.compile(r"^\| ([A-Z]?\d+(?:\.\d+)+) \| (.+?) \| (.+?) \|$", re.M)
TEST = re.compile(r"`([\w/]+\.py)::([\w:]+)`")


def promised(page):
    """The numbers of the lists: `2.1.1-3` stands for 2.1.1, 2.1.2 and 2.1.3."""
    for line in re.findall(r"^Numbers: (.+)\.$", page, re.M):
        for part in line.split(", "):
            section, first, last = re.fullmatch(r"([A-Z]?[\d.]+\.)(\d+)(?:-(\d+))?", part).groups()
            yield from (f"{section}{number}" for number in range(int(first), int(last or first) + 1))


@cache
def names_of(file):
    """The names of the tests of a file, those of classes as `Class::test`."""
    path = TESTS / file
    return frozenset(names_in(ast.parse(path.read_text(encoding="utf-8")).body)) if path.is_file() else frozenset()


def names_in(body, prefix=""):
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not is_skipped(node):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test") and not is_skipped(node):
            yield from names_in(node.body, f"{prefix}{node.name}::")


def is_skipped(node):
    marks = {ast.unparse(mark).partition("(")[0].rpartition(".")[2] for mark in node.decorator_list}
    return bool(marks & {"skip", "xfail"})


def unshown(cell):
    """What is amiss with the last cell of a row."""
    if cell.startswith(REASON):
        return [] if len(cell.removeprefix(REASON).split()) > 4 else ["says no reason"]
    if not TEST.search(cell) or TEST.sub("", cell).strip(", "):
        return [f"has {cell!r}; wanted tests, or {REASON!r} and why"]
    return [f"there is no {file}::{name}" for file, name in TEST.findall(cell) if name not in names_of(file)]


def unbuilt(part):
    """What is amiss with the last cell of a row about a part that is still to come."""
    place = part.strip("`")
    if part != f"`{place}`":
        return [f"has {part!r}; wanted the file where the part will be"]
    built = any((PACKAGE / f"{place}{ending}").exists() for ending in ("", ".py", ".yaml"))
    return [f"{place} is built; move the row up and name its tests"] if built else []


def complaints(page):
    """What is amiss with the page, in sentences."""
    now, _, later = page.partition(LATER)
    wanted, found = list(promised(page)), [number for number, _, _ in ROW.findall(page)]
    said = [f"{number} is promised twice" for number, count in Counter(wanted).items() if count > 1]
    said += [f"{number} stands twice" for number, count in Counter(found).items() if count > 1]
    said += [f"{number} is missing" for number in wanted if number not in found]
    said += [f"{number} is in no list" for number in found if number not in wanted]
    said += [f"{number}: {what}" for number, _, cell in ROW.findall(now) for what in unshown(cell)]
    return said + [f"{number}: {what}" for number, _, part in ROW.findall(later) for what in unbuilt(part)]


def test_every_defect_has_its_tests_or_a_reason():
    page = (TESTS / "defects.md").read_text(encoding="utf-8")
    assert len(ROW.findall(page)) > 100
    assert complaints(page) == []


GOOD = """
Numbers: 2.1.1-2, A9.10.

| no. | defect | shown by |
|---|---|---|
| 2.1.1 | one | `test_registry.py::test_unknown_names_get_the_nearest`, `features/test_tokens.py::TestHookLayers::test_equals_the_plain_forward` |
| 2.1.2 | two | Cannot arise: there is nothing that could do it. |

## Not built yet

| no. | defect | part |
|---|---|---|
| A9.10 | three | `nets/no_such_net` |
"""  # noqa: E501


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("", "", []),
        ("-2,", "-3,", ["2.1.3 is missing"]),
        (", A9.10", "", ["A9.10 is in no list"]),
        ("A9.10.", "A9.10, 2.1.2.", ["2.1.2 is promised twice"]),
        ("| 2.1.2 | two", "| 2.1.1 | two", ["2.1.1 stands twice", "2.1.2 is missing"]),
        ("| 2.1.2 | two |", "| 2.1.2 |", ["2.1.2 is missing"]),  # a cell too few
        ("names_get", "names_gat", ["2.1.1: there is no test_registry.py::test_unknown_names_gat_the_nearest"]),
        ("HookLayers::", "", ["2.1.1: there is no features/test_tokens.py::Testtest_equals_the_plain_forward"]),
        ("`test_registry", "and `test_registry", None),
        ("Cannot arise: there is nothing that could do it.", "Cannot arise: no.", ["2.1.2: says no reason"]),
        ("Cannot arise: there", "There", None),
        ("no_such_net", "selector", ["A9.10: nets/selector is built; move the row up and name its tests"]),
        ("`nets/no_such_net`", "somewhere", ["A9.10: has 'somewhere'; wanted the file where the part will be"]),
    ],
)
def test_what_is_amiss_with_a_page_is_said(old, new, said):
    found = complaints(GOOD.replace(old, new, 1) if old else GOOD)
    if said is None:
        assert re.fullmatch(r"2\.1\.[12]: has '.*'; wanted tests, or 'Cannot arise: ' and why", "".join(found))
    else:
        assert found == said


@pytest.mark.parametrize("mark", ["skip", "skip(reason='later')", "xfail"])
def test_a_test_that_does_not_run_shows_nothing(mark):
    source = f"import pytest\n\ndef test_one():\n    pass\n\n@pytest.mark.{mark}\ndef test_two():\n    pass\n"
    assert list(names_in(ast.parse(source).body)) == ["test_one"]
