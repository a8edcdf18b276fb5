"""What recipes do on their way: describe stimuli, pair, prepare a model."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fusiform.data import Features, Responses, Stimuli
from fusiform.datasets import Dataset
from fusiform.errors import DataError, SettingsError
from fusiform.files import cache_folder
from fusiform.models.folds import ContiguousFolds, Split
from fusiform.pairs import Pairs, pair
from fusiform.recipes.evaluate import layers_of, splits_of
from fusiform.recipes.settings import Brain, NamedNetwork
from fusiform.registry import did_you_mean, find

__all__ = [
    "Material",
    "averaged",
    "folds_of",
    "inner_folds",
    "material",
    "one_thread",
    "regressor",
    "repeated_stimuli",
    "shapes_of",
    "store_folder",
]


BLOCK = 1 << 24  # numbers of responses that are looked at in one go


@dataclass(frozen=True)
class Material:
    """What a recipe works on.

    Args:
        dataset: it came from.
        subject: whose brain.
        stimuli: that were shown.
        trials: responses before repeats were averaged.
        features: name of the set in the feature store that describes the stimuli.
        pairs: features and responses, repeats averaged if so wished.
        truth: what was planted, a row per target, or None.
    """

    dataset: Dataset
    subject: str
    stimuli: Stimuli
    trials: Responses
    features: str | None
    pairs: Pairs
    truth: pd.DataFrame | None


def material(
    brain: Brain,
    network: NamedNetwork,
    *,
    layers: Sequence[str] | None = None,
    hemodynamic: bool = False,
    lags: Sequence[float] = (0.0,),
    window: float | None = None,
    placed: bool = False,
) -> Material:
    """Load a dataset, describe its stimuli and pair them with one subject's responses; settings as in `encode`.

    Targets must have coordinates if `placed`: better to say so before the time for features is spent.
    """
    with brain.opened() as source:
        subject = brain.subject or source.subjects[0]
        trials = source.responses(subject, part=brain.part, rois=brain.rois)
        _check_usable(trials, subject)
        if placed and not np.isfinite(trials.space.coordinates()).all():
            raise DataError(
                f"some targets of the space {trials.space.name!r} have no coordinates (x, y and z are NaN), such as "
                "vertices in CIFTI; give surfaces of an fsaverage mesh, or voxels of a volume"
            )
        stimuli = _shown(source.stimuli(brain.part), trials)
        features = _features(stimuli, network, layers)
    features = features.hemodynamic() if hemodynamic else features
    samples = trials if brain.single_trials else averaged(trials)
    pairs = pair(features, samples, lags=tuple(lags), window=window)
    truth = _planted(source, subject, brain.part, pairs)
    return Material(source, subject, stimuli, trials, features.name, pairs, truth)


def _check_usable(responses: Responses, subject: str) -> None:
    """Refuse responses that no model can learn from, before the time for features is spent."""
    if not len(responses) or not responses.space.size:
        raise DataError(
            f"the responses of {subject!r} have the shape {tuple(responses.values.shape)}; wanted one sample and one "
            "target at least: check masks, drop_nan and rois"
        )
    step = max(1, BLOCK // responses.space.size)
    starts = range(0, len(responses), step)
    bad = sum((~np.isfinite(responses.values[start : start + step])).sum(axis=0) for start in starts)  # [V]
    if (wrong := np.flatnonzero(bad)).size:
        names = [responses.space.names[target] for target in wrong[:3]]
        raise DataError(
            f"the responses of {subject!r} hold {np.sum(bad)} NaN or infinite values, in {len(wrong)} of "
            f"{responses.space.size} targets ({', '.join(names)}{', ...' * (len(wrong) > 3)}); leave them out: "
            "drop_nan: true in a dataset.yaml of your own, else regions without them as --rois"
        )


def _planted(source: Dataset, subject: str, part: str | None, pairs: Pairs) -> pd.DataFrame | None:
    """The truth of one subject at the targets of the pairs, which may be some of all; None where nothing is planted,
    or another network was: one that has none of these layers.
    """
    truth, space = source.truth(part), pairs.space
    if truth is None or ("layer" in truth and not truth["layer"].isin(list(layers_of(pairs))).any()):
        return None
    truth = truth[truth["subject"] == subject] if "subject" in truth else truth
    if len(truth) != space.size:  # regions were chosen
        place = ["hemisphere", "vertex"]
        truth = space.targets[place].merge(truth, on=place, how="left", validate="one_to_one")
    return truth.reset_index(drop=True)


def averaged(trials: Responses) -> Responses:
    """One sample per stimulus (and moment), within each split."""
    return trials.average_repeats(("stimulus", *(["split"] if "split" in trials.samples else [])))


def shapes_of(features: Features) -> dict[str, list[int]]:
    """The shape of a row of every layer."""
    return {layer: list(array.shape[1:]) for layer, array in features.arrays.items()}


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread inside: a great many small problems only wait for each other's threads."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def store_folder() -> Path:
    """Where features are kept unless told otherwise: `features` in the cache folder."""
    return cache_folder() / "features"


def regressor(name: str, pairs: Pairs, *, gap: int, device: str, model_args: Mapping[str, Any] | None) -> Any:
    """A pipeline of standardisation and the named model, whose own folds suit the samples.

    Time series get contiguous folds with a gap; else the samples of one stimulus stay together. Both steps learn from
    the rows they are fitted on only.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    make = find("model", name)
    known = inspect.signature(make).parameters
    arguments = {"cv": inner_folds(pairs, gap), "device": device}
    arguments = {key: value for key, value in arguments.items() if key in known} | dict(model_args or {})
    if unknown := [key for key in arguments if key not in known]:
        raise SettingsError(
            f"model {name!r} takes no argument {unknown[0]!r}{did_you_mean(unknown[0], known)}; "
            f"it takes: {', '.join(known)}"
        )
    return make_pipeline(StandardScaler(), make(**arguments))


