"""What is mapped of a table, and with which colours."""

import numpy as np
import pandas as pd
import pytest

from fusiform.recipes.selectors.quantities import measured, quantities
from fusiform.scores import Scores

LAYERS = ["a", "b", "c"]


def table_of(count, places=2):
    random = np.random.default_rng(0)
    table = pd.DataFrame({"layer_index": np.arange(count) % 3, "mean_layer": random.uniform(0, 2, count)})
    table["layer"] = np.array(LAYERS)[table["layer_index"]]
    table["confidence"] = random.uniform(size=count)
    for axis in "xyt"[:places]:
        table[f"center_{axis}"] = random.uniform(-1, 1, count)
    if places > 1:
        table["polar_angle"], table["eccentricity"] = random.uniform(-180, 180, count), random.uniform(size=count)
    table["scale"], table["cluster"] = random.uniform(size=count), np.arange(count) % 4
    table["similarity"] = random.uniform(size=count)
    for layer, share in zip(LAYERS, random.dirichlet([1, 1, 1], count).T, strict=True):
        table[f"share:{layer}"] = share
    return measured(table, Scores(random.uniform(size=count), "pearson", None))


def test_what_the_table_lacks_is_left_out():
    assert [one.name for one in quantities(LAYERS, table_of(8, places=0))] == [
        *("layer", "mean_layer", "confidence", "scale", "cluster", "similarity", "score")
    ]
    assert "center_t" in [one.name for one in quantities(LAYERS, table_of(8, places=3))]


def test_categories_are_as_many_as_there_are():
    looks = {one.name: one.look for one in quantities(LAYERS, table_of(8))}
    assert looks["layer"]["categories"] == LAYERS
    assert looks["cluster"]["categories"] == ["0", "1", "2", "3"]
    assert [name for name, look in looks.items() if "categories" in look] == ["layer", "cluster"]


def test_every_quantity_says_how_to_read_it():
    found = quantities(LAYERS, table_of(8, places=3))
    assert len({one.caption for one in found}) == len(found)
    assert all(len(one.caption) > 40 and one.look["label"] for one in found)


def test_places_are_coloured_as_far_as_they_reach_alike_to_both_sides():
    table = table_of(200).assign(center_x=np.linspace(-0.2, 0.4, 200), center_y=0.0, eccentricity=0.3)
    looks = {one.name: one.look for one in quantities(LAYERS, table)}
    assert looks["center_x"]["limits"] == pytest.approx((-0.394, 0.394), abs=2e-3)
    assert looks["center_y"]["limits"] == (-0.05, 0.05)  # never narrower
    assert looks["eccentricity"]["limits"] == pytest.approx((0, 0.3))
