from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xsim import OutputError
from xsim.report import Page, Picture, Tile, figure_png, grey_png

VOID = {"meta", "img", "br", "link"}


class Checker(HTMLParser):
    """Collects what a page asks for and checks that its tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.sources += [str(value) for name, value in given.items() if name in ("src", "href")]
        if tag == "img":
            self.pictures.append(given)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def example() -> Page:
    page = Page("Title with <b> & signs", "A lead.")
    page.heading("Section")
    page.paragraph("x < y & z")
    page.tiles([Tile("gain", "+3.0 dB", "over noisy"), Tile("bias", "0.01 %")])
    page.table("A table", ["name", "value"], [("first", 1.5), ("<script>", "two")])
    picture = Picture(grey_png(np.arange(12.0).reshape(3, 4), 0, 11), "ramp", 'a "ramp" of grey')
    page.pictures("Pictures", [picture, picture], pixels=True)
    return page


def test_page_is_whole_and_fetches_nothing() -> None:
    checker = Checker()
    checker.feed(example().html())
    assert checker.open == []
    assert checker.sources and all(source.startswith("data:image/png;base64,") for source in checker.sources)
    assert not {"script", "link", "iframe"} & set(checker.tags)
    assert "default-src 'none'" in example().html()


def test_text_is_escaped() -> None:
    text = example().html()
    assert "<script>" not in text and "<b>" not in text
    assert "Title with &lt;b&gt; &amp; signs" in text


def test_page_can_be_read_without_seeing_it() -> None:
    checker = Checker()
    text = example().html()
    checker.feed(text)
    assert [each["alt"] for each in checker.pictures] == ['a "ramp" of grey'] * 2
    assert '<html lang="en">' in text
    assert text.count('scope="col"') == 2 and text.count('scope="row"') == 2


def test_grey_png_keeps_the_window() -> None:
    image = np.array([[-5.0, 0.0, 5.0], [10.0, 20.0, 2.5]])
    found = np.asarray(Image.open(io.BytesIO(grey_png(image, 0.0, 10.0))))
    np.testing.assert_array_equal(found, [[0, 0, 128], [255, 255, 64]])


def test_pictures_survive_the_page() -> None:
    png = grey_png(np.eye(5), 0, 1)
    page = Page("t")
    page.pictures("c", [Picture(png, "", "five")])
    found = re.search(r"base64,([A-Za-z0-9+/=]+)", page.html())
    assert found is not None and base64.b64decode(found[1]) == png


def test_a_figure_gives_the_same_bytes_again() -> None:
    figure_module = pytest.importorskip("matplotlib.figure")
    pictures = []
    for _ in range(2):
        figure = figure_module.Figure(figsize=(2, 1))
        figure.subplots().plot([1, 2])
        pictures.append(figure_png(figure, 50))
    assert pictures[0] == pictures[1]
    assert Image.open(io.BytesIO(pictures[0])).size == (100, 50)


def test_write_is_whole_or_not_at_all(tmp_path: Path) -> None:
    example().write(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == example().html()
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    with pytest.raises(OutputError, match="choose another folder"):
        example().write(tmp_path / "absent" / "page.html")
