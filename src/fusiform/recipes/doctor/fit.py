"""Third tier: a tiny fit through all parts, features to scores. It says that they work, not how well."""

from collections.abc import Iterator

import numpy as np

from fusiform.data import Recording, Responses, Stimuli
from fusiform.datasets.contract import Finding
from fusiform.features.baselines.audio import Tracks
from fusiform.features.baselines.gabor import Gabor
from fusiform.features.baselines.image import Pixels
from fusiform.features.baselines.language import Words
from fusiform.features.baselines.mel import LogMel
from fusiform.features.extract import extract
from fusiform.features.tokens import Backbone
from fusiform.models.ridge import RidgeCV
from fusiform.pairs import pair
from fusiform.recipes.doctor.data import Reading
from fusiform.recipes.steps import averaged
from fusiform.scores import score

__all__ = ["fits"]

SAMPLES, VOLUMES, TARGETS = 60, 300, 100
LAG = 4.0  # seconds; the BOLD response peaks about then
FEWEST = 6  # samples from which something can be fitted and held out
FOLDS = 5  # within the training rows, where there are as many
BANDS, LEAST_RATE = 16, 1000  # of log-mel: few bands, so that sounds of this rate (Hz) fill each


def fits(reading: Reading, device: str) -> Iterator[Finding]:
    """A ridge from each backbone that needs no weights and reads this kind of stimuli."""
    stimuli, responses = _few(reading.stimuli, reading.responses)
    backbones = _backbones(stimuli)
    if not backbones:
        said = f"not tried: every backbone that reads a {stimuli.kind} like these needs weights, words, or sounds of "
        yield Finding("fit", f"{said}{LEAST_RATE} Hz at least")
    elif stimuli.kind == "recording" and not responses.timed:
        yield Finding("fit", "not tried: features of recordings are rows in time, and these samples have no time")
    elif len(responses) < FEWEST:
        yield Finding("fit", f"not tried: {len(responses)} samples are too few to hold some out")
    else:
        for backbone in backbones:
            yield _fit(stimuli, responses, backbone, device)


def _few(stimuli: Stimuli, responses: Responses) -> tuple[Stimuli, Responses]:
    """Some samples of few stimuli and targets: averages of untimed ones, the first volumes of one recording."""
    targets = np.unique(np.linspace(0, responses.space.size - 1, TARGETS).astype(np.int64))
    if responses.timed:
        first = responses.samples["stimulus"].iloc[0]
        rows = np.flatnonzero(responses.samples["stimulus"] == first)[:VOLUMES]
    else:
        shown = responses.samples["stimulus"].unique()
        some = shown[np.unique(np.linspace(0, len(shown) - 1, SAMPLES).astype(np.int64))]
        rows = np.flatnonzero(responses.samples["stimulus"].isin(some))
    few = averaged(responses.select(rows).select_targets(targets))
    return stimuli.select(list(dict.fromkeys(few.samples["stimulus"].astype(str)))), few


def _backbones(stimuli: Stimuli) -> list[Backbone]:
    if stimuli.kind == "image":
        return [Pixels(16), Gabor()]
    if stimuli.kind != "recording":
        return []
    recording: Recording = stimuli.load(stimuli.ids[0])
    found: list[Backbone] = [
        Tracks(name, track.rate, track.hemodynamic) for name, track in list(recording.tracks.items())[:1]
    ]
    found += [Words(vectors=None)] if len(recording.words) else []
    sound = recording.sound
    if sound is not None and sound.rate >= LEAST_RATE:
        found.append(LogMel(bands=BANDS, highest=min(8000.0, sound.rate / 2)))
    return found


def _fit(stimuli: Stimuli, responses: Responses, backbone: Backbone, device: str) -> Finding:
    features = extract(stimuli, backbone, device=device)
    reduced = features.select(next(iter(features.arrays)))
    pairs = pair(reduced, responses, lags=(0.0 if features.rate is None else LAG,))
    X, Y = pairs.problem("encode")
    train = np.arange(len(pairs)) % 3 != 2 if features.rate is None else np.arange(len(pairs)) < 2 * len(pairs) // 3
    model = RidgeCV(cv=min(FOLDS, int(train.sum())), device=device).fit(X[train], Y[train])
    scores = score(Y[~train], model.predict(X[~train]), space=pairs.space)
    about = f"fit: {backbone.name}"
    r = scores.values[np.isfinite(scores.values)]
    if not len(r):
        return Finding(
            about, "no target has a finite r on held-out samples; wanted one: check that responses vary", ok=False
        )
    sizes = (
        f"{int((~train).sum())} of {len(pairs)} samples held out, {len(scores.values)} targets, {X.shape[1]} features"
    )
    return Finding(about, f"works (mean r {r.mean():.2f}; {sizes}: a test of the parts, not of the data)")
