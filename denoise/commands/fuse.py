"""``denoise fuse``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add"]

# names of what a file may not tell, and what it is
FACTS = (
    ("a", "a_pixel_adu", "slope of a pixel's variance against its value, ADU (Var x = a x + b)"),
    ("b", "b_adu2", "that variance at value 0, ADU^2"),
    ("offset", "offset_adu", "grey value without radiation"),
    ("open-beam", "open_beam_adu", "grey value of the open beam"),
)


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    command = commands.add_parser(
        "fuse",
        help="fuse two images of one part, taken at two energies",
        description="Fuse two 16-bit TIFFs of one part, taken at two energies, restored or noisy. The grey scale is "
        "that of LOW. TIFFs of xsim tell their noise, offset and open beam; of others you do, LOW before HIGH.",
        epilog="example: denoise fuse low.tif high.tif -o fused.tif",
    )
    command.add_argument("low", metavar="LOW.tif", help="image at the low energy")
    command.add_argument("high", metavar="HIGH.tif", help="image at the high energy")
    command.add_argument("-o", "--output", type=Path, required=True, help="fused image, FUSED.tif")
    command.add_argument("--rule", default="max", help="of details: max, sum or energy (default: %(default)s)")
    command.add_argument(
        "--approximation", default="mean", help="of coarse parts: mean or weighted (default: %(default)s)"
    )
    for option, name, text in FACTS:
        command.add_argument(f"--{option}", dest=name, type=float, nargs=2, metavar=("LOW", "HIGH"), help=text)
    command.add_argument("--force", action="store_true", help="replace what is there")
    command.set_defaults(run=_fuse)


def _fuse(options: argparse.Namespace) -> None:
    from denoise.fusion_files import fuse_files

    told = {name: getattr(options, name) for _, name, _ in FACTS if getattr(options, name) is not None}
    facts = tuple({name: pair[k] for name, pair in told.items()} for k in range(2))
    target = fuse_files(
        options.low, options.high, options.output, facts=(facts[0], facts[1]), rule=options.rule,
        approximation=options.approximation, overwrite=options.force,
    )  # fmt: skip
    print(f"{target} written")
