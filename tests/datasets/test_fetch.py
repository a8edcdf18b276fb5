"""Fetching from a server on this machine: whole, resumed, wrong, missing, down."""

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from fusiform.datasets import card, fetch, fetchable, load_dataset
from fusiform.datasets.fetch import _rows
from fusiform.errors import FetchError, UnknownNameError

fetching = sys.modules[fetch.__module__]  # the function bears the name of its module
CONTENT = bytes(range(256)) * 2000  # 512,000 bytes


class Server(ThreadingHTTPServer):
    """Serves CONTENT at any path, with ranges; `answers` are statuses or lengths after which to hang up, in turn."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[int] = []
        self.asked: list[tuple[str, str | None]] = []  # path and Range header of every request
        self.content = CONTENT
        self.ranges = True


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.asked.append((self.path, asked))
        answer = self.server.answers.pop(0) if self.server.answers else len(self.server.content)
        if answer in (404, 416, 503):
            self.send_error(answer)
            return
        start = int(re.findall(r"\d+", asked)[0]) if asked and self.server.ranges else 0
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:answer])

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that stands in for the upstream, and one data set, `alice`, of two files."""
    with Server() as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(fetching, "SERVER", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(fetching, "PAUSE", 0.0)
        monkeypatch.setattr(fetching, "_rows", lambda: [row("a/one.bin"), row("two words.bin")])
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield server
        server.shutdown()


def row(file: str, **change: str) -> dict[str, str]:
    known = {"dataset": "alice", "file": file, "bytes": str(len(CONTENT))}
    known |= {"sha256": hashlib.sha256(CONTENT).hexdigest(), "repository": "some/where", "commit": "c0", "path": file}
    return known | change


def files(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


WHOLE = {"a/one.bin": len(CONTENT), "two words.bin": len(CONTENT)}


def test_fetch_brings_every_file_from_the_pinned_address(server: Server, tmp_path: Path) -> None:
    folder = fetch("alice", tmp_path, progress=False)
    assert folder == tmp_path / "alice"
    assert files(folder) == WHOLE
    assert (folder / "a/one.bin").read_bytes() == CONTENT
    assert server.asked == [("/some/where/c0/a/one.bin", None), ("/some/where/c0/two%20words.bin", None)]


def test_what_is_here_is_not_fetched_again_and_what_is_damaged_is(server: Server, tmp_path: Path) -> None:
    folder = fetch("alice", tmp_path, progress=False)
    (folder / "a/one.bin").write_bytes(CONTENT[:-1] + b"x")
    server.asked.clear()
    fetch("alice", tmp_path, progress=False)
    assert server.asked == [("/some/where/c0/a/one.bin", None)]
    assert (folder / "a/one.bin").read_bytes() == CONTENT


def test_what_a_publishers_tool_brings_is_not_fetched_and_the_commands_are_said(tmp_path: Path) -> None:
    said = r"'algonauts2025' is not fetched for you, .*licence: Algonauts 2025 terms of use.*run, in .*: ?.*datalad get"
    with pytest.raises(FetchError, match=said) as caught:
        fetch("algonauts2025", tmp_path, progress=False)
    assert str(tmp_path) in str(caught.value)
    assert "apply at" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_that_of_the_data(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path / "given"))
    assert fetch("alice", progress=False) == tmp_path / "given" / "alice"
    monkeypatch.delenv("FUSIFORM_DATA")
    assert fetch("alice", progress=False) == tmp_path / "cache" / "data" / "alice"


def test_a_broken_transfer_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.answers = [100_000, 503, 300_000]
    folder = fetch("alice", tmp_path, progress=False)
    assert [asked for path, asked in server.asked if path.endswith("one.bin")] == [
        None,
        "bytes=100000-",
        "bytes=100000-",
        "bytes=400000-",
    ]
    assert (folder / "a/one.bin").read_bytes() == CONTENT


def test_a_later_run_resumes_what_an_earlier_one_left(server: Server, tmp_path: Path) -> None:
    server.answers = [1000, *[503] * 3]
    with pytest.raises(FetchError, match=r"could not be fetched .*503.*goes on where this stopped"):
        fetch("alice", tmp_path, progress=False)
    assert files(tmp_path / "alice") == {"a/one.bin.part": 1000}
    server.asked.clear()
    assert files(fetch("alice", tmp_path, progress=False)) == WHOLE
    assert server.asked[0] == ("/some/where/c0/a/one.bin", "bytes=1000-")


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.ranges, server.answers = False, [1000]
    folder = fetch("alice", tmp_path, progress=False)
    assert (folder / "a/one.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"x", CONTENT + b"x"], ids=["other", "longer"])
def test_a_wrong_file_never_takes_the_name(server: Server, tmp_path: Path, content: bytes) -> None:
    good = tmp_path / "alice" / "two words.bin"
    good.parent.mkdir(parents=True)
    good.write_bytes(CONTENT)
    (tmp_path / "alice" / "a").mkdir()
    (tmp_path / "alice" / "a" / "one.bin").write_bytes(b"an older version")
    server.content = content
    with pytest.raises(FetchError, match=r"one\.bin sent \d+ bytes with SHA-256 \w+; wanted 512000 bytes with"):
        fetch("alice", tmp_path, progress=False)
    assert files(tmp_path / "alice") == {"two words.bin": len(CONTENT), "a/one.bin": 16}
    assert good.read_bytes() == CONTENT


def test_an_absent_file_is_not_asked_for_twice(server: Server, tmp_path: Path) -> None:
    server.answers = [404]
    with pytest.raises(FetchError, match=r"a/one\.bin could not be fetched \(HTTP Error 404"):
        fetch("alice", tmp_path, progress=False)
    assert len(server.asked) == 1
    assert files(tmp_path) == {}


def test_a_server_that_is_down(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SERVER", "http://127.0.0.1:1")
    with pytest.raises(FetchError, match=r"could not be fetched .*refused.* check the connection or proxy"):
        fetch("alice", tmp_path, progress=False)
    assert files(tmp_path) == {}


def test_a_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "alice").write_text("a file, not a folder")
    with pytest.raises(FetchError, match=r"cannot write .*one\.bin .* give another folder"):
        fetch("alice", tmp_path, progress=False)


def test_a_file_without_public_address_says_what_to_do(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_rows", lambda: [row("one.bin", repository="")])
    with pytest.raises(FetchError, match=r"no fixed public address.*copy it by hand to .*one\.bin \(512000 bytes"):
        fetch("alice", tmp_path, progress=False)
    (tmp_path / "alice").mkdir()
    (tmp_path / "alice" / "one.bin").write_bytes(CONTENT)
    assert fetch("alice", tmp_path, progress=False) == tmp_path / "alice"


def test_the_bar_counts_every_byte_once(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [100_000]
    fetch("alice", tmp_path)
    assert "alice: 100%" in capsys.readouterr().err
    fetch("alice", tmp_path, progress=False)
    assert capsys.readouterr().err == ""


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown dataset to fetch 'alise' \(did you mean 'alice'"):
        fetch("alise")
    with pytest.raises(UnknownNameError, match="did you mean 'fsaverage5'"):
        card("fsaverage")


def test_the_list_is_pinned_and_whole() -> None:
    rows = _rows()
    assert fetchable() == list(dict.fromkeys(entry["dataset"] for entry in rows))
    assert len({(entry["dataset"], entry["file"]) for entry in rows}) == len(rows)
    for entry in rows:
        assert re.fullmatch(r"[0-9a-f]{64}", entry["sha256"])
        assert not Path(entry["file"]).is_absolute()
        assert ".." not in Path(entry["file"]).parts
        assert bool(re.fullmatch(r"[0-9a-f]{40}", entry["commit"])) == bool(entry["repository"])


@pytest.mark.parametrize("name", fetchable())
def test_cards_say_licence_citation_and_size(name: str) -> None:
    found = card(name)
    assert found.title
    assert found.licence
    assert found.cite
    assert found.bytes == sum(int(entry["bytes"]) for entry in _rows() if entry["dataset"] == name)


@pytest.mark.data
@pytest.mark.parametrize("name", fetchable())
def test_the_real_files_are_those_listed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of a server (there is none) where all files are here and right."""
    monkeypatch.setattr(fetching, "SERVER", "http://127.0.0.1:1")
    assert fetch(name, os.environ["FUSIFORM_DATA"], progress=False).is_dir()


@pytest.mark.data
def test_what_is_listed_is_all_that_a_dataset_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path(os.environ["FUSIFORM_DATA"])
    for entry in _rows():
        target = tmp_path / entry["dataset"] / entry["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(real / entry["dataset"] / entry["file"], target)
    monkeypatch.setenv("FUSIFORM_DATA", str(tmp_path))
    for name in ("alice", "kay2017", "miyawaki2008"):
        dataset = load_dataset(name)
        stimuli = dataset.stimuli()
        assert stimuli.load(stimuli.ids[0]) is not None
        for subject in dataset.subjects:
            assert len(dataset.responses(subject))
