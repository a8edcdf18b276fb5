"""Shared by all tests: one thread per process, and where the real data lie."""

import os
from pathlib import Path

import pytest

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # two workers on two cores: more threads make everything slower


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache or runs."""
    monkeypatch.setenv("FUSIFORM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FUSIFORM_RUNS", str(tmp_path / "runs"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests of the real data where there are none."""
    folder = os.environ.get("FUSIFORM_DATA")
    if folder and (Path(folder) / "alice").is_dir():
        return
    reason = "FUSIFORM_DATA names no folder with the real data sets"
    for item in items:
        if item.get_closest_marker("data"):
            item.add_marker(pytest.mark.skip(reason=reason))
