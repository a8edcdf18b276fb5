"""Pictures to tensors, and the backbones that need no weights."""

import numpy as np
import pytest
import torch
from PIL import Image

from fusiform.errors import SettingsError
from fusiform.features.baselines.image import Pixels, Planted
from fusiform.features.preprocess import Picture, describe
from fusiform.nets.planted import planted_network


def image(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8))


class TestPixels:
    def test_averages_blocks_of_pixels(self) -> None:
        values = np.random.default_rng(0).integers(0, 256, (40, 40))
        tokens = Pixels(size=10, colour=False).get_tokens(Pixels(10, colour=False).preprocess(image(values))[None])
        blocks = values.reshape(10, 4, 10, 4).mean((1, 3))
        # PIL rounds to a grey level after each of its two passes
        np.testing.assert_allclose(tokens.local["pixels"][0, 0] * 255, blocks, atol=1.01)
        assert not tokens.global_

    def test_keeps_the_size_and_the_colours(self) -> None:
        values = np.random.default_rng(0).integers(0, 256, (6, 8, 3))
        x = Pixels(size=None).preprocess(image(values))
        np.testing.assert_array_equal(x, np.float32(values.transpose(2, 0, 1) / 255))

    def test_reads_pictures_of_any_mode(self) -> None:
        grey = image(np.full((4, 4), 100))
        for picture in (grey, grey.convert("RGBA"), grey.convert("P"), grey.convert("RGB")):
            x = Pixels(size=None).preprocess(picture)
            np.testing.assert_allclose(x, np.full((3, 4, 4), 100 / 255), atol=1e-6)


class TestPicture:
    def test_normalises_each_colour(self) -> None:
        x = Picture(None, normalise="clip")(image(np.full((2, 2, 3), 255)))
        expected = [
            (1 - m) / s for m, s in [(0.48145466, 0.26862954), (0.4578275, 0.26130258), (0.40821073, 0.27577711)]
        ]
        np.testing.assert_allclose(x[:, 0, 0], expected, rtol=1e-6)

    def test_resizes_by_the_method_it_names(self) -> None:
        edge = image(np.repeat([[0, 255]], [4, 4], axis=1).repeat(8, axis=0))
        box, bilinear = (Picture(4, False, "none", method)(edge)[0, 0] for method in ("box", "bilinear"))
        assert box.tolist() == [0, 0, 1, 1]
        assert 0 < bilinear[1] < bilinear[2] < 1

    def test_refuses_what_it_cannot_do(self) -> None:
        with pytest.raises(SettingsError, match="unknown normalise 'imagnet'; there are: imagenet, clip, none"):
            Picture(normalise="imagnet")  # type: ignore[arg-type]
        with pytest.raises(SettingsError, match="unknown resample"):
            Picture(resample="nearest")  # type: ignore[arg-type]
        with pytest.raises(SettingsError, match="grey"):
            Picture(colour=False)

    def test_is_described_in_words(self) -> None:
        assert describe(Picture(8))["size"] == 8  # type: ignore[index]
        assert describe(image) == f"{__name__}.image"


class TestPlanted:
    def test_says_what_the_network_says(self) -> None:
        pictures = [image(np.random.default_rng(seed).integers(0, 256, (64, 64, 3))) for seed in range(2)]
        backbone = Planted(layers=2, seed=3)
        x = torch.stack([backbone.preprocess(picture) for picture in pictures])
        local, global_ = planted_network(2, 3)(x)
        tokens = backbone.get_tokens(x)
        for layer in ("conv1", "conv2"):
            torch.testing.assert_close(tokens.local[layer], local[layer])
            torch.testing.assert_close(tokens.global_[layer], global_[layer])
        assert tokens.local["conv2"].shape == (2, 16, 8, 8)

    def test_layers_and_seed_are_in_the_key(self) -> None:
        settings = [str(Planted(*arguments).settings) for arguments in ((6, 0), (5, 0), (6, 1))]
        assert len(set(settings)) == 3
