"""A finished run of `encode` as a comparison reads it: its numbers, and what every target reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from fusiform.errors import LayoutError, SettingsError
from fusiform.recipes.outcome import reliable, scores_of
from fusiform.recipes.run import Run, runs_folder
from fusiform.scores import Scores

__all__ = ["Network", "open_network", "with_labels"]

AGAIN = "run its 'fusiform encode' line again"
CENTRES = ("center_x", "center_y")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Network:
    """One column of the comparison.

    Args:
        label: its name there.
        run: the run.
        settings: what the run was told.
        summary: its headline numbers.
        table: its `scores.parquet`, V rows.
        selection: its `selection.parquet`, V rows, where the model was one that says what each target reads.
    """

    label: str
    run: Run
    settings: Mapping[str, Any]
    summary: Mapping[str, Any]
    table: pd.DataFrame
    selection: pd.DataFrame | None

    @cached_property
    def scores(self) -> Scores:
        """Held-out r of every target, with its ceiling and its place."""
        return scores_of(self.table)

    @cached_property
    def judged(self) -> NDArray[np.bool_]:
        """[V] the targets that comparisons are over: reliable ones that have a score."""
        return np.asarray(reliable(self.scores) & np.isfinite(self.scores.values))

    @property
    def layers(self) -> list[str]:
        """From the first to the last; one called after the model where all were read together."""
        prefix, table = ("r ", self.table) if self.selection is None else ("share:", self.selection)
        columns = [str(name) for name in table]
        after = columns[columns.index("r") :] if self.selection is None else columns
        return [name.removeprefix(prefix) for name in after if name.startswith(prefix)]

    @cached_property
    def layer(self) -> NDArray[np.object_]:
        """[V] the layer that each target reads most, or is predicted best from."""
        return np.asarray((self.table if self.selection is None else self.selection)["layer"], dtype=object)

    @cached_property
    def depth(self) -> Floats | None:
        """[V] where each target reads between the first layer (0) and the last (1), whatever their number.

        The mean over layers by their shares, where there are shares; else the one layer that was chosen. None for a
        network of one layer.
        """
        last = len(self.layers) - 1
        if last < 1:
            return None
        if self.selection is not None:
            return np.asarray(self.selection["mean_layer"], dtype=np.float64) / last
        return np.asarray(pd.Index(self.layers).get_indexer(pd.Index(self.layer)) / last, dtype=np.float64)

    def selected(self, column: str) -> Floats | None:
        """[V] a column of the selection, or None where the run has none such."""
        if self.selection is None or column not in self.selection:
            return None
        return np.asarray(self.selection[column], dtype=np.float64)

    def quantities(self) -> dict[str, NDArray[Any]]:
        """What is known of every target, [V] each: r, the metric of the run if it is another, layer, depth, ..."""
        metric = self.settings["metric"]
        other = {} if metric == "pearson" else {metric: self.table[metric].to_numpy()}
        read = {name: self.selected(name) for name in (*CENTRES, "scale")}
        found = {"r": self.scores.values, **other, "layer": self.layer, "depth": self.depth, **read}
        return {name: values for name, values in found.items() if values is not None}


def open_network(folder: Path) -> Network:
    """Read a run folder, which may be a path or the name of a run under `$FUSIFORM_RUNS`.

    Raises:
        LayoutError: it is not there, holds no run, has not finished, or a file of it is missing or damaged.
        SettingsError: it is a run of another recipe, or of several subjects.
    """
    run = Run(_found(folder))
    settings = _settings(run)
    if (made := settings.get("recipe")) != "encode":
        raise SettingsError(f"{run.folder} is a run of {made!r}; a report compares runs of 'encode': leave it out")
    if not run.finished:
        raise LayoutError(f"{run.folder} has not finished; {AGAIN}, which resumes it, and then this one")
    summary = _summary(run)
    if "subjects" in summary:
        each = ", ".join(str(run.folder / name) for name in summary["subjects"])
        raise SettingsError(f"{run.folder} is of several subjects; give the run of one of them: {each}")
    table = _table(run, "scores", ("r", "layer"))
    selected = (run.folder / "selection.parquet").is_file()
    selection = _table(run, "selection", ("layer", "mean_layer")) if selected else None
    if selection is not None and len(selection) != len(table):
        raise LayoutError(
            f"{run.folder} has {len(table)} targets in scores.parquet and {len(selection)} in selection.parquet; "
            f"{AGAIN} with --overwrite"
        )
    return Network("", run, settings, summary, table, selection)


def with_labels(networks: Sequence[Network]) -> list[Network]:
    """Name each by its backbone; where several have the same one, by the run's folder too."""
    backbones = [_short(str(one.settings["backbone"])) for one in networks]
    names = backbones
    for more in ([one.run.folder.resolve().name for one in networks], [str(one.run.folder) for one in networks]):
        names = [
            f"{backbone} ({place})" if names.count(name) > 1 else name
            for name, backbone, place in zip(names, backbones, more, strict=True)
        ]
    return [replace(one, label=name) for one, name in zip(networks, names, strict=True)]


def _short(backbone: str) -> str:
    """The name of a backbone; of one that is a local folder, the folder's own name."""
    source, _, place = backbone.rpartition(":")
    return Path(place).name if place.startswith(("/", ".", "~")) else f"{source}:{place}".removeprefix(":")


def _found(folder: Path) -> Path:
    if (folder / "settings.yaml").is_file() or (folder.exists() and not (runs_folder() / folder).exists()):
        found = folder
    elif (runs_folder() / folder).exists():
        found = runs_folder() / folder
    else:
        raise LayoutError(
            f"there is no run {folder}, nor one of that name in {runs_folder()}; give folders that 'encode' wrote"
        )
    if not (found / "settings.yaml").is_file():
        raise LayoutError(f"{found} holds no run (no settings.yaml); give folders that 'fusiform encode' wrote")
    return found


def _settings(run: Run) -> dict[str, Any]:
    try:
        return run.settings
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, ValueError) as reason:
        raise _damaged(run.folder / "settings.yaml", reason) from reason


def _summary(run: Run) -> dict[str, Any]:
    try:
        return run.summary
    except (UnicodeDecodeError, TypeError, ValueError) as reason:
        raise _damaged(run.folder / "summary.json", reason) from reason


def _table(run: Run, name: str, columns: Sequence[str]) -> pd.DataFrame:
    path = run.folder / f"{name}.parquet"
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as reason:  # arrow's errors are one or the other
        raise _damaged(path, reason) from reason
    if missing := [column for column in columns if column not in table]:
        raise _damaged(path, f"it has no column {missing[0]!r}")
    return table


def _damaged(path: Path, reason: object) -> LayoutError:
    return LayoutError(f"{path} cannot be read ({' '.join(str(reason).split())}); {AGAIN} with --overwrite")
