"""`MindEye`: pictures and the voxels of nsdgeneral, packed for decoding."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fusiform.data import Responses, Space, Stimuli
from fusiform.datasets.base import Card, Sampled, check_agreed, choose, is_remote, locate, pick
from fusiform.datasets.mindeye.behaviour import behaviour, load_picture, pictures_file, read_betas
from fusiform.datasets.mindeye.packs import PACKS, Item, items, pictures_of, read_items
from fusiform.datasets.mindeye.remote import Folder, folder_at
from fusiform.datasets.mindeye.tars import Member, read_picture
from fusiform.datasets.nsd.design import PICTURES, picture_id
from fusiform.errors import MissingDataError, SettingsError

__all__ = ["MindEye"]

BEHAVIOUR = "mindeye2"
LAYOUTS = (*PACKS, BEHAVIOUR)
VOXELS = ("nsdgeneral", "wholebrain_3d")
TESTS = ("new_test", "test")
VOXEL_SIZE = 1.8  # mm, of func1pt8mm
PACKED = ("subj01", "subj02", "subj05", "subj07")  # the subjects whose packs were released


class MindEye(Sampled):
    """Betas of the Natural Scenes Dataset as MindEye (Scotti et al. 2023) and MindEye2 (2024) publish them.

    They are standardised within sessions already. Pictures have the ids of `nsd` (`"nsd-00013"`) wherever the pack says
    which they are.

    Args:
        layout: `"webdataset_avg_split"` (a sample per picture, with up to three repeats; train, val and 982 test
            pictures), `"webdataset"` (a sample per trial; train and val) or `"mindeye2"` (behaviour in tars, responses
            in HDF5; train and test).
        root: the folder that holds `webdataset_avg_split/`, `webdataset/` or `wds/`, or its http(s) address (default:
            `mindeye/` in the data folders). What comes from an address is kept in `$FUSIFORM_CACHE`.
        subjects: whose files are used (default: all that the layout was published for). From an address, `stimuli()`
            fetches the packs of those named here, else of those only whose responses were asked for before.
        voxels: `"nsdgeneral"`, or of the packs `"wholebrain_3d"`.
        test: of `mindeye2`: `"new_test"` (the default), or `"test"`, which lacks the three last sessions.
        i_have_agreed: you have agreed to the terms of the Natural Scenes Dataset; needed to read from an address.

    Raises:
        UnknownNameError: no such layout, subject, part or region.
        SettingsError: settings that do not go together, or an address without agreement.
        MissingDataError: files are not here.
        LayoutError: files are damaged, not as published, or could do harm.
        FetchError: an address cannot be read.
    """

    name = "mindeye"
    card = Card(
        title="The Natural Scenes Dataset packed for decoding: pictures, and the voxels of nsdgeneral",
        licence="NSD Terms and Conditions (data access agreement)",
        cite="Allen et al. 2022, Nature Neuroscience 25, 116-126; Scotti et al. 2023 (NeurIPS) and 2024 (ICML)",
        agreement="https://naturalscenesdataset.org",
    )
    parts = ("images",)

    def __init__(
        self,
        *,
        layout: str = "webdataset_avg_split",
        root: str | Path | None = None,
        subjects: Sequence[str] | None = None,
        voxels: str = "nsdgeneral",
        test: str | None = None,
        i_have_agreed: bool = False,
    ) -> None:
        choose("layout", layout, LAYOUTS)
        choose("voxels", voxels, VOXELS)
        if layout == BEHAVIOUR and voxels != VOXELS[0]:
            raise SettingsError(f"layout {layout!r} has the voxels of {VOXELS[0]} only, not {voxels!r}")
        if layout != BEHAVIOUR and test is not None:
            raise SettingsError(f"test={test!r} chooses a tar of layout {BEHAVIOUR!r}; leave it out for {layout!r}")
        known = tuple(f"subj{number:02}" for number in range(1, 9)) if layout == BEHAVIOUR else PACKED
        given = (subjects,) if isinstance(subjects, str) else subjects
        self.subjects = known if given is None else tuple(choose("subject", subject, known) for subject in given)
        if not self.subjects:
            raise SettingsError("subjects is empty; name one at least, such as subjects=['subj01']")
        self.layout, self.root, self.voxels, self.test = layout, root, voxels, choose("test", test, TESTS)
        self.i_have_agreed = i_have_agreed
        self._wanted = () if subjects is None else self.subjects  # whose packs may be fetched for their pictures

    def stimuli(self, part: str | None = None) -> Stimuli:
        """The pictures (PIL, RGB): of the packs those that any of the subjects saw, of `mindeye2` all 73,000."""
        choose("part", part, self.parts)
        if self.layout == BEHAVIOUR:
            ids = [picture_id(number) for number in range(PICTURES)]
            loader = partial(load_picture, pictures_file(self._folder()))
            return Stimuli("mindeye2", "image", pd.DataFrame({"nsd": range(PICTURES)}, index=ids), loader)
        found = {id: picture for subject in self._there() for id, picture in pictures_of(self._items(subject))}
        return Stimuli("mindeye", "image", pd.DataFrame(index=list(found)), partial(_load, found))

    def responses(self, subject: str, *, part: str | None = None, rois: Sequence[str] | None = None) -> Responses:
        """Every repeat of every picture, float32 [N, V].

        The samples have `stimulus`, `subject`, `repeat`, `trial` and `split`, and in `mindeye2` also `session` and
        `run` (counted through all sessions).
        """
        choose("part", part, self.parts)
        choose("subject", subject, self.subjects)
        pick("region", rois, (self.voxels,))
        self._wanted = tuple(dict.fromkeys([*self._wanted, subject]))
        if self.layout == BEHAVIOUR:
            samples = behaviour(self._folder(), subject, self.test)
            values = read_betas(self._folder(), subject, samples["trial"].to_numpy())
            shape: tuple[int, ...] = values.shape[1:]
        else:
            values, samples, shape = read_items(self._items(subject))
        samples.insert(1, "subject", subject)
        return Responses(values, samples, self._space(shape))

    def truth(self, part: str | None = None) -> None:
        """None: nothing was planted."""
        choose("part", part, self.parts)

    def _folder(self) -> Folder:
        address = locate(self.name) if self.root is None else self.root
        check_agreed(self.card, address, self.i_have_agreed)
        return folder_at(address)

    def _items(self, subject: str) -> list[Item]:
        return items(self._folder(), self.layout, subject, self.voxels)

    def _there(self) -> list[str]:
        """The subjects of whom there are tars; at an address, those who were asked for."""
        folder = self._folder()
        if is_remote(folder.address):
            return self._asked_for(folder.address)
        first = "{0}/train/train_{1}_0.tar"
        there = [subject for subject in self.subjects if folder.file(first.format(self.layout, subject)) is not None]
        if not there:
            raise MissingDataError(
                f"{folder.address} holds no tars of {', '.join(self.subjects)} (wanted "
                f"{first.format(self.layout, self.subjects[0])}); give root= the folder that holds {self.layout}/, or "
                f"another layout: {', '.join(LAYOUTS)}"
            )
        return there

    def _asked_for(self, address: str) -> list[str]:
        if not self._wanted:
            raise SettingsError(
                f"{address} has packs of {', '.join(self.subjects)}, of some 30 GB each; say whose pictures to fetch, "
                f"such as subjects=['{self.subjects[0]}'] (--dataset-args subjects=[{self.subjects[0]}])"
            )
        return [subject for subject in self.subjects if subject in self._wanted]

    def _space(self, shape: tuple[int, ...]) -> Space:
        if len(shape) == 1:
            space = Space.numbered(self.voxels, shape[0])
        else:
            space = Space.voxels(self.voxels, np.ones(shape, dtype=bool), np.diag([VOXEL_SIZE] * 3 + [1.0]))
        return Space(space.name, space.targets.assign(roi=self.voxels), grid=space.grid)


def _load(pictures: dict[str, Member], id: str) -> Image.Image:
    return read_picture(pictures[id])
