"""``denoise evaluate``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from denoise.commands.common import add_common
from xsim import ModelError, write_whole

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    command = commands.add_parser(
        "evaluate",
        help="judge models on a part of a corpus",
        description="Fidelity, sharpness, noise, contaminants found and structure in the residual of several models, "
        "beside the noisy images and classical denoisers that are tuned on these very images. Deblurring models: "
        "fidelity and sharpness with and without noise, beside the thick screen's frames and an oracle Wiener filter.",
        epilog="example: denoise evaluate model.safetensors corpus.zarr --page page.html",
    )
    command.add_argument("models", metavar="MODEL", nargs="+", help="models that denoise train made")
    command.add_argument("corpus", metavar="CORPUS", help="store that datagen generate made")
    command.add_argument("--split", choices=("train", "val", "test"), default="test", help="default: %(default)s")
    command.add_argument(
        "--format", dest="formats", action="append", metavar="NAME", help="detector format (default: all)"
    )
    command.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    command.add_argument("--page", type=Path, metavar="FILE.html", help="write a page with tables, curves and pictures")
    add_common(command)
    command.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> None:
    import datagen
    from denoise.new_file import check_new

    for path in (options.json, options.page):
        if path:
            check_new(path, options.force)
    restorers = _loaded(options.models, options.device)
    deblurring = all(each.method.source != "noisy" for each in restorers.values())
    judged = _deblurring if deblurring else _restoration
    figures, text = judged(restorers, datagen.open_corpus(options.corpus), options)
    print(text)
    if options.json:
        lines = json.dumps(figures, indent=2, allow_nan=False) + "\n"
        write_whole(options.json, lambda path: path.write_text(lines))


def _restoration(restorers: dict[str, Any], corpus: Any, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Figures, and the table of them; writes the page."""
    from denoise.evaluation import judge
    from denoise.evaluation_table import numbers, table
    from denoise.restorations import FILTERS

    with _progress(len(FILTERS) + len(restorers) + 3) as tick:
        found = judge(restorers, corpus, options.split, FILTERS, tick, options.formats)
    told = table(found)
    if options.page:
        from denoise.evaluation_page import write_evaluation_page

        write_evaluation_page(options.page, found)
        told += f"\n{options.page} written"
    return numbers(found), told


def _deblurring(restorers: dict[str, Any], corpus: Any, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Figures, and the table of them."""
    from denoise.deblur_evaluation import deblurring_numbers, deblurring_table, judge_deblurring

    if options.page:
        raise ModelError("there is no page of deblurring models (its curves are others) write --json FILE")
    with _progress(2 * (len(restorers) + 2) + 1) as tick:
        found = judge_deblurring(restorers, corpus, options.split, options.formats, tick)
    return deblurring_numbers(found), deblurring_table(found)


@contextmanager
def _progress(steps: int) -> Iterator[Callable[[str], None]]:
    from tqdm import tqdm

    with tqdm(total=steps, desc="measuring", leave=False) as bar:

        def tick(name: str) -> None:
            bar.set_postfix_str(name, refresh=False)
            bar.update()

        yield tick


def _loaded(paths: list[str], device: str) -> dict[str, Any]:
    """Models by the name of their file, by their whole path where two have one name."""
    from denoise.restorer import load

    if len(set(paths)) < len(paths):
        raise ModelError("the same model is given twice (its figures would be too) give it once")
    stems = [Path(path).stem for path in paths]
    names = [stem if stems.count(stem) == 1 else path for stem, path in zip(stems, paths, strict=True)]
    return {name: load(path, device) for name, path in zip(names, paths, strict=True)}
