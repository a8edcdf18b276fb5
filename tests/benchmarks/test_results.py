"""Results by machine and job, and the meters."""

import platform

import numpy as np
import pytest
import torch

from benchmarks import meters
from benchmarks.meters import ceiling, operations, peak_memory, reset_peak
from benchmarks.results import RESULTS, keep, machine
from fusiform.files import read_json


def test_a_row_takes_the_place_of_its_job_on_its_machine_and_no_other(tmp_path):
    out, here, there = tmp_path / "results" / "some.json", machine(threads=1), {"cpu": "another"}
    for where, job, value in ((here, "x", 1), (there, "x", 2), (here, "y", 3), (here, "x", 4)):
        keep(out, where, {"job": job, "value": value})
    rows = read_json(out)["rows"]
    assert [(row["machine"], row["job"], row["value"]) for row in rows] == [
        (here, "x", 4),
        (there, "x", 2),
        (here, "y", 3),
    ]
    assert rows[0]["versions"] == {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


@pytest.mark.parametrize("file", sorted(RESULTS.glob("*.json")), ids=lambda file: file.stem)
def test_committed_rows_say_their_machine_and_come_once(file):
    rows = [(str(row["machine"]), row["job"]) for row in read_json(file)["rows"]]
    assert rows
    assert len(set(rows)) == len(rows)


def test_operations_are_those_of_the_products():
    left, right = torch.randn(20, 30), torch.randn(30, 40, requires_grad=True)
    product = 2 * 20 * 30 * 40
    assert operations(lambda: left @ right + 1) == product
    assert operations(lambda: (left @ right).sum().backward()) == 2 * product


def test_the_ceiling_is_of_the_fastest_product(monkeypatch):
    times = iter([3.0, *[0.5] * (meters.TRIALS - 1)])
    monkeypatch.setattr(meters, "seconds", lambda work: work() is None or next(times))
    assert ceiling(torch.float32, "cpu", 64) == 2 * 64**3 / 0.5


@pytest.mark.skipif(platform.system() != "Linux", reason="elsewhere the peak counts from the start of the process")
def test_the_peak_counts_from_its_last_setting():
    if not reset_peak():
        pytest.skip("the peak cannot be set here")

    def held(count):
        before = reset_peak()
        np.ones(count, dtype=np.uint8)
        return peak_memory() - before

    assert held(100 << 20) > 90 << 20
    assert held(10 << 20) < 50 << 20
