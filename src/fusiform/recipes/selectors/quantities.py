"""What is known of every target after the training: each quantity with its colours and the words to read its map by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from fusiform.scores import Scores

__all__ = ["Quantity", "measured", "quantities"]

LEAST = 0.05  # of the picture's half: a map of places shows no smaller differences


@dataclass(frozen=True)
class Quantity:
    """One map.

    Args:
        name: of its files.
        column: of the table.
        caption: how to read it, in plain words.
        look: options of `plots.maps.brain_map`: its colours, and the label of the colour bar.
    """

    name: str
    column: str
    caption: str
    look: Mapping[str, Any] = field(default_factory=dict)

    @property
    def categories(self) -> Sequence[str] | None:
        """Names of which the column holds positions, if it does."""
        names: Sequence[str] | None = self.look.get("categories")
        return names


def measured(table: pd.DataFrame, scores: Scores) -> pd.DataFrame:
    """The table of choices with the `score`, r, of every target."""
    return table.assign(score=scores.values)


def quantities(layers: Sequence[str], table: pd.DataFrame) -> list[Quantity]:
    """Those that the table holds, in the order in which a reader wants them.

    Args:
        layers: of the network, in order.
        table: as `measured` gives it.
    """
    clusters = [str(number) for number in range(int(table["cluster"].max()) + 1)] if len(table) else []
    found = [
        Quantity(
            "layer",
            "layer_index",
            "The layer that each target reads most. The first layers of the network are dark, the last ones light: a "
            "region of one colour reads one depth of the network.",
            {"categories": list(layers), "cmap": "viridis", "label": "layer"},
        ),
        Quantity(
            "mean_layer",
            "mean_layer",
            "The mean of the layers that a target reads, weighted by how much it reads of each: 0 is the first layer.",
            {"limits": (0, max(1, len(layers) - 1)), "cmap": "viridis", "label": "mean layer"},
        ),
        Quantity(
            "confidence",
            "confidence",
            "How decided a target is. 1: it reads one layer only; 0: it reads all layers alike, and its layer on the "
            "other maps means little.",
            {"limits": (0, 1), "label": "undecided → decided"},
        ),
        Quantity(
            "polar_angle",
            "polar_angle",
            "The direction from the middle of the picture to the place that a target looks at: 0 degrees to the right, "
            "90 upwards, 180 to the left, -90 downwards, in the hues of the wheel beside the maps.",
            {"limits": (-180, 180), "label": "polar angle (degrees)"},
        ),
        Quantity(
            "eccentricity",
            "eccentricity",
            "How far from the middle of the picture that place is: dark is near, light is far; 1 would be the middle "
            "of an edge.",
            {"limits": (0, _farthest(table, "eccentricity")), "label": "eccentricity"},
        ),
        Quantity(
            "center_x",
            "center_x",
            "The same place across the picture: blue on the left, yellow in the middle, red on the right.",
            _sides(table, "center_x") | {"label": "left → right"},
        ),
        Quantity(
            "center_y",
            "center_y",
            "The same place down the picture: blue above, yellow in the middle, red below.",
            _sides(table, "center_y") | {"label": "above → below"},
        ),
        Quantity(
            "center_t",
            "center_t",
            "When a target looks within each stretch of film: blue early, red late.",
            _sides(table, "center_t") | {"label": "early → late"},
        ),
        Quantity(
            "scale",
            "scale",
            "Dark: the target reads one place in the picture. Light: it reads the picture as a whole, and its place on "
            "the other maps means little.",
            {"limits": (0, 1), "label": "local → global"},
        ),
        Quantity(
            "cluster",
            "cluster",
            "Targets of one colour read similar mixtures of the network's channels, wherever they are; cluster 0 is "
            "the largest. The colours have no order.",
            {"categories": clusters, "cmap": "tab20", "label": "cluster"},
        ),
        Quantity(
            "similarity",
            "similarity",
            "How well its cluster stands for a target: the cosine of its channel weights to the mean of the cluster. "
            "Where it is near zero, the colour on the map of clusters means little.",
            {"limits": (0, 1), "label": "similarity to the cluster"},
        ),
        Quantity(
            "score",
            "score",
            "Correlation of predicted and measured responses on held-out samples. Where it is near zero, the other "
            "maps show what the network guessed from the neighbourhood.",
            {"label": "r"},
        ),
    ]
    return [quantity for quantity in found if quantity.column in table]


def _sides(table: pd.DataFrame, column: str) -> dict[str, Any]:
    """Colours of a place along an axis: yellow in the middle, for grey is where there is no value."""
    far = _farthest(table, column)
    return {"limits": (-far, far), "cmap": "RdYlBu_r"}


def _farthest(table: pd.DataFrame, column: str) -> float:
    """How far from zero all but a hundredth of the values are."""
    values = table[column].abs() if column in table else pd.Series(dtype=float)
    return max(LEAST, float(values.quantile(0.99))) if len(values) else 1.0
