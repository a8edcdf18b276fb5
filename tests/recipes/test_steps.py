"""What recipes do on their way: which ceiling is taken, and how a class of one's own gets its pictures."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fusiform.cli import main
from fusiform.data import Responses, Space
from fusiform.errors import SettingsError
from fusiform.features.preprocess import Picture
from fusiform.recipes.ceilings import ceiling_of, published_ceiling
from fusiform.recipes.steps import backbone_of
from fusiform.scores import ncsnr, r_ceiling

sys.path.insert(0, str(Path(__file__).parents[1] / "datasets"))
from layouts import algonauts2023

SHARES = [0.09, 0.49, 0.81]
OWN = '''\
class Own:
    """Says nothing of pictures."""

    def get_tokens(self, x):
        return {"pixels": x}, {}
'''


def responses(stimuli: list[str], **columns: list[float]) -> Responses:
    values = np.random.default_rng(0).normal(size=(len(stimuli), 3))
    space = Space("three", pd.DataFrame({"name": ["a", "b", "c"], **columns}))
    return Responses(values, pd.DataFrame({"stimulus": stimuli}), space)


class TestCeiling:
    def test_the_published_one_is_taken_where_nothing_is_repeated(self) -> None:
        once = responses(list("stuv"), noise_ceiling=SHARES)
        found = ceiling_of(once, once.samples)
        assert found is not None
        np.testing.assert_allclose(found, np.array([0.3, 0.7, 0.9]))

    def test_repeats_come_first(self) -> None:
        twice = responses(list("ststuu"), noise_ceiling=SHARES)
        estimated = r_ceiling(ncsnr(np.asarray(twice.values), twice.samples["stimulus"]), 1)
        np.testing.assert_array_equal(ceiling_of(twice, twice.samples), estimated)

    def test_a_published_ncsnr_comes_before_both(self) -> None:
        both = responses(list("stst"), noise_ceiling=SHARES, ncsnr=[0.5, 1.0, 2.0])
        np.testing.assert_array_equal(ceiling_of(both, both.samples), r_ceiling([0.5, 1.0, 2.0]))

    def test_half_a_brain_has_none(self) -> None:
        assert published_ceiling(responses(list("st"), noise_ceiling=[0.1, np.nan, 0.3]).space) is None
        once = responses(list("st"))
        assert ceiling_of(once, once.samples) is None

    def test_a_run_in_which_no_target_is_reliable_says_so(self, tmp_path: Path) -> None:
        algonauts2023.write(tmp_path / "data", subjects=["subj01"])
        for short, size in algonauts2023.SIZES["subj01"].items():
            np.save(tmp_path / f"data/subj01/test_split/noise_ceiling/{short}_noise_ceiling.npy", np.full(size, 0.01))
        argv = ["encode", "--dataset", "algonauts2023", "--root", str(tmp_path / "data"), "--backbone-args", "size=4"]
        assert main([*argv, "--out", str(tmp_path / "run")]) == 0
        summary = json.loads((tmp_path / "run/summary.json").read_text())
        assert summary["scores"] == {"targets": 84, "targets_reliable": 0}
        assert summary["controls"]["shuffled_r"] is None
        page = (tmp_path / "run/report.html").read_text()
        assert "Means are over the 0 of 84 targets" in page
        assert "mean r = unknown" in page


class TestBackbone:
    @pytest.fixture(autouse=True)
    def _own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "own_net.py").write_text(OWN)
        monkeypatch.syspath_prepend(tmp_path)

    @pytest.mark.parametrize(
        ("size", "normalise", "wanted"),
        [
            (None, None, Picture()),
            (32, None, Picture(32)),
            (None, "clip", Picture(normalise="clip")),
            (16, "none", Picture(16, normalise="none")),
        ],
    )
    def test_what_a_class_lacks_is_given(self, size: int | None, normalise: str | None, wanted: Picture) -> None:
        backbone = backbone_of("own_net:Own", size, normalise, None)
        assert backbone.preprocess == wanted
        assert backbone.settings["preprocess"]["size"] == wanted.size  # and so it is in the key of what is stored

    def test_one_that_prepares_its_pictures_takes_none_of_it(self) -> None:
        for size, normalise in ((32, None), (None, "clip")):
            with pytest.raises(SettingsError, match="'pixels' says itself how pictures are made ready; leave out"):
                backbone_of("pixels", size, normalise, {"size": 4})

    def test_what_cannot_be_is_said(self) -> None:
        with pytest.raises(SettingsError, match="the size of pictures is 0; wanted pixels, 1 or more"):
            backbone_of("own_net:Own", 0, None, None)
        with pytest.raises(SettingsError, match=r"unknown normalise 'imagnet'; there are: imagenet, clip, none"):
            backbone_of("own_net:Own", None, "imagnet", None)

    @pytest.mark.parametrize("verb", ["extract", "encode", "decode"])
    def test_every_verb_takes_them(self, verb: str, tmp_path: Path) -> None:
        small = ["--dataset", "simulated", "--dataset-args", "pictures=40,vertices=20,subjects=1"]
        out = ["--store", str(tmp_path / "store")] if verb == "extract" else ["--out", str(tmp_path / "run")]
        given = ["--backbone", "own_net:Own", "--image-size", "4", "--normalise", "none"]
        assert main([verb, *small, *given, *out]) == 0
        if verb == "extract":
            return
        settings = (tmp_path / "run/settings.yaml").read_text()
        assert "image_size: 4" in settings
        assert "normalise: none" in settings
