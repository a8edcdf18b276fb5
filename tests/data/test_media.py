"""Moving pictures and sounds: arrays, and files that the tests write themselves."""

import pickle
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fusiform.data import ArraySound, ArrayVideo, FileSound, FileVideo, Recording, Sound, Video
from fusiform.errors import DataError, LayoutError, MissingExtraError, SettingsError

av = pytest.importorskip("av")

FRAMES = 40
SIDE = 32


def grey(number: int, side: int = SIDE) -> NDArray[np.uint8]:
    """A frame whose grey level tells its number."""
    return np.full((side, side + 16, 3), 20 + 5 * number, np.uint8)


def number_of(frames: NDArray[np.uint8]) -> list[int]:
    """Of each frame, by its grey level."""
    return np.rint((frames.astype(float).mean((1, 2, 3)) - 20) / 5).astype(int).tolist()  # type: ignore[no-any-return]


def counted(monkeypatch: pytest.MonkeyPatch, kind: type, method: str) -> list[Any]:
    """A list that gets an entry whenever the method is called."""
    calls: list[Any] = []
    real = getattr(kind, method)

    def counting(self: Any, *arguments: Any) -> Any:
        calls.append(arguments)
        return real(self, *arguments)

    monkeypatch.setattr(kind, method, counting)
    return calls


def write_video(path: Path, times: Sequence[Fraction], **options: str) -> Path:
    """Frame i, of grey level 20 + 5 i, at times[i]; a key frame every ten."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width = grey(0).shape[:2]
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 12800)
        stream.codec_context.gop_size = 10
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(grey(number), format="rgb24")
            frame.pts, frame.time_base = int(time * 12800), Fraction(1, 12800)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_sound(path: Path, values: NDArray[np.float32], rate: int, codec: str = "pcm_s16le") -> Path:
    """[channels, n] to a file."""
    with av.open(str(path), "w") as container:
        layout = "stereo" if len(values) == 2 else "mono"
        stream = container.add_stream(codec, rate=rate, layout=layout)
        for start in range(0, values.shape[1], 1000):
            packed = np.rint(values[:, start : start + 1000] * 32768).clip(-32768, 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(packed.T.reshape(1, -1), format="s16", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def even(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames at 25 Hz, a key frame every ten."""
    return write_video(tmp_path_factory.mktemp("video") / "even.mp4", [Fraction(i, 25) for i in range(FRAMES)])


@pytest.fixture
def noise() -> NDArray[np.float32]:
    return (0.5 * np.random.default_rng(0).uniform(-1, 1, (2, 30000))).astype(np.float32)


