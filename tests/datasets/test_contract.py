"""What the author of a dataset is told: one thing wrong at a time."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fusiform.data import Responses, Space, Stimuli
from fusiform.datasets import Card, Sampled, load_dataset
from fusiform.datasets.base import choose, pick
from fusiform.datasets.contract import examine
from fusiform.errors import DataError
from fusiform.testing import check_dataset

ROIS = ("V1", "V2")


def draw(id: str) -> Image.Image:
    return Image.fromarray(np.full((4, 4), int(id), dtype=np.uint8))


class Good(Sampled):
    """Four pictures, twice each, to two people with three targets."""

    name = "good"
    card = Card("one line", "CC0", "nobody")
    subjects = ("a", "b")
    parts = ("pictures",)

    def stimuli(self, part: str | None = None) -> Stimuli:
        choose("part", part, self.parts)
        return self.change_stimuli(Stimuli("good", "image", pd.DataFrame(index=list("1234")), draw))

    def responses(self, subject: str, *, part: str | None = None, rois: Sequence[str] | None = None) -> Responses:
        choose("part", part, self.parts)
        choose("subject", subject, self.subjects)
        wanted = np.array(ROIS)[pick("region", rois, ROIS)]
        samples = pd.DataFrame({"stimulus": list("12341234"), "subject": subject, "repeat": [1] * 4 + [2] * 4})
        samples["split"] = np.where(samples["stimulus"] == "4", "test", "train")
        space = Space("three", pd.DataFrame({"name": list("xyz"), "roi": ["V1", "V2", "V1"]}))
        values = np.random.default_rng(self.subjects.index(subject)).normal(size=(8, 3))
        responses = Responses(values, samples, space)
        return self.change(responses.select_targets(np.isin(space.column("roi"), wanted)))

    def truth(self, part: str | None = None) -> pd.DataFrame | None:
        choose("part", part, self.parts)
        return None

    def change_stimuli(self, stimuli: Stimuli) -> Stimuli:
        return stimuli

    def change(self, responses: Responses) -> Responses:
        return responses


STIMULI, RESPONSES = Good.stimuli, Good.responses


def with_(**columns: Any) -> Callable[[Any, Responses], Responses]:
    return lambda self, responses: replace(responses, samples=responses.samples.assign(**columns))


def targets(**columns: Any) -> Callable[[Any, Responses], Responses]:
    def change(self: Any, responses: Responses) -> Responses:
        if responses.space.size < 3:
            return responses
        return replace(responses, space=Space("three", responses.space.targets.assign(**columns)))

    return change


def values(edit: Callable[[Any], Any]) -> Callable[[Any, Responses], Responses]:
    return lambda self, responses: replace(responses, values=edit(np.array(responses.values)))


def nan_at(row: int) -> Callable[[Any], Any]:
    def edit(array: Any) -> Any:
        if array.shape[1] == 3:  # not where regions were chosen
            array[row, 0] = np.nan
        return array

    return edit


class Once:
    """Numbers that were drawn once and are handed out again and again."""

    array = np.random.default_rng(0).normal(size=(8, 3))


def counted(seen: list[int] = []) -> int:  # noqa: B006  # remembers on purpose
    seen.append(1)
    return len(seen)


def stimuli(**changes: Any) -> Callable[[Any, Stimuli], Stimuli]:
    return lambda self, found: replace(found, **changes)


def not_there(id: str) -> Image.Image:
    if id == "3":
        raise FileNotFoundError("3.png is not there")
    return draw(id)


def other_each_time(id: str) -> Image.Image:
    return Image.fromarray(np.full((4, 4), counted() % 256, dtype=np.uint8))


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"name": ""}, "form: `name` is ''; wanted a string that is not empty"),
    "no card": ({"card": None}, "form: `card` is None; wanted a fusiform.datasets.Card"),
    "subjects are a list": ({"subjects": ["a"]}, r"form: `subjects` is \['a'\]; wanted a tuple of different names"),
    "a subject twice": ({"subjects": ("a", "a")}, "form: `subjects` is .* wanted a tuple of different names"),
    "no parts": ({"parts": ()}, r"form: `parts` is \(\); wanted a tuple"),
    "no truth": ({"truth": None}, r"form: there is no method truth\(\.\.\.\)"),
    "no pickle": ({"__getstate__": lambda self: {"file": lambda: 0}}, "form: it cannot be pickled"),
    "stimuli of another type": ({"change_stimuli": lambda self, found: found.table}, r"gives a DataFrame; wanted fusi"),
    "an odd kind": ({"change_stimuli": stimuli(kind="picture")}, "their kind is 'picture'; wanted one of image, video"),
    "no stimuli": ({"change_stimuli": stimuli(table=pd.DataFrame())}, "the table of stimuli is empty"),
    "ids are numbers": ({"change_stimuli": stimuli(table=pd.DataFrame(index=[1, 2]))}, "the id 1 is no string"),
    "a missing file": ({"change_stimuli": stimuli(loader=not_there)}, "'3' cannot be loaded: 3.png is not there"),
    "another type": (
        {"change_stimuli": stimuli(loader=str)},
        "'1' is loaded as str; wanted Image for the kind 'image'",
    ),
    "random pictures": ({"change_stimuli": stimuli(loader=other_each_time)}, "'1' differs when it is loaded a second"),
    "a lambda": ({"change_stimuli": stimuli(loader=lambda id: draw(id))}, "their loader cannot be pickled"),
    "a part of any name": (
        {"stimuli": lambda self, part=None: STIMULI(self)},
        r"stimuli\('no such name'\) is taken though there is no such part; wanted UnknownNameError",
    ),
    "it raises": ({"change": lambda self, found: 1 / 0}, "responses of 'a' to 'pictures': division by zero"),
    "unknown stimulus": ({"change": with_(stimulus=list("12341239"))}, "1 stimuli of the samples are not in .* '9'"),
    "other subject": ({"change": with_(subject="c")}, r"the column `subject` holds \['c'\]; wanted 'a'"),
    "odd split": ({"change": with_(split="tests")}, "the column `split` holds 'tests'; wanted train, val, test"),
    "seen in training": (
        {"change": with_(split=["train"] * 4 + ["test"] * 4)},
        "4 stimuli of the test split are in ano",
    ),
    "a time that is none": ({"change": with_(time=[0.0] * 7 + [np.nan])}, "`time` holds values that are no finite sec"),
    "repeats not numbered": ({"change": with_(repeat=1)}, "sample 4 has the same stimulus, repeat as an earlier one"),
    "NaN": ({"change": values(nan_at(6))}, "1 values are NaN or infinite, the first in sample 6, target 'x'"),
    "no samples": (
        {"change": lambda self, found: found.select(np.arange(0))},
        r"they have the shape \(0, 3\); wanted one sample",
    ),
    "names twice": ({"change": targets(name=["x", "x", "y"])}, "two targets have the name 'x'"),
    "odd side": ({"change": targets(hemisphere="lh")}, "the hemisphere of a target is 'lh'; wanted 'left' or 'right'"),
    "a vertex twice": (
        {"change": lambda self, found: replace(found, space=vertices(found))},
        "vertex 7 stands for two targets",
    ),
    "one array for all": (
        {"change": lambda self, found: replace(found, values=Once.array[:, : found.space.size])},
        "changing what responses\\(\\) handed out changes what it gives next",
    ),
    "random values": (
        {"change": values(lambda array: array + counted())},
        "two calls of responses\\(\\) give other val",
    ),
    "random order": (
        {"change": lambda self, found: found.select(np.roll(np.arange(8), counted()))},
        "two calls of responses\\(\\) give other samples, or another order",
    ),
    "regions ignored": (
        {"responses": lambda self, subject, *, part=None, rois=None: RESPONSES(self, subject, part=part)},
        r"rois=\['no such name'\] is taken though there is no such region",
    ),
    "the wrong region": (
        {"responses": lambda self, subject, *, part=None, rois=None: swapped(self, subject, part, rois)},
        r"rois=\['V2'\] gives other samples, or targets of other regions",
    ),
    "a truth too short": (
        {"truth": lambda self, part=None: pd.DataFrame({"subject": ["a", "b"], "layer": "x"})},
        r"truth\('pictures'\) has 1 rows of 'a'; wanted 3, one per target",
    ),
}


def vertices(found: Responses) -> Space:
    table = pd.DataFrame({"hemisphere": "left", "vertex": [7] * found.space.size})
    return Space("three", table.assign(roi=found.space.column("roi")))


def swapped(self: Good, subject: str, part: str | None, rois: Sequence[str] | None) -> Responses:
    other = {"V1": "V2", "V2": "V1"}
    return RESPONSES(self, subject, part=part, rois=rois and [other.get(name, name) for name in rois])


def test_a_good_dataset_passes() -> None:
    check_dataset(Good())
    assert [finding.said for finding in examine(Good())] == [
        "2 subjects, 1 part (pictures)",
        "4 of kind image",
        "8 samples of 3 targets",
        "8 samples of 3 targets",
    ]


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_is_said(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changes, said = BROKEN[case]
    for name, value in changes.items():
        monkeypatch.setattr(Good, name, value)
    with pytest.raises(DataError, match=f"does not keep the contract: .*{said}"):
        check_dataset(Good())


@pytest.mark.parametrize("case", BROKEN)
def test_every_fault_says_what_to_do(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in BROKEN[case][0].items():
        monkeypatch.setattr(Good, name, value)
    for finding in examine(Good(), subjects=["a"]):
        assert finding.ok or re.search(r"[;:] [a-z`'][^;]*$", finding.said), finding.said


@pytest.mark.parametrize("case", ["a missing file", "NaN", "odd split", "other subject"])
def test_one_fault_is_one_sentence(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in BROKEN[case][0].items():
        monkeypatch.setattr(Good, name, value)
    assert sum(not finding.ok for finding in examine(Good(), subjects=["a"])) == 1


def some_by_default(turn: int) -> Callable[[Any, Responses], Responses]:
    """Two of three targets are read by default; the columns of a region that has more stand in another order."""

    def change(self: Any, responses: Responses) -> Responses:
        if responses.space.size == 3:
            return responses.select_targets([1, 2])
        return replace(responses, values=np.roll(np.asarray(responses.values), turn, axis=1))

    return change


def test_a_region_may_hold_more_than_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Good, "change", some_by_default(0))
    check_dataset(Good())
    monkeypatch.setattr(Good, "change", some_by_default(1))
    with pytest.raises(DataError, match=r"rois=\['V1'\] gives other values than the columns of all responses in 'V1'"):
        check_dataset(Good())


def test_only_what_was_asked_for_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    whole = Good.responses
    monkeypatch.setattr(Good, "responses", lambda self, s, **more: seen.append(s) or whole(self, s, **more))
    check_dataset(Good(), subjects=["b"])
    assert "a" not in seen


def test_most_limits_what_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Good, "change_stimuli", stimuli(loader=not_there))  # the third of four
    check_dataset(Good(), most=2)


@pytest.mark.data
@pytest.mark.parametrize("name", ["kay2017", "miyawaki2008"])
def test_real_datasets_keep_it(name: str) -> None:
    check_dataset(load_dataset(name), most=10)


@pytest.mark.data
def test_alice_keeps_it() -> None:
    check_dataset(load_dataset("alice"), subjects=["s18", "s53"])


def test_simulated_brains_keep_it() -> None:
    check_dataset(load_dataset("simulated", pictures=20, vertices=10, subjects=2, runs=8, trs=20, parcels=9))
