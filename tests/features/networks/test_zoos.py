"""timm and OpenCLIP through small modules with their published interface, and without them."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from fusiform.errors import LayoutError, MissingExtraError, SettingsError
from fusiform.features.tokens import load_backbone
from fusiform.testing import check_backbone

WIDTH, DEPTH, SIDE, PATCH = 6, 3, 32, 8
CONFIG: dict[str, Any] = {
    "input_size": (3, SIDE, SIDE),
    "interpolation": "bicubic",
    "mean": (0.5, 0.4, 0.3),
    "std": (0.2, 0.3, 0.4),
    "crop_pct": 0.9,
    "crop_mode": "center",
}


class Vit(nn.Module):
    """Tokens: a class token where there is one, registers, patches; blocks of a linear layer."""

    def __init__(self, registers: int = 2, classed: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.cls_token = nn.Parameter(torch.randn(1, 1, WIDTH)) if classed else None
        self.registers = nn.Parameter(torch.randn(1, registers, WIDTH))
        self.blocks = nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(DEPTH)])
        self.norm = nn.LayerNorm(WIDTH)

    @property
    def prefix(self) -> int:
        return self.registers.shape[1] + (self.cls_token is not None)

    def forward_intermediates(
        self, x: Tensor, return_prefix_tokens: bool = False, output_fmt: str = "NCHW"
    ) -> tuple[Tensor, list[Any]]:
        assert output_fmt == "NCHW"
        assert not self.training
        before = [*([] if self.cls_token is None else [self.cls_token]), self.registers]
        tokens = [token.expand(len(x), -1, -1) for token in before]
        state = torch.cat([*tokens, self.embed(x).flatten(2).transpose(1, 2)], dim=1)
        side, found = SIDE // PATCH, []
        for block in self.blocks:
            state = torch.tanh(block(state)) + state.mean(1, keepdim=True)
            grid = state[:, self.prefix :].transpose(1, 2).reshape(len(x), WIDTH, side, side)
            found.append((grid, state[:, : self.prefix]) if return_prefix_tokens and self.prefix else grid)
        return self.norm(state), found

    def forward_head(self, state: Tensor, pre_logits: bool = False) -> Tensor:
        assert pre_logits
        return state[:, 0]


class Pyramid(nn.Module):
    """Stages with grids that shrink; no prefix, and no argument for one."""

    def __init__(self, channels_last: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.channels_last = channels_last
        self.stages = nn.ModuleList([nn.Conv2d(3, 4, 4, 4), nn.Conv2d(4, 8, 2, 2)])

    def forward_intermediates(self, x: Tensor, output_fmt: str = "NCHW") -> tuple[Tensor, list[Tensor]]:
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return (2 * x).movedim(1, 3) if self.channels_last else x, found

    def forward_head(self, state: Tensor, pre_logits: bool = False) -> Tensor:
        return state.mean((1, 2) if self.channels_last else (2, 3))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "vit": Vit,
    "vit_without_class": lambda: Vit(classed=False),
    "vit_plain": lambda: Vit(registers=0, classed=False),
    "pyramid": Pyramid,
    "swin": lambda: Pyramid(channels_last=True),
    "plain": lambda: nn.Sequential(nn.Conv2d(3, 4, 3)),
}


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in for timm: `create_model`, and `data.resolve_model_data_config` with `config`."""

    def create_model(name: str, pretrained: bool = False, num_classes: int = 1000) -> nn.Module:
        assert pretrained
        assert num_classes == 0
        if name not in NETWORKS:
            raise RuntimeError(f"Unknown model ({name})")
        return NETWORKS[name]()

    module: Any = ModuleType("timm")
    module.config = dict(CONFIG)
    module.create_model = create_model
    module.data = SimpleNamespace(resolve_model_data_config=lambda model: module.config)
    monkeypatch.setitem(sys.modules, "timm", module)
    return module


def random_pictures(count: int = 2) -> Tensor:
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def test_blocks_final_and_pooled_of_timm_are_its_own(timm: Any) -> None:
    backbone, x = load_backbone("timm:vit"), random_pictures()
    with torch.no_grad():
        local, global_ = backbone.get_tokens(x)
        last, found = Vit().eval().forward_intermediates(x, return_prefix_tokens=True)
    assert list(local) == ["block1", "block2", "block3", "final"]
    assert list(global_) == [*local, "pooled"]
    for number, (grid, prefix) in enumerate(found, 1):
        torch.testing.assert_close(local[f"block{number}"], grid, rtol=0, atol=0)
        torch.testing.assert_close(global_[f"block{number}"], prefix[:, 0], rtol=0, atol=0)
    torch.testing.assert_close(local["final"].flatten(2), last[:, 3:].transpose(1, 2), rtol=0, atol=0)
    torch.testing.assert_close(global_["final"], last[:, 0], rtol=0, atol=0)
    torch.testing.assert_close(global_["pooled"], last[:, 0], rtol=0, atol=0)


