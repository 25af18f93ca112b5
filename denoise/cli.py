"""The ``denoise`` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from denoise.commands import (
    apply,
    audit,
    decorrelate,
    evaluate,
    export,
    features,
    fuse,
    noise,
    train,
)
from xsim import CommandParser, run_command

__all__ = ["main"]

COMMANDS = (
    train,
    apply,
    evaluate,
    export,
    fuse,
    features,
    audit,
    noise,
    decorrelate,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit codes are those of ``xsim.run_command``."""
    return run_command(
        "denoise", _parser().parse_args(arguments), "stopped (no file is half written) training goes on with --resume"
    )


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="denoise",
        description="Restorers for radiographs, trained on simulated corpora.",
        epilog="example: denoise apply model.safetensors noisy.tif -o restored.tif",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
