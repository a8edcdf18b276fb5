"""What the report of a selector shows: every quantity as a map, the places and the layers in colours of their own."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from fusiform.data import Space
from fusiform.plots.maps import brain_map, tinted_map, unmapped
from fusiform.plots.paint import Tints
from fusiform.plots.report import Animation, Picture, Section
from fusiform.plots.spin import spin
from fusiform.plots.style import INK
from fusiform.plots.tints import layered, polar, retinotopy
from fusiform.recipes.selectors.quantities import Quantity, quantities
from fusiform.recipes.selectors.regions import RANKS, TopChannels

__all__ = ["selection_sections", "to_rgb"]

FRAMES = 30  # of a turn
LAYERS = (
    "Which layer each target reads, and how surely. The colour is the mean of its layers, weighted by how much it "
    "reads of each; it fades to grey where the target reads many layers alike. On a brain that is built like the "
    "network, colours run from the first layers at the back to the last ones in front."
)
PLACES = (
    "Where in the picture each target looks. Find a target's colour in the square on the right, which is the picture "
    "as it was shown: up is up. The hue is the direction from the middle; dark is near the middle and bright far from "
    "it. Where the map of scales is light, a target reads the whole picture, and its place means little."
)
TURNING = "The same colours on both hemispheres, inflated and turning; it begins behind the brain."
READING = (
    "Grey has no value: no target is near. On the flat maps each hemisphere is cut open and laid out, with the back of "
    "the brain towards the middle of the figure; lines are the borders of the sulci. The inflated views below have the "
    "same colours."
)
TOP = (
    "How much each target reads of the channels that {region} (n = {count:,}) read most. Red, green and blue are the "
    "first three principal components of their channel weights, which explain {shares} of them; each colour runs from "
    "the 5th to the 95th percentile over all targets. Those of one colour read similar channels, within the region and "
    "elsewhere."
)
SLICES = "Slices run from below to above, with left on the left; grey voxels have no value."

EXCHANGED = "coordinates exchanged"
WORDS = {
    "shuffled_r": "r, predictions out of place",
    "shuffled_ratio": f"r over ceiling, {EXCHANGED}",
    "best_single_layer_r": "r, ridge from the best layer",
    "best_single_layer_ratio": "r over ceiling, ridge from the best layer",
    "layer_exact": "share of planted layers found",
    "center_r_x": "planted places across, r",
    "center_r_y": "planted places down, r",
    "scale_auc": "planted local or global, AUC",
    "shuffled_layer_exact": f"layers found, {EXCHANGED}",
    "shuffled_center_r_x": f"places across, {EXCHANGED}, r",
    "shuffled_center_r_y": f"places down, {EXCHANGED}, r",
    "shuffled_scale_auc": f"local or global, {EXCHANGED}, AUC",
}


def selection_sections(
    table: pd.DataFrame,
    layers: Sequence[str],
    space: Space,
    numbers: Mapping[str, float | None],
    tops: Sequence[TopChannels],
) -> list[Section]:
    """What each target reads: in numbers, and as maps.

    Args:
        table: as `quantities.measured` gives it.
        layers: of the network, in order.
        space: where the targets live.
        numbers: controls, and what was found of a planted truth, by name.
        tops: the channels that regions read most.
    """
    return [_in_numbers(table, layers, numbers), _as_maps(table, layers, space, tops)]


def _in_numbers(table: pd.DataFrame, layers: Sequence[str], numbers: Mapping[str, float | None]) -> Section:
    rows = pd.DataFrame(
        {
            "layer": list(layers),
            "targets": [int((table["layer"] == layer).sum()) for layer in layers],
            "mean share": [float(table[f"share:{layer}"].mean()) for layer in layers],
        }
    )
    told = {WORDS.get(name, name.replace("_", " ")): value for name, value in numbers.items() if value is not None}
    text = [
        "Each target reads a mixture of layers at one place and scale, which follow from its coordinates; its own "
        "weights mix the channels. As a control, the same network learned once more after targets had exchanged their "
        "coordinates: what it still predicts does not come from their places.",
        "In the table, targets are those that read the layer most, and the mean share is how much of it all targets "
        "read.",
    ]
    return Section("What each target reads", text, told, table=rows)


def _as_maps(table: pd.DataFrame, layers: Sequence[str], space: Space, tops: Sequence[TopChannels]) -> Section:
    if why := unmapped(space):
        return Section("Maps", notice=f"There are no maps, for the space {space.name!r} {why}.")
    text = [READING if space.grid is None else SLICES]
    pictures = _turning("layers", layered(table["mean_layer"], table["confidence"], layers), space, LAYERS)
    if "polar_angle" in table:
        pictures += _turning("places", retinotopy(table["center_x"], table["center_y"]), space, PLACES)
    plain = [quantity for quantity in quantities(layers, table) if quantity.name != "mean_layer"]  # shown above
    pictures += [_picture(quantity, table, space) for quantity in plain]
    return Section("Maps", text, pictures=[*pictures, *(_of_region(*one, space) for one in enumerate(tops))])


def _turning(name: str, tints: Tints, space: Space, caption: str) -> list[Picture | Animation]:
    """A map with a legend of its own, and the brain that turns where there is a surface."""
    shown: list[Picture | Animation] = [Picture(f"selected_{name}", tinted_map(tints, space), caption)]
    if space.grid is None:
        shown.append(Animation(f"turning_{name}", spin(tints, space, frames=FRAMES), TURNING))
    return shown


def _picture(quantity: Quantity, table: pd.DataFrame, space: Space) -> Picture:
    if quantity.name == "polar_angle":  # a wheel says more than a colour bar that is cut open
        made = tinted_map(polar(table["center_x"], table["center_y"]), space)
    else:
        made = brain_map(table[quantity.column], space, sides=True, **quantity.look)
    return Picture(f"selected_{quantity.name}", made, quantity.caption)


def _of_region(number: int, top: TopChannels, space: Space) -> Picture:
    shares = " + ".join(f"{share:.0%}" for share in top.shares)
    caption = TOP.format(region=top.region, count=len(top.targets), shares=shares)
    tints = Tints(to_rgb(top.values), _draw_ranks, (0.5, 0.9))
    return Picture(f"selected_top_{number}", tinted_map(tints, space), caption)


def to_rgb(components: NDArray[np.floating]) -> NDArray[np.float64]:
    """Three components [..., 3] as colours in [0, 1], each from the 5th to the 95th percentile over all."""
    low, high = np.percentile(components, (5, 95), axis=tuple(range(components.ndim - 1)))
    extent = np.where(high > low, high - low, 1.0)
    return np.asarray(np.where(high > low, (components - low) / extent, 0.5).clip(0, 1))


def _draw_ranks(ax: Axes) -> None:
    """Red, green and blue, from above."""
    ax.imshow(np.eye(len(RANKS))[:, None], aspect="auto")
    ax.set_xticks([])
    ax.set_yticks(range(len(RANKS)), [str(rank) for rank in RANKS])
    ax.yaxis.tick_right()
    ax.set_title("component", fontsize=8, color=INK)
