import numpy as np
import pandas as pd
import pytest

from fusiform.data import Features, Responses, Space, Stimuli
from fusiform.data.timing import hrf
from fusiform.errors import DataError, UnknownNameError


def responses(values, stimuli, **columns):
    return Responses(np.asarray(values), pd.DataFrame({"stimulus": stimuli, **columns}), Space.numbered("v", 2))


def test_stimuli_load_and_select():
    stimuli = Stimuli("s", "text", pd.DataFrame({"split": ["a", "b"]}, index=["im1", "im2"]), lambda name: name.upper())
    assert stimuli.load("im2") == "IM2"
    assert stimuli.select(["im2"]).ids == ["im2"]
    with pytest.raises(UnknownNameError, match=r"no 'im3' \(did you mean 'im"):
        stimuli.load("im3")
    with pytest.raises(UnknownNameError, match="no 'zz'"):
        stimuli.select(["im1", "zz"])


def test_stimuli_refuse_a_repeated_id():
    with pytest.raises(DataError, match="'a' more than once"):
        Stimuli("s", "text", pd.DataFrame(index=["a", "a"]), str)


def test_space_selects_and_names():
    table = pd.DataFrame({"x": [1.0, 2.0], "y": [0.0, 1.0], "z": [3.0, 4.0]})
    space = Space("mesh", table, mesh="fsaverage5")
    assert space.names == ["0", "1"]
    assert space.coordinates().shape == (2, 3)
    chosen = space.select([False, True])
    assert chosen.column("x").tolist() == [2.0]
    assert chosen.mesh == "fsaverage5"
    with pytest.raises(DataError, match=r"no column 'roy'.*it has: x, y, z"):
        space.column("roy")


@pytest.mark.parametrize("none", [[], (), np.array([]), [False, False]])
def test_nothing_may_be_selected(none):
    space = Space.numbered("v", 2)
    assert (space.select(none).size, space.select(none).name) == (0, "v")
    found = responses([[1, 2], [3, 4]], list("ab"))
    assert found.select_targets(none).values.shape == (2, 0)
    assert found.select(none).values.shape == (0, 2)
    with pytest.raises(IndexError):
        space.select([0.5])


def test_responses_must_fit_their_tables():
    with pytest.raises(DataError, match=r"shape \(3, 2\); wanted \(2, 2\)"):
        responses(np.zeros((3, 2)), ["a", "b"])
    with pytest.raises(DataError, match="no column 'stimulus'"):
        Responses(np.zeros((1, 2)), pd.DataFrame({"run": [1]}), Space.numbered("v", 2))


def test_select_keeps_rows_and_targets_together():
    found = responses([[1, 2], [3, 4], [5, 6]], list("abc"))
    assert found.select([2, 0]).values.tolist() == [[5, 6], [1, 2]]
    assert found.select(np.array([False, True, False])).samples["stimulus"].tolist() == ["b"]
    second = found.select_targets([1])
    assert second.values.tolist() == [[2], [4], [6]]
    assert second.space.names == ["v-1"]


def test_average_repeats_is_the_mean_in_order_of_appearance():
    found = responses(
        [[1, 2], [3, 4], [5, 8], [7, 0]], ["b", "a", "b", "b"], split=["x", "y", "x", "x"], run=[1, 1, 2, 3]
    )
    mean = found.average_repeats()
    assert mean.samples["stimulus"].tolist() == ["b", "a"]
    np.testing.assert_allclose(mean.values, [[13 / 3, 10 / 3], [3, 4]])
    assert mean.samples["repeats"].tolist() == [3, 1]
    assert "run" not in mean.samples
    assert mean.samples["split"].tolist() == ["x", "y"]


def test_average_repeats_of_small_integers_does_not_overflow():
    found = responses(np.full((3, 2), 30000, dtype=np.int16), ["a"] * 3)
    np.testing.assert_allclose(found.average_repeats().values, 30000)


def test_average_repeats_keeps_moments_of_a_film_apart():
    found = responses([[0, 0], [1, 1], [2, 2], [3, 3]], ["f"] * 4, time=[0.0, 1.5, 0.0, 1.5], run=[1, 1, 2, 2])
    mean = found.average_repeats()
    assert mean.samples["time"].tolist() == [0.0, 1.5]
    np.testing.assert_allclose(mean.values[:, 0], [1, 2])


