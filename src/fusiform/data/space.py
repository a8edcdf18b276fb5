"""Space: where targets live, be they mesh vertices, voxels or parcels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fusiform.data.meshes import on_spheres
from fusiform.errors import DataError
from fusiform.registry import did_you_mean

__all__ = ["Grid", "Space", "positions"]


@dataclass(frozen=True, eq=False)
class Grid:
    """The lattice that voxels are taken from.

    Args:
        shape: of the volume, [X, Y, Z].
        affine: [4, 4], voxel indices to mm, as in NIfTI.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]


@dataclass(frozen=True)
class Space:
    """Where V targets live.

    Args:
        name: of the space, such as `"fsaverage5"`.
        targets: V rows, in the order of the responses' columns. Known columns, all optional: `name`,
            `hemisphere` (`"left"`, `"right"`), `vertex` (index in that hemisphere's mesh), `i j k` (indices of a
            voxel), `x y z` (mm, in the volume or on the spheres of the hemispheres side by side), `ncsnr`, `roi` and
            further label columns.
        mesh: name of the mesh that `vertex` indexes, where there is one (`"fsaverage5"`).
        grid: the lattice that `i j k` index, where there is one.
    """

    name: str
    targets: pd.DataFrame
    mesh: str | None = None
    grid: Grid | None = None

    @classmethod
    def named(cls, name: str, targets: Sequence[str]) -> "Space":
        """A space of targets that have names and nothing else, such as regions."""
        return cls(name, pd.DataFrame({"name": list(targets)}))

    @classmethod
    def numbered(cls, name: str, size: int) -> "Space":
        """A space of `size` targets without known places, such as the voxels of a masked region."""
        return cls.named(name, [f"{name}-{number}" for number in range(size)])

    @classmethod
    def voxels(cls, name: str, mask: ArrayLike, affine: ArrayLike) -> "Space":
        """The voxels of a mask, in the order of `volume[mask]`: the last index runs fastest.

        Args:
            name: of the space.
            mask: [X, Y, Z], true inside.
            affine: [4, 4], voxel indices to mm.

        Raises:
            DataError: the mask is no volume, or the affine no [4, 4].
        """
        inside, matrix = np.asarray(mask, dtype=bool), np.asarray(affine, dtype=np.float64)
        if inside.ndim != 3 or matrix.shape != (4, 4):
            raise DataError(f"got a mask {inside.shape} and an affine {matrix.shape}; wanted [X, Y, Z] and (4, 4)")
        ijk = np.argwhere(inside)
        xyz = ijk @ matrix[:3, :3].T + matrix[:3, 3]
        columns = dict(zip("ijkxyz", [*ijk.T, *xyz.T], strict=True))
        x, y, z = inside.shape
        return cls(name, pd.DataFrame(columns), grid=Grid((x, y, z), matrix))

    @classmethod
    def vertices(cls, name: str, left: ArrayLike, right: ArrayLike, mesh: str | None = None) -> "Space":
        """Vertices of the left hemisphere, then of the right, each given by its index in that hemisphere's mesh.

        Those of an fsaverage mesh get their coordinates too, as `meshes.on_spheres` gives them.
        """
        sides = [np.asarray(side, dtype=np.int64) for side in (left, right)]
        hemisphere = np.repeat(["left", "right"], [len(side) for side in sides])
        vertex = np.concatenate(sides)
        places = on_spheres(mesh, hemisphere, vertex)
        return cls(name, pd.DataFrame({"hemisphere": hemisphere, "vertex": vertex, **places}), mesh)

    @property
    def size(self) -> int:
        """V, the number of targets."""
        return len(self.targets)

    @property
    def names(self) -> list[str]:
        """A name per target; its position where none was given."""
        if "name" in self.targets:
            return [str(name) for name in self.targets["name"]]
        return [str(number) for number in range(self.size)]

    def column(self, name: str) -> NDArray[Any]:
        """One column of the table, [V].

        Raises:
            DataError: the space does not have it.
        """
        if name not in self.targets:
            raise DataError(
                f"space {self.name!r} has no column {name!r}{did_you_mean(name, self.targets.columns)}; "
                f"it has: {', '.join(self.targets.columns) or 'none'}"
            )
        return self.targets[name].to_numpy()

    def coordinates(self) -> NDArray[np.float64]:
        """[V, 3] coordinates in mm.

        Raises:
            DataError: the targets have none.
        """
        if missing := [axis for axis in "xyz" if axis not in self.targets]:
            raise DataError(
                f"space {self.name!r} has no column {missing[0]!r}; wanted x, y and z in mm, which vertices of an "
                "fsaverage mesh and voxels of a volume have"
            )
        return np.column_stack([self.column(axis).astype(np.float64) for axis in "xyz"])

    def volume(self, values: ArrayLike) -> NDArray[np.float64]:
        """Values [V] put back into their volume, [X, Y, Z]; NaN where there is no target.

        Raises:
            DataError: the targets are no voxels, or are not V.
        """
        numbers = np.asarray(values, dtype=np.float64)
        if self.grid is None or numbers.shape != (self.size,):
            kind = "voxels of a grid" if self.grid is not None else "no voxels: they have no grid"
            raise DataError(
                f"got values {numbers.shape} for space {self.name!r}, whose {self.size} targets are {kind}; "
                "wanted one value for each voxel"
            )
        filled = np.full(self.grid.shape, np.nan)
        filled[tuple(self.column(axis) for axis in "ijk")] = numbers
        return filled

    def select(self, index: ArrayLike) -> "Space":
        """The space of some targets: positions (there may be none) or a mask [V]."""
        chosen = positions(index, self.size)
        return replace(self, targets=self.targets.iloc[chosen].reset_index(drop=True))


def positions(index: ArrayLike, count: int) -> NDArray[np.int64]:
    """Positions among `count` things, given as positions (from the end if negative) or as a mask [count]."""
    chosen = np.asarray(index)
    chosen = chosen.astype(np.int64) if chosen.shape == (0,) and chosen.dtype.kind == "f" else chosen  # what [] becomes
    found: NDArray[np.int64] = np.arange(count)[chosen]
    return found
