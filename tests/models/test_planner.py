import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from fusiform.errors import SettingsError
from fusiform.models import planner
from fusiform.models.design import Frame
from fusiform.models.planner import Job, expected_rank, make_plan
from fusiform.models.ridge import BandedRidgeCV, RidgeCV

CPU = Frame(torch.device("cpu"), torch.float32)


def job(samples=3000, features=1024, targets=5000, held=None, **more):
    return Job(samples, features, targets, 60, held or [samples // 5] * 5, 4, **more)


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


def test_candidates_count_in_results_and_in_what_is_read():
    few, many = (make_plan(job(bands=3, candidates=count), CPU, 10, 2**40) for count in (20, 1141))
    assert many.memory["results"] - few.memory["results"] == 24 * 1121 * 5000
    assert many.read - few.read == 2 * 4 * 1121 * 5000 * 3000  # for scores, and for the weights of the best
    assert many.flops > 50 * few.flops


@pytest.mark.parametrize("solver", ["random", "gradient"])
@pytest.mark.parametrize("share", [0.8, 0.45])
def test_what_a_banded_fit_is_told_to_do_makes_it_fit(rng, solver, share):
    X = {name: rng.standard_normal((400, 200)) for name in "abc"}
    Y = np.broadcast_to(0.0, (400, 400_000))
    settings = {"solver": solver, "n_candidates": 5}
    limit = int(share * BandedRidgeCV(**settings, memory_limit=2**34).explain(X, Y).peak)
    with pytest.raises(SettingsError, match=r"may be used; give .*, or raise memory_limit") as refused:
        BandedRidgeCV(**settings, memory_limit=limit).explain(X, Y)
    said = str(refused.value).split("give ")[1].split(", or raise")[0]
    advice = dict(one.split("=") for one in said.split(" and "))
    assert set(advice) <= {"dtype", "keep_weights"}
    more = {name: {"'float32'": "float32", "False": False}[value] for name, value in advice.items()}
    assert BandedRidgeCV(**settings, **more, memory_limit=limit).explain(X, Y).peak <= limit


def test_a_remedy_never_names_what_was_done_already():
    roomy = make_plan(job(targets=400_000, weights="none"), CPU, 10, 2**36)
    with pytest.raises(SettingsError) as refused:
        make_plan(job(targets=400_000, weights="none"), CPU, 10, roomy.peak // 20)
    assert "keep_weights" not in str(refused.value)
    assert "folder" not in str(refused.value)
    assert "dtype" not in str(refused.value)
    assert "raise memory_limit, or fit fewer features" in str(refused.value)


def test_remedies_keep_to_the_form_that_is_insisted_on():
    wide = job(9000, 500, weights="none")
    assert make_plan(wide, CPU, 10, 2**30).form == "primal"  # whose Gram matrix is small
    with pytest.raises(SettingsError, match="raise memory_limit, or fit fewer features"):
        make_plan(replace(wide, width=8, bands=2, steps=10), CPU, 10, 2**30, "dual")


def test_results_lie_beside_a_gpu(monkeypatch):
    card, large = Frame(torch.device("cuda"), torch.float32), job(9000, 1000, 1_400_000)
    monkeypatch.setattr(planner, "memory_available", lambda device: 2**33)
    found = make_plan(large, card, 10, 2**32)
    assert found.peak < 2**32 < found.host
    bands = make_plan(job(9000, 1000, 900_000, bands=2), card, 10, 2**34)
    assert bands.host == bands.memory["results"] + 4 * 900_000 * 1000
    with pytest.raises(SettingsError, match="folder="):
        make_plan(large, CPU, 10, 2**32)
    monkeypatch.setattr(planner, "memory_available", lambda device: 2**32)
    with pytest.raises(SettingsError, match=r"of this machine's memory beside the GPU's.*keep_weights=False"):
        make_plan(large, card, 10, 2**32)
    with pytest.raises(SettingsError, match=r"give keep_weights=False$"):
        make_plan(replace(large, bands=2, candidates=100), card, 10, 2**34)


MEASURE = """
import sys, numpy as np, torch
from fusiform.models.ridge import BandedRidgeCV, RidgeCV
torch.set_num_threads(1)
kind, n, p, v, dtype = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
def memory(name):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(name))
rng = np.random.default_rng(0)
X, Y = (rng.standard_normal((n, k), dtype=np.float32).astype(dtype) for k in (p, v))
if kind == "fracs":
    X /= np.arange(1, p + 1, dtype=dtype)  # such a spectrum is what is planned for, as fractions reach all of it
alphas = np.logspace(0, 5, 30)
model = {
    "folds": lambda: RidgeCV(alphas),
    "loo": lambda: RidgeCV(alphas, cv="loo"),
    "fracs": lambda: RidgeCV(fracs=np.linspace(0.05, 1, 30)),
    "shared": lambda: RidgeCV(alphas, alpha_per_target=False),
    "banded": lambda: BandedRidgeCV(alphas, n_candidates=4),
    "banded shared": lambda: BandedRidgeCV(alphas, n_candidates=4, alpha_per_target=False),
    "banded curves": lambda: BandedRidgeCV(alphas, n_candidates=4, keep_weights=False),
    "gradient": lambda: BandedRidgeCV(100 * alphas, n_candidates=2, solver="gradient", steps=1),
}[kind]()
if isinstance(model, BandedRidgeCV):
    few, X = ({"a": one[:, : one.shape[1] // 3], "b": one[:, one.shape[1] // 3 :]} for one in (X[:40, :9], X))
else:
    few = X[:40, :9]
type(model)(**model.get_params()).fit(few, Y[:40, :3])  # libraries take their own memory once
plan = model.explain(X, Y)
open("/proc/self/clear_refs", "w").write("5")  # the peak starts from here
before = memory("VmRSS")
model.fit(X, Y)
print(plan, file=sys.stderr)
print((memory("VmHWM") - before) / plan.peak)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("folds", (2000, 1000, 8000, "float32")),
        ("folds", (1000, 4000, 8000, "float32")),
        ("folds", (1200, 800, 8000, "float64")),
        ("folds", (4000, 300, 20000, "float32")),
        ("shared", (1500, 600, 20000, "float32")),
        ("loo", (6000, 800, 2000, "float32")),
        ("loo", (1200, 3000, 2000, "float64")),
        ("fracs", (2000, 700, 1500, "float32")),
        ("fracs", (1000, 3000, 1000, "float32")),
        ("banded", (2000, 600, 20000, "float32")),
        ("banded", (700, 3000, 6000, "float32")),
        ("banded", (1200, 800, 8000, "float64")),
        ("banded shared", (1500, 400, 20000, "float32")),
        ("banded curves", (1500, 700, 20000, "float32")),
        ("gradient", (900, 1200, 1500, "float32")),
    ],
)
def test_peak_memory_stays_within_the_plan(kind, size):
    found = subprocess.run(
        [sys.executable, "-c", MEASURE, kind, *map(str, size)], capture_output=True, text=True, check=True
    )
    assert 0.4 < float(found.stdout) < 1.15, found.stderr  # a plan is an upper bound: what allocators add varies


def test_a_tolerance_that_takes_every_filter_is_told(rng):
    X, Y = rng.standard_normal((80, 30)), rng.standard_normal((80, 3))
    alphas = np.logspace(0, 3, 6)
    assert "plain search" in str(RidgeCV(alphas, tolerance=1e-12).fit(X, Y).plan_)
    assert "plain search" not in str(RidgeCV(alphas).fit(X, Y).plan_)
    assert "plain search" not in str(RidgeCV(alphas, tolerance=1e-12).explain(X, Y))
