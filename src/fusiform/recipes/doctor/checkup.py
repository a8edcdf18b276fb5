"""`doctor`: the three tiers in order, as a list of findings and, where asked for, a page of pictures."""

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusiform.datasets import Dataset, card, load_dataset
from fusiform.datasets.base import choose
from fusiform.datasets.contract import Finding
from fusiform.errors import FusiformError
from fusiform.plots.report import Section, save_figures, write_report
from fusiform.recipes.doctor.data import data, pictures
from fusiform.recipes.doctor.environment import environment
from fusiform.recipes.doctor.fit import fits
from fusiform.registry import find, names

__all__ = ["Checkup", "doctor"]

TIERS = ("environment", "data", "models")


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


def doctor(
    dataset: str | None = None,
    *,
    root: Path | str | None = None,
    part: str | None = None,
    subject: str | None = None,
    out: Path | str | None = None,
    device: str = "auto",
    dataset_args: Mapping[str, Any] | None = None,
) -> Checkup:
    """Look at the environment, and at a dataset and a tiny fit on it where one is named.

    Args:
        dataset: name, `folder:PATH`, or path of a `dataset.yaml`; None looks at the environment alone.
        root: folder of the dataset's files, or the one that holds a folder of its name.
        part: of a dataset with several kinds of stimuli (default: the first).
        subject: whose responses (default: the first).
        out: folder for `report.html` with the first stimuli and the map of the ceiling; None draws nothing.
        device: auto, cpu, cuda, cuda:1.
        dataset_args: arguments of the dataset.

    Returns:
        All findings; nothing that is wrong with the machine or the data is raised.
    """
    tiers = {"environment": _collect("environment", environment)}
    if dataset is None:
        return Checkup(tiers)
    arguments = {**_rooted(root, dataset), **(dataset_args or {})}
    with _looking_in(root, dataset):
        return _of_dataset(tiers, dataset, part, subject, out, device, arguments)


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
    tiers["data"] += _collect("data", lambda: data(source, part, subject))
    if not all(finding.ok for finding in tiers["data"]):
        said = "not tried: the data are not well"
        return Checkup({**_with_agreement(tiers, name), "models": [Finding("fit", said)]})
    tiers["models"] = _collect("fit", lambda: fits(source, part, subject, device))
    if out is None:
        return Checkup(tiers)
    return Checkup(tiers, _write(Path(out), source, pictures(source, part, subject), tiers))


def _collect(about: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """All findings; what is raised on the way is the last."""
    found: list[Finding] = []
    try:
        found.extend(look())
    except FusiformError as reason:
        found.append(Finding(about, str(reason), ok=False))
    except Exception as reason:  # a doctor that faints helps nobody
        found.append(Finding(about, f"this should not have happened ({type(reason).__name__}: {reason})", ok=False))
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


def _rooted(root: Path | str | None, name: str) -> dict[str, Any]:
    """The argument `root` of a dataset that has one, where the folder given is its own, whatever it is called."""
    if root is None or name not in names("dataset") or (Path(root).expanduser() / name).is_dir():
        return {}
    return {"root": str(root)} if "root" in inspect.signature(find("dataset", name)).parameters else {}


@contextmanager
def _looking_in(root: Path | str | None, name: str) -> Iterator[None]:
    """Look for data in `root` meanwhile, given as the folder of the dataset or as the one that holds it."""
    if root is None:
        yield
        return
    folder = Path(root).expanduser()
    before = os.environ.get("FUSIFORM_DATA")
    os.environ["FUSIFORM_DATA"] = str(folder if (folder / name).is_dir() or folder.name != name else folder.parent)
    try:
        yield
    finally:
        if before is None:
            del os.environ["FUSIFORM_DATA"]
        else:
            os.environ["FUSIFORM_DATA"] = before