def test_zscore_within_runs_and_constants():
    rng = np.random.default_rng(0)
    values = np.column_stack([rng.normal(5, 3, 20), np.full(20, 7.0)])
    found = responses(values, ["a"] * 20, run=[1] * 10 + [2] * 10).zscore("run")
    for rows in (slice(0, 10), slice(10, 20)):
        np.testing.assert_allclose(found.values[rows, 0].mean(), 0, atol=1e-12)
        np.testing.assert_allclose(found.values[rows, 0].std(), 1)
    assert (found.values[:, 1] == 0).all()


def test_zscore_learns_from_the_given_rows_only():
    values = np.array([[0.0, 0.0], [2.0, 2.0], [100.0, 100.0]])
    found = responses(values, list("abc"))
    like = [True, True, False]
    np.testing.assert_allclose(found.zscore(None, like=like).values[:, 0], [-1, 1, 99])
    assert found.values[2, 0] == 100  # nothing handed in is changed
    with pytest.raises(DataError, match="no sample to take mean"):
        responses(values, list("abc"), run=[1, 1, 2]).zscore("run", like=like)
    with pytest.raises(DataError, match="cannot group samples by 'session'"):
        found.zscore("session")


def features(values, stimuli, start=None, rate=None):
    columns = {"stimulus": stimuli} | ({} if start is None else {"start": start})
    return Features(pd.DataFrame(columns), {"one": np.asarray(values, dtype=np.float32)}, rate)


def test_features_must_fit_their_index():
    with pytest.raises(DataError, match="layer 'one' has 3 rows; wanted 2"):
        features(np.zeros((3, 1)), ["a", "b"])
    with pytest.raises(DataError, match="lacks the column 'start'"):
        features(np.zeros((2, 1)), ["a", "b"], rate=2.0)
    with pytest.raises(DataError, match="no layer 'two'"):
        features(np.zeros((2, 1)), ["a", "b"]).select("two")


def test_hemodynamic_convolves_each_stimulus_alone():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(70, 2)).astype(np.float32)
    found = features(values, ["a"] * 40 + ["b"] * 30, np.r_[np.arange(40), np.arange(30)] / 2, rate=2.0).hemodynamic()
    for rows in (slice(0, 40), slice(40, 70)):
        for column in range(2):
            slow = np.convolve(values[rows, column], hrf(2.0))[: len(values[rows])]
            np.testing.assert_allclose(found.arrays["one"][rows, column], slow, atol=1e-5)
    with pytest.raises(DataError, match="no time to convolve"):
        features(values, list(range(70))).hemodynamic()


@pytest.mark.parametrize(
    ("stimuli", "start", "rate", "said"),
    [
        ("abab", [0, 0, 0.5, 0.5], 2.0, "stimulus 'a' do not stand together"),
        ("aaaa", [1.5, 1, 0.5, 0], 2.0, "row 1 of stimulus 'a' begins at 1 s, but at 2 Hz it should at 2 s"),
        ("aaaa", [0, 0.5, 0, 0.5], 2.0, "row 2 of stimulus 'a' begins at 0 s"),
        ("aabb", [0, 0.5, 0, 0.5], 4.0, "row 1 of stimulus 'a' begins at 0.5 s, but at 4 Hz it should at 0.25 s"),
        ("aabb", [0, 0.5, 0, np.nan], 2.0, "row 1 of stimulus 'b' begins at nan s"),
        ("aaaa", [0, 0.5, 1, 1.5], 0.0, "have the rate 0.0"),
    ],
)
def test_rows_of_features_lie_where_their_rate_says(stimuli, start, rate, said):
    with pytest.raises(DataError, match=said):
        features(np.zeros((4, 1)), list(stimuli), start, rate)
    assert len(features(np.zeros((4, 1)), list(stimuli), start)) == 4  # without a rate a start is but a column


def test_long_and_empty_features_are_accepted():
    start = np.r_[np.arange(10**6), np.arange(3)] / 299.7 + 17.3
    assert len(features(np.zeros((10**6 + 3, 1)), np.repeat(["a", "b"], [10**6, 3]), start, 299.7)) == 10**6 + 3
    assert len(features(np.zeros((0, 1)), [], [], 2.0)) == 0


def test_zscore_asks_the_type_whether_a_target_is_constant():
    rng = np.random.default_rng(0)
    wave = rng.normal(size=20)
    for values in (wave + 1e9, wave * 1e-200, wave * 1e200):
        found = responses(np.column_stack([values, wave]), ["a"] * 20).zscore(None).values
        np.testing.assert_allclose(found[:, 0], found[:, 1], atol=1e-6)
    jitter = np.where(wave > 0, np.float32(7), np.nextafter(np.float32(7), np.float32(8)))
    assert (responses(np.column_stack([jitter, jitter]), ["a"] * 20).zscore(None).values == 0).all()


