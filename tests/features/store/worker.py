"""Workers in processes of their own, started and, if so wished, killed by this script.

python worker.py whole STORE        one worker, undisturbed
python worker.py killed STORE       workers one after another, each killed at a random moment; the last one finishes
python worker.py lost STORE         the same, and what each had computed in vain is counted
python worker.py pair STORE         two workers at once, of one shard each
python worker.py verify STORE       two workers at once on one finished store, both looking for damage
python worker.py repair STORE       workers one after another on a damaged store, killed while they mend it
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from torch import Tensor

from fusiform.data import Stimuli
from fusiform.features import filling
from fusiform.features.baselines.image import Pixels
from fusiform.features.blocks import Block
from fusiform.features.extract import extract
from fusiform.features.store import FeatureStore, blockfiles
from fusiform.features.store.places import Parts
from fusiform.features.tokens import Backbone, Tokens

PICTURES, BLOCK, KILLS = 320, 4, 20
filling._BLOCK_STIMULI = BLOCK  # many blocks, so that kills fall between and within them


def load(id: str) -> Image.Image:
    time.sleep(0.003)
    pixels = np.random.default_rng(int(id.removeprefix("im"))).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


class Counted(Pixels):
    """Pixels that note how many pictures they are about to describe.

    Args:
        size: see `Pixels`.
        log: the file in which they do.
    """

    def __init__(self, size: int, log: Path) -> None:
        super().__init__(size)
        self.log = log

    def get_tokens(self, x: Tensor) -> Tokens:
        with self.log.open("a") as file:
            file.write(f"{len(x)}\n")
        return super().get_tokens(x)


def work(folder: Path, shard: tuple[int, int] = (0, 1), verify: bool = False, backbone: Backbone | None = None) -> None:
    stimuli = Stimuli("toys", "image", pd.DataFrame(index=[f"im{number}" for number in range(PICTURES)]), load)
    network = backbone or Pixels(64)
    found = extract(stimuli, network, FeatureStore(folder), shard=shard, batch_size=3, verify=verify)
    assert np.isfinite(found.arrays["pixels"][::7]).all()  # readable, whatever others are doing to the store


def start(job: Callable[[], None]) -> int:
    """The process id of a child that does the job."""
    if pid := os.fork():
        return pid
    job()
    os._exit(0)


def ended_well(pid: int) -> bool:
    return os.waitpid(pid, 0)[1] == 0


def has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def blocks(folder: Path) -> dict[str, int]:
    """Every finished block, and when it was written."""
    return {str(mark.parent): mark.stat().st_mtime_ns for mark in folder.glob("*/blocks/[0-9]*/zarr.json")}


def killed(folder: Path) -> None:
    moments, survivors, seen = random.Random(0), 0, []
    for kill in range(KILLS):
        before = blocks(folder)
        pid = start(lambda: work(folder))
        while kill > 2 and len(blocks(folder)) == len(before) and not has_ended(pid):
            time.sleep(0.001)  # the first ones die while they begin, the others after a block and some
        time.sleep(moments.uniform(0, 0.05))
        os.kill(pid, signal.SIGKILL)
        survivors += ended_well(pid)
        after = blocks(folder)
        assert before.items() <= after.items(), "a finished block was written again"
        seen.append(len(after))
    print(f"{survivors} of {KILLS} workers ended before they were killed; blocks after each: {seen}")
    assert KILLS - 3 <= seen[-1] < PICTURES // BLOCK, "the kills came too early or too late to mean anything"
    assert ended_well(start(lambda: work(folder)))


def lost(folder: Path) -> None:
    slow_writing()
    moments, vain = random.Random(0), []
    log = folder.with_name(f"{folder.name}.log")
    for _ in range(KILLS):
        log.write_text("")
        before = len(blocks(folder))
        pid = start(lambda: work(folder, backbone=Counted(64, log)))
        while len(blocks(folder)) == before and not has_ended(pid):
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.06))
        os.kill(pid, signal.SIGKILL)
        ended_well(pid)
        computed = sum(map(int, log.read_text().split())) - 1  # the first picture is compared, and not kept
        vain.append(computed - BLOCK * (len(blocks(folder)) - before))
    print(f"rows that each worker had computed in vain: {vain}")
    assert max(vain) <= BLOCK, "a killed worker lost more than a block"
    assert len(set(vain)) > 2, "the kills came too early or too late to mean anything"
    assert ended_well(start(lambda: work(folder)))


def slow_writing() -> None:
    """Let a block take as long to be written as to be computed, so that kills fall on both."""
    files = blockfiles.block_files

    def slow(block: Block, *, bfloat16: bool = False) -> Iterator[tuple[str, Parts]]:
        for file in files(block, bfloat16=bfloat16):
            time.sleep(0.005)
            yield file

    blockfiles.block_files = slow


def pair(folder: Path) -> None:
    workers = [start(lambda shard=shard: work(folder, (shard, 2))) for shard in range(2)]
    ended = [ended_well(pid) for pid in workers]
    assert all(ended)


def verify(folder: Path) -> None:
    workers = [start(lambda: work(folder, verify=True)) for _ in range(2)]
    ended = [ended_well(pid) for pid in workers]
    assert all(ended)


def repair(folder: Path) -> None:
    moments = random.Random(0)
    for _ in range(KILLS):
        pid = start(lambda: work(folder, verify=True))
        time.sleep(moments.uniform(0.05, 0.4))
        os.kill(pid, signal.SIGKILL)
        ended_well(pid)
    assert ended_well(start(lambda: work(folder, verify=True)))


if __name__ == "__main__":
    how, place = sys.argv[1], Path(sys.argv[2])
    {"whole": work, "killed": killed, "lost": lost, "pair": pair, "verify": verify, "repair": repair}[how](place)
