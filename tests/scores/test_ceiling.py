import numpy as np
import pytest

from fusiform.errors import DataError
from fusiform.scores import leave_one_out_correlation, ncsnr, noise_ceiling, pearson, r_ceiling


def trials(snr, repeats, seed=0):
    """Signal of variance snr^2 and noise of variance 1, [N, V], with the stimulus of each trial."""
    rng = np.random.default_rng(seed)
    stimulus = np.repeat(np.arange(len(repeats)), repeats)
    signal = rng.normal(size=(len(repeats), len(snr))) * snr
    return signal[stimulus] + rng.normal(size=(len(stimulus), len(snr))), stimulus, signal


@pytest.mark.parametrize("repeats", [[3] * 2000, [1] * 700 + [2] * 700 + [3] * 600])
def test_ncsnr_recovers_the_planted_one(repeats):
    snr = np.array([0.0, 0.2, 0.45, 0.8, 1.5])
    values, stimulus, _ = trials(snr, repeats)
    found = ncsnr(values, stimulus)
    # sampling error: the signal variance has a standard error near .02 here, d ncsnr = d variance / (2 ncsnr)
    np.testing.assert_allclose(found[1:] ** 2, snr[1:] ** 2, atol=0.06, rtol=0.06)
    assert found[0] ** 2 < 0.06


def test_order_and_scale_do_not_matter():
    values, stimulus, _ = trials(np.array([0.5, 1.0]), [3] * 50)
    order = np.random.default_rng(1).permutation(len(values))
    np.testing.assert_allclose(ncsnr(values[order] * 300 - 7, stimulus[order]), ncsnr(values, stimulus))


def test_r_ceiling_is_what_the_true_signal_attains():
    snr, repeats = np.array([0.3, 0.6, 1.2]), 3
    values, _, signal = trials(snr, [repeats] * 4000)
    averaged = values.reshape(-1, repeats, 3).mean(1)
    np.testing.assert_allclose(pearson(averaged, signal), r_ceiling(snr, repeats), atol=0.02)


def test_mixed_repeats_use_the_mean_of_one_over_n():
    np.testing.assert_allclose(noise_ceiling([0.5], [1, 2, 4]), 0.25 / (0.25 + (1 + 0.5 + 0.25) / 3))


def test_edges():
    assert noise_ceiling([0.0, np.inf], 1).tolist() == [0, 1]
    constant = np.column_stack([np.ones(4), [1.0, 1, 2, 2]])
    assert ncsnr(constant, [0, 0, 1, 1]).tolist() == [0, np.inf]
    with pytest.raises(DataError, match="each of the 3 stimuli was shown once"):
        ncsnr(np.zeros((3, 1)), [0, 1, 2])


def test_leave_one_out_correlation_equals_the_plain_loop():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 30, 2)) + rng.normal(size=(30, 2))
    slow = [pearson(values[s], np.delete(values, s, axis=0).mean(0)) for s in range(4)]
    np.testing.assert_allclose(leave_one_out_correlation(values), slow)
    with pytest.raises(DataError, match="S > 1"):
        leave_one_out_correlation(values[:1])


@pytest.mark.parametrize(
    ("values", "stimulus", "said"),
    [
        (np.zeros((4, 1)), [0, 0, 0, 0], "two stimuli or more"),
        (np.full((4, 1), np.nan), [0, 0, 1, 1], "4 NaN or infinite"),
        (np.zeros(4), [0, 0, 1, 1], "wanted"),
        (np.zeros((4, 1)), [0, 0, 1], "3 stimulus labels"),
        (np.zeros((4, 1)), ["a", "a", None, "b"], "1 trials have no stimulus label"),
    ],
)
def test_trials_without_a_ceiling_are_refused(values, stimulus, said):
    with pytest.raises(DataError, match=said):
        ncsnr(values, np.asarray(stimulus, dtype=object))


@pytest.mark.parametrize("repeats", [0, -1, [1, 0.5], [], np.nan])
def test_repeats_are_one_or_more(repeats):
    with pytest.raises(DataError, match="wanted 1 or more"):
        noise_ceiling([0.5], repeats)


