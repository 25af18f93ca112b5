"""``datagen generate``."""

from __future__ import annotations

import argparse
import os
from typing import Any

from datagen.driver import generate

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    make = commands.add_parser(
        "generate",
        help="simulate the samples of a corpus file into a store; again: resume",
        description="Simulate the samples of a corpus file into a zarr store. Run again, it goes on where it ended.",
        epilog="example: datagen generate phantom:spheres-in-acrylic-corpus spheres.zarr --workers 2",
    )
    make.add_argument("corpus", metavar="CORPUS", help="corpus file (TOML), or phantom:NAME for one that ships")
    make.add_argument("out", metavar="OUT", help="store to make or to complete, for example spheres.zarr")
    make.add_argument(
        "--workers", metavar="N", type=int, default=_cores(), help="processes (default: one per core, %(default)s)"
    )
    make.add_argument("--backend", choices=("cpu", "cuda", "auto"), default="cpu", help="default: %(default)s")
    make.add_argument("--mix", action="store_true", help="add to shards made by another version or backend")
    make.add_argument("--quiet", action="store_true", help="no progress bar")
    make.set_defaults(run=_generate)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _generate(options: argparse.Namespace) -> None:
    done = generate(options.corpus, options.out, options.workers, options.backend, not options.quiet, options.mix)
    if done.written == 0:
        print(f"{options.out} is complete: {done.samples} samples in {done.shards} shards")
        return
    kept = f", {done.kept} were there" if done.kept else ""
    mended = f", {done.mended} of them damaged before" if done.mended else ""
    print(f"{options.out}: {done.samples} samples, {done.written} shards written in {done.seconds:.1f} s{mended}{kept}")
    if done.redrawn:
        print(f"{done.redrawn} draws gave no valid scene and were drawn again (why: datagen info {options.out})")
    if done.warnings:
        print(f"{done.warnings} warnings, the first: {done.first_warning}")
