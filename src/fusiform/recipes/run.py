"""The run folder: the one place where an experiment remembers what it was told, did and found."""

import json
import os
import platform
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from fusiform.errors import LayoutError, SettingsError
from fusiform.files import atomic, read_json, write_json, write_text

__all__ = ["UNCOMPARED", "Run", "open_run", "runs_folder"]

# settings that say where or how to compute, never what: they may differ when a run is resumed
UNCOMPARED = frozenset({"device"})


@dataclass(frozen=True)
class Run:
    """A run folder that exists.

    It holds `settings.yaml`, `environment.json`, `log.jsonl` and, once finished, `summary.json`, `report.html` and
    what the recipe adds (`scores.parquet`, `predictions.zarr`, `figures/`). `fresh` is a folder that was made just now,
    and `aside` where the run went whose place it took.
    """

    folder: Path
    fresh: bool = False
    aside: Path | None = None

    def __fspath__(self) -> str:
        return str(self.folder)

    @property
    def finished(self) -> bool:
        """Whether the summary, which is written last, is there."""
        return (self.folder / "summary.json").is_file()

    @property
    def complete(self) -> bool:
        """Whether it has finished and skipped nothing: what was skipped for want of data is tried again."""
        return self.finished and not self.summary.get("skipped")

    @property
    def settings(self) -> dict[str, Any]:
        """What the recipe was told."""
        return _read_settings(self.folder)

    @property
    def summary(self) -> dict[str, Any]:
        """The headline numbers.

        Raises:
            LayoutError: the run has not finished.
        """
        if not self.finished:
            raise LayoutError(f"{self.folder} holds no summary.json: the run has not finished; run it again to resume")
        return dict(read_json(self.folder / "summary.json"))

    def colophon(self) -> list[str]:
        """How it was made, for the foot of a report: versions, platform, settings."""
        made = read_json(self.folder / "environment.json")
        packages = ", ".join(f"{name} {number}" for name, number in made["packages"].items())
        settings = ", ".join(f"{key}: {value}" for key, value in self.settings.items() if value is not None)
        return [f"Made by {packages}; Python {made['python']} on {made['platform']}.", f"Settings: {settings}."]

    def log(self, event: str, **facts: Any) -> None:
        """Append one line to `log.jsonl`: when, what, and the facts (numbers, strings)."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **facts})
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def save_scores(self, table: pd.DataFrame) -> None:
        """Write `scores.parquet`, a row per target."""
        with atomic(self.folder / "scores.parquet") as new:
            table.to_parquet(new)

    def save_array(self, name: str, values: Any) -> None:
        """Write one array as `name.zarr`."""
        import zarr

        with atomic(self.folder / f"{name}.zarr") as new:
            zarr.save_array(str(new), values)

    def discard_if_bare(self) -> None:
        """Remove a folder that was made just now if it holds no more than what the run was told.

        The run that was moved aside for it comes back: a mistyped name should not cost it its place.
        """
        bare = {"settings.yaml", "environment.json", "log.jsonl"}
        if self.fresh and {path.name for path in self.folder.iterdir()} <= bare:
            shutil.rmtree(self.folder)
            if self.aside is not None:
                shutil.move(self.aside, self.folder)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write `summary.json`; from now on the run counts as finished."""
        write_json(self.folder / "summary.json", summary)
        self.log("finished")


def open_run(folder: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> Run:
    """Make a run folder, or take up the one that is there.

    Args:
        folder: where.
        settings: plain values (they are written as YAML), those of `UNCOMPARED` included.
        overwrite: move an existing run aside, and start anew.

    Raises:
        SettingsError: the folder holds a run with other settings (they are listed), or something that is no run.
    """
    old = _move_aside(folder) if overwrite and (folder / "settings.yaml").is_file() else None
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"{folder} is a file; wanted a folder for the run: choose another --out")
    if folder.exists() and any(folder.iterdir()):
        _check_same(folder, settings)
        return Run(folder)
    with atomic(folder) as new:
        new.mkdir()
        write_text(new / "settings.yaml", yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True))
        write_json(new / "environment.json", _environment())
    return Run(folder, fresh=True, aside=old)


def runs_folder() -> Path:
    """Where runs go that are not told where: `$FUSIFORM_RUNS`, else `runs` in the working folder."""
    return Path(os.environ.get("FUSIFORM_RUNS") or "runs")


def _check_same(folder: Path, settings: Mapping[str, Any]) -> None:
    if not (folder / "settings.yaml").is_file():
        raise SettingsError(f"{folder} is not empty and holds no run; choose another --out or empty it yourself")
    old, new = _read_settings(folder), yaml.safe_load(yaml.safe_dump(dict(settings)))
    keys = [key for key in {**old, **new} if key not in UNCOMPARED and old.get(key) != new.get(key)]
    if keys:
        listed = "; ".join(f"{key}: {old.get(key)!r} there, {new.get(key)!r} now" for key in keys)
        raise SettingsError(
            f"{folder} holds a run with other settings ({listed}); "
            "choose another --out, or give --overwrite to move the old run aside"
        )


def _read_settings(folder: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((folder / "settings.yaml").read_text(encoding="utf-8")))


def _move_aside(folder: Path) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = folder.with_name(f"{folder.name}.{stamp}")
    number = 1
    while aside.exists():
        aside, number = folder.with_name(f"{folder.name}.{stamp}-{number}"), number + 1
    shutil.move(folder, aside)
    return aside


def _environment() -> dict[str, Any]:
    """What a reader needs to judge or repeat the numbers; no names of users or machines."""
    packages = ("fusiform", "numpy", "scipy", "scikit-learn", "torch", "pandas", "nilearn", "matplotlib", "zarr")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "packages": {name: found for name in packages if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
