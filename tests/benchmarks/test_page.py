"""The page of measurements says what the results say."""

import json

from benchmarks import page
from benchmarks.results import RESULTS
from fusiform.files import read_json


def test_the_page_is_written_from_the_results():
    assert page.PAGE.read_text(encoding="utf-8") == page.page(), "run: python -m benchmarks.page"


def test_it_has_every_ridge_job():
    text = page.page()
    for row in read_json(RESULTS / "ridge.json")["rows"]:
        assert f"| {row['job']} | **{row['ours_s']:.2f} s** |" in text


def test_machines_have_tables_of_their_own(tmp_path, monkeypatch):
    cpu, gpu = {"cpu": "a", "threads": 2}, {"cpu": "a", "threads": 8, "gpu": "card"}
    row = {"job": "resume", "seconds": 0.25}
    rows = [{**row, "machine": cpu}, {**row, "machine": gpu, "seconds": 0.5}]
    (tmp_path / "features.json").write_text(json.dumps({"rows": rows}))
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    text = page.section("features", "Features", "about", ("job", "fusiform", ""), page.features)
    assert text.index("a, 2 threads:") < text.index("0.25 s") < text.index("card, 8 threads:") < text.index("0.50 s")
