"""The fit loop: seeded, stopped by validation, and resumed after any kill with the result of an undisturbed run."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from fusiform.errors import SettingsError
from fusiform.training.batches import in_turn
from fusiform.training.checkpoint import (
    load_tensors,
    optimiser_tensors,
    prefixed,
    restore_optimiser,
    save_tensors,
    trained,
    under,
)
from fusiform.training.generators import lent
from fusiform.training.memory import keep_freed
from fusiform.training.settings import Settings, find_device

__all__ = ["History", "Problem", "fit"]


EPSILON = 1e-12  # of AdamW: in a mean over very many targets, the gradient of one's weights is as small as 1e-8


class Problem(Protocol):
    """What is learned."""

    @property
    def net(self) -> nn.Module:
        """The network, trained in place."""

    def batches(self, epoch: int) -> Sequence[Any]:
        """What the steps of one epoch are about, as many in each; it follows from the epoch alone (see `shuffled`)."""

    def read(self, batch: Any) -> Any:
        """The numbers of a batch. For a GPU it is called ahead of time, by several threads; it changes no network."""

    def loss(self, data: Any, step: int) -> Tensor:
        """Of what `read` gave, on the network's device; the step counts from 0 through all epochs."""

    def validate(self) -> float | None:
        """Loss on rows that are not learned from, in evaluation mode; None where there are none."""

    def groups(self) -> Sequence[Mapping[str, Any]]:
        """Parameters, each with its `rate`, the share of the learning rate that it takes."""


