"""Files of a folder are read in blocks: the blocks change nothing, and little is held beside the result."""

import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
from layouts import folder as layout

from fusiform.data import Responses
from fusiform.datasets.folder import Folder
from fusiform.errors import LayoutError

ROWS, TARGETS = 600, 2000
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def values(count: int = ROWS, targets: int = TARGETS) -> np.ndarray:
    """[N, V] float32, another mean and scale for every target."""
    random = np.random.default_rng(0)
    return (random.normal(size=(count, targets)) * (1 + np.arange(targets)) + 5).astype(np.float32)


def described(folder: Path, about: str, count: int = ROWS, regions: int = TARGETS) -> Folder:
    """A folder whose responses are those of `about`, in two regions: the first tenth, and the others."""
    shown = [f"0{number % layout.PICTURES:02}" for number in range(count)]
    pd.DataFrame({"stimulus": shown, "run": np.arange(count) % 3}).to_csv(folder / "sub-01/trials.csv", index=False)
    area = np.where(np.arange(regions) < regions // 10, "V1", "V2")
    pd.DataFrame({"area": area}).to_csv(folder / "areas.csv", index=False)
    text = layout.DESCRIPTION.replace('files: "{subject}/betas.npy"', about)
    (folder / "dataset.yaml").write_text(text)
    return Folder(folder)


def npy(folder: Path) -> str:
    np.save(folder / "sub-01/one.npy", values())
    return "files: sub-01/one.npy"


def two_npy(folder: Path) -> str:
    for number, part in enumerate(np.split(values(), [250])):
        np.save(folder / f"sub-01/{number}.npy", part)
    return "files: [sub-01/0.npy, sub-01/1.npy]"


def turned_npy(folder: Path) -> str:
    np.save(folder / "sub-01/turned.npy", values().T)
    return "files: sub-01/turned.npy\n  transpose: true"


def h5(folder: Path, **storage: Any) -> str:
    import h5py

    with h5py.File(folder / "sub-01/betas.h5", "w") as file:
        file.create_dataset("betas", data=values(), **storage)
    return "files: sub-01/betas.h5"


def packed_h5(folder: Path) -> str:
    return h5(folder, chunks=(ROWS, 7), compression="gzip", compression_opts=1)


def mgh(folder: Path) -> str:
    for side, part in zip(("lh", "rh"), np.split(values(), [900], axis=1), strict=True):
        image = nibabel.freesurfer.MGHImage(part.T.reshape(part.shape[1], 1, 1, ROWS), np.eye(4))
        nibabel.save(image, folder / f"sub-01/{side}.mgh")
    return "left: sub-01/lh.mgh\n  right: sub-01/rh.mgh"


def cifti(folder: Path, count: int = ROWS) -> str:
    from nibabel.cifti2 import BrainModelAxis, SeriesAxis

    brain = BrainModelAxis.from_surface(np.arange(TARGETS), TARGETS, name="cortex_left")
    image = nibabel.Cifti2Image(values(count), (SeriesAxis(0, 1, count), brain))
    nibabel.save(image, folder / "sub-01/betas.dtseries.nii")
    return "files: sub-01/betas.dtseries.nii"


def gifti(folder: Path) -> str:
    for side, part in zip(("lh", "rh"), np.split(values(), [900], axis=1), strict=True):
        arrays = [nibabel.gifti.GiftiDataArray(row) for row in part]
        nibabel.save(nibabel.gifti.GiftiImage(darrays=arrays), folder / f"sub-01/{side}.func.gii")
    return "left: sub-01/lh.func.gii\n  right: sub-01/rh.func.gii"


FORMATS: dict[str, Callable[[Path], str]] = {
    "npy": npy,
    "two npy": two_npy,
    "turned npy": turned_npy,
    "h5": h5,
    "h5 of columns": packed_h5,
    "mgh": mgh,
    "cifti": cifti,
    "gifti": gifti,
}
IN_MEMORY = [name for name in FORMATS if name not in ("npy", "turned npy", "gifti", "cifti")]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    layout.write(tmp_path / "mine")
    return tmp_path / "mine"


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 40,000 numbers: a thirtieth of the file."""
    for module in ("datasets.folder.stored", "data.responses"):
        monkeypatch.setattr(f"fusiform.{module}.BLOCK", 40_000)


def peak(action: Callable[[], Responses]) -> tuple[Responses, int]:
    """What is read, and how many bytes were held at most meanwhile, the result among them."""
    action()  # imports
    gc.collect()
    tracemalloc.start()
    try:
        return action(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", FORMATS)
class TestBlocks:
    def test_all_is_read(self, mine: Path, name: str) -> None:
        found = described(mine, FORMATS[name](mine)).responses("sub-01")
        np.testing.assert_array_equal(found.values, values())

    def test_a_region_is_its_columns(self, mine: Path, name: str) -> None:
        found = described(mine, FORMATS[name](mine)).responses("sub-01", rois=["V2"])
        np.testing.assert_array_equal(found.values, values()[:, TARGETS // 10 :])

    def test_standardised(self, mine: Path, name: str) -> None:
        found = described(mine, FORMATS[name](mine) + "\n  zscore: run").responses("sub-01")
        for run in range(3):
            part = values()[run::3].astype(np.float64)
            np.testing.assert_allclose(found.values[run::3], (part - part.mean(0)) / part.std(0), atol=1e-4)


@pytest.mark.usefixtures("small_blocks")
class TestMemory:
    @pytest.mark.parametrize("name", IN_MEMORY)
    @pytest.mark.parametrize("more", ["", "\n  zscore: all", "\n  drop_nan: true"])
    def test_little_is_held_besides_the_result(self, mine: Path, name: str, more: str) -> None:
        dataset = described(mine, FORMATS[name](mine) + more)
        found, most = peak(lambda: dataset.responses("sub-01"))
        assert found.values.shape == (ROWS, TARGETS)
        assert most < 1.2 * found.values.nbytes + 1.5e6  # tables and targets

    @pytest.mark.parametrize("name", [*IN_MEMORY, "npy"])
    def test_a_region_holds_little(self, mine: Path, name: str) -> None:
        dataset = described(mine, FORMATS[name](mine) + "\n  zscore: run")
        found, most = peak(lambda: dataset.responses("sub-01", rois=["V1"]))
        assert found.values.shape == (ROWS, TARGETS // 10)
        assert most < 1.2 * found.values.nbytes + 1.5e6  # where the file has 4.8 MB

    def test_grayordinates_in_two_files(self, mine: Path) -> None:
        once = cifti(mine, 2000)
        (mine / "sub-01/again.dtseries.nii").write_bytes((mine / "sub-01/betas.dtseries.nii").read_bytes())
        about = once.replace("files: sub-01/", "zscore: all\n  files: [sub-01/again.dtseries.nii, sub-01/") + "]"
        dataset = described(mine, about, 4000)
        found, most = peak(lambda: dataset.responses("sub-01"))
        assert found.values.shape == (4000, TARGETS)
        assert most < 1.2 * found.values.nbytes + 5e6  # what nibabel takes to read the head

    def test_volumes_without_a_mask_hold_their_brain_only(self, mine: Path) -> None:
        side, count, inside = 32, 60, 500
        volume = np.zeros((side**3, count), dtype=np.float32)
        volume[1000 : 1000 + inside] = values(count, inside).T
        nibabel.save(nibabel.Nifti1Image(volume.reshape(side, side, side, count), AFFINE), mine / "sub-01/v.nii")
        dataset = described(mine, "files: sub-01/v.nii", count, inside)
        found, most = peak(lambda: dataset.responses("sub-01"))
        np.testing.assert_array_equal(found.values, values(count, inside))
        assert most < 3e6  # of 7.9 MB in the file


class TestGifti:
    def halves(self, mine: Path, arrays: Callable[[np.ndarray], list[np.ndarray]]) -> Folder:
        for side, part in (("lh", layout.betas(0)[:, :4]), ("rh", layout.betas(0)[:, 4:])):
            listed = [nibabel.gifti.GiftiDataArray(one) for one in arrays(part)]
            nibabel.save(nibabel.gifti.GiftiImage(darrays=listed), mine / f"sub-01/{side}.gii")
        old, new = 'files: "{subject}/betas.npy"', 'left: "{subject}/lh.gii"\n  right: "{subject}/rh.gii"'
        (mine / "dataset.yaml").write_text((mine / "dataset.yaml").read_text().replace(old, new))
        return Folder(mine)

    def test_a_series_may_be_one_array(self, mine: Path) -> None:
        dataset = self.halves(mine, lambda part: [np.ascontiguousarray(part.T)])
        np.testing.assert_array_equal(dataset.responses("sub-01").values, layout.betas(0))

    def test_or_an_array_of_one_column_a_row(self, mine: Path) -> None:
        dataset = self.halves(mine, lambda part: [row[:, None] for row in part])
        np.testing.assert_array_equal(dataset.responses("sub-01").values, layout.betas(0))

    @pytest.mark.parametrize(
        ("arrays", "said"),
        [
            (lambda part: [part.T[:, None]], r"lh\.gii holds arrays \(4, 1, 36\); wanted one \[vertices\] per row"),
            (lambda part: [], r"lh\.gii holds arrays \(\); wanted one \[vertices\] per row"),
            (lambda part: [*part[:-1], part[-1][:1]], r"lh\.gii holds arrays of several sizes, or not as many as it"),
        ],
        ids=["three axes", "none", "uneven"],
    )
    def test_others_are_refused(self, mine: Path, arrays: Any, said: str) -> None:
        dataset = self.halves(mine, arrays)
        with pytest.raises(LayoutError, match=said):
            dataset.responses("sub-01")


def test_volumes_of_five_axes_are_refused(mine: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.ones((2, 2, 2, 1, 36), np.float32), AFFINE), mine / "sub-01/betas.nii")
    text = (mine / "dataset.yaml").read_text().replace("betas.npy", "betas.nii")
    (mine / "dataset.yaml").write_text(text)
    with pytest.raises(LayoutError, match=r"has the shape \(2, 2, 2, 1, 36\); wanted \[X, Y, Z\] or \[X, Y, Z, rows\]"):
        Folder(mine).responses("sub-01")
