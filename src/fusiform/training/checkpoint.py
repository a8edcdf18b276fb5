"""Checkpoints: everything that a fit needs to go on, in one safetensors file.

One file, because a rename of one file is the only thing that either happens or does not. What is no tensor stands as
JSON in its header.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from fusiform.errors import LayoutError
from fusiform.files import atomic, sweep

__all__ = ["load_tensors", "optimiser_tensors", "restore_optimiser", "save_tensors"]


def save_tensors(path: Path | str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors, and plain values beside them, to one file that is whole or not there.

    Args:
        path: ends in `.safetensors`.
        tensors: by name.
        facts: JSON; finite numbers only.
    """
    own = {name: value.detach().contiguous().clone() for name, value in tensors.items()}  # it refuses shared memory
    sweep(path)
    with atomic(path) as new:
        save_file(own, new, {"facts": json.dumps(facts, allow_nan=False)})


def load_tensors(path: Path | str, device: str = "cpu") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts that `save_tensors` wrote; nothing in the file is executed.

    Raises:
        LayoutError: the file is absent, damaged or from elsewhere.
    """
    try:
        with safe_open(path, "pt", device=device) as file:
            facts = json.loads(file.metadata()["facts"])
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as reason:
        raise LayoutError(f"{path} cannot be read as a saved model ({reason}); remove it to start anew") from reason


def optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    """What an optimiser remembers of each parameter, by the parameter's number and the memory's name."""
    state = optimiser.state_dict()["state"]
    return {f"optimiser.{number}.{name}": value for number, own in state.items() for name, value in own.items()}


def restore_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser of the same parameters back what it remembered."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, number, memory = name.split(".", 2)
            state.setdefault(int(number), {})[memory] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same under longer names."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those whose name begins with the prefix, without it."""
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(f"{prefix}.")}


def trained(net: nn.Module) -> dict[str, Tensor]:
    """The parameters that are learned, by name; they are the network's own, not copies."""
    return {name: value.data for name, value in net.named_parameters() if value.requires_grad}
