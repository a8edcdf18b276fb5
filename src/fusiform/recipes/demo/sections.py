"""What each part of the tour says: its numbers for `summary.json`, and its section of the report."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusiform.plots.charts import bars, gallery, grouped_bars, histogram, matrix, scatter, timecourse
from fusiform.plots.report import Picture as Figure
from fusiform.plots.report import Section
from fusiform.plots.surface import flatmap, flatmaps
from fusiform.recipes.demo.network import Network
from fusiform.recipes.demo.picture import Picture
from fusiform.recipes.demo.story import EXCHANGED, VECTORS, Story

__all__ = ["network", "picture", "story"]

Told = tuple[dict[str, Any], Section]


def story(found: Story) -> Told:
    """Hearing a story: r by region against chance and other people, one time course, what each feature adds."""
    best = int(found.r.argmax())
    tiles: dict[str, float | int | str] = {
        "mean r": float(found.r.mean()),
        f"best region, {found.regions[best]}": float(found.r[best]),
        "chance, 95 %": float(found.null_95.mean()),
        "largest p": float(found.p.max()),
    }
    text = [
        "27 people heard the first chapter of Alice in Wonderland in the scanner (Brennan et al. 2016). The words, and "
        "when each is heard, give their rate, length, duration, frequency and meaning (word vectors); with the sound's "
        "power these pass through a haemodynamic response and predict six language regions by ridge.",
        "Six blocks of two minutes are held out in turn, with ten seconds left out around them. Everything that is "
        "learned or chosen (scaling, weights, the penalty of each region) is learned on the rest. Correlations are "
        "taken within each held-out block and averaged.",
    ]
    missing = (
        "No word vectors were found, so meaning and frequency are left out and r is lower than it could be; put GloVe "
        "vectors (.npz or .txt) into glove_twitter_25d/ in the data folder to include them."
    )
    notice = "" if VECTORS in found.by_family else missing
    section = Section("Hearing a story", text, tiles, _story_figures(found, best), _story_table(found), notice)
    return {"mean_r": float(found.r.mean()), **_story_numbers(found)}, section


def _story_numbers(found: Story) -> dict[str, dict[str, float]]:
    """By region."""
    columns = {
        "r": found.r,
        "null_95": found.null_95,
        "p": found.p,
        "whole_run_r": found.whole_run_r,
        "single_people_r": found.people_r.mean(0),
        "inter_subject_r": found.isc.mean(0),
    }
    if EXCHANGED in found.by_family:
        columns["exchanged_vectors_r"] = found.by_family[EXCHANGED]
    return {name: dict(zip(found.regions, values.tolist(), strict=True)) for name, values in columns.items()}


def _story_table(found: Story) -> pd.DataFrame:
    words = {
        "r": "r",
        "null_95": "chance (95 %)",
        "p": "p",
        "single_people_r": "single people",
        "inter_subject_r": "one person from the others",
        "whole_run_r": "r, whole run",
    }
    numbers = _story_numbers(found)
    return pd.DataFrame({word: numbers[key] for key, word in words.items()}).rename_axis("region").reset_index()


def _story_figures(found: Story, best: int) -> list[Figure]:
    region = found.regions[best]
    people = bars(
        found.people_r.mean(0),
        found.regions,
        dots=found.people_r,
        ceiling=found.isc.mean(0),
        ceiling_label="one person from the mean of the others",
        title="One person at a time",
    )
    course = timecourse(
        found.times,
        found.true[:, best],
        found.pred[:, best],
        fold=found.fold,
        title=f"{region}: measured and predicted",
        y="standard deviations",
    )
    return [
        Figure(
            "story_regions",
            bars(found.r, found.regions, null=found.null_95, title="Mean of 27 people, held-out volumes"),
            "How well the story predicts the mean response of 27 people, by region. Dashed: 95 % of what the same "
            f"pipeline reaches with responses rotated in time ({len(found.null)} rotations).",
        ),
        Figure(
            "story_people",
            people,
            "The same for single people (dots; bars are their mean). The black marks say how well one person's "
            "response is predicted by the mean of the 26 others, within the same blocks: a ceiling for any model of "
            "what people share.",
        ),
        Figure(
            "story_course",
            course,
            f"{region} over the twelve minutes. Every volume was predicted by a model that had not seen it; grey lines "
            "are the borders between held-out blocks.",
        ),
        Figure(
            "story_features",
            grouped_bars(found.by_family, found.regions, title="What each kind of feature adds"),
            "From light to dark: sound power, then one kind of feature more each time. In the control before the last, "
            "words have exchanged their vectors (mean of five times): they recur at the same times and mean something "
            "else, so what it gains is not meaning.",
        ),
    ]


def picture(found: Picture) -> Told:
    """Seeing a picture: reconstructions beside the originals, identification, encoding against exchanged pictures."""
    top1, chance = float(found.found.forward.mean()), found.found.chance
    numbers = {
        "reconstruction_r": float(found.reconstruction_r.mean()),
        "mean_picture_r": float(found.mean_picture_r.mean()),
        "encoding_r": float(found.encoding_r.mean()),
        "identification": top1,
        "chance": chance,
        "permuted_r": float(found.permuted_r.mean()),
    }
    text = [
        "One person saw ten black and white figures, eight times each (Miyawaki et al. 2008). Encoding predicts each "
        "voxel from the hundred patches of a picture; decoding predicts each patch from the voxels. Both read the same "
        "pairs, in opposite directions.",
        "A picture is left out with all its repeats, and the penalty is chosen by leaving out one more. "
        f"The mean training picture alone already resembles the one left out (r = {found.mean_picture_r.mean():.2f}), "
        "so identification compares what is left after subtracting it.",
    ]
    tiles: dict[str, float | int | str] = {
        "reconstruction r": numbers["reconstruction_r"],
        "mean picture alone, r": numbers["mean_picture_r"],
        "encoding r": numbers["encoding_r"],
        "pictures exchanged, r": numbers["permuted_r"],
        "identified": f"{top1:.0%} (chance {chance:.0%})",
    }
    return numbers, Section("Seeing a picture", text, tiles, _picture_figures(found))


def _picture_figures(found: Picture) -> list[Figure]:
    rows = {"seen": list(found.pictures), "decoded": list(found.reconstructed)}
    table = matrix(
        found.confusion,
        found.names,
        found.names,
        x="taken for",
        y="shown",
        label="share of blocks",
        title="Which picture was it?",
    )
    spread = histogram(
        {"voxels": found.encoding_r},
        y="voxels",
        mark=float(found.permuted_r.mean()),
        title="Encoding: predicting voxels from pictures",
    )
    return [
        Figure(
            "picture_reconstructions",
            gallery(rows, columns=found.names, title="Seen, and read from V1"),
            "Above: the ten pictures. Below: what was decoded from 797 voxels of V1 when that picture was never in the "
            "training set (mean of its eight repeats).",
        ),
        Figure(
            "picture_confusion",
            table,
            f"Each decoded block is compared with all ten pictures. Identified: {found.found.forward.mean():.1%}; by "
            f"chance {found.found.chance:.0%}.",
        ),
        Figure(
            "picture_encoding",
            spread,
            "Correlation of predicted and measured responses to unseen pictures, voxel by voxel, both as deviations "
            "from the mean of the training pictures. The dashed line is the mean over voxels when pictures are "
            f"exchanged for one another ({len(found.permuted_r)} times).",
        ),
    ]


def network(found: Network) -> Told:
    """Reading a network: the layer found for every vertex beside the planted one."""
    numbers = {
        **found.recovered,
        "right_layer_r": found.right_layer_r,
        "wrong_layer_r": found.wrong_layer_r,
        "vertices": found.space.size,
    }
    text = [
        "A simulated brain with a known truth: each vertex of fsaverage5 reads one layer of a small fixed network, "
        "through a receptive field and a mixture of channels, with noise as in real data (median noise-ceiling "
        "signal-to-noise ratio .45). The network's weights are random.",
        "Ridge predicts each vertex from each layer; the layer with the least error within training pictures is taken. "
        f"Over vertices whose r-ceiling is above .3, the planted layer reaches r = {found.right_layer_r:.2f} and the "
        f"others {found.wrong_layer_r:.2f} on average.",
    ]
    tiles: dict[str, float | int | str] = {
        "planted layer found": f"{found.recovered['layer_found']:.1%}",
        "r, planted layer": found.right_layer_r,
        "r, other layers": found.wrong_layer_r,
        "vertices": found.space.size,
    }
    shares = {name.removeprefix("layer_found_").replace("_", " to "): r for name, r in found.recovered.items()}
    bands = pd.DataFrame({"r-ceiling": list(shares)[1:], "planted layer found": list(shares.values())[1:]})
    return numbers, Section("Reading a network", text, tiles, _network_figures(found), bands)


def _network_figures(found: Network) -> list[Figure]:
    ceiling: NDArray[np.float64] = np.asarray(found.scores.ceiling)
    against = scatter(
        ceiling,
        found.scores.values,
        x_label="r-ceiling, estimated from repeats",
        y_label="r",
        title="Against the estimated noise ceiling",
    )
    layers = {"layer found": found.found, "layer planted": found.planted}
    return [
        Figure(
            "network_pictures",
            gallery({"": found.sheet}, title="Some of the pictures"),
            "The simulated brain saw gratings, textures, shapes and things, drawn by fusiform.",
        ),
        Figure(
            "network_layers",
            flatmaps(layers, found.space, categories=found.layers, cmap="viridis"),
            "Above: the layer whose ridge predicts each vertex best, chosen within training pictures. Below: the layer "
            "that each vertex really reads.",
        ),
        Figure(
            "network_r",
            flatmap(found.scores.values, found.space, label="r", title="Prediction of unseen pictures"),
            "Correlation of predicted and simulated responses to test pictures.",
        ),
        Figure(
            "network_ceiling",
            against,
            "Every vertex: the r attained, and an estimate of the largest attainable given its noise, from the repeats "
            "of test pictures (dashed: equal). Estimates of zero are vertices whose repeats happened to disagree.",
        ),
    ]
