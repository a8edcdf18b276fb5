"""What a ridge fit costs, in operations and in bytes, estimated from its size before any work.

Shapes: N samples, P features, V targets, A alphas, F folds, M held-out samples of a fold, B bands, C candidates, R
basis filters, Q = P (primal) or N (dual).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fusiform.models.carrying import GATHERED
from fusiform.models.design import BLOCK
from fusiform.models.heldout import rows_of
from fusiform.models.leave_group_out import pays
from fusiform.models.leave_one_out import ALPHAS, TOGETHER
from fusiform.models.solvers import rotates

__all__ = ["GRID", "READ", "Form", "Job", "Rank", "Weights", "flops_of", "held_rows", "memory_of"]

Form = Literal["primal", "dual"]
Weights = Literal["memory", "disk", "none"]
READ = 1 << 28  # bytes of responses read from disk at a time
SPECTRUM = 9  # an eigendecomposition takes about 9 Q^3 operations
NEWTON = 40  # operations per eigenvalue in which the alpha of a fraction is found
ITERATIONS = 20  # of conjugate gradients in a step of the gradient solver, about
GRID = 400  # alphas among which that of a fraction is looked for


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
        weights: where the weights go. In the dual, weights in memory are those on samples, of bands those on features.
        lazy: responses are read from disk in blocks.
        search: over alphas or fractions in folds, or over alphas with each sample left out alone.
        bands: B, of banded ridge; 0: plain ridge.
        candidates: C band weights tried.
        steps: of gradient descent after the search.
        shared: all targets share what is best for their mean.
    """

    samples: int
    features: int
    targets: int
    alphas: int
    held: Sequence[int]
    width: int
    weights: Weights = "memory"
    lazy: bool = False
    search: Literal["alphas", "fractions", "loo"] = "alphas"
    bands: int = 0
    candidates: int = 1
    steps: int = 0
    shared: bool = False


def flops_of(job: Job, rank: Rank, form: Form) -> float:
    """Floating point operations."""
    size, folds = _size(job, form), _operators(job, rank, form)
    gram = 2 * job.samples * job.features * size
    turned = sum(rows + (job.targets if turn else load * rows) for rows, load, turn in folds)
    operators = 2 * turned * size**2
    covariates = 2 * job.samples * size * job.targets if form == "primal" else 0
    predictions = 2 * sum(load * rows for rows, load, _ in folds) * size * job.targets + _scoring_flops(job, rank, form)
    weights = 4 * size**2 * job.targets
    if form == "dual" and (job.weights == "disk" or job.bands):
        weights += 2 * size * job.features * job.targets
    closed = _in_closed_form(job, rank, form)
    spectra = (SPECTRUM + (2 * rank.single if closed else SPECTRUM * len(job.held))) * size**3
    search = job.candidates * (spectra + operators + covariates + predictions)
    return float(gram + weights + search + _descent_flops(job))


def memory_of(job: Job, rank: Rank, form: Form, batch: int) -> dict[str, int]:
    """Bytes by part.

    `design` is held throughout, `operators` while alphas are searched, `folds` while those are made and `batch` once
    they are; `results` are what is kept. Of bands, `solution` is held in the end: weights, and what solves for them.
    """
    parts = {
        "design": _design_bytes(job, form),
        "operators": _operator_bytes(job, rank, form),
        "folds": _fold_bytes(job, rank, form),
        "batch": _batch_bytes(job, rank, form, batch),
        "results": _result_bytes(job, form),
    }
    return parts if not job.bands else {**parts, "solution": _solution_bytes(job, form, batch)}


def held_rows(job: Job, form: Form) -> list[int]:
    """Rows that stand for the held-out samples of each fold: a fold with more than Q is rotated into Q."""
    size = _size(job, form)
    return [size if held > 1.25 * size and job.search != "loo" else held for held in job.held]


def _size(job: Job, form: Form) -> int:
    return job.features if form == "primal" else job.samples


