"""``datagen info --plan``: what a run will take, before it is begun."""

from __future__ import annotations

import argparse
import json

from datagen.corpus_file import load_corpus
from datagen.plan import Plan, measure_rates, plan_corpus, with_scenes
from datagen.scenes import check_corpus
from xsim import CorpusError

__all__ = ["add_options", "print_plan"]

MEASURED_S = 20.0
DEFAULTS = {
    "samples": None, "cores": (1, 1000), "gpus": (1, 64), "gpu_rate": None, "backend": "cpu", "seconds": MEASURED_S,
    "json": False,
}  # fmt: skip


def add_options(info: argparse.ArgumentParser) -> None:
    """Options of ``info`` that go with ``--plan``."""
    plan = info.add_argument_group("a planned run", "reckoned from shards made here, in a temporary store")
    plan.add_argument("--plan", action="store_true", help="OUT is a corpus file: bytes, files, hours and memory of it")
    plan.add_argument("--samples", type=int, metavar="N", help="plan for so many instead of the file's")
    plan.add_argument("--cores", type=numbers, metavar="N,..", help="default: 1,1000")
    plan.add_argument("--gpus", type=numbers, metavar="N,..", help="default: 1,64")
    plan.add_argument("--gpu-rate", type=float, metavar="R", help="samples/s of a GPU, as --backend cuda measured it")
    plan.add_argument("--backend", choices=("cpu", "cuda", "auto"), help="default: %(default)s")
    plan.add_argument("--seconds", type=float, help="to measure for (default: %(default)g)")
    plan.add_argument("--json", action="store_true", help="print the plan as JSON")
    info.set_defaults(**DEFAULTS)


def check_unused(options: argparse.Namespace) -> None:
    """Refuse options of a plan without one.

    Raises
    ------
    CorpusError
    """
    for name, default in DEFAULTS.items():
        if getattr(options, name) != default:
            raise CorpusError(f"--{name.replace('_', '-')} goes with --plan (OUT is then a corpus file) leave it out")


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers between commas."""
    return tuple(int(part) for part in text.split(",") if part)


def print_plan(options: argparse.Namespace) -> None:
    """Measure, reckon and print."""
    corpus = load_corpus(options.out)
    check_corpus(corpus)
    if options.samples is not None and options.samples < 1:
        raise CorpusError(f"--samples must be at least 1 (given {options.samples})")
    if options.samples is not None:  # measured by the shards of the corpus that is planned
        corpus = with_scenes(corpus, -(-options.samples // corpus.header.frames_per_scene))
    rates = measure_rates(corpus, options.backend, options.seconds)
    plan = plan_corpus(corpus, rates, None, options.cores, options.gpus, options.gpu_rate)
    if options.json:
        print(json.dumps(plan.to_json(), indent=1))
        return
    for line in table(plan, options.gpus):
        print(line)


def table(plan: Plan, gpus: tuple[int, ...]) -> list[str]:
    """The plan in lines."""
    rates = plan.rates
    lines = [
        f"{plan.name}: {plan.samples} samples planned, from {rates.samples} made here on {rates.backend}",
        f"bytes            {size(plan.total_bytes)}, {rates.bytes_a_sample / 1e3:.1f} kB a sample",
        f"files            {plan.files} in {plan.shards} shards",
        f"one worker       {1.0 / rates.seconds_a_sample:.1f} samples/s, {size(rates.memory_bytes)} of memory, "
        f"{rates.start_s:.1f} s to start",
    ]
    for each in plan.machines:
        name = f"{each.count} {each.kind}{'s' if each.count > 1 else ''}"
        lines.append(f"{name:<16} {duration(each.hours)}, {size(each.bytes_a_second)}/s into the store")
    if gpus and not any(each.kind == "GPU" for each in plan.machines):
        lines.append(
            "GPUs             not measured (no rate of a GPU) run it with --backend cuda on one, or give --gpu-rate"
        )
    return lines


def size(count: float) -> str:
    """Bytes in the unit that reads best."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.4g} TB"


def duration(hours: float) -> str:
    """Hours, or minutes where they are few."""
    return f"{hours:.4g} h" if hours >= 1 else f"{60 * hours:.3g} min"
