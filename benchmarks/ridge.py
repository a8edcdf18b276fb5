"""Ridge over a grid of alphas: ours, himalaya, scikit-learn, and the matrix products that nobody can do without.

    python -m benchmarks.ridge                        # the table, and benchmarks/results/ridge.json
    python -m benchmarks.ridge --tiny --repeats 1     # does it work?
    python -m benchmarks.ridge --jobs primal,dual --threads 2
    python -m benchmarks.ridge --device cuda --jobs alignment,surface

Every contender is handed the same float32 arrays, folds and alphas and estimates an intercept. Times are of the whole
`fit`, decompositions and final weights included: medians of `--repeats` rounds in which contenders take turns.
himalaya runs with the fastest of its backends, then the fastest of its batch sizes, found on 2,000 targets (of the
streamed job, where these take minutes, on 1,000); of scikit-learn, which takes minutes, there is one round. Rows of
jobs that are not run stay in the file. The floor is timed in the same rounds: X'X and X'Y; for each fold the held-out
rows times the eigenvectors and r* predictions of the targets; two products for the weights; with r* the rank of
alpha / (s + alpha) at 1e-4, whatever rank ours uses.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.meters import ceiling, peak_memory, reset_peak, seconds
from benchmarks.results import RESULTS, keep, machine
from benchmarks.ridge_oracle import banded_accuracy, ridge_accuracy
from fusiform.models.folds import splits
from fusiform.models.ridge import BandedRidgeCV, RidgeCV

Array = NDArray[Any]
FOLDS = 5
BATCHES = [(10, 1000), (10, 500), (60, 500)]  # himalaya's n_alphas_batch, n_targets_batch


@dataclass(frozen=True)
class Job:
    """What is fitted.

    Args:
        name: of the row.
        X: [N, P].
        Y: [N, V], perhaps a memory map.
        alphas: [A].
        bands: number of equal bands; one is plain ridge.
        candidates: [C, B] band weights.
        limit: bytes that ours may use.
        peers: which peers run.
        extrapolated: peers are timed at these numbers of targets, and a line is fitted.
        tried: targets on which a peer's settings are chosen.
    """

    name: str
    X: Array
    Y: Array
    alphas: Array
    bands: int = 1
    candidates: Array | None = None
    limit: int | None = None
    peers: tuple[str, ...] = ("himalaya",)
    extrapolated: tuple[int, ...] = ()
    tried: int = 2000
    notes: dict[str, Any] = field(default_factory=dict)


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", default="primal,streamed,dual,dual_wide,banded", help="names, by commas")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--tiny", action="store_true", help="a twentieth of the size, written nowhere unless --out is given"
    )
    parser.add_argument("--out", type=Path, default=None)
    settings = parser.parse_args(arguments)
    torch.set_num_threads(settings.threads)
    out = settings.out or (None if settings.tiny else RESULTS / "ridge.json")
    with tempfile.TemporaryDirectory() as folder:
        for name in settings.jobs.split(","):
            less = 20 if settings.tiny else 1
            peak = alone(name, less, settings)
            row = measure(JOBS[name](less, Path(folder)), settings.repeats, settings.device, peak)
            print(line(row), flush=True)
            if out is not None:
                keep(out, machine(settings.threads, settings.device), row)
    if out is not None:
        print(f"written to {out}")


def measure(job: Job, repeats: int, device: str, peak: float) -> dict[str, Any]:
    """One row: medians of interleaved rounds, accuracy, and what was used; the peak of memory is known."""
    ours = Ours(job, device)
    peers = {name: PEERS[name](job, device) for name in job.peers}
    rank = floor_rank(job)
    times: dict[str, list[float]] = {name: [] for name in ("ours", "floor", *peers)}
    for _ in range(repeats):
        times["ours"].append(seconds(ours.fit))
        times["floor"].append(floor_seconds(job, rank, device))
        for name, peer in peers.items():
            if name != "scikit-learn" or not times[name]:  # minutes long: once
                times[name].append(peer.seconds())
    median = {name: float(np.median(found)) for name, found in times.items()}
    accuracy = (ridge_accuracy if job.bands == 1 else banded_accuracy)(job, ours.model)
    agreement = {name: agreeing(ours.alphas(), peer.alphas()) for name, peer in peers.items()}
    return {
        "job": job.name,
        "ours_s": median["ours"],
        "peers": {name: median[name] for name in peers},
        "floor_s": median["floor"],
        "peak_mb": peak,
        **accuracy,
        "times_peer": {name: median[name] / median["ours"] for name in peers},
        "times_floor": median["ours"] / median["floor"],
        "floor_rank": rank,
        "same_alpha_as_peer": agreement,
        "peer_settings": {name: peer.settings for name, peer in peers.items()},
        "planned_peak_mb": ours.model.plan_.peak / 2**20,
        "rounds": times,
        "plan": str(ours.model.plan_),
        **(speed(ours.model.plan_.flops / median["ours"], device) if device.startswith("cuda") else {}),
        **job.notes,
    }


def alone(name: str, less: int, settings: argparse.Namespace) -> float:
    """MiB that our fit takes beside its data, in a process of its own: what peers have freed is not at hand there."""
    code = f"from benchmarks.ridge import peak_of; print(peak_of({name!r}, {less}, {settings.device!r}))"
    environment = os.environ | {"OMP_NUM_THREADS": str(settings.threads)}
    found = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return float(found.stdout)


def peak_of(name: str, less: int, device: str) -> float:
    """As `alone`, in this process; what a first fit loads, once, does not count."""
    with tempfile.TemporaryDirectory() as folder:
        Ours(JOBS[name](100, Path(folder)), device).fit()
        ours = Ours(JOBS[name](less, Path(folder)), device)
        ours.job.Y.sum()  # pages of a mapped file count as memory, though nobody owns them: count them before
        before = reset_peak(device)
        ours.fit()
        return (peak_memory(device) - before) / 2**20


def speed(rate: float, device: str) -> dict[str, Any]:
    """Planned operations per second of ours, beside what the device does at most; most of ours are in float32."""
    most = {name: ceiling(getattr(torch, name), device) for name in ("float32", "float64")}
    found = {f"ceiling_tflop_per_s_{name}": one / 1e12 for name, one in most.items()}
    return {"tflop_per_s": rate / 1e12, **found, "share_of_ceiling": rate / most["float32"]}


def agreeing(ours: Array, theirs: Array) -> float:
    """Share of equal alphas among the targets that the peer was given."""
    fitted = theirs >= 0
    return float(np.mean(ours[fitted] == theirs[fitted]))


class Ours:
    """Our estimator on a job."""

    def __init__(self, job: Job, device: str) -> None:
        self.job = job
        shared = {"device": device, "cv": FOLDS, "memory_limit": job.limit}
        if job.bands > 1:
            self.model: Any = BandedRidgeCV(job.alphas, candidates=job.candidates, **shared)
        else:
            self.model = RidgeCV(job.alphas, **shared)

    def fit(self) -> None:
        self.model.fit(self.job.X if self.job.bands == 1 else bands_of(self.job), self.job.Y)

    def alphas(self) -> Array:
        return np.abs(np.log(self.job.alphas[:, None] / self.model.best_alphas_)).argmin(0)


class Himalaya:
    """himalaya's estimator for a job, with its fastest backend and batch sizes."""

    def __init__(self, job: Job, device: str) -> None:
        self.job, self.found = job, None
        self.tried: dict[tuple[Any, ...], float] = {}
        diagonalisations = ["eigh", "svd"] if job.bands > 1 else [""]
        backends = ["torch_cuda"] if device.startswith("cuda") else ["numpy", "torch"]
        backend, *_, diagonalise = self.fastest([(b, *BATCHES[0], d) for b in backends for d in diagonalisations])
        self.choice = self.fastest([(backend, *sizes, diagonalise) for sizes in BATCHES])
        self.settings = dict(
            zip(("backend", "n_alphas_batch", "n_targets_batch", "diagonalize"), self.choice, strict=True)
        )

    def fastest(self, choices: list[tuple[Any, ...]]) -> tuple[Any, ...]:
        """Of these choices, each tried once on few targets."""
        few = min(self.job.Y.shape[1], self.job.tried)
        for choice in choices:
            if choice not in self.tried:
                self.fit(choice, few // 20, quick=True)  # what is loaded and allocated once is not its fault
                self.tried[choice] = seconds(lambda choice=choice: self.fit(choice, few, quick=True))
        return min(choices, key=lambda choice: self.tried[choice])

    def seconds(self) -> float:
        """Of a fit to all targets, or by the line through smaller numbers of them."""
        if not self.job.extrapolated:
            return seconds(lambda: self.fit(self.choice, self.job.Y.shape[1]))
        spent = [seconds(lambda count=count: self.fit(self.choice, count)) for count in self.job.extrapolated]
        self.settings["extrapolated_from"] = dict(zip(map(str, self.job.extrapolated), spent, strict=True))
        return float(np.polyval(np.polyfit(self.job.extrapolated, spent, 1), self.job.Y.shape[1]))

    def alphas(self) -> Array:
        """Index of each target's alpha; targets not fitted are left at -1."""
        best = np.full(self.job.Y.shape[1], -1)
        found = np.asarray(self.found.cpu() if hasattr(self.found, "cpu") else self.found)
        best[: len(found)] = np.abs(np.log(self.job.alphas[:, None] / found)).argmin(0)
        return best

    def fit(self, choice: tuple[Any, ...], count: int, quick: bool = False) -> None:
        from himalaya.backend import set_backend

        backend, alphas, targets, diagonalise = choice
        convert = set_backend(backend).asarray
        X, Y, job = convert(self.job.X), convert(np.ascontiguousarray(self.job.Y[:, :count])), self.job
        sizes = {"n_alphas_batch": alphas, "n_targets_batch": targets, "n_targets_batch_refit": targets}
        if job.bands > 1:
            assert job.candidates is not None
            candidates = job.candidates[: 2 if quick else None]
            self.found = fit_banded(X, Y, job, {**sizes, "diagonalize_method": diagonalise}, candidates)
            return
        from himalaya.kernel_ridge import KernelRidgeCV
        from himalaya.ridge import RidgeCV as TheirRidgeCV

        their = TheirRidgeCV if X.shape[0] > X.shape[1] else KernelRidgeCV
        model = their(alphas=convert(job.alphas.astype(np.float32)), cv=FOLDS, fit_intercept=True, solver_params=sizes)
        self.found = model.fit(X, Y).best_alphas_


def fit_banded(X: Any, Y: Any, job: Job, settings: dict[str, Any], candidates: Array) -> Any:
    """himalaya's random search on precomputed kernels, over the candidates given."""
    from himalaya.backend import get_backend
    from himalaya.kernel_ridge import MultipleKernelRidgeCV

    convert = get_backend().asarray
    width = job.X.shape[1] // job.bands
    parts = [X[:, i * width : (i + 1) * width] for i in range(job.bands)]
    kernels = get_backend().stack([part @ part.T for part in parts])
    more = {"n_iter": convert(candidates.astype(np.float32)), "alphas": convert(job.alphas.astype(np.float32))}
    model = MultipleKernelRidgeCV(
        "precomputed", fit_intercept=True, cv=FOLDS, solver_params={**settings, **more, "progress_bar": False}
    )
    model.fit(kernels, Y)
    return 1 / get_backend().exp(model.deltas_).sum(0)  # deltas: log of weight over alpha


class ScikitLearn:
    """scikit-learn's Ridge, fitted for every fold and alpha, then at each target's best: it has no such search."""

    def __init__(self, job: Job, device: str) -> None:
        self.job, self.settings = job, {"solver": "cholesky", "rounds": 1}

    def seconds(self) -> float:
        return seconds(self.fit)

    def fit(self) -> None:
        from sklearn.linear_model import Ridge

        X, Y, loss = self.job.X, np.asarray(self.job.Y), 0.0
        for train, test in splits(FOLDS, len(X)):
            fits = (
                Ridge(alpha, solver="cholesky").fit(X[train], Y[train]).predict(X[test]) for alpha in self.job.alphas
            )
            loss = loss + np.stack([np.square(Y[test] - pred).mean(0) for pred in fits])
        self.best = loss.argmin(0)
        for index in np.unique(self.best):
            Ridge(self.job.alphas[index], solver="cholesky").fit(X, Y[:, self.best == index])

    def alphas(self) -> Array:
        return self.best


PEERS: dict[str, Callable[[Job, str], Any]] = {"himalaya": Himalaya, "scikit-learn": ScikitLearn}


def floor_rank(job: Job) -> int:
    """r*: the rank of alpha / (s + alpha) at 1e-4 on the spectrum of all samples."""
    X = torch.as_tensor(job.X).double()
    X = X - X.mean(0)
    values = torch.linalg.eigvalsh(X.T @ X if X.shape[1] <= X.shape[0] else X @ X.T).clamp(min=0).numpy()
    sizes = np.linalg.svd(job.alphas[:, None] / (values + job.alphas[:, None]), compute_uv=False)
    return int((sizes > 1e-4 * sizes[0]).sum())


def floor_seconds(job: Job, rank: int, device: str) -> float:
    """Seconds of the products that any exact search makes: for each candidate again, if there are bands."""
    X = torch.as_tensor(job.X).to(device)
    samples, width = X.shape
    targets, held = job.Y.shape[1], samples // FOLDS
    primal = width <= samples
    size = width if primal else samples
    batch = min(500, targets)
    square = torch.randn(size, size, device=device)
    right, rows = torch.randn(batch, size, device=device), torch.randn(rank * held, size, device=device)
    responses = torch.randn(batch, samples, device=device)

    def products() -> None:
        _ = X.T @ X if primal else X @ X.T
        for _ in range(targets // batch):
            _ = responses @ X if primal else None
            _ = (right @ square) @ square
        for _ in range(FOLDS * (1 if job.candidates is None else len(job.candidates))):
            _ = rows[:held] @ square
            for _ in range(targets // batch):
                _ = right @ rows.T
        if device.startswith("cuda"):
            torch.cuda.synchronize()

    return seconds(products)


def simulate(samples: int, width: int, targets: int, decay: float = 0.5, seed: int = 0) -> tuple[Array, Array]:
    """Standardised features with a power-law spectrum, and responses with the signal-to-noise of good fMRI.

    Standard deviations of the features' components fall as rank^-decay; signal over noise is lognormal, median 0.45.
    """
    rng = np.random.default_rng(seed)
    inner = min(samples, width)
    basis = np.linalg.qr(rng.standard_normal((width, inner)))[0].astype(np.float32)
    X = (
        rng.standard_normal((samples, inner), dtype=np.float32) * np.arange(1, inner + 1, dtype=np.float32) ** -decay
    ) @ basis.T
    X = (X - X.mean(0)) / X.std(0)
    signal = X @ rng.standard_normal((width, targets), dtype=np.float32)
    signal *= np.exp(rng.normal(np.log(0.45), 0.6, targets)).astype(np.float32) / signal.std(0)
    return X, signal + rng.standard_normal((samples, targets), dtype=np.float32)


def primal(less: int, folder: Path) -> Job:
    X, Y = simulate(3000 // less, 1024 // less, 5000 // less)
    return Job("n 3000, p 1024, 5000 targets", X, Y, np.logspace(0, 5, 60), peers=("himalaya", "scikit-learn"))


def streamed(less: int, folder: Path) -> Job:
    X, Y = simulate(9000 // less, 1024 // less, 40000 // less)
    np.save(folder / "responses.npy", Y)
    counts = (1000 // less, 2000 // less)
    return Job(
        "n 9000, p 1024, 40000 targets, streamed, 6 GB",
        X,
        np.load(folder / "responses.npy", mmap_mode="r"),
        np.logspace(0, 5, 60),
        limit=6 * 10**9,
        extrapolated=counts,
        tried=1000 // less,
        notes={"himalaya is": f"extrapolated from {counts[0]} and {counts[1]} targets"},
    )


def dual(less: int, folder: Path) -> Job:
    X, Y = simulate(1000 // less, 20000 // less, 5000 // less)
    return Job("dual: n 1000, p 20000, 5000 targets, alphas 10 to 1e4", X, Y, np.logspace(1, 4, 60))


def dual_wide(less: int, folder: Path) -> Job:
    X, Y = simulate(1000 // less, 20000 // less, 5000 // less)
    return Job("dual: n 1000, p 20000, 5000 targets, alphas 1 to 1e8", X, Y, np.logspace(0, 8, 60))


def banded(less: int, folder: Path) -> Job:
    X, Y = simulate(2000 // less, 1500 // less, 2000 // less)
    candidates = np.random.default_rng(0).dirichlet(np.ones(3), 20 if less == 1 else 3)
    return Job("banded: 3 x 500, n 2000, 2000 targets, 20 candidates", X, Y, np.logspace(0, 5, 60), 3, candidates)


def alignment(less: int, folder: Path) -> Job:
    return Job(
        "n 9000, p 5120, 15724 targets", *simulate(9000 // less, 5120 // less, 15724 // less), np.logspace(0, 5, 60)
    )


def surface(less: int, folder: Path) -> Job:
    X, Y = simulate(9000 // less, 1024 // less, 327684 // less)
    return Job("n 9000, p 1024, 327684 targets", X, Y, np.logspace(0, 5, 60), peers=())


JOBS = {job.__name__: job for job in (primal, streamed, dual, dual_wide, banded, alignment, surface)}


def bands_of(job: Job) -> dict[str, Array]:
    width = job.X.shape[1] // job.bands
    return {f"band {i}": job.X[:, i * width : (i + 1) * width] for i in range(job.bands)}


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    peers = ", ".join(f"{name} {spent:.2f} s ({row['times_peer'][name]:.1f}x)" for name, spent in row["peers"].items())
    return (
        f"{row['job']}: ours {row['ours_s']:.2f} s; {peers}; floor {row['floor_s']:.2f} s ({row['times_floor']:.2f}x, "
        f"r* {row['floor_rank']}); peak {row['peak_mb']:.0f} MB; same alpha {row['same_alpha']:.4f}, furthest "
        f"{row['furthest_step']} steps, regret {row['regret']:.1e}, predictions within {row['max_rel_diff']:.1e} sd"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
