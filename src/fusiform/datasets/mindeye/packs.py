"""The packs of MindEye: tars whose samples hold a picture and the voxels' responses to it.

`webdataset` (2023, first) has a trial per sample, `webdataset_avg_split` (the release) a picture per sample with its
repeats, padded to three; `num_uniques`, where there is one, says how many are real.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.datasets.base import reading
from fusiform.datasets.mindeye.remote import Folder
from fusiform.datasets.mindeye.tars import Member, read_array, tar_samples
from fusiform.datasets.nsd.design import PICTURES, picture_id
from fusiform.errors import LayoutError, MissingDataError
from fusiform.files import read_json

__all__ = ["PACKS", "Item", "items", "pictures_of", "read_items"]

PACKS = {"webdataset_avg_split": ("train", "val", "test"), "webdataset": ("train", "val")}  # splits of each
INDICES = "COCO_73k_subj_indices.hdf5"  # subject -> picture of every trial, of the 73,000


@dataclass(frozen=True)
class Item:
    """One sample of a pack.

    Args:
        stimulus: its id, that of `nsd` where the picture's number is known, else from the picture's bytes.
        split: it is in.
        trial: its number.
        picture: what was shown.
        voxels: [V], or [repeats, V].
        repeats: real ones, if it is said.
    """

    stimulus: str
    split: str
    trial: int
    picture: Member
    voxels: Member
    repeats: int | None


def items(folder: Folder, pack: str, subject: str, voxels: str) -> list[Item]:
    """All samples of one subject, split by split, in the order of the tars.

    Args:
        folder: that holds the pack.
        pack: one of `PACKS`.
        subject: such as `subj01`.
        voxels: `nsdgeneral` or `wholebrain_3d`.

    Raises:
        MissingDataError: there are no tars.
        LayoutError: a tar is damaged or missing, or a sample incomplete.
    """
    name_of = _namer(folder, pack, subject)
    found = [
        _item(key, members, split, voxels, name_of)
        for split in PACKS[pack]
        for tar in folder.shards(f"{pack}/{split}/{split}_{subject}_{{}}.tar")
        for key, members in tar_samples(tar)
    ]
    if not found:
        folder.doubt()
        raise MissingDataError(
            f"no tar of {subject} was found at {folder.address} (wanted {pack}/train/train_{subject}_0.tar); give "
            "root= the folder that holds them, or another subject or layout"
        )
    _check_totals(folder, pack, subject, found)
    return found


def read_items(found: Sequence[Item]) -> tuple[NDArray[np.float32], pd.DataFrame, tuple[int, ...]]:
    """Responses and the story of every row: values [N, V], samples, and the shape of one response as it is stored.

    Raises:
        LayoutError: an array is damaged, has another shape, or fewer repeats than said.
    """
    shape = _rows(found[0]).shape[1:]
    values = np.empty(
        (sum(item.repeats or len(_stacked(item)) for item in found), int(np.prod(shape))), dtype=np.float32
    )
    owner, start = [], 0
    for number, item in enumerate(found):
        rows = _rows(item)
        if rows.shape[1:] != shape:
            raise LayoutError(
                f"{item.voxels.name!r} of {item.voxels.tar} has {rows.shape[1:]} voxels; wanted {shape}, as the first "
                "sample of this subject; copy the tar again"
            )
        values[start : start + len(rows)] = rows.reshape(len(rows), -1)
        owner += [number] * len(rows)
        start += len(rows)
    return values[:start], _samples(found, owner), shape


def _samples(found: Sequence[Item], owner: Sequence[int]) -> pd.DataFrame:
    columns = {name: [getattr(item, name) for item in found] for name in ("stimulus", "split", "trial")}
    table = pd.DataFrame(columns).iloc[list(owner)].reset_index(drop=True)
    order = table.sort_values("trial", kind="stable")  # repeats are counted in the order of the experiment
    table["repeat"] = order.groupby("stimulus").cumcount() + 1
    return table


def _rows(item: Item) -> NDArray[np.floating]:
    """[repeats, ...] the real ones: padding repeats a row that is there already, or is zero."""
    array = _stacked(item)
    if len(array) == 1:
        return array
    flat = array.reshape(len(array), -1)
    real = [row for row, one in enumerate(flat) if one.any() and not (flat[:row] == one).all(axis=1).any()]
    if len(real) < (item.repeats or 1):
        said = "wanted one at least" if item.repeats is None else f"its num_uniques says {item.repeats}"
        raise LayoutError(
            f"{item.voxels.name!r} of {item.voxels.tar} holds {len(real)} different repeats; {said}; copy the tar again"
        )
    return array[real[: item.repeats]]


def _stacked(item: Item) -> NDArray[np.floating]:
    """[repeats, ...]; a single response has no such axis in the file."""
    array = read_array(item.voxels)
    axes = 3 if item.voxels.name.endswith("wholebrain_3d.npy") else 1
    if array.ndim not in (axes, axes + 1) or not array.size:
        raise LayoutError(
            f"{item.voxels.name!r} of {item.voxels.tar} has the shape {array.shape}; wanted {axes} axes, or one more "
            "for repeats; copy the tar again"
        )
    return array if array.ndim > axes else array[None]


def _item(
    key: str,
    members: Mapping[str, Member],
    split: str,
    voxels: str,
    name_of: Callable[[Mapping[str, Member], int], str],
) -> Item:
    tar = next(iter(members.values())).tar
    picture = members.get("jpg") or members.get("png")
    wanted = {
        "jpg or png": picture,
        f"{voxels}.npy": members.get(f"{voxels}.npy"),
        "trial.npy": members.get("trial.npy"),
    }
    if lacking := [what for what, member in wanted.items() if member is None]:
        raise LayoutError(f"sample {key!r} of {tar} has no {lacking[0]}, but {', '.join(members)}; copy the tar again")
    assert picture is not None
    trial = _number(members["trial.npy"])
    repeats = _number(members["num_uniques.npy"]) if "num_uniques.npy" in members else None
    if repeats is not None and repeats < 1:
        raise LayoutError(f"num_uniques of sample {key!r} of {tar} is {repeats}; wanted 1 or more; copy the tar again")
    return Item(name_of(members, trial), split, trial, picture, members[f"{voxels}.npy"], repeats)


def _number(member: Member) -> int:
    array = read_array(member)
    if not array.size or not np.isfinite(array.ravel()[0]):
        raise LayoutError(f"{member.name!r} of {member.tar} holds no number; copy the tar again")
    return int(array.ravel()[0])


def _namer(folder: Folder, pack: str, subject: str) -> Callable[[Mapping[str, Member], int], str]:
    """How a sample's stimulus is named: by its own number, by that of its trial, or by the bytes of its picture."""

    @cache
    def numbered() -> tuple[Path | None, NDArray[np.int64]]:
        path = folder.file(INDICES) or folder.file(f"{pack}/{INDICES}")
        return path, np.empty(0, dtype=np.int64) if path is None else _indices(path, subject)

    def name_of(members: Mapping[str, Member], trial: int) -> str:
        if "coco73k.npy" in members:
            return _id(_number(members["coco73k.npy"]), members["coco73k.npy"].tar)
        path, pictures = numbered()
        if 0 <= trial < len(pictures):
            return _id(int(pictures[trial]), path)
        return _digest(members)

    return name_of


