import inspect
import json
from collections.abc import Sequence

import pytest

from fusiform.errors import LayoutError, SettingsError, UnknownNameError
from fusiform.recipes.recipe import load_preset, preset_names, recipe
from fusiform.recipes.run import Run


@recipe
def tiny(run, *, dataset, alpha=1.0, layers=("a",), device="cpu"):
    """Count how often it ran."""
    with (run.folder / "count").open("a") as file:
        file.write("x")
    return {"alpha": alpha, "layers": list(layers), "dataset": dataset}


def count(folder):
    return len((folder / "count").read_text())


def test_a_run_is_remembered(tmp_path):
    run = tiny(dataset="d", out=tmp_path / "run")
    assert run.summary == {"alpha": 1.0, "layers": ["a"], "dataset": "d"}
    assert run.settings == {
        "recipe": "tiny",
        "preset": None,
        "dataset": "d",
        "alpha": 1.0,
        "layers": ["a"],
        "device": "cpu",
    }
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["packages"]["numpy"]
    events = [json.loads(line)["event"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert events == ["started", "computed", "finished"]


def test_the_same_settings_finish_or_resume(tmp_path):
    folder = tmp_path / "run"
    tiny(dataset="d", out=folder)
    tiny(dataset="d", out=folder, device="cuda")  # where it runs does not make it another run
    assert count(folder) == 1
    (folder / "summary.json").unlink()  # killed before the end
    tiny(dataset="d", out=folder)
    assert count(folder) == 2


def test_other_settings_are_listed_and_nothing_is_lost(tmp_path):
    folder = tmp_path / "run"
    tiny(dataset="d", out=folder)
    with pytest.raises(SettingsError, match=r"other settings \(alpha: 1.0 there, 2.0 now\); choose another --out"):
        tiny(dataset="d", alpha=2.0, out=folder)
    assert Run(folder).summary["alpha"] == 1.0
    tiny(dataset="d", alpha=2.0, out=folder, overwrite=True)
    assert Run(folder).summary["alpha"] == 2.0
    [aside] = [path for path in tmp_path.iterdir() if path != folder]
    assert Run(aside).summary["alpha"] == 1.0


@recipe
def picky(run, *, dataset, late=False):
    """Notice a mistyped name before or after it has written something."""
    if late:
        (run.folder / "begun").touch()
    if dataset == "wrong":
        raise UnknownNameError("unknown dataset 'wrong'")
    return {"dataset": dataset}


def test_a_mistyped_name_does_not_move_the_old_run(tmp_path):
    folder = tmp_path / "run"
    picky(dataset="right", out=folder)
    with pytest.raises(UnknownNameError):
        picky(dataset="wrong", out=folder, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert Run(folder).summary == {"dataset": "right"}


def test_a_run_that_had_begun_keeps_the_old_one_aside(tmp_path):
    folder = tmp_path / "run"
    picky(dataset="right", out=folder)
    with pytest.raises(UnknownNameError):
        picky(dataset="wrong", late=True, out=folder, overwrite=True)
    [aside] = [path for path in tmp_path.iterdir() if path != folder]
    assert Run(aside).summary == {"dataset": "right"}


def test_a_folder_that_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SettingsError, match="not empty and holds no run"):
        tiny(dataset="d", out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_unknown_and_missing_settings_are_named(tmp_path):
    with pytest.raises(SettingsError, match=r"unknown setting 'alhpa' \(did you mean 'alpha'\?\); there are: alpha"):
        tiny(dataset="d", alhpa=2.0, out=tmp_path / "run")
    with pytest.raises(SettingsError, match="setting 'dataset' is missing"):
        tiny(out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_config_loses_against_the_call(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("dataset: d\nalpha: 3.0\n")
    assert tiny(config=config, out=tmp_path / "a").summary["alpha"] == 3.0
    assert tiny(config=config, alpha=4.0, out=tmp_path / "b").summary["alpha"] == 4.0
    again = tiny(config=tmp_path / "b" / "settings.yaml", out=tmp_path / "c")  # a run's own settings may be reused
    assert again.settings == Run(tmp_path / "b").settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n", "no mapping"),
        ("a: [", "is not YAML"),
        (
            "alpha: 3\ndataset: d\nalpha: 4\n",
            r"c\.yaml has the key 'alpha' again in line 3; a mapping names each key once",
        ),
    ],
)
def test_a_bad_config_is_one_sentence(tmp_path, text, said):
    config = tmp_path / "c.yaml"
    config.write_text(text)
    with pytest.raises(SettingsError, match=said) as caught:
        tiny(config=config, out=tmp_path / "a")
    assert "\n" not in str(caught.value)
    with pytest.raises(LayoutError, match="No such file"):
        tiny(config=tmp_path / "none.yaml", out=tmp_path / "a")


def test_the_name_chooses_a_folder_of_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("FUSIFORM_RUNS", str(tmp_path / "all"))
    assert tiny(dataset="d", name="mine").folder == tmp_path / "all" / "mine"
    assert tiny(dataset="d").folder == tmp_path / "all" / "tiny"


def test_a_failure_leaves_an_unfinished_run(tmp_path):
    @recipe
    def failing(run):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        failing(out=tmp_path / "run")
    assert not Run(tmp_path / "run").finished
    with pytest.raises(LayoutError, match="has not finished"):
        _ = Run(tmp_path / "run").summary


def test_a_mistake_does_not_occupy_the_folder(tmp_path):
    @recipe
    def mistaken(run, *, dataset, work=False):
        if work:
            (run.folder / "half.npy").touch()
        raise UnknownNameError("unknown dataset")

    for work in (False, True):
        with pytest.raises(UnknownNameError):
            mistaken(dataset="d", work=work, out=tmp_path / "run")
        assert (tmp_path / "run").exists() == work  # work that was done is kept


def test_settings_of_the_wrong_type_are_refused_before_anything_is_made(tmp_path):
    @recipe
    def typed(run, *, folds: int = 5, rois: Sequence[str] | None = None):
        return {"rois": rois}

    with pytest.raises(SettingsError, match="'folds' is 'many'; wanted a whole number"):
        typed(folds="many", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert typed(rois="LPTL", out=tmp_path / "run").summary == {"rois": ["LPTL"]}


def test_a_failing_second_process_leaves_the_first_ones_folder(tmp_path):
    @recipe
    def slow(run, *, device="cpu"):
        if device != "cpu":
            raise SettingsError("no such device")
        with pytest.raises(SettingsError):
            slow(device="other", out=run.folder)  # as another process would, meanwhile
        return {"done": True}

    assert slow(out=tmp_path / "run").summary == {"done": True}


def test_overwrite_moves_runs_only(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "one.tex").touch()
    with pytest.raises(SettingsError, match="holds no run"):
        tiny(dataset="d", out=tmp_path / "thesis", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="is a file; wanted a folder"):
        tiny(dataset="d", out=tmp_path / "file")


def test_presets_are_for_their_recipe(tmp_path):
    with pytest.raises(UnknownNameError, match="unknown preset 'ridg' "):
        load_preset("ridg")
    for name in preset_names():
        with pytest.raises(SettingsError, match=f"preset '{name}' is for the recipe "):
            tiny(preset=name, dataset="d", out=tmp_path / "run")


def test_the_signature_shows_every_setting():
    shown = list(inspect.signature(tiny).parameters)
    assert shown == ["dataset", "alpha", "layers", "device", "preset", "config", "name", "out", "overwrite"]