def _operators(job: Job, rank: Rank, form: Form) -> list[tuple[int, float, bool]]:
    """Of each fold: rows that stand for its held-out samples, filters on each eigenvalue, and whether it rotates."""
    if job.search == "loo":
        return [(rows, rank.single, True) for rows in job.held]
    size = _size(job, form)
    if _in_closed_form(job, rank, form):
        return [(rows, rank.single, False) for rows in job.held]
    turns = [(rows, rotates(rank.single, rank.each, rows, size, job.targets)) for rows in held_rows(job, form)]
    return [(rows, rank.each if turn else rank.single, turn) for rows, turn in turns]


def _in_closed_form(job: Job, rank: Rank, form: Form) -> bool:
    """Whether folds come from the decomposition of all samples."""
    if form == "primal" or job.bands or job.search != "alphas" or not job.held:
        return False
    return pays([(job.samples - held, held) for held in job.held], job.targets, rank.single)


def _scoring_flops(job: Job, rank: Rank, form: Form) -> float:
    """Of what is done for each alpha rather than for each basis filter."""
    if job.search == "loo":
        return 2.0 * job.alphas * (rank.single + 4) * job.samples * job.targets
    if job.search == "fractions":
        return float(NEWTON * job.alphas * _size(job, form) * len(job.held) * job.targets)
    return 0.0


def _descent_flops(job: Job) -> float:
    """Of the gradient solver: conjugate gradients, and a Cholesky decomposition for each target's weights."""
    squares = sum((job.samples - held) ** 2 for held in job.held)
    steps = 2.0 * (job.steps + 1) * ITERATIONS * job.bands * squares
    return (job.steps > 0) * job.targets * (steps + (job.weights != "none") * job.samples**3 / 3)


def _design_bytes(job: Job, form: Form) -> int:
    """Rows and Gram matrix; of plain ridge eigenvectors, of bands the same again with weights, or a matrix each."""
    size = _size(job, form)
    own = job.samples * size if form == "primal" else 0
    if not job.bands:
        return job.width * own + 2 * 8 * size**2
    return 2 * job.width * own + 8 * (2 if form == "primal" else job.bands + 2) * size**2


def _operator_bytes(job: Job, rank: Rank, form: Form) -> int:
    size, rows, folds = _size(job, form), held_rows(job, form), _operators(job, rank, form)
    turned = sum(full * size for full, few in zip(job.held, rows, strict=True) if few < full)
    rotations = job.width * sum(turn for *_, turn in folds) + 8 * len(folds) * (job.search == "fractions")
    stretch = 8 * job.alphas * job.samples if job.search == "loo" else 0
    rotations *= not _reads_vectors(job, form)
    return sum(_loads(job, rank, form)) + job.width * turned + rotations * size**2 + stretch


def _fold_bytes(job: Job, rank: Rank, form: Form) -> int:
    size = _size(job, form)
    read = 3 * 8 * min(BLOCK, job.samples * job.features)
    held = (1 if job.search == "loo" else 3) * 8 * max(job.held, default=0) * size
    made = 0 if _reads_vectors(job, form) else held + max(_loads(job, rank, form), default=0)
    return 5 * 8 * size**2 + made + read


def _reads_vectors(job: Job, form: Form) -> bool:
    """Whether what predicts samples left out alone are the eigenvectors themselves: of samples, they are its rows."""
    return job.search == "loo" and form == "dual"


def _loads(job: Job, rank: Rank, form: Form) -> list[int]:
    """Bytes of the operators of each fold; of samples left out alone, of their rows in float64."""
    if job.search == "loo":
        return [8 * rows * _size(job, form) for rows in job.held]
    return [job.width * int(load * rows) * _size(job, form) for rows, load, _ in _operators(job, rank, form)]


