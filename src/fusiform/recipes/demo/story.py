"""Hearing a story: what of the words predicts six language regions of 27 people?"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fusiform.data import Features, Responses, Stimuli
from fusiform.datasets import load_dataset
from fusiform.errors import MissingDataError
from fusiform.models.folds import ContiguousFolds
from fusiform.pairs import Pairs, pair
from fusiform.recipes.evaluate import Evaluation, evaluate, join
from fusiform.recipes.steps import one_thread, regressor
from fusiform.scores import circular_shifts, leave_one_out_correlation, p_values

__all__ = ["VECTORS", "Story", "listen"]

FOLDS, GAP = 6, 5  # contiguous folds; volumes (10 s) left out of training on each side of the held-out ones
RATE = 2.0  # Hz, of the word features
EXCHANGES = 5  # times that words exchange their vectors, as a control
SHIFTS, LEAST = 200, 20  # rotations of the null, each by 40 s or more

VECTORS, EXCHANGED = "+ word vectors", "vectors exchanged"

# what is read together, each set with one thing more than the one before
FAMILIES = {
    "sound power": ["sound"],
    "+ word rate": ["words/rate"],
    "+ length, duration": ["words/length", "words/duration"],
    "+ frequency": ["words/frequency"],
    VECTORS: ["words/vectors"],
}


@dataclass(frozen=True)
class Story:
    """Predictions of the group mean, of single people, and by chance.

    Args:
        regions: V names.
        times: [N] seconds.
        fold: [N] in which fold each volume was held out.
        true: [N, V] group mean, standardised with training rows.
        pred: [N, V] predicted from everything.
        r: [V] of the group mean, within folds, averaged.
        whole_run_r: [V] the same predictions, all folds as one series.
        by_family: name -> [V] r with growing sets of features.
        people_r: [S, V] of single people.
        isc: [S, V] each person against the mean of all others, within folds, averaged.
        null: [K, V] r of rotated responses.
    """

    regions: list[str]
    times: NDArray[np.float64]
    fold: NDArray[np.int64]
    true: NDArray[np.floating]
    pred: NDArray[np.floating]
    r: NDArray[np.float64]
    whole_run_r: NDArray[np.float64]
    by_family: dict[str, NDArray[np.float64]]
    people_r: NDArray[np.float64]
    isc: NDArray[np.float64]
    null: NDArray[np.float64]

    @property
    def p(self) -> NDArray[np.float64]:
        """[V] one-sided p values against the null."""
        return p_values(self.r, self.null)

    @property
    def null_95(self) -> NDArray[np.float64]:
        """[V] 95th percentile of the null."""
        return np.asarray(np.quantile(self.null, 0.95, axis=0))


def listen(progress: bool = False) -> Story:
    """Cross-validate ridge from sound and words to the group mean, to every person, and to rotated brains.

    All of these are targets of one regression, so that they go through one and the same pipeline. Responses are
    standardised, alphas chosen and features scaled within the training rows of each fold.
    """
    alice = load_dataset("alice")
    people = [alice.responses(subject) for subject in alice.subjects]
    count, size = people[0].values.shape
    shifts = circular_shifts(count, SHIFTS, least=LEAST)
    with one_thread():
        result = _evaluate(_features(alice.stimuli()), people, shifts, progress)
    groups = size * (1 + len(shifts))  # columns: the group mean, its rotations, then person by person
    # within folds: what responses are standardised by differs between them, so no r reaches across
    r = {name: result.score(pred=pred, groups=result.fold).values for name, pred in result.pred.items()}
    everything = list(result.pred)[-1]
    return Story(
        regions=people[0].space.names,
        times=people[0].samples["time"].to_numpy(),
        fold=result.fold,
        true=result.true[:, :size],
        pred=result.pred[everything][:, :size],
        r=r[everything][:size],
        whole_run_r=result.score(pred=result.pred[everything]).values[:size],
        by_family=_by_family({name: values[:size] for name, values in r.items()}),
        people_r=r[everything][groups:].reshape(len(people), size),
        isc=_within(result.true[:, groups:].reshape(count, len(people), size), result.fold),
        null=r[everything][size:groups].reshape(len(shifts), size),
    )


def _by_family(r: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """The same, with the mean over exchanges in place of each."""
    controls = [values for name, values in r.items() if name.startswith(EXCHANGED)]
    if not controls:
        return r
    kept = {name: values for name, values in r.items() if not name.startswith(EXCHANGED)}
    last = kept.pop(VECTORS)
    return {**kept, EXCHANGED: np.mean(controls, axis=0), VECTORS: last}


def _within(people: NDArray[np.floating], fold: NDArray[np.int64]) -> NDArray[np.float64]:
    """[S, V] each person against the mean of the others, [N, S, V], within folds and averaged, as scores are."""
    parts = [leave_one_out_correlation(people[fold == part].swapaxes(0, 1)) for part in np.unique(fold)]
    return np.asarray(np.mean(parts, axis=0))


def _features(stimuli: Stimuli) -> dict[str, Features]:
    """Sound power, which came convolved, and words through a haemodynamic response; without word vectors if need be."""
    from fusiform.features.baselines.audio import Tracks
    from fusiform.features.baselines.language import Words
    from fusiform.features.extract import extract

    sound = extract(stimuli, Tracks("sound power", rate=0.5, hemodynamic=True))
    try:
        words = extract(stimuli, Words(rate=RATE))
    except MissingDataError:
        return {"sound": sound, "words": extract(stimuli, Words(rate=RATE, vectors=None)).hemodynamic()}
    found = {"sound": sound, "words": words.hemodynamic()}
    for seed in range(EXCHANGES):
        control = extract(stimuli, Words(rate=RATE, exchanged=seed), layers=["vectors"])
        found[f"{EXCHANGED} {seed}"] = control.hemodynamic()
    return found


def _families(pairs: Pairs) -> dict[str, list[str]]:
    """Name -> all features of the families up to it, of those that there are; before the vectors their control."""
    have = {name: [part for part in parts if part in pairs.features] for name, parts in FAMILIES.items()}
    names = [name for name, parts in have.items() if parts]
    families = {
        name: [part for before in names[:place] for part in have[before]] for place, name in enumerate(names, 1)
    }
    if VECTORS not in families:
        return families
    everything = families.pop(VECTORS)
    without = [part for part in everything if part not in FAMILIES[VECTORS]]
    controls = {name: [*without, name] for name in pairs.features if name.startswith(EXCHANGED)}
    return {**families, **controls, VECTORS: everything}


def _evaluate(
    features: dict[str, Features], people: list[Responses], shifts: Iterable[int], progress: bool
) -> Evaluation:
    pairs = pair(features, people[0])
    model = regressor("ridge", pairs, gap=GAP, device="cpu", model_args=None)
    folds = list(ContiguousFolds(FOLDS, GAP).split(people[0].samples))
    parts = []
    for train, test in tqdm(folds, desc="held-out blocks", disable=not progress):
        brains = replace(pairs, responses=_side_by_side(people, shifts, train))
        parts.append(evaluate(brains, "encode", model, [(train, test)], layers=_families(pairs)))
    return join(parts)


def _side_by_side(people: list[Responses], shifts: Iterable[int], train: NDArray[np.int64]) -> NDArray[np.float64]:
    """[N, (1 + K + S) V]: group mean, its K rotations, S people; standardised by the training rows alone."""
    volumes = np.stack([np.asarray(one.values) for one in people])  # [S, N, V]
    groups = [_standardised(np.roll(volumes, shift, axis=1), train).mean(0) for shift in (0, *shifts)]
    return np.concatenate([*groups, *_standardised(volumes, train)], axis=1)


def _standardised(volumes: NDArray[np.float64], train: NDArray[np.int64]) -> NDArray[np.float64]:
    seen = volumes[:, train]
    return np.asarray((volumes - seen.mean(1, keepdims=True)) / seen.std(1, keepdims=True))
