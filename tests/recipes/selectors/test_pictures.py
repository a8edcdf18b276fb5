"""What regions see in pictures: in which layer and colours, as a table, and when there is nothing to show."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fusiform.data import Features, Responses, Space, Stimuli
from fusiform.models.channels import channel_maps, principal_channels
from fusiform.models.neural import NeuralEncoder
from fusiform.models.selection import channel_weights, selections
from fusiform.pairs import pair
from fusiform.recipes.selectors.learning import Chosen
from fusiform.recipes.selectors.pictures import look, seen_section
from fusiform.recipes.selectors.regions import top_channels
from fusiform.recipes.selectors.showing import to_rgb

IDS = [f"picture{number}" for number in range(30)]


def load(id):
    return Image.new("RGB", (40, 20), (10 * IDS.index(id) % 255, 0, 0))


@pytest.fixture(scope="module")
def material():
    """Thirty pictures, of which twelve are held out; two layers with grids and one without."""
    random = np.random.default_rng(0)
    features = {
        "low": random.standard_normal((30, 5, 4, 4), dtype=np.float32),
        "high": random.standard_normal((30, 6, 2, 2), dtype=np.float32),
        "vector": random.standard_normal((30, 4), dtype=np.float32),
    }
    split = np.where(np.arange(30) < 18, "train", "test")
    places = pd.DataFrame(random.standard_normal((9, 3)), columns=list("xyz")).assign(roi=["V1"] * 4 + ["V2"] * 5)
    responses = Responses(
        random.standard_normal((30, 9)), pd.DataFrame({"stimulus": IDS, "split": split}), Space("some", places)
    )
    pairs = pair(Features(pd.DataFrame({"stimulus": IDS}), features), responses)
    model = NeuralEncoder(width=4, epochs=1, batch_size=8, device="cpu").fit(pairs)
    stimuli = Stimuli("pictures", "image", pd.DataFrame(index=IDS), load)
    result = SimpleNamespace(rows=np.arange(30), fold=np.repeat([1, 0], [18, 12]))  # the model is that of fold 0
    chosen = Chosen(result, selections(model), model, "")
    return chosen, SimpleNamespace(pairs=pairs, stimuli=stimuli), top_channels(chosen.weights, pairs.space)


def test_pictures_stand_above_what_regions_read_of_them(material):
    chosen, found, _ = material
    [picture] = seen_section(look(*material)).pictures
    axes = picture.figure.axes
    assert len(axes) == 4 * 8
    held = np.arange(18, 30)[np.linspace(0, 11, 8).round().astype(int)]
    for ax, number in zip(axes[:8], held, strict=True):
        np.testing.assert_allclose(ax.images[0].get_array(), np.asarray(load(IDS[number])) / 255)
    names = [axes[8 * row].get_ylabel().split("\n") for row in (1, 2, 3)]
    assert [name for name, _ in names] == ["all targets", "V2", "V1"]
    for row, (region, layer) in enumerate(names, start=1):
        targets = np.flatnonzero((found.pairs.space.column("roi") == region) | (region == "all targets"))
        shares = {one: chosen.table.iloc[targets][f"share:{one}"].mean() for one in ("low", "high")}
        assert layer == max(shares, key=shares.get)  # of the layers that have a grid
        mixtures = principal_channels(channel_weights(chosen.model)[targets])
        wanted = to_rgb(channel_maps(chosen.model, found.pairs.select(held), layer, mixtures))
        for ax, image in zip(axes[8 * row : 8 * row + 8], wanted, strict=True):
            np.testing.assert_allclose(ax.images[0].get_array(), image)


def test_what_is_shown_does_not_change_from_run_to_run(material):
    first, second = (seen_section(look(*material)).pictures[0].png for _ in range(2))
    assert first == second


def test_when_there_are_no_pictures_a_sentence_says_why(material):
    chosen, found, tops = material
    films = SimpleNamespace(pairs=found.pairs, stimuli=replace(found.stimuli, kind="video"))
    assert "'video', not pictures" in look(chosen, films, tops)

    def lost(id):
        raise FileNotFoundError(f"{id}.png is gone")

    gone = SimpleNamespace(pairs=found.pairs, stimuli=replace(found.stimuli, loader=lost))
    section = seen_section(look(chosen, gone, tops))
    assert "'picture18' could not be loaded (picture18.png is gone)" in section.notice
    assert not section.pictures
    flat = replace(found.pairs, features={"vector": found.pairs.features["vector"]})
    assert "no layer keeps a grid" in look(chosen, SimpleNamespace(pairs=flat, stimuli=None), tops)


def test_the_table_has_every_place_of_every_picture(material):
    chosen, found, tops = material
    seen = look(*material)
    table = seen.table()
    held = [IDS[number] for number in np.arange(18, 30)[np.linspace(0, 11, 8).round().astype(int)]]
    assert list(table["stimulus"].unique()) == held
    for top in tops:
        own = table[table["region"] == top.region]
        [layer] = own["layer"].unique()
        features = found.pairs.select([IDS.index(id) for id in held])
        maps = channel_maps(chosen.model, features, layer, top.mixtures)  # [pictures, h, w, 3]
        assert len(own) == maps[..., 0].size
        one = own[(own["stimulus"] == held[3]) & (own["down"] == 1) & (own["across"] == 0)]
        np.testing.assert_array_equal(one[["top1", "top2", "top3"]].to_numpy(), maps[3, 1, :1])
