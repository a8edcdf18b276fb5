import subprocess
import sys

import numpy as np
import pytest
import torch

from fusiform.errors import SettingsError
from fusiform.models.design import Frame
from fusiform.models.planner import Job, expected_rank, make_plan, memory_available
from fusiform.models.ridge import RidgeCV

CPU = Frame(torch.device("cpu"), torch.float32)


def job(samples=3000, features=1024, targets=5000, **more):
    return Job(samples, features, targets, 60, [samples // 5] * 5, 4, **more)


def test_the_smaller_side_is_solved():
    assert make_plan(job(), CPU, 10, 2**36).form == "primal"
    assert make_plan(job(1000, 20000), CPU, 10, 2**36).form == "dual"


def test_batches_shrink_to_the_limit_and_then_it_says_what_would_fit():
    roomy = make_plan(job(targets=400_000, weights="none"), CPU, 10, 2**36)
    tight = make_plan(job(targets=400_000, weights="none"), CPU, 10, roomy.peak - 2**24)
    assert tight.batch < roomy.batch
    assert tight.peak <= roomy.peak - 2**24
    with pytest.raises(SettingsError, match="folder="):
        make_plan(job(targets=400_000), CPU, 10, roomy.peak)
    with pytest.raises(SettingsError, match="fewer features"):
        make_plan(job(), CPU, 10, 2**25)


def test_explain_says_the_plan_before_any_work(rng):
    X, Y = rng.standard_normal((50, 8)), rng.standard_normal((50, 30))
    model = RidgeCV(np.logspace(0, 3, 12))
    said = str(model.explain(X, Y))
    for words in (
        "50 samples x 8 features -> 30 targets",
        "12 alphas x 5 folds",
        "primal",
        "float64",
        "GFLOP",
        "peak memory",
    ):
        assert words in said
    assert not hasattr(model, "results_")
    assert "spectra: float64" in str(model.fit(X, Y).plan_)


def test_a_steep_spectrum_is_decomposed_in_float64_and_a_mild_one_is_not(rng):
    X, Y = rng.standard_normal((80, 10)).astype(np.float32), rng.standard_normal((80, 3)).astype(np.float32)
    assert RidgeCV([1.0, 10.0]).fit(X, Y).plan_.spectra == "float32"
    assert RidgeCV([1e-4, 10.0]).fit(X * np.logspace(0, -5, 10, dtype=np.float32), Y).plan_.spectra == "float64"


def test_more_alphas_need_few_more_filters():
    few, many = (expected_rank(np.logspace(0, 5, count), 1e-3) for count in (20, 200))
    assert many.filters <= few.filters + 4 <= 40
    assert many.each <= few.each + 2 <= 15


def test_free_memory_is_found():
    assert 2**20 < memory_available(torch.device("cpu")) < 2**50


MEASURE = """
import sys, numpy as np, torch
from fusiform.models.ridge import RidgeCV
torch.set_num_threads(1)
n, p, v, dtype = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
def memory(name):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(name))
rng = np.random.default_rng(0)
X, Y = (rng.standard_normal((n, k), dtype=np.float32).astype(dtype) for k in (p, v))
RidgeCV([1.0, 2.0]).fit(X[:40, :10], Y[:40, :3])  # libraries take their own memory once
model = RidgeCV(np.logspace(0, 5, 30))
plan = model.explain(X, Y)
open("/proc/self/clear_refs", "w").write("5")  # the peak starts from here
before = memory("VmRSS")
model.fit(X, Y)
print((memory("VmHWM") - before) / plan.peak)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    "size",
    [
        (2000, 1000, 8000, "float32"),
        (1000, 4000, 8000, "float32"),
        (1200, 800, 8000, "float64"),
        (4000, 300, 20000, "float32"),
    ],
)
def test_peak_memory_stays_within_the_plan(size):
    found = subprocess.run([sys.executable, "-c", MEASURE, *map(str, size)], capture_output=True, text=True, check=True)
    assert 0.5 < float(found.stdout) < 1.15
