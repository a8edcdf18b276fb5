"""Which ceiling is taken: a published one, that of repeats, or none."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from fusiform.cli import main
from fusiform.data import Responses, Space
from fusiform.recipes.ceilings import ceiling_of, published_ceiling
from fusiform.scores import ncsnr, r_ceiling

sys.path.insert(0, str(Path(__file__).parents[1] / "datasets"))
from layouts import algonauts2023

SHARES = [0.09, 0.49, 0.81]


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
