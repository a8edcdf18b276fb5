"""The largest r that a prediction could reach, from what a dataset tells of its noise."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.data import Responses, Space
from fusiform.scores import ncsnr, r_ceiling

__all__ = ["ceiling_of", "published_ceiling"]


def ceiling_of(trials: Responses, tested: pd.DataFrame) -> NDArray[np.float64] | None:
    """[V] largest attainable r on the tested samples, or None where nothing is known of it.

    Uses the ncsnr that comes with the space, else estimates it from the repeats, else takes what was published with the
    data (`published_ceiling`).

    Args:
        trials: single trials.
        tested: the samples that were scored, with `repeats` where they are averages.
    """
    repeats = tested.get("repeats", pd.Series(np.ones(len(tested))))
    if "ncsnr" in trials.space.targets:
        return r_ceiling(trials.space.column("ncsnr"), repeats)
    shown = trials.samples[["stimulus", "time"] if trials.timed else ["stimulus"]]
    moment = shown.groupby(list(shown.columns), sort=False).ngroup()
    if moment.duplicated().any():
        return r_ceiling(ncsnr(np.asarray(trials.values), moment), repeats)
    return published_ceiling(trials.space)


def published_ceiling(space: Space) -> NDArray[np.float64] | None:
    """[V] root of the noise ceilings, shares of variance, that came with the data; None where a target has none.

    Those of a challenge are of its own test samples. Held-out samples that average as many repeats share them; where
    some average fewer, the true ceiling is a little lower.
    """
    shares = space.targets.get("noise_ceiling")  # NaN where the file of a hemisphere is not here
    return None if shares is None or shares.isna().any() else np.sqrt(shares.to_numpy(np.float64))
