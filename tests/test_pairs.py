import sys

import numpy as np
import pandas as pd
import pytest
import zarr

from fusiform.data import Features, Responses, Space
from fusiform.errors import AlignmentError, DataError, UnknownNameError
from fusiform.pairs import pair


def film(lengths, rate=2.0, start=0.0):
    """Features that hold their own time in seconds: alignment can be read off them."""
    parts = [pd.DataFrame({"stimulus": name, "start": start + np.arange(n) / rate}) for name, n in lengths.items()]
    index = pd.concat(parts, ignore_index=True)
    return Features(index, {"time": index[["start"]].to_numpy(np.float32)}, rate)


def volumes(counts, tr=1.49, onset=0.0, targets=2):
    parts = [pd.DataFrame({"stimulus": name, "time": onset + tr * np.arange(n)}) for name, n in counts.items()]
    samples = pd.concat(parts, ignore_index=True)
    return Responses(
        np.random.default_rng(0).normal(size=(len(samples), targets)), samples, Space.numbered("v", targets)
    )


def pictures(names, order):
    index = pd.DataFrame({"stimulus": names})
    features = Features(
        index, {"a": np.arange(len(names) * 4.0).reshape(-1, 2, 2), "b": np.arange(len(names) * 1.0)[:, None]}
    )
    samples = pd.DataFrame({"stimulus": order, "split": ["train"] * (len(order) - 1) + ["test"]})
    return features, Responses(np.arange(len(order) * 3.0).reshape(-1, 3), samples, Space.numbered("v", 3))


def test_pictures_meet_by_id_and_repeats_share_a_row():
    features, responses = pictures(["x", "y", "z"], ["z", "x", "z", "y"])
    pairs = pair(features, responses)
    assert pairs.features["b"][:].ravel().tolist() == [2, 0, 2, 1]
    assert pairs.features["a"].shape == (4, 2, 2)
    assert pairs.features["a"][1].tolist() == [[0, 1], [2, 3]]
    assert pairs.design().shape == (4, 5)
    assert pairs.design("b").ravel().tolist() == [2, 0, 2, 1]
    test = pairs.split("test")
    assert test.samples["stimulus"].tolist() == ["y"]
    assert np.asarray(test.features["b"]).tolist() == [[1]]
    assert np.asarray(test.responses).tolist() == [[9, 10, 11]]


def test_both_directions_read_the_same_pairs():
    pairs = pair(*pictures(["x", "y", "z"], ["z", "x", "z", "y"]))
    X, Y = pairs.problem("encode", "a")
    assert (X.shape, Y.shape) == ((4, 4), (4, 3))
    back = pairs.problem("decode", "a")
    assert np.array_equal(back[0], Y)
    assert np.array_equal(back[1], X)


def test_unknown_split_and_features_are_named():
    pairs = pair(*pictures(["x", "y"], ["y", "x"]))
    with pytest.raises(DataError, match="no split 'val'; they have: train, test"):
        pairs.split("val")
    with pytest.raises(DataError, match="no features 'c'; there are: a, b"):
        pairs.design("c")


def test_samples_without_features_are_named():
    features, responses = pictures(["x", "y"], ["x", "im12", "im13", "y"])
    with pytest.raises(AlignmentError, match=r"2 of 4 samples have no features \(2 stimuli: im12, im13\); extract"):
        pair(features, responses)
    with pytest.raises(AlignmentError, match=r"3 of 6 samples have no features \(1 stimuli: q\)"):
        pair(film({"f": 20}), volumes({"f": 3, "q": 3}))


@pytest.mark.parametrize("lag", [0.0, 3.0, 4.47])
def test_each_volume_reads_the_nearest_row_of_its_own_time(lag):
    responses = volumes({"f": 400, "g": 150})  # unequal runs
    pairs = pair(film({"g": 470, "f": 1200}), responses, lags=(lag,))
    wanted = np.maximum(responses.samples["time"] - lag, 0)
    assert np.abs(pairs.features["time"][:].ravel() - wanted).max() <= 0.25 + 1e-6  # half a row at 2 Hz


