"""Maps as files, read back by nibabel vertex by vertex and voxel by voxel."""

import nibabel
import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps

from fusiform.data import Space
from fusiform.errors import DataError
from fusiform.plots.imaging import NO_LABEL, save_map, unwritten
from fusiform.plots.meshes import MESHES

AFFINE = np.array([[-1.8, 0, 0, 90], [0, 1.8, 0, -126], [0, 0, 1.5, -72], [0, 0, 0, 1]])


def brain(mesh="fsaverage5"):
    rng = np.random.default_rng(0)
    left, right = (rng.permutation(MESHES[mesh])[:50] for _ in range(2))  # in no order
    return Space.vertices("some", left, right, mesh)


def voxels():
    mask = np.random.default_rng(0).random((5, 6, 7)) < 0.4
    return Space.voxels("voxels", mask, AFFINE), mask


@pytest.mark.parametrize("mesh", ["fsaverage5", "fsaverage6", "fsaverage7"])
def test_every_vertex_has_its_value_and_the_others_none(tmp_path, mesh):
    space, values = brain(mesh), np.random.default_rng(1).normal(size=100)
    values[3] = np.nan
    written = save_map(tmp_path / "maps", "scale", values, space)
    assert [path.name for path in written] == ["scale.lh.func.gii", "scale.rh.func.gii"]
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [path.name for path in written]
    for path, side, structure in zip(written, ("left", "right"), ("CortexLeft", "CortexRight"), strict=True):
        image = nibabel.load(path)
        [array] = image.darrays
        assert array.data.shape == (MESHES[mesh],)
        assert array.data.dtype == np.float32
        assert array.intent == nibabel.nifti1.intent_codes["NIFTI_INTENT_NONE"]
        assert array.meta["Name"] == "scale"
        assert image.meta["AnatomicalStructurePrimary"] == structure
        wanted = np.full(MESHES[mesh], np.nan, dtype=np.float32)
        for target in np.flatnonzero(space.column("hemisphere") == side):
            wanted[space.column("vertex")[target]] = values[target]
        np.testing.assert_array_equal(array.data, wanted)


def test_categories_are_labels_with_a_table(tmp_path):
    space, names = brain(), ["conv1", "conv2", "fc & <odd>"]
    places = np.random.default_rng(1).integers(0, 3, 100).astype(float)
    places[3] = np.nan
    written = save_map(tmp_path, "layer", places, space, categories=names, cmap="viridis")
    assert [path.name for path in written] == ["layer.lh.label.gii", "layer.rh.label.gii"]
    for path, side in zip(written, ("left", "right"), strict=True):
        image = nibabel.load(path)
        [array] = image.darrays
        assert array.intent == nibabel.nifti1.intent_codes["NIFTI_INTENT_LABEL"]
        assert array.data.dtype == np.int32
        assert image.labeltable.get_labels_as_dict() == {0: NO_LABEL, 1: "conv1", 2: "conv2", 3: "fc & <odd>"}
        colours = [label.rgba for label in image.labeltable.labels]
        np.testing.assert_allclose(colours[0], 0)
        np.testing.assert_allclose(colours[1:], colormaps["viridis"](np.linspace(0.05, 0.95, 3)), atol=1e-6)
        wanted = np.zeros(10242)
        here = space.column("hemisphere") == side
        wanted[space.column("vertex")[here]] = np.nan_to_num(places[here] + 1)
        np.testing.assert_array_equal(array.data, wanted)


def test_a_hemisphere_without_targets_has_no_file(tmp_path):
    [path] = save_map(tmp_path, "r", np.ones(3), Space.vertices("right", [], [5, 6, 7], "fsaverage5"))
    assert path.name == "r.rh.func.gii"
    assert np.flatnonzero(nibabel.load(path).darrays[0].data == 1).tolist() == [5, 6, 7]


def test_voxels_go_back_into_their_volume(tmp_path):
    space, mask = voxels()
    values = np.random.default_rng(1).normal(size=space.size)
    [path] = save_map(tmp_path, "scale", values, space)
    assert path.name == "scale.nii.gz"
    image = nibabel.load(path)
    np.testing.assert_allclose(image.affine, AFFINE)
    assert image.get_data_dtype() == np.float32
    assert image.header.get_xyzt_units()[0] == "mm"
    volume = np.asarray(image.dataobj)
    np.testing.assert_array_equal(volume[mask], values.astype(np.float32))
    assert np.isnan(volume[~mask]).all()


def test_categories_of_voxels_are_numbers_with_names_beside(tmp_path):
    space, mask = voxels()
    places = np.arange(space.size) % 3.0
    places[4] = np.nan
    image, names = save_map(tmp_path, "layer", places, space, categories=["a", "b", "c"])
    volume = nibabel.load(image)
    assert volume.get_data_dtype() == np.int16
    np.testing.assert_array_equal(np.asarray(volume.dataobj)[mask], np.nan_to_num(places + 1))
    assert not np.asarray(volume.dataobj)[~mask].any()
    assert names.name == "layer.tsv"
    table = pd.read_csv(names, sep="\t")
    assert table.to_dict("list") == {"index": [1, 2, 3], "name": ["a", "b", "c"]}


def test_a_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
    [first] = save_map(tmp_path, "r", [1.0], Space.vertices("one", [5], [], "fsaverage5"))
    before = first.read_bytes()

    def half(image, path):
        path.write_bytes(b"half")
        raise OSError("the disk is full")

    monkeypatch.setattr(nibabel, "save", half)
    with pytest.raises(OSError, match="full"):
        save_map(tmp_path, "r", [2.0], Space.vertices("one", [5], [], "fsaverage5"))
    assert first.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [first.name]


def test_equal_maps_are_equal_bytes(tmp_path):
    space, _ = voxels()
    first, second = (save_map(tmp_path / name, "r", np.ones(space.size), space)[0] for name in "ab")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("space", "why"),
    [
        (Space.named("regions", ["V1"]), "has no mesh"),
        (Space.vertices("fsLR", [0], [], "fsLR"), "'fsLR'"),
        (Space.vertices("wrong", [10242], [], "fsaverage5"), "10242"),
        (Space.voxels("flat", np.ones((1, 1, 1), dtype=bool), np.zeros((4, 4))), "plane"),
    ],
)
def test_spaces_without_such_files_say_why(tmp_path, space, why):
    assert why in unwritten(space)
    with pytest.raises(DataError, match=why):
        save_map(tmp_path, "r", [1.0], space)


def test_values_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"\(3,\); wanted \[100\]"):
        save_map(tmp_path, "r", np.ones(3), brain())
    assert not list(tmp_path.iterdir())
