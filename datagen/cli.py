"""The ``datagen`` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datagen.corpus import Corpus, open_corpus
from datagen.driver import generate
from xsim import CommandParser, run_command

__all__ = ["main"]

SHOWN = ("voltage_kv", "exposure_mas", "quanta_per_pixel", "mean_energy_kev", "saturated_share", "bodies")


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
    info = commands.add_parser(
        "info",
        help="say what a store holds",
        description="Say what a store holds: samples per format and split, ranges of parameters, bytes, what made it.",
        epilog="example: datagen info spheres.zarr",
    )
    info.add_argument("out", metavar="OUT", help="store")
    info.set_defaults(run=_info)
    return parser


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


def _info(options: argparse.Namespace) -> None:
    corpus = open_corpus(options.out)
    described = corpus.description
    state = "complete" if corpus.complete else f"{len(corpus.commits)} of {described['shards']} shards finished"
    print(f"{corpus.name}: {corpus.samples} of {described['samples']} samples, {state}")
    print(f"corpus sha256  {corpus.sha256}")
    _print_makers(corpus)
    for name in corpus.formats:
        _print_format(corpus, name)
    failures = [each for record in corpus.commits for each in record["redrawn"]]
    for each in failures[:10]:
        print(f"redrawn        scene {each['scene']}, attempt {each['attempt']}: {each['reason']}")
    if len(failures) > 10:
        print(f"redrawn        {len(failures) - 10} more")


def _print_makers(corpus: Corpus) -> None:
    makers = {(record["backend"], *sorted(record["versions"].items())) for record in corpus.commits}
    for backend, *versions in sorted(makers):
        print(f"made by        {backend}; {', '.join(f'{name} {number}' for name, number in versions)}")


def _print_format(corpus: Corpus, name: str) -> None:
    view = corpus.subset(name)
    splits = {split: len(corpus.subset(name, split)) for split in ("train", "val", "test")}
    files: dict[str, Any] = {}
    for record in corpus.commits:
        if record["format"] == name:
            files.update(record["files"])
    size = sum(each["bytes"] for each in files.values())
    parts = ", ".join(f"{count} {split}" for split, count in splits.items())
    print(f"\n{name}: {len(view)} samples of {view.shape[0]} x {view.shape[1]} ({parts})")
    if not len(view):
        return
    print(f"  {size / 1e6:.1f} MB in {len(files)} files, {size / len(view) / 1e3:.1f} kB a sample:")
    for array in ("noisy", "clean", "noise", "labels", "valid"):
        part = sum(each["bytes"] for file, each in files.items() if Path(file).parts[1] == array)
        print(f"    {array:<8} {part / len(view) / 1e3:9.1f} kB a sample")
    for column in SHOWN:
        values = view.params(column)
        if np.isfinite(values).any():
            low, middle, high = np.nanpercentile(values, [0, 50, 100])
            print(f"  {column:<18} {low:10.4g} .. {high:<10.4g} median {middle:.4g}")


if __name__ == "__main__":
    sys.exit(main())
