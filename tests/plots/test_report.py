"""Reports: whole, safe, self-contained, the same bytes for the same input."""

import base64
import io
import re
from html import escape, unescape
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fusiform.plots.charts import matrix
from fusiform.plots.report import Animation, Picture, Section, save_figures, write_report
from fusiform.plots.style import figure

EVIL = "<script>alert('x')</script> & \"quoted\""


def drawn(level=1.0):
    made = figure(2, 1)
    made.subplots().plot([0, level])
    return made


def sections():
    table = pd.DataFrame({"region": ["V1", "V2"], "r": [0.123456, np.nan]})
    picture = Picture("curve", drawn(), "A curve that rises.")
    return [
        Section("First", ["One.", "Two."], {"mean r": 0.5}, [picture], table),
        Section("Second", notice="Nothing was repeated."),
    ]


def written(tmp_path, parts, **more):
    write_report(tmp_path / "report.html", "Title", parts, **more)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Every element with its attributes, and the text outside of style."""

    def __init__(self, page):
        super().__init__()
        self.found, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.found and self.found[-1][0] != "style":
            self.texts.append(data.strip())

    def of(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def test_every_part_is_there_in_order(tmp_path):
    page = written(tmp_path, sections(), subtitle="Below", footer=["Made so"])
    words = [text for text in Elements(page).texts if text]
    assert words == [
        *("Title", "Title", "Below", "First", "Second"),
        *("First", "mean r", "0.500", "One.", "Two.", "A curve that rises."),
        *("region", "r", "V1", "0.123", "V2", "\N{EN DASH}"),
        *("Second", "Nothing was repeated.", "Made so"),
    ]


def test_the_contents_lead_to_their_sections_even_of_one_name(tmp_path):
    page = Elements(written(tmp_path, [Section("Same"), Section("Same"), Section("脳")]))
    links = [link["href"] for link in page.of("a")]
    assert len(set(links)) == 3
    assert links == [f"#{part['id']}" for part in page.of("section")]


def test_one_section_needs_no_contents(tmp_path):
    assert not Elements(written(tmp_path, [Section("Only")])).of("nav")


def test_html_is_shown_and_not_obeyed(tmp_path):
    table = pd.DataFrame({EVIL: [EVIL]})
    part = Section(EVIL, [EVIL], {EVIL: EVIL}, [Picture("p", drawn(), EVIL)], table, EVIL)
    write_report(tmp_path / "r.html", EVIL, [part, part], subtitle=EVIL, footer=[EVIL])
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    elements = Elements(page)
    assert not elements.of("script")
    assert "<script" not in page
    assert [image["alt"] for image in elements.of("img")] == [EVIL, EVIL]  # quotes do not end the attribute
    shown = [unescape(text) for text in re.findall(r">([^<>]*&lt;script&gt;[^<>]*)<", page)]
    # title, h1, subtitle, 2 links, footer; per section: heading, notice, tile (2), paragraph, caption, table (2)
    assert shown == [EVIL] * (6 + 2 * 8)


def test_nothing_comes_from_outside(tmp_path):
    page = written(tmp_path, sections(), subtitle="s", footer=["f"])
    elements = Elements(page)
    for _, attributes in elements.found:
        assert "src" not in attributes or attributes["src"].startswith("data:image/png;base64,")
        assert attributes.get("href", "#").startswith("#")
        assert not {"srcset", "action", "onload", "style"} & set(attributes)
    assert not re.search(r"https?:|url\(|@import|//[a-z]", re.sub(r"base64,[^\"]*", "", page))
    assert {name for name, _ in elements.found}.isdisjoint({"script", "link", "iframe", "object"})
    assert any("default-src 'none'" in meta.get("content", "") for meta in elements.of("meta"))


def test_the_pictures_are_whole_and_told_in_words(tmp_path):
    [image] = Elements(written(tmp_path, sections())).of("img")
    assert image["alt"] == "A curve that rises."
    assert (image["width"], image["height"]) == ("240", "120")  # shown smaller than drawn, whatever the screen
    with Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))) as png:
        assert png.size == (320, 160)  # 2 by 1 inches at 160 dots


def test_equal_input_gives_equal_bytes(tmp_path):
    pages = []
    for number in range(2):
        parts = sections()
        save_figures(tmp_path / "figures", parts)  # drawing a figure before must not change it
        if number:
            save_figures(tmp_path / "figures", parts)
        pages.append(written(tmp_path, parts))
    assert pages[0] == pages[1]
    assert written(tmp_path, [Section("First", pictures=[Picture("curve", drawn(2.0), "c")])]) != pages[0]


def test_what_is_saved_is_what_is_shown(tmp_path):
    """A colour bar moves by a dot when it is laid out again."""

    def parts():
        return [Section("S", pictures=[Picture("m", matrix(np.eye(3), list("abc"), list("abc"), label="share"), "c")])]

    fresh, saved = parts(), parts()
    save_figures(tmp_path, saved)
    page = written(tmp_path, saved)
    assert page == written(tmp_path, fresh)
    assert base64.b64encode((tmp_path / "m.png").read_bytes()).decode() in page


class Broken:
    def savefig(self, *args, **kwargs):
        raise RuntimeError("cannot be drawn")


def test_a_figure_that_fails_leaves_the_old_report(tmp_path):
    old = written(tmp_path, sections())
    bad = Section("Bad", pictures=[Picture("bad", Broken(), "Never.")])
    with pytest.raises(RuntimeError, match="cannot be drawn"):
        written(tmp_path, [*sections(), bad])
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == old
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_figures_are_saved_by_name_each_whole_or_not_at_all(tmp_path):
    bad = Section("Bad", pictures=[Picture("bad", Broken(), "Never.")])
    with pytest.raises(RuntimeError, match="cannot be drawn"):
        save_figures(tmp_path / "deep" / "figures", [*sections(), bad])
    assert [path.name for path in (tmp_path / "deep" / "figures").iterdir()] == ["curve.png"]
    with Image.open(tmp_path / "deep" / "figures" / "curve.png") as png:
        assert png.size == (320, 160)


NUMBERS = [
    (0.12345, "0.123"),
    (np.float32(0.25), "0.250"),
    (np.float64(-1.5), "-1.500"),
    (12345.678, "12,345.678"),
    (0.0, "0.000"),
    (0.0002, "2.0e-04"),  # not 0.000: a p value is never nothing
    (float("nan"), "\N{EN DASH}"),
    (np.float32("nan"), "\N{EN DASH}"),
    (None, "\N{EN DASH}"),
    (pd.NA, "\N{EN DASH}"),
    (pd.NaT, "\N{EN DASH}"),
    (float("inf"), "inf"),
    (20484, "20,484"),
    (np.int64(20484), "20,484"),
    (np.uint8(7), "7"),
    (True, "True"),
    (np.bool_(False), "False"),
    ("31% (chance 10%)", "31% (chance 10%)"),
]


@pytest.mark.parametrize(("value", "shown"), NUMBERS, ids=[f"{type(v).__name__}-{s}" for v, s in NUMBERS])
def test_numbers_are_shown_alike_in_tiles_and_tables(tmp_path, value, shown):
    table = pd.DataFrame({"column": pd.Series([value], dtype=object)})
    page = written(tmp_path, [Section("S", numbers={"tile": value}, table=table)])
    assert f"<dd>{escape(shown)}</dd>" in page
    assert f"<td>{escape(shown)}</td>" in page


def test_columns_keep_their_types(tmp_path):
    table = pd.DataFrame({"n": np.array([1500]), "r": np.array([0.5], np.float32), "who": ["s01"]})
    page = written(tmp_path, [Section("S", table=table)])
    assert "<tr><td>1,500</td><td>0.500</td><td>s01</td></tr>" in page


def test_the_tables_and_figures_handed_in_stay_as_they_were(tmp_path):
    parts = sections()
    before, size = parts[0].table.copy(), parts[0].pictures[0].figure.get_size_inches().copy()
    written(tmp_path, parts)
    pd.testing.assert_frame_equal(parts[0].table, before)
    np.testing.assert_array_equal(parts[0].pictures[0].figure.get_size_inches(), size)


def moving():
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)
    return Animation("spin", buffer.getvalue(), "It turns & turns.")


def test_moving_pictures_are_shown_in_their_own_size_and_saved_as_they_are(tmp_path):
    part = Section("Moving", pictures=[moving(), Picture("curve", drawn(), "A curve.")])
    save_figures(tmp_path / "figures", [part])
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["curve.png", "spin.gif"]
    assert (tmp_path / "figures" / "spin.gif").read_bytes() == moving().file
    image, _ = Elements(written(tmp_path, [part])).of("img")
    assert (image["width"], image["height"], image["alt"]) == ("30", "20", "It turns & turns.")
    kind, _, data = image["src"].partition(";base64,")
    assert kind == "data:image/gif"
    assert base64.b64decode(data) == moving().file
