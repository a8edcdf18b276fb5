"""Surfaces seen from a side, against what is known of a sphere."""

import numpy as np
import pytest

from fusiform.plots.camera import SIDE, Shot, inflated_shot, look, together
from fusiform.plots.meshes import Mesh, mesh_of

WIDE = (-110.0, 110.0, -110.0, 110.0)
RADIUS = 100.0


def sphere():
    return mesh_of("sphere", "left")


def small(factor, middle):
    return Mesh(sphere().points * factor + middle, sphere().faces)


def middles(extent, step):
    """Places of the middles of pixels across and up, in mm."""
    left, right, low, high = extent
    return np.meshgrid(np.arange(left + step / 2, right, step), np.arange(low + step / 2, high, step))


@pytest.mark.parametrize("azimuth", [0, 37, 90, 200])
@pytest.mark.parametrize("step", [1.0, 2.5])
def test_a_sphere_is_seen_where_it_is(azimuth, step):
    shot = look(sphere(), azimuth, WIDE, step)
    across, up = middles(WIDE, step)
    away = np.hypot(across, up)
    assert (shot.vertex[away < 0.985 * RADIUS] >= 0).all()  # the faces cut the sphere's corners
    assert (shot.vertex[away > 1.001 * RADIUS] == -1).all()
    inside = away < 0.9 * RADIUS
    depth = np.sqrt(RADIUS**2 - away[inside] ** 2)
    angle = np.deg2rad(azimuth)
    right, toward = np.array([np.cos(angle), np.sin(angle), 0]), np.array([np.sin(angle), -np.cos(angle), 0])
    true = across[inside, None] * right + depth[:, None] * toward + up[inside, None] * (0, 0, 1)
    error = np.linalg.norm(sphere().points[shot.vertex[inside]] - true, axis=1)
    assert error.max() < 4.0  # mm; vertices are about that far apart
    np.testing.assert_allclose(shot.shade[inside], depth / RADIUS, atol=0.03)


@pytest.mark.parametrize("order", [1, -1])
def test_the_nearest_of_two_is_seen_whichever_comes_first(order):
    """A small sphere behind the head (y below zero) hides a part of the large one from behind, and not from ahead."""
    near, far = small(0.2, (0.0, -150.0, 0.0)), sphere()
    first, second = (near, far)[::order]
    both = Mesh(
        np.concatenate([first.points, second.points]), np.concatenate([first.faces, second.faces + len(first.points)])
    )
    ours = np.arange(len(both.points)) < len(first.points)
    near_one = ours if order == 1 else ~ours
    across, up = middles(WIDE, 2.0)
    behind, ahead = (look(both, azimuth, WIDE, 2.0).vertex for azimuth in (0, 180))
    inside = np.hypot(across, up) < 19
    assert near_one[behind[inside]].all()
    assert not near_one[behind[(np.hypot(across, up) > 21) & (behind >= 0)]].any()
    assert not near_one[ahead[inside]].any()


def test_faces_that_look_away_are_not_seen():
    """Of a sphere turned inside out only the far half looks this way."""
    inward = Mesh(sphere().points, sphere().faces[:, ::-1])
    shot = look(inward, 0, WIDE, 2.0)
    assert (sphere().points[shot.vertex[shot.vertex >= 0], 1] > -1).all()


def test_a_part_is_the_part_of_the_whole():
    whole, part = look(sphere(), 20, WIDE, 1.0), look(sphere(), 20, (-10.0, 90.0, -110.0, 10.0), 1.0)
    np.testing.assert_array_equal(part.vertex, whole.vertex[:120, 100:200])
    np.testing.assert_allclose(part.shade, whole.shade[:120, 100:200])
    assert (look(sphere(), 0, (200.0, 240.0, 0.0, 40.0), 1.0).vertex == -1).all()


def test_pixels_have_the_colours_of_their_vertices_darker_where_they_turn_away():
    shot = Shot(np.array([[0, 1], [-1, 0]]), np.array([[1.0, 0.5], [0.0, 0.0]]))
    colours = np.array([[1.0, 0.5, 0.0, 1.0], [0.2, 0.4, 0.6, 1.0]])
    kept = colours.copy()
    image = shot.coloured(colours)
    np.testing.assert_allclose(image[0, 0], [1.0, 0.5, 0.0, 1.0])
    np.testing.assert_allclose(image[0, 1], [0.2 * 0.825, 0.4 * 0.825, 0.6 * 0.825, 1.0])
    np.testing.assert_allclose(image[1, 1], [0.65, 0.325, 0.0, 1.0])
    assert image[1, 0, 3] == 0
    np.testing.assert_array_equal(colours, kept)


@pytest.mark.parametrize("side", [-1, 1])
def test_inflated_hemispheres_are_seen_whole_from_both_sides(side):
    shot, extent = inflated_shot("left", side)
    assert extent == SIDE
    seen = shot.vertex >= 0
    assert not seen[[0, -1]].any()
    assert not seen[:, [0, -1]].any()
    points = mesh_of("inflated", "left").points
    rows, columns = np.nonzero(seen)
    assert side * np.corrcoef(columns, points[shot.vertex[seen], 1])[0, 1] > 0.99  # the front is right from the right
    assert np.corrcoef(rows, points[shot.vertex[seen], 2])[0, 1] > 0.99
    assert (side * points[shot.vertex[seen], 0]).mean() > 0


def test_hemispheres_stand_side_by_side_around_the_middle():
    mesh = together()
    left, right = np.split(mesh.points, 2)
    assert right[:, 0].min() - left[:, 0].max() == pytest.approx(4)
    np.testing.assert_allclose(mesh.points.min(0) + mesh.points.max(0), 0, atol=1e-9)
    for side, points, faces in zip(("left", "right"), (left, right), np.split(mesh.faces, 2), strict=True):
        own = mesh_of("inflated", side)
        np.testing.assert_allclose(points - points[0], own.points - own.points[0], atol=1e-9)
        np.testing.assert_array_equal(faces - (10242 if side == "right" else 0), own.faces)
