"""``datagen generate``."""

from __future__ import annotations

import argparse
from typing import Any

from datagen.driver import Summary, generate
from datagen.ending import ending
from datagen.task import read_task
from xsim import CorpusError

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
        "--workers", metavar="N", type=int, help="processes (default: one per GPU where these simulate, else per core)"
    )
    make.add_argument("--backend", choices=("cpu", "cuda", "auto"), default="cpu", help="default: %(default)s")
    make.add_argument(
        "--task",
        metavar="I/N",
        help="one of N parts of the job, the first is 0; slurm: this element of a job array; auto: that, or all of it",
    )
    make.add_argument(
        "--scheduler", metavar="ADDRESS", help="tcp://HOST:PORT of a dask scheduler, whose workers do the work"
    )
    make.add_argument("--mix", action="store_true", help="add to shards made by another version or backend")
    make.add_argument("--quiet", action="store_true", help="do not tell how far it is")
    make.set_defaults(run=_generate)


def _generate(options: argparse.Namespace) -> None:
    if options.scheduler and options.workers is not None:
        raise CorpusError("--workers are processes of this machine (a cluster has its own) leave one of the two out")
    task = read_task(options.task)
    with ending():
        done = generate(
            options.corpus, options.out, options.workers, options.backend, not options.quiet, options.mix, task,
            options.scheduler,
        )  # fmt: skip
    _tell(options.out, task, done)


def _tell(out: str, task: tuple[int, int] | None, done: Summary) -> None:
    part = f", task {task[0]}/{task[1]}" if task else ""
    if done.written == 0:
        print(f"{out} is complete{part}: {done.samples} samples in {done.shards} shards")
        return
    kept = f", {done.kept} were there" if done.kept else ""
    mended = f", {done.mended} of them damaged before" if done.mended else ""
    rate = f" ({done.new_samples / done.seconds:.1f} samples/s)"
    wrote = f"{done.samples} samples, {done.written} shards written in {done.seconds:.1f} s"
    print(f"{out}{part}: {wrote}{rate}{mended}{kept}")
    if done.redrawn:
        share = f"{done.failed} of {done.draws} draws gave no valid scene and were drawn again"
        print(f"{share}, most often: {done.common_reason} (all: datagen info {out})")
    if done.warnings:
        print(f"{done.warnings} warnings, the first: {done.first_warning}")
