"""The layout of the Natural Scenes Dataset in miniature: subject 1, two of 40 sessions, few voxels and vertices.

From the data manual of naturalscenesdataset.org: folders and names; betas as int16 of 300 times the percent, zero in
all trials of a session where nothing was measured, in NIfTI [X, Y, Z, trials] and in HDF5 whose axes MATLAB wrote (so
Python sees them reversed, with all trials of a voxel in one piece), as float on fsaverage (MGH [vertices, 1, 1,
trials], NaN where data are missing); masks with -1 outside the cortex and 0 where nothing is labelled, names in
`NAME.mgz.ctab`; indices of the design from 1. What is small is the volume, the meshes, the number of sessions and of
pictures that are not black.
"""

from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
from nibabel.freesurfer.mghformat import MGHImage
from numpy.typing import NDArray
from scipy.io import savemat

SUBJECT = "subj01"
SESSIONS, TRIALS = (1, 2), 750
SHAPE = (6, 7, 5)
AFFINE = np.array([[-1.8, 0, 0, 90], [0, 1.8, 0, -126], [0, 0, 1.8, -72], [0, 0, 0, 1.0]])
FSAVERAGE = 64  # 163,842 in truth
NATIVE = (70, 66)
BETAS = "betas_fithrf_GLMdenoise_RR"
OTHERS = ("betas_fithrf", "betas_assumehrf")  # of session 1 only
FINE, FINE_AFFINE = (7, 6, 8), np.diag([1.0, 1.0, 1.0, 1.0])  # func1mm, of session 1 only
CLASSES = {
    "nsdgeneral": ["Unknown", "nsdgeneral"],
    "prf-visualrois": ["Unknown", "V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"],
    "floc-faces": ["Unknown", "OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"],
    "streams": ["Unknown", "early", "midventral", "midlateral", "midparietal", "ventral", "lateral", "parietal"],
    "Kastner2015": ["Unknown", "V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4", "VO1", "VO2", "PHC1", "PHC2"],
    "HCP_MMP1": ["Unknown", "V1", "MST", "V6", "V2"],
}
LATE = 18  # shared pictures that are only shown in the three last of 40 sessions
SATURATED = ((1, 2, 2), 5)  # the voxel and trial of session 2 that is at the end of the range; it is outside nsdgeneral


