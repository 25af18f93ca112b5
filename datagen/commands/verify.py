"""``datagen verify``."""

from __future__ import annotations

import argparse
from typing import Any

from datagen.verification import Verdict, verify
from xsim import CorpusError

__all__ = ["add"]

LISTED = 20


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    check = commands.add_parser(
        "verify",
        help="read every byte of a store; un-commit what is damaged",
        description="Read every byte of a store and hold it against its hashes. Damaged shards are un-committed, so "
        "that datagen generate makes them again; damaged descriptions are mended. Exit code 2 where any was.",
        epilog="example: datagen verify spheres.zarr",
    )
    check.add_argument("out", metavar="OUT", help="store: a folder, or a URL (s3://, gs://, az://)")
    check.add_argument("--keep", action="store_true", help="change nothing, only say what is damaged")
    check.add_argument("--clean", action="store_true", help="remove files of shards that are not committed")
    check.add_argument(
        "--corpus", metavar="FILE", help="corpus file, for descriptions that the store has lost altogether"
    )
    check.add_argument("--quiet", action="store_true", help="no progress bar")
    check.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> None:
    found = verify(options.out, options.keep, options.clean, options.corpus, not options.quiet)
    for number, wrong in sorted(found.damaged.items()):
        print(f"shard {number}: {wrong}{'' if options.keep else ' (un-committed)'}")
    for name, mended in found.descriptions.items():
        print(f"{name}: not as it was written ({_said(mended, options)})")
    _print_files("removed" if options.clean else "orphan", found.orphans)
    _print_files("not of the store", found.strangers)
    if found.intact:
        rest = f", {found.planned - found.shards} more are not made yet" if found.shards < found.planned else ""
        print(
            f"{options.out}: {found.shards} shards as they were written, "
            f"{found.bytes / 1e6:.1f} MB in {found.files} files{rest}"
        )
        return
    raise CorpusError(f"{options.out} was damaged ({_counts(found)}) {_advice(found, options)}")


def _said(mended: bool, options: argparse.Namespace) -> str:
    if mended:
        return "can be mended" if options.keep else "mended"
    return "cannot be mended from here"


def _print_files(what: str, names: list[str]) -> None:
    for name in names[:LISTED]:
        print(f"{what}: {name}")
    if len(names) > LISTED:
        print(f"{what}: {len(names) - LISTED} more")


def _counts(found: Verdict) -> str:
    parts = [(len(found.damaged), "shard"), (len(found.descriptions), "description")]
    return ", ".join(f"{count} {what}{'s' if count > 1 else ''}" for count, what in parts if count)


def _advice(found: Verdict, options: argparse.Namespace) -> str:
    if not all(found.descriptions.values()):
        lost = "give the corpus file that it was made from: datagen verify OUT --corpus FILE"
        return (
            lost
            if options.corpus is None
            else "this is not the corpus file it was made from, or other versions made it"
        )
    if options.keep:
        return "run it without --keep"
    return "make the shards again: datagen generate CORPUS OUT" if found.damaged else "nothing more is to be done"