def repeated_stimuli(pairs: Pairs) -> pd.Series | None:
    """[N] the stimulus of each sample where some are shown more than once, for folds that keep them together."""
    stimulus = pairs.samples["stimulus"]
    return None if stimulus.is_unique or "time" in pairs.samples else stimulus


def inner_folds(pairs: Pairs, gap: int, count: int = 5) -> Any:
    """The splitter by which a model chooses its settings within training rows."""
    from sklearn.model_selection import GroupKFold

    if "time" in pairs.samples:
        return ContiguousFolds(count, gap)
    groups = repeated_stimuli(pairs)
    return count if groups is None else GroupKFold(min(count, groups.nunique() - 1))


def folds_of(pairs: Pairs, folds: int, gap: int) -> list[Split]:
    """The dataset's test split, or folds that are contiguous in time or leave whole stimuli out."""
    from sklearn.model_selection import GroupKFold

    stimuli = pairs.samples["stimulus"].nunique()
    if "time" in pairs.samples:
        return splits_of(pairs, ContiguousFolds(folds, gap))
    if stimuli < 2:
        raise DataError("all samples show one stimulus; nothing can be learned from it about another")
    return splits_of(pairs, GroupKFold(min(folds, stimuli)))


def _shown(stimuli: Stimuli, responses: Responses) -> Stimuli:
    """The stimuli that have responses, in the order of the table."""
    shown = set(responses.samples["stimulus"])
    return stimuli.select([id for id in stimuli.ids if id in shown])


def _features(stimuli: Stimuli, network: NamedNetwork, layers: Sequence[str] | None) -> Features:
    from fusiform.features.extract import extract
    from fusiform.features.store import FeatureStore

    store = FeatureStore(store_folder())
    return extract(
        stimuli,
        network.load(),
        store,
        layers=layers,
        reduce=network.reduce,
        device=network.device,
        progress=True,
    )
