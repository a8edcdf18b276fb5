"""The fit loop: what it promises about seeds, kills, validation, averages and rates."""

import math
import platform
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from fusiform.errors import LayoutError, SettingsError
from fusiform.training import Settings, fit, shuffled
from fusiform.training.batches import ahead, in_turn
from fusiform.training.checkpoint import load_tensors, save_tensors
from fusiform.training.settings import find_device

SETTINGS = Settings(epochs=4, batch_size=8, learning_rate=0.05, device="cpu", save_steps=2)


class Line:
    """A line through points, by a network that also drops inputs at random."""

    def __init__(self, settings=SETTINGS, dropout=0.2, validation=False, dies=None, seed=0):
        torch.manual_seed(seed)
        self.net = nn.Sequential(nn.Dropout(dropout), nn.Linear(3, 2))
        random = np.random.default_rng(5)
        self.x = torch.from_numpy(random.standard_normal((30, 3))).float()
        self.y = self.x[:, :2] * 2 - 1
        self.settings, self.validation, self.dies, self.steps = settings, validation, dies, []

    def batches(self, epoch):
        return shuffled({"points": 30}, self.settings.batch_size, self.settings.seed, epoch)

    def read(self, batch):
        return self.x[batch[1]], self.y[batch[1]]

    def loss(self, data, step):
        if step == self.dies:
            raise KeyboardInterrupt
        self.steps.append(step)
        x, y = (part.to(next(self.net.parameters()).device) for part in data)
        return (self.net(x) - y).square().mean()

    def validate(self):
        return float((self.net(self.x) - self.y).square().mean()) if self.validation else None

    def groups(self):
        return [{"params": list(self.net.parameters()), "rate": 1.0}]


def weights(problem):
    return torch.cat([parameter.detach().flatten() for parameter in problem.net.parameters()])


def trained(settings=SETTINGS, **arguments):
    problem = Line(settings, **arguments)
    return problem, fit(problem, settings)


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    first, history = trained()
    second, again = trained()
    other, _ = trained(replace(SETTINGS, seed=1))
    assert torch.equal(weights(first), weights(second))
    assert history == again
    assert not torch.equal(weights(first), weights(other))
    assert first.steps == list(range(16))
    assert not first.net.training


def test_random_numbers_of_the_process_are_left_alone(monkeypatch):
    """Those of GPUs, too, which `torch.manual_seed` would set for good, whether they are in use or not."""
    torch.manual_seed(3)
    problem, seeded = Line(), []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    before = torch.random.get_rng_state()
    fit(problem, SETTINGS)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert seeded == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_draws_by_the_seed_and_its_random_numbers_are_left_alone():
    settings = replace(SETTINGS, device="cuda")
    first, second = Line(settings), Line(settings)
    before = torch.cuda.get_rng_state_all()
    for problem in (first, second):
        fit(problem, settings)
    assert torch.equal(weights(first), weights(second))
    assert all(torch.equal(one, other) for one, other in zip(torch.cuda.get_rng_state_all(), before, strict=True))


@pytest.mark.parametrize("dies", range(0, 16, 3))
@pytest.mark.parametrize("ema", [None, 0.9])
def test_killed_at_any_step_it_goes_on_to_the_same_bits(tmp_path, dies, ema):
    settings = replace(SETTINGS, ema=ema)
    whole, history = trained(settings, validation=True)
    file = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        fit(Line(settings, validation=True, dies=dies), settings, file=file)
    problem = Line(settings, validation=True, seed=77)  # its first weights do not matter
    if not file.exists():
        assert dies < 2
        problem = Line(settings, validation=True)
    assert fit(problem, settings, file=file) == history
    assert torch.equal(weights(problem), weights(whole))
    assert len(problem.steps) <= 16 - max(0, dies - 2)


def test_a_finished_fit_is_not_repeated(tmp_path):
    file = tmp_path / "checkpoint.safetensors"
    first, second = Line(), Line(seed=9)
    history = fit(first, SETTINGS, file=file)
    assert fit(second, SETTINGS, file=file) == history
    assert second.steps == []
    assert torch.equal(weights(first), weights(second))


def test_no_scratch_and_no_pickle_is_left(tmp_path):
    file = tmp_path / "checkpoint.safetensors"
    (tmp_path / ".checkpoint.safetensors.999999.abc").mkdir()  # of a process that was killed
    fit(Line(), SETTINGS, file=file)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert file.read_bytes()[8:9] == b"{"


