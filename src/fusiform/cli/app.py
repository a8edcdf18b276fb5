"""The program itself: what runs a verb, prints its result, and turns what went wrong into one sentence."""

import json as json_format
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

from cyclopts import App, CycloptsError, Group, Parameter

from fusiform.cli.printing import facts_of, lines_of
from fusiform.cli.typed import from_words, shown
from fusiform.errors import DataError, FusiformError

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
        return _fail(_reason(error, tokens), _code(error))
    return 0


def _fail(sentence: str, code: int = 2) -> int:
    print(f"fusiform: {sentence}", file=sys.stderr)
    return code


def _code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return 130
    return 2 if isinstance(error, FusiformError | OSError) else 1


def _reason(error: BaseException, tokens: Sequence[str]) -> str:
    if isinstance(error, KeyboardInterrupt):
        anew = ", without --overwrite," if "--overwrite" in tokens else ""  # which would begin anew
        return f"interrupted; run the same command again{anew} to go on"
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


app = App(
    name="fusiform",
    help="Link deep networks and the human brain, both ways: encoding and decoding of fMRI.",
    help_format="plaintext",
    help_epilogue="Start with: fusiform demo",
    version=lambda: version("fusiform"),
    default_parameter=Parameter(
        negative=(), show_default=shown, converter=from_words, accepts_keys=False, consume_multiple=True
    ),
)
app.suppress_keyboard_interrupt = app.meta.suppress_keyboard_interrupt = False  # `main` has a sentence for it
EVERYWHERE = Group("Everywhere")


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    json: Annotated[bool, Parameter(help="print the result as JSON, for machines", group=EVERYWHERE)] = False,
    debug: Annotated[bool, Parameter(help="show the traceback of an error", group=EVERYWHERE)] = False,
) -> None:
    result = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    if result is None:
        return
    facts = facts_of(result)
    lines = result.lines() if hasattr(result, "lines") else lines_of(facts)
    print(json_format.dumps(facts, indent=2) if json else "\n".join(lines))
    if failed := getattr(result, "failed", 0):
        raise DataError(f"{failed} of the checks above failed; each says what to do next")