class TestArrays:
    def test_frames_on_screen(self) -> None:
        video = ArrayVideo(np.stack([grey(number) for number in range(5)]), 2.0)
        assert (video.duration, video.rate, video.size) == (2.5, 2.0, (32, 48))
        assert number_of(video.frames([0.0, 0.49, 0.5, 2.4, 1.0, 99.0, -1.0])) == [0, 0, 1, 4, 2, 4, 0]
        assert video.frames([]).shape == (0, 32, 48, 3)

    def test_boundaries_survive_float_noise_over_ten_hours(self) -> None:
        count = 10 * 3600 * 25
        values = np.zeros((count, 1, 1, 3), np.uint8)
        values[:, 0, 0, :2] = np.stack([np.arange(count) % 256, np.arange(count) // 256 % 256], 1)
        found = ArrayVideo(values, 25.0).frames(np.arange(count) / 25)
        np.testing.assert_array_equal(found, values)

    def test_samples_tile(self) -> None:
        values = np.linspace(-1, 1, 1000)
        sound = ArraySound(values, 300)
        edges = [0.0, 0.1, 0.1, 0.77777, 1.49, 3.0, sound.duration]
        pieces = [sound.samples(start, stop) for start, stop in pairwise(edges)]
        np.testing.assert_array_equal(np.concatenate(pieces), values.astype(np.float32))
        assert len(pieces[1]) == 0
        assert len(sound.samples(-5, 0.1)) == 30
        assert len(sound.samples(3.3, 1e6)) == 10

    @pytest.mark.parametrize(
        ("make", "error", "said"),
        [
            (lambda: ArrayVideo(np.zeros((2, 4, 4), np.uint8), 2.0), DataError, r"shape \(2, 4, 4\).*wanted \[F, H, W"),
            (lambda: ArrayVideo(np.zeros((2, 4, 4, 3), np.float32), 2.0), DataError, "type float32"),
            (lambda: ArrayVideo(np.zeros((0, 4, 4, 3), np.uint8), 2.0), DataError, "F above 0"),
            (lambda: ArrayVideo(np.zeros((2, 4, 4, 3), np.uint8), 0), SettingsError, "rate is 0"),
            (lambda: ArraySound(np.zeros((2, 9), np.float32), 8), DataError, "take the mean of several"),
            (lambda: ArraySound(np.zeros(9, np.int16), 8), DataError, "divide 16-bit integers"),
            (lambda: ArraySound(np.array([0.0, np.nan]), 8), DataError, "finite numbers"),
            (lambda: ArraySound(np.zeros(9), 8).samples(2, 1), DataError, "from 2 to 1 s"),
            (lambda: ArraySound(np.zeros(9), 8).samples(0, np.nan), DataError, "finite times"),
            (lambda: ArrayVideo(np.zeros((2, 4, 4, 3), np.uint8), 2.0).frames([np.nan]), DataError, "finite seconds"),
            (lambda: ArrayVideo(np.zeros((2, 4, 4, 3), np.uint8), 2.0).frames(1.0), DataError, r"shape \(\)"),
        ],
    )
    def test_what_is_refused(self, make: Callable[[], Any], error: type[Exception], said: str) -> None:
        with pytest.raises(error, match=said):
            make()

    def test_keep_the_protocols(self, even: Path) -> None:
        video, sound = ArrayVideo(grey(0)[None], 1.0), ArraySound(np.zeros(3), 1)
        assert isinstance(video, Video)
        assert isinstance(FileVideo(even), Video)
        assert isinstance(sound, Sound)
        assert Recording(1.0, video=video, sound=sound).video is video
        assert Recording(1.0).sound is None


class TestFileVideo:
    def test_what_it_is(self, even: Path) -> None:
        video = FileVideo(even)
        assert video.size == (32, 48)
        assert video.rate == pytest.approx(25)
        assert video.duration == pytest.approx(FRAMES / 25, abs=1e-3)
        assert repr(video) == f"FileVideo({str(even)!r})"

    def test_every_frame_at_its_time(self, even: Path) -> None:
        found = FileVideo(even).frames(np.arange(FRAMES) / 25)
        assert number_of(found) == list(range(FRAMES))
        assert found.dtype == np.uint8

    def test_any_order_and_beyond_the_ends(self, even: Path) -> None:
        video = FileVideo(even)
        assert number_of(video.frames([1.5, 0.019, 0.041, 0.9, 99.0, -3.0, 0.9])) == [37, 0, 1, 22, 39, 0, 22]
        order = np.random.default_rng(0).permutation(FRAMES)
        for number in order:
            assert number_of(video.frames([number / 25 + 0.01])) == [number]

    def test_variable_rates_go_by_the_time_of_each_frame(self, tmp_path: Path) -> None:
        times = [Fraction(i * i, 100) for i in range(12)]
        video = FileVideo(write_video(tmp_path / "uneven.mp4", times, bf="0"))
        assert number_of(video.frames([0.0, 0.02, 0.05, 0.3, 0.36, 1.2, 0.99])) == [0, 1, 2, 5, 6, 10, 9]

    def test_reading_forward_decodes_each_frame_once(self, even: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        decoded, seeks = counted(monkeypatch, FileVideo, "_decode"), counted(monkeypatch, FileVideo, "_seek")
        video = FileVideo(even)
        for number in range(FRAMES):
            video.frames([number / 25])
        assert len(decoded) <= FRAMES + 2
        assert len(seeks) == 1

    def test_windows_that_overlap_are_decoded_once(self, even: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        decoded = counted(monkeypatch, FileVideo, "_decode")
        video = FileVideo(even)
        for start in np.arange(0, 1.2, 0.1):
            assert number_of(video.frames(start + np.arange(10) / 25)) == [
                int((start + number / 25) * 25 + 1e-3) for number in range(10)
            ]
        assert len(decoded) <= FRAMES + 2

    def test_going_back_starts_at_a_key_frame(self, even: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fusiform.data.mediafiles._MEMORY", 3 * 32 * 48 * 3 // 2)  # three frames
        video = FileVideo(even)
        assert number_of(video.frames(np.arange(FRAMES) / 25)) == list(range(FRAMES))
        assert len(video._past) == 3
        decoded = counted(monkeypatch, FileVideo, "_decode")
        assert number_of(video.frames([1.0])) == [25]
        assert 0 < len(decoded) <= 12

    def test_matroska(self, tmp_path: Path) -> None:
        video = FileVideo(write_video(tmp_path / "film.mkv", [Fraction(i, 25) for i in range(FRAMES)]))
        assert number_of(video.frames([0.5, 1.0, 0.1])) == [12, 25, 2]
        assert video.duration == pytest.approx(FRAMES / 25, abs=0.05)

    def test_time_counts_from_the_stream_that_starts_first(self, tmp_path: Path) -> None:
        path = tmp_path / "late.mkv"
        with av.open(str(path), "w") as container:
            video = container.add_stream("libx264", rate=25, options={"bf": "0"})
            video.height, video.width, video.pix_fmt = SIDE, SIDE, "yuv420p"
            audio = container.add_stream("pcm_s16le", rate=8000, layout="mono")
            for second in range(3):
                frame = av.AudioFrame.from_ndarray(np.full((1, 8000), 1000 * second, np.int16), "s16", "mono")
                frame.sample_rate, frame.pts, frame.time_base = 8000, 8000 * (second + 5), Fraction(1, 8000)
                container.mux(audio.encode(frame))
            for number in range(25):  # one second later than the sound
                picture = av.VideoFrame.from_ndarray(grey(number)[:, :SIDE], format="rgb24")
                picture.pts, picture.time_base = number + 150, Fraction(1, 25)
                container.mux(video.encode(picture))
            container.mux(video.encode())
            container.mux(audio.encode())
        sound, video = FileSound(path), FileVideo(path)
        assert number_of(video.frames([0.0, 1.0, 1.5, 1.99])) == [0, 0, 12, 24]
        np.testing.assert_allclose(sound.samples(0.9, 1.1), np.repeat([0, 1000 / 32768], 800))
        assert sound.duration == pytest.approx(3, abs=0.01)
        assert video.duration == pytest.approx(2, abs=0.05)

    def test_goes_to_another_process(self, even: Path) -> None:
        video = FileVideo(even)
        first = video.frames([0.4])
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(video)).frames([0.4]), first)

    @pytest.mark.parametrize("suffix", ["mp4", "mkv"])
    def test_a_truncated_file_is_named(self, suffix: str, tmp_path: Path) -> None:
        whole = write_video(tmp_path / f"whole.{suffix}", [Fraction(i, 5) for i in range(FRAMES)])
        cut = tmp_path / f"cut.{suffix}"
        cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        with pytest.raises(LayoutError, match=rf"{cut.name}.*truncated"):
            FileVideo(cut).frames([7.5])

    def test_other_files_are_named(self, tmp_path: Path, noise: NDArray[np.float32]) -> None:
        (tmp_path / "words.mp4").write_text("not a film")
        with pytest.raises(LayoutError, match=r"cannot read .*words.mp4.*wanted a media file"):
            FileVideo(tmp_path / "words.mp4").frames([0.0])
        with pytest.raises(LayoutError, match=r"cannot read .*none.mp4.*No such file"):
            FileVideo(tmp_path / "none.mp4").frames([0.0])
        with pytest.raises(LayoutError, match=r"noise.wav holds no video"):
            FileVideo(write_sound(tmp_path / "noise.wav", noise, 8000)).frames([0.0])

    def test_without_the_package(self, even: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "av", None)
        video = FileVideo(even)
        with pytest.raises(MissingExtraError, match=r"pip install 'fusiform\[media\]'"):
            video.frames([0.0])


class TestFileSound:
    def test_is_the_mean_of_the_channels(self, tmp_path: Path, noise: NDArray[np.float32]) -> None:
        sound = FileSound(write_sound(tmp_path / "noise.wav", noise, 8000))
        assert (sound.rate, sound.duration) == (8000, 3.75)
        np.testing.assert_allclose(sound.samples(0, 3.75), noise.mean(0), atol=1.1 / 32768)

    def test_stretches_in_any_order(self, tmp_path: Path, noise: NDArray[np.float32]) -> None:
        sound = FileSound(write_sound(tmp_path / "noise.wav", noise[:1], 8000))
        whole = FileSound(sound.path).samples(0, 99)
        assert len(whole) == 30000
        for start, stop in [(1.0, 2.0), (0.0, 0.5), (0.25, 3.75), (3.0, 9.0), (2.0, 2.0)]:
            wanted = whole[round(start * 8000) : round(min(stop, 3.75) * 8000)]
            np.testing.assert_array_equal(sound.samples(start, stop), wanted)

    def test_reading_forward_decodes_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        values = np.random.default_rng(0).uniform(-1, 1, (1, 200 * 1000)).astype(np.float32)
        sound = FileSound(write_sound(tmp_path / "long.wav", values, 1000))
        rewinds = counted(monkeypatch, FileSound, "_rewind")
        for start in np.arange(0, 190, 15.0):  # windows of 30 s that overlap by half
            np.testing.assert_allclose(
                sound.samples(start, start + 30), values[0, int(start * 1000) : int(start * 1000) + 30000], atol=4e-5
            )
            assert len(sound._kept) <= 160 * 1000
        assert len(rewinds) == 1
        sound.samples(0, 1)
        assert len(rewinds) == 2

    def test_a_click_keeps_its_time_in_aac(self, tmp_path: Path) -> None:
        values = np.zeros((1, 3 * 16000), np.float32)
        values[0, 20000:20040] = 0.9
        sound = FileSound(write_sound(tmp_path / "click.m4a", values, 16000, "aac"))
        assert abs(int(np.abs(sound.samples(0, 3)).argmax()) - 20020) < 160

    def test_a_truncated_file_is_named(self, tmp_path: Path, noise: NDArray[np.float32]) -> None:
        whole = write_sound(tmp_path / "whole.mkv", np.tile(noise, (1, 4)), 8000)
        (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        with pytest.raises(LayoutError, match=r"the audio of .*cut.mkv ends after .* truncated"):
            FileSound(tmp_path / "cut.mkv").samples(14, 15)

    def test_a_film_without_sound(self, even: Path) -> None:
        with pytest.raises(LayoutError, match=r"even.mp4 holds no audio"):
            FileSound(even).samples(0, 1)
