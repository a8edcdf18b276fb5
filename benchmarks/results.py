"""Where results are kept: a row for each job on each machine; other machines' rows stay."""

import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fusiform.files import read_json, write_json

RESULTS = Path(__file__).parent / "results"


def keep(out: Path, where: dict[str, Any], row: dict[str, Any]) -> None:
    """Put a row in the place of that of the same job on the same machine, or after all others.

    Args:
        out: a JSON file, which may not be there yet.
        where: the machine.
        row: has a `job`.
    """
    rows = read_json(out)["rows"] if out.exists() else []
    new = {"job": row["job"], "machine": where, "versions": versions(), **row}
    same = [old["machine"] == where and old["job"] == row["job"] for old in rows]
    kept = [new if again else old for old, again in zip(rows, same, strict=True)]
    write_json(out, {"rows": kept if any(same) else [*kept, new]})


def machine(threads: int | None = None, device: str = "cpu") -> dict[str, Any]:
    """What it runs on.

    Args:
        threads: of torch; None where it has no part.
        device: such as `"cuda"`.
    """
    cpu = next((text.split(":")[1].strip() for text in _read("/proc/cpuinfo") if text.startswith("model name")), "")
    found: dict[str, Any] = {"cpu": cpu or platform.processor(), "system": platform.system()}
    if threads is not None:
        found |= {"threads": threads, "device": device}
    if device.startswith("cuda"):
        found["gpu"] = torch.cuda.get_device_name(device)
    return found


def versions() -> dict[str, str]:
    """Of what decides times; a newer one takes the row's place."""
    return {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__}


def _read(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
