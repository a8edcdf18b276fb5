"""Pictures at about their own resolution: against the PIL classes of transformers, at many sizes."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fusiform.errors import DataError
from fusiform.features.networks.resolutions import bounded_of, patched_of, tiled_of

transformers = pytest.importorskip("transformers")

SIZES = [(40, 36), (36, 40), (8, 100), (100, 8), (64, 64), (7, 5), (200, 150), (31, 33), (90, 90)]  # width, height


def picture(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(size).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("file", [{}, {"resample": 2, "image_mean": [0.5] * 3, "image_std": [0.2] * 3}])
def test_patched_as_qwen(size: tuple[int, int], file: dict[str, Any]) -> None:
    limits = {"min_pixels": 16 * 16, "max_pixels": 60 * 60}
    official = transformers.Qwen2VLImageProcessor(patch_size=4, merge_size=2, **limits, **file)
    wanted = official(images=picture(size), return_tensors="pt")
    found = patched_of({**limits, **file}, 4, 2)(picture(size))
    _, down, across = wanted["image_grid_thw"][0].tolist()
    assert found.shape == (3, 4 * down, 4 * across)
    patches = wanted["pixel_values"].reshape(down // 2, across // 2, 2, 2, 3, 2, 4, 4)[:, :, :, :, :, 0]
    folded = patches.permute(4, 0, 2, 5, 1, 3, 6).reshape(3, 4 * down, 4 * across)
    np.testing.assert_allclose(found, folded, atol=1e-3)


def test_patched_by_edges_as_newer_files_have_it() -> None:
    file = {"size": {"shortest_edge": 16 * 16, "longest_edge": 32 * 32}}
    assert patched_of(file, 4, 2)(picture((200, 100))).shape == (3, 16, 40)
    assert patched_of({}, 14, 2).least == 56 * 56


def test_too_long_a_picture() -> None:
    with pytest.raises(DataError, match=r"the picture has 2010 x 10 pixels; wanted edges within a factor of 200"):
        patched_of({}, 14, 2)(picture((2010, 10)))


@pytest.mark.parametrize("size", SIZES)
def test_bounded_as_idefics2(size: tuple[int, int]) -> None:
    file = {"size": {"shortest_edge": 24, "longest_edge": 48}}
    official = transformers.Idefics2ImageProcessor(**file)
    wanted = official(images=picture(size), return_tensors="pt")["pixel_values"][0, 0]
    np.testing.assert_allclose(bounded_of(file)(picture(size)), wanted, atol=1e-3)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("kind", ["Idefics3ImageProcessor", "SmolVLMImageProcessor"])
def test_tiled_as_idefics3(size: tuple[int, int], split: bool, kind: str) -> None:
    file = {"size": {"longest_edge": 96}, "max_image_size": {"longest_edge": 32}}
    official = getattr(transformers, kind)(**file, do_image_splitting=split)
    wanted = official(images=picture(size), return_tensors="pt", return_row_col_info=True)
    rows, columns = wanted["rows"][0][0], wanted["cols"][0][0]
    found = tiled_of({**file, "do_image_splitting": split}, None)(picture(size))
    assert found.shape == (rows + 1, max(columns, 1), 3, 32, 32)
    np.testing.assert_allclose(found[:-1].flatten(0, 1), wanted["pixel_values"][0, :-1], atol=1e-3)
    np.testing.assert_allclose(found[-1, 0], wanted["pixel_values"][0, -1], atol=1e-3)
    assert not found[-1, 1:].any()
    overruled = tiled_of({**file, "do_image_splitting": not split}, split)(picture(size))
    torch.testing.assert_close(overruled, found)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_pictures_of_any_mode(mode: str) -> None:
    for processing in (patched_of({}, 4, 2), bounded_of({}), tiled_of({"size": {"longest_edge": 400}}, None)):
        found = processing(picture((40, 36), mode))
        assert torch.isfinite(found).all()
        torch.testing.assert_close(found, processing(picture((40, 36), mode).convert("RGB")))