@pytest.mark.parametrize("name", ["vit_without_class", "vit_plain"])
def test_registers_are_no_class_token(timm: Any, name: str) -> None:
    with torch.no_grad():
        local, global_ = load_backbone(f"timm:{name}").get_tokens(random_pictures())
    for layer, grid in local.items():
        torch.testing.assert_close(global_[layer], grid.mean((2, 3)), rtol=0, atol=0)


@pytest.mark.parametrize(("name", "layers"), [("pyramid", []), ("swin", ["final"])])
def test_stages_have_grids_of_their_own(timm: Any, name: str, layers: list[str]) -> None:
    with torch.no_grad():
        local, global_ = load_backbone(f"timm:{name}").get_tokens(random_pictures())
    assert list(local) == ["stage1", "stage2", *layers]
    assert tuple(local["stage1"].shape[1:]) == (4, 8, 8)
    assert tuple(local["stage2"].shape[1:]) == (8, 4, 4)
    for layer in layers:
        torch.testing.assert_close(local[layer], 2 * local["stage2"], rtol=0, atol=0)
    assert tuple(global_["pooled"].shape) == (2, 8)


def test_pictures_are_resized_cropped_and_normalised_as_the_config_says(timm: Any) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))
    found = load_backbone("timm:vit").preprocess(picture).numpy()
    small = picture.resize((49, 35), Image.Resampling.BICUBIC)  # 35 = floor(32 / .9); 49 keeps the aspect
    middle = np.asarray(small, dtype=np.float64)[1:33, 8:40] / 255
    np.testing.assert_allclose(found, ((middle - CONFIG["mean"]) / CONFIG["std"]).transpose(2, 0, 1), atol=1e-5)
    timm.config |= {"crop_mode": "squash", "interpolation": "bilinear", "crop_pct": 1.0}
    squashed = np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR), dtype=np.float64) / 255
    found = load_backbone("timm:vit").preprocess(picture).numpy()
    np.testing.assert_allclose(found, ((squashed - CONFIG["mean"]) / CONFIG["std"]).transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop_mode": "border"}, "crop_mode='border'; wanted square ones with one of center"),
        ({"input_size": (3, 32, 48)}, "pictures of 32 x 48"),
        ({"interpolation": "random"}, "interpolation='random', which PIL does not have"),
    ],
)
def test_refuses_what_it_cannot_do_alike(timm: Any, change: dict[str, Any], message: str) -> None:
    timm.config |= change
    with pytest.raises(SettingsError, match=message):
        _ = load_backbone("timm:vit").settings  # type: ignore[attr-defined]


def test_timm_keeps_the_contract_and_its_key_knows_the_weights(timm: Any) -> None:
    check_backbone(load_backbone("timm:vit"))
    vit, pyramid = load_backbone("timm:vit"), load_backbone("timm:pyramid")
    assert vit.name == "timm:vit"
    assert vit.revision == load_backbone("timm:vit").revision != pyramid.revision  # type: ignore[attr-defined]


def test_unknown_networks_are_named(timm: Any) -> None:
    with pytest.raises(LayoutError, match=r"cannot load 'timm:vitt' \(RuntimeError: Unknown model \(vitt\)\)"):
        load_backbone("timm:vitt").get_tokens(random_pictures())


def test_networks_that_do_not_give_their_blocks_are_refused(timm: Any) -> None:
    with pytest.raises(SettingsError, match=r"'timm:plain' \(Sequential\) does not give its blocks; .* hook_layers"):
        load_backbone("timm:plain").get_tokens(random_pictures())


class Visual(nn.Module):
    """The vision part of a CLIP of OpenCLIP, around a `Vit`."""

    def __init__(self, trunk: nn.Module | None = None) -> None:
        super().__init__()
        self.inner = Vit(registers=0)
        self.class_embedding = self.inner.cls_token
        if trunk is not None:
            self.trunk = trunk

    def forward_intermediates(
        self, x: Tensor, output_fmt: str = "NCHW", output_extra_tokens: bool = False
    ) -> dict[str, Any]:
        network: Any = getattr(self, "trunk", self.inner)
        more = {"return_prefix_tokens": True} if output_extra_tokens else {}
        last, found = network.forward_intermediates(x, output_fmt=output_fmt, **more)
        answer: dict[str, Any] = {"image_features": network.forward_head(last, pre_logits=True) * 2}
        if isinstance(found[0], tuple):
            answer["image_intermediates_prefix"] = [prefix for _, prefix in found]
            found = [grid for grid, _ in found]
        return {**answer, "image_intermediates": found}


