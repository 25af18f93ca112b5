"""``datagen info``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from datagen.commands import plan
from datagen.corpus import Corpus, open_corpus
from datagen.format_reader import TABLES
from datagen.header import Header
from datagen.summary import Summary

__all__ = ["add"]

SHOWN = ("voltage_kv", "exposure_mas", "quanta_per_pixel", "mean_energy_kev", "saturated_share", "bodies")


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    info = commands.add_parser(
        "info",
        help="say what a store holds",
        description="Say what a store holds: samples per format and split, ranges of parameters, bytes, what made it. "
        "With --plan, what a corpus file will take.",
        epilog="example: datagen info spheres.zarr; datagen info --plan mine.toml --samples 10000000 --cores 1000",
    )
    info.add_argument("out", metavar="OUT", help="store; with --plan a corpus file, or phantom:NAME")
    plan.add_options(info)
    info.set_defaults(run=_info)


def _info(options: argparse.Namespace) -> None:
    if options.plan:
        plan.print_plan(options)
        return
    plan.check_unused(options)
    corpus = open_corpus(options.out)
    described = corpus.description
    state = "complete" if corpus.complete else f"{len(corpus.commits)} of {described['shards']} shards finished"
    print(f"{corpus.name}: {corpus.samples} of {described['samples']} samples, {state}")
    print(f"corpus sha256  {corpus.sha256}")
    _print_makers(corpus)
    for name in corpus.formats:
        _print_format(corpus, name)
    _print_failures(corpus)


def _print_failures(corpus: Corpus) -> None:
    counted = Summary(corpus.samples, len(corpus.commits))
    for record in corpus.commits:
        counted.keep(record)
    share = f"{100 * counted.failed / max(1, counted.draws):.1f} %"
    budget = Header.model_validate(corpus.description["corpus"]["corpus"]).failure_budget
    often = f", most often: {counted.common_reason}" if counted.failed else ""
    print(f"\ndraws          {counted.failed} of {counted.draws} failed ({share}, budget {100 * budget:g} %){often}")
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
    images = [array for array in dict.fromkeys(Path(file).parts[1] for file in files) if array not in TABLES]
    for array in images:
        part = sum(each["bytes"] for file, each in files.items() if Path(file).parts[1] == array)
        print(f"    {array:<12} {part / len(view) / 1e3:9.1f} kB a sample")
    for column in SHOWN:
        values = view.params(column)
        if np.isfinite(values).any():
            low, middle, high = np.nanpercentile(values, [0, 50, 100])
            print(f"  {column:<18} {low:10.4g} .. {high:<10.4g} median {middle:.4g}")
