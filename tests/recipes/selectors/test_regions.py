"""What regions see in pictures: which regions, which layer, which colours, and when there is nothing to show."""

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
from fusiform.recipes.selectors.channels import channel_section, regions, to_rgb


def space_of(**columns):
    count = len(next(iter(columns.values())))
    return Space("somewhere", pd.DataFrame({"hemisphere": "left", "vertex": np.arange(count), **columns}))


def test_columns_take_turns_and_each_gives_its_largest_first():
    large = ["early"] * 60 + ["late"] * 40
    faces = [""] * 50 + ["FFA"] * 6 + ["OFA"] * 9 + [""] * 35
    found = regions(space_of(streams=large, faces=faces, roi=large))
    assert list(found) == ["early", "OFA", "late", "FFA"]
    assert found["OFA"].tolist() == list(range(56, 65))
    assert list(regions(space_of(streams=large, faces=faces), most=3)) == ["early", "OFA", "late"]


def test_a_lone_roi_column_is_taken():
    assert list(regions(space_of(roi=["V1"] * 4 + ["V2"] * 5))) == ["V2", "V1"]


def test_small_regions_missing_labels_and_numbers_are_no_regions():
    labels = pd.Series(["V1", "V1", "V1", None, np.nan, "", "V2", "V2"], dtype=object)
    found = regions(space_of(roi=labels, ncsnr=np.ones(8), inside=np.ones(8, dtype=bool), name=list("aaaabbbb")))
    assert {name: targets.tolist() for name, targets in found.items()} == {"V1": [0, 1, 2]}
    as_category = regions(space_of(roi=labels.astype("category")))
    assert list(as_category) == ["V1"]


def test_without_labels_all_targets_are_one_region():
    found = regions(space_of(ncsnr=np.ones(5)))
    assert {name: targets.tolist() for name, targets in found.items()} == {"all targets": [0, 1, 2, 3, 4]}


def test_colours_reach_from_the_fifth_to_the_last_but_fifth_percentile():
    maps = np.random.default_rng(0).normal(size=(4, 5, 6, 3)) * (1, 10, 100)
    maps[..., 2] = 7
    found = to_rgb(maps)
    for component in range(2):
        low, high = np.percentile(maps[..., component], (5, 95))
        np.testing.assert_allclose(found[..., component], np.clip((maps[..., component] - low) / (high - low), 0, 1))
    assert (found[..., 2] == 0.5).all()


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
    chosen = SimpleNamespace(result=result, table=selections(model), model=model)
    return chosen, SimpleNamespace(pairs=pairs, stimuli=stimuli)


def test_pictures_stand_above_what_regions_read_of_them(material):
    chosen, found = material
    section = channel_section(chosen, found)
    [picture] = section.pictures
    axes = picture.figure.axes
    assert len(axes) == 3 * 8
    held = np.arange(18, 30)[np.linspace(0, 11, 8).round().astype(int)]
    for ax, number in zip(axes[:8], held, strict=True):
        np.testing.assert_allclose(ax.images[0].get_array(), np.asarray(load(IDS[number])) / 255)
    names = [axes[8 * row].get_ylabel().split("\n") for row in (1, 2)]
    assert [name for name, _ in names] == ["V2", "V1"]
    for row, (region, layer) in enumerate(names, start=1):
        targets = np.flatnonzero(found.pairs.space.column("roi") == region)
        shares = {one: chosen.table.iloc[targets][f"share:{one}"].mean() for one in ("low", "high")}
        assert layer == max(shares, key=shares.get)  # of the layers that have a grid
        mixtures = principal_channels(channel_weights(chosen.model)[targets])
        wanted = to_rgb(channel_maps(chosen.model, found.pairs.select(held), layer, mixtures))
        for ax, image in zip(axes[8 * row : 8 * row + 8], wanted, strict=True):
            np.testing.assert_allclose(ax.images[0].get_array(), image)


def test_what_is_shown_does_not_change_from_run_to_run(material):
    first, second = (channel_section(*material).pictures[0].png for _ in range(2))
    assert first == second


def test_when_there_are_no_pictures_a_sentence_says_why(material):
    chosen, found = material
    films = SimpleNamespace(pairs=found.pairs, stimuli=replace(found.stimuli, kind="video"))
    assert "'video', not pictures" in channel_section(chosen, films).notice

    def lost(id):
        raise FileNotFoundError(f"{id}.png is gone")

    gone = SimpleNamespace(pairs=found.pairs, stimuli=replace(found.stimuli, loader=lost))
    section = channel_section(chosen, gone)
    assert "'picture18' could not be loaded (picture18.png is gone)" in section.notice
    assert not section.pictures
    flat = replace(found.pairs, features={"vector": found.pairs.features["vector"]})
    assert "no layer keeps a grid" in channel_section(chosen, SimpleNamespace(pairs=flat, stimuli=None)).notice
