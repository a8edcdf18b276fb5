"""What is planted in every vertex: layer, place, scale, channels and noise, on maps that look like cortex's.

- Layers run from posterior to anterior, in bands with wavy borders.
- In every band receptive fields tile half of the picture, the side opposite to the hemisphere: eccentricity rises and
  falls from band to band, and the polar angle turns along the bands.
- Every band is cut into patches with wavy borders. The vertices of a patch read the same mixture of channels, up to a
  jitter, at the same scale; patches of deeper layers are more often global.
- Some patches carry an image direction: theirs is the mixture that follows it best.
- Where mixtures are asked for, a share of the other patches read a second layer too, at the same place and scale,
  through channels of its own.
- Subjects share the patches' mixtures and the large maps; the small waves, the jitter and the noise are their own.

Lengths on the sphere are in its radii.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.datasets.simulated.cortex import VERTICES, locations, places, quality, smooth_map, sphere
from fusiform.datasets.simulated.seeds import stream

__all__ = ["CHANNELS", "SECOND", "mix_layers", "plant", "plant_patches"]

CHANNELS = [f"channel{number}" for number in range(16)]  # columns of the channel weights
SECOND = [f"second_channel{number}" for number in range(16)]  # those of the second layer, where there are mixtures
LOCAL, GLOBAL = 0.1, 0.9  # scale: the share of the global tokens
JITTER = 0.3  # of a vertex's channel weights, in standard deviations of its patch's
POLAR = np.deg2rad(80)  # largest polar angle, from the horizontal
NEAR, FAR = 0.1, 0.85  # eccentricity; the picture ends at 1
LEAST, MOST = 0.25, 0.45  # share of the second layer

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def plant_patches(
    seed: int, layers: int, count: int, tokens: NDArray[np.float32], amounts: pd.DataFrame
) -> pd.DataFrame:
    """The patches, which all subjects share.

    Args:
        seed: of the dataset.
        layers: number of layers, L.
        count: wanted number of patches; the nearest that gives every layer as many in each hemisphere is taken.
        tokens: [L, K, 16] global tokens of K pictures.
        amounts: [K, D] how much of each image direction they show.

    Returns:
        A row per patch, hemisphere by hemisphere and layer by layer: `layer_index`, `scale`, `direction` (or `""`),
        `direction_r` (how well its mixture follows the direction in those pictures) and the channel weights.
    """
    random = stream(seed, "patches")
    per_band = max(1, round(count / layers / 2))
    layer = np.tile(np.repeat(np.arange(layers), per_band), 2)
    rank = np.concatenate([random.permutation(per_band) for _ in range(2 * layers)])  # within the band
    weights = _unit(random.standard_normal((len(layer), len(CHANNELS))))
    share = 0.2 + 0.6 * layer / max(1, layers - 1)  # of the patches of a band that are global
    table = pd.DataFrame({"layer_index": layer, "scale": np.where(rank < np.round(share * per_band), GLOBAL, LOCAL)})
    table = table.assign(direction="", direction_r=0.0, **dict(zip(CHANNELS, weights.T, strict=True)))
    mixtures, followed = _followers(tokens.astype(np.float64), amounts.to_numpy(np.float64))
    for patch, number in _carriers(followed, layer, rank < max(1, per_band // 2)).items():
        table.loc[patch, CHANNELS] = mixtures[number, layer[patch]]
        table.loc[patch, ["scale", "direction", "direction_r"]] = [
            GLOBAL,
            amounts.columns[number],
            followed[number, layer[patch]],
        ]
    return table


def _followers(tokens: Floats, amounts: Floats) -> tuple[Floats, Floats]:
    """Of every direction and layer the unit mixture of channels that follows it best, [D, L, 16], and its r, [D, L].

    Mixtures are fitted to every other picture; r is that of the pictures between, so that it holds for others too.
    """
    mixtures, followed = [], []
    for layer in tokens:
        fitted = np.linalg.lstsq(_centred(layer[::2]), _centred(amounts[::2]), rcond=None)
        mixture = np.asarray(fitted[0], dtype=np.float64)  # [16, D]
        drive, target = _centred(layer[1::2] @ mixture), _centred(amounts[1::2])
        followed.append((drive * target).mean(0) / drive.std(0) / target.std(0))
        mixtures.append(_unit(mixture.T))
    return np.stack(mixtures, axis=1), np.stack(followed, axis=1)


def _carriers(followed: Floats, layer: Ints, free: NDArray[np.bool_]) -> dict[int, int]:
    """Patch -> direction: each direction gets one patch, of the layer that follows it best and has one free left."""
    carried: dict[int, int] = {}
    for best in np.argsort(-followed, axis=None, kind="stable"):
        direction, wanted = divmod(int(best), followed.shape[1])
        patches = [int(patch) for patch in np.flatnonzero(free & (layer == wanted)) if patch not in carried]
        if patches and direction not in carried.values():
            carried[patches[0]] = direction
    return carried


def mix_layers(seed: int, layers: int, patches: pd.DataFrame, mixtures: float) -> pd.DataFrame:
    """Give a share of the patches a second layer, any of the others; those that carry an image direction keep one.

    Args:
        seed: of the dataset.
        layers: number of layers, at least two.
        patches: as `plant_patches` gives them.
        mixtures: share of the patches without a direction, from 0 to 1; those of a smaller share are among them.

    Returns:
        The patches with `second_index` (-1 where there is none), `second_share` (of the signal, .25 to .45, or 0) and
        the second layer's channel weights.
    """
    random = stream(seed, "mixtures")
    away, shares = random.integers(1, layers, len(patches)), random.uniform(LEAST, MOST, len(patches))
    weights = _unit(random.standard_normal((len(patches), len(SECOND))))
    plain = np.flatnonzero(patches["direction"] == "")
    mixed = np.isin(np.arange(len(patches)), random.permutation(plain)[: round(mixtures * len(plain))])
    table = patches.assign(
        second_index=np.where(mixed, (patches["layer_index"] + away) % layers, -1),
        second_share=np.where(mixed, shares, 0.0),
    )
    return table.assign(**dict(zip(SECOND, np.where(mixed, weights.T, 0.0), strict=True)))


def plant(seed: int, subject: int, patches: pd.DataFrame, ncsnr: float) -> pd.DataFrame:
    """The truth of one subject at every vertex of the mesh, left hemisphere first.

    Args:
        seed: of the dataset.
        subject: its number.
        patches: as `plant_patches` or `mix_layers` gives them.
        ncsnr: median over vertices of the signal's over the noise's standard deviation.

    Returns:
        20,484 rows: `hemisphere`, `vertex`, `layer`, `layer_index`, `x`, `y` (centre of the receptive field in the
        picture, in [-1, 1], x to the right, y downwards), `scale` (0 local, 1 global), `ncsnr`, `patch`, `direction`,
        `direction_r` and the channel weights `channel0`, ... of unit length. After `mix_layers` also `layer_share` and
        `second_share` of the signal, which sum to one, `second_layer` (or `""`), `second_index` and its channel weights
        `second_channel0`, ...; `layer` is then the one with the larger share.
    """
    own = stream(seed, "brain", subject)
    patch, x, y = _maps(stream(seed, "maps"), own, patches)
    planted = patches.iloc[patch].reset_index(drop=True)
    planted[CHANNELS] = _jittered(own, planted[CHANNELS].to_numpy())
    if "second_index" in planted:
        planted = _with_second(stream(seed, "mixtures", subject + 1), planted)
    return places()[["hemisphere", "vertex"]].assign(
        layer=[f"conv{index + 1}" for index in planted["layer_index"]],
        x=x,
        y=y,
        patch=patch,
        ncsnr=quality(own, ncsnr),
        **planted,
    )


def _jittered(random: np.random.Generator, weights: Floats) -> Floats:
    """Unit weights near those of the patch, [V, 16]."""
    return _unit(weights + JITTER / np.sqrt(weights.shape[1]) * random.standard_normal(weights.shape))


def _with_second(random: np.random.Generator, planted: pd.DataFrame) -> pd.DataFrame:
    """The second layer of every vertex by name, and how much of the signal each of both is."""
    mixed = planted["second_share"].to_numpy() > 0
    weights = np.where(mixed[:, None], _jittered(random, planted[SECOND].to_numpy()), 0.0)
    names = [f"conv{index + 1}" if index >= 0 else "" for index in planted["second_index"]]
    return planted.assign(
        layer_share=1 - planted["second_share"], second_layer=names, **dict(zip(SECOND, weights.T, strict=True))
    )


def _maps(shared: np.random.Generator, own: np.random.Generator, patches: pd.DataFrame) -> tuple[Ints, Floats, Floats]:
    """Patch and centre of the receptive field, x and y, of every vertex of the mesh."""
    layers = int(patches["layer_index"].max()) + 1
    points = locations()
    left = np.arange(2 * VERTICES) < VERTICES

    def waves(width: float) -> Floats:
        return 0.9 * smooth_map(shared, points, width) + 0.45 * smooth_map(own, points, width / 2)

    depth = layers * (points[:, 1] + 1) / 2 + 0.25 * waves(0.4)  # y is uniform on a sphere: bands have equal areas
    band = np.where(left, 0, layers) + np.clip(np.floor(depth), 0, layers - 1).astype(np.int64)
    around = _around(left)
    per_band = len(patches) // layers // 2
    begin = shared.random(2 * layers)[band]  # of each band's first patch, so that cuts do not run on into the next
    sector = np.floor((around + 0.035 * waves(0.3) + begin) * per_band).astype(np.int64) % per_band
    x, y = _centres(depth + 0.1 * waves(0.5), around + 0.02 * waves(0.5), left)
    return band * per_band + sector, x, y


def _around(left: NDArray[np.bool_]) -> Floats:
    """Angle about the axis from back to front in turns, [-.5, .5]; 0 is medial in both hemispheres."""
    unit = np.tile(sphere(), (2, 1))
    return np.asarray(np.arctan2(unit[:, 2], np.where(left, unit[:, 0], -unit[:, 0])) / (2 * np.pi))


def _centres(depth: Floats, around: Floats, left: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Centres of the receptive fields: eccentricity by depth, polar angle by the way around, no jump anywhere."""
    eccentricity = NEAR + (FAR - NEAR) * np.abs((depth + 1) % 2 - 1)
    polar = POLAR * (1 - 4 * np.abs((around + 0.5) % 1 - 0.5))
    across = eccentricity * np.cos(polar)
    return np.where(left, across, -across), eccentricity * np.sin(polar)


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _centred(columns: Floats) -> Floats:
    return np.asarray(columns - columns.mean(0))
