"""fusiform links deep networks and the human brain, both ways.

Datasets give stimuli and responses; features describe stimuli; pairs join the two; models learn; scores judge;
plots show. Every name here is imported from its module when it is first used, so importing fusiform costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusiform.data import (
        ArraySound,
        ArrayVideo,
        Features,
        FileSound,
        FileVideo,
        Recording,
        Responses,
        Space,
        Stimuli,
        Track,
    )
    from fusiform.datasets import load_dataset
    from fusiform.features.extract import extract
    from fusiform.features.store import FeatureStore
    from fusiform.features.tokens import Tokens, as_backbone, hook_layers, load_backbone
    from fusiform.models.folds import ContiguousFolds, cross_predict
    from fusiform.models.neural import NeuralEncoder
    from fusiform.models.ridge import BandedRidgeCV, Ridge, RidgeCV
    from fusiform.pairs import Pairs, pair
    from fusiform.plots.surface import flatmap, inflated
    from fusiform.recipes.decode import decode
    from fusiform.recipes.demo import demo
    from fusiform.recipes.encode import encode
    from fusiform.recipes.run import Run
    from fusiform.scores import Scores, noise_ceiling, r_ceiling, retrieval, score

__all__ = [
    "ArraySound",
    "ArrayVideo",
    "BandedRidgeCV",
    "ContiguousFolds",
    "FeatureStore",
    "Features",
    "FileSound",
    "FileVideo",
    "NeuralEncoder",
    "Pairs",
    "Recording",
    "Responses",
    "Ridge",
    "RidgeCV",
    "Run",
    "Scores",
    "Space",
    "Stimuli",
    "Tokens",
    "Track",
    "as_backbone",
    "cross_predict",
    "decode",
    "demo",
    "encode",
    "extract",
    "flatmap",
    "hook_layers",
    "inflated",
    "load_backbone",
    "load_dataset",
    "noise_ceiling",
    "pair",
    "r_ceiling",
    "retrieval",
    "score",
]

_HOMES = {
    "fusiform.data": (
        *("ArraySound", "ArrayVideo", "FileSound", "FileVideo"),
        *("Features", "Recording", "Responses", "Space", "Stimuli", "Track"),
    ),
    "fusiform.datasets": ("load_dataset",),
    "fusiform.features.extract": ("extract",),
    "fusiform.features.store": ("FeatureStore",),
    "fusiform.features.tokens": ("Tokens", "as_backbone", "hook_layers", "load_backbone"),
    "fusiform.models.folds": ("ContiguousFolds", "cross_predict"),
    "fusiform.models.neural": ("NeuralEncoder",),
    "fusiform.models.ridge": ("BandedRidgeCV", "Ridge", "RidgeCV"),
    "fusiform.pairs": ("Pairs", "pair"),
    "fusiform.plots.surface": ("flatmap", "inflated"),
    "fusiform.recipes.decode": ("decode",),
    "fusiform.recipes.demo": ("demo",),
    "fusiform.recipes.encode": ("encode",),
    "fusiform.recipes.run": ("Run",),
    "fusiform.scores": ("Scores", "noise_ceiling", "r_ceiling", "retrieval", "score"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'fusiform' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