def _indices(path: Path, subject: str) -> NDArray[np.int64]:
    import h5py

    with reading(path), h5py.File(path) as file:
        return np.asarray(file[subject][()], dtype=np.int64).ravel()


def _id(number: int, path: Path | None) -> str:
    if not 0 <= number < PICTURES:
        raise LayoutError(f"{path} names the picture {number}; wanted 0 to {PICTURES - 1}; copy it again")
    return picture_id(number)


def _digest(members: Mapping[str, Member]) -> str:
    import hashlib

    content = next(members[suffix].read() for suffix in ("jpg", "png") if suffix in members)
    return f"image-{hashlib.sha256(content).hexdigest()[:16]}"


def _check_totals(folder: Folder, pack: str, subject: str, found: Sequence[Item]) -> None:
    """`metadata_subj01.json` says how many samples there are: a tar may be missing at the end."""
    path = folder.file(f"{pack}/metadata_{subject}.json")
    if path is None:
        folder.doubt()
        return
    with reading(path):
        totals = {name: int(count) for name, count in read_json(path)["totals"].items()}
    counts = {split: sum(item.split == split for item in found) for split in PACKS[pack]}
    for split, wanted in totals.items():
        if counts.get(split, 0) != wanted:
            folder.doubt()
            raise LayoutError(
                f"{folder.address} holds {counts.get(split, 0)} {split} samples of {subject}; {path.name} says "
                f"{wanted}; copy the tars that are missing, or run it again once the server has them"
            )


def pictures_of(found: Sequence[Item]) -> Iterator[tuple[str, Member]]:
    """Every stimulus once, with its picture."""
    seen: set[str] = set()
    for item in found:
        if item.stimulus not in seen:
            seen.add(item.stimulus)
            yield item.stimulus, item.picture
