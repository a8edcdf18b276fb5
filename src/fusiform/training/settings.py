"""How a network is trained."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from fusiform.errors import SettingsError

__all__ = ["Precision", "Schedule", "Settings", "find_device"]

Precision = Literal["auto", "float32", "bfloat16"]
Schedule = Literal["cosine", "constant"]


@dataclass(frozen=True)
class Settings:
    """How a network is trained; what is learned is a `Problem`.

    Args:
        epochs: passes over the training rows, at most.
        batch_size: rows of a step.
        learning_rate: of AdamW, where the schedule has its top.
        weight_decay: of AdamW, decoupled from the gradient.
        schedule: `"cosine"` falls to zero along half a cosine, `"constant"` stays.
        warmup: share of all steps during which the rate rises from zero in a straight line.
        clip: largest norm of all gradients together; longer ones are shortened to it. None leaves them.
        patience: epochs without a better validation loss after which training stops; None goes on to the end.
        ema: the weights that are kept are a moving average, of which this share stays in each step; None keeps the
            last ones.
        precision: of products: `"bfloat16"` (weights stay in float32), `"float32"`, or `"auto"`: the first on a GPU
            that has it.
        device: `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"`.
        seed: of the order of the rows, and of whatever the network draws.
        save_steps: a checkpoint is written after so many steps, and after every epoch.

    Raises:
        SettingsError: one cannot be; its name is in the message.
    """

    epochs: int = 15
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    schedule: Schedule = "cosine"
    warmup: float = 0.1
    clip: float | None = 0.5
    patience: int | None = None
    ema: float | None = None
    precision: Precision = "auto"
    device: str = "auto"
    seed: int = 0
    save_steps: int = 500

    def __post_init__(self) -> None:
        for name, least in {"epochs": 1, "batch_size": 1, "seed": 0, "save_steps": 1}.items():
            _check(name, getattr(self, name), isinstance(getattr(self, name), int), least, math.inf)
        _check("learning_rate", self.learning_rate, self.learning_rate != 0, 0, math.inf)
        _check("weight_decay", self.weight_decay, True, 0, math.inf)
        _check("warmup", self.warmup, True, 0, 1)
        for name, least, most in (("clip", 0, math.inf), ("patience", 1, math.inf), ("ema", 0, 1)):
            if getattr(self, name) is not None:
                _check(name, getattr(self, name), True, least, most)
        for name, options in (("schedule", get_args(Schedule)), ("precision", get_args(Precision))):
            if getattr(self, name) not in options:
                raise SettingsError(f"{name} is {getattr(self, name)!r}; wanted one of: {', '.join(options)}")

    def rate(self, step: int, steps: int) -> float:
        """Share of the learning rate at a step (from 0) of so many."""
        rising = max(1, round(self.warmup * steps))
        if self.warmup and step < rising:
            return (step + 1) / rising
        if self.schedule == "constant":
            return 1.0
        begun = rising if self.warmup else 0
        return 0.5 * (1 + math.cos(math.pi * (step - begun) / max(1, steps - begun)))

    def half(self, device: torch.device) -> bool:
        """Whether products are made in bfloat16 on a device."""
        if self.precision == "auto":
            return device.type == "cuda" and torch.cuda.is_bf16_supported()
        return self.precision == "bfloat16"


def find_device(name: str) -> torch.device:
    """A device by name; `"auto"` is a GPU where there is one.

    Raises:
        SettingsError: it cannot be used here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError) as reason:
        raise SettingsError(
            f"device {name!r} cannot be used ({str(reason).splitlines()[0]}); give 'auto' or 'cpu'"
        ) from reason


def _check(name: str, value: object, kind: bool, least: float, most: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and kind and least <= value <= most and math.isfinite(value)):  # type: ignore[operator,arg-type]
        above = f" to {most:g}" if most < math.inf else " up"
        raise SettingsError(f"{name} is {value!r}; wanted a number from {least:g}{above}{'' if kind else ', whole'}")
