"""The tour: hear a story, see a picture, read a network; numbers, pictures, one report."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from fusiform.errors import MissingDataError, SettingsError, UnknownNameError
from fusiform.plots.report import Section, save_figures, write_report
from fusiform.recipes.demo import sections
from fusiform.recipes.demo.network import read
from fusiform.recipes.demo.picture import look
from fusiform.recipes.demo.story import listen
from fusiform.recipes.recipe import recipe
from fusiform.recipes.run import Run
from fusiform.registry import unknown

__all__ = ["PARTS", "demo"]

Part = Callable[[], tuple[dict[str, Any], Section]]

PARTS: dict[str, Part] = {
    "alice": lambda: sections.story(listen(progress=True)),
    "miyawaki2008": lambda: sections.picture(look(progress=True)),
    "simulated": lambda: sections.network(read(progress=True)),
}
TITLES = {"alice": "Hearing a story", "miyawaki2008": "Seeing a picture", "simulated": "Reading a network"}


@recipe
def demo(run: Run, *, only: Sequence[str] = tuple(PARTS)) -> dict[str, Any]:
    """Read three real or simulated brains and write a report: the tour, in under three minutes.

    Hearing a story (alice), seeing a picture (miyawaki2008), reading a network (simulated). A part whose data are not
    there is skipped with one sentence that says how to get them; `simulated` needs none.

    Parameters
    ----------
    only
        parts to run: alice, miyawaki2008, simulated (default: all)
    """
    if not only:
        raise SettingsError(f"no part was chosen; there are: {', '.join(PARTS)}")
    for name in only:
        if name not in PARTS:
            raise UnknownNameError(unknown("part", name, PARTS))
    summary: dict[str, Any] = {}
    skipped: dict[str, str] = {}
    report: list[Section] = []
    for name in dict.fromkeys(only):
        began = time.perf_counter()
        try:
            summary[name], section = PARTS[name]()
        except MissingDataError as reason:
            print(f"skipped {name}: {reason}", file=sys.stderr)
            skipped[name], section = str(reason), Section(TITLES[name], notice=f"Skipped: {reason}")
        run.log(name, seconds=round(time.perf_counter() - began, 2))
        report.append(section)
    save_figures(run.folder / "figures", report)
    write_report(
        run.folder / "report.html",
        "fusiform: deep networks and the human brain",
        report,
        subtitle="What real and simulated brains say through one set of tools.",
        footer=run.colophon(),
    )
    return {**summary, "skipped": skipped} if skipped else summary
