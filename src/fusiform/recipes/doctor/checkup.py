"""`doctor`: the three tiers in order, as a list of findings and, where asked for, a page of pictures."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusiform.datasets import Dataset, card, load_dataset
from fusiform.datasets.base import choose
from fusiform.datasets.contract import Finding
from fusiform.datasets.roots import looking_in
from fusiform.errors import FusiformError
from fusiform.plots.report import Section, save_figures, write_report
from fusiform.recipes.doctor.data import Reading, data, pictures
from fusiform.recipes.doctor.environment import environment
from fusiform.recipes.doctor.fit import fits
from fusiform.recipes.groups import flat
from fusiform.recipes.settings import Files
from fusiform.registry import names

__all__ = ["Checkup", "doctor"]

TIERS = ("environment", "data", "models")
REPORT = "report it with this line, and with what the dataset is"


@dataclass(frozen=True)
class Checkup:
    """What was looked at, tier by tier.

    Args:
        tiers: tier -> findings.
        report: page of pictures, or None.
    """

    tiers: Mapping[str, list[Finding]]
    report: Path | None = None

    @property
    def failed(self) -> int:
        """Number of findings that are not well."""
        return sum(not finding.ok for findings in self.tiers.values() for finding in findings)

    def facts(self) -> dict[str, Any]:
        """Plain values, for machines: a list of findings by tier, how many failed, the page."""
        listed = {tier: [vars(finding) for finding in findings] for tier, findings in self.tiers.items()}
        return {**listed, "failed": self.failed, "report": None if self.report is None else str(self.report)}

    def lines(self) -> list[str]:
        """One line per finding, under the name of its tier."""
        lines = []
        for tier, findings in self.tiers.items():
            lines += [tier, *(f"  {'ok  ' if one.ok else 'FAIL'} {one.about}: {one.said}" for one in findings)]
        return [*lines, *([f"pictures: {self.report}"] if self.report else [])]


@flat
def doctor(
    dataset: str | None = None,
    /,
    *,
    files: Files,
    subject: str | None = None,
    out: Path | str | None = None,
    device: str = "auto",
) -> Checkup:
    """Look at the environment, and at a dataset and a tiny fit on it where one is named.

    What comes back are all findings: nothing that is wrong with the machine or the data is raised.

    Parameters
    ----------
    dataset
        its name, folder:PATH, or the path of a dataset.yaml (default: check the machine alone)
    subject
        whose responses (default: the first)
    out
        folder for a page with the first stimuli and a map of the noise ceiling
    device
        auto, cpu, cuda, cuda:1
    """
    tiers = {"environment": _collect("environment", environment)}
    if dataset is None:
        return Checkup(tiers)
    arguments = files.arguments(dataset)
    with looking_in(files.root, dataset):
        return _of_dataset(tiers, dataset, files.part, subject, out, device, arguments)


def _of_dataset(
    tiers: dict[str, list[Finding]],
    name: str,
    part: str | None,
    subject: str | None,
    out: Path | str | None,
    device: str,
    dataset_args: Mapping[str, Any] | None,
) -> Checkup:
    found: list[Dataset] = []

    def opened() -> Iterator[Finding]:
        source = load_dataset(name, **(dataset_args or {}))
        found.append(source)
        yield Finding("dataset", f"{source.name}: {source.card.title}; licence {source.card.licence}")

    tiers["data"] = _collect("dataset", opened)
    if not found:
        return Checkup(_with_agreement(tiers, name))
    source = found[0]
    part, subject = choose("part", part, source.parts), choose("subject", subject, source.subjects)
    reading = Reading(source, part, subject)
    tiers["data"] += _collect("data", lambda: data(reading))
    if not all(finding.ok for finding in tiers["data"]):
        said = "not tried: the data are not well"
        return Checkup({**_with_agreement(tiers, name), "models": [Finding("fit", said)]})
    tiers["models"] = _collect("fit", lambda: fits(reading, device))
    if out is None:
        return Checkup(tiers)
    return Checkup(tiers, _write(Path(out), source, pictures(reading), tiers))


def _collect(about: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """All findings; what is raised on the way is the last."""
    found: list[Finding] = []
    try:
        found.extend(look())
    except FusiformError as reason:
        found.append(Finding(about, str(reason), ok=False))
    except Exception as reason:  # a doctor that faints helps nobody
        found.append(
            Finding(about, f"this should not have happened ({type(reason).__name__}: {reason}); {REPORT}", ok=False)
        )
    return found


def _with_agreement(tiers: dict[str, list[Finding]], name: str) -> dict[str, list[Finding]]:
    """Where the data are under an agreement and not well, the address where to apply."""
    about = card(name) if name in names("dataset") else None
    if about is not None and about.agreement:
        tiers["data"].append(
            Finding("agreement", f"these data are shared under an agreement: apply at {about.agreement}")
        )
    return tiers


def _write(folder: Path, source: Dataset, sections: list[Section], tiers: Mapping[str, list[Finding]]) -> Path:
    save_figures(folder / "figures", sections)
    told = [f"{one.about}: {one.said}" for one in tiers["data"]]
    path = folder / "report.html"
    write_report(path, f"Checkup of {source.name}", [*sections, Section("What was found", told)])
    return path
