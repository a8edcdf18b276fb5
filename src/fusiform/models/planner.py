"""The plan of a ridge fit: primal or dual, how many targets at a time, and what it will cost, before any work."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from fusiform.errors import SettingsError
from fusiform.models.costs import READ, Form, Job, Rank, Weights, flops_of, held_rows, memory_of
from fusiform.models.design import Frame
from fusiform.models.heldout import Search
from fusiform.models.memory import memory_available
from fusiform.models.spectra import filter_basis, pieced_basis

__all__ = ["READ", "Form", "Job", "Plan", "Rank", "Weights", "expected_rank", "make_plan"]

BUFFERS = 7 << 23  # bytes that linear algebra libraries (torch's and scipy's) keep for themselves
SPREAD = 1000  # eigenvalues of the spectrum by which the number of basis filters is guessed
SHARE = 0.8  # of free memory that may be used


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
        plain: after the fit, whether in some fold fewer filters than alphas did not keep the tolerance.
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
    plain: bool = False

    def done(self, searches: Sequence[Search]) -> "Plan":
        """The plan with what was found when the folds were decomposed."""
        spectra = "float64" if any(search.precise for search in searches) else f"float{8 * self.job.width}"
        rank, plain = max(search.basis.rank for search in searches), any(search.basis.plain for search in searches)
        return replace(self, rank=rank, spectra=spectra, plain=plain)

    @property
    def peak(self) -> int:
        """Most bytes held at once on the device, beside the data handed in."""
        parts, results = self.memory, self.memory["results"] * (not self._beside)
        if self.job.bands:  # results are filled from the first candidate on, and the weights come after the search
            search = parts["operators"] + max(parts["folds"], parts["batch"])
            return BUFFERS + parts["design"] + results + max(search, parts["solution"])
        return BUFFERS + parts["design"] + parts["operators"] + max(parts["folds"], parts["batch"] + results)

    @property
    def host(self) -> int:
        """Bytes of results that lie in this machine's memory while a GPU computes; without one they are in the peak."""
        if not self._beside:
            return 0
        job = self.job
        of_bands = job.width * job.targets * job.features * (job.weights != "none") if job.bands else 0
        return self.memory["results"] + of_bands

    @property
    def _beside(self) -> bool:
        return self.device.startswith("cuda")

    @property
    def read(self) -> int:
        """Bytes of features and responses read, at most."""
        job, responses = self.job, 1
        features = 2  # in the primal for means and for products, in the dual for both at once and again for weights
        if job.bands:  # responses for the scores of every candidate, at most as often for weights, then for means
            responses = job.candidates * (1 + (job.weights != "none")) + (job.steps > 0) + 1
            features += self.form == "dual"  # for each band's own matrix
        return job.samples * (features * job.features + responses * job.targets) * job.width

    def __str__(self) -> str:
        job = self.job
        lines = [
            f"{job.samples:,} samples x {job.features:,} features -> {job.targets:,} targets, "
            f"{job.alphas} alphas x {len(job.held)} folds"
            + (f", {job.candidates:,} candidates of {job.bands} bands" if job.bands else ""),
            f"{self.form} form on {self.device} in float{8 * job.width}, {self.batch:,} targets at a time; weights: "
            f"{job.weights}; spectra: {self.spectra}",
            f"about {self.rank} basis filters stand for {job.alphas} alphas"
            + (": a plain search, since fewer do not keep the tolerance" if self.plain else ""),
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
    limit = int(SHARE * memory_available(frame.device)) if limit is None else limit
    forms: tuple[Form, ...] = ("primal", "dual") if form is None else (form,)
    plans = [_plan(job, frame, rank, limit, form) for form in forms]
    fitting = [plan for plan in plans if plan.peak <= limit]
    if fitting:
        return _checked(min(fitting, key=lambda plan: plan.flops))
    least = min(plans, key=lambda plan: plan.peak)
    raise SettingsError(
        f"this fit needs {_gib(least.peak)} ({least.form}, {least.batch} targets at a time), but only {_gib(limit)} "
        f"may be used; {_remedy(job, frame, rank, limit, forms)}"
    )


def expected_rank(alphas: NDArray[np.float64], tolerance: float) -> Rank:
    """Basis filters that a grid needs on a spectrum that spreads evenly over, below and above it."""
    low, high = np.log10(alphas[alphas > 0].min()) - 1, np.log10(alphas.max()) + 1
    values = np.logspace(low, high, SPREAD)
    asked = values, values / np.sqrt(len(values)), alphas, tolerance
    pieced, single = pieced_basis(*asked), filter_basis(*asked)
    return Rank(pieced.rank, pieced.load / len(values), single.rank)


def _plan(job: Job, frame: Frame, rank: Rank, limit: int, form: Form) -> Plan:
    preferred = 1 << (30 if frame.device.type == "cuda" else 24)  # a batch of predictions that stays near the processor
    most = preferred // (job.width * (rank.filters + 2) * max(held_rows(job, form), default=job.samples))
    batch = min(max(most, 32), 2048, job.targets)
    flops = flops_of(job, rank, form)
    plan = Plan(job, form, rank.filters, batch, flops, memory_of(job, rank, form, batch), limit, str(frame.device))
    while plan.peak > limit and plan.batch > 1:
        batch = plan.batch // 2
        plan = replace(plan, batch=batch, memory=memory_of(job, rank, form, batch))
    return plan


def _checked(plan: Plan) -> Plan:
    """The plan, whose results fit into the machine's own memory if a GPU computes them."""
    room = int(SHARE * memory_available(torch.device("cpu"))) if plan.host else 0
    if plan.host > room:
        said = " or ".join(_without_weights(plan.job)) or "fewer targets"
        raise SettingsError(
            f"the results of this fit need {_gib(plan.host)} of this machine's memory beside the GPU's, but only "
            f"{_gib(room)} may be used; give {said}"
        )
    return plan


def _remedy(job: Job, frame: Frame, rank: Rank, limit: int, forms: Sequence[Form]) -> str:
    """What would make it fit, of the settings that its estimator has."""
    others = _without_weights(job)
    tries = {"dtype='float32'": replace(job, width=4), **others}
    tries |= {f"dtype='float32' and {said}": replace(other, width=4) for said, other in others.items()}
    for said, tried in tries.items():
        if tried != job and any(_plan(tried, frame, rank, limit, form).peak <= limit for form in forms):
            return f"give {said}, or raise memory_limit"
    return "raise memory_limit, or fit fewer features"


def _without_weights(job: Job) -> dict[str, Job]:
    """What to say, and the job, where weights leave the memory; those of bands are written at the end only."""
    if job.weights == "none":
        return {}
    without = {"keep_weights=False": replace(job, weights="none")}
    if job.bands or job.weights == "disk":
        return without
    return {"a folder= to write the weights to": replace(job, weights="disk"), **without}


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**28 else f"{size / 2**20:.1f} MiB"
