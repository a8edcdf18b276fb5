"""Values of some vertices over the whole cortex: everyone's own, and the nearest one's."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import KDTree

from fusiform.data import Space
from fusiform.errors import DataError
from fusiform.plots.filling import fill
from fusiform.plots.meshes import HEMISPHERES, MESH, MESHES, VERTICES, mesh_of, sphere_of


def whole():
    sides = np.repeat(HEMISPHERES, VERTICES)
    return Space(MESH, pd.DataFrame({"hemisphere": sides, "vertex": np.tile(np.arange(VERTICES), 2)}), MESH)


def some(count=300, sides=HEMISPHERES):
    rng = np.random.default_rng(0)
    vertices = np.concatenate([rng.permutation(VERTICES)[:count] for _ in sides])
    return Space("some", pd.DataFrame({"hemisphere": np.repeat(sides, count), "vertex": vertices}), MESH)


def test_every_vertex_of_a_whole_brain_keeps_its_value():
    values = np.random.default_rng(0).normal(size=2 * VERTICES)
    filled, note = fill(values, whole())
    np.testing.assert_array_equal(np.concatenate([filled["left"], filled["right"]]), values)
    assert note == ""


def test_the_others_take_the_value_of_the_nearest_on_the_sphere():
    space = some()
    values = np.random.default_rng(1).permutation(600)
    filled, note = fill(values, space)
    for number, side in enumerate(HEMISPHERES):
        points = mesh_of("sphere", side).points
        here = slice(number * 300, number * 300 + 300)
        apart = np.linalg.norm(points[:, None] - points[space.column("vertex")[here]], axis=2)  # [10242, 300] mm
        taken = (filled[side][:, None] == values[here]).argmax(1)  # whose value it is: each is there once
        np.testing.assert_array_equal(filled[side], values[here][taken])
        np.testing.assert_allclose(apart[np.arange(VERTICES), taken], apart.min(1))
    assert note == "600 of 20,484 vertices; others nearby take the nearest one's value"


@pytest.mark.parametrize("mesh", ["fsaverage6", "fsaverage"])
def test_the_first_vertices_of_a_finer_mesh_are_drawn(mesh):
    count = MESHES[mesh]
    values = np.random.default_rng(0).normal(size=2 * count)
    values[[3, count + 5]] = np.nan
    filled, note = fill(values, Space.vertices(mesh, np.arange(count), np.arange(count), mesh))
    for side, numbers in zip(HEMISPHERES, np.split(values, 2), strict=True):
        np.testing.assert_array_equal(filled[side], numbers[:VERTICES])
    assert note == f"{2 * count:,} vertices of {mesh}; drawn are those of fsaverage5, the first 10,242 of a hemisphere"


@pytest.mark.parametrize("mesh", ["fsaverage4", "fsaverage6", "fsaverage"])
def test_what_some_vertices_of_another_mesh_lack_is_the_nearest_ones_on_its_sphere(mesh):
    vertices = np.sort(np.random.default_rng(0).permutation(MESHES[mesh])[:400])
    values = np.random.default_rng(1).permutation(400).astype(float)
    filled, note = fill(values, Space.vertices("some", vertices, [], mesh))
    away = np.linalg.norm(sphere_of(MESH)[:, None] - sphere_of(mesh)[vertices], axis=2)  # [10242, 400] mm
    taken = np.argsort(values)[filled["left"].astype(int)]  # whose value it is: values are 0 to 399
    np.testing.assert_allclose(away[np.arange(VERTICES), taken], away.min(axis=1))  # some are equally near to two
    own = vertices[vertices < VERTICES]
    np.testing.assert_array_equal(filled["left"][own], values[: len(own)])
    assert np.isnan(filled["right"]).all()
    assert note.startswith(f"400 of {MESHES[mesh]:,} vertices of {mesh}, drawn on fsaverage5; others nearby take")


def test_a_region_of_the_finest_mesh_has_no_hole_and_no_halo():
    """As the challenge of 2023 gives it: the back of the brain, and of it every other vertex."""
    place = KDTree(sphere_of(MESH)).query(sphere_of("fsaverage"))[1]
    behind = mesh_of("inflated", "left").points[:, 1] < -50  # [10242]
    vertices = np.random.default_rng(0).permutation(np.flatnonzero(behind[place]))[::2]
    filled, _ = fill(np.ones(len(vertices)), Space.vertices("region", np.sort(vertices), [], "fsaverage"))
    painted = np.isfinite(filled["left"])
    assert painted[behind].all()
    assert painted.sum() < 1.1 * behind.sum()


def test_a_region_stays_a_region():
    brain = whole()
    behind = np.concatenate([mesh_of("inflated", side).points[:, 1] for side in HEMISPHERES]) < -50
    filled, _ = fill(np.ones(behind.sum()), brain.select(behind))
    painted = np.isfinite(np.concatenate([filled[side] for side in HEMISPHERES]))
    assert painted[behind].all()
    assert painted.sum() < 1.35 * behind.sum()  # a seam of a few vertices, and nothing of the front
    alone, _ = fill([0.3], brain.select([7]))
    assert np.flatnonzero(np.isfinite(alone["left"])).tolist() == [7]


@pytest.mark.parametrize("count", [40, 300, 8000])
def test_scattered_vertices_leave_no_hole(count):
    filled, _ = fill(np.ones(count), whole().select(np.random.default_rng(0).permutation(2 * VERTICES)[:count]))
    assert all((filled[side] == 1).all() for side in HEMISPHERES)


def test_what_cannot_be_placed_is_refused():
    space = some(3)
    with pytest.raises(DataError, match=r"shape \(5,\).*\[6\]"):
        fill(np.zeros(5), space)
    with pytest.raises(DataError, match=r"'regions' cannot be drawn.*has no mesh.*charts\.bars"):
        fill(np.zeros(2), Space.named("regions", ["V1", "V2"]))
