"""One pass over stimuli: batches, order, layers, reductions, errors."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from fusiform.data import Features, Kind, Recording, Stimuli
from fusiform.errors import DataError, SettingsError, UnknownNameError
from fusiform.features.baselines.image import Pixels
from fusiform.features.baselines.language import Words
from fusiform.features.extract import extract
from fusiform.features.forward import Forward
from fusiform.features.time.windows import Piece
from fusiform.features.tokens import Backbone, Tokens

Pictures = Callable[[int], Stimuli]


def same(left: Features, right: Features, atol: float = 1e-6) -> None:
    pd.testing.assert_frame_equal(left.index, right.index)
    assert list(left.arrays) == list(right.arrays)
    for layer, values in left.arrays.items():
        np.testing.assert_allclose(np.asarray(values), np.asarray(right.arrays[layer]), atol=atol)


class TestBatches:
    @pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
    def test_the_batch_size_changes_nothing(self, backbone: Backbone, pictures: Pictures, batch_size: int) -> None:
        same(extract(pictures(7), backbone, batch_size=batch_size), extract(pictures(7), backbone, batch_size=2))

    def test_nor_does_the_order(self, backbone: Backbone, pictures: Pictures) -> None:
        order = ["im4", "im0", "im2", "im1", "im3"]
        forth, back = extract(pictures(5), backbone), extract(pictures(5).select(order), backbone, batch_size=2)
        assert back.index["stimulus"].tolist() == order
        for layer, values in back.arrays.items():
            np.testing.assert_allclose(values, np.asarray(forth.arrays[layer])[[4, 0, 2, 1, 3]], atol=1e-6)

    def test_every_stimulus_goes_through_once(self, backbone: Backbone, pictures: Pictures) -> None:
        loaded: list[str] = []
        stimuli = pictures(7)
        counted = Stimuli("toys", "image", stimuli.table, lambda id: loaded.append(id) or stimuli.loader(id))
        extract(counted, backbone, batch_size=3)
        assert sorted(loaded) == stimuli.ids

    def test_progress_counts_stimuli(self, pictures: Pictures, capsys: pytest.CaptureFixture[str]) -> None:
        extract(pictures(7), Pixels(4), batch_size=3, progress=True)
        shown = capsys.readouterr().err
        assert "extract pixels: 100%" in shown
        assert "7/7" in shown
        assert " images/s" in shown
        extract(pictures(2), Pixels(4))
        assert not capsys.readouterr().err


class TestLayers:
    def test_names_and_shapes(self, backbone: Backbone, pictures: Pictures) -> None:
        shapes = {layer: array.shape for layer, array in extract(pictures(3), backbone).arrays.items()}
        assert shapes == {"0": (3, 4, 5, 5), "1": (3, 5, 3, 3), "0/global": (3, 4), "1/global": (3, 5)}

    def test_some_of_them(self, backbone: Backbone, pictures: Pictures) -> None:
        assert list(extract(pictures(3), backbone, layers=["1/global", "0"]).arrays) == ["1/global", "0"]
        with pytest.raises(UnknownNameError, match=r"no layer '1global' \(did you mean '1/global'\?\); it has: 0, 1,"):
            extract(pictures(3), backbone, layers=["1global"])

    def test_reductions(self, backbone: Backbone, pictures: Pictures) -> None:
        whole, mean, cls, pool = (
            extract(pictures(3), backbone, reduce=reduce).arrays for reduce in (None, "mean", "cls", "pool:1x3")
        )
        np.testing.assert_allclose(mean["1"], np.asarray(whole["1"]).mean((2, 3)), atol=1e-6)
        np.testing.assert_allclose(cls["1"], whole["1/global"])
        np.testing.assert_allclose(pool["1"], np.asarray(whole["1"]).mean(2, keepdims=True), atol=1e-6)
        assert list(cls) == ["0", "1"]

    def test_half_precision(self, backbone: Backbone, pictures: Pictures) -> None:
        half, whole = (extract(pictures(3), backbone, dtype=dtype).arrays["0"] for dtype in ("float16", "float32"))
        assert (half.dtype, whole.dtype) == (np.float16, np.float32)
        np.testing.assert_array_equal(half, whole.astype(np.float16))

    def test_nothing_handed_in_is_changed(self, pictures: Pictures) -> None:
        kept: list[Tensor] = []

        class Remember(Pixels):
            def get_tokens(self, x: Tensor) -> Tokens:
                kept.append(x)
                return super().get_tokens(x)

        features = extract(pictures(2), Remember(12), reduce="mean")
        np.asarray(features.arrays["pixels"])[:] = -1
        assert float(kept[0].min()) >= 0


class TestTime:
    def test_recordings_have_rows_in_time(self, stories: Stimuli) -> None:
        features = extract(stories, Words(2.0, None))
        assert features.rate == 2.0
        assert len(features) == 20 + 12
        assert features.index["stimulus"].tolist() == ["long"] * 20 + ["short"] * 12
        np.testing.assert_array_equal(features.index["start"], [*np.arange(20) / 2, *np.arange(12) / 2])
        np.testing.assert_array_equal(features.index["stop"] - features.index["start"], 0.5)

    @pytest.mark.parametrize(
        ("tokens", "message"),
        [
            (Tokens({"a": torch.ones(1, 3)}, {}), r"local\['a'\] of 'odd' has the shape \(1, 3\); wanted \[1, C, T"),
            (Tokens({"a": torch.ones(1, 3, 4), "b": torch.ones(1, 3, 5)}, {}), "one T for all"),
            (Tokens({"a": torch.ones(1, 3, 4)}, {"b": torch.ones(1, 3)}), "these have no time"),
        ],
    )
    def test_tokens_without_a_time_axis_are_refused(self, stories: Stimuli, tokens: Tokens, message: str) -> None:
        class Odd(Words):
            name = "odd"

            def get_tokens(self, x: Tensor) -> Tokens:
                return tokens

        with pytest.raises(DataError, match=message):
            extract(stories, Odd(2.0, None))

    def test_frames_keep_their_grid(self, stories: Stimuli) -> None:
        class Frames(Words):
            def get_tokens(self, x: Tensor) -> Tokens:
                return Tokens({"frame": torch.arange(6.0)[:, None, None].expand(1, 5, 6, 2, 3)}, {})

        frames = extract(stories.select(["short"]), Frames(1.0, None)).arrays["frame"]
        assert frames.shape == (6, 5, 2, 3)
        np.testing.assert_array_equal(frames[:, 0, 0, 0], np.arange(6))


class Cut:
    """Recordings in pieces of five rows, whose only number is that of the row."""

    name, revision, rate = "cut", "1", 2.0
    kind: Kind = "recording"

    def __init__(self, broken: str | None = None) -> None:
        self.broken = broken

    def preprocess(self, stimulus: Any) -> Tensor:
        raise AssertionError("the pieces are ready")

    def pieces(self, recording: Recording, batch_size: int) -> Iterator[Piece]:
        numbers = torch.arange(round(recording.duration * self.rate), dtype=torch.float32)
        for piece in numbers.split(5):
            if self.broken == f"{recording.duration:g} s" and piece[0] >= 5:
                raise DataError("the film is torn")
            yield Piece(piece[None, None], lambda tokens: Tokens({"row": tokens.local["row"][0].T}, {}))

    def get_tokens(self, x: Tensor) -> Tokens:
        return Tokens({"row": x}, {})


class TestPieces:
    def test_pieces_become_one_recording(self, stories: Stimuli) -> None:
        features = extract(stories, Cut())
        np.testing.assert_array_equal(features.arrays["row"], [[row] for row in (*range(20), *range(12))])
        np.testing.assert_array_equal(features.index["start"], [*np.arange(20) / 2, *np.arange(12) / 2])

    @pytest.mark.parametrize(("broken", "torn", "left"), [("10 s", "long", 12), ("6 s", "short", 20)])
    def test_of_a_recording_that_breaks_off_nothing_is_left(
        self, stories: Stimuli, broken: str, torn: str, left: int
    ) -> None:
        with pytest.raises(DataError, match=f"stimulus '{torn}' .*torn"):
            extract(stories, Cut(broken))
        with pytest.warns(UserWarning, match=f"'{torn}' .DataError: the film is torn"):
            features = extract(stories, Cut(broken), on_error="skip")
        np.testing.assert_array_equal(features.arrays["row"], np.arange(left)[:, None])
        assert torn not in set(features.index["stimulus"])


class TestThreads:
    """Two cores of a busy machine suffice: what is tested is the order of things."""

    @pytest.fixture(autouse=True)
    def _threads(self) -> Iterator[None]:
        before = torch.get_num_threads()
        torch.set_num_threads(3)
        yield
        torch.set_num_threads(before)

    def test_on_a_cpu_nothing_is_loaded_while_the_network_runs(self, pictures: Pictures) -> None:
        running, caught = threading.Event(), list[str]()

        class Slow(Pixels):
            def get_tokens(self, x: Tensor) -> Tokens:
                running.set()
                time.sleep(0.01)
                running.clear()
                return super().get_tokens(x)

        def load(id: str) -> Image.Image:
            caught.extend([id] * running.is_set())
            return pictures(12).loader(id)

        watched = Stimuli("toys", "image", pictures(12).table, load)
        same(extract(watched, Slow(4), batch_size=2), extract(pictures(12), Pixels(4)))
        assert not caught

    def test_pictures_are_loaded_by_several_threads(self, pictures: Pictures) -> None:
        together = threading.Barrier(3)  # broken, and an error, where fewer than three load at once

        def load(id: str) -> Image.Image:
            together.wait(10)
            return pictures(6).loader(id)

        assert len(extract(Stimuli("toys", "image", pictures(6).table, load), Pixels(4), batch_size=3)) == 6

    def test_other_stimuli_are_loaded_by_one(self, stories: Stimuli) -> None:
        by: set[int] = set()
        told = Stimuli(
            "stories", "recording", stories.table, lambda id: by.add(threading.get_ident()) or stories.loader(id)
        )
        extract(told, Words(2.0, None))
        assert by == {threading.get_ident()}

    def test_what_is_made_ahead_for_a_gpu_is_the_same(
        self, pictures: Pictures, stories: Stimuli, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls = [(pictures(7), backbone), (stories, Words(2.0, None)), (stories, Cut())]
        wanted = [extract(stimuli, one, batch_size=2) for stimuli, one in calls]
        monkeypatch.setattr(Forward, "works_ahead", True)
        for (stimuli, one), features in zip(calls, wanted, strict=True):
            same(extract(stimuli, one, batch_size=2), features)
        with pytest.raises(DataError, match="torn"):
            extract(stories, Cut("6 s"))


class TestErrors:
    def test_a_picture_that_will_not_load_is_named(self, pictures: Pictures) -> None:
        def load(id: str) -> Image.Image:
            if id == "im3":
                raise OSError("image file is truncated")
            return pictures(5).loader(id)

        broken = Stimuli("toys", "image", pictures(5).table, load)
        with pytest.raises(DataError, match=r"stimulus 'im3' of 'toys' could not be loaded \(OSError: .*truncated\)"):
            extract(broken, Pixels(4))

    def test_pictures_of_different_sizes(self, pictures: Pictures) -> None:
        def load(id: str) -> Image.Image:
            return pictures(5).loader(id).resize((12, 13 if id == "im3" else 12))

        odd = Stimuli("toys", "image", pictures(5).table, load)
        with pytest.raises(DataError, match=r"'im3' becomes a tensor of shape \(3, 13, 12\), 'im0' one of"):
            extract(odd, Pixels(None))
        with pytest.raises(DataError, match=r"from stimulus 'im3' on, the layers have the shapes .*13"):
            extract(odd, Pixels(None), batch_size=1)

    def test_rows_that_are_not_finite_are_named(self, pictures: Pictures) -> None:
        class Bright(Pixels):
            def get_tokens(self, x: Tensor) -> Tokens:
                return Tokens({"bright": 1e5 * x}, {})

        with pytest.raises(DataError, match=r"'bright' of 'pixels' is not finite for stimulus 'im0'; float16 ends"):
            extract(pictures(2), Bright(4), dtype="float16")
        extract(pictures(2), Bright(4))

    def test_settings_that_cannot_be(self, pictures: Pictures, stories: Stimuli) -> None:
        with pytest.raises(DataError, match="'pixels' reads stimuli of kind 'image', and 'stories' are of kind"):
            extract(stories, Pixels(4))
        with pytest.raises(DataError, match="are none"):
            extract(pictures(0), Pixels(4))
        with pytest.raises(SettingsError, match="unknown dtype 'float8'"):
            extract(pictures(1), Pixels(4), dtype="float8")  # type: ignore[arg-type]
        with pytest.raises(SettingsError, match="batch_size=0"):
            extract(pictures(1), Pixels(4), batch_size=0)
        said = {
            (2, 2): "2/2, as shards count from 0; give one of 0/2 to 1/2",
            (1, 1): "give one of 0/1, which",
            (0, 0): "0/1",
        }
        for shard, known in said.items():
            with pytest.raises(SettingsError, match=f"there is no shard .*{known}"):
                extract(pictures(1), Pixels(4), shard=shard)
        with pytest.raises(SettingsError, match="needs a store"):
            extract(pictures(1), Pixels(4), shard=(0, 2))

    def test_a_device_that_is_not_there(self, backbone: Backbone, pictures: Pictures) -> None:
        with pytest.raises(SettingsError, match="cannot use device='tpu'"):
            extract(pictures(1), backbone, device="tpu")
