import json
import os
import signal
import subprocess
import sys
import time

import pytest

from fusiform.cli import main

SMALL = ["--dataset", "simulated", "--dataset-args", "pictures=40,vertices=20"]
HEAVY = {"torch", "nilearn", "transformers", "sklearn", "scipy", "matplotlib", "pandas", "zarr", "h5py"}


def loaded_by(code):
    """Top-level packages that are in memory after running some code in a new interpreter."""
    code += "\nimport sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_fusiform_imports_nothing_heavy():
    assert not HEAVY & loaded_by("import fusiform")


def test_help_imports_nothing_heavy():
    assert not HEAVY & loaded_by("from fusiform.cli import main; main(['--help'])")


def test_values_need_no_torch():
    light = "import fusiform.data, fusiform.datasets, fusiform.scores, fusiform.pairs, fusiform.features"
    assert not {"torch", "nilearn", "transformers"} & loaded_by(light)


@pytest.mark.parametrize(
    "verb",
    ["demo", "encode", "decode", "extract", "fetch", "list", "doctor", "init-dataset", "export", "import", "report"],
)
def test_every_verb_explains_itself(verb, capsys):
    assert main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"fusiform {verb}" in text


def refused(capsys, *argv):
    """The one sentence that a command fails with."""
    assert main(list(argv)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if line.startswith("fusiform:")]
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    return lines[0]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["encod"], "encode"),
        (["encode", "--dataset", "alise"], "unknown dataset 'alise' (did you mean 'alice'?)"),
        (["encode", "--dataset", "alice", "--presett", "x"], "--preset"),
        (["encode", "--dataset", "alice", "--preset", "rigde"], "unknown preset 'rigde' (did you mean 'ridge'?)"),
        (["encode"], "the setting 'dataset' is missing"),
        (["encode", "--dataset", "simulated", "--folds", "many"], "--folds"),
        (["encode", "--dataset", "simulated", "--dataset-args", "pictures"], "key=value"),
        (["encode", "--dataset", "simulated", "--dataset-args", "picture=3"], "did you mean 'pictures'"),
        (["encode", "--dataset", "simulated", "--backbone", "pixel"], "did you mean 'pixels'"),
        (["encode", "--dataset", "simulated", "--subject", "nobody"], "unknown subject 'nobody'"),
        (["encode", "--dataset", "simulated", "--metric", "pearsn"], "unknown metric 'pearsn' (did you mean 'pearson'"),
        (["encode", "--dataset", "simulated", "--model", "rdige"], "unknown model 'rdige' (did you mean 'ridge'"),
        (["encode", *SMALL, "--folds", "1"], "the setting 'folds' is 1; wanted at least 2"),
        (["encode", *SMALL, "--seed", "-1"], "the setting 'seed' is -1; wanted at least 0"),
        (["encode", *SMALL, "--part", "images", "--model-args", "alhpas=1"], "did you mean 'alphas'"),
        (["encode", *SMALL, "--model-args", "alphas=-1"], "numbers above zero"),
        (["encode", *SMALL, "--model-args", "alphas=[1"], "wanted a number, a word, or a list"),
        (["encode", *SMALL, "--reduce", "maen"], "maen"),
        (["encode", *SMALL, "--layers", "pixel"], "did you mean 'pixels'"),
        (["encode", *SMALL, "--lags", "2,3"], "need features with a rate"),
        (["encode", *SMALL, "--rois", "V1"], "V1"),
        (["encode", *SMALL, "--device", "cuda:7"], "cuda:7"),
        (["extract", "--dataset", "simulated", "--backbone", "pixels", "--shard", "3"], "wanted i/n"),
        (["fetch", "alise"], "unknown dataset 'alise'"),
        (["demo", "--only", "alise"], "unknown part 'alise' (did you mean 'alice'?)"),
        (["list", "dataset", "x"], "x"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_get_one_sentence(argv, said, capsys, tmp_path):
    out = tmp_path / "out"
    if argv[0] in ("encode", "demo"):
        argv = [*argv, "--out", str(out)]
    assert said in refused(capsys, *argv)
    assert not out.exists() or not (out / "summary.json").exists()


def test_a_fault_of_ours_is_no_traceback_either(capsys, monkeypatch):
    monkeypatch.setattr("fusiform.registry.names", lambda kind: 1 / 0)
    monkeypatch.setattr("fusiform.cli.verbs.names", lambda kind: 1 / 0)
    assert main(["list"]) == 1
    assert "this should not have happened (ZeroDivisionError" in capsys.readouterr().err


def test_missing_data_say_how_to_get_them(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path / "nowhere"))
    said = refused(capsys, "encode", "--dataset", "alice", "--out", str(tmp_path / "out"))
    assert "fusiform fetch alice" in said
    assert "FUSIFORM_DATA" in said


