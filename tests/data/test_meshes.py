"""fsaverage meshes are one icosahedron, halved again and again: what nilearn ships of it tells the rule."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial import KDTree

from fusiform.data import Space
from fusiform.data.meshes import HEMISPHERES, MESH, MESHES, VERTICES, Mesh, halved, mesh_of, on_spheres, sphere_of
from fusiform.datasets.simulated.cortex import places
from fusiform.errors import DataError

LEVELS = (12, 42, 162, 642, 2562, 10242, 40962, 163842)  # vertices of icosahedra
ROUNDED = 0.01  # mm; nilearn's places are off the sphere by as much


def coarser(faces):
    """[F / 4, 3] the faces that were halved, read from where FreeSurfer puts the four parts of each."""
    first, others = np.split(faces, [len(faces) // 4])
    others = others.reshape(-1, 3, 3)
    return np.stack([first[:, 0], others[:, 2, 1], others[:, 0, 2]], axis=1)


def test_both_hemispheres_have_one_sphere():
    left, right = (mesh_of("sphere", side) for side in HEMISPHERES)
    np.testing.assert_array_equal(left.points, right.points)
    np.testing.assert_array_equal(left.faces, right.faces)
    np.testing.assert_array_equal(sphere_of(MESH), left.points)


@pytest.mark.parametrize(("coarse", "fine"), list(pairwise(LEVELS[:6])))
def test_meshes_are_nested(coarse, fine):
    """The vertices that a level adds lie in the middle between two neighbours among those before."""
    points = mesh_of("sphere", "left").points
    near = KDTree(points[:coarse]).query(points[coarse:fine], k=2)[1]
    middles = points[near].sum(axis=1)
    middles *= 100 / np.linalg.norm(middles, axis=1, keepdims=True)
    assert np.linalg.norm(middles - points[coarse:fine], axis=1).max() < 2 * ROUNDED


def test_twenty_faces_halved_five_times_are_fsaverage5():
    """Every vertex at its place, every face in its row: the rule of the levels that are here."""
    whole = mesh_of("sphere", "left")
    faces = [whole.faces]
    for _ in range(5):
        faces.insert(0, coarser(faces[0]))
    assert faces[0].shape == (20, 3)
    made = Mesh(whole.points[:12], faces[0])
    for level, wanted in enumerate(faces[1:], 1):
        made = halved(made)
        np.testing.assert_array_equal(made.faces, wanted)
        assert len(made.points) == LEVELS[level]
    assert np.linalg.norm(made.points - whole.points, axis=1).max() < 2 * ROUNDED


@pytest.mark.parametrize("mesh", MESHES)
def test_every_sphere_is_even_and_begins_as_fsaverage5(mesh):
    points = sphere_of(mesh)
    assert len(points) == MESHES[mesh] in LEVELS
    shared = min(VERTICES, len(points))
    np.testing.assert_array_equal(points[:shared], sphere_of(MESH)[:shared])
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 100, atol=ROUNDED)
    apart = KDTree(points).query(points, k=2)[0][:, 1]
    assert apart.max() < 1.3 * apart.min()


def test_what_is_halved_stays_as_it_was():
    whole = mesh_of("sphere", "left")
    points, faces = whole.points.copy(), whole.faces.copy()
    halved(whole)
    np.testing.assert_array_equal(whole.points, points)
    np.testing.assert_array_equal(whole.faces, faces)


@pytest.mark.parametrize("mesh", [MESH, "fsaverage6", "fsaverage", "fsaverage7"])
def test_nested_vertices_lie_where_nilearn_has_them(mesh):
    """On spheres that stand side by side, 240 mm apart."""
    vertices = np.random.default_rng(0).permutation(VERTICES)[:500]
    space = Space.vertices("some", vertices, vertices[:99], mesh)
    wanted = mesh_of("sphere", "left").points[np.concatenate([vertices, vertices[:99]])]
    wanted = wanted + np.repeat([[-120.0, 0, 0], [120.0, 0, 0]], [500, 99], axis=0)
    np.testing.assert_allclose(space.coordinates(), wanted, atol=1e-9)


def test_the_simulated_cortex_stands_there_too():
    table = places()
    found = on_spheres(MESH, table["hemisphere"], table["vertex"])
    for axis in "xyz":
        np.testing.assert_allclose(found[axis], table[axis], atol=ROUNDED)


def test_no_two_vertices_of_a_finest_mesh_coincide():
    whole = np.arange(MESHES["fsaverage"])
    points = Space.vertices("all", whole, whole, "fsaverage").coordinates()
    assert KDTree(points).query(points, k=2)[0][:, 1].min() > 0.5  # mm


@pytest.mark.parametrize("mesh", [None, "subj01-native"])
def test_vertices_of_other_meshes_have_no_place(mesh):
    space = Space.vertices("native", [0, 1], [2], mesh)
    assert set(space.targets) == {"hemisphere", "vertex"}
    with pytest.raises(
        DataError, match=r"'native' has no column 'x'; wanted x, y and z in mm, which vertices of an fs"
    ):
        space.coordinates()


@pytest.mark.parametrize("strange", [-1, 10242])
def test_a_vertex_that_the_mesh_lacks_has_no_place(strange):
    assert on_spheres(MESH, ["left", "left"], [0, strange]) == {}
    assert on_spheres(MESH, ["left", "both"], [0, 1]) == {}
    assert all(len(places) == 0 for places in on_spheres(MESH, [], []).values())


def test_places_are_not_shared():
    """Whoever moves them moves nobody else's."""
    on_spheres(MESH, ["left"], [3])["x"][:] = 0
    assert on_spheres(MESH, ["left"], [3])["x"] == pytest.approx(sphere_of(MESH)[3, 0] - 120)