@pytest.fixture
def open_clip(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in for OpenCLIP: `create_model` of two architectures, `get_model_preprocess_cfg` with `config`."""
    module: Any = ModuleType("open_clip")
    module.asked = []
    module.config = {"size": (SIDE, SIDE), "interpolation": "bicubic", "resize_mode": "shortest"}
    module.config |= {"mode": "RGB", "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "fill_color": 0}

    def create_model(name: str, pretrained: str | None = None) -> SimpleNamespace:
        module.asked.append((name, pretrained))
        return SimpleNamespace(visual=Visual(Pyramid() if name == "convnext" else None))

    module.create_model = create_model
    module.get_model_preprocess_cfg = lambda model: module.config
    monkeypatch.setitem(sys.modules, "open_clip", module)
    return module


def test_blocks_and_embedding_of_open_clip_are_its_own(open_clip: Any) -> None:
    backbone, x = load_backbone("open_clip:ViT-S/laion"), random_pictures()
    with torch.no_grad():
        local, global_ = backbone.get_tokens(x)
        found = Visual().eval().forward_intermediates(x, output_extra_tokens=True)
    assert open_clip.asked == [("ViT-S", "laion")]
    assert list(local) == ["block1", "block2", "block3"]
    for number in range(DEPTH):
        grid, prefix = found["image_intermediates"][number], found["image_intermediates_prefix"][number]
        torch.testing.assert_close(local[f"block{number + 1}"], grid, rtol=0, atol=0)
        torch.testing.assert_close(global_[f"block{number + 1}"], prefix[:, 0], rtol=0, atol=0)
    torch.testing.assert_close(global_["embedding"], found["image_features"], rtol=0, atol=0)
    check_backbone(backbone)


def test_a_trunk_of_timm_without_prefix_is_not_asked_for_one(open_clip: Any) -> None:
    with torch.no_grad():
        local, global_ = load_backbone("open_clip:convnext/laion").get_tokens(random_pictures())
    assert list(local) == ["stage1", "stage2"]
    torch.testing.assert_close(global_["stage2"], local["stage2"].mean((2, 3)), rtol=0, atol=0)


def test_pictures_are_made_ready_as_open_clip_says(open_clip: Any) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8))
    small = np.asarray(picture.resize((40, 32), Image.Resampling.BICUBIC), dtype=np.float64)[:, 4:36] / 255
    found = load_backbone("open_clip:ViT-S/laion").preprocess(picture).numpy()
    np.testing.assert_allclose(found, ((small - 0.5) / 0.25).transpose(2, 0, 1), atol=1e-5)
    open_clip.config |= {"resize_mode": "longest"}
    with pytest.raises(SettingsError, match="resize_mode='longest'"):
        load_backbone("open_clip:ViT-S/laion").preprocess(picture)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("hf-hub:org/name", ("hf-hub:org/name", None)),
        ("ViT-S/weights/mine.pt", ("ViT-S", "weights/mine.pt")),
    ],
)
def test_names_of_open_clip(open_clip: Any, name: str, asked: tuple[str, str | None]) -> None:
    load_backbone(f"open_clip:{name}").get_tokens(random_pictures())
    assert open_clip.asked == [asked]


@pytest.mark.parametrize("name", ["ViT-S", "ViT-S/"])
def test_open_clip_without_weights_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"open_clip:{name} names no weights; wanted open_clip:NAME/PRETRAINED"):
        load_backbone(f"open_clip:{name}")


class Broken:
    """An import hook by which a package raises, as with a torchvision that was built for another torch."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name in ("timm", "open_clip"):
            raise RuntimeError("operator torchvision::nms does not exist")


@pytest.mark.parametrize(("source", "package"), [("timm:vit", "timm"), ("open_clip:ViT-S/laion", "open_clip")])
def test_what_is_missing_or_broken_is_said(source: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = load_backbone(source)  # making one imports nothing
    monkeypatch.setitem(sys.modules, package, None)  # an import then raises ImportError
    advice = rf"pip install 'fusiform\[zoos\]'; {package} imports torchvision, which must be the one made for torch"
    with pytest.raises(MissingExtraError, match=advice):
        backbone.get_tokens(random_pictures())
    monkeypatch.delitem(sys.modules, package)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(MissingExtraError, match=rf"torchvision::nms does not exist.*{advice}"):
        backbone.get_tokens(random_pictures())
