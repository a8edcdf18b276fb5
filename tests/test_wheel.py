"""The wheel, used far from the checkout."""

import ast
import json
import os
import re
import subprocess
import sys
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the wheel's content in it, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    install = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder / "site"), str(wheel)]
    subprocess.run([sys.executable, "-m", *install], check=True, capture_output=True)
    return folder / "site"


def run(installed, cwd, *command):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    environment.pop("FUSIFORM_DATA", None)
    return subprocess.run([sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True)


def test_the_wheel_brings_what_is_not_python(installed):
    for name in ("py.typed", "datasets/upstream.csv", "plots/report.css", "recipes/presets/ridge.yaml"):
        assert (installed / "fusiform" / name).is_file(), name
    assert not (installed / "tests").exists()


def test_requirements_are_published_packages_in_ranges(installed):
    """No pin that takes a choice from the user, nothing from an address, nothing that reports to a service."""
    [folder] = installed.glob("fusiform-*.dist-info")
    required = [line.partition(";")[0].strip() for line in PathDistribution(folder).requires]
    names = {re.split(r"[\[>]", line)[0].lower() for line in required}
    assert {"numpy", "torch", "zarr"} <= names
    assert not names & {"fusiform", "pycortex", "torchvision", "wandb"}
    assert [line for line in required if not re.fullmatch(r"[\w.-]+(\[\w+\])?(>=[\d.]+)?", line)] == []


MACHINE = r"[\"'](/(home|Users|mnt|scratch|data|tmp)/|[A-Z]:\\\\)"  # a folder of somebody's machine
TAKEN_FOR_GRANTED = r"\.cuda\(|breakpoint\(|set_trace\(|\bwandb\b|torch\.hub"  # a GPU, a person, a service


def test_no_machine_is_taken_for_granted(installed):
    wrong = re.compile(f"{MACHINE}|{TAKEN_FOR_GRANTED}")
    modules = list((installed / "fusiform").rglob("*.py"))
    assert len(modules) > 100
    texts = {path: ast.unparse(ast.parse(path.read_text(encoding="utf-8"))) for path in modules}  # without comments
    texts |= {path: path.read_text(encoding="utf-8") for path in (installed / "fusiform").rglob("*.yaml")}
    assert [path.name for path, text in texts.items() if wrong.search(text)] == []


@pytest.mark.slow
def test_the_wheel_runs_the_demo(installed, tmp_path):
    where = run(installed, tmp_path, "-c", "import fusiform; print(fusiform.__file__)")
    assert where.stdout.startswith(str(installed))
    done = run(installed, tmp_path, "-m", "fusiform", "demo", "--only", "simulated", "--out", "demo")
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "demo" / "summary.json").read_text())["simulated"]
    assert found["layer_found"] >= 0.9
    assert found["layer_found_0.3_0.5"] >= 0.75
    assert found["layer_found_0.5_0.7"] >= 0.9
    assert found["layer_found_0.7_1"] >= 0.98
    assert found["wrong_layer_r"] <= 0.65 * found["right_layer_r"]
