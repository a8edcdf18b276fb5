"""Every code block of the docs is run: Python as it stands, `fusiform` lines through the parser."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fusiform.cli import app

sys.path.insert(0, str(Path(__file__).parent / "datasets"))
from layouts import algonauts2023, vit

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
KNOWN = {"python", "bash", "toml", "yaml", "text", "bibtex", "json"}


def blocks(page: Path) -> list[tuple[str, str]]:
    return re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def lay_out(page: Path, folder: Path) -> None:
    """What a page's code reads, in miniature."""
    if page.name == "selectors.md":
        pytest.importorskip("transformers")
        algonauts2023.write(folder / "data/algonauts2023", subjects=["subj01"], pictures=60)
        vit.write(folder / "models/vit")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_run(page, tmp_path):
    code = "\n".join(text for language, text in blocks(page) if language == "python")
    if not code:
        return
    lay_out(page, tmp_path)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_parse(page):
    for language, text in blocks(page):
        assert language in KNOWN, f"{page.name}: a block of {language!r} is neither run nor known"
        for line in text.splitlines() if language == "bash" else []:
            words = shlex.split(line, comments=True)
            if words[:1] == ["fusiform"] and "--help" not in words:
                app.parse_args(words[1:], exit_on_error=False, print_error=False)