def test_debug_shows_the_traceback(tmp_path):
    from fusiform.errors import UnknownNameError

    with pytest.raises(UnknownNameError):
        main(["encode", "--dataset", "alise", "--debug", "--out", str(tmp_path / "out")])


def test_settings_may_be_lists_and_mappings(tmp_path):
    from fusiform.cli import app

    argv = "encode --lags 1,2 3 --rois a --backbone-args names=[a,b],rate=2 --model-args alphas=[1,10],cv=3"
    given = app.parse_args(argv.split(), exit_on_error=False, print_error=False)[1].arguments
    assert list(given["lags"]) == [1.0, 2.0, 3.0]
    assert list(given["rois"]) == ["a"]
    assert given["backbone_args"] == {"names": ["a", "b"], "rate": 2}
    assert given["model_args"] == {"alphas": [1, 10], "cv": 3}


def test_a_sentence_among_settings_keeps_its_commas():
    from fusiform.cli import app

    argv = ["encode", "--backbone-args", "prompt=What is this, and why?,pool=last,template='{prompt}: {image}'"]
    given = app.parse_args(argv, exit_on_error=False, print_error=False)[1].arguments["backbone_args"]
    assert given == {"prompt": "What is this, and why?", "pool": "last", "template": "{prompt}: {image}"}


def test_values_may_hold_an_equals_sign():
    from fusiform.cli import app

    argv = ["encode", "--part=a=b", "--backbone-args", "prompt=Is 1+1=2?"]
    given = app.parse_args(argv, exit_on_error=False, print_error=False)[1].arguments
    assert (given["part"], given["backbone_args"]) == ("a=b", {"prompt": "Is 1+1=2?"})


def test_list_names_everything_as_json(capsys):
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "simulated" in found["datasets"]
    assert "pearson" in found["metrics"]
    assert main(["list", "metric"]) == 0
    assert capsys.readouterr().out.startswith("metrics: mse, pearson")


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip()


def test_an_interruption_says_how_to_go_on(monkeypatch, capsys, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("fusiform.recipes.settings.load_dataset", interrupted)
    assert main(["extract", "--dataset", "simulated", "--backbone", "pixels"]) == 130
    assert capsys.readouterr().err == "fusiform: interrupted; run the same command again to go on\n"
    assert main(["encode", "--dataset", "simulated", "--out", str(tmp_path / "run"), "--overwrite"]) == 130
    said = capsys.readouterr().err  # --overwrite would begin anew
    assert said == "fusiform: interrupted; run the same command again, without --overwrite, to go on\n"


# what a shell starts in the background ignores the signal, and so does what that starts
LISTENING = """\
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from fusiform.cli import main
sys.exit(main())
"""
SLOW = '''\
import time
from pathlib import Path


class Slow:
    """Describes pictures at once, or begins to and never ends, as long as there is a file that says so."""

    def get_tokens(self, x):
        if Path("wait").exists():
            Path("begun").touch()
            time.sleep(600)
        return {"pixels": x}, {}
'''


def test_control_c_ends_with_one_sentence_and_the_same_command_goes_on(tmp_path):
    (tmp_path / "slow_net.py").write_text(SLOW)
    (tmp_path / "wait").touch()
    argv = ["encode", *SMALL, "--backbone", "slow_net:Slow", "--image-size", "4", "--out", "run"]
    command = [sys.executable, "-c", LISTENING, *argv]
    options = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(tmp_path)}, "text": True}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as running:
        try:
            while not (tmp_path / "begun").exists():
                assert running.poll() is None, running.stderr.read()
                time.sleep(0.05)
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=60)
        finally:
            running.kill()
    assert (running.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "fusiform: interrupted; run the same command again to go on"
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "summary.json").exists()
    (tmp_path / "wait").unlink()
    done = subprocess.run(command, capture_output=True, **options)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "summary.json").exists()
