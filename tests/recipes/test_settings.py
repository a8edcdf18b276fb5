"""Settings that verbs share: each is explained, and reaches what it is for."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fusiform.cli import main
from fusiform.errors import SettingsError
from fusiform.features.preprocess import Picture
from fusiform.recipes.decode import decode
from fusiform.recipes.doctor import doctor
from fusiform.recipes.encode import encode
from fusiform.recipes.extract import describe
from fusiform.recipes.settings import Brain, Files, Learning, Network

OWN = '''\
class Own:
    """Says nothing of pictures."""

    def get_tokens(self, x):
        return {"pixels": x}, {}
'''


@pytest.mark.parametrize("verb", [encode, decode, describe, doctor])
def test_every_setting_of_a_verb_is_explained(verb: Callable[..., Any]) -> None:
    explained = inspect.getdoc(verb) or ""
    for name in inspect.signature(verb).parameters:
        assert f"\n{name}\n    " in explained


def test_what_verbs_share_they_share_wholly() -> None:
    for group in (Brain, Network, Learning):
        for verb in (encode, decode):
            assert set(inspect.signature(group).parameters) <= set(inspect.signature(verb).parameters)


def test_the_word_of_the_user_reaches_the_dataset() -> None:
    agreed = Files(i_have_agreed=True, dataset_args={"sphere": "10mm"})
    assert agreed.arguments("alice") == {"sphere": "10mm", "i_have_agreed": True}
    assert Files().arguments("alice") == {}


class TestNetwork:
    @pytest.fixture(autouse=True)
    def _own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "own_net.py").write_text(OWN)
        monkeypatch.syspath_prepend(tmp_path)

    @pytest.mark.parametrize(
        ("size", "normalise", "wanted"),
        [
            (None, None, Picture()),
            (32, None, Picture(32)),
            (None, "clip", Picture(normalise="clip")),
            (16, "none", Picture(16, normalise="none")),
        ],
    )
    def test_what_a_class_lacks_is_given(self, size: int | None, normalise: str | None, wanted: Picture) -> None:
        backbone = Network(backbone="own_net:Own", image_size=size, normalise=normalise).load()
        assert backbone.preprocess == wanted
        assert backbone.settings["preprocess"]["size"] == wanted.size  # and so it is in the key of what is stored

    def test_one_that_prepares_its_pictures_takes_none_of_it(self) -> None:
        for size, normalise in ((32, None), (None, "clip")):
            with pytest.raises(SettingsError, match="'pixels' says itself how pictures are made ready; leave out"):
                Network(image_size=size, normalise=normalise, backbone_args={"size": 4}).load()

    def test_what_cannot_be_is_said(self) -> None:
        with pytest.raises(SettingsError, match="the size of pictures is 0; wanted pixels, 1 or more"):
            Network(backbone="own_net:Own", image_size=0).load()
        with pytest.raises(SettingsError, match=r"unknown normalise 'imagnet'; there are: imagenet, clip, none"):
            Network(backbone="own_net:Own", normalise="imagnet").load()

    @pytest.mark.parametrize("verb", ["extract", "encode", "decode"])
    def test_every_verb_takes_them(self, verb: str, tmp_path: Path) -> None:
        small = ["--dataset", "simulated", "--dataset-args", "pictures=40,vertices=20,subjects=1"]
        out = ["--store", str(tmp_path / "store")] if verb == "extract" else ["--out", str(tmp_path / "run")]
        given = ["--backbone", "own_net:Own", "--image-size", "4", "--normalise", "none"]
        assert main([verb, *small, *given, *out]) == 0
        if verb == "extract":
            return
        settings = (tmp_path / "run/settings.yaml").read_text()
        assert "image_size: 4" in settings
        assert "normalise: none" in settings
