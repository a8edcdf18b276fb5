"""The command line: parse, call, print where the result is. Nothing heavy is imported before a verb is known."""

from fusiform.cli import verbs  # noqa: F401  they join the app by being defined
from fusiform.cli.app import app, main

__all__ = ["app", "main"]
