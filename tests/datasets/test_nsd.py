"""NSD: the published layouts in miniature against plain formulas, and damaged copies of them."""

import pickle
import shutil
import tracemalloc
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from layouts import nsd as published
from scipy.io import loadmat, savemat

from fusiform.data import Responses
from fusiform.data.meshes import on_spheres
from fusiform.datasets import load_dataset
from fusiform.datasets.nsd import NSD
from fusiform.datasets.nsd import targets as nsd_targets
from fusiform.datasets.nsd.design import read_design
from fusiform.datasets.nsd.labels import KNOWN
from fusiform.datasets.nsd.splits import named_split
from fusiform.errors import DataError, FusiformError, LayoutError, MissingDataError, SettingsError, UnknownNameError
from fusiform.testing import check_dataset

VOLUME = f"nsddata_betas/ppdata/subj01/func1pt8mm/{published.BETAS}"
AVERAGE = f"nsddata_betas/ppdata/subj01/fsaverage/{published.BETAS}"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nsd")
    published.write(folder)
    return folder


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(written, tmp_path / "nsd")
    return tmp_path / "nsd"


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    published.write_prepared(tmp_path / "prepared")
    return tmp_path / "prepared"


@pytest.fixture(autouse=True)
def _small_mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nsd_targets, "FSAVERAGE", published.FSAVERAGE)


def percent(session: int) -> np.ndarray:
    """[trials, X, Y, Z], by the plain formula."""
    return np.moveaxis(published.volume_betas(session).astype(float) / 300, -1, 0)


@pytest.mark.filterwarnings("ignore:.*are (saturated|missing)")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"region": "brain"},
        {"betas": "betas_assumehrf"},
        {"space": "func1mm"},
    ],
)
def test_it_keeps_the_contract_of_datasets(written: Path, settings: dict[str, Any]) -> None:
    check_dataset(load_dataset("nsd", root=str(written), **settings), subjects=["subj01"], most=5)


@pytest.mark.parametrize("suffix", [".hdf5", ".nii.gz"])
def test_volumes_are_read_in_both_formats(root: Path, suffix: str) -> None:
    for path in (root / VOLUME).glob("betas_session*"):
        if not path.name.endswith(suffix):
            path.unlink()
    found = NSD(root=root, zscore="none", region="prf-visualrois:V1v").responses("subj01")
    mask = published.mask("prf-visualrois") == 1
    plain = np.concatenate([percent(session)[:, mask] for session in published.SESSIONS])
    np.testing.assert_allclose(found.values, plain, rtol=1e-6)
    assert found.values.dtype == np.float32
    assert found.space.column("prf-visualrois").tolist() == ["V1v"] * mask.sum()


@pytest.mark.parametrize("suffix", [".hdf5", ".nii.gz"])
def test_every_version_of_the_betas_has_its_own_numbers(root: Path, suffix: str) -> None:
    found = {}
    for version in (published.BETAS, *published.OTHERS):
        for path in (root / VOLUME).parent.joinpath(version).glob("betas_session*"):
            if not path.name.endswith(suffix):
                path.unlink()
        found[version] = NSD(root=root, betas=version, zscore="none", sessions="1").responses("subj01")
        plain = published.volume_betas(1, version)[published.mask("nsdgeneral") == 1].T / 300
        np.testing.assert_allclose(found[version].values, plain, rtol=1e-6)
    one, two, three = (responses.values for responses in found.values())
    assert min(np.abs(one - two).mean(), np.abs(one - three).mean(), np.abs(two - three).mean()) > 0.5
    with pytest.raises(LayoutError, match=r"session 2 of subj01 is missing in .*/betas_fithrf "):
        NSD(root=root, betas="betas_fithrf", sessions="1-2").responses("subj01")


def test_the_finer_volume_has_its_own_grid_masks_and_betas(written: Path) -> None:
    found = NSD(root=written, space="func1mm", zscore="none").responses("subj01")
    mask = published.mask("nsdgeneral", published.FINE) == 1
    plain = published.volume_betas(1, shape=published.FINE)[mask].T / 300
    np.testing.assert_allclose(found.values, plain, rtol=1e-6)
    np.testing.assert_array_equal(found.space.coordinates(), np.argwhere(mask))
    assert found.space.grid is not None
    assert found.space.grid.shape == published.FINE
    streams = np.array(["", *published.CLASSES["streams"][1:]])
    labels = np.maximum(published.mask("streams", published.FINE)[mask], 0)
    assert found.space.column("streams").tolist() == streams[labels].tolist()


@pytest.mark.filterwarnings("ignore:.*are missing")
@pytest.mark.parametrize("suffix", [".hdf5", ".mgz"])
def test_fsaverage_in_other_formats_reads_the_same(root: Path, suffix: str) -> None:
    before = NSD(root=root, space="fsaverage", zscore="none").responses("subj01")
    for path in (root / AVERAGE).glob("*betas*.mgh"):
        path.unlink()
    for name, session in ((f"betas_session{session:02}", session) for session in published.SESSIONS):
        sides = [published.surface_betas("fsaverage", session, side) for side in (0, 1)]
        if suffix == ".mgz":
            published.write_hemispheres(root / AVERAGE, f"{name}.mgz", sides)
            continue
        for short, values in zip(("lh", "rh"), sides, strict=True):
            with h5py.File(root / AVERAGE / f"{short}.{name}.hdf5", "w") as file:
                file.create_dataset("betas", data=values.T, chunks=(750, 1))
    again = NSD(root=root, space="fsaverage", zscore="none").responses("subj01")
    np.testing.assert_array_equal(again.values, before.values)
    assert again.space.targets.equals(before.space.targets)


