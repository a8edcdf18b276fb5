"""Every way to bring a backbone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fusiform.data import Stimuli
from fusiform.errors import DataError, SettingsError, UnknownNameError
from fusiform.features.baselines.image import Pixels
from fusiform.features.extract import extract
from fusiform.features.hooks import weights_digest
from fusiform.features.preprocess import Picture
from fusiform.features.tokens import Backbone, Tokens, as_backbone, checked_tokens, hook_layers, load_backbone

SMALL = Picture(12, normalise="none")


class Brightness:
    """Knows no torch module."""

    def get_tokens(self, x: Tensor) -> Any:
        return {}, {"brightness": torch.from_numpy(x.numpy().mean((1, 2, 3)))[:, None]}


class TestAsBackbone:
    def test_a_published_class_works_unchanged(self, published: Any, pictures: Callable[[int], Stimuli]) -> None:
        backbone = as_backbone(published, name="mine", preprocess=SMALL)
        assert isinstance(backbone, Backbone)
        features = extract(pictures(3), backbone)
        x = torch.stack([SMALL(pictures(3).load(f"im{number}")) for number in range(3)])
        published.net.eval()
        local, global_ = published.get_tokens(x)
        assert list(features.arrays) == ["0", "1", "0/global", "1/global"]
        np.testing.assert_allclose(features.arrays["1"], local["1"].detach(), atol=1e-6)
        np.testing.assert_allclose(features.arrays["1/global"], global_["1"].detach(), atol=1e-6)

    def test_is_in_evaluation_mode_for_the_pass_and_put_back_after(self, published: Any) -> None:
        backbone = as_backbone(published, name="mine", preprocess=SMALL)
        published.net.train()
        published.net.second.eval()
        x = torch.ones(2, 3, 12, 12)
        torch.testing.assert_close(backbone.get_tokens(x), backbone.get_tokens(x))
        assert published.net.drop.training
        assert not published.net.second.training

    def test_other_weights_have_another_revision(self, published: Any) -> None:
        backbone: Any = as_backbone(published, name="mine")
        before = backbone.revision
        with torch.no_grad():
            published.net.last.bias[0] += 1
        assert before
        assert backbone.revision != before

    def test_weights_and_batches_go_to_the_device_together(self, published: Any) -> None:
        backbone: Any = as_backbone(published, name="mine")
        backbone.to("meta")  # shapes without numbers, on every machine
        local, _ = backbone.get_tokens(torch.ones(2, 3, 12, 12))
        assert local["0"].device.type == "meta"

    def test_an_object_without_weights_gets_its_batches_on_the_cpu(self) -> None:
        backbone: Any = as_backbone(Brightness(), name="mine")
        backbone.to("meta")
        assert float(backbone.get_tokens(torch.ones(2, 3, 4, 4)).global_["brightness"][0, 0]) == 1

    def test_weights_are_found_wherever_they_are_held(self, published: Any) -> None:
        for held in ([published.net], {"net": published.net}, (0, {"deep": [published.net]})):
            wrapper: Any = type("Wrapper", (), {"get_tokens": published.get_tokens})()
            wrapper.held = held
            backbone: Any = as_backbone(wrapper, name="mine")
            assert backbone.revision == weights_digest(published.net)

    def test_preprocessing_and_settings_are_part_of_its_settings(self, published: Any) -> None:
        backbone: Any = as_backbone(published, name="mine", preprocess=SMALL, settings={"window": 8})
        assert backbone.settings["window"] == 8
        assert backbone.settings["preprocess"]["size"] == 12
        default: Any = as_backbone(published, name="mine")
        assert default.settings["preprocess"] == {
            "class": "Picture", "size": 224, "colour": True, "normalise": "imagenet", "resample": "bilinear"
        }  # fmt: skip

    def test_says_what_is_missing(self, published: Any) -> None:
        with pytest.raises(SettingsError, match=r"'mine' \(object\) has no method get_tokens"):
            as_backbone(object(), name="mine")
        with pytest.raises(SettingsError, match="needs preprocess="):
            as_backbone(published, name="mine", kind="audio")


class Blocks(nn.Module):
    """A transformer in shape: [B, 1 + 2 + 16, 6] tokens, a tuple from its block, and a layer that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.odd, self.unused, self.pair = Tokenise(), nn.Identity(), nn.Identity(), Pair()

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.pair(self.block(x))[0]
        return self.odd(tokens[:, :-1]).mean(1)


class Tokenise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:  # [B, 3, 4, 4] -> [B, 19, 3]
        patches = x.flatten(2).transpose(1, 2)
        return torch.cat([patches.mean(1, keepdim=True), patches[:, :2], patches], dim=1)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, str]:
        return 2 * x, "attention"


