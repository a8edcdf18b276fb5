"""Reading single trials: memory beside the result, and speed beside that of the disk.

    python -m benchmarks.datasets                       # 10,000 trials x 15,724 voxels, and 2 x 163,842 vertices
    python -m benchmarks.datasets --tiny                # does it work?
    python -m benchmarks.datasets --jobs volume-hdf5 --sessions 4

Files are made as `nsd` publishes them (int16 in HDF5 and NIfTI, float32 in MGH; random numbers), once, in `--folder`.
Each job reads in a process of its own: the peak of its memory, less that before reading, over the bytes of the
responses; and the seconds of reading them, beside those of reading the files' bytes (unpacked, where they are packed)
with nothing done to them. Both are taken cold (the system is told to forget the files: the bytes come from the disk)
and warm (the files have just been read). The better of two: the first touch of memory that a virtual machine was not
lent yet costs more than reading does. Of a volume in HDF5 only a part is read.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.meters import peak_memory, reset_peak
from benchmarks.results import RESULTS, keep, machine

BETAS = "betas_fithrf_GLMdenoise_RR"
TRIALS = 750
JOBS = ("volume-hdf5", "volume-nifti", "fsaverage", "native")


@dataclass(frozen=True)
class Sizes:
    """What is made and read.

    Args:
        sessions: of 750 trials; 14 make 10,500.
        shape: of the volume.
        voxels: of the region that is read.
        vertices: of a hemisphere.
        surface_sessions: of the surfaces, whose sessions are larger.
    """

    sessions: int = 14
    shape: tuple[int, int, int] = (81, 104, 83)
    voxels: int = 15_724
    vertices: int = 163_842
    surface_sessions: int = 4


TINY = Sizes(2, (12, 14, 10), 300, 2000, 2)


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", default=",".join(JOBS), help="names, by commas")
    parser.add_argument("--sessions", type=int, default=None, help="of every job")
    parser.add_argument("--folder", type=Path, default=None, help="for the files, which are kept; else a temporary one")
    parser.add_argument("--tiny", action="store_true", help="small files, written nowhere unless --out is given")
    parser.add_argument("--out", type=Path, default=None)
    settings = parser.parse_args(arguments)
    sizes = TINY if settings.tiny else Sizes()
    if settings.sessions is not None:
        sizes = Sizes(**{**asdict(sizes), "sessions": settings.sessions, "surface_sessions": settings.sessions})
    with tempfile.TemporaryDirectory() as scratch:
        rows = [measure(name, sizes, (settings.folder or Path(scratch)) / name) for name in settings.jobs.split(",")]
    out = settings.out or (None if settings.tiny else RESULTS / "datasets.json")
    if out is not None:
        for row in rows:
            keep(out, machine(), row)
        print(f"written to {out}")


def measure(name: str, sizes: Sizes, folder: Path) -> dict[str, Any]:
    """One row of the table."""
    if not folder.exists():
        make(name, sizes, folder)
    code = f"import json; from benchmarks.datasets import read; print(json.dumps(read({name!r}, {sizes.vertices})))"
    found = json.loads(run(code, folder))
    row = {"job": name, **found, "memory_ratio": found["peak_bytes"] / found["result_bytes"]}
    for state in ("cold", "warm"):
        row[f"{state}_times_plain"] = found[f"{state}_seconds"] / found[f"{state}_plain_seconds"]
    print(
        f"{name:13} {found['shape'][0]:6} x {found['shape'][1]:7}  {found['result_bytes'] / 1e6:8.0f} MB  "
        f"memory {row['memory_ratio']:.2f} x  cold {found['cold_seconds']:6.1f} s ({row['cold_times_plain']:.2f} x the "
        f"files' bytes)  warm {found['warm_seconds']:6.1f} s ({row['warm_times_plain']:.2f} x)",
        flush=True,
    )
    return row


def run(code: str, folder: Path) -> str:
    """What a fresh process prints; its memory is nobody else's."""
    environment = os.environ | {"BENCHMARK_FOLDER": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True, env=environment
    ).stdout


def make(name: str, sizes: Sizes, folder: Path) -> None:
    """The files of one job, of subject 1."""
    write_design(folder)
    betas = folder / "nsddata_betas/ppdata/subj01"
    if name.startswith("volume"):
        write_region(folder, sizes)
        for session in range(1, sizes.sessions + 1):
            write_volume(betas / "func1pt8mm" / BETAS, session, sizes.shape, name.removeprefix("volume-"))
        return
    space, write = ("fsaverage", write_mgh) if name == "fsaverage" else ("nativesurface", write_surface)
    for session in range(1, sizes.surface_sessions + 1):
        for side in ("lh", "rh"):
            write(betas / space / BETAS, f"{side}.betas_session{session:02}", session, sizes.vertices)