def test_a_checkpoint_of_another_fit_is_refused(tmp_path):
    file = tmp_path / "checkpoint.safetensors"
    fit(Line(), SETTINGS, file=file, key={"rate": 1, "sizes": (2, 3)})
    fit(Line(), SETTINGS, file=file, key={"rate": 1, "sizes": (2, 3)})
    with pytest.raises(SettingsError, match=r"differs in rate \(there 1, now 2\)"):
        fit(Line(), SETTINGS, file=file, key={"rate": 2, "sizes": (2, 3)})


def test_a_damaged_checkpoint_is_said_to_be_damaged(tmp_path):
    file = tmp_path / "checkpoint.safetensors"
    fit(Line(), SETTINGS, file=file)
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(LayoutError, match="cannot be read"):
        fit(Line(), SETTINGS, file=file)


class Scripted(Line):
    """Validation losses that were written beforehand; the weights of each epoch are noted."""

    def __init__(self, losses, settings):
        super().__init__(settings)
        self.losses, self.seen = list(losses), []

    def validate(self):
        self.seen.append(weights(self).clone())
        return self.losses[len(self.seen) - 1]


def test_stops_without_progress_and_keeps_the_best_epoch():
    settings = replace(SETTINGS, epochs=9, patience=3)
    problem = Scripted([5, 3, 4, 3, 3.5, 1, 1, 1, 1], settings)
    history = fit(problem, settings)
    assert len(history.epochs) == 5
    assert history.best == 1
    assert torch.equal(weights(problem), problem.seen[1])
    assert not torch.equal(weights(problem), problem.seen[4])
    patient = Scripted([5, 3, 4, 3, 3.5, 1, 1, 1, 1], replace(settings, patience=None))
    assert fit(patient, patient.settings).best == 5
    assert len(patient.seen) == 9


def test_without_validation_the_last_weights_are_kept():
    _, history = trained()
    assert history.best == 3
    assert set(history.epochs[0]) == {"epoch", "loss"}
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]


def test_the_average_of_weights_is_what_is_kept():
    settings = replace(SETTINGS, ema=0.8)
    found = []

    class Watched(Line):
        def loss(self, data, step):
            found.append(weights(self).clone())
            return super().loss(data, step)

    problem = Watched(settings)
    first = weights(problem).clone()
    last = trained(SETTINGS)[0]
    fit(problem, settings)
    slow = first
    for step, now in enumerate([*found[1:], weights(last)]):
        kept = min(0.8, (step + 1) / (step + 10))
        slow = kept * slow + (1 - kept) * now
    torch.testing.assert_close(weights(problem), slow)


