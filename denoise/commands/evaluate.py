"""``denoise evaluate``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from denoise.commands.common import add_common
from xsim import write_whole

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    command = commands.add_parser(
        "evaluate",
        help="judge a restorer on a part of a corpus",
        description="PSNR, SSIM, bias and spheres found, beside those of the noisy images and of tuned filters.",
        epilog="example: denoise evaluate model.safetensors corpus.zarr",
    )
    command.add_argument("model", metavar="MODEL", help="model that denoise train made")
    command.add_argument("corpus", metavar="CORPUS", help="store that datagen generate made")
    command.add_argument("--split", choices=("train", "val", "test"), default="test", help="default: %(default)s")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    add_common(command)
    command.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> None:
    from tqdm import tqdm

    import datagen
    from denoise.checkpoint import check_new
    from denoise.evaluation import by_dose, corpus_cases, figures, table
    from denoise.restorer import load

    if options.json:
        check_new(options.json, options.force)
    restorer = load(options.model, options.device)
    groups = by_dose(corpus_cases(datagen.open_corpus(options.corpus), options.split))
    with tqdm(total=sum(len(cases) + 3 for cases in groups.values()), desc="restoring") as bar:
        found = {name: figures(restorer, cases, bar.update) for name, cases in groups.items()}
    print(table(found))
    if options.json:
        text = json.dumps(found, indent=2, allow_nan=False) + "\n"
        write_whole(options.json, lambda path: path.write_text(text))
