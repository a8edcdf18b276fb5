"""Miyawaki 2008: the published layout in miniature, damaged copies of it, and known facts of the real file."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from fusiform.datasets.miyawaki2008 import FIGURES, FILE, Miyawaki2008
from fusiform.errors import DataError, LayoutError, UnknownNameError
from fusiform.scores import pearson


def layout(seed: int = 0) -> dict[str, NDArray]:
    """Ten random figures in sixteen shuffled sets of five, a voxel's answer names the block."""
    random = np.random.default_rng(seed)
    figures = random.integers(0, 2, size=(10, 100)).astype(np.uint8)
    order = [*range(5), *np.concatenate([random.permutation(5) for _ in range(7)])]
    order = np.array([*order, *(5 + np.array(order))])
    return {"I2": figures[order].T, "R2": np.arange(797.0)[:, None] + np.arange(80) / 100}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path))
    path = tmp_path / "miyawaki2008" / FILE
    path.parent.mkdir()
    savemat(path, layout())
    return path


def test_every_block_is_paired_with_the_picture_it_showed(path: Path) -> None:
    dataset, content = Miyawaki2008(), layout()
    stimuli, responses = dataset.stimuli(), dataset.responses("s1")
    np.testing.assert_array_equal(responses.values, content["R2"].T)
    for block, id in enumerate(responses.samples["stimulus"]):
        picture = np.asarray(stimuli.load(id))
        assert (picture.shape, picture.dtype) == ((10, 10), np.uint8)
        np.testing.assert_array_equal(picture.ravel(order="F"), content["I2"][:, block] * 255)


def test_repeats_and_runs_count_what_was_shown(path: Path) -> None:
    samples = Miyawaki2008().responses("s1").samples
    assert samples["stimulus"].iloc[:5].tolist() == list(FIGURES[:5])
    for _, shown in samples.groupby("stimulus"):
        assert shown["repeat"].tolist() == list(range(1, 9))
    assert samples["run"].value_counts().to_dict() == dict.fromkeys(range(1, 17), 5)


def test_space_and_names(path: Path) -> None:
    dataset = Miyawaki2008()
    space = dataset.responses("s1", rois=["V1"]).space
    assert (space.size, space.name, set(space.column("roi"))) == (797, "V1", {"V1"})
    with pytest.raises(UnknownNameError, match="unknown region 'V2'"):
        dataset.responses("s1", rois=["V2"])
    with pytest.raises(UnknownNameError, match="unknown subject 's2'"):
        dataset.responses("s2")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_named(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(LayoutError, match=r"V1_mean_figure\.mat cannot be read .*fusiform fetch"):
        Miyawaki2008().responses("s1")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"R2": np.zeros((797, 79))}, LayoutError, r"R2 of .* has the shape \(797, 79\); wanted \(797, 80\)"),
        ({"I2": np.zeros((100, 8), np.uint8)}, LayoutError, r"I2 of .* has the shape \(100, 8\)"),
        ({"I2": np.zeros((100, 80), np.uint8)}, LayoutError, "1 distinct figures; wanted 10"),
        ({"R2": np.full((797, 80), np.nan)}, DataError, "holds 63760 NaN"),
    ],
)
def test_damaged_content_is_named(path: Path, change: dict[str, NDArray], error: type[Exception], words: str) -> None:
    savemat(path, layout() | change)
    with pytest.raises(error, match=words):
        Miyawaki2008().responses("s1")


def test_a_file_without_responses_is_named(path: Path) -> None:
    savemat(path, {"I2": layout()["I2"]})
    with pytest.raises(LayoutError, match="KeyError: 'R2'"):
        Miyawaki2008().responses("s1")


@pytest.mark.data
def test_the_real_pictures_look_as_they_are_named() -> None:
    stimuli = Miyawaki2008().stimuli()
    drawn = {id: np.asarray(stimuli.load(id)) // 255 for id in stimuli.ids}
    assert all(set(np.unique(picture)) == {0, 1} for picture in drawn.values())
    assert np.argwhere(drawn["square"]).min(0).tolist() == [3, 3]
    assert drawn["square"].sum() == 16
    assert drawn["frame"].sum() == 12
    cross = drawn["cross"]
    np.testing.assert_array_equal(cross, cross.T)
    np.testing.assert_array_equal(cross, cross[::-1])
    assert drawn["u"][2].tolist() == drawn["n"][-4].tolist() == [0, 0, 0, 1, 0, 0, 1, 0, 0, 0]  # open above, open below
    assert drawn["r"][:, 6].sum() == 1  # upright: the arm of the r is at the top right
    assert drawn["r"][2, 6] == 1


@pytest.mark.data
def test_every_real_run_shows_five_different_pictures() -> None:
    samples = Miyawaki2008().responses("s1").samples
    assert (samples.groupby("run")["stimulus"].nunique() == 5).all()
    assert samples["stimulus"].value_counts().to_dict() == dict.fromkeys(FIGURES, 8)


@pytest.mark.data
def test_patches_predict_voxels_of_pictures_never_seen() -> None:
    """Plain scikit-learn ridge, one image left out at a time: mean r about .28; permuted pictures below zero."""
    from sklearn.linear_model import Ridge

    dataset = Miyawaki2008()
    stimuli, responses = dataset.stimuli(), dataset.responses("s1")
    gallery = np.stack([np.asarray(stimuli.load(id)).ravel() / 255 for id in stimuli.ids])
    shown = np.array([stimuli.ids.index(id) for id in responses.samples["stimulus"]])

    def encoding_r(shown: NDArray) -> float:
        predicted = np.zeros(responses.values.shape)
        for image in range(10):
            held = shown == image
            predicted[held] = (
                Ridge(alpha=20.0).fit(gallery[shown[~held]], responses.values[~held]).predict(gallery[shown[held]])
            )
        return float(pearson(responses.values, predicted).mean())

    assert encoding_r(shown) == pytest.approx(0.28, abs=0.03)
    assert encoding_r(np.random.default_rng(0).permutation(10)[shown]) < 0
