"""Extraction: every stimulus of a dataset described by a network, once, into the feature store."""

import warnings
from typing import Any

from fusiform.errors import SettingsError
from fusiform.recipes.groups import flat
from fusiform.recipes.settings import NamedNetwork, Source
from fusiform.recipes.steps import shapes_of, store_folder

__all__ = ["describe"]


@flat
def describe(
    source: Source,
    network: NamedNetwork,
    *,
    layers: tuple[str, ...] | None = None,
    dtype: str = "float32",
    batch_size: int = 32,
    shard: str = "0/1",
    views: int = 0,
    seed: int = 0,
    on_error: str = "stop",
    store: str | None = None,
    verify: bool = False,
) -> dict[str, Any]:
    """Describe every stimulus of a dataset by every layer of a network, once, into the feature store.

    What comes back: where the store is, the number of rows, the shape of a row of every layer, and the stimuli that
    were skipped, each with the reason.

    Parameters
    ----------
    layers
        keep these only
    dtype
        of the stored numbers: float32, float16, bfloat16
    batch_size
        stimuli in one forward pass; never changes the numbers
    shard
        i/n: do the i-th of n parts (from 0), so that n jobs can share the work
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
    """
    from fusiform.features.extract import extract
    from fusiform.features.store import FeatureStore

    share, place = _share(shard), FeatureStore(store or store_folder())
    with source.opened() as dataset, warnings.catch_warnings():
        stimuli = dataset.stimuli(source.part)
        warnings.filterwarnings("ignore", "\\d+ of \\d+ stimuli were skipped", UserWarning)  # the result says so
        found = extract(
            stimuli,
            network.load(),
            place,
            layers=layers,
            reduce=network.reduce,
            dtype=dtype,  # type: ignore[arg-type]  # checked there
            batch_size=batch_size,
            shard=share,
            device=network.device,
            views=views,
            seed=seed,
            on_error=on_error,  # type: ignore[arg-type]  # checked there
            verify=verify,
            progress=True,
        )
    skipped = {"skipped": dict(found.skipped)} if found.skipped else {}
    return {"store": place.address, "rows": len(found), "layers": shapes_of(found), **skipped}


def _share(text: str) -> tuple[int, int]:
    """`"2/8"` to (2, 8)."""
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal()):
        raise SettingsError(f"--shard is {text!r}; wanted i/n, such as 0/8 for the first of eight shares")
    return int(number), int(count)
