"""The layouts of MindEye and MindEye2 in miniature: subject 1, few pictures and voxels.

From the systems' descriptions of their data: folders and names; members of a sample share a key; voxels are float16,
one array a trial in `webdataset` (1-D, and the whole volume), three repeats a picture in `webdataset_avg_split`, where
those that were never shown repeat the first; `coco73k` and `num_uniques` there only; behaviour of 17 columns, of which
the first is the picture from 0, the third and fourth the session and run from 1, the sixth the row of the responses.
"""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SUBJECT = "subj01"
VOXELS = 11  # 15,724 in truth
VOLUME = (3, 4, 2)  # (81, 104, 83)
AVERAGED = {"train": 2, "val": 1, "test": 2}  # tars of each split
SINGLE = {"train": 6, "val": 2}
PER_TAR = 4
REPEATS = (3, 2, 1, 3)  # of the pictures of every tar
PICTURES, SHARED = 16, 4  # of MindEye2: the last four are shared
TRIALS = 3 * PICTURES
SESSIONS = 2


def write(folder: Path) -> None:
    """Write all three layouts into `folder`, which becomes the root."""
    write_averaged(folder)
    write_single(folder)
    write_behaviour(folder)


def write_averaged(folder: Path) -> None:
    """`webdataset_avg_split`: a sample per picture."""
    place, number = folder / "webdataset_avg_split", 0
    for split, tars in AVERAGED.items():
        for tar in range(tars):
            samples = {}
            for _ in range(PER_TAR):
                samples[f"sample{number:09}"] = {
                    "jpg": picture_bytes(number),
                    "nsdgeneral.npy": array(averaged_voxels(number)),
                    "coco73k.npy": array(np.array([coco(number)])),
                    "num_uniques.npy": array(np.array([REPEATS[number % PER_TAR]])),
                    "trial.npy": array(np.array([number])),
                }
                number += 1
            write_tar(place / split / f"{split}_{SUBJECT}_{tar}.tar", samples)
    totals = {split: PER_TAR * tars for split, tars in AVERAGED.items()}
    (place / f"metadata_{SUBJECT}.json").write_text(json.dumps({"totals": totals}))


def write_single(folder: Path) -> None:
    """`webdataset`: a sample per trial; every picture of a tar is shown twice."""
    place, trial = folder / "webdataset", 0
    for split, tars in SINGLE.items():
        for tar in range(tars):
            samples = {}
            for _ in range(PER_TAR):
                samples[f"sample{trial:09}"] = {
                    "jpg": picture_bytes(100 + trial // 2),
                    "nsdgeneral.npy": array(single_voxels(trial)),
                    "wholebrain_3d.npy": array(single_volume(trial)),
                    "trial.npy": array(np.array(trial)),
                }
                trial += 1
            write_tar(place / split / f"{split}_{SUBJECT}_{tar}.tar", samples)
    totals = {split: PER_TAR * tars for split, tars in SINGLE.items()}
    (place / f"metadata_{SUBJECT}.json").write_text(json.dumps({"totals": totals}))


def write_behaviour(folder: Path) -> None:
    """MindEye2: a tar per session for training, one for the test; responses and pictures in HDF5."""
    rows = behaviour()
    shared = rows[:, 16] == 1
    for session in range(SESSIONS):
        write_trials(folder, f"train/{session}.tar", rows[~shared & (rows[:, 2] == session + 1)])
    write_trials(folder, "new_test/0.tar", rows[shared])
    write_trials(folder, "test/0.tar", rows[shared & (rows[:, 2] == 1)])
    with h5py.File(folder / f"betas_all_{SUBJECT}_fp32_renorm.hdf5", "w") as file:
        file["betas"] = betas()
    with h5py.File(folder / "coco_images_224_float16.hdf5", "w") as file:
        images = file.create_dataset("images", (73_000, 3, 224, 224), np.float16, chunks=(1, 3, 224, 224))
        for number in np.unique(rows[:, 0].astype(int)):
            images[number] = np.moveaxis(np.full((224, 224, 3), [number % 200, 7, 250]) / 255, -1, 0)


def write_trials(folder: Path, name: str, rows: NDArray[np.float64]) -> None:
    samples = {}
    for row in rows:
        others = {f"{what}_behav.npy": array(np.full((15, 17), -1.0)) for what in ("past", "future")}
        samples[f"sample{int(row[5]):09}"] = {
            "behav.npy": array(row[None]),
            **others,
            "olds_behav.npy": array(np.full((1, 17), -1.0)),
        }
    write_tar(folder / "wds" / SUBJECT / name, samples)


def behaviour() -> NDArray[np.float64]:
    """[trials, 17]: 0 picture, 1 subject, 2 session, 3 run, 4 trial of the run, 5 row of the responses, 16 shared."""
    rows = np.full((TRIALS, 17), -1.0)
    trial = np.arange(TRIALS)
    shown = np.random.default_rng(5).permutation(np.repeat(np.arange(PICTURES), 3))
    rows[:, 0] = 1000 * shown + 7
    rows[:, 1], rows[:, 2] = 1, trial // (TRIALS // SESSIONS) + 1
    rows[:, 3], rows[:, 4], rows[:, 5] = trial % (TRIALS // SESSIONS) // 6 + 1, trial % 6 + 1, trial
    rows[:, 16] = shown >= PICTURES - SHARED
    return rows


def betas() -> NDArray[np.float32]:
    return np.random.default_rng(6).normal(size=(TRIALS, VOXELS)).astype(np.float32)


def coco(number: int) -> int:
    """The picture of a sample of `webdataset_avg_split`, of the 73,000."""
    return 500 * number + 3


def averaged_voxels(number: int) -> NDArray[np.float16]:
    """[3, V]: repeats, and the first again for those that were never shown."""
    rows = np.random.default_rng([1, number]).normal(size=(3, VOXELS)).astype(np.float16)
    rows[REPEATS[number % PER_TAR] :] = rows[0]
    return rows


def single_trials() -> int:
    """All of `webdataset`, 2 of each picture."""
    return PER_TAR * sum(SINGLE.values())


def single_voxels(trial: int) -> NDArray[np.float16]:
    return np.random.default_rng([2, trial]).normal(size=VOXELS).astype(np.float16)


def single_volume(trial: int) -> NDArray[np.float16]:
    return np.random.default_rng([3, trial]).normal(size=VOLUME).astype(np.float16)


def picture_bytes(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (256, 256), ((37 * number) % 256, number % 256, 128)).save(file, "JPEG")
    return file.getvalue()


def array(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def write_tar(path: Path, samples: dict[str, dict[str, bytes]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for key, members in samples.items():
            for suffix, content in members.items():
                add(tar, f"{key}.{suffix}", content)


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
