"""What makes a function a recipe: settings from a preset, a file and the caller; a run folder; resuming."""

import functools
import inspect
import sys
import time
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import yaml

from fusiform.checking import checked
from fusiform.errors import SettingsError, UnknownNameError
from fusiform.recipes.groups import flat
from fusiform.recipes.run import Run, open_run, runs_folder
from fusiform.registry import did_you_mean, unknown
from fusiform.yamlfile import read_yaml

__all__ = ["Recipe", "load_preset", "preset_names", "recipe"]

LEFT_OUT = "left_out"  # what a preset says of its own dataset, where another one was chosen
META = ("recipe", "preset", LEFT_OUT)  # of settings.yaml: what no recipe takes


class Recipe(Protocol):
    """A whole experiment: settings by keyword in, a finished run folder out."""

    __name__: str

    def __call__(self, **settings: Any) -> Run:
        """Run the experiment, or take up its folder."""


def recipe(function: Callable[..., Mapping[str, Any]]) -> Recipe:
    """Turn `function(run, group: Group, *, setting=default, ...) -> summary` into a recipe.

    The recipe takes the same settings by keyword, those of groups (see `groups`) one by one, and besides them:

    - `preset`: name of settings that come with fusiform;
    - `config`: a YAML file of settings, which win over the preset's, and lose against those given in the call;
    - `out`: the run folder (default: `name`, or the recipe's name, under `$FUSIFORM_RUNS`);
    - `overwrite`: move an old folder aside.

    A finished run with the same settings is returned as it is, unless it skipped something for want of data.

    Raises:
        SettingsError: an unknown setting (with the nearest known one), one that is missing, or a run folder that was
            made with others.
    """
    function = flat(function)
    own = list(inspect.signature(function).parameters.values())[1:]

    @functools.wraps(function, updated=())  # it has a signature of its own
    def run_recipe(
        *,
        preset: str | None = None,
        config: Path | str | None = None,
        name: str | None = None,
        out: Path | str | None = None,
        overwrite: bool = False,
        **given: Any,
    ) -> Run:
        settings = _settings(own, function.__name__, preset, config, given)
        folder = Path(out) if out else runs_folder() / (name or function.__name__)
        run = open_run(folder, _plain(settings), overwrite=overwrite)
        if left := settings.get(LEFT_OUT):
            print(_left_out(settings, left), file=sys.stderr)
        if not run.complete:
            _cook(function, run, settings)
        return run

    run_recipe.__signature__ = _signature(own, run_recipe)  # type: ignore[attr-defined]
    run_recipe.__doc__ = f"{inspect.cleandoc(function.__doc__ or function.__name__)}\n{_COMMON}"
    return run_recipe


def load_preset(name: str) -> dict[str, Any]:
    """The settings of a preset, its `recipe` among them.

    Raises:
        UnknownNameError: no such preset.
    """
    if name not in preset_names():
        raise UnknownNameError(unknown("preset", name, preset_names()))
    return dict(yaml.safe_load((_presets() / f"{name}.yaml").read_text(encoding="utf-8")))


def preset_names() -> list[str]:
    """All presets, sorted."""
    return sorted(file.name.removesuffix(".yaml") for file in _presets().iterdir() if file.name.endswith(".yaml"))


def _presets() -> Any:
    return files("fusiform.recipes") / "presets"


def _cook(function: Callable[..., Mapping[str, Any]], run: Run, settings: Mapping[str, Any]) -> None:
    began = time.perf_counter()
    run.log("started")
    own = {key: value for key, value in settings.items() if key not in META}
    try:
        summary = function(run, **own)
    except Exception:
        run.discard_if_bare()  # a mistyped name should not occupy the folder
        raise
    run.log("computed", seconds=round(time.perf_counter() - began, 3))
    run.finish({"preset": settings["preset"], **summary} if settings["preset"] else summary)


def _settings(
    own: list[inspect.Parameter],
    recipe_name: str,
    preset: str | None,
    config: Path | str | None,
    given: Mapping[str, Any],
) -> dict[str, Any]:
    """What a run is told: a preset's settings, those of a file over them, those of the call over both.

    Arguments of a preset's dataset are of no use to another one, so they are left out where another is named.
    """
    said, chosen = _preset_settings(preset, recipe_name), {**_config_settings(config), **given}
    left = {}
    if chosen.get("dataset") not in (None, said.get("dataset")) and "dataset_args" in said:
        left = {"dataset_args": said.pop("dataset_args")}
    told = {LEFT_OUT: left} if left and "dataset_args" not in chosen else {}
    return {"recipe": recipe_name, "preset": preset, **told, **_merge(own, said, chosen)}


def _left_out(settings: Mapping[str, Any], left: Mapping[str, Any]) -> str:
    listed = ", ".join(f"{key}={value}" for key, value in left["dataset_args"].items())
    return (
        f"preset {settings['preset']!r} is for another dataset than {settings['dataset']!r}; its dataset_args are left "
        f"out ({listed}): give your own where the dataset needs some"
    )


def _merge(own: list[inspect.Parameter], *layers: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults, overridden by each layer in turn."""
    known = {parameter.name: parameter.default for parameter in own}
    merged = {key: value for layer in layers for key, value in layer.items()}
    for key in merged:
        if key not in known:
            raise SettingsError(
                f"unknown setting {key!r}{did_you_mean(key, known)}; there are: {', '.join(sorted(known))}"
            )
    settings = {**known, **merged}
    if missing := [key for key, value in settings.items() if value is inspect.Parameter.empty]:
        raise SettingsError(f"the setting {missing[0]!r} is missing; give it, or a preset or config that has it")
    hints = {item.name: Any if item.annotation is item.empty else item.annotation for item in own}
    return {key: checked(key, settings[key], hints[key]) for key in known}


def _preset_settings(preset: str | None, recipe_name: str) -> dict[str, Any]:
    if preset is None:
        return {}
    settings = load_preset(preset)
    meant = settings.pop("recipe")
    if meant != recipe_name:
        raise SettingsError(
            f"preset {preset!r} is for the recipe {meant!r}, not {recipe_name!r}; run: fusiform {meant}"
        )
    return settings


def _config_settings(config: Path | str | None) -> dict[str, Any]:
    if config is None:
        return {}
    settings = read_yaml(config, what="the settings file", wanted="'setting: value'", otherwise="check --config")
    # a settings.yaml of an earlier run may be handed in as it is
    return {key: value for key, value in settings.items() if key not in META}


def _plain(value: Any) -> Any:
    """Settings as YAML holds them: paths as text, tuples as lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


# joins the list of settings that ends every recipe's docstring
_COMMON = """\
preset
    name of settings that come with fusiform
config
    YAML file of settings; they win over the preset's and lose against those given here
name
    of the run: its folder under $FUSIFORM_RUNS (default: the recipe's name)
out
    the run folder, wherever it is; the same settings resume or finish what it holds
overwrite
    move what the folder holds aside and start anew
"""


def _signature(own: list[inspect.Parameter], wrapper: Callable[..., Run]) -> inspect.Signature:
    """What may be given. Nothing is required here: a preset or a config may hold what the call does not."""
    own = [item.replace(default=None) if item.default is item.empty else item for item in own]
    common = [
        item
        for item in inspect.signature(wrapper, follow_wrapped=False).parameters.values()
        if item.kind is item.KEYWORD_ONLY
    ]
    return inspect.Signature([*own, *common], return_annotation=Run)
