"""What a ridge fit found, in memory or in a folder to which finished batches of targets are added.

A folder holds plain `.npy` files and `manifest.json`, which says how many targets are finished and of which fit. The
manifest is replaced after each batch, so a fit that was stopped goes on behind the last one.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fusiform.errors import LayoutError, SettingsError
from fusiform.files import read_json, sweep, write_json
from fusiform.models.planner import Job, Plan

__all__ = [
    "MANIFEST",
    "MODEL",
    "Results",
    "plain_settings",
    "plan_of",
    "plan_state",
    "read_state",
    "refuse_fit",
    "save_arrays",
]

MANIFEST = "manifest.json"
MODEL = "model.json"  # beside the arrays: settings (with the seed, where there is one), plan, and what restores a model


@dataclass
class Results:
    """Arrays that are filled row by row: of targets, or of the candidates of a banded search.

    Args:
        arrays: name -> array.
        done: finished rows.
        folder: where they lie, or None.
        key: what identifies the fit.
    """

    arrays: dict[str, NDArray[Any]]
    done: int = 0
    folder: Path | None = None
    key: dict[str, Any] | None = None

    @classmethod
    def open(
        cls, shapes: Mapping[str, tuple[tuple[int, ...], DTypeLike]], folder: Path | str | None, key: dict[str, Any]
    ) -> "Results":
        """Results to be filled: new ones, or those that the folder holds of the same fit.

        Args:
            shapes: name -> shape and type.
            folder: None keeps them in memory.
            key: what identifies the fit; JSON.

        Raises:
            SettingsError: the folder holds another fit.
        """
        if folder is None:
            return cls({name: np.empty(shape, dtype) for name, (shape, dtype) in shapes.items()}, key=key)
        folder = Path(folder)
        sweep(folder / MANIFEST)
        if (folder / MANIFEST).exists():
            return cls._resume(folder, key)
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, NDArray[Any]] = {
            name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.dtype(dtype), shape=shape)
            for name, (shape, dtype) in shapes.items()
        }
        results = cls(arrays, 0, folder, key)
        results.commit(0)
        return results

    @classmethod
    def load(cls, folder: Path | str) -> "Results":
        """Finished results, memory-mapped.

        Raises:
            LayoutError: the folder holds none, or an unfinished fit.
        """
        folder = Path(folder)
        if not (folder / MANIFEST).exists():
            raise LayoutError(f"{folder} holds no saved ridge fit ({MANIFEST} is missing); give the folder of one")
        manifest = read_json(folder / MANIFEST)
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in manifest["arrays"]}
        count = len(next(iter(arrays.values())))
        if manifest["done"] != count:
            raise LayoutError(
                f"the fit in {folder} was stopped after {manifest['done']} of {count} targets; run the same fit with "
                "this folder to finish it"
            )
        return cls(arrays, count, folder, manifest["key"])

    @classmethod
    def _resume(cls, folder: Path, key: dict[str, Any]) -> "Results":
        manifest = read_json(folder / MANIFEST)
        names = [name for name in {**key, **manifest["key"]} if key.get(name) != manifest["key"].get(name)]
        if names:
            raise SettingsError(
                f"{folder} holds a fit that differs in {', '.join(names)} (there {manifest['key'].get(names[0])!r}, "
                f"now {key.get(names[0])!r}); give another folder or remove this one"
            )
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in manifest["arrays"]}
        return cls(arrays, manifest["done"], folder, key)

    def write(self, stop: int, parts: dict[str, NDArray[Any]]) -> None:
        """Add the rows from `done` up to `stop` of arrays; parts of others are not kept."""
        for name in self.arrays.keys() & parts.keys():
            self.arrays[name][self.done : stop] = parts[name]
        self.commit(stop)

    def commit(self, done: int) -> None:
        """Note how many rows are finished; on disk, after their numbers have been written."""
        self.done = done
        if self.folder is not None:
            for array in self.arrays.values():
                array.flush()  # type: ignore[attr-defined]
            write_json(self.folder / MANIFEST, {"done": done, "arrays": list(self.arrays), "key": self.key})


def save_arrays(
    folder: Path | str, arrays: dict[str, NDArray[Any]], key: dict[str, Any], state: dict[str, Any]
) -> None:
    """Write finished results, targets on the first axis, to a folder; the manifest last, so that it may be stopped.

    Raises:
        SettingsError: it holds a fit already.
    """
    refuse_fit(folder)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    write_json(folder / MODEL, state)
    count = len(next(iter(arrays.values())))
    write_json(folder / MANIFEST, {"done": count, "arrays": list(arrays), "key": key})


def refuse_fit(folder: Path | str) -> None:
    """Raise a SettingsError where a folder holds a fit."""
    if (Path(folder) / MANIFEST).exists():
        raise SettingsError(f"{folder} holds a fit already; give another folder, or remove this one")


def read_state(folder: Path | str) -> dict[str, Any]:
    """What was saved beside the arrays.

    Raises:
        LayoutError: the fit was stopped just before.
    """
    if not (Path(folder) / MODEL).exists():
        raise LayoutError(
            f"{folder} has no {MODEL}: its fit was stopped; run the same fit with this folder to finish it"
        )
    state: dict[str, Any] = read_json(Path(folder) / MODEL)
    return state


def plan_state(plan: Plan) -> dict[str, Any]:
    """A plan as JSON."""
    return asdict(plan)


def plan_of(state: dict[str, Any]) -> Plan:
    """The plan of a `plan_state`."""
    return Plan(**{**state, "job": Job(**state["job"])})


def plain_settings(model: Any) -> dict[str, Any]:
    """The settings of an estimator that JSON can hold, as it holds them; arrays, splitters and paths are left out."""
    settings = {name: value for name, value in model.get_params(deep=False).items() if _is_plain(value)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float)