UNEQUAL = [1] * 150 + [2] * 150 + [3] * 150 + [5] * 50


@pytest.mark.parametrize("repeats", [[2] * 400, [3] * 300, UNEQUAL], ids=["two", "three", "unequal"])
@pytest.mark.parametrize("snr", [0.3, 0.6, 1.2])
def test_noise_ceilings_are_recovered_within_sampling_error(snr, repeats):
    """300 targets with one planted ceiling: their mean is unbiased, and their spread is that of theory."""
    values, stimulus, _ = trials(np.full(300, snr), repeats)
    counts, power = np.asarray(repeats), snr**2
    found = ncsnr(values, stimulus) ** 2
    # one-way layout: ncsnr^2 = (B / N - 1) / weight, with B and N the mean squares between and within stimuli
    weight = (counts.sum() - (counts**2).sum() / counts.sum()) / (len(counts) - 1)
    between = 2 * np.sum((counts * power + 1) ** 2) / len(counts) / (len(counts) - 1)
    within = 2 * (weight * power + 1) ** 2 / (counts - 1).sum()
    error = np.sqrt(between + within) / weight  # of one target
    assert abs(found.mean() - power) < 4 * error / np.sqrt(300) + 0.02 * power
    assert 0.7 * error < found.std() < 1.4 * error
    planted = power / (power + np.mean(1 / counts))
    slope = (1 - planted) * planted / power  # of the ceiling in the power
    np.testing.assert_allclose(
        noise_ceiling(np.sqrt(found), counts).mean(), planted, atol=4 * slope * error / 17 + 0.01
    )


def test_r_ceiling_of_unequal_repeats_is_what_the_true_signal_attains():
    snr = np.array([0.3, 0.6, 1.2])
    repeats = UNEQUAL * 8
    values, stimulus, signal = trials(snr, repeats)
    sums = np.stack([np.bincount(stimulus, column) for column in values.T], axis=1)
    attained = pearson(sums / np.asarray(repeats)[:, None], signal)
    np.testing.assert_allclose(attained, r_ceiling(snr, repeats), atol=0.03)


def test_blocks_of_targets_change_nothing(monkeypatch):
    values, stimulus, _ = trials(np.linspace(0.1, 2, 11), UNEQUAL)
    whole = ncsnr(values, stimulus)
    monkeypatch.setattr("fusiform.scores.ceiling.BLOCK", 3 * len(values))
    np.testing.assert_allclose(ncsnr(values, stimulus), whole, rtol=1e-12)
    assert ncsnr(values[:, :0], stimulus).shape == (0,)


def test_ncsnr_equals_the_published_formula_where_repeats_are_equal():
    """Allen et al. 2022: the noise is the mean variance over repeats, the signal what it leaves of the total."""
    values, stimulus, _ = trials(np.array([0.4, 1.0]), [3] * 500)
    values = (values - values.mean(0)) / values.std(0)
    noise = values.reshape(500, 3, 2).var(1, ddof=1).mean(0)
    plain = np.sqrt(np.clip(1 - noise, 0, None) / noise)
    np.testing.assert_allclose(ncsnr(values, stimulus), plain, rtol=0.01)  # theirs takes the total's variance as known


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("number", [0.1, 1 / 3, -7e5])
def test_the_rounding_of_a_constant_has_no_ceiling(kind, number):
    """Means of three and of all rows are off by different units in the last place."""
    stimulus = np.repeat(np.arange(300), 3)
    constant = np.full((900, 2), number, dtype=kind)
    constant[stimulus % 2 == 0, 1] = np.nextafter(kind(number), kind(np.inf))  # computed otherwise for some stimuli
    np.testing.assert_array_equal(ncsnr(constant, stimulus), 0)
    small = number * (1 + 1e-4 * np.random.default_rng(0).normal(size=300))[stimulus, None]
    assert ncsnr(small.astype(kind), stimulus)[0] > 100  # a small signal is one
