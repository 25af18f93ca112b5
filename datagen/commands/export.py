"""``datagen export``."""

from __future__ import annotations

import argparse
from typing import Any

from datagen.export.job import WRITERS, export_corpus

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    ways = "; ".join(f"{name}: {kind.about}" for name, kind in WRITERS.items())
    export = commands.add_parser(
        "export",
        help="write samples for other tools: NumPy, WebDataset, TIFF, COCO",
        description=f"Write samples of a store for other tools ({ways}). Stopped, the same command goes on.",
        epilog="example: datagen export spheres.zarr --to webdataset -o spheres-tar --split train",
    )
    export.add_argument("store", metavar="OUT", help="store")
    export.add_argument("--to", choices=tuple(WRITERS), required=True, help="what to write")
    export.add_argument("-o", "--out", metavar="DEST", required=True, help="folder to make; it may be there, empty")
    export.add_argument("--split", choices=("train", "val", "test"), help="default: all samples")
    export.add_argument("--format", metavar="F", help="detector format, where there are several")
    export.add_argument("--limit", metavar="N", type=int, help="at most so many samples")
    export.add_argument("--images", metavar="A,B,..", help="default: all that is stored but noise, noisy - clean")
    export.add_argument("--quiet", action="store_true", help="no progress bar")
    export.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> None:
    images = options.images.split(",") if options.images else None
    done = export_corpus(
        options.store, options.out, options.to, options.split, options.format, options.limit, images, not options.quiet
    )
    kept = f" ({done.kept} of {done.parts} parts were there)" if done.kept else ""
    print(f"{options.out}: {done.samples} samples as {options.to}{kept}")
