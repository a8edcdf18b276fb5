"""Alice: the published layout in miniature, damaged copies of it, and known facts of the real files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fusiform.data import Features, Recording
from fusiform.data.timing import hrf, row_at, row_times
from fusiform.datasets.alice import ROIS, SOUND_POWER, TEXT_GRID, VOLUMES, Alice
from fusiform.datasets.base import locate
from fusiform.errors import DataError, LayoutError, UnknownNameError
from fusiform.scores import leave_one_out_correlation, pearson

WORDS = [("sp", 12.0, 20.0), ("Alice", 20.0, 20.5), ("was", 20.5, 21.0), ("", 21.0, 22.0), ("and ", 22.0, 23.25)]


def text_grid(intervals: list[tuple[str, float, float]]) -> str:
    head = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 12", "xmax = 744", "tiers? <exists>"]
    head += ["size = 1", "item []:", "    item [1]:", '        class = "IntervalTier"', '        name = "word"']
    head += ["        xmin = 12", "        xmax = 744", f"        intervals: size = {len(intervals)}"]
    for number, (text, start, stop) in enumerate(intervals, 1):
        head += [f"        intervals [{number}]:", f"            xmin = {start}", f"            xmax = {stop}"]
        head += [f'            text = "{text}"']
    return "\n".join(head) + "\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Subject s22 at both radii, the sound and five intervals, as published."""
    monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path))
    random, root = np.random.default_rng(0), tmp_path / "alice"
    for file in (TEXT_GRID, "alice_data_shared/6mm/x", "alice_data_shared/10mm/x"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
    for sphere in ("6mm", "10mm"):
        path = root / f"alice_data_shared/{sphere}/s22-timecourses.txt"
        np.savetxt(path, 100 + random.normal(size=(VOLUMES, len(ROIS))), fmt="%16.7e")
    np.savetxt(root / SOUND_POWER, random.normal(size=VOLUMES))
    (root / TEXT_GRID).write_text(text_grid(WORDS))
    return root


def test_the_recording_has_words_without_silences_and_the_sound(folder: Path) -> None:
    stimuli = Alice().stimuli()
    assert (stimuli.ids, stimuli.kind) == (["chapter1"], "recording")
    recording = stimuli.load("chapter1")
    assert isinstance(recording, Recording)
    assert recording.duration == 744
    assert recording.words.to_dict("list") == {
        "text": ["Alice", "was", "and"],
        "start": [20.0, 20.5, 22.0],
        "stop": [20.5, 21.0, 23.25],
    }
    track = recording.tracks["sound power"]
    assert (track.rate, track.start, track.hemodynamic) == (0.5, 20.0, True)
    np.testing.assert_allclose(track.values, np.loadtxt(folder / SOUND_POWER, ndmin=2).reshape(-1, 1), rtol=1e-6)


@pytest.mark.parametrize("sphere", ["6mm", "10mm"])
def test_responses_are_the_file_with_a_clock(folder: Path, sphere: str) -> None:
    responses = Alice(sphere=sphere).responses("s22")  # type: ignore[arg-type]
    written = np.loadtxt(folder / f"alice_data_shared/{sphere}/s22-timecourses.txt")
    np.testing.assert_array_equal(responses.values, written)
    assert responses.space.names == list(ROIS)
    assert responses.timed
    np.testing.assert_array_equal(responses.samples["time"], 20 + 2 * np.arange(VOLUMES))
    assert responses.samples[["stimulus", "subject"]].drop_duplicates().values.tolist() == [["chapter1", "s22"]]


def test_regions_come_in_the_order_asked_for(folder: Path) -> None:
    alice = Alice()
    chosen = alice.responses("s22", rois=["LIFG", "LATL"])
    assert chosen.space.names == ["LIFG", "LATL"]
    np.testing.assert_array_equal(chosen.values, alice.responses("s22").values[:, [5, 0]])


def test_unknown_names_suggest_the_nearest(folder: Path) -> None:
    alice = Alice()
    with pytest.raises(UnknownNameError, match=r"unknown region 'LPTLs'.*did you mean 'LPTL'"):
        alice.responses("s22", rois=["LPTLs"])
    with pytest.raises(UnknownNameError, match="unknown subject 's33'"):
        alice.responses("s33")
    with pytest.raises(UnknownNameError, match="unknown part 'film'"):
        alice.stimuli("film")
    with pytest.raises(UnknownNameError, match=r"unknown sphere '6 mm'.*did you mean '6mm'"):
        Alice(sphere="6 mm")  # type: ignore[arg-type]


def test_a_missing_subject_is_named(folder: Path) -> None:
    with pytest.raises(LayoutError, match=r"alice_data_shared/6mm/s18-timecourses\.txt.*fusiform fetch alice"):
        Alice().responses("s18")


def test_damaged_responses(folder: Path) -> None:
    path = folder / "alice_data_shared/6mm/s22-timecourses.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:100]))
    with pytest.raises(LayoutError, match=r"s22-timecourses\.txt has 100 lines; wanted 362 lines of 6 numbers"):
        Alice().responses("s22")
    path.write_text("\n".join([*lines[:-1], " ".join(["nan", *lines[-1].split()[1:]])]))
    with pytest.raises(DataError, match=r"s22-timecourses\.txt holds 1 NaN .* at \[361, 0\]"):
        Alice().responses("s22")


@pytest.mark.parametrize("lines", [0, 3, 14, 20, 22, 30])
def test_a_truncated_text_grid_is_named_wherever_it_ends(folder: Path, lines: int) -> None:
    path = folder / TEXT_GRID
    path.write_text("\n".join(path.read_text().splitlines()[:lines]))
    with pytest.raises(LayoutError, match=r"TextGrid cannot be read .* get the file again, with 'fusiform fetch'"):
        Alice().stimuli().load("chapter1")


@pytest.mark.data
def test_the_real_story_has_the_words_published() -> None:
    words = Alice().stimuli().load("chapter1").words
    assert len(words) == 2127
    assert words["text"].iloc[[0, 1, -1]].tolist() == ["Alice", "was", "cake"]
    assert words["start"].is_monotonic_increasing
    assert (words["stop"] > words["start"]).all()
    assert not words["text"].isin(["", "sp"]).any()


@pytest.mark.data
def test_words_are_on_the_clock_of_the_volumes() -> None:
    """The published word rate is our words' onsets through the HRF, read at 20 s + 2 i: another start fits worse."""
    words, rate = Alice().stimuli().load("chapter1").words, 20.0
    impulses = np.bincount(row_at(words["start"], rate), minlength=int(800 * rate)).astype(float)
    smooth = np.convolve(impulses, hrf(rate))
    path = locate("alice") / "alice_data_shared/s18-rate.txt"
    published = np.loadtxt(path)[:, None]
    fit = {
        start: pearson(published, smooth[row_at(row_times(VOLUMES, 0.5, start), rate)][:, None])[0]
        for start in np.arange(16, 24.5, 0.5)
    }
    assert max(fit, key=lambda start: fit[start]) == 20
    assert fit[20] > 0.985


@pytest.mark.data
def test_the_sound_was_the_same_for_all() -> None:
    folder = locate("alice") / "alice_data_shared"
    sounds = np.column_stack([np.loadtxt(folder / f"{subject}-sndpwr.txt") for subject in Alice.subjects])
    assert pearson(sounds, np.repeat(sounds[:, :1], sounds.shape[1], axis=1)).min() > 0.99999


@pytest.mark.data
def test_people_agree_about_the_story() -> None:
    """Leave-one-out inter-subject correlation: highest in LPTL, about .39."""
    alice = Alice()
    values = np.stack([alice.responses(subject).zscore(None).values for subject in alice.subjects])
    assert values.shape == (27, 362, 6)
    agreement = dict(zip(ROIS, leave_one_out_correlation(values).mean(0), strict=True))
    assert max(agreement, key=lambda roi: agreement[roi]) == "LPTL"
    assert agreement["LPTL"] == pytest.approx(0.39, abs=0.02)
    assert min(agreement.values()) > 0.1


@pytest.mark.data
def test_word_rate_drives_the_group_mean() -> None:
    recording, alice = Alice().stimuli().load("chapter1"), Alice()
    impulses = np.bincount(row_at(recording.words["start"], 2.0), minlength=1500)[:, None].astype(np.float32)
    index = {"stimulus": ["chapter1"] * 1500, "start": row_times(1500, 2.0)}
    rate = Features(pd.DataFrame(index), {"rate": impulses}, 2.0).hemodynamic().arrays["rate"]
    mean = np.mean([alice.responses(subject).zscore(None).values for subject in alice.subjects], axis=0)
    at = row_at(alice.responses("s18").samples["time"], 2.0)
    assert pearson(mean, np.repeat(rate[at], 6, axis=1)).min() > 0.2
