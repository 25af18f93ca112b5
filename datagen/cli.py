"""The ``datagen`` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from datagen.commands import (
    export,
    families,
    generate,
    info,
    merge,
    preview,
    verify,
)
from xsim import CommandParser, run_command

__all__ = ["main"]

COMMANDS = (
    generate,
    info,
    merge,
    preview,
    families,
    verify,
    export,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit codes are those of ``xsim.run_command``."""
    stopped = "stopped (finished shards are kept) the same command goes on from there"
    return run_command("datagen", _parser().parse_args(arguments), stopped)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="datagen",
        description="Training corpora of simulated radiographs.",
        epilog="example: datagen generate phantom:spheres-in-acrylic-corpus spheres.zarr --workers 2",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
