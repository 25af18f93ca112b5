"""Generating a corpus: its missing shards, written by this process, a pool of processes or a cluster."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from types import FrameType
from typing import Any

from datagen.cards import update_cards, write_cards
from datagen.commit import versions
from datagen.corpus_file import load_corpus
from datagen.job import Job, Tick, run_here
from datagen.layout import Layout
from datagen.lock import Task, locked
from datagen.place import FolderPlace, Place, open_place
from datagen.pool import run_pool
from datagen.progress import Progress
from datagen.scenes import check_corpus
from datagen.store import create_store, state_of
from datagen.summary import Summary
from datagen.task import check_task
from datagen.worklist import Maker, Worklist, check_target
from xsim import BackendError, CorpusError, available_cores, cuda_devices

__all__ = ["Summary", "generate"]

#: Writes shards, giving the commit record of each.
Runner = Callable[[Job, Iterator[int], Tick], Generator[dict[str, Any]]]


def generate(
    corpus_path: str | os.PathLike[str],
    out_path: str | os.PathLike[str],
    workers: int | None = 1,
    backend: str = "cpu",
    progress: bool = True,
    mix: bool = False,
    task: Task | None = None,
    scheduler: str | None = None,
) -> Summary:
    """Generate a corpus, or the rest of one: committed shards are kept.

    Parameters
    ----------
    corpus_path : path or "phantom:NAME"
    out_path : path or URL
        Where the zarr group is or shall be: a folder, or s3://, gs://, az://.
    workers : int, optional
        Processes. The bytes do not depend on it. More than one start afresh ("spawn"), so a script that calls this
        needs the usual ``if __name__ == "__main__":``. None: one per GPU where GPUs simulate, else one per core.
    backend : {"cpu", "cuda", "auto"}
        With "cuda", or "auto" where there are GPUs, the processes share these out.
    progress : bool
        Whether to tell on stderr how far it is.
    mix : bool
        Whether to add to shards that another backend or version has made.
    task : tuple of int, optional
        (i, n): the shards i, i + n, i + 2 n ... only, i from 0. Tasks of one n may run at the same time.
    scheduler : str, optional
        Address of a dask.distributed scheduler, "tcp://HOST:PORT", whose workers write the shards (extra ``dask``).

    Raises
    ------
    CorpusError
        The corpus file is wrong, the path holds something else or is in use, a scene cannot be made, too many draws
        fail, or a worker died.
    OutputError
        The path cannot be written.
    BackendError
        The machine asked for is not there.
    """
    begin = time.monotonic()
    if workers is not None and workers < 1:
        raise CorpusError(f"workers must be at least 1 (given {workers})")
    backend, run = _runner(backend, workers, check_task(task), scheduler)
    corpus, out = load_corpus(corpus_path), open_place(out_path)
    check_target(corpus, out)
    check_corpus(corpus)
    if state_of(out)[0] == "nothing":
        create_store(corpus, out)
        check_target(corpus, out)  # another job may have been quicker
    work = Worklist(Layout(corpus), out, task)
    summary = Summary(work.samples, len(work.shards))
    job = Job(corpus, out.name if run is run_here else _shared_name(out), backend)
    with locked(out, task), _terminable():
        _run(job, work, None if mix else Maker(backend, versions()), summary, run, progress)
        write_cards(corpus, out)
        update_cards(out)
    summary.seconds = time.monotonic() - begin
    return summary


def _shared_name(out: Place) -> str:
    """Name of a place that other processes know it by."""
    if out.name.startswith("memory://"):
        raise CorpusError(f"{out} is in the memory of this process (others cannot write to it) use one worker here")
    return str(out.root.absolute()) if isinstance(out, FolderPlace) else out.name


def _run(job: Job, work: Worklist, maker: Maker | None, summary: Summary, run: Runner, shown: bool) -> None:
    if maker is not None:
        work.check_maker(maker)
    shards, samples = 0, 0
    for number in work.committed():
        shards, samples = shards + 1, samples + work.layout.shard(number).count
    budget = job.corpus.header.failure_budget
    with Progress(job.corpus.header.name, summary, samples, shards, shown) as progress:
        left = _within(budget, work.missing(maker, summary), summary)
        with closing(run(job, left, progress.add)) as records:
            for record in records:
                summary.count(record)


def _within(budget: float, shards: Iterator[int], summary: Summary) -> Iterator[int]:
    """Shards, as long as not too many draws fail."""
    for number in shards:
        summary.check_budget(budget)
        yield number


def _runner(backend: str, workers: int | None, task: Task | None, scheduler: str | None) -> tuple[str, Runner]:
    """The backend by its own name, and what writes shards on it."""
    if backend == "auto" and (task or scheduler):
        where = "the tasks of a job" if task else "the workers of a cluster"
        raise CorpusError(f"backend 'auto' may be another on each machine ({where} make one corpus) name cpu or cuda")
    if scheduler is not None:
        from datagen.cluster import run_cluster

        if "://" not in scheduler:
            raise CorpusError(f"{scheduler!r} is no address of a dask scheduler, write tcp://HOST:PORT")
        return backend, partial(run_cluster, address=scheduler)
    devices = [] if backend == "cpu" else cuda_devices()
    if backend == "cuda" and not devices:
        raise BackendError("no CUDA device (none found, or cupy is missing) use backend cpu")
    count = workers or len(devices) or available_cores()
    name = "cuda" if devices else "cpu"
    return name, run_here if count == 1 else partial(run_pool, workers=count, devices=devices)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the job as Ctrl-C does, where this is the main thread and nobody else sees to it."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
