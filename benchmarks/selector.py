"""The selector encoder: a training step beside the plain formula and its matrix products, and the whole published job.

    python -m benchmarks.selector                     # the table, and benchmarks/results/selector.json
    python -m benchmarks.selector --tiny              # does it work?
    python -m benchmarks.selector --vertices 5000 --batch 32 --device cuda
    python -m benchmarks.selector --jobs whole --device cuda --threads 16       # see whole.py

A step is forward, backward and optimiser on random tokens, with targets that look all over the picture (at first all
look at its middle, where ours is faster). Every contender runs in a process of its own, so that peak memory is its own;
the contenders take turns `--repeats` times, for at least a second of steps each, and medians are given. The plain
formula samples every layer's grid at every target's place, and mixes; its networks on coordinates, its parameters, its
fused AdamW and what it keeps of freed memory are ours. The dense floor is three products of [vertices, tokens] with
[tokens, batch x width], one forwards and two backwards, and nothing else; the touched floor is the same with the tokens
that a vertex touches: four cells and a global token per layer.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.meters import peak_memory, seconds
from benchmarks.results import RESULTS, keep, machine
from fusiform.nets.selector import Selector, TokenShape
from fusiform.training.memory import keep_freed

CONTENDERS = ("ours", "plain", "dense_floor", "touched_floor")
TILE = 1024  # vertices of a product of the floors
UNTIMED = 2  # steps: the first makes what the optimiser remembers, and the second what has no room beside that
SPREAD = 0.7  # deviation of places before the tanh: they are all over the picture


def main(arguments: Sequence[str] = ()) -> None:
    settings = parse(arguments)
    if settings.child:
        print(json.dumps(measure(settings)))
        return
    out = settings.out or (None if settings.tiny else RESULTS / "selector.json")
    for name in settings.jobs.split(","):
        for row, text in JOBS[name](settings):
            print(text, flush=True)
            if out is not None:
                keep(out, machine(settings.threads, settings.device), row)
    if out is not None:
        print(f"written to {out}")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", default="step", help="step or whole, or both by a comma")
    parser.add_argument("--vertices", default="5000,37984", help="numbers, by commas")
    for name, default in (("batch", 8), ("layers", 12), ("channels", 768), ("grid", 8), ("width", 128)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="timed in each process, at least")
    parser.add_argument("--seconds", type=float, default=1.0, help="timed in each process, at least")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--half", action="store_true", help="products in bfloat16")
    parser.add_argument("--tiny", action="store_true", help="a small problem, written nowhere unless --out is given")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    settings = parser.parse_args(arguments)
    if settings.tiny:
        settings.vertices, settings.layers, settings.channels, settings.width = "300", 3, 16, 16
        settings.repeats, settings.steps, settings.seconds = 1, 1, 0.0
    return settings


def steps(settings: argparse.Namespace) -> Iterator[tuple[dict[str, Any], str]]:
    """A row for each number of vertices, and what to say of it."""
    for vertices in (int(count) for count in settings.vertices.split(",")):
        row = compare(settings, vertices)
        yield row, line(row)


def whole(settings: argparse.Namespace) -> Iterator[tuple[dict[str, Any], str]]:
    """The row of the whole job, and what to say of it."""
    import benchmarks.whole as job  # not above: its packages would count as memory of the contenders

    row = job.whole(settings)
    yield row, job.line(row)


JOBS = {"step": steps, "whole": whole}


def compare(settings: argparse.Namespace, vertices: int) -> dict[str, Any]:
    """One row: medians over rounds in which the contenders take turns."""
    names = settings.contenders.split(",")
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(settings.repeats):
        for name in names:
            found[name].append(in_a_process(settings, vertices, name))
    row: dict[str, Any] = {"job": named(settings, vertices), "vertices": vertices, "repeats": settings.repeats}
    for name, rounds in found.items():
        row[f"{name}_s"] = median([spent for one in rounds for spent in one["seconds"]])
        row[f"{name}_peak_mb"] = median([one["peak_mb"] for one in rounds])
    if {"ours", "plain"} <= set(names):
        row["times_plain"] = row["plain_s"] / row["ours_s"]
        row["memory_of_plain"] = row["ours_peak_mb"] / row["plain_peak_mb"]
    if {"ours", "dense_floor", "touched_floor"} <= set(names):
        row["times_dense_floor"] = row["ours_s"] / row["dense_floor_s"]
        row["times_touched_floor"] = row["ours_s"] / row["touched_floor_s"]
    return {**row, "rounds": found}


def named(settings: argparse.Namespace, vertices: int) -> str:
    """A step by its sizes."""
    tokens = f"{settings.layers} layers of {settings.channels} on {settings.grid} x {settings.grid}"
    half = ", bfloat16" if settings.half else ""
    return f"step: {vertices} vertices, batch {settings.batch}, {tokens}, width {settings.width}{half}"


def in_a_process(settings: argparse.Namespace, vertices: int, name: str) -> dict[str, Any]:
    sizes = ("batch", "layers", "channels", "grid", "width", "steps", "seconds", "threads", "device")
    command = [sys.executable, "-m", "benchmarks.selector", "--child", name, "--vertices", str(vertices)]
    command += [word for size in sizes for word in (f"--{size}", str(getattr(settings, size)))]
    done = subprocess.run(command + ["--half"] * settings.half, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def measure(settings: argparse.Namespace) -> dict[str, Any]:
    """In a process of its own: seconds of every step but the first two, and the most memory."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    step = STEPS[settings.child](settings)
    spent: list[float] = []
    while len(spent) < UNTIMED + settings.steps or sum(spent[UNTIMED:]) < settings.seconds:
        spent.append(seconds(step))
    return {"seconds": spent[UNTIMED:], "peak_mb": peak_memory(settings.device) / 2**20}


