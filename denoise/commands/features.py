"""``denoise features``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    add = commands.add_parser(
        "features",
        help="train features to compare images by",
        description="Train a network to tell the bodies of a corpus by its labels. Its features are what dngan's "
        "content loss compares images by.",
        epilog="example: denoise features corpus.zarr -o features.safetensors",
    )
    add.add_argument("corpus", metavar="CORPUS", help="store that datagen generate made")
    add.add_argument(
        "-o", "--output", type=Path, default=Path("features.safetensors"), help="features (default: %(default)s)"
    )
    add.add_argument("--format", dest="formats", action="append", metavar="NAME", help="detector format (default: all)")
    add.add_argument("--steps", type=int, help="default: 400")
    add.add_argument("--batch", type=int, help="crops per step (default: 16)")
    add.add_argument("--crop", type=int, help="their side in pixels (default: 64)")
    add.add_argument("--widths", type=_three, help="channels at the three scales (default: 16,32,64)")
    add.add_argument("--kernel", type=int, help="side of the convolutions (default: 3)")
    add.add_argument("--seed", type=int, help="another one makes another network (default: 0)")
    add.add_argument("--force", action="store_true", help="replace what is there")
    add.set_defaults(run=_features)


def _three(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _features(options: argparse.Namespace) -> None:
    from denoise.feature_training import FeatureSettings, train_features

    names = ("formats", "steps", "batch", "crop", "widths", "kernel", "seed")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    told = train_features(options.corpus, options.output, FeatureSettings(**given), overwrite=options.force)
    print(
        f"{options.output} written: {told['name']}, {len(told['classes'])} classes, {100 * told['accuracy']:.0f} % of "
        f"held-out pixels told right on average over them (one class for all: {100 * told['chance']:.0f} %)"
    )
