"""``datagen merge``."""

from __future__ import annotations

import argparse
from typing import Any

from datagen.merging import merge

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    join = commands.add_parser(
        "merge",
        help="join stores of the same corpus that were made in pieces",
        description="Join stores of the same corpus file, each with some of its shards, into one. They are only read. "
        "Run again, it goes on where it ended.",
        epilog="example: datagen merge whole.zarr disk-a/spheres.zarr disk-b/spheres.zarr",
    )
    join.add_argument("out", metavar="OUT", help="store to make or to add to: a folder, or a URL (s3://, gs://, az://)")
    join.add_argument("stores", metavar="STORE", nargs="+", help="stores to join")
    join.add_argument("--mix", action="store_true", help="join shards made by different versions or backends")
    join.add_argument("--quiet", action="store_true", help="no progress bar")
    join.set_defaults(run=_merge)


def _merge(options: argparse.Namespace) -> None:
    done = merge(options.out, options.stores, options.mix, not options.quiet)
    kept = f", {done.kept} were there" if done.kept else ""
    print(f"{options.out}: {done.copied} shards copied{kept}")
    if done.missing:
        print(f"{done.missing} of {done.shards} shards are in none of them: datagen generate CORPUS {options.out}")
