"""What the report of a run shows: no space is without a figure, and where there is no map the caption says why."""

import numpy as np
import pandas as pd
import pytest

from fusiform.data import Space
from fusiform.recipes.evaluate import Evaluation
from fusiform.recipes.sections import encoding_sections
from fusiform.scores import Scores

SUMMARY = {"controls": {"shuffled_r": 0.0}, "scores": {"mean_r": 0.5, "targets": 1}}
VOXELS = Space.voxels("voxels", np.ones((5, 5, 4), dtype=bool), np.eye(4))
FSAVERAGE = Space.vertices("fsaverage", np.arange(60), np.arange(40), "fsaverage")
FSLR = Space.vertices("fsLR", np.arange(60), np.arange(40), "fsLR")


def pictures(space, values=None):
    """Name -> picture of all sections, for a run with two layers."""
    random = np.random.default_rng(0)
    true, *pred = random.normal(size=(3, 12, space.size))
    layers = {"a": pred[0], "b": pred[1]}
    fit = {"a": random.normal(size=space.size), "b": random.normal(size=space.size)}
    result = Evaluation(np.arange(12), np.zeros(12, np.int64), true, np.zeros_like(true), layers, fit, pred[0])
    scores = Scores(np.linspace(-1, 1, space.size) if values is None else values, "pearson", space)
    sections = encoding_sections(SUMMARY, result, scores)
    return {picture.name: picture for section in sections for picture in section.pictures}


@pytest.mark.parametrize("space", [VOXELS, FSAVERAGE])
def test_where_targets_have_places_there_are_maps(space):
    found = pictures(space)
    assert set(found) == {"map", "layers", "layer_map"}
    assert "no map" not in found["map"].caption
    assert found["map"].png
    bar = found["layer_map"].figure.axes[-1]
    assert [tick.get_text() for tick in bar.get_yticklabels()] == ["a", "b"]


@pytest.mark.parametrize(
    ("space", "why"),
    [
        (FSLR, "'fsLR' has no vertices of an fsaverage mesh"),
        (Space.numbered("mask", 100), "'mask' has neither a mesh nor a grid"),
        (Space.vertices("other", [10242, *range(99)], [], "fsaverage5"), "'other' names 10242"),
    ],
)
def test_where_they_have_none_a_distribution_says_why(space, why):
    found = pictures(space)
    assert set(found) == {"distribution", "layers"}
    assert why in found["distribution"].caption


def test_few_targets_are_bars():
    found = pictures(Space.named("regions", ["V1", "V2"]))
    assert set(found) == {"regions", "layers"}
    assert [tick.get_text() for tick in found["regions"].figure.axes[0].get_xticklabels()] == ["V1", "V2"]


def test_many_targets_of_few_regions_have_a_bar_for_each_region():
    space = Space.numbered("mask", 100)
    labelled = Space("mask", pd.DataFrame({"name": space.names, "roi": np.repeat(["V1", "FFA", ""], [50, 30, 20])}))
    found = pictures(labelled, values=np.repeat([0.4, 0.2, np.nan], [50, 30, 20]))
    assert set(found) == {"distribution", "regions", "layers"}
    ax = found["regions"].figure.axes[0]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["V1", "FFA", "none"]
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], [0.4, 0.2, np.nan])
