"""Simulated films and the brains that watch them: delays, shares and noise as planted."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import gamma

from fusiform.data import Responses
from fusiform.data.timing import row_at
from fusiform.datasets.simulated import Simulated
from fusiform.datasets.simulated.cortex import spread
from fusiform.datasets.simulated.film import DELAYS, MODALITIES, NETWORKS, TR, film, hum, weight_names
from fusiform.scores import leave_one_out_correlation, pearson


@pytest.fixture(scope="module")
def cinema() -> Simulated:
    return Simulated(runs=8, trs=120, parcels=60, subjects=2)


@pytest.fixture(scope="module")
def silent() -> Simulated:
    return Simulated(runs=8, trs=200, parcels=40, ncsnr=np.inf)


def mixture(dataset: Simulated, responses: Responses, lag: float) -> NDArray[np.float64]:
    """Each parcel's own mixture of the features `lag` seconds before every volume, from the truth's weights."""
    truth, films = dataset.truth("movie", subject="sim01"), dataset.stimuli("movie")
    weights = truth[weight_names()].to_numpy() * np.repeat(np.sqrt(truth[list(MODALITIES)].to_numpy()), 24, axis=1)
    parts = []
    for id, samples in responses.samples.groupby("stimulus", sort=False):
        features = np.hstack([films.load(str(id)).tracks[name].values for name in MODALITIES])
        rows = row_at(samples["time"].to_numpy() - lag, 2.0).clip(0, len(features) - 1)
        parts.append(features[rows] @ weights.T)
    return np.concatenate(parts)


def test_films_are_recordings_with_three_tracks(cinema: Simulated) -> None:
    films = cinema.stimuli("movie")
    assert (films.kind, len(films)) == ("recording", 8)
    assert films.table["split"].tolist() == ["train"] * 6 + ["val", "test"]
    recording = films.load("run03")
    assert set(recording.tracks) == {"audio", "video", "text"}
    assert recording.duration == films.table["duration"]["run03"]
    for track in recording.tracks.values():
        assert track.rate == 2
        assert len(track.values) >= recording.duration * 2  # features do not end before the scan
        assert not track.hemodynamic


def test_features_forget_within_seconds() -> None:
    values = np.concatenate([film(0, run, 400)[0].tracks["text"].values for run in range(4)]).astype(float)
    assert values.std() == pytest.approx(1, abs=0.03)
    together = [np.mean(values[:-lag] * values[lag:]) for lag in (2, 6, 20)]  # 1, 3 and 10 s
    np.testing.assert_allclose(together, np.exp([-1 / 3, -1, -10 / 3]), atol=0.05)
    video = np.concatenate([film(0, run, 400)[0].tracks["video"].values for run in range(4)])
    assert np.abs(np.corrcoef(values.T, video.T)[:24, 24:]).mean() < 0.06


def test_samples_are_volumes_of_unequal_runs(cinema: Simulated) -> None:
    responses = cinema.responses("sim01", part="movie")
    lengths = responses.samples.groupby("run").size()
    assert lengths.between(114, 126).all()
    assert lengths.nunique() > 1
    first = responses.samples[responses.samples["run"] == 1]
    np.testing.assert_allclose(first["time"], np.arange(len(first)) * 1.49)
    assert set(responses.samples["split"]) == {"train", "val", "test"}
    films = cinema.stimuli("movie").table
    np.testing.assert_allclose(films["duration"], lengths * TR)


def test_what_else_is_asked_for_changes_nothing(cinema: Simulated) -> None:
    larger = Simulated(runs=10, trs=120, parcels=90, subjects=3)
    few, many = cinema.responses("sim02", part="movie"), larger.responses("sim02", part="movie")
    columns = np.flatnonzero(np.isin(spread(90), spread(60)))
    np.testing.assert_allclose(np.asarray(many.values)[: len(few), columns], few.values, atol=1e-5)
    pd.testing.assert_frame_equal(many.samples[: len(few)], few.samples)


def test_shares_have_a_dominant_modality_by_a_margin() -> None:
    truth = Simulated(parcels=2000, subjects=1).truth("movie")
    shares = np.sort(truth[list(MODALITIES)].to_numpy(), axis=1)
    np.testing.assert_allclose(shares.sum(1), 1)
    assert (shares[:, 2] - shares[:, 1]).min() > 0.2
    assert (truth[list(MODALITIES)].idxmax(axis=1) == truth["dominant"]).all()
    assert set(truth["dominant"]) == set(MODALITIES)
    assert set(truth["network"]) == set(NETWORKS)
    assert set(truth["delay"]) == set(DELAYS)
    weights = truth[weight_names()].to_numpy().reshape(-1, 3, 24)
    np.testing.assert_allclose(np.linalg.norm(weights, axis=2), 1)


def test_space_has_networks_that_truth_and_responses_share(cinema: Simulated) -> None:
    whole, seeing = cinema.responses("sim01", part="movie"), cinema.responses("sim01", part="movie", rois=["Vis"])
    there = whole.space.column("roi") == "Vis"
    assert 0 < there.sum() < 30
    assert np.array_equal(seeing.values, whole.values[:, there])
    assert len(set(whole.space.names)) == 60
    truth = cinema.truth("movie", subject="sim01")
    assert (truth["network"] == whole.space.column("roi")).all()
    assert (truth["vertex"] == whole.space.column("vertex")).all()


def test_signal_is_the_plain_convolution(silent: Simulated) -> None:
    """Against a loop over volumes and rows, with the density written out."""
    responses, truth = silent.responses("sim01", part="movie"), silent.truth("movie", subject="sim01")
    parcel = truth.iloc[7]
    recording = silent.stimuli("movie").load("run01")
    drive = sum(
        np.sqrt(parcel[name])
        * recording.tracks[name].values
        @ parcel[[f"{name}{c}" for c in range(24)]].to_numpy(float)
        for name in MODALITIES
    )
    mean = parcel["delay"] + 1.2**2 / parcel["delay"] / 3
    expected = []
    for volume in range(100):
        passed = volume * 1.49 - np.arange(len(drive)) / 2
        expected.append(gamma.pdf(passed, (mean / 1.2) ** 2, scale=1.2**2 / mean) @ drive)
    assert np.corrcoef(expected, responses.values[:100, 7])[0, 1] == pytest.approx(1, abs=1e-5)
    assert np.asarray(responses.values).std() == pytest.approx(1, abs=0.05)


def test_the_planted_delay_is_the_lag_that_predicts_best(silent: Simulated) -> None:
    responses = silent.responses("sim01", part="movie")
    lags = np.arange(2, 10.1, 0.5)
    r = np.array([pearson(responses.values, mixture(silent, responses, lag)) for lag in lags])
    best = r.argmax(0).clip(1, len(lags) - 2)
    before, at, after = (r[best + step, np.arange(r.shape[1])] for step in (-1, 0, 1))
    found = lags[best] + 0.25 * (before - after) / (before - 2 * at + after)  # the top of a parabola
    error = np.abs(found - silent.truth("movie", subject="sim01")["delay"])
    assert np.median(error) < 0.15
    assert error.max() < 0.5
    assert r.max(0).min() > 0.8


def test_without_a_lag_almost_nothing_is_predicted(silent: Simulated) -> None:
    responses = silent.responses("sim01", part="movie")
    assert pearson(responses.values, mixture(silent, responses, 0.0)).mean() < 0.35


def test_noise_is_autocorrelated_and_of_each_run() -> None:
    noise = np.concatenate([hum(0, 0, run, 500, np.arange(10)) for run in range(3)])
    assert noise.std() == pytest.approx(1, abs=0.05)
    assert np.mean(noise[1:500] * noise[: 500 - 1]) == pytest.approx(0.5, abs=0.06)
    assert abs(np.corrcoef(noise[:500].ravel(), noise[500:1000].ravel())[0, 1]) < 0.06


def test_ceiling_is_the_share_of_signal(silent: Simulated) -> None:
    """Noisy against noise-free responses: the planted r-ceiling, sqrt of the noise ceiling."""
    noisy = Simulated(runs=8, trs=200, parcels=40)
    loud, clean = (dataset.responses("sim01", part="movie").values for dataset in (noisy, silent))
    ceiling = np.sqrt(noisy.truth("movie", subject="sim01")["noise_ceiling"])
    np.testing.assert_allclose(pearson(loud, clean), ceiling, atol=0.15)
    assert np.mean(pearson(loud, clean) - ceiling) == pytest.approx(0, abs=0.03)


def test_subjects_agree_in_part(silent: Simulated) -> None:
    series = np.stack([silent.responses(subject, part="movie").values for subject in silent.subjects[:3]])
    assert 0.2 < leave_one_out_correlation(series).mean() < 0.8
