"""The plan of a ridge fit: primal or dual, how many targets at a time, and what it will cost, before any work."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from fusiform.errors import SettingsError
from fusiform.models.design import BLOCK, Frame
from fusiform.models.heldout import Search, rows_of
from fusiform.models.solvers import rotates
from fusiform.models.spectra import filter_basis, pieced_basis

__all__ = ["Form", "Job", "Plan", "Rank", "expected_rank", "make_plan", "memory_available"]

Form = Literal["primal", "dual"]
Weights = Literal["memory", "disk", "none"]
READ = 1 << 28  # bytes of responses read from disk at a time
BUFFERS = 7 << 23  # bytes that linear algebra libraries (torch's and scipy's) keep for themselves
SPREAD = 1000  # eigenvalues of the spectrum by which the number of basis filters is guessed
SPECTRUM = 9  # an eigendecomposition takes about 9 Q^3 operations


@dataclass(frozen=True)
class Rank:
    """Basis filters to expect.

    Args:
        filters: R, of a spectrum that is cut into pieces.
        each: of those, how many take an eigenvector on average.
        single: those of a spectrum in one piece.
    """

    filters: int
    each: float
    single: int


@dataclass(frozen=True)
class Job:
    """The size of a fit.

    Args:
        samples: N.
        features: P.
        targets: V.
        alphas: A.
        held: held-out samples of each fold; of leave-one-out in closed form, all samples once.
        width: bytes of a number computed with (4 or 8).
        weights: where the weights go. In the dual, weights in memory are those on samples.
        lazy: responses are read from disk in blocks.
        bands: B, of features.
        candidates: C band weights tried.
        together: all targets are held at once.
    """

    samples: int
    features: int
    targets: int
    alphas: int
    held: Sequence[int]
    width: int
    weights: Weights = "memory"
    lazy: bool = False
    bands: int = 1
    candidates: int = 1
    together: bool = False


@dataclass(frozen=True)
class Plan:
    """How a fit will be done, and its estimated cost. `print(plan)` says it in words.

    Args:
        job: what is to be done.
        form: solve on features or on samples.
        rank: basis filters per fold, an estimate from the grid of alphas; after the fit, what was used.
        batch: targets at a time.
        flops: floating point operations.
        memory: bytes by part; those of `folds` and `batch` are never held at once.
        limit: bytes that may be used.
        device: where.
        spectra: precision of the decompositions; after the fit, what was used.
    """

    job: Job
    form: Form
    rank: int
    batch: int
    flops: float
    memory: dict[str, int]
    limit: int
    device: str
    spectra: str = "float32 or float64, decided by the spectrum"

    def done(self, searches: Sequence[Search]) -> "Plan":
        """The plan with what was found when the folds were decomposed."""
        spectra = "float64" if any(search.precise for search in searches) else f"float{8 * self.job.width}"
        return replace(self, rank=max(search.basis.rank for search in searches), spectra=spectra)

    @property
    def peak(self) -> int:
        """Most bytes held at once, beside the data handed in."""
        parts = self.memory
        return BUFFERS + parts["design"] + parts["operators"] + max(parts["folds"], parts["batch"] + parts["results"])

    @property
    def read(self) -> int:
        """Bytes of features and responses read."""
        job = self.job
        # twice: in the primal for means and for products, in the dual for both at once and again for weights
        return job.samples * (2 * job.features + job.targets) * job.width

    def __str__(self) -> str:
        job = self.job
        lines = [
            f"{job.samples:,} samples x {job.features:,} features -> {job.targets:,} targets, "
            f"{job.alphas} alphas x {len(job.held)} folds",
            f"{self.form} form on {self.device} in float{8 * job.width}, {self.batch:,} targets at a time; weights: "
            f"{job.weights}; spectra: {self.spectra}",
            f"about {self.rank} basis filters stand for {job.alphas} alphas",
            f"about {self.flops / 1e9:,.1f} GFLOP and {_gib(self.read)} read",
            f"peak memory about {_gib(self.peak)} of {_gib(self.limit)} ("
            + ", ".join(f"{name} {_gib(size)}" for name, size in self.memory.items())
            + ")",
        ]
        return "\n".join(lines)


def make_plan(job: Job, frame: Frame, rank: Rank | int, limit: int | None = None, form: Form | None = None) -> Plan:
    """The cheapest plan within a memory limit.

    Args:
        job: the size of the fit.
        frame: device and precision.
        rank: basis filters to expect.
        limit: bytes; None: four fifths of what is free on the device.
        form: insist on one form.

    Raises:
        SettingsError: no plan fits; the message says what would.
    """
    rank = rank if isinstance(rank, Rank) else Rank(rank, rank, rank)
    limit = int(0.8 * memory_available(frame.device)) if limit is None else limit
    forms: tuple[Form, ...] = ("primal", "dual") if form is None else (form,)
    plans = [_plan(job, frame, rank, limit, form) for form in forms]
    fitting = [plan for plan in plans if plan.peak <= limit]
    if fitting:
        return min(fitting, key=lambda plan: plan.flops)
    least = min(plans, key=lambda plan: plan.peak)
    raise SettingsError(
        f"this fit needs {_gib(least.peak)} ({least.form}, {least.batch} targets at a time), but only {_gib(limit)} "
        f"may be used; {_remedy(job, frame, rank, limit)}"
    )


def expected_rank(alphas: NDArray[np.float64], tolerance: float) -> Rank:
    """Basis filters that a grid needs on a spectrum that spreads evenly over, below and above it."""
    low, high = np.log10(alphas[alphas > 0].min()) - 1, np.log10(alphas.max()) + 1
    values = np.logspace(low, high, SPREAD)
    asked = values, values / np.sqrt(len(values)), alphas, tolerance
    pieced, single = pieced_basis(*asked), filter_basis(*asked)
    return Rank(pieced.rank, pieced.load / len(values), single.rank)


def memory_available(device: torch.device) -> int:
    """Free bytes on the device: of the GPU, or of this machine within the limit of its control group."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        fields = dict(line.split(":") for line in meminfo.read_text().splitlines() if ":" in line)
        free = int(fields["MemAvailable"].split()[0]) * 1024
    return min(free, _group_limit())


