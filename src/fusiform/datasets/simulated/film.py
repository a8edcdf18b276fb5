"""Films and the brains that watch them: three streams of features, read with a delay by parcels of the cortex.

A parcel is the part of the cortex that lies nearest to its `vertex`. Its response follows a mixture of the audio, the
video and the text of the film, one of which dominates, each a mixture of channels; the haemodynamic response is a
gamma density, and the noise is autocorrelated. Subjects share the film, the shares and most of the mixtures; delays,
noise and the rest of the mixtures are their own.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Recording, Track
from fusiform.data.timing import row_at, row_times
from fusiform.datasets.simulated.cortex import places, quality, sphere
from fusiform.datasets.simulated.seeds import stream

__all__ = ["MODALITIES", "NETWORKS", "RATE", "TR", "film", "hum", "network_of", "plant_viewer", "signals"]

TR = 1.49  # seconds
RATE = 2.0  # rows of features per second
MODALITIES = ("audio", "video", "text")
CHANNELS = 24  # of each modality
MEMORY = 3.0  # seconds in which the features' autocorrelation falls to 1/e
WIDTH = 1.2  # standard deviation of the haemodynamic response, seconds
DELAYS = np.arange(4.0, 8.25, 0.25)  # seconds
HUM = 0.5  # autocorrelation of the noise from one volume to the next
SHARED = 0.8  # of a mixture of channels, between subjects

Floats = NDArray[np.float64]

# The seven networks of Schaefer's parcels, by about where they lie on the left sphere, and what dominates each
NETWORKS: dict[str, tuple[str, list[tuple[float, float, float]]]] = {
    "Vis": ("video", [(0.3, -0.7, -0.6), (-0.3, -0.6, -0.7)]),
    "SomMot": ("audio", [(-0.1, 0.0, 1.0), (-0.9, 0.3, -0.3)]),
    "DorsAttn": ("video", [(0.1, -0.9, 0.5), (0.1, 0.4, 0.9)]),
    "SalVentAttn": ("audio", [(-0.9, -0.1, 0.4), (-0.5, 0.8, -0.4), (0.9, 0.3, 0.4)]),
    "Limbic": ("text", [(-0.2, 0.5, -0.8), (0.3, 0.8, -0.5)]),
    "Cont": ("video", [(-0.1, 0.9, 0.5), (-0.7, -0.6, 0.5)]),
    "Default": ("text", [(0.7, 0.7, 0.2), (-0.7, -0.7, 0.1), (0.9, -0.5, -0.1), (-0.7, 0.0, -0.7)]),
}


def film(seed: int, run: int, trs: int) -> tuple[Recording, int]:
    """What is seen and heard in one run, and the number of its volumes.

    There is a track per modality, [rows, 24] at 2 Hz: autoregressive noise of zero mean and unit variance that forgets
    within `MEMORY` seconds. The volumes are `trs`, give or take a twentieth, as runs are never of equal length.
    """
    count = trs + int(stream(seed, "film", run).integers(-(trs // 20), trs // 20 + 1))
    rows = int(row_at(count * TR, RATE)) + 1
    keep = np.exp(-1 / (RATE * MEMORY))
    tracks = {
        modality: Track(_drift(stream(seed, "film", run, number), rows, CHANNELS, keep).astype(np.float32), RATE)
        for number, modality in enumerate(MODALITIES)
    }
    return Recording(count * TR, tracks), count


def _drift(random: np.random.Generator, rows: int, columns: int, keep: float) -> Floats:
    """Autoregressive noise of unit variance, [rows, columns]; a longer one begins with the shorter."""
    from scipy.signal import lfilter

    steps = random.standard_normal((rows, columns))
    steps[1:] *= np.sqrt(1 - keep**2)  # the first is drawn from the stationary distribution
    return np.asarray(lfilter([1.0], [1.0, -keep], steps, axis=0))


def networks() -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Name of the network of every vertex of the mesh, and its dominant modality, [20484] each."""
    names = [name for name, (_, anchors) in NETWORKS.items() for _ in anchors]
    anchors = np.array([anchor for _, anchors in NETWORKS.values() for anchor in anchors])
    nearest = (sphere() @ (anchors / np.linalg.norm(anchors, axis=1, keepdims=True)).T).argmax(1)
    mirrored = ((sphere() * [-1, 1, 1]) @ (anchors / np.linalg.norm(anchors, axis=1, keepdims=True)).T).argmax(1)
    found = np.array(names)[np.concatenate([nearest, mirrored])]
    return found, np.array([NETWORKS[name][0] for name in found])


