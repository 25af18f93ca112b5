"""``denoise apply``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from denoise.commands.common import add_common

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    command = commands.add_parser(
        "apply",
        help="restore a 16-bit TIFF",
        description="Restore a 16-bit TIFF, every page of it. A TIFF of xsim tells its noise; of others you do.",
        epilog="example: denoise apply model.safetensors noisy.tif -o restored.tif",
    )
    command.add_argument("model", metavar="MODEL", help="model that denoise train made")
    command.add_argument("image", metavar="IN.tif", help="noisy frame")
    command.add_argument("-o", "--output", type=Path, required=True, help="restored frame, OUT.tif")
    command.add_argument("--a", type=float, help="slope of a pixel's variance against its value, ADU (Var x = a x + b)")
    command.add_argument("--b", type=float, help="that variance at value 0, ADU^2")
    command.add_argument("--state", help="raw, offset_corrected or flat_field_corrected, where the file doesn't tell")
    add_common(command)
    command.set_defaults(run=_apply)


def _apply(options: argparse.Namespace) -> None:
    from denoise.restorer import apply

    given = {"a_pixel_adu": options.a, "b_adu2": options.b, "state": options.state, "device": options.device}
    print(f"{apply(options.model, options.image, options.output, overwrite=options.force, **given)} written")
