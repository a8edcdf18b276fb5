"""The verbs: most are functions of the recipes, which are imported when their verb is called."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusiform.cli.app import app
from fusiform.errors import FusiformError, UnknownNameError
from fusiform.registry import KINDS, did_you_mean, names

RECIPES = {
    "demo": ("demo:demo", "Read three real or simulated brains and write a report: the tour, in under three minutes."),
    "doctor": (
        "doctor:doctor",
        "Check this machine, and a dataset and a tiny fit on it: what failed says what, got, wanted and next.",
    ),
    "extract": (
        "extract:describe",
        "Describe every stimulus of a dataset by every layer of a network, once, into the feature store.",
    ),
    "encode": (
        "encode:encode",
        "Predict every target's response from what was shown, and map how well each layer does.",
    ),
    "decode": (
        "decode:decode",
        "Predict features of what was shown from the responses, and find it among others.",
    ),
    "report": (
        "compare:compare",
        "Set runs of encode side by side: several networks on one brain, as numbers, maps and target by target.",
    ),
    "export": ("shelf:export_set", "Write stored features in another layout, for other programs."),
    "import": ("shelf:import_set", "Take features that another program wrote into the store."),
    "submit": ("submit:submit", "Pack predictions into the zip of a challenge."),
}
for verb, (function, summary) in RECIPES.items():
    app.command(f"fusiform.recipes.{function}", name=verb, help=summary)


@app.command(name="list")
def list_(kind: str | None = None, /, *, store: str | None = None) -> dict[str, Any]:
    """List what can be named: datasets, backbones, models, metrics and presets; or the features in a store.

    Parameters
    ----------
    kind
        one of: dataset, backbone, model, metric, preset (default: all of these), or features
    store
        folder or address of the features (default: features in the cache folder)
    """
    if kind in ("feature", "features"):
        from fusiform.recipes.shelf import stored

        return stored(store)
    from fusiform.recipes.recipe import preset_names

    found = {f"{known}s": names(known) for known in KINDS} | {"presets": preset_names()}
    if kind is None:
        return found
    plural = kind if kind.endswith("s") else f"{kind}s"
    if plural not in found:
        raise _unknown_kind(kind, found)
    return {plural: found[plural]}


def _unknown_kind(kind: str, found: Mapping[str, Any]) -> FusiformError:
    known = [*found, "features"]
    return UnknownNameError(f"cannot list {kind!r}{did_you_mean(kind, known)}; there are: {', '.join(known)}")


@app.command
def fetch(name: str, /, *, folder: Path | None = None) -> dict[str, Any]:
    """Download an open dataset from its public upstream; what is there already is checked, not fetched again.

    Parameters
    ----------
    name
        of the dataset
    folder
        where to (default: $FUSIFORM_DATA, else data in the cache folder; it is found in both)
    """
    from fusiform.datasets.fetch import card
    from fusiform.datasets.fetch import fetch as download

    about = card(name)
    print(f"{about.title}\nlicence: {about.licence}\nplease cite: {about.cite}", file=sys.stderr)
    return {"dataset": name, "folder": str(download(name, folder))}


@app.command(name="init-dataset")
def init_dataset(folder: Path, /) -> dict[str, Any]:
    """Write a commented dataset.yaml into a folder of your own data, filled in as far as can be guessed.

    Parameters
    ----------
    folder
        that holds stimuli and responses, or derivatives of fMRIPrep
    """
    from fusiform.datasets.folder.init import init_folder

    path, found = init_folder(folder)
    return {
        "written": str(path),
        "to fill in": found.open or "nothing",
        "next": f"fusiform doctor {shlex.quote(str(path))}",
    }
