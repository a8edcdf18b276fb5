"""How much of a planted truth the selector found."""

import numpy as np
import pandas as pd

from fusiform.recipes.outcome import reliable
from fusiform.scores import Scores

__all__ = ["selector_truth"]


def selector_truth(planted: pd.DataFrame, table: pd.DataFrame, scores: Scores) -> dict[str, float]:
    """How much of a planted truth was found, over the reliable targets.

    Args:
        planted: V rows with `layer`, `x`, `y` and `scale`.
        table: V rows, as `models.selection.selection` gives them.
        scores: of the same targets.

    Returns:
        `layer_exact`, the share of targets with the right layer; `center_r_x` and `center_r_y`, correlations of the
        centres over targets that were planted local; `scale_auc`, the area under the curve of scale, local or global.
        What cannot be told (two local targets, say) is left out.
    """
    from sklearn.metrics import roc_auc_score

    among = reliable(scores)
    if not among.any():
        return {}
    planted, table = planted[among].reset_index(drop=True), table[among].reset_index(drop=True)
    wide = planted["scale"].to_numpy() > 0.5
    found = {"layer_exact": float((table["layer"].to_numpy() == planted["layer"].to_numpy()).mean())}
    for axis in "xy":
        if f"center_{axis}" in table and (~wide).sum() > 2:
            near, true = table.loc[~wide, f"center_{axis}"], planted.loc[~wide, axis]
            if near.nunique() > 1 and true.nunique() > 1:
                found[f"center_r_{axis}"] = float(np.corrcoef(near, true)[0, 1])
    if 0 < wide.sum() < len(wide):
        found["scale_auc"] = float(roc_auc_score(wide, table["scale"]))
    return found