def test_alignment_does_not_drift_over_ten_hours():
    count = 24_000
    responses = volumes({"f": count}, targets=1)
    pairs = pair(film({"f": 2 * 36_000}), responses)
    error = pairs.features["time"][:].ravel() - responses.samples["time"]
    assert abs(error[: count // 10].mean() - error[-count // 10 :].mean()) < 0.01


def test_volumes_are_joined_together_and_not_one_by_one():
    """Many times more volumes take hardly more steps of Python: none is for a volume, a lag or a row of a window."""

    def steps(volume_count):
        features, responses = film({"f": 4 * volume_count}), volumes({"f": volume_count}, targets=1)
        counted = []

        def count(*_):
            counted.append(1)
            return count

        before = sys.gettrace()
        sys.settrace(count)
        try:
            read = pair(features, responses, lags=(0.0, 2.0, 4.0), window=2.0).features["time"][:]
        finally:
            sys.settrace(before)
        assert read.shape == (volume_count, 3, 1)
        return len(counted)

    steps(50)  # what is imported or remembered on a first call
    assert steps(5000) < 2 * steps(50)


def test_lags_stand_side_by_side():
    responses = volumes({"f": 100})
    pairs = pair(film({"f": 400}), responses, lags=(0.0, 2.0, 5.0))
    view = pairs.features["time"]
    assert view.shape == (100, 3, 1)
    single = [pair(film({"f": 400}), responses, lags=(lag,)).features["time"][:] for lag in (0.0, 2.0, 5.0)]
    np.testing.assert_array_equal(view[:], np.stack(single, axis=1))
    assert pairs.design().shape == (100, 3)


def test_a_window_is_the_mean_of_its_rows():
    responses = volumes({"f": 50}, tr=2.0)
    view = pair(film({"f": 200}), responses, lags=(4.0,), window=2.0).features["time"]
    assert view.shape == (50, 1)
    times = responses.samples["time"].to_numpy() - 4.0
    np.testing.assert_allclose(view[:][2:, 0], (times + 0.75)[2:])  # rows at t, t + .5, t + 1, t + 1.5


def test_what_is_not_there_has_no_part_in_a_window():
    view = pair(film({"f": 10}), volumes({"f": 5}, tr=1.0), lags=(1.0,), window=2.0).features["time"]
    # sample 0 reads -1 to .5 s: only the rows at 0 and .5 exist
    np.testing.assert_allclose(view[:].ravel(), [0.25, 0.75, 1.75, 2.75, 3.75])
    late = pair(film({"f": 8}), volumes({"f": 5}, tr=1.0), window=2.0).features["time"]
    np.testing.assert_allclose(late[:].ravel(), [0.75, 1.75, 2.75, 3.25, 3.5])  # 4.0 s on: the last row stands in


def test_before_the_stimulus_its_first_row_stands():
    view = pair(film({"f": 40}), volumes({"f": 5}), lags=(4.0,)).features["time"]
    assert view[:].ravel().tolist() == [0, 0, 0, 0.5, 2.0]


def test_features_that_end_early_are_bridged_or_refused():
    responses = volumes({"f": 100, "g": 100})  # until 147.51 s
    view = pair(film({"f": 300, "g": 290}), responses).features["time"]
    assert view[:][-1] == 144.5
    with pytest.raises(AlignmentError, match=r"'g' end 7.50 s before they are last needed"):
        pair(film({"f": 300, "g": 281}), responses)
    assert pair(film({"f": 300, "g": 281}), responses, lags=(3.0,)).features["time"][:][-1] == 140.0


def test_features_and_volumes_have_their_own_clocks():
    found = pair(film({"f": 40}, rate=0.5, start=20.0), volumes({"f": 30}, tr=2.0, onset=20.0)).features["time"]
    assert found[:].ravel().tolist() == list(np.arange(30) * 2.0 + 20.0)


def test_sources_of_different_rates_are_named_after_their_source():
    found = pair({"slow": film({"f": 40}, rate=0.5), "fast": film({"f": 200})}, volumes({"f": 30}))
    assert list(found.features) == ["slow", "fast"]
    two = Features(pd.DataFrame({"stimulus": ["x"]}), {"a": np.zeros((1, 1)), "b": np.zeros((1, 1))})
    _, responses = pictures(["x"], ["x"])
    assert list(pair({"net": two}, responses).features) == ["net/a", "net/b"]


def test_time_must_be_on_both_sides():
    features, responses = pictures(["x", "y"], ["y", "x"])
    with pytest.raises(AlignmentError, match="need features with a rate"):
        pair(features, responses, lags=(3.0,))
    with pytest.raises(AlignmentError, match="no column 'time'"):
        pair(film({"x": 5, "y": 5}), responses)
    with pytest.raises(AlignmentError, match="at least one lag"):
        pair(film({"f": 5}), volumes({"f": 1}), lags=())
    twice = Features(pd.DataFrame({"stimulus": ["x", "x"]}), {"a": np.zeros((2, 1))})
    with pytest.raises(AlignmentError, match="'x' has several feature rows"):
        pair(twice, responses)


def test_nan_in_responses_is_placed():
    features, responses = pictures(["x", "y"], ["y", "x"])
    values = np.array(responses.values)
    values[1, 2] = np.nan
    with pytest.raises(DataError, match="first at sample 1, target 'v-2'"):
        pair(features, Responses(values, responses.samples, responses.space))


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    class Untouched:
        shape, dtype = (3, 2), np.dtype("float32")

        def __len__(self):
            return 3

        def __getitem__(self, index):
            raise AssertionError("read")

    _, responses = pictures(["x", "y", "z"], ["z", "x", "z"])
    lazy = Features(pd.DataFrame({"stimulus": ["x", "y", "z"]}), {"a": Untouched()})
    pairs = pair(lazy, responses).split("train")
    assert pairs.features["a"].shape == (2, 2)
    with pytest.raises(AssertionError, match="read"):
        pairs.features["a"][:]


def test_rows_on_disk_equal_rows_in_memory(tmp_path):
    values = np.random.default_rng(0).normal(size=(9, 4))
    disk = zarr.create_array(tmp_path / "a.zarr", shape=values.shape, dtype=values.dtype, chunks=(2, 4))
    disk[:] = values
    index = pd.DataFrame({"stimulus": [f"s{n}" for n in range(9)]})
    samples = pd.DataFrame({"stimulus": ["s7", "s1", "s7", "s4", "s8"]})
    responses = Responses(np.zeros((5, 1)), samples, Space.numbered("v", 1))
    view = pair(Features(index, {"a": disk}), responses).features["a"]
    np.testing.assert_array_equal(view[:], values[[7, 1, 7, 4, 8]])
    np.testing.assert_array_equal(view[[3, 0]], values[[4, 7]])
    np.testing.assert_array_equal(view[2], values[7])


def test_features_that_begin_late_are_bridged_or_refused():
    responses = volumes({"f": 20}, tr=1.0)
    assert pair(film({"f": 40}, start=5.0), responses, lags=(4.0,)).features["time"][0].tolist() == [5.0]
    with pytest.raises(AlignmentError, match=r"'f' begin 5.50 s after they are first needed \(1 samples lie outside"):
        pair(film({"f": 40}, start=5.5), responses)
    assert len(pair(film({"f": 40}, start=5.5), responses, patience=6)) == 20


@pytest.mark.parametrize("lags", [4.0, [], [np.nan], [np.inf], ["4"], [[1.0]]])
def test_lags_are_finite_seconds(lags):
    with pytest.raises(AlignmentError, match="give at least one lag, a list of finite seconds"):
        pair(film({"f": 50}), volumes({"f": 3}), lags=lags)


@pytest.mark.parametrize("given", [{"window": 0}, {"window": np.nan}, {"window": "2"}, {"patience": np.nan}])
def test_window_and_patience_are_finite_seconds(given):
    with pytest.raises(AlignmentError, match=f"got {next(iter(given))} .*; wanted a finite number of seconds"):
        pair(film({"f": 50}), volumes({"f": 3}), **given)


@pytest.mark.parametrize("time", [np.nan, np.inf, "later"])
def test_sample_times_are_finite(time):
    samples = pd.DataFrame({"stimulus": "f", "time": [0.0, time]})
    with pytest.raises(DataError, match=r"sample 1 has the time .*; wanted finite seconds"):
        pair(film({"f": 50}), Responses(np.zeros((2, 1)), samples, Space.numbered("v", 1)))


def test_nothing_cannot_be_paired():
    features, responses = pictures(["x", "y"], ["y", "x"])
    with pytest.raises(DataError, match="got 0 sources of features and 2 samples"):
        pair({}, responses)
    with pytest.raises(DataError, match="got 1 sources of features and 0 samples"):
        pair(features, responses.select(np.array([], dtype=int)))
    with pytest.raises(DataError, match="features of 'net' have no layers"):
        pair({"net": features.select()}, responses)


def test_numbers_as_ids_meet_their_text():
    index = pd.DataFrame({"stimulus": ["1", "2"]})
    samples = pd.DataFrame({"stimulus": [2, 1], "time": [1.0, 2.0]})
    responses = Responses(np.zeros((2, 1)), samples, Space.numbered("v", 1))
    assert pair(Features(index, {"a": np.eye(2)}), responses).features["a"][:].tolist() == [[0, 1], [1, 0]]
    assert pair(film({"1": 9, "2": 9}), responses).features["time"][:].ravel().tolist() == [1, 2]


def test_a_direction_is_one_of_two():
    with pytest.raises(UnknownNameError, match=r"unknown direction 'encoed' \(did you mean 'encode'"):
        pair(*pictures(["x"], ["x"])).problem("encoed")


def test_views_index_samples_only():
    view = pair(film({"f": 50}), volumes({"f": 9}), lags=(0.0, 2.0)).features["time"]
    with pytest.raises(IndexError, match="too many indices"):
        view[:, 0]
    with pytest.raises(IndexError, match="too many indices"):
        view[np.ones((9, 2), dtype=bool)]
    np.testing.assert_array_equal(view[np.arange(9) % 2 == 0], view[::2])