def _group_limit() -> int:
    """Bytes that a Linux control group still allows; no limit elsewhere."""
    folder = Path("/sys/fs/cgroup")
    try:
        most = (folder / "memory.max").read_text().strip()
        return 1 << 62 if most == "max" else int(most) - int((folder / "memory.current").read_text())
    except (OSError, ValueError):
        return 1 << 62


def _plan(job: Job, frame: Frame, rank: Rank, limit: int, form: Form) -> Plan:
    preferred = 1 << (30 if frame.device.type == "cuda" else 24)  # a batch of predictions that stays near the processor
    most = preferred // (job.width * (rank.filters + 2) * max(_rows(job, form), default=job.samples))
    batch = min(max(most, 32), 2048, job.targets)
    flops = _flops(job, rank, form)
    plan = Plan(job, form, rank.filters, batch, flops, _memory(job, rank, form, batch), limit, str(frame.device))
    while plan.peak > limit and plan.batch > 1:
        batch = plan.batch // 2
        plan = replace(plan, batch=batch, memory=_memory(job, rank, form, batch))
    return plan


def _size(job: Job, form: Form) -> int:
    return job.features if form == "primal" else job.samples


def _rows(job: Job, form: Form) -> list[int]:
    """Rows that stand for the held-out samples of each fold: a fold with more than Q is rotated into Q."""
    size = _size(job, form)
    return [size if held > 1.25 * size else held for held in job.held]