def plant_viewer(seed: int, subject: int, ncsnr: float) -> pd.DataFrame:
    """The truth of one subject for a parcel about every vertex of the mesh, left hemisphere first.

    Args:
        seed: of the dataset.
        subject: its number.
        ncsnr: median over parcels of the signal's over the noise's standard deviation in one volume.

    Returns:
        20,484 rows: `hemisphere`, `vertex`, `network`, the shares of the signal's variance `audio`, `video`, `text`,
        `dominant` (which is ahead by more than .2), `delay` (seconds), `ncsnr` and the channel weights `audio0`, ...,
        each modality's of unit length.
    """
    shared, own = stream(seed, "parcels"), stream(seed, "viewer", subject)
    network = network_of()
    dominant = np.array([NETWORKS[name][0] for name in network])
    shares = _shares(shared, dominant)
    step = shared.integers(len(DELAYS), size=len(network)) + own.integers(-2, 3, size=len(network))
    planted = places()[["hemisphere", "vertex"]].assign(
        network=network,
        **dict(zip(MODALITIES, shares.T, strict=True)),
        dominant=dominant,
        delay=DELAYS[step.clip(0, len(DELAYS) - 1)],
        ncsnr=quality(own, ncsnr),
    )
    return pd.concat([planted, _mixtures(shared, own, len(network))], axis=1)


def network_of() -> NDArray[np.str_]:
    """Name of the network of every vertex of the mesh, [20484]: that of the nearest anchor."""
    anchors = [(name, anchor) for name, (_, found) in NETWORKS.items() for anchor in found]
    directions = np.array([anchor for _, anchor in anchors])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    both = np.concatenate([sphere(), sphere() * [-1, 1, 1]])  # the right hemisphere mirrored onto the left
    return np.asarray(np.array([name for name, _ in anchors])[(both @ directions.T).argmax(1)])


def _shares(random: np.random.Generator, dominant: NDArray[np.str_]) -> Floats:
    """Shares of the modalities, [V, 3]: .55 to .8 for the dominant one, the rest divided not too unevenly."""
    most, division = random.uniform(0.55, 0.8, len(dominant)), random.uniform(0.3, 0.7, len(dominant))
    lead = dominant[:, None] == np.array(MODALITIES)
    second = np.roll(lead, 1, axis=1)  # either of the others; the division decides which is larger
    rest = (1 - most)[:, None] * np.where(second, division[:, None], 1 - division[:, None])
    return np.where(lead, most[:, None], rest)


def _mixtures(shared: np.random.Generator, own: np.random.Generator, count: int) -> pd.DataFrame:
    """Channel weights of every modality, [V, 72], partly of all subjects and partly of this one."""
    shape = (count, len(MODALITIES), CHANNELS)
    weights = SHARED * shared.standard_normal(shape) + np.sqrt(1 - SHARED**2) * own.standard_normal(shape)
    weights /= np.linalg.norm(weights, axis=2, keepdims=True)
    return pd.DataFrame(weights.reshape(count, -1), columns=weight_names())


def weight_names() -> list[str]:
    """Columns of the channel weights, in the order of the modalities."""
    return [f"{modality}{channel}" for modality in MODALITIES for channel in range(CHANNELS)]


def signals(recording: Recording, count: int, truth: pd.DataFrame) -> NDArray[np.float32]:
    """What every parcel would say of a film without noise, [count, P]; unit variance, expected over films.

    Args:
        recording: the film.
        count: volumes taken of it.
        truth: P rows, as `plant_viewer` gives them.
    """
    features = np.concatenate([recording.tracks[modality].values for modality in MODALITIES], axis=1)  # [rows, 72]
    mixture = truth[weight_names()].to_numpy() * np.repeat(np.sqrt(truth[list(MODALITIES)].to_numpy()), CHANNELS, 1)
    values = np.empty((count, len(truth)), np.float32)
    delays = truth["delay"].to_numpy()
    for delay in np.unique(delays):
        parcels = np.flatnonzero(delays == delay)
        kernel = _kernel(row_times(count, 1 / TR), row_times(len(features), RATE), delay)
        values[:, parcels] = kernel @ (features @ mixture[parcels].T)
    return values


def _kernel(times: Floats, onsets: Floats, delay: float) -> Floats:
    """What a response at each time takes from the feature rows of each onset, [times, onsets].

    A gamma density over the time passed, with `delay` as its median: that is the lag at which features of exponential
    autocorrelation follow it best. Scaled so that features of unit variance give a signal of unit variance.
    """
    from scipy.stats import gamma

    mean = delay + WIDTH**2 / delay / 3  # the median of a gamma density is about its mean less variance / mean / 3
    passed = np.arange(0, 32, 1 / RATE)
    densities = [gamma.pdf(t, (mean / WIDTH) ** 2, scale=WIDTH**2 / mean) for t in (passed, times[:, None] - onsets)]
    memory = np.exp(-np.abs(passed[:, None] - passed) / MEMORY)
    return np.asarray(densities[1] / np.sqrt(densities[0] @ memory @ densities[0]))


def hum(seed: int, subject: int, run: int, count: int, rows: NDArray[np.int64]) -> Floats:
    """The noise of one run, [count, P], autocorrelated and of unit variance; a stream for each parcel.

    Args:
        seed: of the dataset.
        subject: its number.
        run: its number.
        count: volumes.
        rows: [P] of the mesh.
    """
    noise = np.empty((count, len(rows)))
    for place, row in enumerate(rows):
        noise[:, [place]] = _drift(stream(seed, "hum", subject, run, row), count, 1, HUM)
    return noise
