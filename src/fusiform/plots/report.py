"""Reports: sections with numbers, figures and tables as one self-contained html file."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from importlib.resources import files
from numbers import Integral, Real
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from fusiform.files import atomic, write_text

__all__ = ["Animation", "Picture", "Section", "save_figures", "write_report"]

DPI = 160  # dots per inch of the files: finer than shown, so that text stays sharp on dense screens and on paper
SHOWN = 120  # CSS pixels per inch of a figure
NOTHING_FROM_OUTSIDE = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Picture:
    """A figure of a report.

    Args:
        name: of its file, such as `layers`.
        figure: what is drawn.
        caption: what a reader should see in it; also read out in place of the picture.
    """

    name: str
    figure: Figure
    caption: str
    suffix = "png"

    @cached_property
    def png(self) -> bytes:
        """The figure as a file; drawn once, for a figure that is laid out again may move by a dot."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
        return buffer.getvalue()

    @property
    def file(self) -> bytes:
        """What is saved and shown."""
        return self.png

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height on the page, in CSS pixels."""
        width, height = (round(SHOWN * inches) for inches in self.figure.get_size_inches())
        return width, height


@dataclass(frozen=True)
class Animation:
    """A moving picture of a report.

    Args:
        name: of its file, such as `spin`.
        file: a GIF.
        caption: as of `Picture`.
    """

    name: str
    file: bytes = field(repr=False)
    caption: str
    suffix = "gif"

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height on the page, in CSS pixels: those of the file."""
        with Image.open(io.BytesIO(self.file)) as image:
            return image.size


@dataclass(frozen=True)
class Section:
    """One part of a report.

    Args:
        title: its heading.
        paragraphs: plain text; whatever looks like html is shown, not obeyed.
        numbers: name -> headline number, shown large.
        pictures: in order.
        table: with named columns; numbers are shown to three digits.
        notice: one sentence that stands out, such as why the section is empty.
    """

    title: str
    paragraphs: Sequence[str] = ()
    numbers: Mapping[str, float | int | str] = field(default_factory=dict)
    pictures: Sequence[Picture | Animation] = ()
    table: pd.DataFrame | None = None
    notice: str = ""


def write_report(
    path: Path | str, title: str, sections: Sequence[Section], *, subtitle: str = "", footer: Sequence[str] = ()
) -> None:
    """Write one html file that needs nothing else: no script, no font, no picture from outside.

    Args:
        path: of the file, written atomically.
        title: of the page.
        sections: in order; with several there is a table of contents.
        subtitle: one line below the title.
        footer: lines on how it was made.
    """
    numbered = list(enumerate(sections, start=1))
    links = "".join(f'<a href="#section-{number}">{escape(part.title)}</a>' for number, part in numbered)
    body = [
        f"<header><h1>{escape(title)}</h1>",
        f'<p class="subtitle">{escape(subtitle)}</p>' if subtitle else "",
        f"<nav>{links}</nav>" if len(sections) > 1 else "",
        "</header>",
        *[_section(part, number) for number, part in numbered],
        "<footer>" + "".join(f"<p>{escape(line)}</p>" for line in footer) + "</footer>",
    ]
    write_text(path, _page(title, "\n".join(filter(None, body))))


def save_figures(folder: Path | str, sections: Sequence[Section]) -> None:
    """Write every picture of the sections as `folder/name.png`, or `.gif` where it moves."""
    for section in sections:
        for picture in section.pictures:
            with atomic(Path(folder) / f"{picture.name}.{picture.suffix}") as new:
                new.write_bytes(picture.file)


def _page(title: str, body: str) -> str:
    css = (files("fusiform.plots") / "report.css").read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{NOTHING_FROM_OUTSIDE}">\n'
        f"<style>\n{css}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _section(section: Section, number: int) -> str:
    parts = [f'<section id="section-{number}">', f"<h2>{escape(section.title)}</h2>"]
    if section.notice:
        parts.append(f'<p class="notice">{escape(section.notice)}</p>')
    if section.numbers:
        tiles = (
            f'<div class="tile"><dt>{escape(name)}</dt><dd>{escape(_number(value))}</dd></div>'
            for name, value in section.numbers.items()
        )
        parts.append(f'<dl class="tiles">{"".join(tiles)}</dl>')
    parts += [f"<p>{escape(text)}</p>" for text in section.paragraphs]
    parts += [_picture(picture) for picture in section.pictures]
    if section.table is not None:
        parts.append(_table(section.table))
    return "\n".join([*parts, "</section>"])


def _picture(picture: Picture | Animation) -> str:
    data = base64.b64encode(picture.file).decode()
    width, height = picture.shown
    caption = escape(picture.caption)
    image = f'<img alt="{caption}" width="{width}" height="{height}" src="data:image/{picture.suffix};base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _table(table: pd.DataFrame) -> str:
    head = "".join(f"<th>{escape(str(name))}</th>" for name in table.columns)
    rows = ("".join(f"<td>{escape(_number(value))}</td>" for value in row) for row in table.itertuples(index=False))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _number(value: object) -> str:
    """Three digits after the point, or one and an exponent where they would all be zero; a dash where none is known."""
    if value is None or value is pd.NA or value != value:  # NaN is not itself
        return "\N{EN DASH}"
    if isinstance(value, Integral) and not isinstance(value, bool):
        return f"{int(value):,}"
    if not isinstance(value, Real) or isinstance(value, bool):
        return str(value)
    number = float(value)
    return f"{number:.1e}" if 0 < abs(number) < 0.0005 else f"{number:,.3f}"
