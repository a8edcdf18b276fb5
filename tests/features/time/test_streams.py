"""Which stimuli a backbone reads, and recordings that it cuts into pieces itself."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from fusiform.data import ArraySound, ArrayVideo, Recording, Sound, Stimuli, Track, Video
from fusiform.errors import DataError, UnknownNameError
from fusiform.features.baselines.image import Pixels
from fusiform.features.extract import extract
from fusiform.features.forward import Forward
from fusiform.features.store import FeatureStore
from fusiform.features.time.streams import sound_of, video_of
from fusiform.features.time.windows import Piece
from fusiform.features.tokens import Tokens, load_backbone


class Seconds:
    """Rows that tell their own number, in pieces of three."""

    name, revision, kind, rate = "seconds", "1", "audio", 1.0

    def __init__(self, breaks: str = "") -> None:
        self.breaks = breaks
        self.made: list[tuple[int, str]] = []

    def preprocess(self, number: float) -> Tensor:
        return torch.tensor([number])

    def get_tokens(self, x: Tensor) -> Tokens:
        return Tokens({"number": x[:, :, None]}, {"double": 2 * x})

    def pieces(self, recording: Recording, batch_size: int) -> Iterator[Piece]:
        numbers = torch.arange(recording.duration)
        for part in numbers.split(3):
            if self.breaks and part[0] >= 3:
                raise ValueError(self.breaks)
            self.made.append((int(part[0]), threading.current_thread().name))
            x = torch.stack([self.preprocess(float(number)) for number in part])
            yield Piece(x, lambda tokens: Tokens({"number": tokens.local["number"][:, :, 0]}, dict(tokens.global_)))


def stories(**seconds: float) -> Stimuli:
    return Stimuli("stories", "recording", pd.DataFrame(index=list(seconds)), lambda id: Recording(seconds[id]))


class TestPieces:
    def test_follow_one_another(self) -> None:
        features = extract(stories(a=7.0, b=2.0), Seconds())
        assert features.arrays["number"].shape == (9, 1)
        assert np.asarray(features.arrays["number"])[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1]
        assert np.asarray(features.arrays["double"])[:, 0].tolist() == [0, 2, 4, 6, 8, 10, 12, 0, 2]
        assert features.index["stimulus"].tolist() == ["a"] * 7 + ["b"] * 2
        assert features.index["start"].tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1]

    @pytest.mark.parametrize("ahead", [True, False])
    def test_the_next_is_made_in_a_thread_where_the_network_leaves_the_processor_free(
        self, ahead: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Forward, "works_ahead", ahead)  # as on a GPU
        backbone = Seconds()
        extract(stories(a=7.0), backbone)
        assert [number for number, _ in backbone.made] == [0, 3, 6]
        assert {thread != threading.main_thread().name for _, thread in backbone.made} == {ahead}

    def test_one_that_breaks_is_named_or_skipped(self, tmp_path: Any) -> None:
        with pytest.raises(DataError, match=r"stimulus 'a' of 'stories' could not be loaded \(ValueError: torn\)"):
            extract(stories(a=7.0, b=2.0), Seconds("torn"))
        with pytest.warns(UserWarning, match=r"1 of 2 stimuli were skipped: 'a' \(ValueError: torn\)"):
            found = extract(stories(a=7.0, b=2.0), Seconds("torn"), FeatureStore(tmp_path), on_error="skip")
        assert found.index["stimulus"].tolist() == ["b"] * 2
        assert np.asarray(found.arrays["number"])[:, 0].tolist() == [0, 1]

    def test_layers_and_reductions_as_ever(self) -> None:
        found = extract(stories(a=4.0), Seconds(), layers=["double"], reduce="mean").arrays
        assert list(found) == ["double"]
        with pytest.raises(UnknownNameError, match=r"no layer 'dubble' \(did you mean 'double'"):
            extract(stories(a=4.0), Seconds(), layers=["dubble"])


class TestKinds:
    PICTURES = Stimuli("toys", "image", pd.DataFrame(index=["a"]), lambda id: Image.new("RGB", (4, 4)))

    def test_a_prompt_makes_images_enough(self) -> None:
        backbone: Any = Pixels(4)
        backbone.kind = "image+text"
        assert len(extract(self.PICTURES, backbone)) == 1

    @pytest.mark.parametrize("kind", ["video", "audio", "text"])
    def test_recordings_bring_what_has_a_rate(self, kind: str) -> None:
        backbone: Any = Seconds()
        backbone.kind = kind
        assert len(extract(stories(a=2.0), backbone)) == 2
        del backbone.made
        backbone.rate = None
        with pytest.raises(DataError, match=f"reads stimuli of kind '{kind}', and 'stories' are of kind 'recording'"):
            extract(stories(a=2.0), backbone)

    def test_what_does_not_fit_says_so(self) -> None:
        with pytest.raises(
            DataError, match=r"of kind 'image', and 'stories' are of kind 'recording'; framewise:pixels"
        ):
            extract(stories(a=2.0), Pixels(4))
        with pytest.raises(DataError, match=r"of kind 'audio' or 'recording', and 'toys' are of kind 'image'; choose"):
            extract(self.PICTURES, Seconds())  # type: ignore[arg-type]


class TestStreams:
    VIDEO, SOUND = ArrayVideo(np.zeros((2, 2, 2, 3), np.uint8), 1.0), ArraySound(np.zeros(9), 3)

    def test_are_found(self) -> None:
        assert video_of(Recording(2.0, video=self.VIDEO)) is self.VIDEO
        assert sound_of(Recording(3.0, sound=self.SOUND)) is self.SOUND
        assert video_of(self.VIDEO) is self.VIDEO  # a clip alone

    def test_end_with_the_recording(self) -> None:
        video = ArrayVideo(np.arange(40, dtype=np.uint8).repeat(3).reshape(40, 1, 1, 3), 2.0)
        sound = ArraySound(np.arange(600) / 1000, 30)
        recording = Recording(7.25, video=video, sound=sound)
        seen, heard = video_of(recording), sound_of(recording)
        assert (seen.duration, seen.rate, seen.size) == (7.25, 2.0, (1, 1))
        assert seen.frames([0.6, 7.2, 7.25, 19.0])[:, 0, 0, 0].tolist() == [1, 14, 14, 14]
        assert (heard.duration, heard.rate) == (7.25, 30)
        np.testing.assert_array_equal(heard.samples(7, 20), sound.samples(7, 7.25))
        np.testing.assert_array_equal(heard.samples(9, 20), [])
        assert isinstance(seen, Video)
        assert isinstance(heard, Sound)

    def test_last_until_the_recording_ends(self) -> None:
        video = ArrayVideo(np.arange(4, dtype=np.uint8).repeat(3).reshape(4, 1, 1, 3), 2.0)
        sound = ArraySound(np.arange(1, 61) / 100, 30)
        recording = Recording(3.5, video=video, sound=sound)
        seen, heard = video_of(recording), sound_of(recording)
        assert (seen.duration, heard.duration) == (3.5, 3.5)
        assert seen.frames([1.4, 1.9, 2.1, 3.4])[:, 0, 0, 0].tolist() == [2, 3, 3, 3]
        np.testing.assert_array_equal(heard.samples(1.5, 9), np.r_[sound.samples(1.5, 2), np.zeros(45, np.float32)])
        np.testing.assert_array_equal(heard.samples(2.5, 3), np.zeros(15))

    @pytest.mark.parametrize("backbone", ["framewise:pixels", "motion-energy", "log-mel"])
    def test_all_of_a_recording_have_the_same_rows(self, backbone: str) -> None:
        video = ArrayVideo(np.zeros((56, 4, 4, 3), np.uint8), 8.0)  # seven seconds
        recording = Recording(10.0, video=video, sound=ArraySound(np.zeros(16000 * 8), 16000))
        films = Stimuli("films", "recording", pd.DataFrame(index=["a"]), lambda id: recording)
        assert len(extract(films, load_backbone(backbone, rate=1 / 1.49), reduce="mean")) == 7

    def test_what_is_missing_is_said(self) -> None:
        tracks = {"video": Track(np.zeros((2, 1), np.float32), 1.0)}
        with pytest.raises(DataError, match=r"has no video, which this backbone reads; it has: the track 'video'$"):
            video_of(Recording(2.0, tracks))
        words = pd.DataFrame({"text": ["a"], "start": [0.0], "stop": [0.1]})
        with pytest.raises(DataError, match="has no sound, which this backbone reads; it has: video, words"):
            sound_of(Recording(2.0, video=self.VIDEO, words=words))
        with pytest.raises(DataError, match="has no video, which this backbone reads; it has: nothing"):
            video_of(Recording(2.0))
        with pytest.raises(DataError, match=r"a stimulus is a SimpleNamespace; wanted a Recording, .* frames\(times\)"):
            video_of(SimpleNamespace())
