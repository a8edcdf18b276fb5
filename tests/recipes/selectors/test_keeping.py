"""What a run of the selector leaves on disk: tables, and maps on surfaces and in volumes."""

from dataclasses import replace

import nibabel
import numpy as np
import pandas as pd
import pytest

from fusiform.data import Space
from fusiform.models.channels import principal_channels
from fusiform.recipes.selectors.keeping import keep_seen, keep_selection, keep_top_channels
from fusiform.recipes.selectors.regions import top_channels

MASK = np.random.default_rng(0).random((4, 5, 6)) < 0.5
AFFINE = np.diag([2.0, 2.0, 2.5, 1.0])
VOXELS = Space.voxels("voxels", MASK, AFFINE)


def table_of(count):
    random = np.random.default_rng(0)
    table = pd.DataFrame({"layer": np.array(["a", "b"])[np.arange(count) % 2], "layer_index": np.arange(count) % 2})
    table["scale"], table["cluster"] = random.uniform(size=count), np.arange(count) % 3
    return table.assign(**{"share:a": 0.4, "share:b": 0.6})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_quantities_of_voxels_are_volumes(tmp_path):
    table = table_of(VOXELS.size)
    keep_selection(tmp_path, table, VOXELS, ["a", "b"])
    assert names(tmp_path / "maps") == [
        *("cluster.nii.gz", "cluster.tsv", "layer.nii.gz", "layer.tsv"),
        *("scale.nii.gz", "share_0.nii.gz", "share_1.nii.gz"),
    ]
    volume = nibabel.load(tmp_path / "maps" / "scale.nii.gz")
    np.testing.assert_array_equal(np.asarray(volume.dataobj)[MASK], table["scale"].astype(np.float32))
    np.testing.assert_array_equal(volume.affine, AFFINE)


def test_columns_of_a_space_give_way_to_what_was_chosen(tmp_path):
    """A data set may have a column of its own called `cluster`, and a table has no name twice."""
    space = Space.vertices("two", [3, 4], [], "fsaverage5")
    space = replace(space, targets=space.targets.assign(cluster=["a", "b"], area=["V1", "V2"]))
    keep_selection(tmp_path, table_of(2), space, ["a", "b"])
    kept = pd.read_parquet(tmp_path / "selection.parquet")
    assert kept.columns.is_unique
    assert kept["cluster"].tolist() == [0, 1]
    assert kept["area"].tolist() == ["V1", "V2"]
    assert "layer.lh.label.gii" in names(tmp_path / "maps")


@pytest.fixture
def labelled():
    """Seven vertices of both hemispheres in two regions, and their channel weights."""
    space = Space.vertices("few", [3, 9, 4], [7, 2, 5, 6], "fsaverage5")
    space = replace(space, targets=space.targets.assign(roi=["early"] * 3 + ["a/b c"] * 4))
    return space, np.random.default_rng(1).normal(size=(7, 5)).astype(np.float32)


def test_top_channels_are_tables_that_fit_together(tmp_path, labelled):
    space, weights = labelled
    keep_top_channels(tmp_path, weights, top_channels(weights, space), space)
    regions, values = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("regions", "top_channels"))
    channels = pd.read_parquet(tmp_path / "channels.parquet")
    np.testing.assert_array_equal(channels, weights)
    assert regions["region"].tolist() == ["all targets"] * 3 + ["a/b c"] * 3 + ["early"] * 3
    assert regions["targets"].tolist() == [7] * 3 + [4] * 3 + [3] * 3
    assert regions.groupby("number", sort=False)["rank"].apply(list).tolist() == [[1, 2, 3]] * 3
    assert values["vertex"].tolist() == [3, 9, 4, 7, 2, 5, 6]
    for row in regions.to_dict("records"):
        mixture = np.array([row[name] for name in channels])
        np.testing.assert_allclose(values[f"top{row['rank']}:{row['region']}"], weights @ mixture)
    np.testing.assert_allclose(regions.loc[6:, list(channels)].T, principal_channels(weights[:3]))


def test_top_channels_are_maps_on_both_hemispheres(tmp_path, labelled):
    space, weights = labelled
    tops = top_channels(weights, space)
    keep_top_channels(tmp_path, weights, tops, space)
    wanted = [f"top{rank}_{number}.{side}.func.gii" for rank in (1, 2, 3) for number in range(3) for side in "lr"]
    assert names(tmp_path / "maps") == sorted(name.replace(".l.", ".lh.").replace(".r.", ".rh.") for name in wanted)
    right = nibabel.load(tmp_path / "maps" / "top2_1.rh.func.gii").darrays[0].data
    assert len(right) == 10242
    np.testing.assert_array_equal(right[[7, 2, 5, 6]], tops[1].values[3:, 1].astype(np.float32))
    assert np.isfinite(right).sum() == 4


def test_top_channels_of_voxels_are_volumes(tmp_path):
    weights = np.random.default_rng(0).normal(size=(VOXELS.size, 4))
    [top] = top_channels(weights, VOXELS)
    keep_top_channels(tmp_path, weights, [top], VOXELS)
    volume = nibabel.load(tmp_path / "maps" / "top3_0.nii.gz")
    np.testing.assert_array_equal(np.asarray(volume.dataobj)[MASK], top.values[:, 2].astype(np.float32))


def test_targets_without_places_have_tables_and_no_maps(tmp_path):
    space, weights = Space.numbered("mask", 5), np.eye(5)
    keep_selection(tmp_path, table_of(5), space, ["a", "b"])
    keep_top_channels(tmp_path, weights, top_channels(weights, space), space)
    keep_seen(tmp_path, "the stimuli are no pictures")
    assert names(tmp_path) == [f"{name}.parquet" for name in ("channels", "regions", "selection", "top_channels")]
