"""Second tier: the files of a dataset, what it promises, and pictures of what it holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Recording, Responses, Space, Stimuli
from fusiform.data.spread import spread
from fusiform.datasets import Dataset
from fusiform.datasets.contract import Finding, examine
from fusiform.datasets.fetch import check_files
from fusiform.errors import FusiformError
from fusiform.plots.charts import gallery, histogram
from fusiform.plots.maps import brain_map, unmapped
from fusiform.plots.report import Picture, Section
from fusiform.recipes.ceilings import ceiling_of, published_ceiling
from fusiform.recipes.steps import averaged

__all__ = ["Reading", "data", "pictures"]

MOST = 8  # stimuli that are loaded, and shown
ROWS = 2000  # samples over which ranges are told
COLUMNS = 1000  # targets over which percentiles are told
BLOCK = 1 << 22  # numbers that are looked at in one go


@dataclass(frozen=True)
class Ceiling:
    """The largest r to expect of every target.

    Args:
        values: [V], or None where nothing is known.
        source: where they are from, or why there are none.
    """

    values: NDArray[np.float64] | None
    source: str


@dataclass(frozen=True)
class Reading:
    """What is looked at; responses are read once for all that is told of them, and by `examine` on its own.

    Args:
        dataset: where they are from.
        part: one of its kinds of stimuli.
        subject: one of its subjects.
    """

    dataset: Dataset
    part: str
    subject: str

    @cached_property
    def stimuli(self) -> Stimuli:
        """All of the part."""
        return self.dataset.stimuli(self.part)

    @cached_property
    def responses(self) -> Responses:
        """All of the subject."""
        return self.dataset.responses(self.subject, part=self.part)

    @cached_property
    def ceiling(self) -> Ceiling:
        """The largest r to expect of the responses."""
        return ceiling(self.responses)


def data(reading: Reading) -> Iterator[Finding]:
    """Files, contract, counts and ranges of one part and one subject."""
    yield from _files(reading.dataset.name)
    findings = list(examine(reading.dataset, parts=[reading.part], subjects=[reading.subject], most=MOST))
    yield from findings
    if all(finding.ok for finding in findings):
        yield _samples(reading.responses)
        yield from _ranges(reading.responses)
        yield _ceiling(reading.ceiling)


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
    rows, some = _spread_out(len(responses), ROWS), _spread_out(responses.space.size, COLUMNS)
    step, sampled = max(1, BLOCK // responses.space.size), []
    ends = _ends(np.asarray(responses.values[rows[:1]]))
    for start in range(0, len(rows), step):
        values = np.asarray(responses.values[rows[start : start + step]])
        ends = _ends(np.concatenate([ends, values]))
        sampled.append(values[:, some])
    low, middle, high = np.percentile(np.concatenate(sampled), [1, 50, 99])
    told = f"{ends.min():.4g} to {ends.max():.4g}, median {middle:.4g}, 98 % from {low:.4g} to {high:.4g}"
    yield Finding("range", told)
    constant, count = int((spread(ends) == 0).sum()), ends.shape[1]
    if constant == count:
        said = f"all {constant} targets have the same value in all samples; wanted ones that vary: check what was read"
        yield Finding("range", said, ok=False)
    elif constant:
        yield Finding("range", f"{constant} of {count} targets are constant (outside of the brain?)")


def _ends(values: NDArray[Any]) -> NDArray[Any]:
    """The smallest and the largest of each target, [2, V]."""
    return np.stack([values.min(axis=0), values.max(axis=0)])


def _spread_out(count: int, most: int) -> NDArray[np.int64]:
    """At most so many positions, from the first to the last."""
    return np.unique(np.linspace(0, count - 1, most).astype(np.int64))


def _ceiling(found: Ceiling) -> Finding:
    if found.values is None:
        return Finding("ceiling", f"none: {found.source}")
    above = float((found.values > 0.3).mean())
    said = f"largest r to expect of averages: median {np.median(found.values):.2f}, {above:.0%} of targets above .3"
    return Finding("ceiling", f"{said} ({found.source})")


def ceiling(responses: Responses) -> Ceiling:
    """From the published noise ceiling or ncsnr where the space has one, else from the agreement of repeats."""
    if (shared := published_ceiling(responses.space)) is not None:
        return Ceiling(shared, "from the noise ceiling that was published with the data")
    try:
        found = ceiling_of(responses, averaged(responses).samples)
    except FusiformError as reason:  # such as one repeated stimulus only
        return Ceiling(None, str(reason))
    if found is None:
        return Ceiling(None, "nothing was shown twice")
    published = "ncsnr" in responses.space.targets
    return Ceiling(found, "from the published ncsnr" if published else "from the agreement of repeats")


def pictures(reading: Reading) -> list[Section]:
    """The first stimuli that the subject saw, and the ceiling of every target: on a map where they have places."""
    seen = reading.stimuli.select(list(dict.fromkeys(reading.responses.samples["stimulus"].astype(str))))
    return [_shown(seen, reading.subject), _ceiling_section(reading.ceiling, reading.responses.space)]


def _shown(stimuli: Stimuli, subject: str) -> Section:
    title, ids = "The first stimuli", stimuli.ids[:MOST]
    if stimuli.kind != "image":
        rows = [{"id": id, "holds": _told(stimuli.load(id))} for id in ids]
        return Section(title, table=pd.DataFrame(rows))
    arrays = [np.asarray(stimuli.load(id).convert("RGB").resize((96, 96))) / 255 for id in ids]
    figure = gallery({"": arrays}, columns=ids)
    told = f"The first {len(ids)} of {len(stimuli):,} pictures that {subject} saw."
    return Section(title, pictures=[Picture("stimuli", figure, told)])


def _told(shown: Any) -> str:
    if not isinstance(shown, Recording):
        return str(shown)[:120]
    held = [f"{len(shown.words)} words"] if len(shown.words) else []
    held += [f"track {name}" for name in shown.tracks]
    held += [name for name in ("video", "sound") if getattr(shown, name) is not None]
    return f"{shown.duration:g} s: {', '.join(held)}"


def _ceiling_section(found: Ceiling, space: Space) -> Section:
    title = "Noise ceiling"
    if found.values is None:
        return Section(title, notice=f"No ceiling can be told: {found.source}.")
    caption = f"The largest r to expect of averaged responses, {found.source}."
    if why := unmapped(space):
        caption += f" There is no map, for the space {space.name!r} {why}."
        figure = histogram({"r ceiling": found.values}, x="r ceiling")
    else:
        figure = brain_map(found.values, space, label="r ceiling", limits=(0.0, 1.0))
    return Section(title, pictures=[Picture("ceiling", figure, caption)])
