"""`fusiform init-dataset`: a first description of a folder, written into it."""

import shlex
from pathlib import Path

import pandas as pd

from fusiform.datasets.folder.guess import MEDIA, Guess, guess
from fusiform.datasets.folder.writing import described
from fusiform.errors import LayoutError, SettingsError
from fusiform.files import write_text

__all__ = ["init_folder"]


def init_folder(folder: Path | str) -> tuple[Path, Guess]:
    """Write `dataset.yaml` into a folder, and `stimuli.tsv` where it has media but no table of them.

    Returns:
        The file, and what was found: `Guess.open` is what the user must still fill in.

    Raises:
        LayoutError: there is no such folder.
        SettingsError: it has a `dataset.yaml` already.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise LayoutError(f"there is no folder {folder}; give the one that holds your stimuli and responses")
    path = folder / "dataset.yaml"
    if path.exists():
        check = f"fusiform doctor {shlex.quote(str(path))}"
        raise SettingsError(f"{path} exists and is left as it is; check it with: {check}, or move it away")
    found = guess(folder)
    if not found.table and found.media and not (folder / "stimuli.tsv").exists():
        _write_table(folder, found)
    write_text(path, described(found))
    return path, found


def _write_table(folder: Path, found: Guess) -> None:
    """`stimuli.tsv`: the media files, with their paths in that folder as ids, without ending."""
    root = folder / found.media
    shown = sorted(path for path in root.rglob("*") if path.name.lower().endswith(MEDIA[found.kind]))
    names = [path.relative_to(root) for path in shown]
    ids = [name.with_suffix("").as_posix() for name in names]
    table = pd.DataFrame({"stimulus": ids, "file": [name.as_posix() for name in names]})
    table = table.drop_duplicates("stimulus")
    write_text(folder / "stimuli.tsv", table.to_csv(sep="\t", index=False))
    found.table, found.columns = "stimuli.tsv", {"id": "stimulus", "file": "file"}
