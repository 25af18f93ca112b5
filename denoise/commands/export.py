"""``denoise export``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    command = commands.add_parser(
        "export",
        help="write a model as ONNX",
        description="Write a model as ONNX: noisy, a, b -> restored, of any size. Needs the extra onnx.",
        epilog="example: denoise export model.safetensors -o model.onnx",
    )
    command.add_argument("model", metavar="MODEL", help="model that denoise train made")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.onnx", help="file to write")
    command.add_argument("--force", action="store_true", help="replace what is there")
    command.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> None:
    from denoise.onnx_model import export

    found = export(options.model, options.output, options.force)
    print(f"{options.output} written; differs from torch by {found:.1g} standard deviations of the noise at most")
