"""Augmented views: what they are drawn from, and what becomes of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fusiform.data import Features, Responses, Space, Stimuli
from fusiform.errors import AlignmentError, SettingsError
from fusiform.features.baselines.image import Pixels
from fusiform.features.baselines.language import Words
from fusiform.features.extract import extract
from fusiform.features.store import FeatureStore
from fusiform.features.views import Views
from fusiform.pairs import pair

Pictures = Callable[[int], Stimuli]
WIDTH, HEIGHT = 120, 80
pytestmark = pytest.mark.usefixtures("small_blocks")


def coordinates() -> Image.Image:
    """A picture whose red is the column and whose green is the row."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = 2 * np.arange(WIDTH), 3 * np.arange(HEIGHT)[:, None]
    return Image.fromarray(pixels)


def parts(views: Views, count: int) -> pd.DataFrame:
    """Which part of the picture each view shows, found from its colours."""
    found = []
    for number in range(count):
        for view in views.of(coordinates(), f"im{number}")[1:]:
            pixels = np.asarray(view, float)
            left, right = pixels[:, 0, 0].mean() / 2, pixels[:, -1, 0].mean() / 2
            top, bottom = pixels[0, :, 1].mean() / 3, pixels[-1, :, 1].mean() / 3
            size = {"width": abs(right - left) + 1, "height": bottom - top + 1}
            found.append({"side": view.size, "mirrored": left > right, "left": min(left, right), "top": top, **size})
    return pd.DataFrame(found)


class TestViews:
    def test_parts_are_of_the_standard_ranges(self) -> None:
        found = parts(Views(4), 150)
        area = found["width"] * found["height"] / (WIDTH * HEIGHT)
        ratio = found["width"] / found["height"]
        assert set(found["side"]) == {(HEIGHT, HEIGHT)}
        assert 0.07 < area.min() < 0.15
        assert 0.8 < area.max() < 1.02
        assert 0.7 < ratio.min() < 0.8
        assert 1.25 < ratio.max() < 1.4
        assert abs(found["mirrored"].mean() - 0.5) < 0.08
        assert found["left"].max() > 60
        assert found["top"].max() > 35

    def test_the_first_is_the_picture_itself(self) -> None:
        picture = coordinates()
        assert Views(2).of(picture, "a")[0] is picture
        assert (len(Views(2)), len(Views())) == (3, 1)

    def test_depend_on_seed_id_and_number_alone(self) -> None:
        def drawn(views: Views, id: str = "a") -> list[bytes]:
            return [view.tobytes() for view in views.of(coordinates(), id)[1:]]

        three = drawn(Views(3))
        assert len(set(three)) == 3
        assert drawn(Views(3)) == three
        assert drawn(Views(2)) == three[:2]
        assert not set(drawn(Views(3), "b")) & set(three)
        assert not set(drawn(Views(3, seed=1))) & set(three)

    def test_the_middle_where_nothing_fits(self) -> None:
        strip = Image.fromarray(np.arange(1000, dtype=np.uint8)[None, :, None].repeat(3, 2).repeat(10, 0))
        assert Views(1, area=(0.9, 1.0)).of(strip, "a")[1].size == (10, 10)

    @pytest.mark.parametrize("wrong", [{"count": -1}, {"seed": -1}])
    def test_numbers_below_zero_are_refused(self, wrong: dict[str, int]) -> None:
        with pytest.raises(SettingsError, match="wanted 0 or more of both"):
            Views(**wrong)  # type: ignore[arg-type]


class TestExtraction:
    @pytest.mark.parametrize("stored", [True, False])
    def test_views_are_rows_beside_the_pictures_own(self, tmp_path: Path, pictures: Pictures, stored: bool) -> None:
        store = FeatureStore(tmp_path) if stored else None
        found = extract(pictures(6), Pixels(4), store, views=2, batch_size=4)
        plain = extract(pictures(6), Pixels(4))
        assert found.index["stimulus"].tolist() == np.repeat(pictures(6).ids, 3).tolist()
        assert found.index["view"].tolist() == [0, 1, 2] * 6
        np.testing.assert_array_equal(found.arrays["pixels"][::3], plain.arrays["pixels"])
        view = Views(2).of(pictures(6).load("im4"), "im4")[2]
        np.testing.assert_array_equal(found.arrays["pixels"][14], Pixels(4).preprocess(view))

    def test_neither_shards_nor_batches_change_them(self, tmp_path: Path, pictures: Pictures) -> None:
        whole = extract(pictures(10), Pixels(4), views=2, seed=3)
        store = FeatureStore(tmp_path)
        part = extract(pictures(10), Pixels(4), store, views=2, seed=3, shard=(1, 2), batch_size=1)
        np.testing.assert_array_equal(part.arrays["pixels"], np.asarray(whole.arrays["pixels"])[12:24])

    def test_number_and_seed_are_in_the_key(self, tmp_path: Path, pictures: Pictures) -> None:
        store = FeatureStore(tmp_path)
        for views, seed in ((0, 0), (0, 1), (2, 0), (2, 1), (3, 0)):
            extract(pictures(2), Pixels(4), store, views=views, seed=seed)
        assert len(store.names()) == 4  # without views there is nothing to draw

    def test_only_pictures_have_views(self, stories: Stimuli) -> None:
        with pytest.raises(SettingsError, match="views=2 of stimuli of kind 'recording'"):
            extract(stories, Words(2.0, None), views=2)


class TestPairs:
    @pytest.fixture
    def responses(self) -> Responses:
        samples = pd.DataFrame({"stimulus": ["im2", "im0", "im2"]})
        return Responses(np.zeros((3, 1), np.float32), samples, Space.named("one", ["v"]))

    def test_pairs_read_the_mean_over_views(self, pictures: Pictures, responses: Responses) -> None:
        found = extract(pictures(4), Pixels(4), views=2)
        paired = pair(found, responses).features["pixels"]
        means = np.asarray(found.arrays["pixels"]).reshape(4, 3, 3, 4, 4).mean(1)
        assert paired.shape == (3, 3, 4, 4)
        np.testing.assert_allclose(paired[:], means[[2, 0, 2]], rtol=1e-6)
        np.testing.assert_allclose(paired[1], means[0], rtol=1e-6)

    def test_views_out_of_order_are_refused(self, pictures: Pictures, responses: Responses) -> None:
        found = extract(pictures(4), Pixels(4), views=1)
        index = found.index.iloc[[0, 2, 1, 3, 4, 5, 6, 7]].reset_index(drop=True)
        with pytest.raises(AlignmentError, match="views of pictures are not 0 to 1 for each"):
            pair(Features(index, found.arrays), responses)

    def test_samples_of_what_was_skipped_say_why(self, pictures: Pictures, responses: Responses) -> None:
        def load(id: str) -> Image.Image:
            if id == "im2":
                raise OSError("truncated")
            return pictures(4).loader(id)

        with pytest.warns(UserWarning, match="1 of 4"):
            found = extract(Stimuli("toys", "image", pictures(4).table, load), Pixels(4), on_error="skip")
        with pytest.raises(AlignmentError, match=r"2 of 3 samples .*1 of them would not load, im2: OSError: truncated"):
            pair(found, responses)