def _operators(job: Job, rank: Rank, form: Form) -> list[tuple[int, float, bool]]:
    """Of each fold: rows that stand for its held-out samples, filters on each eigenvalue, and whether it rotates."""
    size = _size(job, form)
    turns = [(rows, rotates(rank.single, rank.each, rows, size, job.targets)) for rows in _rows(job, form)]
    return [(rows, rank.each if turn else rank.single, turn) for rows, turn in turns]


def _flops(job: Job, rank: Rank, form: Form) -> float:
    size, folds = _size(job, form), _operators(job, rank, form)
    gram = 2 * job.samples * job.features * size
    turned = sum(rows + (job.targets if turn else load * rows) for rows, load, turn in folds)
    operators = 2 * turned * size**2
    covariates = 2 * job.samples * size * job.targets if form == "primal" else 0
    predictions = 2 * sum(load * rows for rows, load, _ in folds) * size * job.targets
    weights = 4 * size**2 * job.targets
    if form == "dual" and job.weights == "disk":
        weights += 2 * size * job.features * job.targets
    spectra = SPECTRUM * (len(job.held) + 1) * size**3
    return float(gram + weights + job.candidates * (spectra + operators + covariates + predictions))


def _memory(job: Job, rank: Rank, form: Form, batch: int) -> dict[str, int]:
    # predictions count twice: the rank is a guess, and what the last batch held is not always given back in time
    size, rows, width = _size(job, form), _rows(job, form), job.width
    most, folds = max(rows, default=0), _operators(job, rank, form)
    loads = [width * int(load * few) * size for few, load, _ in folds]
    turned = sum(full * size for full, few in zip(job.held, rows, strict=True) if few < full)
    rotations = sum(turn for *_, turn in folds)
    own = job.samples * size if form == "primal" else 0
    one = 8 * 3 * job.samples + width * (
        job.samples + (5 + len(job.held)) * size + 2 * rows_of(rank.filters) * most + 2 * max(job.held, default=0)
    )
    one += 12 * rows_of(rank.filters) ** 2 + 8 * job.alphas * (len(job.held) + 3 + 2 * rank.filters)
    width_out = {"memory": size, "disk": job.features, "none": 0}[job.weights]
    kept = job.targets * (width * width_out * (job.weights == "memory") + 8 * (job.alphas + len(job.held) + 4))
    kept += 16 * job.candidates * job.targets * (job.bands > 1)
    read = min(READ, job.samples * job.targets * width) if job.lazy else 0
    return {
        "design": width * own + 8 * size**2 + width * size**2 + _bands(job, form),
        "operators": sum(loads) + width * (turned + rotations * size**2),
        "folds": 5 * 8 * size**2
        + 8 * 3 * max(job.held, default=0) * size
        + max(loads, default=0)
        + 3 * 8 * min(BLOCK, job.samples * job.features),
        "batch": batch * (one + width * width_out) + read,
        "results": kept,
    }


def _bands(job: Job, form: Form) -> int:
    """Bytes that several bands take: a Gram matrix each, the features side by side and scaled, and all targets."""
    if job.bands == 1:
        return 0
    grams = 8 * (job.bands + 1) * job.samples**2 if form == "dual" else 8 * job.features**2
    targets = job.samples * job.targets if job.together else 0
    return grams + job.width * (2 * job.samples * job.features + targets)


def _remedy(job: Job, frame: Frame, rank: Rank, limit: int) -> str:
    """What would make it fit."""
    tries = {
        "dtype='float32'": replace(job, width=4),
        "a folder= to write the weights to": replace(job, weights="disk"),
        "keep_weights=False": replace(job, weights="none"),
        "dtype='float32' and keep_weights=False": replace(job, width=4, weights="none"),
    }
    for said, tried in tries.items():
        if tried != job and any(_plan(tried, frame, rank, limit, form).peak <= limit for form in ("primal", "dual")):
            return f"give {said}, or raise memory_limit"
    return "raise memory_limit, or fit fewer features"


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**28 else f"{size / 2**20:.1f} MiB"
