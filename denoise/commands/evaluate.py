"""``denoise evaluate``."""

from __future__ import annotations

import argparse
import json
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
        "beside the noisy images and classical denoisers that are tuned on these very images.",
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
    from tqdm import tqdm

    import datagen
    from denoise.evaluation import judge
    from denoise.evaluation_table import numbers, table
    from denoise.new_file import check_new
    from denoise.restorations import FILTERS

    for path in (options.json, options.page):
        if path:
            check_new(path, options.force)
    restorers = _loaded(options.models, options.device)
    corpus = datagen.open_corpus(options.corpus)
    with tqdm(total=len(FILTERS) + len(restorers) + 3, desc="measuring", leave=False) as bar:

        def tick(name: str) -> None:
            bar.set_postfix_str(name, refresh=False)
            bar.update()

        found = judge(restorers, corpus, options.split, FILTERS, tick, options.formats)
    print(table(found))
    if options.json:
        text = json.dumps(numbers(found), indent=2, allow_nan=False) + "\n"
        write_whole(options.json, lambda path: path.write_text(text))
    if options.page:
        from denoise.evaluation_page import write_evaluation_page

        write_evaluation_page(options.page, found)
        print(f"{options.page} written")


def _loaded(paths: list[str], device: str) -> dict[str, Any]:
    """Models by the name of their file, by their whole path where two have one name."""
    from denoise.restorer import load

    if len(set(paths)) < len(paths):
        raise ModelError("the same model is given twice (its figures would be too) give it once")
    stems = [Path(path).stem for path in paths]
    names = [stem if stems.count(stem) == 1 else path for stem, path in zip(stems, paths, strict=True)]
    return {name: load(path, device) for name, path in zip(names, paths, strict=True)}