@dataclass
class History:
    """What happened in each epoch.

    Args:
        epochs: for each `epoch`, `loss` (mean over its steps) and, where there is one, `validation`.
        best: number of the epoch whose weights were kept: the best on validation, else the last.
        steps: taken in all.
        done: whether the fit has ended.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    best: int = -1
    steps: int = 0
    done: bool = False


def fit(
    problem: Problem,
    settings: Settings,
    *,
    file: Path | str | None = None,
    key: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> History:
    """Train a network; afterwards it has the weights that were best on validation, or else the last.

    The order of rows follows from seed and epoch, and whatever the network draws from seed and step, so that nothing of
    either has to be remembered. The process' own random numbers are left as they were.

    Args:
        problem: what is learned; its network is moved to the device and trained in place.
        settings: how.
        file: a checkpoint (`.safetensors`) that is written on the way, and gone on from where it is there.
        key: JSON that tells this fit from others; settings that change numbers belong in it.
        progress: show a bar.

    Raises:
        SettingsError: the checkpoint is of another fit, the loss is no longer a number, or there is no such device.
        LayoutError: the checkpoint is damaged.
    """
    keep_freed()
    loop = _Loop(problem, settings, None if file is None else Path(file), json.loads(json.dumps(key or {})))
    with lent(loop.device) as loop.seed:
        return loop.run(progress)


class _Loop:
    seed: Callable[[int], None]

    def __init__(self, problem: Problem, settings: Settings, file: Path | None, key: dict[str, Any]) -> None:
        self.problem, self.settings, self.file, self.key = problem, settings, file, key
        self.device = find_device(settings.device)
        problem.net.to(self.device)
        self.weights = trained(problem.net)
        self.average = {name: value.clone() for name, value in self.weights.items()} if settings.ema else {}
        self.best = {name: value.clone() for name, value in self.weights.items()}
        self.groups = [dict(group) for group in problem.groups()]
        self.optimiser = torch.optim.AdamW(
            [{"params": list(group["params"])} for group in self.groups],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            eps=EPSILON,
            fused=True,
        )
        self.total = torch.zeros((), dtype=torch.float64, device=self.device)  # of the losses of this epoch
        self.within = 0  # steps of this epoch
        self.history = History()

    def run(self, progress: bool) -> History:
        self._restore()
        steps = self.settings.epochs * len(self.problem.batches(0))
        with tqdm(total=steps, initial=self.history.steps, desc="fit", unit="step", disable=not progress) as bar:
            while not self._over():
                self._epoch(steps, bar)
                bar.set_postfix({name: f"{value:.4g}" for name, value in self.history.epochs[-1].items()})
        for name, value in self.weights.items():
            value.copy_(self.best[name])
        self.problem.net.eval()
        if not self.history.done:
            self.history.done = True
            self._save()
        return self.history

    def _over(self) -> bool:
        finished, patience = len(self.history.epochs), self.settings.patience
        tired = patience is not None and finished - 1 - self.history.best >= patience
        return self.history.done or finished >= self.settings.epochs or tired

    def _epoch(self, steps: int, bar: Any) -> None:
        batches = self.problem.batches(len(self.history.epochs))
        self.problem.net.train()
        for data in in_turn(self.problem.read, batches[self.within :], self.device):
            self._step(data, steps)
            bar.update()
            if self.within < len(batches) and self.history.steps % self.settings.save_steps == 0:
                self._save()
        self._close(len(batches))
        self._save()

    def _step(self, data: Any, steps: int) -> None:
        step = self.history.steps
        self.seed(int(np.random.SeedSequence([self.settings.seed, step]).generate_state(1)[0]))
        share = self.settings.rate(step, steps) * self.settings.learning_rate
        for group, own in zip(self.optimiser.param_groups, self.groups, strict=True):
            group["lr"] = share * own["rate"]
        self.optimiser.zero_grad(set_to_none=True)
        with self._precision():
            loss = self.problem.loss(data, step)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.settings.clip is not None:
            nn.utils.clip_grad_norm_(self.problem.net.parameters(), self.settings.clip)
        self.optimiser.step()
        self.total += loss.detach()
        self._move_average(step)
        self.within, self.history.steps = self.within + 1, step + 1

    def _move_average(self, step: int) -> None:
        """While there are few steps, all of them count: an average begun with random weights would keep them long."""
        if self.settings.ema:
            kept = min(self.settings.ema, (step + 1) / (step + 10))
            for name, value in self.average.items():
                value.lerp_(self.weights[name], 1 - kept)

    def _close(self, count: int) -> None:
        """End an epoch: note its loss, validate, and keep the weights if they are the best."""
        number = len(self.history.epochs)
        found = {"epoch": float(number), "loss": float(self.total) / count}
        self.problem.net.eval()
        with self._averaged(), torch.no_grad(), self._precision():
            validation = self.problem.validate()
            if validation is not None:
                found["validation"] = validation
            self._check(found)
            if validation is None or self.history.best < 0 or validation < self._lowest():
                self.history.best = number
                for name, value in self.weights.items():
                    self.best[name].copy_(value)
        self.history.epochs.append(found)
        self.within = 0
        self.total.zero_()

    def _lowest(self) -> float:
        return self.history.epochs[self.history.best]["validation"]

    def _check(self, found: Mapping[str, float]) -> None:
        if not np.isfinite(list(found.values())).all():
            raise SettingsError(
                f"the loss is no longer a number in epoch {found['epoch']:g} ({found['loss']}); lower learning_rate "
                f"(it is {self.settings.learning_rate:g}) or see whether the features hold NaN or huge values"
            )

    def _precision(self) -> Any:
        half = self.settings.half(self.device)
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if half else nullcontext()

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The network with its averaged weights inside, if there are any."""
        last = {name: self.weights[name].clone() for name in self.average}
        for name, value in self.average.items():
            self.weights[name].copy_(value)
        yield
        for name, value in last.items():
            self.weights[name].copy_(value)

    def _save(self) -> None:
        if self.file is None:
            return
        parts = {"weights": self.weights, "average": self.average, "best": self.best}
        tensors = {name: value for part, values in parts.items() for name, value in prefixed(part, values).items()}
        tensors |= optimiser_tensors(self.optimiser) | {"total": self.total}
        facts = {"key": self.key, "within": self.within, "history": asdict(self.history)}
        save_tensors(self.file, tensors, facts)

    def _restore(self) -> None:
        if self.file is None or not self.file.exists():
            return
        tensors, facts = load_tensors(self.file)
        self._check_same(facts["key"])
        for part, values in (("weights", self.weights), ("average", self.average), ("best", self.best)):
            for name, value in under(part, tensors).items():
                values[name].copy_(value)
        restore_optimiser(self.optimiser, tensors)
        self.total.copy_(tensors["total"])
        self.within, self.history = facts["within"], History(**facts["history"])

    def _check_same(self, key: Mapping[str, Any]) -> None:
        names = [name for name in {**self.key, **key} if self.key.get(name) != key.get(name)]
        if names:
            raise SettingsError(
                f"{self.file} is of a fit that differs in {', '.join(names)} (there {key.get(names[0])!r}, now "
                f"{self.key.get(names[0])!r}); give another folder, or remove it"
            )
