"""The verbs: each collects its arguments and hands them on; recipes are verbs by their own signatures."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusiform.cli.app import app
from fusiform.errors import FusiformError, SettingsError, UnknownNameError
from fusiform.registry import KINDS, did_you_mean, names

RECIPES = {
    "demo": "Read three real or simulated brains and write a report: the tour, in under three minutes.",
    "encode": "Predict every target's response from what was shown, and map how well each layer does.",
    "decode": "Predict features of what was shown from the responses, and find it among others.",
}
SHELF = {
    "export": ("export_set", "Write stored features in another layout, for other programs."),
    "import": ("import_set", "Take features that another program wrote into the store."),
}
for verb, summary in RECIPES.items():
    app.command(f"fusiform.recipes.{verb}:{verb}", name=verb, help=summary)
for verb, (function, summary) in SHELF.items():
    app.command(f"fusiform.recipes.shelf:{function}", name=verb, help=summary)
app.command("fusiform.recipes.submit:submit", name="submit", help="Pack predictions into the zip of a challenge.")


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


@app.command
def doctor(
    dataset: str | None = None,
    /,
    *,
    root: Path | None = None,
    part: str | None = None,
    subject: str | None = None,
    out: Path | None = None,
    device: str = "auto",
    i_have_agreed: bool = False,
    dataset_args: Mapping[str, Any] | None = None,
) -> Any:
    """Check this machine, and a dataset and a tiny fit on it: what failed says what, got, wanted and next.

    Parameters
    ----------
    dataset
        its name, folder:PATH, or the path of a dataset.yaml (default: check the machine alone)
    root
        folder of the dataset's files, or the one that holds a folder of its name (default: $FUSIFORM_DATA)
    part
        of a dataset with several kinds of stimuli (default: the first)
    subject
        whose responses (default: the first)
    out
        folder for a page with the first stimuli and a map of the noise ceiling
    device
        auto, cpu, cuda, cuda:1
    i_have_agreed
        you have agreed to the terms of data that are read from an address
    dataset_args
        key=value,...: arguments of the dataset
    """
    from fusiform.datasets import with_agreement
    from fusiform.recipes.doctor import doctor as look

    arguments = with_agreement(dataset_args, i_have_agreed)
    return look(dataset, root=root, part=part, subject=subject, out=out, device=device, dataset_args=arguments)


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


@app.command
def extract(
    *,
    dataset: str,
    backbone: str,
    root: str | None = None,
    part: str | None = None,
    layers: tuple[str, ...] | None = None,
    reduce: str | None = None,
    dtype: str = "float32",
    batch_size: int = 32,
    shard: str = "0/1",
    device: str = "auto",
    views: int = 0,
    seed: int = 0,
    on_error: str = "stop",
    store: str | None = None,
    verify: bool = False,
    image_size: int | None = None,
    normalise: str | None = None,
    i_have_agreed: bool = False,
    dataset_args: Mapping[str, Any] | None = None,
    backbone_args: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe every stimulus of a dataset by every layer of a network, once, into the feature store.

    Parameters
    ----------
    dataset
        its name, folder:PATH, or the path of a dataset.yaml
    backbone
        its name, or module:Class of your own
    root
        folder of the dataset's files, or the one that holds a folder of its name (default: $FUSIFORM_DATA)
    part
        of a dataset with several kinds of stimuli
    layers
        keep these only
    reduce
        what to keep of each layer: mean, cls or pool:HxW of its grid, project:DIM or pca:DIM of its rows, or several
        joined by +, such as mean+pca:64 (default: all of it)
    dtype
        of the stored numbers: float32, float16, bfloat16
    batch_size
        stimuli in one forward pass; never changes the numbers
    shard
        i/n: do the i-th of n parts (from 0), so that n jobs can share the work
    device
        auto, cpu, cuda, cuda:1
    views
        augmented views of each picture, as rows beside its own
    seed
        of the views
    on_error
        what to do with a stimulus that will not load: stop, or skip it and say so
    store
        folder of the feature store, or an address such as s3://bucket/features (default: features in the cache folder)
    verify
        compare what is stored with its checksums first, and extract again what is damaged
    image_size
        pixels, of the side to which pictures are resized for a class of your own that does not say it (default: 224)
    normalise
        imagenet, clip or none: statistics that its pictures are normalised by (default: imagenet)
    i_have_agreed
        you have agreed to the terms of data that are read from an address
    dataset_args
        key=value,...: arguments of the dataset
    backbone_args
        key=value,...: arguments of the backbone
    """
    from fusiform.datasets import with_agreement
    from fusiform.recipes.steps import describe

    return describe(
        dataset,
        backbone,
        root=root,
        part=part,
        layers=layers,
        reduce=reduce,
        dtype=dtype,
        batch_size=batch_size,
        shard=_share(shard),
        device=device,
        views=views,
        seed=seed,
        on_error=on_error,
        store=store,
        verify=verify,
        image_size=image_size,
        normalise=normalise,
        dataset_args=with_agreement(dataset_args, i_have_agreed),
        backbone_args=backbone_args,
    )


def _share(text: str) -> tuple[int, int]:
    """`"2/8"` to (2, 8)."""
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal()):
        raise SettingsError(f"--shard is {text!r}; wanted i/n, such as 0/8 for the first of eight shares")
    return int(number), int(count)
