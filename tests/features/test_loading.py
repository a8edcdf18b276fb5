"""Loading: several threads give what one gives, and what is said of stimuli that are skipped."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image

from fusiform.data import Stimuli
from fusiform.errors import DataError, LayoutError
from fusiform.features.baselines.image import Pixels
from fusiform.features.loading import Loader
from fusiform.features.threads import crew

Pictures = Callable[[int], Stimuli]


def failing(reason: Exception) -> Stimuli:
    def load(id: str) -> Any:
        raise reason

    return Stimuli("toys", "image", pd.DataFrame(index=["im0"]), load)


def said(reason: Exception) -> str:
    return Loader(failing(reason), Pixels(4), skip=True)(["im0"]).skipped["im0"]


def test_several_threads_load_what_one_loads(pictures: Pictures) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        loader, ids = Loader(pictures(20), Pixels(4)), [f"im{number}" for number in (3, 19, 0, 7, 8, 12, 11)]
        with crew() as threads:
            together, alone = loader(ids, each=threads.map), loader(ids)
    finally:
        torch.set_num_threads(before)
    assert list(together.ids) == list(alone.ids) == ids
    assert torch.equal(together.x, alone.x)
    assert together.onsets == alone.onsets == [0.0] * 7


def test_the_first_that_will_not_load_is_named_whoever_was_faster(pictures: Pictures) -> None:
    def load(id: str) -> Image.Image:
        if id in ("im2", "im5"):
            raise OSError("broken")
        return pictures(8).loader(id)

    broken = Stimuli("toys", "image", pictures(8).table, load)
    with crew() as threads:
        with pytest.raises(DataError, match="stimulus 'im2'"):
            Loader(broken, Pixels(4))(broken.ids, each=threads.map)
        batch = Loader(broken, Pixels(4), skip=True)(broken.ids, each=threads.map)
    assert list(batch.skipped) == ["im2", "im5"]
    assert list(batch.ids) == ["im0", "im1", "im3", "im4", "im6", "im7"]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (OSError(2, "No such file or directory", "/home/me/my pictures/1.png"),
         "FileNotFoundError: [Errno 2] No such file or directory: '1.png'"),
        (Image.UnidentifiedImageError("cannot identify image file '/data/private/1.png'"),
         "UnidentifiedImageError: cannot identify image file '1.png'"),
        (LayoutError("cannot read /data/private/1.png (truncated); save it anew"),
         "LayoutError: cannot read 1.png (truncated); save it anew"),
        (ValueError('C:\\Users\\me\\1.png and "~/study/2.png" differ, s3://lab/secret/3.png too'),
         'ValueError: 1.png and "2.png" differ, 3.png too'),
        (ValueError('can\'t read "/it\'s/mine/1.png", see \'/it/2.png\''),
         'ValueError: can\'t read "1.png", see \'2.png\''),
        (ValueError("cannot read /a b/c/1.png (from '/a b/c/1.png')"),
         "ValueError: cannot read 1.png (from '1.png')"),
        (ValueError("'/1.png' is not /home/anna/2.png"), "ValueError: '1.png' is not 2.png"),
        (ValueError("'/data/1.png' -> '/srv/data/2.png'"), "ValueError: '1.png' -> '2.png'"),
        (ValueError("<PIL.Image object at 0x7f3a> has 3/4 of its rows,\n  and/or none"),
         "ValueError: <PIL.Image object> has 3/4 of its rows, and/or none"),
    ],
)  # fmt: skip
def test_of_a_path_only_the_name_is_kept(reason: Exception, words: str) -> None:
    assert said(reason) == words


def test_whoever_stops_is_told_the_whole_path(tmp_path: Path) -> None:
    reason = OSError(2, "No such file or directory", str(tmp_path / "1.png"))
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "1.png"))):
        Loader(failing(reason), Pixels(4))(["im0"])
