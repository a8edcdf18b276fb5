"""Which regions there are, and the channels that each reads most."""

import numpy as np
import pandas as pd

from fusiform.data import Space
from fusiform.models.channels import principal_channels
from fusiform.recipes.selectors.regions import regions, top_channels


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
    assert regions(space_of(ncsnr=np.ones(5))) == {}


def test_top_channels_are_the_components_of_the_regions_own_weights():
    weights = np.random.default_rng(0).normal(size=(9, 5)) + 0.5
    everywhere, second, first = top_channels(weights, space_of(roi=["V1"] * 4 + ["V2"] * 5))
    assert [everywhere.region, second.region, first.region] == ["all targets", "V2", "V1"]
    assert everywhere.targets.tolist() == list(range(9))
    for top in (everywhere, second, first):
        own = weights[top.targets]
        np.testing.assert_allclose(top.mixtures, principal_channels(own))
        np.testing.assert_allclose(top.values, weights @ top.mixtures)  # of all targets, in the region or not
        strengths = np.linalg.svd(own, compute_uv=False) ** 2
        np.testing.assert_allclose(top.shares, (strengths / strengths.sum())[:3])


def test_weights_of_zero_and_few_targets_have_no_more_components_than_there_are():
    [lone] = top_channels(np.array([[3.0, 4.0]]), space_of(ncsnr=[1.0]))
    np.testing.assert_allclose(lone.shares, [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(lone.values, [[5, 0, 0]], atol=1e-12)
    [nothing] = top_channels(np.zeros((2, 4)), space_of(ncsnr=[1.0, 1.0]))
    assert not nothing.values.any()
    assert not nothing.shares.any()