def test_voxels_know_their_place(written: Path) -> None:
    found = NSD(root=written, region="brain").responses("subj01", rois=["nsdgeneral"])
    mask = published.mask("nsdgeneral") == 1
    ijk = np.argwhere(mask)
    np.testing.assert_array_equal(np.column_stack([found.space.column(axis) for axis in "ijk"]), ijk)
    np.testing.assert_allclose(found.space.coordinates(), ijk @ published.AFFINE[:3, :3].T + published.AFFINE[:3, 3])
    np.testing.assert_allclose(found.space.column("ncsnr"), published.volume_ncsnr()[mask])
    back = found.space.volume(found.space.column("ncsnr"))
    np.testing.assert_allclose(back[mask], published.volume_ncsnr()[mask])
    assert np.isnan(back[~mask]).all()


def test_vertices_of_fsaverage_know_their_place_and_native_ones_do_not(written: Path, prepared: Path) -> None:
    average = NSD(root=written, space="fsaverage", sessions=[1]).responses("subj01").space
    for space in (average, whole_brain(prepared).space):
        wanted = on_spheres("fsaverage", space.column("hemisphere"), space.column("vertex"))
        np.testing.assert_array_equal(space.coordinates(), np.column_stack(list(wanted.values())))
    native = NSD(root=written, space="nativesurface", sessions=[1]).responses("subj01").space
    assert not {"x", "y", "z"} & set(native.targets)


def test_hdf5_stored_anew_in_other_pieces_reads_the_same(root: Path) -> None:
    before = NSD(root=root).responses("subj01")
    for session in published.SESSIONS:
        with h5py.File(root / VOLUME / f"betas_session{session:02}.hdf5", "w") as file:
            file["betas"] = published.volume_betas(session).transpose(3, 2, 1, 0)  # in one piece
    np.testing.assert_array_equal(NSD(root=root).responses("subj01").values, before.values)


def test_native_surfaces_stored_anew_read_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusiform.datasets.nsd.surface.BYTES", 10 * 750 * 2)  # ten vertices at a time
    before = NSD(root=root, space="nativesurface").responses("subj01", rois=["streams"])
    for path in (root / VOLUME.replace("func1pt8mm", "nativesurface")).glob("*betas*.hdf5"):
        with h5py.File(path, "r+") as file:
            values = file["betas"][()]
            del file["betas"]
            file.create_dataset("betas", data=values, chunks=(50, 7), compression="gzip")
    again = NSD(root=root, space="nativesurface").responses("subj01", rois=["streams"])
    np.testing.assert_array_equal(again.values, before.values)


@pytest.mark.filterwarnings("ignore:.*are saturated")
def test_betas_that_were_never_written_are_missing(root: Path) -> None:
    """HDF5 leaves out pieces that hold nothing but the fill value: voxels that were not measured in that session."""
    path = root / VOLUME / "betas_session01.hdf5"
    kept = published.volume_betas(1).transpose(3, 2, 1, 0)
    with h5py.File(path, "w") as file:
        stored = file.create_dataset("betas", kept.shape, np.int16, chunks=(750, 1, 1, 1))
        stored[:, 1] = kept[:, 1]
    with pytest.warns(
        UserWarning, match=r"betas of subj01 are missing \(NaN, or zero throughout a session, in 40 targe"
    ):
        found = NSD(root=root, zscore="none", region="brain").responses("subj01")
    second = found.space.column("k") == 1
    np.testing.assert_allclose(found.values[:750, second], percent(1)[:, published.brain()][:, second], rtol=1e-6)
    assert np.isnan(found.values[:750, ~second]).all()
    assert np.isfinite(found.values[750:]).all()
    assert found.space.column("missing").tolist() == np.where(second, 0, 750).tolist()


