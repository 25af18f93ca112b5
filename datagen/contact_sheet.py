"""Tiles on one picture, as a PNG or a page that knows what it is."""

from __future__ import annotations

import base64
import html
import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from scipy import ndimage

from datagen.preview import Tile
from xsim import OutputError, write_whole

__all__ = ["MARK", "check_picture", "contact_sheet", "write_page", "write_sheet"]

MARK = "datagen preview"
PAGE_HEAD = f'<!doctype html>\n<meta charset="utf-8">\n<meta name="generator" content="{MARK}">\n'
# palette: a ramp of greys, then colours of bodies
GREYS = 128
BODY_COLOURS = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
    (148, 203, 236), (170, 220, 120), (255, 140, 140), (150, 120, 220), (220, 190, 140),
)  # fmt: skip
OUTLINE = GREYS  # the first of them
PAPER, INK, BLANK = 12, 118, 28  # greys of the sheet, its words, and a tile without a picture
GAP_PX, FONT_PX, LINE_PX = 8, 12, 15
LONGEST = 2.0  # height of a tile over its width; a longer image is made narrower


def contact_sheet(tiles: Sequence[Tile], columns: int, tile_px: int) -> Image.Image:
    """Draw tiles row by row.

    Parameters
    ----------
    tiles : sequence of Tile
    columns : int
        Tiles side by side.
    tile_px : int
        Width of a tile; larger images are averaged down, smaller ones enlarged by a whole factor.

    Returns
    -------
    PIL.Image.Image
        Of mode P.
    """
    pictures = [_picture(tile, tile_px) for tile in tiles]
    rows = [range(first, min(first + columns, len(tiles))) for first in range(0, len(tiles), columns)]
    heights = [max(pictures[k].shape[0] for k in row) for row in rows]
    below = max(len(tile.caption) for tile in tiles) * LINE_PX + GAP_PX
    width = GAP_PX + min(columns, len(tiles)) * (tile_px + GAP_PX)
    sheet = Image.new("L", (width, GAP_PX + sum(height + below for height in heights)), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_PX)
    top = GAP_PX
    for row, height in zip(rows, heights, strict=True):
        for place, k in enumerate(row):
            left = GAP_PX + place * (tile_px + GAP_PX)
            sheet.paste(Image.fromarray(pictures[k]), (left, top))
            if tiles[k].reason:
                _write(
                    pen,
                    font,
                    left + 4,
                    top + 4,
                    textwrap.wrap(tiles[k].reason, max(1, tile_px // 7))[: tile_px // LINE_PX],
                )
            _write(pen, font, left, top + height + 2, tiles[k].caption, tile_px)
        top += height + below
    ramp = [round(255 * level / (GREYS - 1)) for level in range(GREYS) for _ in range(3)]
    sheet.putpalette(ramp + [part for colour in BODY_COLOURS for part in colour])
    return sheet


def _write(pen: ImageDraw.ImageDraw, font: Any, left: int, top: int, lines: Sequence[str], most_px: int = 0) -> None:
    for number, line in enumerate(lines):
        while most_px and len(line) > 1 and pen.textlength(line, font=font) > most_px:
            line = line[:-2] + "…"
        pen.text((left, top + number * LINE_PX), line, fill=INK, font=font)


def _picture(tile: Tile, tile_px: int) -> np.ndarray:
    """Palette indices of a tile, uint8 [row, column]."""
    if tile.picture is not None:
        grey = _resized(Image.fromarray(tile.picture.astype(np.float32)), tile_px, Image.Resampling.BOX)
        indices = np.asarray(np.rint(grey * (GREYS - 1)), np.uint8)
        return indices if tile.labels is None else _outlined(indices, tile.labels, tile_px)
    if tile.labels is not None:
        labels = _resized(Image.fromarray(tile.labels.astype(np.int32)), tile_px, Image.Resampling.NEAREST)
        return np.asarray(np.where(labels > 0, GREYS + (labels - 1) % len(BODY_COLOURS), BLANK), np.uint8)
    return np.full((tile_px, tile_px), BLANK, np.uint8)


def _outlined(indices: np.ndarray, labels: np.ndarray, tile_px: int) -> np.ndarray:
    """A line of one pixel around each wanted body, a pixel away from it, so that the body itself stays in sight."""
    # averaging down loses bodies below a pixel; any part of one marks the pixel it falls into
    shown = _resized(Image.fromarray((labels > 0).astype(np.float32)), tile_px, Image.Resampling.BOX) > 0
    around = np.ones((3, 3), bool)
    far, near = (ndimage.binary_dilation(shown, around, iterations=steps) for steps in (3, 2))
    return np.where(far & ~near, OUTLINE, indices).astype(np.uint8)


def _resized(image: Image.Image, tile_px: int, how: Image.Resampling) -> np.ndarray:
    """Into a tile: by a whole factor where it grows, any where it shrinks; [row, column], as wide as the tile."""
    share = min(tile_px / image.width, LONGEST * tile_px / image.height)
    share = float(int(share)) if share >= 1.0 else share
    size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
    return np.asarray(image.resize(size, Image.Resampling.NEAREST if share >= 1.0 else how))


def write_sheet(path: Path, sheet: Image.Image) -> None:
    """Write a sheet as a PNG that says what made it.

    Raises
    ------
    OutputError
        The folder is missing, full or read-only.
    """
    told = PngInfo()
    told.add_text("Software", MARK)
    write_whole(path, lambda target: sheet.save(target, format="PNG", optimize=True, pnginfo=told))


def write_page(path: Path, sheet: Image.Image, tiles: Sequence[Tile], title: str) -> None:
    """Write a page of its own: the sheet, and a table of all that was drawn.

    Raises
    ------
    OutputError
        The folder is missing, full or read-only.
    """
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    names = list(dict.fromkeys(name for tile in tiles for name in tile.drawn))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    rows = "".join(f"<tr>{''.join(f'<td>{_cell(tile, name)}</td>' for name in names)}</tr>\n" for tile in tiles)
    text = (
        f"{PAGE_HEAD}<title>{html.escape(title)}</title>\n"
        "<style>body{font:14px sans-serif;margin:24px}img{max-width:100%}table{border-collapse:collapse}"
        "td,th{border:1px solid #ccc;padding:2px 6px;text-align:right;white-space:nowrap}"
        "div{overflow-x:auto}</style>\n"
        f"<h1>{html.escape(title)}</h1>\n"
        f'<img alt="contact sheet" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}">\n'
        f"<div><table>\n<tr>{head}</tr>\n{rows}</table></div>\n"
    )
    write_whole(path, lambda target: target.write_text(text, encoding="utf-8"))


def _cell(tile: Tile, name: str) -> str:
    value = tile.drawn.get(name, "")
    return html.escape(f"{value:.6g}" if isinstance(value, float) else str(value))


def check_picture(path: Path, suffix: str) -> None:
    """Refuse a name of another kind of file, and one that holds something `write_sheet` or `write_page` did not make.

    Raises
    ------
    OutputError
        The file would not be what its name says, or something would be lost.
    """
    if path.suffix.lower() != suffix:
        raise OutputError(f"{path} does not end in {suffix} (that is what is written) name a {suffix} file")
    if path.is_dir() or (path.exists() and not _is_ours(path)):
        raise OutputError(f"{path} is there and not of {MARK} (it would be lost) choose another name")


def _is_ours(path: Path) -> bool:
    try:
        if path.suffix.lower() == ".png":
            with Image.open(path) as image:
                return image.info.get("Software") == MARK
        with path.open("rb") as file:
            return file.read(len(PAGE_HEAD.encode())) == PAGE_HEAD.encode()
    except (OSError, UnidentifiedImageError, ValueError):
        return False