def write_design(folder: Path) -> None:
    from scipy.io import savemat

    random = np.random.default_rng(0)
    shared, own = np.split(random.permutation(73_000) + 1, [1000])
    path = folder / "nsddata/experiments/nsd/nsd_expdesign.mat"
    path.parent.mkdir(parents=True)
    subjects = np.stack([np.concatenate([shared, rest]) for rest in own.reshape(8, 9000)])
    order = random.permutation(np.repeat(np.arange(10_000), 3))[None] + 1
    savemat(path, {"masterordering": order, "subjectim": subjects, "sharedix": shared[None]})


def write_region(folder: Path, sizes: Sizes) -> None:
    """`nsdgeneral`: the posterior voxels, compact as the real one is."""
    import nibabel

    x, y, z = np.indices(sizes.shape)
    distance = ((x / sizes.shape[0] - 0.5) ** 2 + (y / sizes.shape[1]) ** 2 + (z / sizes.shape[2] - 0.4) ** 2).ravel()
    mask = np.zeros(distance.size, np.int16)
    mask[np.argsort(distance)[: sizes.voxels]] = 1
    path = folder / "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz"
    path.parent.mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(mask.reshape(sizes.shape), np.diag([1.8, 1.8, 1.8, 1])), path)


def write_volume(folder: Path, session: int, shape: tuple[int, int, int], kind: str) -> None:
    import h5py
    import nibabel

    folder.mkdir(parents=True, exist_ok=True)
    random, name = np.random.default_rng(session), f"betas_session{session:02}"
    if kind == "nifti":
        values = random.integers(-900, 900, (*shape, TRIALS), dtype=np.int16)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / f"{name}.nii.gz")
        return
    with h5py.File(folder / f"{name}.hdf5", "w") as file:
        stored = file.create_dataset("betas", (TRIALS, *shape[::-1]), np.int16, chunks=(TRIALS, 1, 1, 1))
        for k in range(shape[2]):
            stored[:, k] = random.integers(-900, 900, (TRIALS, shape[1], shape[0]), dtype=np.int16)


def write_mgh(folder: Path, name: str, session: int, vertices: int) -> None:
    from nibabel.freesurfer.mghformat import MGHImage

    folder.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(session).standard_normal((vertices, 1, 1, TRIALS), dtype=np.float32)
    MGHImage(values, np.eye(4)).to_filename(folder / f"{name}.mgh")


def write_surface(folder: Path, name: str, session: int, vertices: int) -> None:
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(session)
    with h5py.File(folder / f"{name}.hdf5", "w") as file:
        stored = file.create_dataset("betas", (TRIALS, vertices), np.int16, chunks=(TRIALS, 1))
        for start in range(0, vertices, 4096):
            stored[:, start : start + 4096] = random.integers(
                -900, 900, (TRIALS, min(4096, vertices - start)), dtype=np.int16
            )


def read(name: str, vertices: int) -> dict[str, Any]:
    """Read one job's responses in this process, and say what it took."""
    import h5py  # noqa: F401  # their memory is not that of reading
    import nibabel  # noqa: F401
    import scipy.io  # noqa: F401

    import fusiform.datasets.nsd.targets as nsd_targets
    from fusiform.datasets.nsd import NSD

    nsd_targets.FSAVERAGE, folder = vertices, Path(os.environ["BENCHMARK_FOLDER"])
    space = {"fsaverage": "fsaverage", "native": "nativesurface"}.get(name, "func1pt8mm")
    dataset, files = NSD(root=folder, space=space), sorted((folder / "nsddata_betas").rglob("*.*"))
    row: dict[str, Any] = {}
    for state in ("cold", "warm"):
        plain, own = [], []
        for _ in range(2):
            forget(files if state == "cold" else [])
            plain.append(plain_seconds(files))
            forget(files if state == "cold" else [])
            seconds, found, peak = read_responses(dataset)
            own.append(seconds)
        row |= {f"{state}_seconds": min(own), f"{state}_plain_seconds": min(plain)}
    return {"shape": found, "result_bytes": found[0] * found[1] * 4, "peak_bytes": peak, **row}


def read_responses(dataset: Any) -> tuple[float, list[int], int]:
    """Seconds, shape, and the peak of memory beside what was held before."""
    before, began = reset_peak(), time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = dataset.responses("subj01").values
    return time.perf_counter() - began, list(values.shape), peak_memory() - before


def forget(files: Sequence[Path]) -> None:
    """Have the system drop what it keeps of files in memory."""
    for path in files:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def plain_seconds(files: Sequence[Path]) -> float:
    began = time.perf_counter()
    for path in files:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb", buffering=0) as file:
            while file.read(1 << 24):
                pass
    return time.perf_counter() - began


if __name__ == "__main__":
    main(sys.argv[1:])