@pytest.mark.filterwarnings("ignore:.*are saturated")
@pytest.mark.parametrize("suffix", [".hdf5", ".nii.gz"])
def test_voxels_that_a_session_missed_are_counted_and_the_mean_once_standardised(
    root: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zero in all trials of a session, not in the trials that are asked for: a beta may round to zero."""
    monkeypatch.setattr("fusiform.datasets.nsd.volume.BYTES", 6 * 7 * 5 * 2 * 100)  # a hundred trials at a time
    voxels, chosen = np.argwhere(published.mask("nsdgeneral") == 1), published.design()["shown"][:7]
    lost, rounded = voxels[3], voxels[4]
    values = published.volume_betas(1)
    values[tuple(lost)] = 0
    values[(*rounded, slice(0, 700))] = 0
    for path in (root / VOLUME).glob("betas_session01*"):
        path.unlink()
    published.write_session(root / VOLUME, 1, values)
    (root / VOLUME / f"betas_session01{'.nii.gz' if suffix == '.hdf5' else '.hdf5'}").unlink()
    with pytest.warns(UserWarning, match=r"750 of \d+ betas of subj01 are missing"):
        found = NSD(root=root).responses("subj01")
    assert np.flatnonzero(found.space.column("missing")).tolist() == [3]
    assert (found.values[:750, 3] == 0).all()
    assert (found.values[750:, 3] != 0).any()
    split = {f"nsd-{number - 1:05}": "train" for number in chosen}
    with pytest.warns(UserWarning, match=r"\d+ of \d+ betas of subj01 are missing"):
        few = NSD(root=root, zscore="none", split=split, sessions="1").responses("subj01")
    assert len(few) < 30
    assert np.isnan(few.values[:, 3]).all()
    assert (few.values[:, 4] == 0).sum() >= 7
    assert few.space.column("missing").tolist() == [len(few) * (voxel == 3) for voxel in range(len(voxels))]


def test_trials_follow_the_design(written: Path) -> None:
    samples = NSD(root=written).responses("subj01").samples
    shown = published.design()["shown"]
    assert samples["stimulus"].tolist() == [f"nsd-{number - 1:05}" for number in shown[:1500]]
    assert samples["trial"].tolist() == list(range(1500))
    assert samples["session"].tolist() == [1] * 750 + [2] * 750
    runs = samples.groupby("run").size()
    assert runs.tolist() == [63, 62] * 12  # as the manual says: odd runs have 63 trials, even ones 62
    seen: dict[str, int] = {}
    for stimulus, repeat in zip(samples["stimulus"], samples["repeat"], strict=True):
        seen[stimulus] = seen.get(stimulus, 0) + 1
        assert repeat == seen[stimulus]


def test_one_session_keeps_the_count_of_repeats(written: Path) -> None:
    both, second = (NSD(root=written, sessions=wanted).responses("subj01") for wanted in (None, "2"))
    later = both.samples[both.samples["session"] == 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(second.samples, later)
    np.testing.assert_array_equal(second.values, both.values[750:])


def test_sessions_are_standardised_by_their_training_trials(written: Path) -> None:
    raw = NSD(root=written, zscore="none").responses("subj01")
    like = (raw.samples["split"] == "train").to_numpy()
    assert 0 < like.sum() < len(raw)
    found = NSD(root=written).responses("subj01")
    np.testing.assert_allclose(found.values, raw.zscore("session", like=like).values, atol=2e-6)
    everything = NSD(root=written, zscore="session-all").responses("subj01")
    np.testing.assert_allclose(everything.values, raw.zscore("session").values, atol=2e-6)
    assert np.abs(found.values - everything.values).max() > 0.01


def test_saturated_betas_are_counted_and_said(written: Path) -> None:
    with pytest.warns(UserWarning, match=r"1 of \d+ betas of subj01 are saturated"):
        found = NSD(root=written).responses("subj01", rois=["prf-visualrois"])
    voxel = np.flatnonzero(found.space.column("saturated"))
    assert [int(found.space.column(axis)[voxel[0]]) for axis in "ijk"] == list(published.SATURATED[0])
    assert found.space.column("saturated").sum() == 1


@pytest.mark.parametrize("space", ["fsaverage", "nativesurface"])
def test_surfaces(written: Path, space: str) -> None:
    with pytest.warns(UserWarning, match="750 of .* are missing") if space == "fsaverage" else nullcontext():
        found = NSD(root=written, space=space, zscore="none").responses("subj01")
    sides = [
        np.concatenate([published.surface_betas(space, session, side).T for session in published.SESSIONS])
        for side in (0, 1)
    ]
    plain = np.concatenate(sides, axis=1) / (300 if space == "nativesurface" else 1)
    np.testing.assert_allclose(found.values, plain, rtol=1e-6)
    assert found.space.mesh == ("fsaverage" if space == "fsaverage" else "subj01-native")
    right = found.space.column("hemisphere") == "right"
    assert found.space.column("vertex")[right].tolist() == list(range(right.sum()))
    labels = published.vertex_mask("streams", int(right.sum()))
    names = np.array(["", *published.CLASSES["streams"][1:]])[labels]
    assert found.space.column("streams")[right].tolist() == names.tolist()


def test_missing_vertices_are_the_mean_once_standardised(written: Path) -> None:
    with pytest.warns(UserWarning, match="are missing"):
        found = NSD(root=written, space="fsaverage").responses("subj01")
    lost = published.FSAVERAGE + 4
    assert found.space.column("missing").tolist() == [750 * (vertex == lost) for vertex in range(found.space.size)]
    assert (found.values[750:, lost] == 0).all()
    assert (found.values[:750, lost] != 0).any()
    assert np.isfinite(found.values).all()


@pytest.mark.filterwarnings("ignore:.*are saturated")
def test_regions_by_label_by_atlas_and_by_both(written: Path) -> None:
    dataset = NSD(root=written)

    def voxels(*rois: str) -> set[tuple[int, ...]]:
        targets = dataset.responses("subj01", rois=rois).space.targets
        return set(map(tuple, targets[["i", "j", "k"]].to_numpy().tolist()))

    def plain(name: str, *labels: int) -> set[tuple[int, ...]]:
        return set(map(tuple, np.argwhere(np.isin(published.mask(name), labels)).tolist()))

    assert voxels("FFA-1") == plain("floc-faces", 2)
    assert voxels("floc-faces") == plain("floc-faces", 1, 2, 3, 4, 5)
    assert voxels("streams:ventral", "OFA") == plain("streams", 5) | plain("floc-faces", 1)
    with pytest.raises(SettingsError, match="2 atlases have a region 'V3v'; say which: Kastner2015:V3v or prf-"):
        voxels("V3v")
    with pytest.raises(
        UnknownNameError, match=r"unknown region 'FFA-3' \(did you mean 'FFA-[12]'\?\); there are 'brain', the at"
    ):
        voxels("FFA-3")


def test_region_sets_what_is_read_by_default(written: Path) -> None:
    brain, general = (NSD(root=written, region=region, sessions="1").responses("subj01") for region in ("brain", None))
    assert brain.space.size == published.brain().sum()
    assert general.space.size == (published.mask("nsdgeneral") == 1).sum()


def test_a_mask_with_an_unknown_label(root: Path) -> None:
    labels = published.mask("streams")
    labels[2, 2, 2] = 9
    published.write_volume(root / "nsddata/ppdata/subj01/func1pt8mm/roi/streams.nii.gz", labels)
    with pytest.raises(
        LayoutError, match=r"streams\.nii\.gz holds the label 9, which .*streams\.mgz\.ctab does not name"
    ):
        NSD(root=root).responses("subj01")


@pytest.mark.filterwarnings("ignore:.*are saturated")
def test_a_table_may_name_what_is_no_label(root: Path) -> None:
    published_names = NSD(root=root).responses("subj01", rois=["streams"]).space.column("streams")
    with (root / "nsddata/freesurfer/subj01/label/streams.mgz.ctab").open("a") as table:
        table.write("-1 non-cortical\n")
    names = NSD(root=root).responses("subj01", rois=["streams"]).space.column("streams")
    assert list(names) == list(published_names)
    assert "parietal" in set(names)


def test_the_parcellation_of_glasser_is_known_by_name() -> None:
    """Anchors through the published order, as the tables of NSD have them."""
    names = KNOWN["HCP_MMP1"]
    assert len(names) == len(set(names)) == 180
    anchors = {1: "V1", 2: "MST", 23: "MT", 44: "6ma", 74: "44", 84: "46", 116: "PFt", 131: "TGd", 163: "VVC"}
    anchors |= {18: "FFC", 31: "POS1", 76: "47l", 123: "STGa", 138: "PH", 148: "PF", 155: "PHA2", 177: "TE1m"}
    assert {label: names[label - 1] for label in anchors} == anchors
    assert names[-1] == "p24"


@pytest.mark.parametrize("name", ["streams", "MTL"])
def test_labels_without_a_table(root: Path, name: str) -> None:
    """Known atlases keep their published names, others count; a label that the manual does not know is refused."""
    for path in (root / "nsddata/freesurfer").rglob("*.ctab"):
        path.unlink()
    labels = published.mask("streams")
    path = root / f"nsddata/ppdata/subj01/func1pt8mm/roi/{name}.nii.gz"
    published.write_volume(path, labels)
    found = NSD(root=root, region="brain", sessions="1").responses("subj01").space.column(name)
    wanted = ["", *published.CLASSES["streams"][1:]] if name == "streams" else ["", *map(str, range(1, 8))]
    assert found.tolist() == [wanted[max(label, 0)] for label in labels[published.brain()]]
    labels[2, 2, 2] = 9
    published.write_volume(path, labels)
    if name == "streams":
        with pytest.raises(LayoutError, match="holds the label 9, which the data manual does not name"):
            NSD(root=root).responses("subj01")
    else:
        assert NSD(root=root, sessions="1").responses("subj01", rois=["MTL:9"]).space.size == 1
        with pytest.raises(UnknownNameError, match=r"\(numbers in MTL: copy MTL\.mgz\.ctab to nsddata/freesurfer/SUBJ"):
            NSD(root=root).responses("subj01", rois=["MTL:ERC"])


def test_known_atlases_of_surfaces_need_no_table(root: Path) -> None:
    (root / "nsddata/freesurfer/subj01/label/streams.mgz.ctab").unlink()
    (root / "nsddata/freesurfer/fsaverage/label/streams.mgz.ctab").unlink()
    found = NSD(root=root, space="nativesurface", sessions="1").responses("subj01", rois=["streams:ventral"])
    assert found.space.size == sum((published.vertex_mask("streams", count) == 5).sum() for count in published.NATIVE)


@pytest.mark.parametrize("space", ["func1pt8mm", "nativesurface"])
def test_targets_have_the_regions_of_the_streams(written: Path, space: str) -> None:
    found = NSD(root=written, space=space, sessions="1").responses("subj01").space
    assert found.column("roi").tolist() == found.column("streams").tolist()


def test_without_streams_targets_have_the_regions_that_are_read(root: Path) -> None:
    (root / "nsddata/ppdata/subj01/func1pt8mm/roi/streams.nii.gz").unlink()
    general = NSD(root=root, sessions="1").responses("subj01").space
    assert set(general.column("roi")) == {"nsdgeneral"}
    dataset = NSD(root=root, sessions="1", region="prf-visualrois")
    visual = dataset.responses("subj01").space
    assert set(visual.column("roi")) > {"prf-visualrois:V1v"}  # Kastner2015 has one too
    one = dataset.responses("subj01", rois=["prf-visualrois:V1v"]).space
    assert one.size == (visual.column("roi") == "prf-visualrois:V1v").sum() > 0
    assert "roi" not in NSD(root=root, sessions="1", region="brain").responses("subj01").space.targets


def test_a_map_among_the_masks(root: Path) -> None:
    published.write_volume(root / "nsddata/ppdata/subj01/func1pt8mm/roi/R2.nii.gz", published.volume_ncsnr())
    with pytest.raises(LayoutError, match=r"R2\.nii\.gz holds numbers that are no labels; move it elsewhere"):
        NSD(root=root).responses("subj01")


def test_a_mask_of_another_shape(root: Path) -> None:
    path = root / "nsddata/ppdata/subj01/func1pt8mm/roi/streams.nii.gz"
    published.write_volume(path, published.mask("streams")[:, :, :-1])
    with pytest.raises(LayoutError, match=r"streams\.nii\.gz has the shape \(6, 7, 4\); wanted \(6, 7, 5\)"):
        NSD(root=root).responses("subj01")


def test_the_shallow_copy_of_mind_eye(tmp_path: Path) -> None:
    """Labels keep their published names without tables."""
    published.write_shallow(tmp_path)
    found = NSD(root=tmp_path, zscore="none").responses("subj01", rois=["FFA-2"])
    mask = published.mask("floc-faces") == 3
    np.testing.assert_allclose(found.values[:750], percent(1)[:, mask], rtol=1e-6)
    glasser = NSD(root=tmp_path, zscore="none", sessions="1").responses("subj01", rois=["HCP_MMP1:MST"])
    np.testing.assert_allclose(glasser.values, percent(1)[:, published.mask("HCP_MMP1") == 2], rtol=1e-6)
    assert NSD(root=tmp_path).stimuli().load("nsd-00013").size == (227, 227)
    assert NSD(root=tmp_path).stimuli().name == "nsd-227"


def test_pictures_are_rows_of_the_file(written: Path) -> None:
    stimuli = NSD(root=written).stimuli()
    assert len(stimuli) == 73_000
    for row in (0, 13, 72_999):
        np.testing.assert_array_equal(np.asarray(stimuli.load(f"nsd-{row:05}")), published.picture(row))
    shared = published.design()["sharedix"][0] - 1
    assert np.flatnonzero(stimuli.table["shared"]).tolist() == shared.tolist()
    assert pickle.loads(pickle.dumps(stimuli.loader))("nsd-00013").size == (425, 425)
    picture, response = NSD(root=written).sample("subj01", 3)
    first = published.design()["shown"][3] - 1
    np.testing.assert_array_equal(np.asarray(picture), published.picture(first))
    assert response.shape == ((published.mask("nsdgeneral") == 1).sum(),)


def test_pictures_may_lie_elsewhere(root: Path, tmp_path: Path) -> None:
    shutil.move(root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5", tmp_path / "nsd_stimuli.hdf5")
    with pytest.raises(
        MissingDataError, match=r"the pictures of nsd were not found in .* \(looked for nsddata_stimuli"
    ):
        NSD(root=root).stimuli()
    assert NSD(root=root, stimuli_root=tmp_path).stimuli().load("nsd-00013").size == (425, 425)


def plain_test(name: str, planned: int = 40) -> set[int]:
    """Test pictures (from 1) by counting."""
    found = published.design()
    shared, shown = set(found["sharedix"][0].tolist()), found["shown"]
    if name == "shared982":
        return shared & set(shown[: (planned - 3) * 750].tolist())
    if name == "shared515":
        often = pd.Series(shown[: 30 * 750]).value_counts()
        return {number for number in shared if often.get(number, 0) == 3}
    return shared


@pytest.mark.parametrize("name", ["shared1000", "shared982", "shared515"])
def test_published_splits(written: Path, name: str) -> None:
    wanted = {f"nsd-{number - 1:05}" for number in plain_test(name)}
    samples = NSD(root=written, split=name).responses("subj01").samples
    assert set(samples["split"]) == {"train", "test"}
    assert ((samples["split"] == "test") == samples["stimulus"].isin(wanted)).all()
    design = read_design(written / "nsddata/experiments/nsd/nsd_expdesign.mat")
    assert {number + 1 for number in named_split(name, design, "subj01").tolist()} == plain_test(name)


def test_splits_differ_and_shrink() -> None:
    sizes = [len(plain_test(name)) for name in ("shared1000", "shared982", "shared515")]
    assert 1000 == sizes[0] > sizes[1] > sizes[2] > 0
    assert sizes[1] == 1000 - published.LATE


def test_subjects_with_fewer_sessions(written: Path) -> None:
    design = read_design(written / "nsddata/experiments/nsd/nsd_expdesign.mat")
    assert [len(design.shown(subject)) for subject in NSD.subjects] == [
        750 * count for count in (40, 40, 32, 30, 40, 32, 40, 30)
    ]
    found = published.design()
    own = found["subjectim"][3][found["masterordering"][0] - 1]
    np.testing.assert_array_equal(design.shown("subj04") + 1, own[: 30 * 750])
    early = set(found["sharedix"][0].tolist()) & set(own[: 27 * 750].tolist())  # their last three were held back too
    assert {number + 1 for number in named_split("shared982", design, "subj04").tolist()} == early
    np.testing.assert_array_equal(
        named_split("shared515", design, "subj04"), named_split("shared515", design, "subj01")
    )


def test_ones_own_split_leaves_out_what_it_does_not_name(written: Path, tmp_path: Path) -> None:
    everything = NSD(root=written).responses("subj01").samples["stimulus"].unique()
    table = pd.DataFrame({"stimulus": everything[:300], "split": ["train", "val", "test"] * 100})
    table.to_csv(tmp_path / "mine.csv", index=False)
    whole = NSD(root=written, zscore="none").responses("subj01")
    for split in (str(tmp_path / "mine.csv"), dict(zip(table["stimulus"], table["split"], strict=True))):
        found = NSD(root=written, zscore="none", split=split).responses("subj01")
        rows = whole.samples["stimulus"].isin(everything[:300]).to_numpy()
        np.testing.assert_array_equal(found.values, whole.values[rows])
        assert (
            found.samples["split"].tolist()
            == found.samples["stimulus"].map(table.set_index("stimulus")["split"]).tolist()
        )


@pytest.mark.parametrize(
    ("split", "error", "said"),
    [
        ({"nsd-73000": "train"}, DataError, "1 pictures that are not known, such as 'nsd-73000'; wanted nsd-00000 to"),
        ({"nsd-00001": "dev"}, DataError, "puts a picture into 'dev'; wanted train, val, test"),
        ("shared", SettingsError, r"split is 'shared'.*wanted one of shared1000, shared982, shared515, or a CSV"),
        ("nowhere.csv", LayoutError, r"nowhere\.csv cannot be read"),
        ("published", SettingsError, "'published' is that of betas 'whole-brain'"),
        (5, SettingsError, r"split is 5; wanted one of shared1000"),
    ],
)
def test_splits_that_cannot_be(written: Path, split: object, error: type[FusiformError], said: str) -> None:
    with pytest.raises(error, match=said):
        NSD(root=written, split=split).responses("subj01")  # type: ignore[arg-type]


def test_a_picture_in_two_splits(written: Path, tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text("stimulus,split\nnsd-00013,train\nnsd-00013,train\nnsd-00013,test\n")
    with pytest.raises(DataError, match=r"split\.csv puts 'nsd-00013' into two splits; wanted each picture in one"):
        NSD(root=written, split=path).responses("subj01")


def test_a_split_without_training_trials_cannot_standardise_by_them(written: Path) -> None:
    seen = NSD(root=written).responses("subj01").samples["stimulus"].unique()
    split = dict.fromkeys(seen, "test")
    with pytest.raises(SettingsError, match=r"session 1 has no training trial .*zscore='session-all'"):
        NSD(root=written, split=split).responses("subj01")
    assert len(NSD(root=written, split=split, zscore="session-all").responses("subj01")) == 1500


def test_a_missing_session(root: Path) -> None:
    for path in (root / VOLUME).glob("betas_session01*"):
        path.unlink()
    with pytest.raises(LayoutError, match=r"session 1 of subj01 is missing .*use those that are: sessions=\[2\]"):
        NSD(root=root).responses("subj01")
    assert set(NSD(root=root, sessions=[2]).responses("subj01").samples["session"]) == {2}
    with pytest.raises(LayoutError, match=r"session 7 of subj01 is missing .*1 of 2 are"):
        NSD(root=root, sessions="2,7").responses("subj01")
    with pytest.raises(MissingDataError, match="holds no session of subj02"):
        NSD(root=root).responses("subj02")


@pytest.mark.parametrize("sessions", ["1-", "one", [0, 1], "39-41", []])
def test_sessions_that_cannot_be(written: Path, sessions: object) -> None:
    with pytest.raises(SettingsError, match="sessions is"):
        NSD(root=written, sessions=sessions).responses("subj01")  # type: ignore[arg-type]


def test_one_hemisphere_is_not_enough(root: Path) -> None:
    (root / AVERAGE / "rh.betas_session02.mgh").unlink()
    with pytest.raises(LayoutError, match=r"lh\.betas_session02\.mgh is there but not rh\.betas_session02\.mgh"):
        NSD(root=root, space="fsaverage").responses("subj01")


def test_a_mesh_that_is_not_fsaverage(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nsd_targets, "FSAVERAGE", 163_842)
    with pytest.raises(LayoutError, match=r"hemispheres of \(64, 64\) vertices; fsaverage has 163842 each"):
        NSD(root=written, space="fsaverage").responses("subj01")


@pytest.mark.parametrize("name", ["betas_session02.hdf5", "betas_session02.nii.gz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file(root: Path, name: str, share: float) -> None:
    if name.endswith("gz"):
        (root / VOLUME / "betas_session02.hdf5").unlink()
    path = root / VOLUME / name
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(LayoutError, match=rf"{name} cannot be read"):
        NSD(root=root).responses("subj01")


@pytest.mark.parametrize("change", ["shape", "type"])
def test_betas_that_are_not_as_published(root: Path, change: str) -> None:
    values = published.volume_betas(1)
    with h5py.File(root / VOLUME / "betas_session01.hdf5", "w") as file:
        file["betas"] = (
            values.transpose(3, 2, 1, 0)[:-1] if change == "shape" else values.transpose(3, 2, 1, 0).astype("u1")
        )
    said = (
        r"has the shape \(749, 5, 7, 6\); wanted \(750, 5, 7, 6\)" if change == "shape" else "are uint8; wanted int16"
    )
    with pytest.raises(LayoutError, match=said):
        NSD(root=root).responses("subj01")


@pytest.mark.parametrize(
    ("name", "number"), [("subjectim", 73_001), ("masterordering", 0), ("sharedix", -4), ("masterordering", 2.5)]
)
def test_a_picture_out_of_range(root: Path, name: str, number: float) -> None:
    path = root / "nsddata/experiments/nsd/nsd_expdesign.mat"
    content = {key: value.astype(float) for key, value in loadmat(path).items() if not key.startswith("__")}
    content[name][0, 5] = number
    savemat(path, content)
    with pytest.raises(LayoutError, match=f"{name} of .* holds the picture {number}"):
        NSD(root=root).responses("subj01")


def test_damaged_pictures(root: Path) -> None:
    path = root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(LayoutError, match=r"nsd_stimuli\.hdf5 cannot be read"):
        NSD(root=root).stimuli().load("nsd-00000")
    with h5py.File(path, "w") as file:
        file["imgBrick"] = np.zeros((5, 4, 4, 3), np.uint8)
    with pytest.raises(LayoutError, match=r"uint8 \(5, 4, 4, 3\); wanted uint8 \(73000, 425, 425, 3\)"):
        NSD(root=root).stimuli().load("nsd-00000")


def test_betas_in_hdf5_alone_do_not_say_where_they_are(root: Path) -> None:
    shutil.rmtree(root / "nsddata/ppdata/subj01/func1pt8mm")
    for path in (root / VOLUME).glob("*.nii.gz"):
        path.unlink()
    with pytest.raises(LayoutError, match="does not say where its voxels lie; copy brainmask"):
        NSD(root=root).responses("subj01")


def test_prepared_files_are_opened_only_when_trusted(prepared: Path) -> None:
    with pytest.raises(SettingsError, match=r"metadata_sub-01\.npy is a pickle, and .*trust_pickle=True"):
        NSD(root=prepared, space="fsaverage", betas="whole-brain").responses("subj01")
    with pytest.raises(SettingsError, match="lie on fsaverage, not in 'func1pt8mm'"):
        NSD(root=prepared, betas="whole-brain")
    with pytest.raises(MissingDataError, match=r"betas_sub-02\.h5 and metadata_sub-02\.npy were not found"):
        NSD(root=prepared, space="fsaverage", betas="whole-brain", trust_pickle=True).responses("subj02")


def test_even_a_trusted_pickle_runs_nothing(prepared: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    np.save(prepared / "metadata_sub-01.npy", np.array({"img_presentation_order": Trap()}, dtype=object))
    with pytest.raises(
        LayoutError, match=r"metadata_sub-01\.npy cannot be read .*wanted plain data and numpy arrays only"
    ):
        whole_brain(prepared)
    assert not (tmp_path / "sprung").exists()


def whole_brain(root: Path, **settings: object) -> Responses:
    dataset = NSD(root=root, space="fsaverage", betas="whole-brain", trust_pickle=True, **settings)  # type: ignore[arg-type]
    return dataset.responses("subj01")


def test_prepared_files(prepared: Path) -> None:
    found = whole_brain(prepared, zscore="none")
    plain = np.concatenate([published.prepared_betas(0), published.prepared_betas(1)], axis=1)
    np.testing.assert_array_equal(found.values, plain)
    shown = published.design()["shown"][:1500] - 1
    assert found.samples["stimulus"].tolist() == [f"nsd-{number:05}" for number in shown]
    test = np.unique(shown)[::10]
    assert ((found.samples["split"] == "test") == np.isin(shown, test)).all()
    assert set(found.samples["split"]) == {"train", "val", "test"}
    early = found.space.column("early") == "early"
    assert early.tolist() == [label == 1 for label in [*published.vertex_mask("streams", published.FSAVERAGE)] * 2]
    second = whole_brain(prepared, zscore="none", sessions="2", region="ventral")
    np.testing.assert_array_equal(second.values, plain[750:][:, found.space.column("ventral") == "ventral"])


def test_prepared_files_take_the_published_splits_where_the_design_is(prepared: Path) -> None:
    with pytest.raises(MissingDataError, match="the experimental design of nsd"):
        whole_brain(prepared, split="shared1000")
    published.write_design(prepared / "nsd_expdesign.mat")
    found = whole_brain(prepared, split="shared1000")
    wanted = {f"nsd-{number - 1:05}" for number in plain_test("shared1000")}
    assert ((found.samples["split"] == "test") == found.samples["stimulus"].isin(wanted)).all()


def test_truncated_prepared_files(prepared: Path) -> None:
    path = prepared / "betas_sub-01.h5"
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(LayoutError, match=r"betas_sub-01\.h5 cannot be read"):
        whole_brain(prepared)


def test_prepared_pictures_out_of_range(prepared: Path) -> None:
    path = prepared / "metadata_sub-01.npy"
    table = np.load(path, allow_pickle=True).item()
    table["img_presentation_order"] = table["img_presentation_order"] + 72_999
    np.save(path, np.array(table, dtype=object), allow_pickle=True)
    with pytest.raises(LayoutError, match=r"img_presentation_order of .* wanted 0 to 72999"):
        whole_brain(prepared)


def test_prepared_regions_may_be_any_numbers_but_zero(prepared: Path) -> None:
    path = prepared / "metadata_sub-01.npy"
    table = np.load(path, allow_pickle=True).item()
    table["lh_rois"]["early"] = 255 * table["lh_rois"]["early"].astype(np.uint8)
    before = whole_brain(prepared).space
    np.save(path, np.array(table, dtype=object), allow_pickle=True)
    assert list(whole_brain(prepared).space.column("early")) == list(before.column("early"))


def test_settings_are_checked_before_anything_is_read() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown space 'fsaverage7' \(did you mean 'fsaverage'"):
        NSD(space="fsaverage7")
    with pytest.raises(UnknownNameError, match="unknown zscore 'run'"):
        NSD(zscore="run")
    with pytest.raises(UnknownNameError, match=r"unknown betas 'betas_fithr' \(did you mean 'betas_fithrf'"):
        NSD(betas="betas_fithr")
    with pytest.raises(MissingDataError, match="there is no folder"):
        NSD(root="/nowhere").stimuli()


def test_regions_that_hold_nothing(written: Path) -> None:
    with pytest.raises(DataError, match=r"rois are \[\]; wanted a list of one region at least"):
        NSD(root=written).responses("subj01", rois=[])
    with pytest.raises(DataError, match=r"rois are 'streams'; wanted a list"):
        NSD(root=written).responses("subj01", rois="streams")
    with pytest.raises(DataError, match="subj01-func1pt8mm has no target in aTL-faces; ask for other regions"):
        NSD(root=written).responses("subj01", rois=["aTL-faces"])


LARGE = 2048  # vertices of a hemisphere, and half the voxels of a volume
FORMATS = {
    "fsaverage in MGH": {"space": "fsaverage"},
    "fsaverage in HDF5": {"space": "fsaverage"},
    "native surfaces": {"space": "nativesurface"},
    "native surfaces stored anew": {"space": "nativesurface"},
    "a volume in NIfTI": {"space": "func1pt8mm"},
    "a volume in HDF5": {"space": "func1pt8mm"},
    "a volume stored anew": {"space": "func1pt8mm"},
    "whole-brain": {"space": "fsaverage", "betas": "whole-brain", "trust_pickle": True},
}


def write_large(root: Path, kind: str) -> None:
    """One session of 4096 targets in one format, and a region of one of them."""
    published.write_design(root / "nsd_expdesign.mat")
    if kind == "whole-brain":
        write_large_prepared(root)
    elif FORMATS[kind]["space"] == "func1pt8mm":
        write_large_volume(root, kind)
    else:
        write_large_surfaces(root, kind, str(FORMATS[kind]["space"]))


def write_large_volume(root: Path, kind: str) -> None:
    shape, place = (16, 16, 16), root / "nsddata/ppdata/subj01/func1pt8mm"
    published.write_volume(place / "brainmask.nii.gz", np.ones(shape, np.int16))
    published.write_volume(place / "roi/few.nii.gz", (np.arange(4096) == 7).reshape(shape).astype(np.int16))
    values, folder = large(750, *shape).astype(np.int16), root / VOLUME
    if kind == "a volume in NIfTI":
        published.write_volume(folder / "betas_session01.nii.gz", values.T)
    else:
        write_large_hdf5(folder / "betas_session01.hdf5", values, (50, 7, 7, 7) if "anew" in kind else (750, 1, 1, 1))


def write_large_surfaces(root: Path, kind: str, space: str) -> None:
    brain = "fsaverage" if space == "fsaverage" else "subj01"
    labels = root / "nsddata/freesurfer" / brain / "label"
    published.write_table(labels / "few.mgz.ctab", ["Unknown", "few"])
    published.write_hemispheres(labels, "few.mgz", [(np.arange(LARGE) == at).astype(np.int32) for at in (7, -1)])
    folder = root / "nsddata_betas/ppdata/subj01" / space / published.BETAS
    if kind == "fsaverage in MGH":
        published.write_hemispheres(folder, "betas_session01.mgh", [large(LARGE, 750) for _ in range(2)])
        return
    for side in ("lh", "rh"):
        values = large(750, LARGE) if space == "fsaverage" else large(750, LARGE).astype(np.int16)
        write_large_hdf5(folder / f"{side}.betas_session01.hdf5", values, (50, 7) if "anew" in kind else (750, 1))


def write_large_hdf5(path: Path, values: np.ndarray, pieces: tuple[int, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("betas", data=values, chunks=pieces)


def write_large_prepared(root: Path) -> None:
    shown = published.design()["shown"][:750] - 1
    table: dict[str, Any] = {"img_presentation_order": shown, "val_img_num": [], "test_img_num": []}
    table |= {"train_img_num": np.unique(shown), "lh_rois": {"few": np.arange(LARGE) == 7}, "rh_rois": {}}
    table |= {f"{side}_ncsnr": np.ones(LARGE, np.float32) for side in ("lh", "rh")}
    np.save(root / "metadata_sub-01.npy", np.array(table, dtype=object), allow_pickle=True)
    with h5py.File(root / "betas_sub-01.h5", "w") as file:
        for side in ("lh", "rh"):
            file[f"{side}_betas"] = large(750, LARGE)


def large(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-900, 900, shape).astype(np.float32)


def peak_of_reading(dataset: NSD, region: str) -> tuple[int, int]:
    """Bytes that Python and numpy held at most, and those of the responses."""
    tracemalloc.start()
    found = dataset.responses("subj01", rois=[region])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak, found.values.nbytes  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", FORMATS)
def test_reading_holds_little_besides_its_result(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of the result at most, in all formats, where the blocks of a file are a fiftieth of it.

    What is held for the tables of trials, whatever the number of targets, is that of reading few of them.
    """
    monkeypatch.setattr(nsd_targets, "FSAVERAGE", LARGE)
    for module in ("volume", "surface", "prepared"):
        monkeypatch.setattr(f"fusiform.datasets.nsd.{module}.BYTES", 1 << 17)
    monkeypatch.setattr("fusiform.datasets.nsd.betas.VALUES", 1 << 14)
    write_large(tmp_path, kind)
    dataset = NSD(root=tmp_path, **FORMATS[kind])  # type: ignore[arg-type]
    dataset.responses("subj01", rois=["few"])  # imports
    (held, few), (peak, whole) = (peak_of_reading(dataset, region) for region in ("few", "brain"))
    assert (few, whole) == (750 * 4, 750 * 2 * LARGE * 4)
    assert peak - held < 1.2 * whole
