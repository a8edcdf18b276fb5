"""Extraction beside the bare network, start-up of a finished store, and random reads beside the disk.

    python -m benchmarks.features                     # the table, and benchmarks/results/features.json
    python -m benchmarks.features --tiny --repeats 1  # does it work?
    python -m benchmarks.features --jobs forward --device cuda

forward: pictures in PNG files through a random ViT-S/16 into a store, decoding and writing included, against the same
network's forward loop over the same pictures, decoded before. Both in rounds that take turns; medians, of the wall time
and of that of all cores together.
resume: `extract` on a store of 100,000 rows and 12 layers that is finished: what an interrupted job pays to go on.
read: batches of 32 random rows of token maps, through `Features`, against reads of the same rows from one plain file
straight into a batch; with the files' pages dropped before each round (cold) and not (warm); and the memory it took.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from benchmarks.meters import peak_memory, reset_peak, seconds
from benchmarks.results import RESULTS, keep, machine
from fusiform.data import Stimuli
from fusiform.features.extract import extract
from fusiform.features.preprocess import Picture
from fusiform.features.store import FeatureStore
from fusiform.features.tokens import Tokens, as_backbone

BATCH = 32


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", default="forward,resume,read", help="names, by commas")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pictures", type=int, default=None, help="of the job forward (default: 256)")
    parser.add_argument("--tiny", action="store_true", help="small, and written nowhere unless --out is given")
    parser.add_argument("--out", type=Path, default=None)
    settings = parser.parse_args(arguments)
    torch.set_num_threads(settings.threads)
    rows = []
    for name in settings.jobs.split(","):
        with tempfile.TemporaryDirectory() as folder:
            rows += JOBS[name](Path(folder), settings)
    for row in rows:
        print(", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{value}" for key, value in row.items()))
    out = settings.out or (None if settings.tiny else RESULTS / "features.json")
    if out is not None:
        for row in rows:
            keep(out, machine(settings.threads, settings.device), row)
        print(f"written to {out}")


class Network:
    """A random ViT, every block's tokens in one pass.

    Args:
        tiny: two narrow blocks instead of ViT-S/16.
    """

    def __init__(self, tiny: bool) -> None:
        from transformers import ViTConfig, ViTModel

        size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        small = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "intermediate_size": 1536}
        torch.manual_seed(0)
        self.model = ViTModel(ViTConfig(**(size if tiny else small)), add_pooling_layer=False).eval()

    def get_tokens(self, x: Tensor) -> Tokens:
        """[B, 3, 224, 224] to the tokens of every block."""
        states = self.model(x, output_hidden_states=True).hidden_states
        local = {f"block{n}": s[:, 1:].transpose(1, 2).reshape(len(x), -1, 14, 14) for n, s in enumerate(states)}
        return Tokens(local, {f"block{n}": s[:, 0] for n, s in enumerate(states)})


def forward(folder: Path, settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Wall time of extraction over that of the bare forward loop."""
    count = settings.pictures or (16 if settings.tiny else 256)
    stimuli, network = _pictures(folder / "pictures", count), Network(settings.tiny)
    preprocess = Picture(224, normalise="imagenet")
    backbone = as_backbone(network, name="vit-small", preprocess=preprocess)
    device = torch.device(settings.device)
    network.model.to(device)
    batches = [
        torch.stack([preprocess(stimuli.load(id)) for id in stimuli.ids[start : start + BATCH]])
        for start in range(0, len(stimuli), BATCH)
    ]

    @torch.inference_mode()
    def bare() -> None:
        for batch in batches:
            network.model(batch.to(device), output_hidden_states=True)

    ways: list[tuple[str | None, str]] = [(None, "float32"), (None, "float16"), ("mean", "float32")]
    times: dict[Any, list[float]] = {way: [] for way in ["bare", *ways]}
    cores: dict[Any, list[float]] = {way: [] for way in ["bare", *ways]}

    def timed(way: Any, work: Callable[[], None]) -> None:
        began = time.process_time()
        times[way].append(seconds(work))
        cores[way].append(time.process_time() - began)

    bare()  # what is allocated once is allocated
    for number in range(settings.repeats):
        timed("bare", bare)
        for reduce, dtype in ways:
            store = FeatureStore(folder / f"{number}{reduce}{dtype}")
            timed((reduce, dtype), lambda: _extract(stimuli, backbone, store, reduce, dtype, settings.device))  # noqa: B023
            _remove(store.folder)
    median, core = ({way: float(np.median(spent)) for way, spent in found.items()} for found in (times, cores))
    return [
        {
            "job": f"forward: {len(stimuli)} pictures, reduce={reduce}, {dtype}",
            "extract_s": median[reduce, dtype],
            "bare_s": median["bare"],
            "times_bare": median[reduce, dtype] / median["bare"],
            "times_bare_in_core_seconds": core[reduce, dtype] / core["bare"],
            "images_per_s": len(stimuli) / median[reduce, dtype],
            "rounds": {"extract": times[reduce, dtype], "bare": times["bare"]},
        }
        for reduce, dtype in ways
    ]


