"""The whole published job: pictures through a ViT-B into a store, and a selector encoder trained on all of them.

    python -m benchmarks.selector --jobs whole --device cuda --threads 16
    python -m benchmarks.selector --jobs whole --tiny        # does it work?

Yang, Gee & Shi 2023 (arXiv:2312.01280) report half an hour on an RTX 4090. They leave the number of epochs open: ours
is that of the preset `selectors`, and so are the size of a batch, the width and the rest. Nothing is downloaded: the
network has random weights, pictures are drawn when they are asked for, responses are noise. The clock starts when the
network is in memory; it runs while pictures are drawn, tokens written and read, and units measured.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from benchmarks.meters import ceiling, operations, peak_memory, reset_peak, seconds
from fusiform.data import Responses, Space, Stimuli
from fusiform.features.extract import extract
from fusiform.features.networks.huggingface import HuggingFace
from fusiform.features.store import FeatureStore
from fusiform.models.encoding import split_tokens
from fusiform.models.neural import NeuralEncoder
from fusiform.pairs import Pairs, pair
from fusiform.recipes.recipe import load_preset

PRECISIONS = {"extraction": torch.float32, "training": torch.bfloat16}  # of the products


@dataclass(frozen=True)
class Sizes:
    """Of the job.

    Args:
        pictures: all of them are learned from.
        vertices: of both hemispheres.
        network: settings of transformers' ViT; by default it is ViT-B/16.
        model: settings of the encoder other than the preset's.
        together: pictures in a pass through the network.
    """

    pictures: int = 9000
    vertices: int = 37_984
    network: dict[str, int] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    together: int = 64


SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
TINY = Sizes(48, 60, {**SMALL, "image_size": 64, "patch_size": 8}, {"width": 8, "epochs": 2}, 16)


def whole(settings: argparse.Namespace) -> dict[str, Any]:
    """The row of the job: seconds, operations per second and share of the ceiling of both parts, and memory."""
    torch.set_num_threads(settings.threads)
    sizes, device = TINY if settings.tiny else Sizes(), settings.device
    ceilings = {part: ceiling(dtype, device) for part, dtype in PRECISIONS.items()}
    arguments = {**load_preset("selectors")["model_args"], **sizes.model}
    model = NeuralEncoder(**arguments, precision="bfloat16", device=device)
    with tempfile.TemporaryDirectory() as folder:
        backbone = random_vit(Path(folder) / "vit", sizes)
        extraction, pairs = measured(lambda: stored(backbone, Path(folder) / "store", sizes, device), device)
        training, _ = measured(lambda: model.fit(pairs), device)
        reading = float(np.median([seconds(lambda: tokens_of(pairs, model)) for _ in range(5)]))
        passes = sizes.pictures * model.epochs / model.batch_size  # through the network that is trained
        counts = {
            "extraction": sizes.pictures * operations(lambda: seen(backbone)),
            "training": passes * operations(lambda: step(model, pairs)),
        }
    found = {"extraction": extraction, "training": training}
    rates = {part: counts[part] / one["seconds"] for part, one in found.items()}
    return {
        "job": f"whole: {sizes.pictures} pictures, {len(model.net_.layers)} layers, {sizes.vertices} vertices",
        "seconds": sum(one["seconds"] for one in found.values()),
        "steps": model.history_.steps,
        "batch": model.batch_size,
        "reading_s_per_batch": reading,
        **{
            part: {
                **one,
                "tflop_per_s": rates[part] / 1e12,
                "precision": str(PRECISIONS[part]).removeprefix("torch."),
                "ceiling_tflop_per_s": ceilings[part] / 1e12,
                "share_of_ceiling": rates[part] / ceilings[part],
            }
            for part, one in found.items()
        },
    }


def measured(work: Callable[[], Any], device: str) -> tuple[dict[str, float], Any]:
    """Seconds and most memory of a piece of work, and what it returned."""
    found: list[Any] = []
    before = reset_peak(device)
    spent = seconds(lambda: found.append(work()))
    return {"seconds": spent, "peak_mb": (peak_memory(device) - before) / 2**20}, found[0]


def random_vit(folder: Path, sizes: Sizes) -> HuggingFace:
    """A network with random weights, saved and loaded as a published one would be."""
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(0)
    ViTModel(ViTConfig(**sizes.network), add_pooling_layer=False).save_pretrained(folder)
    backbone = HuggingFace(str(folder))
    backbone.network.requires_grad_(False)
    return backbone


def stored(backbone: HuggingFace, folder: Path, sizes: Sizes, device: str) -> Pairs:
    """Tokens of every block in a store, beside responses."""
    table = pd.DataFrame(index=[f"{number:05d}" for number in range(sizes.pictures)])
    stimuli = Stimuli("random", "image", table, drawn)
    layers = [f"block{number + 1}" for number in range(backbone.network.config.num_hidden_layers)]
    features = extract(
        stimuli,
        backbone,
        FeatureStore(folder),
        layers=[*layers, *(f"{layer}/global" for layer in layers)],
        reduce="pool:8x8",
        dtype="float16",
        batch_size=sizes.together,
        device=device,
    )
    return pair(features, noise(stimuli.ids, sizes.vertices))


def drawn(id: str) -> Image.Image:
    """A smooth random picture of 256 x 256."""
    coarse = np.random.default_rng(int(id)).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC)


def noise(ids: list[str], vertices: int) -> Responses:
    """Responses without any signal, of vertices all over two spheres."""
    random = np.random.default_rng(0)
    values = random.standard_normal((len(ids), vertices), dtype=np.float32)
    places = random.standard_normal((vertices, 3))
    places *= 100 / np.linalg.norm(places, axis=1, keepdims=True)
    side = np.where(np.arange(vertices) < vertices // 2, "left", "right")
    space = Space("spheres", pd.DataFrame(places, columns=list("xyz")).assign(hemisphere=side))
    return Responses(values, pd.DataFrame({"stimulus": ids}), space)


def seen(backbone: HuggingFace) -> None:
    """One picture through the network."""
    with torch.no_grad():
        backbone.get_tokens(backbone.preprocess(drawn("0"))[None])


def tokens_of(pairs: Pairs, model: NeuralEncoder) -> dict[str, Any]:
    """A batch of scattered rows, as training reads them."""
    rows = np.linspace(0, len(pairs) - 1, model.batch_size).astype(np.int64)
    return {name: view[rows] for name, view in pairs.features.items()}


def step(model: NeuralEncoder, pairs: Pairs) -> None:
    """A pass forwards and backwards through the network that is trained."""
    place = next(model.net_.parameters()).device
    tokens = split_tokens(tokens_of(pairs, model), model.net_.layers, place)
    with torch.autocast(place.type, dtype=torch.bfloat16):
        pred, penalty = model.net_(*tokens)
    (pred.square().mean() + penalty).backward()
    model.net_.zero_grad(set_to_none=True)


def line(row: dict[str, Any]) -> str:
    """The row for people."""
    parts = [
        f"{part} {row[part]['seconds']:.1f} s at {row[part]['tflop_per_s']:.3g} TFLOP/s in {row[part]['precision']}, "
        f"{row[part]['share_of_ceiling']:.1%} of the device's most, {row[part]['peak_mb']:.0f} MB"
        for part in PRECISIONS
    ]
    return f"{row['job']}: {row['seconds']:.1f} s; {'; '.join(parts)}; {row['steps']} steps"