class TestHookLayers:
    def test_equals_the_plain_forward(self, small_net: Any) -> None:
        backbone = hook_layers(small_net, ["first", "second.0", "last"], name="small", preprocess=SMALL)
        x = torch.rand(3, 3, 12, 12)
        local, global_ = backbone.get_tokens(x)
        small_net.eval()
        first = small_net.first(x)
        torch.testing.assert_close(local["first"], first, rtol=0, atol=0)
        torch.testing.assert_close(local["second.0"], small_net.second[0](first), rtol=0, atol=0)
        torch.testing.assert_close(global_["last"], small_net(x), rtol=0, atol=0)
        assert (set(local), set(global_)) == ({"first", "second.0"}, {"last"})

    def test_leaves_no_hook_behind_even_after_an_error(self, small_net: Any) -> None:
        backbone = hook_layers(small_net, ["first"], name="small")
        with pytest.raises(RuntimeError):
            backbone.get_tokens(torch.ones(1, 7, 12, 12))
        assert not small_net.first._forward_hooks

    def test_sequences_are_channels_first(self) -> None:
        x = torch.rand(2, 3, 4, 4)
        tokens = hook_layers(Blocks(), ["block"], name="b").get_tokens(x)
        assert tokens.local["block"].shape == (2, 3, 19)
        torch.testing.assert_close(tokens.local["block"][:, :, 3:], x.flatten(2))
        assert not tokens.global_

    def test_a_prefix_gives_the_class_token_and_a_grid(self) -> None:
        x = torch.rand(2, 3, 4, 4)
        local, global_ = hook_layers(Blocks(), ["block", "pair"], name="b", prefix=3).get_tokens(x)
        torch.testing.assert_close(local["block"], x)
        torch.testing.assert_close(global_["block"], x.mean((2, 3)))
        torch.testing.assert_close(local["pair"], 2 * x)  # the first of the tuple

    def test_a_number_of_patches_that_is_no_square_stays_a_sequence(self) -> None:
        local, _ = hook_layers(Blocks(), ["odd"], name="b", prefix=3).get_tokens(torch.rand(2, 3, 4, 4))
        assert local["odd"].shape == (2, 3, 15)

    def test_names_unknown_and_silent_layers(self, small_net: Any) -> None:
        with pytest.raises(UnknownNameError, match=r"no submodule 'seconds' \(did you mean 'second'\?\)"):
            hook_layers(small_net, ["seconds"], name="small")
        with pytest.raises(DataError, match="'unused' was not called"):
            hook_layers(Blocks(), ["unused"], name="b").get_tokens(torch.rand(2, 3, 4, 4))

    def test_hooked_layers_are_in_the_key(self, small_net: Any) -> None:
        one: Any = hook_layers(small_net, ["first"], name="small")
        two: Any = hook_layers(small_net, ["last"], name="small")
        assert one.revision == two.revision
        assert one.settings != two.settings


class TestLoadBackbone:
    def test_built_ins_come_by_name(self) -> None:
        backbone = load_backbone("pixels", size=5)
        assert isinstance(backbone, Pixels)
        assert backbone.settings["preprocess"]["size"] == 5

    def test_a_class_of_ones_own_by_module(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(str(__import__("pathlib").Path(__file__).parent))
        backbone: Any = load_backbone("plugin_module:Brightness", gain=3.0)
        assert (backbone.name, backbone.kind) == ("plugin_module:Brightness", "image")
        assert backbone.settings["arguments"] == {"gain": 3.0}
        tokens = backbone.get_tokens(torch.ones(2, 3, 4, 4))
        assert float(tokens.global_["brightness"][0, 0]) == 3.0

    def test_errors_say_what_there_is(self) -> None:
        with pytest.raises(UnknownNameError, match=r"'pixel' \(did you mean 'pixels'\?\)"):
            load_backbone("pixel")
        with pytest.raises(UnknownNameError, match="cannot import 'Net' from the module 'no_such_module'"):
            load_backbone("no_such_module:Net")
        with pytest.raises(SettingsError, match=r"'pixels' cannot be made with \{'syze': 3\}"):
            load_backbone("pixels", syze=3)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (({"3": torch.ones(2, 8)}, {}), r"local\['3'\] of 'net' has the shape \(2, 8\); wanted .* \[4, C, \*grid\]"),
        (({}, {"3": torch.ones(4, 8, 2)}), r"global\['3'\] of 'net' has the shape \(4, 8, 2\); wanted .* \[4, C\]"),
        (({"3": torch.ones(4, 0)}, {}), r"local\['3'\] of 'net' has the shape \(4, 0\); wanted .*, none of them 0$"),
        (({"3": "text"}, {}), r"local\['3'\] of 'net' is a str; wanted a tensor \[4, C, \*grid\]$"),
        (({"3": np.ones((4, 8))}, {}), r"local\['3'\] of 'net' is a ndarray; wanted a tensor"),
        (({"3": torch.ones(4, 8) + 1j}, {}), r"local\['3'\] of 'net' holds complex numbers; wanted real ones"),
        (({3: torch.ones(4, 8)}, {}), r"local\[3\] of 'net' has a name that cannot be kept; wanted text such as"),
        (({}, {"..": torch.ones(4, 8)}), r"global\['..'\] of 'net' has a name that cannot be kept"),
        (({}, {"zarr.json": torch.ones(4, 8)}), r"global\['zarr.json'\] of 'net' has a name that cannot be kept"),
        (({}, {}), "gave no layer at all"),
        (torch.ones(4, 8), r"must return two mappings \(local, global\); got a Tensor$"),
        ({"3": torch.ones(4, 8)}, r"must return two mappings \(local, global\); got a dict$"),
        (({}, {}, {}), r"must return two mappings \(local, global\); got a tuple of 3$"),
        (None, "must return two mappings"),
    ],
)
def test_checked_tokens_says_what_is_wrong(found: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        checked_tokens(found, 4, "net")


def test_an_object_without_two_mappings_is_told_so() -> None:
    alone = type("Alone", (), {"get_tokens": lambda self, x: x})()
    with pytest.raises(DataError, match=r"get_tokens of 'alone' must return two mappings .*; got a Tensor$"):
        as_backbone(alone, name="alone").get_tokens(torch.ones(4, 3, 2, 2))


def test_tokens_unpack_as_the_published_pair() -> None:
    local, global_ = Tokens({"a": torch.ones(1, 2)}, {})
    assert (list(local), global_) == (["a"], {})
