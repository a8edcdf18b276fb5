"""Which subjects may learn together: nothing that one learns from is held out of another."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fusiform.data import Space
from fusiform.errors import SettingsError
from fusiform.pairs import Pairs
from fusiform.recipes.selectors.participants import participants_of


def subject(name, stimuli, split=None):
    samples = pd.DataFrame({"stimulus": list(stimuli)})
    samples = samples if split is None else samples.assign(split=split)
    return SimpleNamespace(
        subject=name, pairs=Pairs({}, np.zeros((len(samples), 2)), samples, Space.numbered("mask", 2))
    )


def test_each_has_its_own_test_split():
    first = subject("s1", "abcd", ["train", "test", "val", "test"])
    second = subject("s2", "bxy", ["test", "train", "train"])
    one, other = participants_of([first, second], 6, 0)
    assert [part.tolist() for part in one.splits[0]] == [[0, 2], [1, 3]]
    assert [part.tolist() for part in other.splits[0]] == [[1, 2], [0]]
    assert (one.stimuli(0), other.stimuli(1)) == ({"a", "c"}, {"b"})


def test_one_alone_may_have_folds():
    [one] = participants_of([subject("s1", "abcdef")], 3, 0)
    assert len(one.splits) == 3


def test_folds_of_several_are_refused():
    with pytest.raises(SettingsError, match=r"'s2' has no samples of the split 'test'.*one subject at a time"):
        participants_of([subject("s1", "abc", ["train", "test", "train"]), subject("s2", "abc")], 3, 0)


def test_what_is_held_out_of_one_is_learned_from_by_none():
    first, second = subject("s1", "abc", ["train", "test", "test"]), subject("s2", "bcd", ["train", "train", "test"])
    with pytest.raises(SettingsError, match=r"2 stimuli, such as 'b', are held out of one subject"):
        participants_of([first, second], 3, 0)