def training(settings: argparse.Namespace, predict: Callable[..., Tensor]) -> Callable[[], None]:
    """A training step with a way to predict, in the memory that a training keeps."""
    keep_freed()
    net = made(settings).to(settings.device)
    layers, shape = net.layers, (settings.batch, settings.channels)
    local = {layer: torch.randn(*shape, settings.grid, settings.grid, device=settings.device) for layer in layers}
    global_ = {layer: torch.randn(*shape, device=settings.device) for layer in layers}
    responses = torch.randn(settings.batch, int(settings.vertices), device=settings.device)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(torch.device(settings.device).type, dtype=torch.bfloat16, enabled=settings.half):
            pred = predict(net, local, global_)
        functional.smooth_l1_loss(pred, responses, beta=0.1).backward()
        optimiser.step()

    return step


def made(settings: argparse.Namespace) -> Selector:
    """A net whose targets look all over the picture."""
    shape = TokenShape(settings.channels, (settings.grid, settings.grid), settings.channels)
    shapes = {f"block{number}": shape for number in range(settings.layers)}
    net = Selector(shapes, [functional.normalize(torch.randn(int(settings.vertices), 3)) * 100], width=settings.width)
    selectors = net.targets[0]
    with torch.no_grad():
        last = selectors.place[-1]
        last.weight.normal_()
        spread, mean = torch.std_mean(selectors.place(selectors.code), 0)  # [2], before the tanh
        last.weight *= SPREAD / spread[:, None]
        last.bias -= SPREAD * mean / spread
    return net


def ours(net: Selector, local: dict[str, Tensor], global_: dict[str, Tensor]) -> Tensor:
    return net(local, global_)[0]


def plain(net: Selector, local: dict[str, Tensor], global_: dict[str, Tensor]) -> Tensor:
    """Sample every layer, then mix; all intermediate results are kept for the backward pass."""
    choice, targets = net.choose(), net.targets[0]
    where = choice.place[None, :, None].expand(len(next(iter(local.values()))), -1, -1, -1)  # [B, N, 1, 2]
    near: Any = 0
    wide: Any = 0
    for number, (layer, part) in enumerate(zip(net.layers, net.bottlenecks, strict=True)):
        grid = part.local(part.local_units(local[layer]).movedim(1, -1)).movedim(-1, 1)  # [B, D, H, W]
        sampled = functional.grid_sample(grid, where, align_corners=False)[..., 0]  # [B, D, N]
        near = near + choice.layer[:, number] * sampled
        wide = wide + choice.layer[:, number] * part.global_(part.global_units(global_[layer]))[:, :, None]
    mixed = (1 - choice.scale) * near + choice.scale * wide
    return (mixed * targets.weight.T).mean(1) + targets.bias


def products(settings: argparse.Namespace, tokens: int) -> Callable[[], None]:
    """One product forwards and two backwards, `TILE` vertices at a time."""
    kind = torch.bfloat16 if settings.half else torch.float32
    values = torch.randn(tokens, settings.batch * settings.width, device=settings.device, dtype=kind)
    weights = torch.randn(min(TILE, int(settings.vertices)), tokens, device=settings.device, dtype=kind)

    def step() -> None:
        for start in range(0, int(settings.vertices), TILE):
            some = weights[: int(settings.vertices) - start]
            mixed = some @ values
            mixed @ values.T
            some.T @ mixed

    return step


STEPS: dict[str, Callable[[argparse.Namespace], Callable[[], None]]] = {
    "ours": lambda settings: training(settings, ours),
    "plain": lambda settings: training(settings, plain),
    "dense_floor": lambda settings: products(settings, settings.layers * (settings.grid**2 + 1)),
    "touched_floor": lambda settings: products(settings, settings.layers * 5),
}


def median(values: Sequence[float]) -> float:
    return float(torch.tensor(values, dtype=torch.float64).quantile(0.5))


def line(row: dict[str, Any]) -> str:
    """A row of the table, for people."""
    words = [f"{row['vertices']:>6} vertices:"]
    words += [
        f"{name[:-2]} {row[name]:.3g} s, {row[name[:-2] + '_peak_mb']:.0f} MB;" for name in row if name.endswith("_s")
    ]
    if "times_plain" in row:
        words.append(f"{row['times_plain']:.1f} times as fast in {row['memory_of_plain']:.2f} of the memory")
    return " ".join(words)


if __name__ == "__main__":
    main(sys.argv[1:])
