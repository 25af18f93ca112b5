"""What a corpus will take: bytes, files, hours and memory, reckoned from shards made here and now."""

from __future__ import annotations

import math
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from datagen.corpus_file import CorpusFile
from datagen.layout import Layout
from datagen.shard import write_shard
from datagen.store import create_store
from xsim import CorpusError

__all__ = ["Machines", "Plan", "Rates", "measure_rates", "plan_corpus", "with_scenes"]

SHARDS = 64  # that a measurement makes of each format at the most
RECORD_FILES = 1  # a commit record beside the files that it lists
ROOT_FILES = 4  # descriptions of the whole store and of its commits, two cards
TABLES = 2  # of a format, beside its images


@dataclass(frozen=True)
class Rates:
    """What was measured with one process on this machine.

    Attributes
    ----------
    backend : str
    samples : int
        That were made.
    seconds_a_sample : float
        Simulated, compressed, written and committed; by format, each of equal share.
    bytes_a_sample : float
        Of committed files, their records aside.
    start_s : float
        From the start of the process to its first sample, the store's making included.
    memory_bytes : int
        Greatest resident memory of the process.
    """

    backend: str
    samples: int
    seconds_a_sample: float
    bytes_a_sample: float
    start_s: float
    memory_bytes: int


@dataclass(frozen=True)
class Machines:
    """Workers of one kind: hours until the last shard, bytes per second that the store must take."""

    kind: str
    count: int
    hours: float
    bytes_a_second: float


@dataclass(frozen=True)
class Plan:
    """A planned run. ``machines`` counts whole shards: more workers than shards do nothing."""

    name: str
    samples: int
    shards: int
    files: int
    total_bytes: float
    rates: Rates
    machines: tuple[Machines, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def plan_corpus(
    corpus: CorpusFile,
    rates: Rates,
    samples: int | None = None,
    cores: Sequence[int] = (1,),
    gpus: Sequence[int] = (),
    gpu_samples_s: float | None = None,
) -> Plan:
    """Reckon a run.

    Parameters
    ----------
    corpus : CorpusFile
    rates : Rates
        Of `measure_rates`.
    samples : int, optional
        Instead of what the file asks for; rounded up to whole scenes.
    cores, gpus : sequence of int
        Numbers of workers to give hours for. Cores are reckoned as fast as the one measured and take what was measured
        on the CPU; GPUs take what was measured on one, or ``gpu_samples_s``.

    Raises
    ------
    CorpusError
        A number of workers below one.
    """
    if (fewest := min((*cores, *gpus, 1))) < 1:
        raise CorpusError(f"workers must be at least 1 (given {fewest})")
    if gpu_samples_s is not None and not gpu_samples_s > 0:
        raise CorpusError(f"the rate of a GPU must be above 0 (given {gpu_samples_s:g})")
    if samples is not None:
        corpus = with_scenes(corpus, -(-samples // corpus.header.frames_per_scene))
    layout = Layout(corpus)
    total = layout.samples * rates.bytes_a_sample
    measured = {backend: rates.seconds_a_sample for backend in ("cpu", "cuda") if backend == rates.backend}
    each = {"core": measured.get("cpu"), "GPU": 1.0 / gpu_samples_s if gpu_samples_s else measured.get("cuda")}
    machines = []
    for kind, counts in (("core", cores), ("GPU", gpus)):
        if (seconds := each[kind]) is None:
            continue
        for count in counts:
            rounds = -(-layout.shards // count)
            spent = rates.start_s + rounds * layout.samples / layout.shards * seconds
            machines.append(Machines(kind, count, spent / 3600.0, total / spent))
    return Plan(corpus.header.name, layout.samples, layout.shards, files_of(layout), total, rates, tuple(machines))


def files_of(layout: Layout) -> int:
    """Files of a whole store."""
    count = ROOT_FILES
    for place, each in enumerate(layout.corpus.formats):
        arrays = len(layout.arrays(each)) + TABLES
        shards = -(-layout.format_samples(place) // layout.shard_samples(place))
        count += 1 + arrays + shards * (arrays + RECORD_FILES)  # descriptions of the format and its arrays
    return count


def measure_rates(corpus: CorpusFile, backend: str = "cpu", seconds: float = 20.0) -> Rates:
    """Make shards in a process of its own, in a temporary store, for about as many seconds.

    One shard of each format at the least, so that memory is that of a whole one.

    Raises
    ------
    CorpusError
        A scene cannot be made, the process died, or the time is no number.
    """
    if not 0 <= seconds < math.inf:
        raise CorpusError(f"the time to measure for must not be negative or without end (given {seconds:g} s)")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        try:
            return pool.submit(_make, corpus, backend, seconds, time.time()).result()
        except BrokenProcessPool:
            raise CorpusError("the measuring process died (out of memory?) lower shard_samples") from None


def _make(corpus: CorpusFile, backend: str, seconds: float, begun: float) -> Rates:
    few = Layout(corpus).shard_samples(0) * SHARDS * len(corpus.formats) // corpus.header.frames_per_scene
    corpus = with_scenes(corpus, min(corpus.header.scenes, max(few, len(corpus.formats))))
    layout = Layout(corpus)
    spent: dict[str, list[float]] = {}
    sizes: dict[str, list[float]] = {}
    samples = 0
    with tempfile.TemporaryDirectory(prefix="datagen-plan-") as folder:
        out = Path(folder) / "measured.zarr"
        create_store(corpus, out)
        started, made = time.time(), ""
        for number in in_turns(layout):
            start = time.perf_counter()
            record = write_shard(corpus, out, number, backend)
            name, count = record["format"], record["samples"]
            spent.setdefault(name, []).append((time.perf_counter() - start) / count)
            stored = sum(each["bytes"] for each in record["files"].values())
            sizes.setdefault(name, []).append(stored / count)
            samples, made = samples + count, record["backend"]
            if len(spent) == len(corpus.formats) and time.time() - started > seconds:
                break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    mean_s, mean_bytes = (fmean(fmean(values) for values in each.values()) for each in (spent, sizes))
    return Rates(made, samples, mean_s, mean_bytes, started - begun, peak)


def with_scenes(corpus: CorpusFile, scenes: int) -> CorpusFile:
    """The same corpus with another number of scenes."""
    return replace(corpus, header=corpus.header.model_copy(update={"scenes": scenes}))


def first_shards(layout: Layout) -> list[int]:
    """The first shard of each format that has scenes."""
    found: dict[str, int] = {}
    number = 0
    for place in range(len(layout.corpus.formats)):
        samples = layout.format_samples(place)
        if samples:
            found[layout.corpus.formats[place].name] = number
            number += -(-samples // layout.shard_samples(place))
    return list(found.values())


def in_turns(layout: Layout) -> list[int]:
    """Shards, a first of each format, then a second of each, and so on."""
    starts = first_shards(layout)
    ends = [*starts[1:], layout.shards]
    longest = max(end - start for start, end in zip(starts, ends, strict=True))
    pairs = list(zip(starts, ends, strict=True))
    return [start + turn for turn in range(longest) for start, end in pairs if start + turn < end]
