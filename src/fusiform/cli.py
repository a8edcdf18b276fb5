"""The command line: parse, call, print where the result is. Nothing heavy is imported before a verb is known."""

import json as json_format
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import yaml
from cyclopts import App, CycloptsError, Group, Parameter, convert

from fusiform.errors import DataError, FusiformError, SettingsError, UnknownNameError
from fusiform.registry import KINDS, did_you_mean, names

__all__ = ["app", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0; 2 after one sentence on stderr that says what is wrong; 1 for a fault of ours; 130 when
        interrupted.
    """
    tokens = list(sys.argv[1:] if argv is None else argv)
    try:
        app.meta(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _fail(_sentence(error))
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in tokens:
            raise
        return _fail(_reason(error), _code(error))
    return 0


def _fail(sentence: str, code: int = 2) -> int:
    print(f"fusiform: {sentence}", file=sys.stderr)
    return code


def _code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return 130
    return 2 if isinstance(error, FusiformError | OSError) else 1


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; run the same command again to go on"
    if isinstance(error, FusiformError):
        return str(error)
    if isinstance(error, OSError):
        what = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        return f"{what}; check that path, its permissions and the space on its disk"
    said = " ".join(str(error).split())
    return f"this should not have happened ({type(error).__name__}: {said}); run it again with --debug and report it"


def _sentence(error: CycloptsError) -> str:
    """What the parser found wrong, on one line, and where to read on."""
    verb = next((name for name in error.command_chain or () if name != "fusiform"), "")
    said = " ".join(str(error).split()).rstrip(".")
    return f"{said}; see: {' '.join(['fusiform', *([verb] if verb else []), '--help'])}"


def _convert(type_: Any, tokens: Any) -> Any:
    """Sequences may be written `a,b`, mappings `key=value,key=value` (values as in YAML)."""
    kind = _container(type_)
    if kind is None:
        return convert(type_, tokens)
    comma = COMMA_BEFORE_KEY if kind is dict else OUTER_COMMA
    values = [part for token in tokens for part in comma.split(token.value) if part]
    return dict(map(_assignment, values)) if kind is dict else convert(type_, values)


OUTER_COMMA = re.compile(r",(?![^\[{]*[\]}])")  # not those inside [a,b] or {a: b}
COMMA_BEFORE_KEY = re.compile(r",(?=\w+=)(?![^\[{]*[\]}])")  # nor those of a sentence, such as a prompt


def _container(type_: Any) -> type | None:
    found = {get_origin(option) or option for option in (type_, *get_args(type_))}
    if found & {dict, Mapping}:
        return dict
    return tuple if found & {tuple, list, Sequence} else None


def _assignment(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"got {text!r}; wanted key=value")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        raise ValueError(f"got {value!r} for {key!r}; wanted a number, a word, or a list such as [a,b]") from None


def _shown(default: Any) -> str | None:
    """A default as it would be typed; what is off or empty says nothing."""
    if default is None or default is False or default == ():
        return None
    return ",".join(map(str, default)) if isinstance(default, tuple | list) else str(default)


app = App(
    name="fusiform",
    help="Link deep networks and the human brain, both ways: encoding and decoding of fMRI.",
    help_format="plaintext",
    help_epilogue="Start with: fusiform demo",
    version=lambda: version("fusiform"),
    default_parameter=Parameter(
        negative=(), show_default=_shown, converter=_convert, accepts_keys=False, consume_multiple=True
    ),
)
EVERYWHERE = Group("Everywhere")

RECIPES = {
    "demo": "Read three real or simulated brains and write a report: the tour, in under three minutes.",
    "encode": "Predict every target's response from what was shown, and map how well each layer does.",
    "decode": "Predict features of what was shown from the responses, and find it among others.",
}
SHELF = {
    "export": ("export_set", "Write stored features in another layout, for other programs."),
    "import": ("import_set", "Take features that another program wrote into the store."),
}
for verb, summary in RECIPES.items():
    app.command(f"fusiform.recipes.{verb}:{verb}", name=verb, help=summary)
for verb, (function, summary) in SHELF.items():
    app.command(f"fusiform.recipes.shelf:{function}", name=verb, help=summary)
app.command("fusiform.recipes.submit:submit", name="submit", help="Pack predictions into the zip of a challenge.")


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    json: Annotated[bool, Parameter(help="print the result as JSON, for machines", group=EVERYWHERE)] = False,
    debug: Annotated[bool, Parameter(help="show the traceback of an error", group=EVERYWHERE)] = False,
) -> None:
    result = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    if result is None:
        return
    facts = _facts(result)
    lines = result.lines() if hasattr(result, "lines") else _lines(facts)
    print(json_format.dumps(facts, indent=2) if json else "\n".join(lines))
    if failed := getattr(result, "failed", 0):
        raise DataError(f"{failed} of the checks above failed; each says what to do next")


def _facts(result: Any) -> dict[str, Any]:
    """A run's folder and summary, or the mapping that a verb returned."""
    if isinstance(result, Mapping):
        return dict(result)
    if hasattr(result, "facts"):
        return dict(result.facts())
    report = result.folder / "report.html"
    return {"run": str(result.folder), "report": str(report) if report.exists() else None, **result.summary}


def _lines(facts: Mapping[str, Any], indent: str = "") -> list[str]:
    lines: list[str] = []
    for key, value in facts.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{key}", *_lines(value, indent + "  ")]
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            lines += [f"{indent}{key}", *(f"{indent}  {line}" for line in _table(value))]
        elif value is not None:
            lines.append(f"{indent}{key}: {_text(value)}")
    return lines


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows with the same keys, as columns with a heading."""
    cells = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return ", ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)


@app.command(name="list")
def list_(kind: str | None = None, /, *, store: str | None = None) -> dict[str, Any]:
    """List what can be named: datasets, backbones, models, metrics and presets; or the features in a store.

    Parameters
    ----------
    kind
        one of: dataset, backbone, model, metric, preset (default: all of these), or features
    store
        folder or address of the features (default: features in the cache folder)
    """
    if kind in ("feature", "features"):
        from fusiform.recipes.shelf import stored

        return stored(store)
    from fusiform.recipes.recipe import preset_names

    found = {f"{known}s": names(known) for known in KINDS} | {"presets": preset_names()}
    if kind is None:
        return found
    plural = kind if kind.endswith("s") else f"{kind}s"
    if plural not in found:
        raise _unknown_kind(kind, found)
    return {plural: found[plural]}


def _unknown_kind(kind: str, found: Mapping[str, Any]) -> FusiformError:
    known = [*found, "features"]
    return UnknownNameError(f"cannot list {kind!r}{did_you_mean(kind, known)}; there are: {', '.join(known)}")


@app.command
def fetch(name: str, /, *, folder: Path | None = None) -> dict[str, Any]:
    """Download an open dataset from its public upstream; what is there already is checked, not fetched again.

    Parameters
    ----------
    name
        of the dataset
    folder
        where to (default: $FUSIFORM_DATA, else data in the cache folder; it is found in both)
    """
    from fusiform.datasets.fetch import card
    from fusiform.datasets.fetch import fetch as download

    about = card(name)
    print(f"{about.title}\nlicence: {about.licence}\nplease cite: {about.cite}", file=sys.stderr)
    return {"dataset": name, "folder": str(download(name, folder))}


@app.command
def doctor(
    dataset: str | None = None,
    /,
    *,
    root: Path | None = None,
    part: str | None = None,
    subject: str | None = None,
    out: Path | None = None,
    device: str = "auto",
    i_have_agreed: bool = False,
    dataset_args: Mapping[str, Any] | None = None,
) -> Any:
    """Check this machine, and a dataset and a tiny fit on it: what failed says what, got, wanted and next.

    Parameters
    ----------
    dataset
        its name, folder:PATH, or the path of a dataset.yaml (default: check the machine alone)
    root
        folder of the dataset's files, or the one that holds a folder of its name (default: $FUSIFORM_DATA)
    part
        of a dataset with several kinds of stimuli (default: the first)
    subject
        whose responses (default: the first)
    out
        folder for a page with the first stimuli and a map of the noise ceiling
    device
        auto, cpu, cuda, cuda:1
    i_have_agreed
        you have agreed to the terms of data that are read from an address
    dataset_args
        key=value,...: arguments of the dataset
    """
    from fusiform.datasets import with_agreement
    from fusiform.recipes.doctor import doctor as look

    arguments = with_agreement(dataset_args, i_have_agreed)
    return look(dataset, root=root, part=part, subject=subject, out=out, device=device, dataset_args=arguments)


@app.command(name="init-dataset")
def init_dataset(folder: Path, /) -> dict[str, Any]:
    """Write a commented dataset.yaml into a folder of your own data, filled in as far as can be guessed.

    Parameters
    ----------
    folder
        that holds stimuli and responses, or derivatives of fMRIPrep
    """
    from fusiform.datasets.folder.init import init_folder

    path, found = init_folder(folder)
    return {"written": str(path), "to fill in": found.open or "nothing", "next": f"fusiform doctor {path}"}


@app.command
def extract(
    *,
    dataset: str,
    backbone: str,
    part: str | None = None,
    layers: tuple[str, ...] | None = None,
    reduce: str | None = None,
    dtype: str = "float32",
    batch_size: int = 32,
    shard: str = "0/1",
    device: str = "auto",
    views: int = 0,
    seed: int = 0,
    on_error: str = "stop",
    store: str | None = None,
    verify: bool = False,
    i_have_agreed: bool = False,
    dataset_args: Mapping[str, Any] | None = None,
    backbone_args: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe every stimulus of a dataset by every layer of a network, once, into the feature store.

    Parameters
    ----------
    dataset
        its name, folder:PATH, or the path of a dataset.yaml
    backbone
        its name, or module:Class of your own
    part
        of a dataset with several kinds of stimuli
    layers
        keep these only
    reduce
        what to keep of each layer: mean, cls or pool:HxW of its grid, project:DIM or pca:DIM of its rows, or several
        joined by +, such as mean+pca:64 (default: all of it)
    dtype
        of the stored numbers: float32, float16, bfloat16
    batch_size
        stimuli in one forward pass; never changes the numbers
    shard
        i/n: do the i-th of n parts (from 0), so that n jobs can share the work
    device
        auto, cpu, cuda, cuda:1
    views
        augmented views of each picture, as rows beside its own
    seed
        of the views
    on_error
        what to do with a stimulus that will not load: stop, or skip it and say so
    store
        folder of the feature store, or an address such as s3://bucket/features (default: features in the cache folder)
    verify
        compare what is stored with its checksums first, and extract again what is damaged
    i_have_agreed
        you have agreed to the terms of data that are read from an address
    dataset_args
        key=value,...: arguments of the dataset
    backbone_args
        key=value,...: arguments of the backbone
    """
    from fusiform.datasets import with_agreement
    from fusiform.recipes.steps import describe

    return describe(
        dataset,
        backbone,
        part=part,
        layers=layers,
        reduce=reduce,
        dtype=dtype,
        batch_size=batch_size,
        shard=_share(shard),
        device=device,
        views=views,
        seed=seed,
        on_error=on_error,
        store=store,
        verify=verify,
        dataset_args=with_agreement(dataset_args, i_have_agreed),
        backbone_args=backbone_args,
    )


def _share(text: str) -> tuple[int, int]:
    """`"2/8"` to (2, 8)."""
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal()):
        raise SettingsError(f"--shard is {text!r}; wanted i/n, such as 0/8 for the first of eight shares")
    return int(number), int(count)