def test_voxels_are_in_the_order_of_the_mask_and_go_back():
    rng = np.random.default_rng(0)
    volume, mask = rng.normal(size=(3, 4, 5)), rng.random((3, 4, 5)) > 0.5
    affine = np.array([[0, -2.0, 0, 10], [2, 0, 0, -20], [0, 0, 2, 30], [0, 0, 0, 1]])
    space = Space.voxels("v", mask, affine)
    back = space.volume(volume[mask])
    np.testing.assert_array_equal(back[mask], volume[mask])
    assert np.isnan(back[~mask]).all()
    for row in (0, space.size - 1):
        ijk = [space.column(axis)[row] for axis in "ijk"]
        np.testing.assert_allclose(space.coordinates()[row], (affine @ [*ijk, 1])[:3])
    chosen = space.select([2, 0])
    assert np.isfinite(chosen.volume([1, 2])).sum() == 2
    assert chosen.volume([1, 2])[tuple(np.argwhere(mask)[2])] == 1


def test_values_go_into_a_volume_of_as_many_voxels_only():
    space = Space.voxels("v", np.ones((2, 1, 1)), np.eye(4))
    with pytest.raises(DataError, match=r"got values \(3,\) for space 'v', whose 2 targets are voxels of a grid"):
        space.volume([1, 2, 3])
    with pytest.raises(DataError, match="whose 2 targets are no voxels: they have no grid"):
        Space.numbered("n", 2).volume([1, 2])
    with pytest.raises(DataError, match=r"got a mask \(2, 2\) and an affine \(4, 4\); wanted \[X, Y, Z\]"):
        Space.voxels("v", np.ones((2, 2)), np.eye(4))


def test_vertices_of_the_left_hemisphere_come_first():
    space = Space.vertices("s", [3, 9], [1], mesh="fsaverage")
    assert space.column("hemisphere").tolist() == ["left", "left", "right"]
    assert space.column("vertex").tolist() == [3, 9, 1]
    assert space.mesh == "fsaverage"


def test_repeats_are_averaged_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    values, stimuli = rng.normal(size=(30, 7)).astype(np.float32), rng.integers(0, 9, 30)
    trials = Responses(values, pd.DataFrame({"stimulus": stimuli}), Space.numbered("v", 7))
    plain = pd.DataFrame(values.astype(float)).groupby(stimuli, sort=False).mean()
    monkeypatch.setattr("fusiform.data.responses.BLOCK", 60)  # two targets at a time
    np.testing.assert_allclose(trials.average_repeats().values, plain, rtol=1e-5, atol=1e-6)
    assert trials.average_repeats().values.dtype == np.float32


def test_averaging_holds_a_block_besides_its_result(monkeypatch):
    import tracemalloc

    values = np.zeros((3000, 2000), dtype=np.float32)
    trials = Responses(values, pd.DataFrame({"stimulus": np.arange(3000) // 3}), Space.numbered("v", 2000))
    monkeypatch.setattr("fusiform.data.responses.BLOCK", 1 << 18)
    trials.average_repeats()
    tracemalloc.start()
    found = trials.average_repeats()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < found.values.nbytes + 8e6  # the trials themselves have 24 MB


def test_zscore_in_blocks_is_the_plain_formula(monkeypatch):
    rng = np.random.default_rng(0)
    values, run = rng.normal(size=(30, 11)) * np.arange(1, 12), rng.integers(0, 3, 30)
    found = Responses(values, pd.DataFrame({"stimulus": "a", "run": run}), Space.numbered("v", 11))
    monkeypatch.setattr("fusiform.data.responses.BLOCK", 90)  # three targets at a time
    standard = found.zscore("run").values
    for number in range(3):
        part = values[run == number]
        np.testing.assert_allclose(standard[run == number], (part - part.mean(0)) / part.std(0), atol=1e-12)


def test_zscore_holds_little_besides_its_result(monkeypatch):
    import tracemalloc

    values = np.random.default_rng(0).normal(size=(500, 2000)).astype(np.float32)
    found = Responses(values, pd.DataFrame({"stimulus": ["a"] * 500}), Space.numbered("v", 2000))
    monkeypatch.setattr("fusiform.data.responses.BLOCK", 20_000)
    tracemalloc.start()
    standard = found.zscore(None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.2 * standard.values.nbytes
