"""Second tier: the files of a dataset, what it promises, and pictures of what it holds."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Recording, Responses, Stimuli
from fusiform.datasets import Dataset
from fusiform.datasets.contract import Finding, examine
from fusiform.datasets.fetch import check_files
from fusiform.errors import FusiformError
from fusiform.plots.charts import gallery, histogram
from fusiform.plots.maps import brain_map, unmapped
from fusiform.plots.report import Picture, Section
from fusiform.recipes.steps import averaged, ceiling_of

__all__ = ["data", "pictures"]

MOST = 8  # stimuli that are loaded, and shown
ROWS = 2000  # samples over which ranges are told


def data(dataset: Dataset, part: str, subject: str) -> Iterator[Finding]:
    """Files, contract, counts and ranges of one part and one subject."""
    yield from _files(dataset.name)
    findings = list(examine(dataset, parts=[part], subjects=[subject], most=MOST))
    yield from findings
    if all(finding.ok for finding in findings):
        responses = dataset.responses(subject, part=part)
        yield _samples(responses)
        yield from _ranges(responses)
        yield _ceiling(responses)


def _files(name: str) -> Iterator[Finding]:
    for said, ok in check_files(name):
        yield Finding("files", said, ok)


def _samples(responses: Responses) -> Finding:
    samples = responses.samples
    counts = [f"{samples['stimulus'].nunique():,} stimuli"]
    counts += [f"{samples[name].nunique()} {name}s" for name in ("session", "run") if name in samples]
    counts += [
        f"{count:,} {split}" for split, count in samples.get("split", pd.Series(dtype=str)).value_counts().items()
    ]
    if responses.timed:
        counts.append(f"times from {samples['time'].min():g} to {samples['time'].max():g} s")
    else:
        counts.append(f"each shown up to {samples['stimulus'].value_counts().max()} times")
    regions = responses.space.targets.get("roi")
    counts += [] if regions is None else [f"{regions.nunique()} regions"]
    return Finding("samples", ", ".join(counts))


def _ranges(responses: Responses) -> Iterator[Finding]:
    rows = np.unique(np.linspace(0, len(responses) - 1, ROWS).astype(np.int64))
    values = np.asarray(responses.values[rows], dtype=np.float64)
    low, middle, high = np.percentile(values, [1, 50, 99])
    yield Finding(
        "range", f"{values.min():.4g} to {values.max():.4g}, median {middle:.4g}, 98 % from {low:.4g} to {high:.4g}"
    )
    constant = int((np.ptp(values, axis=0) == 0).sum())
    if constant == values.shape[1]:
        said = f"all {constant} targets have the same value in all samples; wanted ones that vary: check what was read"
        yield Finding("range", said, ok=False)
    elif constant:
        yield Finding("range", f"{constant} of {values.shape[1]} targets are constant (outside of the brain?)")


def _ceiling(responses: Responses) -> Finding:
    ceiling = _found_ceiling(responses)
    if ceiling is None:
        return Finding("ceiling", "none: nothing was shown twice")
    above = float((ceiling > 0.3).mean())
    said = f"largest r to expect of averages: median {np.median(ceiling):.2f}, {above:.0%} of targets above .3"
    return Finding("ceiling", said)


def _found_ceiling(responses: Responses) -> NDArray[np.float64] | None:
    try:
        return ceiling_of(responses, averaged(responses).samples)
    except FusiformError:  # such as one repeated stimulus only
        return None


def pictures(dataset: Dataset, part: str, subject: str) -> list[Section]:
    """The first stimuli, and the ceiling of every target: on a map where they have places."""
    stimuli, responses = dataset.stimuli(part), dataset.responses(subject, part=part)
    return [_shown(stimuli), _ceiling_section(responses)]


def _shown(stimuli: Stimuli) -> Section:
    title, ids = "The first stimuli", stimuli.ids[:MOST]
    if stimuli.kind != "image":
        rows = [{"id": id, "holds": _told(stimuli.load(id))} for id in ids]
        return Section(title, table=pd.DataFrame(rows))
    arrays = [np.asarray(stimuli.load(id).convert("RGB").resize((96, 96))) / 255 for id in ids]
    figure = gallery({"": arrays}, columns=ids)
    return Section(title, pictures=[Picture("stimuli", figure, f"The first {len(ids)} of {len(stimuli):,} pictures.")])


def _told(shown: Any) -> str:
    if not isinstance(shown, Recording):
        return str(shown)[:120]
    held = [f"{len(shown.words)} words"] if len(shown.words) else []
    held += [f"track {name}" for name in shown.tracks]
    held += [name for name in ("video", "sound") if getattr(shown, name) is not None]
    return f"{shown.duration:g} s: {', '.join(held)}"


def _ceiling_section(responses: Responses) -> Section:
    title, ceiling = "Noise ceiling", _found_ceiling(responses)
    if ceiling is None:
        return Section(title, notice="Nothing was shown twice, so no ceiling can be told.")
    caption = "The largest r to expect of averaged responses, from the agreement of repeats."
    if not unmapped(responses.space):
        figure = brain_map(ceiling, responses.space, label="r ceiling", limits=(0.0, 1.0))
    else:
        figure = histogram({"r ceiling": ceiling}, x="r ceiling")
    return Section(title, pictures=[Picture("ceiling", figure, caption)])
