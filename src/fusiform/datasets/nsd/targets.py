"""All voxels or vertices that a subject's betas have, their regions, and which of them are asked for."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusiform.data import Space
from fusiform.datasets.base import reading
from fusiform.datasets.nsd.atlases import Atlas, inside, read_atlas, read_map, regions_in
from fusiform.datasets.nsd.betas import Place
from fusiform.datasets.nsd.imaging import opened_image
from fusiform.datasets.nsd.layout import Layout
from fusiform.datasets.nsd.surface import FSAVERAGE, Vertices, mesh_sizes
from fusiform.datasets.nsd.volume import Voxels
from fusiform.errors import DataError, LayoutError

__all__ = ["SurfaceTargets", "Targets", "VolumeTargets", "surface_targets", "volume_targets"]

Index = NDArray[np.int64]
USUAL = "nsdgeneral"
STREAMS = "streams"
EVERYTHING = "brain"


@dataclass(frozen=True, eq=False)
class Targets(ABC):
    """T targets, of which some are read.

    Args:
        name: of the space.
        atlases: over all T.
        ncsnr: [T], where it was published.
    """

    name: str
    atlases: Mapping[str, Atlas]
    ncsnr: NDArray[np.float64] | None

    def chosen(self, rois: Sequence[str] | None, region: str | None) -> Index:
        """Positions of the targets of some regions, ascending.

        Args:
            rois: regions, of which the union is taken.
            region: what is taken where there are no `rois`.

        Raises:
            UnknownNameError: there is no such region.
            DataError: this subject has none of it.
        """
        wanted = [region or self.usual()] if rois is None else rois
        if isinstance(wanted, str) or not len(wanted):
            raise DataError(f"rois are {wanted!r}; wanted a list of one region at least, such as ['nsdgeneral']")
        mask = self.brain() if EVERYTHING in wanted else inside(self.atlases, wanted)
        if not mask.any():
            raise DataError(f"{self.name} has no target in {', '.join(wanted)}; ask for other regions")
        return np.flatnonzero(mask)

    def space(self, chosen: Index, region: str | None) -> Space:
        """Where some targets live, with a column for every atlas, their `roi` in one of them, and their ncsnr.

        The atlas of `roi` is that of the streams, which every subject has, else that of the `region` of `chosen`.
        """
        bare = self.bare(chosen)
        columns = {name: atlas.column(chosen) for name, atlas in self.atlases.items()}
        atlas = STREAMS if STREAMS in self.atlases else region or self.usual()
        columns |= {"roi": regions_in(self.atlases, atlas, chosen)} if atlas in self.atlases else {}
        snr = {} if self.ncsnr is None else {"ncsnr": self.ncsnr[chosen]}
        return replace(bare, targets=bare.targets.assign(**columns, **snr))

    def usual(self) -> str:
        """The region that is read unless others are asked for."""
        return EVERYTHING

    @abstractmethod
    def brain(self) -> NDArray[np.bool_]:
        """[T] where there are betas."""

    @abstractmethod
    def bare(self, chosen: Index) -> Space:
        """Where some targets live."""

    @abstractmethod
    def places(self, chosen: Index) -> list[Place]:
        """How to read them: a place for each file of a session."""


@dataclass(frozen=True, eq=False)
class VolumeTargets(Targets):
    """Voxels, in the order of `volume.ravel()`.

    Args:
        mask: [X, Y, Z] where there are betas.
        affine: [4, 4], voxel indices to mm.
    """

    mask: NDArray[np.bool_]
    affine: NDArray[np.float64]

    def usual(self) -> str:
        """A whole volume of single trials fits into few machines."""
        return USUAL

    def brain(self) -> NDArray[np.bool_]:
        """[T] the brain mask."""
        return self.mask.ravel()

    def bare(self, chosen: Index) -> Space:
        """With the columns `i j k x y z`."""
        taken = np.zeros(self.mask.size, dtype=bool)
        taken[chosen] = True
        return Space.voxels(self.name, taken.reshape(self.mask.shape), self.affine)

    def places(self, chosen: Index) -> list[Place]:
        """One file a session."""
        x, y, z = self.mask.shape
        return [Voxels(np.stack(np.unravel_index(chosen, self.mask.shape), axis=1), (x, y, z))]


@dataclass(frozen=True, eq=False)
class SurfaceTargets(Targets):
    """Vertices, those of the left hemisphere first.

    Args:
        sizes: vertices of the left and the right hemisphere.
        mesh: its name.
    """

    sizes: tuple[int, int]
    mesh: str

    def brain(self) -> NDArray[np.bool_]:
        """[T] everywhere."""
        return np.ones(sum(self.sizes), dtype=bool)

    def bare(self, chosen: Index) -> Space:
        """With the columns `hemisphere` and `vertex`, and on fsaverage `x y z` on the spheres."""
        return Space.vertices(self.name, *self.sides(chosen), mesh=self.mesh)

    def places(self, chosen: Index) -> list[Place]:
        """A file of the left hemisphere, and one of the right."""
        return [Vertices(side, size) for side, size in zip(self.sides(chosen), self.sizes, strict=True)]

    def sides(self, chosen: Index) -> tuple[Index, Index]:
        """Vertices of the left and of the right hemisphere."""
        left = self.sizes[0]
        return chosen[chosen < left], chosen[chosen >= left] - left


def volume_targets(files: Layout, subject: str, space: str, betas: str, session: tuple[Path, ...]) -> VolumeTargets:
    """The voxels of a subject's volume.

    Args:
        files: of the copy.
        subject: whose.
        space: `func1pt8mm` or `func1mm`.
        betas: the version whose ncsnr is meant.
        session: the files of any session.

    Raises:
        LayoutError: files are damaged, have different shapes, or none says where the voxels lie.
    """
    found, brain = files.atlases(subject, space), files.brain(subject, space)
    known = [*([brain] if brain.is_file() else []), *(path for paths in found.values() for path in paths), *session]
    shape, affine = _grid(known)
    atlases = {name: read_atlas(name, paths, files.table(subject, name), [shape]) for name, paths in found.items()}
    mask = read_map(brain, shape) > 0 if brain.is_file() else np.ones(shape, dtype=bool)
    return VolumeTargets(
        f"{subject}-{space}", atlases, _ncsnr(files.ncsnr(subject, space, betas), [shape]), mask, affine
    )


def surface_targets(files: Layout, subject: str, space: str, betas: str, session: tuple[Path, ...]) -> SurfaceTargets:
    """The vertices of both hemispheres; arguments as in `volume_targets`.

    Raises:
        LayoutError: files are damaged or have another number of vertices.
    """
    sizes = mesh_sizes(session)
    if space == "fsaverage" and sizes != (FSAVERAGE, FSAVERAGE):
        raise LayoutError(f"{session[0].parent} has hemispheres of {sizes} vertices; fsaverage has {FSAVERAGE} each")
    shapes = [(size,) for size in sizes]
    found = files.atlases(subject, space)
    atlases = {name: read_atlas(name, paths, files.table(subject, name), shapes) for name, paths in found.items()}
    mesh = "fsaverage" if space == "fsaverage" else f"{subject}-native"
    return SurfaceTargets(
        f"{subject}-{space}", atlases, _ncsnr(files.ncsnr(subject, space, betas), shapes), sizes, mesh
    )


def _grid(known: Sequence[Path]) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Shape and affine of the volume, by a NIfTI file of it: betas in HDF5 have no affine."""
    path = next((one for one in known if one.suffix != ".hdf5"), None)
    if path is None:
        raise LayoutError(
            f"{known[-1]} does not say where its voxels lie; copy brainmask.nii.gz or the masks of roi/ too"
        )
    with reading(path), opened_image(path) as image:
        x, y, z = image.shape[:3]
        return (x, y, z), np.asarray(image.affine, dtype=np.float64)


def _ncsnr(files: tuple[Path, ...], shapes: Sequence[tuple[int, ...]]) -> NDArray[np.float64] | None:
    if not files:
        return None
    maps = [read_map(path, shape).ravel() for path, shape in zip(files, shapes, strict=True)]
    return np.nan_to_num(np.concatenate(maps).astype(np.float64))  # NaN where there is no brain: nothing to be had
