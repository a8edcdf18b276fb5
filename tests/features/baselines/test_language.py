"""Timed words as rows at a rate."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fusiform.data import Recording
from fusiform.data.timing import row_at
from fusiform.errors import DataError, LayoutError, SettingsError
from fusiform.features.baselines.language import Words, read_vectors
from fusiform.features.tokens import load_backbone


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """Three words, the most frequent first."""
    file = tmp_path / "vectors.npz"
    np.savez(file, words=np.array(["the", "ran", "rabbit"]), vectors=np.float32([[1, 2], [3, 4], [5, 6]]))
    return file


def layers(words: Words, recording: Recording) -> dict[str, np.ndarray]:
    """layer -> [T, C]."""
    return {name: x[0].T.numpy() for name, x in words.get_tokens(words.preprocess(recording)[None]).local.items()}


def one_word(start: float, duration: float = 20.0) -> Recording:
    return Recording(duration, words=pd.DataFrame({"text": ["word"], "start": [start], "stop": [start + 0.25]}))


class TestWords:
    def test_known_words_land_in_known_rows(self, story: Recording, vectors: Path) -> None:
        rows = layers(Words(2.0, vectors), story)
        assert {name: values.shape for name, values in rows.items()} == {
            "rate": (20, 1), "length": (20, 1), "duration": (20, 1), "frequency": (20, 1), "vectors": (20, 2)
        }  # fmt: skip
        # The at .1 s -> row 0; rabbit at 4.2 and ran at 4.3 s -> rows 8 (4.0 s) and 9 (4.5 s); 9.9 s -> the last row
        heard = {0: 3, 8: 6, 9: 3, 19: 7}
        assert {row: int(rows["length"][row, 0]) for row in np.flatnonzero(rows["rate"])} == heard
        assert {rows["rate"][row, 0] for row in heard} == {2.0}  # one word in half a second
        np.testing.assert_allclose(rows["duration"][[0, 8, 9, 19], 0], [0.2, 0.6, 0.1, 0.1], atol=1e-6)
        np.testing.assert_array_equal(rows["vectors"][[0, 8, 9, 19]], [[1, 2], [5, 6], [3, 4], [0, 0]])

    def test_words_of_one_row_add_up(self) -> None:
        words = pd.DataFrame({"text": ["a", "bcd"], "start": [1.0, 1.1], "stop": [1.1, 1.6]})
        rows = layers(Words(2.0, None), Recording(3.0, words=words))
        assert (rows["rate"][2, 0], rows["length"][2, 0]) == (4.0, 4.0)
        assert rows["duration"][2, 0] == pytest.approx(0.6)
        assert rows["rate"].sum() / 2.0 == 2  # words in all
        assert set(rows) == {"rate", "length", "duration"}

    @pytest.mark.parametrize(
        ("start", "row"), [(10.6, 21), (10.74, 21), (10.75, 22), (10.76, 22), (0.0, 0), (0.24, 0), (0.26, 1)]
    )
    def test_a_word_goes_to_the_row_that_begins_nearest(self, start: float, row: int) -> None:
        rows = layers(Words(2.0, None), one_word(start))
        assert np.flatnonzero(rows["rate"]).tolist() == [row] == [int(row_at(start, 2.0))]

    def test_no_drift_over_ten_hours(self) -> None:
        rate = 1 / 1.49
        start = 1.49 * np.arange(24_000)
        words = pd.DataFrame({"text": "w", "start": start, "stop": start + 0.1})
        rows = layers(Words(rate, None), Recording(float(start[-1]) + 1.49, words=words))["rate"]
        np.testing.assert_allclose(rows, np.full((24_000, 1), rate), rtol=1e-6)

    def test_rows_are_those_that_begin_before_the_end(self) -> None:
        for duration, count in ((10.0, 20), (10.1, 21), (9.9, 20), (10.0 + 1e-9, 20)):
            assert len(layers(Words(2.0, None), one_word(1.0, duration))["rate"]) == count
        assert np.flatnonzero(layers(Words(2.0, None), one_word(9.99, 10.0))["rate"]).tolist() == [19]

    def test_a_recording_without_words_is_all_zero(self, vectors: Path) -> None:
        rows = layers(Words(2.0, vectors), Recording(5.0))
        assert rows["vectors"].shape == (10, 2)
        assert not any(values.any() for values in rows.values())

    def test_frequency_follows_mandelbrots_law(self, story: Recording, vectors: Path) -> None:
        rows = layers(Words(2.0, vectors), story)["frequency"][:, 0]
        law = np.array([1 / (rank + 2.7) for rank in (1, 2, 3, 4)])  # the, ran, rabbit, and all that are unknown
        expected = np.log10(1e9 * law / law.sum())
        np.testing.assert_allclose(rows[[0, 9, 8, 19]], expected, rtol=1e-6)

    def test_names_the_words_that_the_list_lacks(self, story: Recording, vectors: Path) -> None:
        assert Words(2.0, vectors).unknown(story) == ["zyzzyva"]

    @pytest.mark.parametrize(("start", "shown"), [(-0.5, "-0.5"), (30.0, "30"), (float("nan"), "nan")])
    def test_a_word_outside_the_recording_is_an_error(self, start: float, shown: str) -> None:
        with pytest.raises(DataError, match=rf"the word 'word' starts at {shown} s, outside of a recording of 20 s"):
            Words(2.0, None).preprocess(one_word(start))

    def test_the_key_knows_the_vectors(self, vectors: Path) -> None:
        digest = hashlib.sha256(vectors.read_bytes()).hexdigest()[:16]
        assert Words(2.0, vectors).revision == f"1-{digest}"
        assert Words(2.0, None).revision == "1"
        assert Words(2.0).settings != Words(4.0).settings


class TestVectors:
    def test_text_files_are_read_too(self, vectors: Path, tmp_path: Path) -> None:
        text = tmp_path / "vectors.txt"
        text.write_text("the 1 2\nran 3 4\nrabbit 5 6\n", encoding="utf-8")
        words = ["rabbit", "the", "absent"]
        np.testing.assert_array_equal(read_vectors(text)(words), read_vectors(vectors)(words))

    def test_a_damaged_file_is_named(self, tmp_path: Path) -> None:
        for name, content in (("a.npz", b"PK\x03\x04 truncated"), ("b.txt", b"the 1 2\nran 3"), ("c.txt", b"")):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(LayoutError, match=f"{name} cannot be read as word vectors .* damaged"):
                read_vectors(tmp_path / name)

    def test_are_found_in_the_data_folders(self, vectors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = vectors.parent / "data" / "mine"
        folder.mkdir(parents=True)
        vectors.rename(folder / "any.npz")
        monkeypatch.setenv("FUSIFORM_DATA", str(folder.parent))
        assert Words(vectors="mine").vectors.values.shape == (3, 2)

    def test_say_how_to_get_them(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path))
        with pytest.raises(LayoutError, match="vectors=None to go without"):
            Words().preprocess(one_word(1.0))


@pytest.mark.data
def test_the_real_list_is_sorted_by_frequency_and_covers_alice() -> None:
    from scipy.stats import spearmanr

    from fusiform.datasets.alice import Alice

    stimuli = Alice().stimuli()
    recording, words = stimuli.load(stimuli.ids[0]), Words()
    heard = recording.words["text"].str.lower()
    counts = heard[~heard.isin(words.unknown(recording))].value_counts()
    assert spearmanr(counts, words.vectors.frequency(list(counts.index))).statistic > 0.4
    assert heard.isin(words.vectors.ranks).mean() > 0.93
    rows = layers(words, recording)
    assert rows["rate"].sum() / 2.0 == pytest.approx(len(recording.words), abs=0.01)
    assert rows["vectors"].shape == (1488, 25)


def test_exchanged_vectors_are_the_same_ones_dealt_out_anew(story: Recording, vectors: Path) -> None:
    plain, control = Words(2.0, vectors), Words(2.0, vectors, exchanged=0)
    assert sorted(map(tuple, control.vectors.values)) == sorted(map(tuple, plain.vectors.values))
    assert not np.array_equal(control.vectors.values, plain.vectors.values)
    before, after = layers(plain, story), layers(control, story)
    for name in ("rate", "length", "duration", "frequency"):
        np.testing.assert_array_equal(before[name], after[name])
    assert not np.array_equal(before["vectors"], after["vectors"])
    assert control.settings != plain.settings


def test_the_word_rate_is_words_without_meaning(story: Recording) -> None:
    baseline: Any = load_backbone("word-rate", rate=1.0)
    found, wanted = layers(baseline, story), layers(Words(1.0, None), story)
    assert list(found) == ["rate", "length", "duration"]
    np.testing.assert_array_equal(found["rate"], wanted["rate"])
    assert found["rate"].sum() == len(story.words)  # at one row a second, words per second are onsets


@pytest.mark.parametrize("rate", [0, -1, "abc", float("nan"), float("inf"), True])
def test_a_rate_is_a_number_above_zero(rate: object) -> None:
    with pytest.raises(SettingsError, match=r"rate is .*; wanted a number of rows per second"):
        Words(rate, None)  # type: ignore[arg-type]