def write(folder: Path) -> None:
    """Write the data set into `folder`, which becomes its root."""
    write_design(folder / "nsddata/experiments/nsd/nsd_expdesign.mat")
    write_pictures(folder / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5")
    place = folder / "nsddata/ppdata" / SUBJECT / "func1pt8mm"
    labels = folder / "nsddata/freesurfer" / SUBJECT / "label"
    write_volume(place / "brainmask.nii.gz", brain().astype(np.int16))
    for name, classes in CLASSES.items():
        for side in ("", "lh.", "rh."):
            write_volume(place / "roi" / f"{side}{name}.nii.gz", mask(name))
        write_table(labels / f"{name}.mgz.ctab", classes)
        write_hemispheres(labels, f"{name}.mgz", [vertex_mask(name, count) for count in NATIVE])
    for name in ("nsdgeneral", "streams", "Kastner2015", "HCP_MMP1"):
        average = folder / "nsddata/freesurfer/fsaverage/label"
        write_table(average / f"{name}.mgz.ctab", CLASSES[name])
        write_hemispheres(average, f"{name}.mgz", [vertex_mask(name, FSAVERAGE)] * 2)
    betas = folder / "nsddata_betas/ppdata" / SUBJECT
    write_volume(betas / "func1pt8mm" / BETAS / "ncsnr.nii.gz", volume_ncsnr())
    for session in SESSIONS:
        write_session(betas / "func1pt8mm" / BETAS, session, volume_betas(session))
        write_surfaces(betas, session)
    for version in OTHERS:
        write_session(betas / "func1pt8mm" / version, 1, volume_betas(1, version))
    fine = folder / "nsddata/ppdata" / SUBJECT / "func1mm"
    write_volume(fine / "brainmask.nii.gz", brain(FINE).astype(np.int16), FINE_AFFINE)
    for name in ("nsdgeneral", "streams"):
        write_volume(fine / "roi" / f"{name}.nii.gz", mask(name, FINE), FINE_AFFINE)
    values = volume_betas(1, shape=FINE)
    write_volume(betas / "func1mm" / BETAS / "betas_session01.nii.gz", values, FINE_AFFINE)
    for space, counts in (("fsaverage", (FSAVERAGE, FSAVERAGE)), ("nativesurface", NATIVE)):
        maps = [np.linspace(0, 1, count).astype(np.float32) for count in counts]
        write_hemispheres(betas / space / BETAS, "ncsnr.mgh", maps)


def write_shallow(folder: Path) -> None:
    """The copy that the mind_eye system keeps: no tables of labels, no brain mask, small pictures."""
    write_design(folder / "nsd_expdesign.mat")
    write_pictures(folder / "nsddata_stimuli/nsd_stimuli_227.hdf5", side=227)
    for session in SESSIONS:
        path = folder / "nsddata_sessions" / SUBJECT / f"betas_session{session:02}.nii.gz"
        write_volume(path, volume_betas(session))
    write_volume(folder / "nsddata_voxels" / SUBJECT / "nsdgeneral.nii.gz", mask("nsdgeneral"))
    for name in ("prf-visualrois", "floc-faces", "streams", "HCP_MMP1"):
        write_volume(folder / "nsddata_roi" / SUBJECT / f"{name}.nii.gz", mask(name))


def write_prepared(folder: Path) -> None:
    """The files of the whole_brain_encoder system: single trials on fsaverage, and a pickled table."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = design()["shown"][: len(SESSIONS) * TRIALS] - 1  # these count from 0
    seen = np.unique(shown)
    table: dict[str, Any] = {"img_presentation_order": shown}
    table |= {"test_img_num": seen[::10], "val_img_num": seen[1::10]}
    table["train_img_num"] = np.setdiff1d(seen, np.concatenate([seen[::10], seen[1::10]]))
    for side in ("lh", "rh"):
        table[f"{side}_rois"] = {
            name: vertex_mask("streams", FSAVERAGE) == k for k, name in ((1, "early"), (5, "ventral"))
        }
        table[f"{side}_ncsnr"] = np.linspace(0, 1, FSAVERAGE).astype(np.float32)
        table[f"{side}_anterior_vertices"] = np.arange(FSAVERAGE) < 20
        table[f"{side}_posterior_vertices"] = np.arange(FSAVERAGE) >= 20
    np.save(folder / "metadata_sub-01.npy", np.array(table, dtype=object), allow_pickle=True)
    with h5py.File(folder / "betas_sub-01.h5", "w") as file:
        for number, side in enumerate(("lh", "rh")):
            file[f"{side}_betas"] = prepared_betas(number)


def write_design(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    found = design()
    content: dict[str, Any] = {name: found[name] for name in ("masterordering", "subjectim", "sharedix")}
    content |= {"basiccnt": np.zeros((3, 40)), "stimpattern": np.ones((40, 12, 75))}
    savemat(path, content)


def design() -> dict[str, NDArray[np.int64]]:
    """The design, as stored (from 1), and which of the 73,000 pictures subject 1 was shown."""
    random = np.random.default_rng(7)
    pictures = random.permutation(73_000) + 1
    shared = np.sort(pictures[:1000])
    subjectim = np.stack([np.concatenate([shared, own]) for own in pictures[1000:].reshape(8, 9000)])
    place = random.random((3, 10_000))  # in the experiment, of every showing
    place[:, :LATE] = 0.93 + 0.07 * place[:, :LATE]  # within the three last sessions
    order = np.argsort(place.ravel()) % 10_000 + 1
    shown = subjectim[0][order - 1]
    return {"masterordering": order[None], "subjectim": subjectim, "sharedix": shared[None], "shown": shown}


def write_pictures(path: Path, side: int = 425) -> None:
    """`imgBrick` of 73,000 pictures, of which ten are not black."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        brick = file.create_dataset("imgBrick", (73_000, side, side, 3), np.uint8, chunks=(1, side, side, 3))
        for row in (0, 13, 72_999, *(design()["shown"][:7] - 1)):
            brick[row] = picture(row, side)


def picture(row: int, side: int = 425) -> NDArray[np.uint8]:
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[: side // 2, :, 0] = row % 251 + 1  # the upper half is red
    pixels[:, : side // 2, 2] = row % 89 + 1  # the left half is blue
    return pixels


def brain(shape: tuple[int, ...] = SHAPE) -> NDArray[np.bool_]:
    inside = np.zeros(shape, dtype=bool)
    inside[1:-1, 1:-1, 1:-1] = True
    return inside


def mask(name: str, shape: tuple[int, ...] = SHAPE) -> NDArray[np.int16]:
    """-1 outside of the cortex, 0 where nothing is labelled, then the labels; this subject has no aTL-faces."""
    labels = np.full(shape, -1, dtype=np.int16)
    places = np.argwhere(brain(shape))
    cycle = np.arange(len(places)) // 2 % (len(CLASSES[name]) + 1)
    labels[tuple(places.T)] = np.where(cycle < len(CLASSES[name]) - (name == "floc-faces"), cycle, 0)
    return labels


def vertex_mask(name: str, count: int) -> NDArray[np.int32]:
    return (np.arange(count) // 3 % len(CLASSES[name])).astype(np.int32)


def volume_betas(session: int, version: str = BETAS, shape: tuple[int, ...] = SHAPE) -> NDArray[np.int16]:
    """[X, Y, Z, trials] of 300 times the percent signal change, zero outside of the brain."""
    random = np.random.default_rng([1, session, *(version.encode() if version in OTHERS else [])])
    values = random.normal(100 * session, 300, (*shape, TRIALS)).round().clip(-32_768, 32_767).astype(np.int16)
    values[~brain(shape)] = 0
    if session == SESSIONS[1]:
        values[(*SATURATED[0], SATURATED[1])] = 32_767
    return values


def volume_ncsnr() -> NDArray[np.float32]:
    return np.where(brain(), np.linspace(0.1, 1, np.prod(SHAPE)).reshape(SHAPE), np.nan).astype(np.float32)


def surface_betas(space: str, session: int, side: int) -> NDArray[np.floating]:
    """[vertices, trials]; percent on fsaverage, with a vertex that session 2 missed; int16 on native surfaces."""
    count = (FSAVERAGE, FSAVERAGE) if space == "fsaverage" else NATIVE
    values = np.random.default_rng([2, session, side]).normal(0.3, 1.5, (count[side], TRIALS))
    if space == "nativesurface":
        return np.asarray((300 * values).round().astype(np.int16))
    if (session, side) == (SESSIONS[1], 1):
        values[4] = np.nan
    return values.astype(np.float32)


def prepared_betas(side: int) -> NDArray[np.float32]:
    random = np.random.default_rng([3, side])
    return random.normal(size=(len(SESSIONS) * TRIALS, FSAVERAGE)).astype(np.float32)


def write_session(folder: Path, session: int, values: NDArray[np.int16]) -> None:
    """Both formats of a session in the volume."""
    write_volume(folder / f"betas_session{session:02}.nii.gz", values)
    with h5py.File(folder / f"betas_session{session:02}.hdf5", "w") as file:
        reversed_axes = values.transpose(3, 2, 1, 0)
        file.create_dataset("betas", data=reversed_axes, chunks=(TRIALS, 1, 1, 1))


def write_surfaces(betas: Path, session: int) -> None:
    """fsaverage as MGH, native surfaces as HDF5."""
    name = f"betas_session{session:02}"
    sides = [surface_betas("fsaverage", session, side) for side in (0, 1)]
    write_hemispheres(betas / "fsaverage" / BETAS, f"{name}.mgh", sides)
    folder = betas / "nativesurface" / BETAS
    folder.mkdir(parents=True, exist_ok=True)
    for side, short in enumerate(("lh", "rh")):
        with h5py.File(folder / f"{short}.{name}.hdf5", "w") as file:
            values = surface_betas("nativesurface", session, side)
            file.create_dataset("betas", data=values.T, chunks=(TRIALS, 1))


def write_volume(path: Path, values: NDArray[Any], affine: NDArray[np.float64] = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)  # type: ignore[no-untyped-call]


def write_hemispheres(folder: Path, name: str, sides: list[NDArray[Any]]) -> None:
    """MGH files [vertices, 1, 1(, trials)] of the left and the right hemisphere."""
    folder.mkdir(parents=True, exist_ok=True)
    for short, values in zip(("lh", "rh"), sides, strict=True):
        image = MGHImage(values.reshape(len(values), 1, 1, *values.shape[1:]), np.eye(4))  # type: ignore[no-untyped-call]
        image.to_filename(folder / f"{short}.{name}")


def write_table(path: Path, classes: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{label} {name}\n" for label, name in enumerate(classes)))
