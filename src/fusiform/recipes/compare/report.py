"""`compare`: the report of several runs, as a folder of its own."""

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fusiform.errors import SettingsError
from fusiform.files import atomic, sweep
from fusiform.recipes.compare.matching import read_networks
from fusiform.recipes.compare.network import Network
from fusiform.recipes.compare.numbers import common, depth_bins, depth_shares, depths, facts, paired, targets
from fusiform.recipes.compare.sections import comparison_sections
from fusiform.recipes.outcome import publish
from fusiform.recipes.run import Run, open_run, runs_folder

__all__ = ["compare"]


def compare(
    runs: Sequence[Path],
    /,
    *,
    name: str | None = None,
    out: Path | None = None,
    overwrite: bool = False,
) -> Run:
    """Set runs of `encode` side by side: several networks on one subject of one dataset, or one run alone.

    The folder holds `report.html` (headline numbers, maps in the same colours, depths by region, scores target by
    target), `summary.json`, `comparison.parquet` with a row per target, and the figures. The runs stay as they are.

    Parameters
    ----------
    runs
        folders of finished runs, or their names under $FUSIFORM_RUNS
    name
        of the report: its folder under $FUSIFORM_RUNS (default: report)
    out
        the report's folder, wherever it is
    overwrite
        move what the folder holds aside and start anew
    """
    networks = read_networks(runs)
    folder = Path(out) if out else runs_folder() / (name or "report")
    _check_apart(folder, networks)
    report = open_run(folder, _settings(networks), overwrite=overwrite)
    if report.finished:
        return report
    try:
        _write(report, networks)
    except Exception:
        report.discard_if_bare()
        raise
    return report


def _write(report: Run, networks: Sequence[Network]) -> None:
    _clear(report)
    report.log("started")
    found = paired(networks)
    with atomic(report.folder / "comparison.parquet") as new:
        targets(networks).to_parquet(new)
    publish(report, _title(networks), comparison_sections(networks, found))
    report.finish(_summary(networks, found))


def _clear(report: Run) -> None:
    """Remove what a report that was killed had written or was about to write."""
    shutil.rmtree(report.folder / "figures", ignore_errors=True)
    for name in ("comparison.parquet", "report.html", "summary.json"):
        sweep(report.folder / name)


def _title(networks: Sequence[Network]) -> str:
    first = networks[0]
    what = f"{len(networks)} networks side by side" if len(networks) > 1 else first.label
    return f"{first.settings['dataset']}, {first.summary['subject']}: {what}"


def _summary(networks: Sequence[Network], pairs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    first = networks[0]
    summary: dict[str, Any] = {
        "dataset": first.settings["dataset"],
        "subject": first.summary["subject"],
        "metric": first.settings["metric"],
        "targets": len(first.table),
        "targets_compared": int(common(networks).sum()),
        "runs": {network.label: facts(network) for network in networks},
    }
    depth, among, steps = depths(networks), common(networks), depth_bins(networks)
    if depth and among.any():
        shares = {label: depth_shares(values, among, len(steps)).tolist() for label, values in depth.items()}
        summary["depth_shares"] = {label: dict(zip(steps, found, strict=True)) for label, found in shares.items()}
    return {**summary, "pairs": list(pairs)}


def _settings(networks: Sequence[Network]) -> dict[str, Any]:
    """Which runs, and when each had finished: a run that was made anew makes another report."""
    return {
        "recipe": "report",
        "runs": [str(network.run.folder) for network in networks],
        "finished": [_finished(network.run) for network in networks],
    }


def _finished(run: Run) -> str | None:
    """When a run finished, UTC, by its log; None where the log was removed."""
    log = run.folder / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    events = [json.loads(line) for line in lines]
    times = [event["time"] for event in events if event["event"] == "finished"]
    return datetime.fromtimestamp(times[-1], UTC).isoformat(timespec="milliseconds") if times else None


def _check_apart(folder: Path, networks: Sequence[Network]) -> None:
    """Refuse to write over the runs themselves."""
    for network in networks:
        if network.run.folder.resolve().is_relative_to(folder.resolve()):
            raise SettingsError(f"{folder} is or holds the run {network.run.folder}; choose another --out")