def test_rates_follow_the_schedule_and_the_group():
    settings = replace(SETTINGS, warmup=0.25)
    found = [settings.rate(step, 16) for step in range(16)]
    np.testing.assert_allclose(found[:4], [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(found[4:], [0.5 * (1 + math.cos(math.pi * i / 12)) for i in range(12)])
    flat = replace(settings, schedule="constant", warmup=0.0)
    assert {flat.rate(step, 16) for step in range(16)} == {1.0}
    moved = {}
    for rate in (1.0, 0.0):
        problem = Line(flat)
        before = weights(problem).clone()
        problem.groups = lambda problem=problem, rate=rate: [{"params": list(problem.net.parameters()), "rate": rate}]
        fit(problem, flat)
        moved[rate] = (weights(problem) - before).abs().max().item()
    assert moved[0.0] == 0
    assert moved[1.0] > 0.1


@pytest.mark.parametrize(
    "other",
    [
        {"weight_decay": 0.5},
        {"clip": 0.01},
        {"clip": None},
        {"learning_rate": 0.01},
        {"schedule": "constant"},
        {"warmup": 0.0},
        {"batch_size": 5},
        {"precision": "bfloat16"},
    ],
)
def test_every_setting_reaches_the_training(other):
    assert not torch.equal(weights(trained()[0]), weights(trained(replace(SETTINGS, **other))[0]))


def test_weight_decay_is_that_of_adamw():
    """One step with a vanishing gradient: weights shrink by rate times decay."""
    settings = Settings(epochs=1, batch_size=30, learning_rate=0.1, weight_decay=0.3, warmup=0, device="cpu")
    problem = Line(settings)
    problem.loss = lambda data, step: (problem.net(data[0]) * 0).sum()
    before = weights(problem).clone()
    fit(problem, settings)
    torch.testing.assert_close(weights(problem), before * (1 - 0.03))


def test_gradients_are_clipped_to_their_norm():
    def norms(clip):
        found = []

        def note(optimiser, *_):
            squares = [p.grad.square().sum() for group in optimiser.param_groups for p in group["params"]]
            found.append(float(torch.stack(squares).sum().sqrt()))

        handle = register_optimizer_step_pre_hook(note)
        trained(replace(SETTINGS, clip=clip))
        handle.remove()
        return found

    assert min(norms(None)) > 0.02
    np.testing.assert_allclose(norms(0.02), 0.02, rtol=1e-4)


def test_a_loss_that_is_no_number_is_an_error():
    problem = Line()
    problem.y = problem.y * float("nan")
    with pytest.raises(SettingsError, match="no longer a number in epoch 0"):
        fit(problem, SETTINGS)


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"epochs": 2.5}, {"batch_size": -1}, {"learning_rate": 0}, {"learning_rate": math.nan},
     {"ema": 1.5}, {"warmup": -0.1}, {"schedule": "cosin"}, {"precision": "fp8"}, {"patience": 0}, {"clip": "big"},
     {"seed": True}],
)  # fmt: skip
def test_settings_that_cannot_be_are_named(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Settings(**wrong)


def test_a_device_that_is_not_there_is_named():
    assert find_device("cpu").type == "cpu"
    with pytest.raises(SettingsError, match="'nowhere' cannot be used"):
        find_device("nowhere")


def test_shuffled_rows_come_once_in_an_order_of_their_own():
    sizes = {"a": 10, "b": 5, "c": 1}
    first, again, next_ = (shuffled(sizes, 4, 0, epoch) for epoch in (0, 0, 1))
    for source, size in sizes.items():
        rows = [row for name, batch in first if name == source for row in batch]
        assert sorted(rows) == list(range(size))
    assert sorted(len(batch) for _, batch in first) == [1, 1, 2, 4, 4, 4]
    assert [name for name, _ in first] != sorted(name for name, _ in first)
    assert all(a == b and (x == y).all() for (a, x), (b, y) in zip(first, again, strict=True))
    assert [list(x) for _, x in first] != [list(x) for _, x in next_]


def test_reading_ahead_keeps_the_order_and_passes_errors_on():
    assert list(ahead(lambda number: number**2, range(20))) == [number**2 for number in range(20)]
    assert list(ahead(str, [])) == []

    def fails(number):
        return 1 / (3 - number)

    numbers = ahead(fails, range(9))
    assert len([next(numbers) for _ in range(3)]) == 3
    with pytest.raises(ZeroDivisionError):
        next(numbers)


def test_batches_are_read_ahead_of_a_gpu_alone():
    """By several threads, none of which has to wait for another."""
    here, together = threading.get_ident(), threading.Barrier(2)

    def read(number):
        return threading.get_ident() == here

    def meet(number):
        return together.wait(timeout=10)

    assert list(in_turn(read, range(3), torch.device("cpu"))) == [True] * 3
    assert list(in_turn(read, range(3), torch.device("cuda"))) == [False] * 3
    assert sorted(in_turn(meet, range(2), torch.device("cuda"))) == [0, 1]


def test_saved_tensors_come_back_with_their_facts(tmp_path):
    base = torch.arange(6.0)
    save_tensors(tmp_path / "some.safetensors", {"a": base[:3], "b": base.view(2, 3).T}, {"step": 3, "loss": 0.1})
    tensors, facts = load_tensors(tmp_path / "some.safetensors")
    assert torch.equal(tensors["b"], base.view(2, 3).T)
    assert facts == {"step": 3, "loss": 0.1}
    with pytest.raises(LayoutError, match="absent"):
        load_tensors(tmp_path / "absent.safetensors")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory by rules of its own")
def test_freed_memory_is_kept_for_the_next_step():
    """In a process of its own, which has freed nothing large yet; pages are counted as they are made."""
    code = """
import resource, torch
from fusiform.training.memory import keep_freed
def made():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        blocks = [torch.ones(1 << 20) for _ in range(3)]  # 4 MiB each
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
usual = made()
keep_freed()
made()
print(usual, made())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    usual, kept = map(int, done.stdout.split())
    assert kept < 100
    assert usual > kept
