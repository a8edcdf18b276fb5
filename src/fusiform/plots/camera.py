"""A surface seen from a side: the vertex that each pixel shows, and how much the surface there turns to the viewer."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fusiform.plots.meshes import HEMISPHERES, Extent, Floats, Mesh, mesh_of

__all__ = ["Shot", "inflated_shot", "look", "together"]

SIDE = (-112.0, 112.0, -78.0, 78.0)  # mm: an inflated hemisphere from its side
DIM, LIGHT = 0.65, 0.35  # of the colour is left where the surface turns away, and is added where it faces the viewer
APART = 4.0  # mm between hemispheres that are seen together
ROUNDING = 1e-9
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Shot:
    """What a camera sees of a surface.

    Args:
        vertex: [H, W] nearest vertex of what each pixel shows, from below to above; -1 beside the surface.
        shade: [H, W] cosine of the angle between the surface and the viewer: 1 faces the viewer.
    """

    vertex: Ints
    shade: Floats

    def coloured(self, colours: NDArray[np.float64]) -> NDArray[np.float64]:
        """Vertices' RGBA [N, 4] to an image [H, W, 4], darker where the surface turns away and clear beside it."""
        image = colours[self.vertex]  # a new array; the last vertex for -1, which is overwritten
        image[..., :3] *= (DIM + LIGHT * self.shade)[..., None]
        image[self.vertex < 0] = (1.0, 1.0, 1.0, 0.0)  # white: what is clear still mixes at an edge that is resized
        return image


def look(mesh: Mesh, azimuth: float, extent: Extent, step: float) -> Shot:
    """See a closed surface from afar, at its height; of what lies behind one another the nearest is seen.

    Each triangle that faces the viewer is filled pixel by pixel, and of all triangles at a pixel the nearest one stays
    (a z-buffer; Catmull 1974, A Subdivision Algorithm for Computer Display of Curved Surfaces).

    Args:
        mesh: whose faces turn counter-clockwise seen from outside; z is up.
        azimuth: degrees that the viewer went around it: 0 stands behind (x to the right), 90 on the right side.
        extent: left, right, bottom, top of what is seen, in mm across and up.
        step: of a pixel, in mm.
    """
    left, right, low, high = extent
    height, width = round((high - low) / step), round((right - left) / step)
    seen = mesh.points @ _camera(azimuth).T  # [N, 3]: right, up, towards the viewer
    pixels = (seen[:, :2] - (left, low)) / step - 0.5  # whole numbers are the middles of pixels
    faces = mesh.faces[_areas(pixels[mesh.faces]) > 0]
    face, place, share = _covered(pixels[faces], width, height)
    order = np.argsort((share * seen[faces[face], 2]).sum(1), kind="stable")
    nearest = np.full(height * width, -1)
    nearest[place[order]] = order  # where a place comes again, the last one stays
    return _shot(nearest.reshape(height, width), faces[face], share, _normals(mesh) @ _camera(azimuth)[2])


@cache
def inflated_shot(hemisphere: str, side: int, step: float = 0.5) -> tuple[Shot, Extent]:
    """An inflated hemisphere of fsaverage5 from the left (-1) or the right (1), and its extent in mm."""
    return look(mesh_of("inflated", hemisphere), 90.0 * side, SIDE, step), SIDE


@cache
def together() -> Mesh:
    """Both inflated hemispheres side by side around the origin: the left one's 10,242 vertices, then the right's."""
    left, right = (mesh_of("inflated", hemisphere) for hemisphere in HEMISPHERES)
    aside = left.points[:, 0].max() + APART / 2, right.points[:, 0].min() - APART / 2
    points = np.concatenate([part.points - (shift, 0.0, 0.0) for part, shift in zip((left, right), aside, strict=True)])
    middle = (points.min(0) + points.max(0)) / 2
    return Mesh(points - middle, np.concatenate([left.faces, right.faces + len(left.points)]))


def _camera(azimuth: float) -> Floats:
    """Directions that are to the right, up and towards the viewer, as rows."""
    sine, cosine = np.sin(np.deg2rad(azimuth)), np.cos(np.deg2rad(azimuth))
    return np.array([[cosine, sine, 0.0], [0.0, 0.0, 1.0], [sine, -cosine, 0.0]])


def _areas(corners: Floats) -> Floats:
    """Twice the areas of triangles [F, 3, 2], above zero where they turn counter-clockwise."""
    (a, b), (c, d) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    return np.asarray(a * d - b * c)


def _covered(corners: Floats, width: int, height: int) -> tuple[Ints, Ints, Floats]:
    """The pixels whose middles lie in triangles.

    Args:
        corners: [F, 3, 2] in pixels, counter-clockwise.
        width: of the image.
        height: of the image.

    Returns:
        for each of P hits the triangle [P], the pixel (row times width plus column) [P], and the weights of the three
        corners there [P, 3].
    """
    low = np.maximum(np.ceil(corners.min(1)), 0).astype(np.int64)
    high = np.minimum(np.floor(corners.max(1)), (width - 1, height - 1)).astype(np.int64)
    size = np.where((high >= low).all(1), (high - low).max(1) + 1, 0)  # of the square that holds it
    found = [_in_squares(corners, low, np.flatnonzero(size == side), side) for side in np.unique(size[size > 0])]
    face, column, row, share = (np.concatenate(part) for part in zip(_NO_HIT, *found, strict=True))
    inside = (column < width) & (row < height)  # a square may reach over the edge
    return face[inside], (row * width + column)[inside], share[inside]


_NO_HIT = (*(np.empty(0, np.int64) for _ in range(3)), np.empty((0, 3)))


def _in_squares(corners: Floats, low: Ints, which: Ints, side: int) -> tuple[Ints, Ints, Ints, Floats]:
    """Hits among the pixels of squares of one size: triangle, column, row, weights."""
    row, column = np.divmod(np.arange(side * side), side)
    places = low[which, None] + np.stack([column, row], axis=1)  # [F, side^2, 2]
    here = corners[which]
    ends = np.roll(here, -1, axis=1), np.roll(here, -2, axis=1)  # the edge opposite to each corner
    along = (ends[1] - ends[0])[:, None]  # [F, 1, 3, 2]
    away = places[:, :, None] - ends[0][:, None]  # [F, side^2, 3, 2]
    share = (along[..., 0] * away[..., 1] - along[..., 1] * away[..., 0]) / _areas(here)[:, None, None]
    face, place = np.nonzero((share >= -ROUNDING).all(2))  # an edge that two triangles share leaves no gap
    hit = places[face, place]
    return which[face], hit[:, 0], hit[:, 1], share[face, place]


def _shot(nearest: Ints, corners: Ints, share: Floats, facing: Floats) -> Shot:
    """The vertex and the shade of every pixel from the hit that is nearest there."""
    shown = nearest >= 0
    hit = nearest[shown]
    vertex, shade = np.full(nearest.shape, -1), np.zeros(nearest.shape)
    vertex[shown] = corners[hit, share[hit].argmax(1)]
    shade[shown] = (share[hit] * facing[corners[hit]]).sum(1).clip(0, 1)
    return Shot(vertex, shade)


def _normals(mesh: Mesh) -> Floats:
    """[N, 3] of unit length, outwards: means of those of the faces around each vertex, by their areas."""
    corners = mesh.points[mesh.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.stack(
        [np.bincount(mesh.faces.ravel(), np.repeat(axis, 3), len(mesh.points)) for axis in across.T], axis=1
    )
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(normals / np.where(length > 0, length, 1))