def _batch_bytes(job: Job, rank: Rank, form: Form, batch: int) -> int:
    width, size, folds = job.width, _size(job, form), len(job.held)
    covariates = 4 if form == "dual" and job.search != "loo" else folds + 5  # in the primal those left out, too
    one = 8 * 3 * job.samples + width * (job.samples + covariates * size + 2 * max(job.held, default=0))
    one += 8 * job.alphas * (folds + 3)
    if not job.bands:
        one += width * {"memory": size, "disk": job.features, "none": 0}[job.weights]
    read = min(READ, job.samples * job.targets * width) if job.lazy else 0
    together = 2 * 8 * folds * job.alphas * job.targets if job.bands and job.shared else 0
    loo = job.search == "loo"
    scoring = _left_out_bytes(job, rank, form, batch) if loo else _product_bytes(job, rank, form, batch)
    return batch * one + scoring + read + together


def _product_bytes(job: Job, rank: Rank, form: Form, batch: int) -> int:
    """Of basis predictions and their products with each other, and of the mixes where each target has its own."""
    rows = rows_of(rank.filters)
    predictions = job.width * rows * max(held_rows(job, form), default=0)
    predictions *= 1 + (job.search == "fractions")  # which are mixed for each target
    one = predictions + 12 * rows**2 + 2 * 8 * job.alphas * rank.filters
    if job.search != "fractions":
        return batch * one
    return batch * (one + 2 * 8 * job.alphas * rank.filters) + 4 * 8 * BLOCK + 2 * 8 * GRID * _size(job, form)


def _left_out_bytes(job: Job, rank: Rank, form: Form, batch: int) -> int:
    """Of samples left out alone: basis predictions of some targets, residuals of some alphas, covariates of all."""
    one = rank.single * (job.samples + _size(job, form))
    few = min(batch, max(1, TOGETHER // one))
    return job.width * (few * (one + 3 * ALPHAS * job.samples) + batch * (job.samples + 2 * _size(job, form)))


def _result_bytes(job: Job, form: Form) -> int:
    numbers = job.alphas + len(job.held) + 4
    if job.bands:  # each candidate's score and alpha, and once more to be kept
        return 8 * job.targets * (numbers + 3 * job.candidates + job.bands)
    size = _size(job, form) if job.weights == "memory" else 0
    return job.targets * (job.width * size + 8 * numbers)


def _solution_bytes(job: Job, form: Form, batch: int) -> int:
    """Of bands: the weights, a batch of targets, and the spectrum of a candidate or what the gradient solver holds."""
    width, size, kept = job.width, _size(job, form), job.weights != "none"
    weights = width * job.targets * job.features * kept
    carried = job.features if form == "primal" else min(job.features, BLOCK // job.samples)  # at once
    one = 8 * 3 * job.samples + width * (job.samples + 2 * carried)
    solving = kept * ((6 * 8 + width) * size**2 + batch * (one + 4 * width * size) + _waiting_bytes(job, form, batch))
    return weights + max(solving, (job.steps > 0) * _descent_bytes(job, batch, one))


def _waiting_bytes(job: Job, form: Form, batch: int) -> int:
    """Of weights on samples that wait to be carried to the features."""
    width = 8 if job.steps else job.width
    return min(GATHERED + batch * width * job.samples, width * job.targets * job.samples) * (form == "dual")


def _descent_bytes(job: Job, batch: int, one: int) -> int:
    """Of kernels of all folds, of what makes them or solves for the weights of some targets, and of a batch."""
    folds = [(job.samples - held, held) for held in job.held]
    kernels = job.bands * sum(train * (train + held) for train, held in folds)
    making = 5 * 8 * max((train * (train + held) for train, held in folds), default=0)
    solving = 3 * 8 * max(job.samples**2, BLOCK)
    descent = sum(3 * train + held for train, held in folds) + (6 * job.bands + 10) * job.samples
    waiting = _waiting_bytes(job, "dual", batch) * (job.weights != "none")
    each = one + job.width * descent + 8 * (job.bands + 6) * job.samples
    return job.width * kernels + max(making + 8 * job.samples**2, solving) + batch * each + waiting
