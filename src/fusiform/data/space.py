"""Space: where targets live, be they mesh vertices, voxels or parcels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fusiform.errors import DataError
from fusiform.registry import did_you_mean

__all__ = ["Space"]


@dataclass(frozen=True)
class Space:
    """Where V targets live.

    Args:
        name: of the space, such as `"fsaverage5"`.
        targets: V rows, in the order of the responses' columns. Known columns, all optional: `name`,
            `hemisphere` (`"left"`, `"right"`), `vertex` (index in that hemisphere's mesh), `x y z`
            (coordinates on the sphere or in the volume, mm), `roi` and further label columns.
        mesh: name of the mesh that `vertex` indexes, where there is one (`"fsaverage5"`).
    """

    name: str
    targets: pd.DataFrame
    mesh: str | None = None

    @classmethod
    def named(cls, name: str, targets: Sequence[str]) -> "Space":
        """A space of targets that have names and nothing else, such as regions."""
        return cls(name, pd.DataFrame({"name": list(targets)}))

    @classmethod
    def numbered(cls, name: str, size: int) -> "Space":
        """A space of `size` targets without known places, such as the voxels of a masked region."""
        return cls.named(name, [f"{name}-{number}" for number in range(size)])

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
        """[V, 3] coordinates in mm."""
        return np.column_stack([self.column(axis).astype(np.float64) for axis in "xyz"])

    def select(self, index: ArrayLike) -> "Space":
        """The space of some targets: positions, a slice's worth of them, or a mask [V]."""
        chosen = np.arange(self.size)[np.asarray(index)]
        return Space(self.name, self.targets.iloc[chosen].reset_index(drop=True), self.mesh)
