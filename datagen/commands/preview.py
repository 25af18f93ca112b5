"""``datagen preview``."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

from tqdm import tqdm

from datagen.contact_sheet import MARK, check_picture, contact_sheet, write_page, write_sheet
from datagen.corpus_file import CorpusFile, load_corpus
from datagen.drawn_values import draw_values
from datagen.plots import histogram_figure, write_figure
from datagen.preview import SHOWN, preview_tiles, scenes_of
from xsim import CorpusError, check_folder

__all__ = ["add"]

DRAWS, DRAWS_S = 500, 20.0  # scenes plotted, and seconds that drawing them may take


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    show = commands.add_parser(
        "preview",
        help="draw some scenes of a corpus file on a contact sheet",
        description="Simulate some scenes of a corpus file and show them on one sheet; nothing else is written.",
        epilog="example: datagen preview phantom:spheres-in-acrylic-corpus -o sheet.png --histograms params.png",
    )
    show.add_argument("corpus", metavar="CORPUS", help="corpus file (TOML), or phantom:NAME for one that ships")
    show.add_argument("-o", "--out", metavar="SHEET.png", type=Path, required=True, help="where the sheet goes")
    show.add_argument("--count", metavar="N", type=_positive, default=12, help="scenes (default: %(default)s)")
    show.add_argument("--scenes", metavar="A,B,..", type=_scenes, help="these scenes instead, by number")
    show.add_argument("--columns", metavar="N", type=_positive, default=4, help="tiles in a row (default: %(default)s)")
    show.add_argument("--tile", metavar="PX", type=_tile_px, default=256, help="width of a tile (default: %(default)s)")
    show.add_argument("--what", choices=SHOWN, default="noisy", help="image shown (default: %(default)s)")
    show.add_argument("--histograms", metavar="PARAMS.png", type=Path, help="plot what many scenes draw, and was asked")
    show.add_argument(
        "--draws", metavar="N", type=_positive, help="scenes plotted (default: 500, at most 20 s of them)"
    )
    show.add_argument(
        "--html", metavar="PAGE.html", type=Path, help="page with the sheet and a table of what was drawn"
    )
    show.add_argument("--backend", choices=("cpu", "cuda", "auto"), default="cpu", help="default: %(default)s")
    show.add_argument("--quiet", action="store_true", help="no progress bar")
    show.set_defaults(run=_preview)


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 10**6:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to 1000000")
    return number


def _tile_px(text: str) -> int:
    if not 16 <= int(text) <= 4096:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 16 to 4096")
    return int(text)


def _scenes(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part.strip()]


def _preview(options: argparse.Namespace) -> None:
    corpus = load_corpus(options.corpus)
    targets = [(options.out, ".png"), (options.histograms, ".png"), (options.html, ".html")]
    given = [(path, suffix) for path, suffix in targets if path is not None]
    for path, suffix in given:
        check_picture(path, suffix)
    if len({path.resolve() for path, _ in given}) < len(given):
        raise CorpusError(f"{options.histograms} named twice (one would replace the other) name another file")
    scenes = scenes_of(corpus, options.count, options.scenes)
    bar = tqdm(total=len(scenes), unit="scene", disable=options.quiet or not sys.stderr.isatty(), leave=False)
    with bar:
        tiles = preview_tiles(corpus, scenes, options.what, options.backend, lambda: bar.update() and None)
    notes = list(dict.fromkeys(note for tile in tiles for note in tile.notes))
    if notes:
        warnings.warn(f"{notes[0]}{f' ({len(notes) - 1} more like it)' if len(notes) > 1 else ''}", stacklevel=1)
    figure = _histograms(corpus, options.draws) if options.histograms is not None else None
    for path, _ in given:
        check_folder(path.parent)
    sheet = contact_sheet(tiles, options.columns, options.tile)
    write_sheet(options.out, sheet)
    faults = sum(bool(tile.reason) for tile in tiles)
    told = f", {faults} of them cannot be made" if faults else ""
    print(f"{options.out}: {len(tiles)} of {corpus.header.scenes} scenes of {corpus.header.name!r}{told}")
    if figure is not None:
        write_figure(options.histograms, figure, MARK)
        print(f"{options.histograms}: {figure.get_suptitle()}")
    if options.html is not None:
        write_page(options.html, sheet, tiles, f"{corpus.header.name}: {options.what}")
        print(options.html)


def _histograms(corpus: CorpusFile, draws: int | None) -> Any:
    drawn = draw_values(corpus, draws) if draws else draw_values(corpus, DRAWS, DRAWS_S)
    title = f"{corpus.header.name}: {drawn.scenes} scenes drawn"
    if drawn.redrawn or drawn.failed:
        title += f", {drawn.redrawn} draws and {drawn.failed} scenes in vain (the first: {drawn.reason})"
    return histogram_figure(drawn, f"{title}; bars: drawn, line: asked")