def resume(folder: Path, settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Seconds until `extract` on a finished store has its features."""
    count = 1_000 if settings.tiny else 100_000
    stimuli = Stimuli("numbers", "image", pd.DataFrame(index=[f"picture-{n:06d}" for n in range(count)]), int_of)
    backbone = as_backbone(Twelve(), name="twelve", preprocess=lambda number: torch.full((1,), float(number)))
    store = FeatureStore(folder / "store")
    extract(stimuli, backbone, store, batch_size=256)
    spent = [seconds(lambda: extract(stimuli, backbone, store, batch_size=256)) for _ in range(settings.repeats)]
    return [{"job": f"resume: {count} rows, 12 layers", "seconds": float(np.median(spent)), "rounds": spent}]


class Twelve:
    """Twelve layers of 64 numbers that cost nothing."""

    revision = "1"

    def get_tokens(self, x: Tensor) -> Tokens:
        """[B, 1] to 12 x [B, 64]."""
        return Tokens({f"layer{n}": x.expand(-1, 64) + n for n in range(12)}, {})


def int_of(id: str) -> int:
    return int(id.rpartition("-")[2])


def read(folder: Path, settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Bytes per second of random batches, through features and from a plain file."""
    count, layers = (256, 2) if settings.tiny else (4096, 2)
    network = Maps(layers)
    stimuli = Stimuli("numbers", "image", pd.DataFrame(index=[f"picture-{n:06d}" for n in range(count)]), int_of)
    backbone = as_backbone(network, name="maps", preprocess=lambda number: torch.full((1,), float(number)))
    features = extract(stimuli, backbone, FeatureStore(folder / "store"), dtype="float16")
    array = features.arrays["layer0"]
    row = int(np.prod(array.shape[1:])) * 2
    plain = folder / "plain"
    with plain.open("wb") as file:
        for start in range(0, count, 256):
            file.write(np.asarray(array[start : start + 256]).tobytes())
    files = [file for file in (folder / "store").rglob("*") if file.is_file()]
    order = np.random.default_rng(0).permutation(count).reshape(-1, BATCH)

    def through_features() -> None:
        for rows in order:
            array[rows]

    def from_disk() -> None:
        with plain.open("rb", buffering=0) as file:
            for rows in order:
                batch = np.empty((len(rows), row), np.uint8)
                for slot in np.argsort(rows).tolist():
                    os.preadv(file.fileno(), [batch[slot]], int(rows[slot]) * row)

    found = []
    for state in ("cold", "warm"):
        times: dict[str, list[float]] = {"features": [], "disk": []}
        before, peak = reset_peak(), 0
        for _ in range(settings.repeats):
            for name, work, own in (("disk", from_disk, [plain]), ("features", through_features, files)):
                _drop(own) if state == "cold" else work()
                times[name].append(seconds(work))
            peak = max(peak, peak_memory() - before)
        speed = {name: count * row / 1e6 / float(np.median(spent)) for name, spent in times.items()}
        found.append(
            {
                "job": f"read: {count} rows of {row} bytes in random batches of {BATCH}, {state}",
                "features_mb_s": speed["features"],
                "disk_mb_s": speed["disk"],
                "share_of_disk": speed["features"] / speed["disk"],
                "held_mb": peak / 2**20,
                "rounds": times,
            }
        )
    return found


class Maps:
    """Layers of token maps [B, 768, 16, 16] that cost little."""

    revision = "1"

    def __init__(self, layers: int) -> None:
        self.layers = layers
        self.pattern = torch.rand(768, 16, 16, generator=torch.Generator().manual_seed(0))

    def get_tokens(self, x: Tensor) -> Tokens:
        """[B, 1] to maps."""
        maps = self.pattern + x[:, :, None, None] / 4096
        return Tokens({f"layer{n}": maps + n for n in range(self.layers)}, {})


JOBS: dict[str, Callable[[Path, argparse.Namespace], list[dict[str, Any]]]] = {
    "forward": forward,
    "resume": resume,
    "read": read,
}


def _extract(stimuli: Stimuli, backbone: Any, store: FeatureStore, reduce: str | None, dtype: Any, device: str) -> None:
    extract(stimuli, backbone, store, reduce=reduce, dtype=dtype, batch_size=BATCH, device=device)


def _pictures(folder: Path, count: int) -> Stimuli:
    """Smooth random pictures of 256 x 256 in PNG files."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8))
        coarse.resize((256, 256), Image.Resampling.BICUBIC).save(folder / f"{number:04d}.png")
    table = pd.DataFrame(index=[f"{number:04d}" for number in range(count)])
    return Stimuli("pictures", "image", table, lambda id: Image.open(folder / f"{id}.png").convert("RGB"))


def _drop(files: Sequence[Path]) -> None:
    """Let the system forget the pages of these files, where it can."""
    if not hasattr(os, "posix_fadvise"):
        return
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
