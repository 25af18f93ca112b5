"""Reports as one HTML file: text, tables and pictures in it, nothing fetched from elsewhere, nothing that runs."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xsim.image_io import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Page", "Picture", "Tile", "figure_png", "grey_png"]

# the policy makes a browser refuse whatever the file might come to ask for
HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
"""
STYLE = """
:root { --ink: #1c2126; --soft: #56616b; --line: #d5dbe0; --paper: #ffffff; --ground: #f4f6f8; --mark: #0b5a8f;
  color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaee; --soft: #a3adb7; --line: #39424b; --paper: #1a1f24; --ground: #12161a; --mark: #7cc0ee; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.3rem; margin: 2.75rem 0 .5rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .25rem; }
p { max-width: 46rem; margin: .5rem 0 1rem; }
.lead { font-size: 1.1rem; color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .75rem; margin: 1.25rem 0;
  padding: 0; list-style: none; }
.tiles li { background: var(--paper); border: 1px solid var(--line); border-radius: 6px; padding: .8rem 1rem; }
.tiles .label { display: block; font-size: .9rem; color: var(--soft); }
.tiles .value { display: block; font-size: 1.6rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.tiles .note { display: block; font-size: .85rem; color: var(--soft); }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(var(--least), 100%), 1fr));
  gap: .75rem; }
figure { margin: 1.25rem 0; }
figure figure { margin: 0; padding: .5rem; background: var(--paper); border: 1px solid var(--line);
  border-radius: 6px; }
figure img { display: block; width: 100%; height: auto; }
.pixels img { image-rendering: pixelated; }
figcaption { font-size: .9rem; color: var(--soft); margin-top: .5rem; max-width: 60rem; }
figure figure figcaption { margin-top: .35rem; color: var(--ink); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; background: var(--paper); font-variant-numeric: tabular-nums; min-width: 24rem; }
caption { text-align: left; font-size: .9rem; color: var(--soft); padding-bottom: .4rem; }
th, td { padding: .35rem .8rem; border: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
thead th { background: var(--ground); font-weight: 600; }
tbody th { font-weight: 500; }
a { color: var(--mark); }
@media print { body { background: none; } h2 { break-after: avoid; } figure, table { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Picture:
    """A picture on a page.

    Attributes
    ----------
    png : bytes
    caption : str
    alt : str
        What it shows, for those who cannot see it.
    """

    png: bytes
    caption: str
    alt: str


@dataclass(frozen=True)
class Tile:
    """A number that a page begins with."""

    label: str
    value: str
    note: str = ""


def grey_png(image: np.ndarray, low: float, high: float) -> bytes:
    """Grey picture of an image [row, column]: ``low`` is black, ``high`` white, one pixel each."""
    from PIL import Image

    scaled = (image.astype(np.float64) - low) * (255.0 / max(high - low, 1e-12))
    file = io.BytesIO()
    Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8)).save(file, format="PNG", optimize=True)
    return file.getvalue()


def figure_png(figure: Figure, dots_per_inch: float = 150.0) -> bytes:
    """A matplotlib figure as a picture."""
    file = io.BytesIO()
    # without its own metadata the file is the same whenever it is made
    figure.savefig(file, format="png", dpi=dots_per_inch, metadata={"Software": None})
    return file.getvalue()


class Page:
    """A page that is written from top to bottom.

    Parameters
    ----------
    title : str
    lead : str
        The page in a sentence or two.

    """

    def __init__(self, title: str, lead: str = "") -> None:
        self.title = title
        self._parts = [f"<h1>{html.escape(title)}</h1>"]
        if lead:
            self._parts.append(f'<p class="lead">{html.escape(lead)}</p>')

    def heading(self, text: str, level: int = 2) -> None:
        """Begin a section (level 2) or a part of one (level 3)."""
        self._parts.append(f"<h{level}>{html.escape(text)}</h{level}>")

    def paragraph(self, text: str) -> None:
        """Add a paragraph of plain text."""
        self._parts.append(f"<p>{html.escape(text)}</p>")

    def tiles(self, tiles: Sequence[Tile]) -> None:
        """Add a row of numbers."""
        items = []
        for tile in tiles:
            texts = (("label", tile.label), ("value", tile.value), ("note", tile.note))
            spans = "".join(f'<span class="{kind}">{html.escape(text)}</span>' for kind, text in texts if text)
            items.append(f"<li>{spans}</li>")
        self._parts.append(f'<ul class="tiles">{"".join(items)}</ul>')

    def table(self, caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add a table.

        Parameters
        ----------
        caption : str
        columns : sequence of str
            Heads; the first is that of the rows' names.
        rows : sequence of rows
            A name, then a text or number per further column.

        """
        head = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in columns)
        body = "".join(
            f'<tr><th scope="row">{html.escape(str(row[0]))}</th>'
            + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row[1:])
            + "</tr>"
            for row in rows
        )
        self._parts.append(
            f'<div class="scroll"><table><caption>{html.escape(caption)}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    def pictures(
        self, caption: str, pictures: Sequence[Picture], least_width_rem: float = 16.0, pixels: bool = False
    ) -> None:
        """Add pictures side by side under one caption.

        Parameters
        ----------
        caption : str
        pictures : sequence of Picture
        least_width_rem : float
            Width below which they go below each other.
        pixels : bool
            Show enlarged pixels as squares: for images, not for plots.

        """
        shown = "".join(_figure(picture) for picture in pictures)
        kind = "pictures pixels" if pixels else "pictures"
        self._parts.append(
            f'<figure><div class="{kind}" style="--least: {least_width_rem:g}rem">{shown}</div>'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )

    def html(self) -> str:
        """The whole file."""
        head = HEAD.format(title=html.escape(self.title), style=STYLE)
        return head + "\n".join(self._parts) + "\n</main>\n</body>\n</html>\n"

    def write(self, path: str | Path) -> None:
        """Write the file, whole or not at all.

        Raises
        ------
        OutputError
            It cannot be written.

        """
        write_whole(Path(path), lambda target: target.write_text(self.html(), encoding="utf-8"))


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode("ascii")
    caption = f"<figcaption>{html.escape(picture.caption)}</figcaption>" if picture.caption else ""
    alt = html.escape(picture.alt, quote=True)
    return f'<figure><img src="data:image/png;base64,{data}" alt="{alt}">{caption}</figure>'
