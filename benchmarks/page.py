"""What was measured, as a page of the docs: `python -m benchmarks.page` writes docs/speed.md from the results kept."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import RESULTS
from fusiform.files import read_json, write_text

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
Row = dict[str, Any]

HEAD = """# What was measured

""" + " ".join(
    [
        "Every table is written from `benchmarks/results` by `python -m benchmarks.page`; `make bench` measures anew.",
        "Contenders take turns on the same arrays in one run, each with its best settings, and medians are given.",
        "The floor is the time of the products of matrices that nobody can do without, in the same run.",
        "In brackets behind another's time: how many of ours it is; behind a floor's: how many of it ours is.\n",
    ]
)


def page() -> str:
    """All of it, in Markdown."""
    return "\n".join([HEAD, *(section(*part) for part in SECTIONS)])


def section(name: str, title: str, about: str, heads: Sequence[str], cells: Callable[[Row], Sequence[str]]) -> str:
    """A table for each machine that has rows of which cells can be made."""
    rows = [(where(row), cells(row)) for row in read_json(RESULTS / f"{name}.json")["rows"]]
    machines = dict.fromkeys(machine for machine, found in rows if found)
    tables = (table(machine, heads, [found for own, found in rows if found and own == machine]) for machine in machines)
    return "\n".join([f"## {title}\n\n{about}\n", *tables])


def table(machine: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns after the first stand to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return f"{machine}:\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def where(row: Row) -> str:
    """The machine, in words."""
    known = row["machine"]
    threads = f", {known['threads']} threads" if "threads" in known else ""
    return known.get("gpu", known["cpu"]) + threads


def ridge(row: Row) -> Sequence[str]:
    peers = row["times_peer"]
    others = [f"{row['peers'][name]:,.1f} s ({peers[name]:.1f} x)" if name in peers else "" for name in PEERS]
    floor = f"{row['floor_s']:.2f} s ({row['times_floor']:.2f} x)"
    return [row["job"], f"**{row['ours_s']:.2f} s**", *others, floor, f"{row['peak_mb']:,.0f} MB"]


def features(row: Row) -> Sequence[str]:
    if "bare_s" in row:
        return [row["job"], f"{row['extract_s']:.1f} s", f"{row['times_bare']:.2f} x the bare model"]
    if "disk_mb_s" in row:
        return [row["job"], f"{row['features_mb_s']:,.0f} MB/s", f"{row['share_of_disk']:.2f} of the plain file's rate"]
    return [row["job"], f"{row['seconds']:.2f} s", "until the first new row"] if "seconds" in row else []


def datasets(row: Row) -> Sequence[str]:
    samples, targets = row["shape"]
    spent = [f"{row[f'{state}_seconds']:.1f} s ({row[f'{state}_times_plain']:.1f} x)" for state in ("cold", "warm")]
    return [row["job"], f"{samples:,} x {targets:,}", *spent, f"{row['memory_ratio']:.2f} x"]


def selector(row: Row) -> Sequence[str]:
    if "times_plain" not in row:
        return []
    plain, memory = f"{row['plain_s']:.2f} s ({row['times_plain']:.1f} x)", f"{row['memory_of_plain']:.2f}"
    return [row["job"], f"**{row['ours_s']:.3f} s**", plain, memory]


PEERS = ("himalaya", "scikit-learn")
SECTIONS = (
    (
        "ridge",
        "Ridge",
        "60 alphas, 5 folds, float32, weights included; himalaya with its fastest backend, solver and batches. The "
        "streamed job reads its responses from the disk; himalaya's time there is extrapolated from smaller numbers of "
        "targets.",
        ("job", "fusiform", *PEERS, "floor", "peak memory"),
        ridge,
    ),
    (
        "features",
        "Features",
        "A ViT of size S and 256 pictures; the bare model runs on them as tensors, with nothing kept.",
        ("job", "fusiform", ""),
        features,
    ),
    (
        "datasets",
        "Datasets",
        "Betas as NSD publishes them, read, standardised by session and handed over as float32, beside reading (and "
        "unpacking) the bytes of all files with nothing done to them: in brackets, how many times that; cold, from the "
        "disk, and warm, from memory. The peak of memory is beside that of the result.",
        ("layout", "trials x targets", "cold", "warm", "peak memory"),
        datasets,
    ),
    (
        "selector",
        "Selector encoder",
        "Forward, backward and optimiser, beside sampling and mixing by the plain formula; memory is that of the "
        "plain formula's process.",
        ("step", "fusiform", "plain formula", "memory"),
        selector,
    ),
)

if __name__ == "__main__":
    write_text(PAGE, page())
    print(f"written to {PAGE}")
